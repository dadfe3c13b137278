//! Lines of the own host's log -> the downloaded files that its update client did not trust.
//!
//! ```text
//! Digital Signatures on file PATH are not trusted: Error 0x800b0109
//! Error: 0x800b0109 when verifying trust for PATH
//! *FAILED* [8024B303] Digital Signatures on file PATH are not trusted
//! ```
//!
//! Any program that can write a line chooses its path, so only a path of the form of a file below
//! `SoftwareDistribution\Download` is taken. The reader decides by the open file itself which file it is: see
//! `certificates::windows::download`.

use memchr::memmem::Finder;
use wulog_schemas::certificate::FailedFile;

use super::background_task::BackgroundTask;

/// A function that reads the signers of these files on this machine. Missing files are left out.
pub type ReadFailed = fn(Vec<FailedLine>) -> Vec<FailedFile>;

/// Most certificates of a chain, of a site or of a file's signer; longer chains are not in use.
pub(crate) const CHAIN_MAX: usize = 8;

/// How many files are remembered, the latest ones. One fault concerns a few files, which the client tries again and
/// again.
pub(super) const FILES_MAX: usize = 8;

/// Bytes of a path: `MAX_PATH` units of UTF-16, three bytes each at most.
pub(super) const PATH_BYTES_MAX: usize = 780;

/// A file is forgotten when no line has named it for so long. The client clears its downloads after ten days.
const FORGET_AFTER_MS: i64 = 7 * 24 * 3600 * 1000;

/// A text that all spellings contain: `verifying trust for`, `are not trusted`. Searching for it rejects other lines
/// cheaply.
const NEEDLE: &str = " trust";

/// The folder of downloads, below the folder of Windows.
const DOWNLOADS: &str = r"\SoftwareDistribution\Download\";

/// A file that the log calls not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedLine {
    /// The path, as the log names it.
    pub path: String,
    /// The HRESULT of the last line about the file: `0x%08x`.
    pub error: String,
    /// When the first line about the file was read, milliseconds since 1970 UTC.
    pub seen_ms: i64,
}

/// The files that lines have named, and their signers as the machine read them.
#[derive(Debug)]
pub(crate) struct FailedFiles {
    read: ReadFailed,
    finder: Finder<'static>,
    /// Each file with the time of the last line about it; the file of the latest new path is last.
    lines: Vec<(FailedLine, i64)>,
    task: BackgroundTask<Vec<FailedFile>>,
    answer: Vec<FailedFile>,
}

impl FailedFiles {
    /// Returns an empty list whose signers are read by the function `read`.
    pub(crate) fn by(read: ReadFailed) -> FailedFiles {
        FailedFiles {
            read,
            finder: Finder::new(NEEDLE),
            lines: Vec::new(),
            task: BackgroundTask::new("failed-files"),
            answer: Vec::new(),
        }
    }

    /// Notes the file of a line that says that a file is not trusted. Other lines cost one search.
    pub(crate) fn note(&mut self, line: &[u8], now_ms: i64) {
        if self.finder.find(line).is_none() {
            return;
        }
        let Some((path, error)) = std::str::from_utf8(line).ok().and_then(parse) else { return };
        // The first time is kept, so that the inventory does not change with each try.
        match self.lines.iter_mut().find(|(known, _)| known.path.eq_ignore_ascii_case(path)) {
            Some((known, last_ms)) => (known.error, *last_ms) = (error, now_ms),
            None => {
                if self.lines.len() == FILES_MAX {
                    self.lines.remove(0);
                }
                self.lines.push((FailedLine { path: path.to_owned(), error, seen_ms: now_ms }, now_ms));
            }
        }
    }

    /// Starts the reading of the files, unless the reader still runs.
    pub(crate) fn begin(&mut self, now_ms: i64) {
        self.take_answer();
        self.lines.retain(|(_, last_ms)| now_ms.saturating_sub(*last_ms) < FORGET_AFTER_MS);
        let lines: Vec<FailedLine> = self.lines.iter().map(|(line, _)| line.clone()).collect();
        if lines.is_empty() {
            self.answer.clear();
            return;
        }
        let read = self.read;
        self.task.begin(move || read(lines), now_ms);
    }

    /// Whether an inventory need not wait for the reader.
    pub(crate) fn is_settled(&mut self, now_ms: i64) -> bool {
        self.take_answer();
        !self.task.is_awaited(now_ms)
    }

    /// Returns the last answer.
    pub(crate) fn answer(&self) -> Vec<FailedFile> {
        self.answer.clone()
    }

    fn take_answer(&mut self) {
        if let Some(answer) = self.task.answer() {
            self.answer = answer;
        }
    }
}

/// The path and the HRESULT of a line that says that a downloaded file is not trusted.
fn parse(line: &str) -> Option<(&str, String)> {
    let (before, path, after) = if let Some((before, rest)) = line.split_once("Digital Signatures on file ") {
        let (path, after) = rest.split_once(" are not trusted")?;
        (before, path, after)
    } else {
        let (before, path) = line.split_once("when verifying trust for ")?;
        (before, path.trim_end(), "")
    };
    download(path)?;
    // The path may hold anything that looks like a code.
    let code = code(after).or_else(|| code(before))?;
    Some((path, format!("0x{code:08x}")))
}

/// The last HRESULT of a failure in a part of a line: `0x800b0109`, `[800B0109]`, `= 800b0109`.
fn code(text: &str) -> Option<u32> {
    const DIGITS: usize = 8;
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let digits = words.map(|word| word.strip_prefix("0x").unwrap_or(word)).filter(|word| word.len() == DIGITS);
    digits.filter_map(|digits| u32::from_str_radix(digits, 16).ok()).rfind(|code| code >> 31 == 1)
}

/// A path in the form of a file below the folder of downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(windows), allow(dead_code, reason = "only Windows opens the file"))]
pub(crate) struct Download<'a> {
    /// The folder before `\SoftwareDistribution`, which must be that of Windows.
    pub(crate) windows: &'a str,
    /// The folders and the file below `Download`, separated by single backslashes.
    pub(crate) below: &'a str,
}

/// The parts of a path that has the form of a downloaded file; `None` for every other path.
///
/// The form is `X:\...\SoftwareDistribution\Download\...` with ordinary names: no UNC path, no device, no `.` or `..`, no
/// stream of a file, no wildcard, and no name that Windows would change.
pub(crate) fn download(path: &str) -> Option<Download<'_>> {
    let is_short = path.len() <= PATH_BYTES_MAX;
    let mut start = path.chars();
    let on_drive = start.next().is_some_and(|drive| drive.is_ascii_alphabetic()) && start.as_str().starts_with(":\\");
    if !is_short || !on_drive || !path[3..].split('\\').all(is_ordinary) {
        return None;
    }
    let at = path.to_ascii_lowercase().find(&DOWNLOADS.to_ascii_lowercase())?;
    let below = &path[at + DOWNLOADS.len()..];
    // > 3, since the folder of Windows has a drive and a name: `C:\Windows`.
    (at > 3).then_some(Download { windows: &path[..at], below })
}

/// Whether Windows uses the name of a folder or file unchanged.
fn is_ordinary(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_number = |number: &str| matches!(number, "¹" | "²" | "³") || matches!(number.as_bytes(), [b'0'..=b'9']);
    let is_numbered = |device: &str| stem.strip_prefix(device).is_some_and(is_number);
    let is_device = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str())
        || is_numbered("COM")
        || is_numbered("LPT");
    let is_forbidden = |c: char| c.is_control() || matches!(c, '/' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    // Windows takes dots and blanks away from the end of a name, so that `.. ` becomes `..`.
    !name.is_empty() && !name.ends_with(['.', ' ']) && !is_device && !name.contains(is_forbidden)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const FILE: &str = r"C:\Windows\SoftwareDistribution\Download\7c1e0b6a\9f31c2e7";

    #[track_caller]
    fn check(line: &str, expected: Option<(&str, &str)>) {
        let found = parse(line);
        assert_eq!(found.as_ref().map(|(path, error)| (*path, error.as_str())), expected, "{line}");
        // The cheap search before must let each such line through.
        assert!(expected.is_none() || line.contains(NEEDLE), "{line}");
    }

    /// The spellings are those of published logs: see `tests/corpus`.
    #[test]
    fn each_spelling_of_a_file_that_is_not_trusted_is_read() {
        let w2k = r"C:\WINNT\SoftwareDistribution\Download\89ce27df\25cd5f57";
        check(
            &format!("2011-11-03 10:22:46:797 1036 74c Misc WARNING: Error: 0x800b0109 when verifying trust for {w2k}"),
            Some((w2k, "0x800b0109")),
        );
        check(
            &format!(
                "2011-11-03\t10:22:46:797\t1036\t74c\tMisc\tWARNING: Digital Signatures on file {w2k} are not trusted: Error 0x800b0109"
            ),
            Some((w2k, "0x800b0109")),
        );
        check(
            &format!("Misc WARNING: Digital Signatures on file {FILE} are not trusted: Error = 0x800B0004"),
            Some((FILE, "0x800b0004")),
        );
        check(
            &format!(
                "2020/05/06 13:20:09.0668340 1840  5216  Misc            *FAILED* [8024B303] Digital Signatures on file {FILE} are not trusted"
            ),
            Some((FILE, "0x8024b303")),
        );
        check(
            &format!(
                "2023/10/24 06:00:22.9581138 4312  9024  Misc            *FAILED* [800B0109] Error when verifying trust for {FILE} "
            ),
            Some((FILE, "0x800b0109")),
        );
        // A file may be named like a code; the code beside the path counts.
        let named = r"C:\Windows\SoftwareDistribution\Download\8024B303\0x80072f8f";
        check(&format!("Error: 0x800b0109 when verifying trust for {named}"), Some((named, "0x800b0109")));
        check(&format!("Validating signature for {FILE} with dwProvFlags 0x80000080:"), None);
        check(&format!("Error when verifying trust for {FILE}"), None);
        check("Error: 0x80096010 when verifying trust for C:\\Users\\ann\\Temp\\x.cab", None);
        check("Error: 0x800b0109 when verifying trust for ", None);
        check("Digital Signatures on file C:\\x are", None);
    }

    #[test]
    fn only_a_path_in_the_form_of_a_download_is_taken() {
        let check = |path: &str, expected: Option<(&str, &str)>| {
            assert_eq!(download(path).map(|found| (found.windows, found.below)), expected, "{path}");
        };
        check(FILE, Some((r"C:\Windows", r"7c1e0b6a\9f31c2e7")));
        check(r"c:\WINNT\softwaredistribution\DOWNLOAD\ä b.cab", Some((r"c:\WINNT", "ä b.cab")));
        check(r"D:\os\Windows\SoftwareDistribution\Download\a", Some((r"D:\os\Windows", "a")));
        for path in [
            // Other folders.
            r"C:\Windows\SoftwareDistribution\Download",
            r"C:\Windows\SoftwareDistribution\Download\",
            r"C:\Windows\SoftwareDistribution\SelfUpdate\wuident.cab",
            r"C:\Windows\System32\config\SAM",
            r"C:\SoftwareDistribution\Download\a",
            "",
            "C:",
            // Another machine, and devices.
            r"\\server\share\Windows\SoftwareDistribution\Download\a",
            r"\\?\C:\Windows\SoftwareDistribution\Download\a",
            r"\\.\C:\Windows\SoftwareDistribution\Download\a",
            r"\??\C:\Windows\SoftwareDistribution\Download\a",
            r"\\?\UNC\server\share\SoftwareDistribution\Download\a",
            r"//server/share\SoftwareDistribution\Download\a",
            r"C:\Windows\SoftwareDistribution\Download\NUL",
            r"C:\Windows\SoftwareDistribution\Download\com1.cab",
            r"C:\Windows\SoftwareDistribution\Download\LPT² .txt",
            r"C:\Windows\SoftwareDistribution\Download\CONIN$",
            // Ways out.
            r"C:\Windows\SoftwareDistribution\Download\..\..\System32\config\SAM",
            r"C:\Windows\SoftwareDistribution\Download\a\..\b",
            r"C:\Windows\SoftwareDistribution\Download\.\a",
            r"C:\Windows\SoftwareDistribution\Download\.. \a",
            r"C:\Windows\SoftwareDistribution\Download\a/../../b",
            r"C:\Windows\SoftwareDistribution\Download\\a",
            r"C:\Windows\..\SoftwareDistribution\Download\a",
            r"C:Windows\SoftwareDistribution\Download\a",
            r"\Windows\SoftwareDistribution\Download\a",
            // Streams, wildcards, and names that Windows changes.
            r"C:\Windows\SoftwareDistribution\Download\a:stream",
            r"C:\Windows\SoftwareDistribution\Download\a::$DATA",
            r"C:\Windows\SoftwareDistribution\Download\*.cab",
            r"C:\Windows\SoftwareDistribution\Download\a.",
            r"C:\Windows\SoftwareDistribution\Download\a ",
            "C:\\Windows\\SoftwareDistribution\\Download\\a\0b",
            "ä:\\Windows\\SoftwareDistribution\\Download\\a",
        ] {
            check(path, None);
        }
        check(&format!("{FILE}{}", "a".repeat(PATH_BYTES_MAX)), None);
    }

    fn line(name: &str) -> Vec<u8> {
        let folder = r"C:\Windows\SoftwareDistribution\Download";
        format!(r"Digital Signatures on file {folder}\{name} are not trusted: Error 0x800b0109").into_bytes()
    }

    /// The signer of each file is the file's own name.
    fn read(lines: Vec<FailedLine>) -> Vec<FailedFile> {
        let file = |line: FailedLine| FailedFile { path: line.path, seen: line.seen_ms, ..FailedFile::default() };
        lines.into_iter().map(file).collect()
    }

    /// The names of the files that are read at that time, and when each was first seen.
    fn found(files: &mut FailedFiles, now_ms: i64) -> Vec<(String, i64)> {
        files.begin(now_ms);
        let begun = Instant::now();
        while !files.is_settled(now_ms) {
            assert!(begun.elapsed() < Duration::from_secs(20), "no answer");
            std::thread::yield_now();
        }
        let name = |file: FailedFile| (file.path.rsplit('\\').next().unwrap_or_default().to_owned(), file.seen);
        files.answer().into_iter().map(name).collect()
    }

    #[test]
    fn the_last_files_are_kept_each_once_and_forgotten_after_a_week() {
        let mut files = FailedFiles::by(read);
        assert_eq!(found(&mut files, 0), []);
        files.note(&line("a"), 1);
        files.note(&line("A"), 2);
        files.note(b"nothing of that kind", 3);
        files.note(b"\xff trust for", 3);
        assert_eq!(found(&mut files, 4), [("a".to_owned(), 1)]);
        for number in 1..=FILES_MAX {
            files.note(&line(&number.to_string()), 10);
        }
        let kept: Vec<String> = found(&mut files, 11).into_iter().map(|(name, _)| name).collect();
        assert_eq!(kept, (1..=FILES_MAX).map(|number| number.to_string()).collect::<Vec<_>>());
        files.note(&line("2"), FORGET_AFTER_MS);
        assert_eq!(found(&mut files, FORGET_AFTER_MS + 10), [("2".to_owned(), 10)]);
        assert_eq!(found(&mut files, 2 * FORGET_AFTER_MS), []);
    }
}
