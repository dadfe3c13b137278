//! Restores lines that another program wrapped or changed. Only lines without a form are examined.
//!
//! ```text
//! {"@timestamp":"...","message":"2015-06-10\t09:00:02:123\t 988\t1a4c\tAgent\t..."}     as a shipper of logs writes JSON
//! 2015-06-10\t09:00:02:123\t 988\t1a4c\tAgent\t...                                       with the escapes of a program
//! 2015-06-10 &nbsp; 09:00:02:123 ...                                                     from a web page, or with U+00A0
//! ```

use serde_json::Value;

use super::find::find;

/// Fields in which shippers of logs put a line, the likeliest first.
const FIELDS: [&str; 6] = ["message", "Message", "log", "line", "event", "_raw"];

/// Longest line that is examined. Lines of logs are far shorter, and a foreign text must not cost much.
const BYTES_MAX: usize = 16 * 1024;

/// Returns the line that `text` holds in another spelling, if any.
pub(crate) fn restored(text: &str) -> Option<String> {
    let text = text.trim_matches(['\u{feff}', '\r', '\n', ' ']);
    if text.len() > BYTES_MAX {
        return None;
    }
    if text.starts_with("{\"") {
        return message_of(text);
    }
    if find(text, "&nbsp;").is_some() {
        // The ampersand comes last, so that a decoded `&` does not begin another entity.
        const ENTITIES: [(&str, &str); 5] =
            [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
        let replace = |line: String, (entity, letter): (&str, &str)| line.replace(entity, letter);
        return Some(ENTITIES.into_iter().fold(without_tags(text), replace));
    }
    if find(text, "\u{a0}").is_some() {
        return Some(text.replace(['\u{a0}', '\u{202f}'], " "));
    }
    find(text, "\\t").is_some().then(|| text.replace("\\t", "\t"))
}

/// Returns the text of the field of a JSON object that holds a line.
fn message_of(text: &str) -> Option<String> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(text) else { return None };
    let found = FIELDS.into_iter().find_map(|name| fields.remove(name));
    let found = match found? {
        // `"event": {"original": "..."}`
        Value::Object(mut inner) => inner.remove("original")?,
        value => value,
    };
    let Value::String(line) = found else { return None };
    // A message of several lines is not one line of a log.
    Some(line.trim_end_matches(['\r', '\n']).to_owned()).filter(|line| !line.contains('\n'))
}

/// Returns `<p>LINE<br />` without the tags at its ends.
fn without_tags(line: &str) -> String {
    let mut line = line.trim();
    while let Some((_, rest)) = line.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        line = rest.trim_start();
    }
    while let Some(start) = line.strip_suffix('>').and_then(|rest| rest.rfind('<')) {
        line = line[..start].trim_end();
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const LINE: &str =
        "2015-06-10\t09:00:02:123\t 988\t1a4c\tAgent\t  * WARNING: Failed to synchronize, error = 0x80072EE2";

    #[test]
    fn wrapped_lines_have_the_columns_of_the_line() {
        let json = serde_json::json!({"@timestamp": "2015-06-10T07:00:05Z", "message": LINE, "host": {"name": "PC01"}});
        let nested = serde_json::json!({"event": {"original": LINE}});
        for text in [
            json.to_string(),
            nested.to_string(),
            LINE.replace('\t', "\u{a0}\u{a0} "),
            LINE.replace('\t', "\\t"),
            format!("<p>{}<br />", LINE.replace('\t', " &nbsp; ")),
        ] {
            assert_eq!(parse(&text).time, None, "{text}");
            let line = restored(&text).unwrap_or_else(|| panic!("{text}"));
            let (entry, expect) = (parse(&line), parse(LINE));
            assert_eq!(
                (entry.form, entry.time, entry.pid, entry.tid),
                (expect.form, expect.time, expect.pid, expect.tid)
            );
            assert_eq!((entry.component, entry.hresult, entry.body), (expect.component, expect.hresult, expect.body));
        }
    }

    #[test]
    fn other_text_stays() {
        for text in
            ["", "Windows Update Agent", "{\"a\": 1}", "{\"message\": 5}", "{\"message\": \"a\\nb\"}", "{\"", "{}"]
        {
            assert_eq!(restored(text), None, "{text}");
        }
    }
}
