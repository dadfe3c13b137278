//! Paths as text. A name is bytes on Unix and 16-bit units on Windows, and neither need be Unicode.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Returns a path for people, headers and patterns. Bytes that are not UTF-8 become `%FC`, so that two names stay
/// different; not `\xFC`, since a pattern takes a backslash for a separator of folders.
#[must_use]
pub fn shown(path: &Path) -> Cow<'_, str> {
    if let Some(text) = path.to_str() {
        return Cow::Borrowed(text);
    }
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            write!(text, "%{byte:02X}").expect("a string takes what is written to it");
        }
    }
    Cow::Owned(text)
}

/// A path in a file of wulog: a string where the path is Unicode, otherwise the units of the system, so that the path
/// is restored exactly.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum StoredPath<'a> {
    Text(Cow<'a, str>),
    Units(Cow<'a, OsStr>),
}

/// For `#[serde(with = "path_text")]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    let kept = match path.to_str() {
        Some(text) => StoredPath::Text(Cow::Borrowed(text)),
        None => StoredPath::Units(Cow::Borrowed(path.as_os_str())),
    };
    kept.serialize(serializer)
}

/// For `#[serde(with = "path_text")]`.
///
/// # Errors
/// Those of the deserializer.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    Ok(match StoredPath::deserialize(deserializer)? {
        StoredPath::Text(text) => text.into_owned().into(),
        StoredPath::Units(units) => units.into_owned().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder(#[serde(with = "super")] PathBuf);

    #[track_caller]
    fn check(path: &Path, text: &str, json: &str) {
        assert_eq!(shown(path), text);
        let kept = Holder(path.to_owned());
        let written = serde_json::to_string(&kept).unwrap();
        assert_eq!(written, json);
        assert_eq!(serde_json::from_str::<Holder>(&written).unwrap(), kept);
    }

    #[test]
    fn a_path_comes_back_as_it_was() {
        check(Path::new("/l/Prüfung.log"), "/l/Prüfung.log", "\"/l/Prüfung.log\"");
    }

    #[test]
    #[cfg(unix)]
    fn bytes_that_are_no_text_too() {
        use std::os::unix::ffi::OsStrExt;
        let path = |bytes| Path::new(OsStr::from_bytes(bytes));
        check(path(b"/M\xFC\xFF.log"), "/M%FC%FF.log", r#"{"Unix":[47,77,252,255,46,108,111,103]}"#);
        check(path(b"\xE2\x82"), "%E2%82", r#"{"Unix":[226,130]}"#);
    }

    #[test]
    #[cfg(windows)]
    fn units_that_are_no_text_too() {
        use std::os::windows::ffi::OsStringExt;
        let path = PathBuf::from(std::ffi::OsString::from_wide(&[0x61, 0xD800, 0x62]));
        check(&path, "a%ED%A0%80b", r#"{"Windows":[97,55296,98]}"#);
    }
}
