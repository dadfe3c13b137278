//! Log files of a replay: read from start to end in small pieces, so that thousands of files can be open at the same
//! time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use wulog_files::shown;
use wulog_lines::{Binary, EncodingChoice, Frame, Framer, FramerStep, HEAD_BYTES, LINE_BYTES_MAX};
use wulog_schemas::raw::{RawHeader, Source, VERSION};

/// Bytes read at a time. A file keeps no handle between reads, so 10,000 files do not need 10,000 handles.
const CHUNK_BYTES: u64 = 64 * 1024;

/// The epoch of a file that is read once: host and path identify the file.
const EPOCH: &str = "0000000000000000";

/// The path that stands for standard input.
pub const STANDARD_INPUT: &str = "-";

/// One line of a file: the record of the collector, except for the times.
#[derive(Clone, Debug)]
pub struct FileLine {
    /// The header, with `read` still zero.
    pub header: RawHeader,
    /// The line, without its ending.
    pub text: String,
    /// Bytes of the line in the file, with its ending.
    pub file_bytes: usize,
}

/// The lines of one file.
pub struct FileLines {
    path: PathBuf,
    host: String,
    source: Source,
    encoding: EncodingChoice,
    /// Standard input or a pipe, which is read once and never reopened.
    stream: Option<Box<dyn Read + Send>>,
    framer: Option<Framer>,
    /// Position in the file at which `buffer` ends.
    position: u64,
    buffer: Vec<u8>,
    used: usize,
    offset: u64,
    ended: bool,
}

impl FileLines {
    /// The lines of `path`, which belongs to the host of that name.
    #[must_use]
    pub fn new(path: &Path, host: &str, encoding: EncodingChoice) -> FileLines {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        FileLines {
            path: path.to_owned(),
            host: host.to_owned(),
            source: Source::of_file_name(&name),
            encoding,
            stream: (path == Path::new(STANDARD_INPUT)).then(|| Box::new(io::stdin()) as Box<dyn Read + Send>),
            framer: None,
            position: 0,
            buffer: Vec::new(),
            used: 0,
            offset: 0,
            ended: false,
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the next piece of the file behind the unused rest; false at the end.
    fn refill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let read = self.read_chunk()?;
        self.position += read as u64;
        if self.framer.is_none() {
            // A file too short for a detection is taken as UTF-8.
            if let Some(binary) = Binary::of(&self.buffer, self.encoding) {
                self.ended = true;
                return Err(io::Error::new(io::ErrorKind::InvalidData, binary.advice()));
            }
            let (encoding, bom_bytes) = self.encoding.sniff(&self.buffer).unwrap_or((wulog_lines::Encoding::Utf8, 0));
            let head = &self.buffer[..self.buffer.len().min(HEAD_BYTES)];
            self.framer = Some(Framer::new(encoding, LINE_BYTES_MAX).for_head(head));
            self.used = usize::try_from(bom_bytes).unwrap_or(0).min(self.buffer.len());
        }
        Ok(read > 0)
    }

    fn read_chunk(&mut self) -> io::Result<usize> {
        if self.stream.is_none() {
            let mut file = File::open(&self.path)?;
            let kind = file.metadata()?;
            if kind.is_dir() {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, "a folder, where a log file was expected"));
            }
            if kind.is_file() {
                file.seek(SeekFrom::Start(self.position))?;
                let left = kind.len().saturating_sub(self.position).min(CHUNK_BYTES);
                // + 1, so that one read fills the buffer and the next one finds the end.
                self.buffer.reserve_exact(usize::try_from(left).unwrap_or(0) + 1);
                return file.take(CHUNK_BYTES).read_to_end(&mut self.buffer);
            }
            self.stream = Some(Box::new(file));
        }
        let Some(stream) = &mut self.stream else { return Ok(0) };
        let read = stream.take(CHUNK_BYTES).read_to_end(&mut self.buffer)?;
        if self.position == 0 {
            self.source = source_of_head(&self.buffer).unwrap_or(self.source);
        }
        Ok(read)
    }

    fn line(&mut self, frame: &Frame<'_>) -> FileLine {
        let text = frame.text();
        let hash = format!("{:08x}", crc32fast::hash(&text.bytes));
        let offset = self.offset;
        self.offset += text.bytes.len() as u64 + 1; // + 1 for the line ending, whatever it was
        FileLine {
            header: RawHeader {
                v: VERSION,
                host: self.host.clone(),
                file: shown(&self.path).into_owned(),
                source: self.source,
                epoch: EPOCH.to_owned(),
                offset,
                end: self.offset,
                hash,
                lossy: text.lossy,
                truncated: frame.truncated,
                ..RawHeader::default()
            },
            text: String::from_utf8_lossy(&text.bytes).into_owned(),
            file_bytes: frame.taken,
        }
    }

    fn next_line(&mut self) -> io::Result<Option<FileLine>> {
        loop {
            if let Some(mut framer) = self.framer.take() {
                let bytes = std::mem::take(&mut self.buffer);
                let (step, last) = match framer.step(&bytes[self.used..]) {
                    FramerStep::Wait { taken: 0 } if self.ended => (None, framer.finish(&bytes[self.used..])),
                    FramerStep::Wait { taken } => {
                        self.used += taken;
                        (None, None)
                    }
                    FramerStep::Line(frame) => (Some(frame), None),
                };
                let found = step.or(last).map(|frame| (self.line(&frame), frame.taken));
                self.buffer = bytes;
                self.framer = Some(framer);
                if let Some((line, taken)) = found {
                    self.used += taken;
                    return Ok(Some(line));
                }
                if self.ended {
                    return Ok(None);
                }
            }
            self.ended = !self.refill()?;
        }
    }
}

/// The kind of log at the beginning of a stream, which has no file name.
fn source_of_head(head: &[u8]) -> Option<Source> {
    // Other bytes belong to a byte order mark and to UTF-16.
    let mut letters = head.iter().copied().filter(|byte| byte.is_ascii_graphic());
    (letters.next() == Some(b'{')).then_some(Source::ReportingEvents)
}

impl Iterator for FileLines {
    type Item = io::Result<FileLine>;

    fn next(&mut self) -> Option<io::Result<FileLine>> {
        self.next_line().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<(u64, u64, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("WindowsUpdate.log");
        std::fs::write(&path, bytes).unwrap();
        FileLines::new(&path, "pc-1", EncodingChoice::Auto)
            .map(|line| line.unwrap())
            .map(|line| (line.header.offset, line.header.end, line.text))
            .collect()
    }

    #[test]
    fn offsets_count_decoded_bytes_and_one_for_each_ending() {
        let expected = vec![(0, 3, "ab".to_owned()), (3, 4, String::new()), (4, 7, "é".to_owned())];
        assert_eq!(lines("ab\r\n\r\né".as_bytes()), expected);
        assert_eq!(lines("ab\n\né\n".as_bytes()), expected);
        assert_eq!(lines(b"\xFF\xFEa\0b\0\r\0\n\0\r\0\n\0\xE9\0"), expected);
        assert_eq!(lines("\u{feff}ab\n\né".as_bytes()), expected);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn a_line_longer_than_the_limit_is_cut_and_the_next_is_whole() {
        let mut bytes = vec![b'x'; LINE_BYTES_MAX * 3];
        bytes.extend_from_slice(b"\nnext\n");
        let lines = lines(&bytes);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].2.len(), LINE_BYTES_MAX);
        assert_eq!(lines[1].2, "next");
    }

    #[test]
    fn a_stream_is_of_the_kind_that_its_first_line_shows() {
        assert_eq!(source_of_head(b"\xFF\xFE{\0A\0"), Some(Source::ReportingEvents));
        assert_eq!(source_of_head("\u{feff}{A7C0".as_bytes()), Some(Source::ReportingEvents));
        assert_eq!(source_of_head(b"2021/03/01 22:19:01 {A7C0"), None);
        assert_eq!(source_of_head(b""), None);
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_an_error_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = FileLines::new(folder.path(), "pc-1", EncodingChoice::Auto).next().unwrap().unwrap_err();
        assert!(error.to_string().contains("folder"), "{error}");
    }
}
