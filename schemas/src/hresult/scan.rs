//! Finds the HRESULT of a log line in any of its spellings, without the look-alikes.
//!
//! Spellings: `0x800b0109`, `hr = 80070057`, `error: 800b0109`, `[80072F8F]`, `-2145107943`, `with 2148204800`,
//! `Exit code = 0x240001`. Look-alikes: heads of GUIDs, file hashes, flags (`0x00000080`), HTTP and SOAP status numbers.

/// Eight hex digits; the longest decimal spelling has ten digits.
const HEX_DIGITS: usize = 8;

/// Reads one token that is a code and nothing else, in brackets or not, such as a column of REPORT EVENT. `0` is success.
#[must_use]
pub fn parse_hresult(token: &str) -> Option<u32> {
    let token = token.trim();
    let token = token.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(token);
    if let Some(hex) = token.strip_prefix("0x").or_else(|| token.strip_prefix("0X")) {
        return parse_hex(hex.as_bytes());
    }
    if let Some(digits) = token.strip_prefix('-') {
        return parse_decimal(digits.as_bytes()).and_then(negative);
    }
    match token.len() {
        10 => {
            parse_decimal(token.as_bytes()).and_then(|value| u32::try_from(value).ok()).filter(|code| is_failure(*code))
        }
        _ => parse_hex(token.as_bytes()),
    }
}

/// The code that a message is about: its first failure code, else the first success code that is called one.
#[must_use]
pub fn find_hresult(text: &str) -> Option<u32> {
    let bytes = text.as_bytes();
    let mut success = None;
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && bytes[at].is_ascii_alphanumeric() {
            at += 1;
        }
        // The first byte tells nearly all words apart: codes begin with 0x or with 8 to F, decimals with 2 to 4.
        if bytes[start].is_ascii_hexdigit() {
            match code_of_word(bytes, start, at) {
                Some(code) if is_failure(code) => return Some(code),
                Some(code) if success.is_none() => success = Some(code),
                _ => {}
            }
        }
    }
    success
}

fn code_of_word(bytes: &[u8], start: usize, end: usize) -> Option<u32> {
    let word = &bytes[start..end];
    if word.len() > 2 && word[0] == b'0' && (word[1] | 0x20) == b'x' {
        let code = parse_hex(&word[2..])?;
        let cue = cue(bytes, start);
        if is_failure(code) {
            return (!contains_ignoring_case(cue, b"flag")).then_some(code);
        }
        return (code != 0 && is_strong_cue(cue)).then_some(code);
    }
    let after = bytes.get(end).copied().unwrap_or(b' ');
    let before = if start == 0 { b' ' } else { bytes[start - 1] };
    if word.len() == HEX_DIGITS && after != b'-' && !matches!(before, b'-' | b'{') {
        let code = parse_hex(word).filter(|code| is_failure(*code))?;
        let called = (before == b'[' && after == b']') || is_cue(cue(bytes, start));
        return called.then_some(code);
    }
    if word.len() == 10 && word[0].is_ascii_digit() {
        let value = parse_decimal(word)?;
        if before == b'-' {
            return negative(value).filter(|code| is_known(*code));
        }
        let code = u32::try_from(value).ok().filter(|code| is_failure(*code) && is_known(*code))?;
        return is_cue(cue(bytes, start)).then_some(code);
    }
    None
}

/// The word before `at`, over spaces and `= : ( <`.
fn cue(bytes: &[u8], at: usize) -> &[u8] {
    let mut end = at;
    while end > 0 && matches!(bytes[end - 1], b' ' | b'=' | b':' | b'(' | b'<' | b'\t') {
        end -= 1;
    }
    let mut start = end;
    while start > 0 && bytes[start - 1].is_ascii_alphabetic() {
        start -= 1;
    }
    &bytes[start..end]
}

fn is_cue(word: &[u8]) -> bool {
    const CUES: [&[u8]; 8] = [b"with", b"error", b"hresult", b"returned", b"result", b"status", b"failed", b"failure"];
    is_strong_cue(word) || CUES.iter().any(|cue| word.eq_ignore_ascii_case(cue))
}

/// Words that announce a code even where it is short, as in `Exit code = 0x240001`.
fn is_strong_cue(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"hr") || word.eq_ignore_ascii_case(b"code")
}

fn contains_ignoring_case(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

fn parse_hex(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > HEX_DIGITS {
        return None;
    }
    digits.iter().try_fold(0_u32, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

/// At most ten digits, so that no sum overflows.
fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| Some(value * 10 + u64::from(char::from(*digit).to_digit(10)?)))
}

/// The code whose signed spelling is `-value`.
fn negative(value: u64) -> Option<u32> {
    let signed = i32::try_from(-i64::try_from(value).ok()?).ok()?;
    Some(signed.cast_unsigned())
}

fn is_failure(code: u32) -> bool {
    code & 0x8000_0000 != 0
}

/// Decimals are taken only where the table knows them or Windows Update owns the facility: big numbers are often sizes.
fn is_known(code: u32) -> bool {
    super::lookup(code).is_some() || matches!(code >> 16, 0x8024 | 0x800B | 0x8019)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling() {
        let cases = [
            ("WARNING: WinHttp: failed with error 0x8024402c", 0x8024_402C),
            ("  * WARNING: Exit code = 0x8024402C", 0x8024_402C),
            (
                "WARNING: Failed to evaluate Installed rule, updateId = {52FDB3D3-CC8E-381F-3FBC-EAB3FEBF5F9D}.202, hr = 80070057",
                0x8007_0057,
            ),
            ("WARNING: Unable to trigger Automatic Updates to detect now, hr=8024A000", 0x8024_A000),
            ("WARNING: UpdateNow for accelerated install failed with hr:80070005", 0x8007_0005),
            ("WARNING: File failed postprocessing, error = 800b0109", 0x800B_0109),
            ("WARNING: Send failed with hr = 80072ee2.", 0x8007_2EE2),
            ("FATAL: UH: 0x80070057: EvaluateApplicability failed", 0x8007_0057),
            ("FATAL: CBS called Error with 0x800736b3, ", 0x8007_36B3),
            (
                "WARNING: Error: 0x800b0109 when verifying trust for C:\\a\\25cd5f57efc246cf2e8f6d2ec4cbf2d7b4e48f45",
                0x800B_0109,
            ),
            ("** END ** Service: Service exit [Exit code = 0x240001]", 0x0024_0001),
            ("*FAILED* [80072F8F] Send request", 0x8007_2F8F),
            ("FAILED [80072EFE] Send request", 0x8007_2EFE),
            ("<Win32HResult>-2145107943</Win32HResult>", 0x8024_4019),
            (
                "File cert verification failed for e:\\8CDE4C473E1386615381157EB67C80E355D196E9.exe with 2148204800",
                0x800B_0100,
            ),
            (
                "WARNING: error = 0x8024400E, soap client error = 7, soap error code = 400, HTTP status code = 200",
                0x8024_400E,
            ),
            ("MakeRequest failed. error 0x80190194", 0x8019_0194),
            ("0x80072efe -2147012866 WININET_E_CONNECTION_ABORTED", 0x8007_2EFE),
            (
                "WER Report sent: 7.5.7601.17514 0x800b0109 8468427E-6555-E8D9-5360-9CBC1D52A0BB Download 101 Managed",
                0x800B_0109,
            ),
        ];
        for (text, expect) in cases {
            assert_eq!(find_hresult(text), Some(expect), "{text}");
        }
    }

    #[test]
    fn no_false_hits() {
        let cases = [
            "",
            "GUID=8b24b027-1dee-babb-9a95-3517dfb9c552 (No Format Information found).",
            "error {8B24B027-1DEE-BABB-9A95-3517DFB9C552}",
            "Failed service 855E8A7C-ECB4-4CA3-B045-1DFA50104289 redir",
            "error 93efa2cc8b767c64aaf22ca7ec8fdd73cf8e5b9c",
            "Validating signature for C:\\wuident.cab with dwProvFlags 0x00000080:",
            "Validating signature for C:\\wuident.cab with dwProvFlags 0x80000080:",
            "soap client error = 7, soap error code = 400, HTTP status code = 200",
            "CWERReporter finishing event handling. (00000000)",
            "Downloaded 2148204800 bytes",
            "completed with hr=0x0 and pfResetSandbox=0",
            "  * OS Product Type = 0x00000003",
            "WER report upload completed with status 0x8",
            "Télé 80\u{fffd}24402c é",
        ];
        for text in cases {
            assert_eq!(find_hresult(text), None, "{text}");
        }
    }

    #[test]
    fn columns() {
        let cases = [
            ("800b0109", Some(0x800B_0109)),
            ("0", Some(0)),
            ("[80072F8F]", Some(0x8007_2F8F)),
            ("-2146762487", Some(0x800B_0109)),
            ("2148204809", Some(0x800B_0109)),
            ("240005", Some(0x0024_0005)),
            ("wusa", None),
            ("", None),
            ("-9999999999", None),
        ];
        for (token, expect) in cases {
            assert_eq!(parse_hresult(token), expect, "{token}");
        }
    }
}
