//! Log files of many hosts as one stream in event-time order.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::path::{Path, PathBuf};

use wulog_collector::encoding::EncodingChoice;
use wulog_collector::path_text::shown;
use wulog_schemas::host::HostId;
use wulog_schemas::raw::{Heartbeat, Kind, RawHeader, VERSION};

use super::ReplayError;
use super::files::{FileLine, FileLines};
use crate::log::Record;
use crate::normalize::{FileClock, NormalizerConfig};

/// Lines looked at for the first one with a time; before it a file has no place in the order.
const UNDATED_LINES_MAX: usize = 1_000;

/// A log file and the host that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostLog {
    /// Host name.
    pub host: String,
    /// The file.
    pub path: PathBuf,
}

/// The files of `DIR/HOST/*.log`, as admins gather them on a share, in a stable order.
///
/// # Errors
/// When the folder cannot be read or holds no such file.
pub fn find(folder: &Path) -> Result<Vec<HostLog>, ReplayError> {
    let failed = |path: &Path, why| ReplayError::File { path: path.display().to_string(), why };
    let mut found = Vec::new();
    for host in std::fs::read_dir(folder).map_err(|why| failed(folder, why))? {
        let host = host.map_err(|why| failed(folder, why))?.path();
        if !host.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&host).map_err(|why| failed(&host, why))? {
            let path = file.map_err(|why| failed(&host, why))?.path();
            let is_log = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("log"));
            if is_log && path.is_file() {
                let host = host.file_name().map(|name| shown(Path::new(name)).into_owned()).unwrap_or_default();
                found.push(HostLog { host, path });
            }
        }
    }
    found.sort();
    if found.is_empty() {
        let why = std::io::Error::new(std::io::ErrorKind::NotFound, "no log there: expected DIR/HOST/*.log");
        return Err(failed(folder, why));
    }
    Ok(found)
}

/// One file's place in the merge.
struct Cursor {
    host_id: HostId,
    lines: FileLines,
    clock: FileClock,
    /// Lines read ahead, with their place in the order.
    ahead: VecDeque<(i64, FileLine)>,
    /// Place of the last line read: a file's own order is never changed.
    last: Option<i64>,
}

impl Cursor {
    /// Reads until the next line with a place is known; false at the end of the file.
    fn fill(&mut self) -> Result<bool, ReplayError> {
        let mut undated = Vec::new();
        while self.ahead.is_empty() {
            let next = self.lines.next().transpose();
            let line = next.map_err(|why| ReplayError::File { path: self.lines.path().display().to_string(), why })?;
            let at = line.as_ref().and_then(|line| self.clock.at(&line.text));
            let place = match (at, self.last) {
                (Some(at), last) => Some(at.max(last.unwrap_or(at))),
                (None, Some(last)) => Some(last),
                (None, None) if line.is_none() || undated.len() >= UNDATED_LINES_MAX => Some(self.modified_ms()),
                (None, None) => None,
            };
            let ended = line.is_none();
            match (place, line) {
                (None, line) => undated.extend(line),
                (Some(place), line) => {
                    self.last = Some(place);
                    self.ahead.extend(undated.drain(..).chain(line).map(|line| (place, line)));
                }
            }
            if ended {
                break;
            }
        }
        Ok(!self.ahead.is_empty())
    }

    /// When the file was last written: the best guess where no line says a time.
    fn modified_ms(&self) -> i64 {
        let modified = std::fs::metadata(self.lines.path()).and_then(|data| data.modified());
        modified.map_or(0, |at| chrono::DateTime::<chrono::Utc>::from(at).timestamp_millis())
    }
}

/// The raw records that live would have seen, of one partition, in event-time order. Log time is the running maximum
/// of event time.
pub struct Merge {
    cursors: Vec<Cursor>,
    order: BinaryHeap<Reverse<(i64, usize)>>,
    /// Hosts whose heartbeat is out: it says that nothing of theirs is missing.
    greeted: BTreeSet<HostId>,
    log_time_ms: i64,
    next_offset: i64,
    /// How long after the last line the clock is moved once more, so that what waits for time is said.
    settle_ms: i64,
    settled: bool,
}

impl Merge {
    /// Opens the files, which are written in `encoding`.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn open(logs: &[HostLog], encoding: EncodingChoice, config: &NormalizerConfig) -> Result<Merge, ReplayError> {
        let mut merge = Merge {
            cursors: Vec::with_capacity(logs.len()),
            order: BinaryHeap::new(),
            greeted: BTreeSet::new(),
            log_time_ms: i64::MIN,
            next_offset: 0,
            settle_ms: i64::from(config.provisional_wait_secs) * 1_000 + 60_000,
            settled: false,
        };
        for log in logs {
            merge.cursors.push(Cursor {
                host_id: HostId::of_gathered(&log.host),
                lines: FileLines::new(&log.path, &log.host, encoding),
                clock: FileClock::new(config, None),
                ahead: VecDeque::new(),
                last: None,
            });
        }
        for at in 0..merge.cursors.len() {
            merge.enqueue(at)?;
        }
        Ok(merge)
    }

    fn enqueue(&mut self, at: usize) -> Result<(), ReplayError> {
        let cursor = &mut self.cursors[at];
        if cursor.fill()?
            && let Some((place, _)) = cursor.ahead.front()
        {
            self.order.push(Reverse((*place, at)));
        }
        Ok(())
    }

    fn record(&mut self, key: &str, mut header: RawHeader, value: Vec<u8>) -> Record {
        header.read = self.log_time_ms;
        let offset = self.next_offset;
        self.next_offset += 1;
        Record {
            partition: 0,
            offset,
            timestamp_ms: self.log_time_ms,
            key: key.as_bytes().to_vec(),
            header: Some(header.to_bytes()),
            value,
        }
    }

    fn greeting(&mut self, host_id: &HostId, host: &str) -> Record {
        let heartbeat =
            Heartbeat { version: env!("CARGO_PKG_VERSION").to_owned(), caught_up: true, ..Heartbeat::default() };
        let value = serde_json::to_vec(&heartbeat).expect("a heartbeat holds only strings and numbers");
        let header = RawHeader { v: VERSION, kind: Kind::Heartbeat, host: host.to_owned(), ..RawHeader::default() };
        self.record(host_id.as_str(), header, value)
    }

    fn step(&mut self) -> Result<Option<Record>, ReplayError> {
        let Some(&Reverse((place, at))) = self.order.peek() else {
            if self.settled || self.next_offset == 0 {
                return Ok(None);
            }
            self.settled = true;
            self.log_time_ms += self.settle_ms;
            return Ok(Some(self.record("tick/0", RawHeader::tick(), Vec::new())));
        };
        self.log_time_ms = self.log_time_ms.max(place);
        let host_id = self.cursors[at].host_id.clone();
        if self.greeted.insert(host_id.clone()) {
            let host = self.cursors[at].ahead.front().map(|(_, line)| line.header.host.clone()).unwrap_or_default();
            return Ok(Some(self.greeting(&host_id, &host)));
        }
        self.order.pop();
        let line = self.cursors[at].ahead.pop_front();
        self.enqueue(at)?;
        Ok(line.map(|(_, line)| self.record(host_id.as_str(), line.header, line.text.into_bytes())))
    }
}

impl Iterator for Merge {
    type Item = Result<Record, ReplayError>;

    fn next(&mut self) -> Option<Result<Record, ReplayError>> {
        self.step().transpose()
    }
}
