//! Log files of many hosts as one stream in event-time order.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use wulog_collector::certificates::gathered;
use wulog_files::Fence;
use wulog_lines::EncodingChoice;
use wulog_schemas::host::{HostId, canonical_name};
use wulog_schemas::raw::{Heartbeat, Kind, RawHeader, VERSION};

use super::ReplayError;
use super::cursor::FileCursor;
use super::files::FileLines;
use super::folders::{HostFolder, host_folders};
use super::progress::WorkCounter;
use super::read_ahead::LinesInOrder;
use crate::log::Record;
use crate::normalize::{FileClock, NormalizerConfig};

/// A log file and the host that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLog {
    /// Id of the host.
    pub host_id: HostId,
    /// Name of the host.
    pub host: String,
    /// The file.
    pub path: PathBuf,
}

impl HostLog {
    /// A file of the host with that name.
    #[must_use]
    pub fn new(host: &str, path: PathBuf) -> HostLog {
        HostLog { host_id: HostId::of_gathered(host), host: canonical_name(host), path }
    }
}

/// The files of `DIR/HOST/*.log`, as admins gather them on a share, in a stable order.
///
/// # Errors
/// If the folder cannot be read or holds no such file.
pub fn find(folder: &Path) -> Result<Vec<HostLog>, ReplayError> {
    let mut found = Vec::new();
    for HostFolder { host_id, host, logs, others, .. } in host_folders(folder)? {
        let paths = if logs.is_empty() { others } else { logs };
        let log = |path| HostLog { host_id: host_id.clone(), host: host.clone(), path };
        found.extend(paths.into_iter().map(log));
    }
    if found.is_empty() {
        let why = std::io::Error::new(std::io::ErrorKind::NotFound, "no log there: expected DIR/HOST/*.log");
        return Err(ReplayError::File { path: folder.display().to_string(), why });
    }
    Ok(found)
}

/// The logs that are text, and a reason for each refused log.
///
/// # Errors
/// If none of them is text: the first reason.
pub fn refuse_binary(
    logs: Vec<HostLog>,
    encoding: EncodingChoice,
) -> Result<(Vec<HostLog>, Vec<ReplayError>), ReplayError> {
    let (mut texts, mut refused) = (Vec::new(), Vec::new());
    for log in logs {
        match refusal(&log, encoding) {
            Some(why) => refused.push(why),
            None => texts.push(log),
        }
    }
    if texts.is_empty() && !refused.is_empty() {
        return Err(refused.remove(0));
    }
    Ok((texts, refused))
}

/// The reasons for which files of hosts without a `*.log` are not read, one error a file.
///
/// # Errors
/// If the folder cannot be read or holds no file at all.
pub fn in_place_of_logs(folder: &Path, encoding: EncodingChoice) -> Result<Vec<ReplayError>, ReplayError> {
    let is_log = |log: &HostLog| log.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("log"));
    let others = find(folder)?.into_iter().filter(|log| !is_log(log));
    Ok(others.filter_map(|log| refusal(&log, encoding)).collect())
}

/// The reason for which a file is not read, if it is not text.
fn refusal(log: &HostLog, encoding: EncodingChoice) -> Option<ReplayError> {
    match FileLines::new(&log.path, &log.host, encoding).next() {
        Some(Err(why)) if why.kind() == std::io::ErrorKind::InvalidData => {
            Some(ReplayError::File { path: log.path.display().to_string(), why })
        }
        _ => None,
    }
}

/// The folder of a host that holds files about its certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryFolder {
    /// When the newest of the files was written, milliseconds since 1970 UTC.
    pub taken: i64,
    /// Id of the host.
    pub host_id: HostId,
    /// Name of the host.
    pub host: String,
    /// The folder.
    pub folder: PathBuf,
}

/// The folders `DIR/HOST` that hold `certutil-STORE.txt` or `certificates.json`, the oldest inventory first.
///
/// # Errors
/// When a folder cannot be read.
pub fn inventories(dir: &Path) -> Result<Vec<InventoryFolder>, ReplayError> {
    let inventory = |found: HostFolder| {
        Some(InventoryFolder {
            taken: found.inventory_ms?,
            host_id: found.host_id,
            host: found.host,
            folder: found.folder,
        })
    };
    let mut found: Vec<InventoryFolder> = host_folders(dir)?.into_iter().filter_map(inventory).collect();
    found.sort_by(|a, b| (a.taken, &a.folder).cmp(&(b.taken, &b.folder)));
    Ok(found)
}

/// The raw records that a live run would have seen, of one partition, in event-time order. Log time is the running
/// maximum of event time.
pub struct Merge {
    logs: Vec<HostLog>,
    lines: LinesInOrder,
    /// Hosts whose heartbeat has been sent: it reports no backlog for the host.
    greeted: BTreeSet<HostId>,
    /// Inventories of certificates that are still to come, the oldest first.
    inventories: VecDeque<InventoryFolder>,
    log_time_ms: i64,
    next_offset: i64,
    /// Time after the last line by which the clock is advanced once more, so that waiting outputs are written.
    settle_ms: i64,
    settled: bool,
    /// Bytes of the lines given.
    done: WorkCounter,
}

impl Merge {
    /// Opens the files, which are written in `encoding`.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn open(logs: &[HostLog], encoding: EncodingChoice, config: &NormalizerConfig) -> Result<Merge, ReplayError> {
        let file = |log: &HostLog| {
            let lines = FileLines::new(&log.path, &log.host, encoding);
            FileCursor::new(lines, FileClock::new(config, None), logs.len() == 1)
        };
        Ok(Merge {
            logs: logs.to_vec(),
            lines: LinesInOrder::open(logs.iter().map(file).collect())?,
            greeted: BTreeSet::new(),
            inventories: VecDeque::new(),
            log_time_ms: i64::MIN,
            next_offset: 0,
            settle_ms: i64::from(config.provisional_wait_secs) * 1_000 + 60_000,
            settled: false,
            done: WorkCounter::default(),
        })
    }

    /// Adds inventories of certificates. Each inventory has its time among the lines. An inventory that was taken after
    /// the last line comes behind that line, at the same log time: an inventory does not advance time.
    #[must_use]
    pub fn with_inventories(self, inventories: Vec<InventoryFolder>) -> Merge {
        Merge { inventories: inventories.into(), ..self }
    }

    /// Counts the bytes of returned lines in `done`.
    #[must_use]
    pub fn counted(self, done: &WorkCounter) -> Merge {
        Merge { done: WorkCounter::clone(done), ..self }
    }

    /// The record of the next inventory, if one is due before a line at this position.
    fn next_inventory(&mut self, place: i64) -> Option<Record> {
        loop {
            let next = self.inventories.front().filter(|next| next.taken <= place)?;
            let (host_id, host) = (next.host_id.clone(), next.host.clone());
            if self.greeted.insert(host_id.clone()) {
                return Some(self.greeting(&host_id, &host));
            }
            let InventoryFolder { folder, .. } = self.inventories.pop_front()?;
            match gathered::of_folder(&folder, &Fence::at(&folder)) {
                Ok(Some(inventory)) => {
                    let value =
                        serde_json::to_vec(&inventory).expect("an inventory holds only strings, numbers and booleans");
                    let header = RawHeader { v: VERSION, kind: Kind::Certificates, host, ..RawHeader::default() };
                    return Some(self.record(host_id.as_str(), header, value));
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(folder = %folder.display(), %error, "an inventory of certificates is not read");
                }
            }
        }
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
        let Some((place, file)) = self.lines.peek()? else {
            if self.settled || self.next_offset == 0 {
                return Ok(None);
            }
            if let Some(record) = self.next_inventory(i64::MAX) {
                return Ok(Some(record));
            }
            self.settled = true;
            self.log_time_ms += self.settle_ms;
            return Ok(Some(self.record("tick/0", RawHeader::tick(), Vec::new())));
        };
        self.log_time_ms = self.log_time_ms.max(place);
        if let Some(record) = self.next_inventory(place) {
            return Ok(Some(record));
        }
        let HostLog { host_id, host, .. } = self.logs[file].clone();
        if self.greeted.insert(host_id.clone()) {
            return Ok(Some(self.greeting(&host_id, &host)));
        }
        Ok(self.lines.next().map(|line| {
            self.done.fetch_add(line.file_bytes as u64, Ordering::Relaxed);
            self.record(host_id.as_str(), line.header, line.text.into_bytes())
        }))
    }
}

impl Iterator for Merge {
    type Item = Result<Record, ReplayError>;

    fn next(&mut self) -> Option<Result<Record, ReplayError>> {
        self.step().transpose()
    }
}
