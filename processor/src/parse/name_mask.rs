//! Masks names of updates, files and pages in a message, since a name says nothing about an outcome.
//!
//! ```text
//! * Title = Fix for error 0x800B0109 on Contoso Agent (KB9990002)
//! * Description = Resolves 'Install failed' when a download failed
//! Added update G.1 to search result, title = Fix 0x800B0109
//! 1. Update (Missing): Contoso hotfix for 0x800B0109 (GUID, 1)
//! Installing update 'Failed Login Tool 2.0'
//! ```
//!
//! No code, no word of an outcome and no family is read from a name. Names inside of a URL or a path are skipped by the
//! search for codes, see `wulog_schemas::hresult`.

use std::borrow::Cow;
use std::ops::Range;

/// Keys whose value is a name, in lower case.
const KEYS: [&str; 5] = ["title", "updatetitle", "updatename", "packagename", "displayname"];

/// Keys whose value is a name only at the start of a line: `the error description = ...` is not a name.
const FIRST_KEYS: [&str; 5] = ["description", "name", "update name", "package name", "display name"];

/// Words before a quoted name.
const KINDS: [&str; 9] =
    ["update", "updates", "title", "name", "package", "description", "hotfix", "product", "titled"];

/// Returns the range in `body` of the value of `key`, where that value is a name; the value begins at `value_at`. A
/// line that begins with the key consists of the name alone; further inside of a line, the next key ends the name.
pub(super) fn of_key(body: &str, key: &str, value_at: usize) -> Option<Range<usize>> {
    // The last letter rejects most keys.
    if !matches!(key.as_bytes().last(), Some(b'e' | b'n')) {
        return None;
    }
    if KEYS.into_iter().chain(FIRST_KEYS).any(|name| key.eq_ignore_ascii_case(name)) {
        return Some(value_at..body.len());
    }
    let is_name = KEYS.into_iter().any(|name| ends_with(key, name));
    is_name.then(|| value_at..value_at + until_next_key(&body[value_at..]))
}

/// Returns the length of `value` up to a comma before the next key and `=`.
pub(super) fn until_next_key(value: &str) -> usize {
    let is_key = |at: &usize| {
        value[at + 1..].split_once('=').is_some_and(|(key, _)| {
            let key = key.trim();
            key.split(' ').count() <= KEY_WORDS_MAX
                && key.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b' ')
        })
    };
    memchr::memchr_iter(b',', value.as_bytes()).find(is_key).unwrap_or(value.len())
}

/// Most words of a key: `Reboot required = `.
const KEY_WORDS_MAX: usize = 2;

/// True for a key that ends with `end`, in any case, where `end` is the whole key or follows a blank or a comma.
fn ends_with(key: &str, end: &str) -> bool {
    let Some(start) = key.len().checked_sub(end.len()) else { return false };
    let bytes = key.as_bytes();
    bytes[start..].eq_ignore_ascii_case(end.as_bytes())
        && (start == 0 || matches!(bytes[start - 1], b' ' | b',' | b'\t'))
}

/// Returns the range of the first name in quotes after a word such as `update`: `update "Fix for 0x800B0109"`.
pub(super) fn quoted(body: &str) -> Option<Range<usize>> {
    let bytes = body.as_bytes();
    memchr::memchr2_iter(b'\'', b'"', bytes).find_map(|open| {
        let word = body[..open].trim_end_matches([' ', '=', ':', '(']);
        let start = word.bytes().rev().take_while(u8::is_ascii_alphabetic).count();
        let word = &word[word.len() - start..];
        let close = memchr::memchr(bytes[open], &bytes[open + 1..])?;
        KINDS.into_iter().any(|kind| word.eq_ignore_ascii_case(kind)).then_some(open + 1..open + 1 + close)
    })
}

/// Returns `body` without the name at a range. Underscores replace a name that is not at the end, so that later bytes
/// keep their positions; underscores form neither a word nor a number.
pub(super) fn hidden(body: &str, name: Range<usize>) -> Cow<'_, str> {
    if name.end == body.len() {
        return Cow::Borrowed(&body[..name.start]);
    }
    let mut hidden = String::with_capacity(body.len());
    hidden.push_str(&body[..name.start]);
    hidden.extend(std::iter::repeat_n('_', name.len()));
    hidden.push_str(&body[name.end..]);
    Cow::Owned(hidden)
}

#[cfg(test)]
mod tests {
    use wulog_schemas::event::{Action, EventOutcome};

    use super::super::parse;

    const ETW: &str = "2023/06/10 09:00:02.1234567 1234  5678  Agent           ";

    /// Outcome, deciding code and title of a line.
    #[track_caller]
    fn check(message: &str, expect: (EventOutcome, Option<u32>, Option<&str>)) {
        let line = format!("{ETW}{message}");
        let entry = parse(&line);
        assert_eq!((entry.outcome, entry.hresult, entry.facts.title), expect, "{message}");
    }

    #[test]
    fn no_code_and_no_outcome_comes_from_a_name() {
        use EventOutcome::{Failure, Success, Unknown};
        let title = "Fix for error 0x800B0109 on Contoso Agent (KB9990002)";
        check(&format!("  * Title = {title}"), (Unknown, None, Some(title)));
        check(
            "Title = Resolves 'Install failed 0x800B0101'",
            (Unknown, None, Some("Resolves 'Install failed 0x800B0101'")),
        );
        check(
            "Title: Failed Login Tool 2.0 succeeded = 0",
            (Unknown, None, Some("Failed Login Tool 2.0 succeeded = 0")),
        );
        check("Title = Installed successfully, error = 0x800B0109", {
            (Unknown, None, Some("Installed successfully, error = 0x800B0109"))
        });
        check("  * Description = Resolves error 800B0109 when installing updates", (Unknown, None, None));
        check("Description = A file failed postprocessing, Result = Failed", (Unknown, None, None));
        check("Added update 6C0F3A52-91DE-4B3A-A6E2-5B8D7C31F0A4.1 to search result, title = Fix 0x800B0109", {
            (Unknown, None, Some("Fix 0x800B0109"))
        });
        check("Installing update 'Fix for 0x800B0109'", (Unknown, None, None));
        check("DO job x failed, update \"Error 0x800B0109 Fix\", hr = 0x80D02002", (Failure, Some(0x80D0_2002), None));
        // A result counts before and after a name.
        check(
            "Install of title = Fix 0x800B0109, hr = 0x80240022",
            (Failure, Some(0x8024_0022), Some("Fix 0x800B0109")),
        );
        check("WARNING: 0x80070005 for title = VideoTool 3.2", (Failure, Some(0x8007_0005), Some("VideoTool 3.2")));
        check(
            "Update was successfully downloaded, title = Failed Login Tool",
            (Success, None, Some("Failed Login Tool")),
        );
        check("WARNING: 'Send failed with hr = 80072ee7'", (Failure, Some(0x8007_2EE7), None));
    }

    #[test]
    fn a_row_of_updates_is_no_result() {
        let row = |text: &str| {
            format!(
                r#"<![LOG[{text}]LOG]!><time="09:12:30.961-60" date="03-12-2024" component="WUAHandler" context="" type="1" thread="5508" file="x.cpp:1">"#
            )
        };
        for title in
            ["Contoso hotfix for 0x800B0109", "Failed Login Tool 2.0", "Error Reporting Fix (not successfully)"]
        {
            let line = row(&format!("1. Update (Missing): {title} (6c0f3a52-91de-4b3a-a6e2-5b8d7c31f0a4, 1)"));
            let entry = parse(&line);
            assert_eq!((entry.action, entry.outcome), (Action::ScanProgress, EventOutcome::Unknown), "{title}");
            assert_eq!((entry.hresult, entry.facts.title), (None, Some(title)));
        }
    }

    #[test]
    fn the_title_of_a_report_is_no_result() {
        let record = "{24058027-1111-2222-3333-444455556666}\t2024-03-12 10:00:00:123+0100\t1\t183\t101\t{6C0F3A52-91DE-4B3A-A6E2-5B8D7C31F0A4}\t1\t0\tUpdateOrchestrator\tSuccess\tContent Install\tInstallation Successful: Windows successfully installed the following update: Fix for error 0x800B0109 (KB9990002)\tx.1";
        let entry = parse(record);
        assert_eq!((entry.hresult, entry.codes.all().count()), (Some(0), 0));
        let failed = record.replace("\t0\t", "\t80240022\t").replace("installed the", "with 0x800b0101 installed the");
        assert_eq!(parse(&failed).hresult, Some(0x800B_0101));
    }
}
