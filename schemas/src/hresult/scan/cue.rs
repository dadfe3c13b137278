//! The words around a number that decide its meaning: a result, another kind of number, or unknown.

/// The word before a number, over spaces and `= : ( [ < "`; and the word before that one.
#[derive(Clone, Copy)]
pub(super) struct Cue<'a> {
    word: &'a [u8],
    earlier: &'a [u8],
}

/// The cue of the number that begins at `at`.
pub(super) fn before(bytes: &[u8], at: usize) -> Cue<'_> {
    let (mut word, mut start) = last_word(bytes, at, is_link);
    // `error is 800b0109`, `error number 80070005`
    if is_any(word, &[b"is", b"was", b"of", b"value", b"number"]) {
        (word, start) = last_word(bytes, start, is_link);
    }
    let (mut earlier, start) = last_word(bytes, start, |byte| byte == b' ');
    // `soap error code = 400`
    if is_any(earlier, &[b"error"]) {
        (earlier, _) = last_word(bytes, start, |byte| byte == b' ');
    }
    Cue { word, earlier }
}

/// True where the number that ends at `end` is a count, as in `80000000 bytes`, or a value with a unit, as in
/// `0x80000080 flags`.
pub(super) fn is_measured(bytes: &[u8], end: usize) -> bool {
    const UNITS: [&[u8]; 11] =
        [b"bytes", b"byte", b"kb", b"mb", b"ms", b"sec", b"seconds", b"files", b"updates", b"flags", b"flag"];
    let rest = &bytes[end..];
    let Some(rest) = rest.strip_prefix(b" ") else { return false };
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    is_any(&rest[..length], &UNITS)
}

impl Cue<'_> {
    /// `hr`, `hresult`, `Win32HResult`, `hrInstall`: the number behind the word is an HRESULT of any length.
    pub(super) fn is_hresult(self) -> bool {
        let word = self.word;
        let hungarian = word.len() > 2 && word.starts_with(b"hr") && word[2].is_ascii_uppercase();
        word.eq_ignore_ascii_case(b"hr") || ends_with(word, b"hresult") || hungarian || word.ends_with(b"Hr")
    }

    /// `hr = `, `Exit code = `, `error code: `: the number behind the word is a code of any value.
    pub(super) fn is_strong(self) -> bool {
        self.is_hresult() || self.is_code()
    }

    /// `Error = `, `the error is `: a number with `0x` behind the word is a code of any facility.
    pub(super) fn is_error(self) -> bool {
        ends_with(self.word, b"error")
    }

    /// A word behind which eight hex digits, or a decimal, are a code.
    pub(super) fn is_cue(self) -> bool {
        const CUES: [&[u8]; 13] = [
            b"with",
            b"returned",
            b"returns",
            b"return",
            b"result",
            b"status",
            b"failed",
            b"failure",
            b"err",
            b"exception",
            b"reason",
            b"resultmapped",
            b"resultunmapped",
        ];
        self.is_strong() || self.is_error() || is_any(self.word, &CUES)
    }

    /// A word behind which even zero is a result: `hr=0x0`, `Return code = 0x00000000`. Not `HTTP status code = `.
    pub(super) fn is_result(self) -> bool {
        self.is_hresult() || self.is_code() || ends_with(self.word, b"result")
    }

    /// A word that announces another kind of number.
    pub(super) fn is_other_number(self) -> bool {
        const PARTS: [&[u8]; 8] = [b"flag", b"mask", b"attrib", b"option", b"addr", b"pointer", b"size", b"offset"];
        const WORDS: [&[u8]; 9] =
            [b"handle", b"id", b"pid", b"tid", b"lcid", b"bytes", b"session", b"thread", b"process"];
        PARTS.into_iter().any(|part| contains(self.word, part))
            || is_any(self.word, &WORDS)
            || self.word.ends_with(b"Id")
            || self.word.ends_with(b"ID")
    }

    /// `code`, `Exit code`, `ReturnCode`; codes of HTTP and SOAP are not results.
    fn is_code(self) -> bool {
        const OTHERS: [&[u8]; 11] = [
            b"status",
            b"http",
            b"soap",
            b"event",
            b"language",
            b"country",
            b"locale",
            b"product",
            b"reason",
            b"type",
            b"category",
        ];
        let single = self.word.eq_ignore_ascii_case(b"code") && !is_any(self.earlier, &OTHERS);
        single || is_any(self.word, &[b"exitcode", b"returncode", b"resultcode", b"errorcode"])
    }
}

/// Whether a byte may stand between a word and its number.
fn is_link(byte: u8) -> bool {
    matches!(byte, b' ' | b'=' | b':' | b'(' | b'[' | b'<' | b'"' | b'\'' | b'\t')
}

/// The word before `at` and its start, over the bytes that `skip` accepts.
fn last_word(bytes: &[u8], at: usize, skip: impl Fn(u8) -> bool) -> (&[u8], usize) {
    let end = at - bytes[..at].iter().rev().take_while(|byte| skip(**byte)).count();
    let start = end - bytes[..end].iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    (&bytes[start..end], start)
}

fn is_any(word: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other))
}

fn ends_with(word: &[u8], end: &[u8]) -> bool {
    word.len() >= end.len() && word[word.len() - end.len()..].eq_ignore_ascii_case(end)
}

fn contains(word: &[u8], part: &[u8]) -> bool {
    word.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}
