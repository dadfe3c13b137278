//! The place in the client's own code that wrote a line.
//!
//! ```text
//! *FAILED* [80072F8F] Method failed [CSLSClient::GetResponse:625]
//! *FAILED* [80248014] file = onecore\enduser\...\updateservicemanager.cpp, line = 215
//! *FAILED* [80240438] wuauengcore.dll, C:\__w\1\s\src\...\DownloadSession.cpp @853
//! ```

/// The place in the source code that wrote a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineOrigin<'a> {
    /// `CSLSClient::GetResponse`
    pub function: Option<&'a str>,
    /// Source file, without its path.
    pub file: Option<&'a str>,
    /// Line in the source file.
    pub line: Option<u32>,
}

/// Longest name of a function or file.
const NAME_BYTES_MAX: usize = 256;

pub(super) fn origin(body: &str) -> Option<LineOrigin<'_>> {
    let body = body.trim_end();
    match body.as_bytes().last()? {
        b']' => function(&body[..body.len() - 1]),
        b'0'..=b'9' => at_line(body),
        _ => None,
    }
}

/// `... [Class::Function:625`
fn function(text: &str) -> Option<LineOrigin<'_>> {
    let (_, inner) = text.rsplit_once('[')?;
    let (function, line) = inner.rsplit_once(':')?;
    let is_name = function.contains("::") && function.len() <= NAME_BYTES_MAX && !function.contains(' ');
    let line = line.parse().ok()?;
    is_name.then_some(LineOrigin { function: Some(function), file: None, line: Some(line) })
}

fn at_line(body: &str) -> Option<LineOrigin<'_>> {
    let digits = body.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (text, line) = body.split_at(body.len() - digits);
    let line = line.parse().ok()?;
    let file = match text.strip_suffix(", line = ") {
        Some(text) => text.rsplit_once("file = ")?.1,
        None => text.strip_suffix(" @")?.rsplit_once(", ")?.1,
    };
    let file = file.trim().rsplit(['\\', '/']).next()?;
    let is_path = !file.is_empty() && file.len() <= NAME_BYTES_MAX && file.contains('.');
    is_path.then_some(LineOrigin { function: None, file: Some(file), line: Some(line) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let check = |body: &str, function: Option<&str>, file: Option<&str>, line: Option<u32>| {
            let found = origin(body).unwrap_or_default();
            assert_eq!((found.function, found.file, found.line), (function, file, line), "{body}");
        };
        check(
            "*FAILED* [80072F8F] Method failed [CSLSClient::GetResponse:625]",
            Some("CSLSClient::GetResponse"),
            None,
            Some(625),
        );
        check(r"*FAILED* [80248014] file = onecore\a\b.cpp, line = 215", None, Some("b.cpp"), Some(215));
        check(r"*FAILED* [80240438] wuauengcore.dll, C:\__w\1\s\src\a b.cpp @853", None, Some("a b.cpp"), Some(853));
        for body in [
            "",
            "]",
            "[x:1]",
            "** START **  Agent: Finding updates [CallerId = A::B:1]",
            "Retry Counter:0",
            "a @b",
            "@1",
            "x, @1",
        ] {
            check(body, None, None, None);
        }
    }
}
