//! Log files of many hosts as one stream in event-time order.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::path::{Path, PathBuf};

use wulog_collector::certificates::gathered;
use wulog_collector::encoding::EncodingChoice;
use wulog_collector::fence::Fence;
use wulog_schemas::host::{HostId, canonical_name};
use wulog_schemas::raw::{Heartbeat, Kind, RawHeader, VERSION};

use super::ReplayError;
use super::files::{FileLine, FileLines};
use super::folders::{HostFolder, host_folders};
use super::progress::Done;
use crate::log::Record;
use crate::normalize::{FileClock, NormalizerConfig};

/// Lines looked at for the first one with a time; before it a file has no place in the order.
const UNDATED_LINES_MAX: usize = 1_000;

/// Lines further ahead of the line before than this are looked at together, before they get a place.
const JUMP_MS: i64 = 6 * 3600 * 1000;

/// Lines of a jump that are looked at; what goes on for longer is no slip of a clock.
const JUMP_LINES_MAX: usize = 1_000;

/// Lines at the beginning of a file by which its first one is judged.
const FIRST_LINES: usize = 16;

/// A file holds no line from later than it was written, time zones apart.
const MODIFIED_AHEAD_MAX_MS: i64 = 26 * 3600 * 1000;

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
/// When the folder cannot be read or holds no such file.
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

/// The logs that are text, and why each of the others is refused.
///
/// # Errors
/// When none of them is text: the first reason.
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

/// Why the files of hosts that have no `*.log` are not read, one error a file.
///
/// # Errors
/// When the folder cannot be read or holds no file at all.
pub fn in_place_of_logs(folder: &Path, encoding: EncodingChoice) -> Result<Vec<ReplayError>, ReplayError> {
    let is_log = |log: &HostLog| log.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("log"));
    let others = find(folder)?.into_iter().filter(|log| !is_log(log));
    Ok(others.filter_map(|log| refusal(&log, encoding)).collect())
}

/// Why a file is not read, where it is no text.
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
pub struct HostInventory {
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
pub fn inventories(dir: &Path) -> Result<Vec<HostInventory>, ReplayError> {
    let inventory = |found: HostFolder| {
        Some(HostInventory {
            taken: found.inventory_ms?,
            host_id: found.host_id,
            host: found.host,
            folder: found.folder,
        })
    };
    let mut found: Vec<HostInventory> = host_folders(dir)?.into_iter().filter_map(inventory).collect();
    found.sort_by(|a, b| (a.taken, &a.folder).cmp(&(b.taken, &b.folder)));
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
    /// True for the only file of a merge: no other file's order depends on its clock, so each of its times is believed.
    alone: bool,
}

impl Cursor {
    fn read(&mut self) -> Result<Option<FileLine>, ReplayError> {
        let next = self.lines.next().transpose();
        next.map_err(|why| ReplayError::File { path: self.lines.path().display().to_string(), why })
    }

    /// Reads until the next line with a place is known; false at the end of the file.
    fn fill(&mut self) -> Result<bool, ReplayError> {
        let mut undated = Vec::new();
        while self.ahead.is_empty() {
            let Some(line) = self.read()? else {
                let place = self.last.unwrap_or_else(|| self.modified_ms());
                self.ahead.extend(undated.drain(..).map(|line| (place, line)));
                break;
            };
            match (self.clock.at(&line.text), self.last) {
                (Some(at), Some(last)) if at <= last.saturating_add(JUMP_MS) => {
                    self.last = Some(at.max(last));
                    self.ahead.push_back((at.max(last), line));
                }
                (Some(at), last) if self.alone => {
                    let place = at.max(last.unwrap_or(at));
                    self.last = Some(place);
                    self.ahead.extend(undated.drain(..).chain([line]).map(|line| (place, line)));
                }
                (Some(at), last) => {
                    let rest = if last.is_none() { FIRST_LINES } else { JUMP_LINES_MAX };
                    self.place_jump(std::mem::take(&mut undated), (at, line), rest)?;
                }
                (None, Some(last)) => self.ahead.push_back((last, line)),
                (None, None) => {
                    undated.push(line);
                    if undated.len() > UNDATED_LINES_MAX {
                        let place = self.modified_ms();
                        self.last = Some(place);
                        self.ahead.extend(undated.drain(..).map(|line| (place, line)));
                    }
                }
            }
        }
        Ok(!self.ahead.is_empty())
    }

    /// Places lines that begin far ahead of those before, or begin the file. Where the file returns to the time before within
    /// `rest` lines, or is older than they say, their clock was wrong: they stay where they stand, and the Normalizer sees
    /// that they are dated ahead of log time.
    fn place_jump(&mut self, undated: Vec<FileLine>, first: (i64, FileLine), rest: usize) -> Result<(), ReplayError> {
        let start = first.0;
        let mut jump = vec![first];
        let mut back = None;
        while jump.len() < rest {
            let Some(line) = self.read()? else { break };
            let at = self.clock.at(&line.text).unwrap_or(start);
            if at < start.saturating_sub(JUMP_MS) {
                back = Some((at, line));
                break;
            }
            jump.push((at, line));
        }
        let modified = self.modified_ms();
        let is_wrong = back.is_some() || start > modified.saturating_add(MODIFIED_AHEAD_MAX_MS);
        let before = self.last.or(back.as_ref().map(|(at, _)| *at)).unwrap_or(start.min(modified));
        if is_wrong {
            tracing::warn!(
                file = %self.lines.path().display(),
                lines = jump.len(),
                "lines are dated far ahead of the lines around them; they are placed where they stand, and flagged"
            );
        }
        let place = if is_wrong { before } else { start };
        self.ahead.extend(undated.into_iter().map(|line| (place, line)));
        let mut last = place;
        for (at, line) in jump.into_iter().chain(back) {
            if !is_wrong || at <= before.saturating_add(JUMP_MS) {
                last = last.max(at);
            }
            self.ahead.push_back((last, line));
        }
        self.last = Some(last);
        Ok(())
    }

    /// When the file was last written: the best guess where no line says a time.
    fn modified_ms(&self) -> i64 {
        let modified = std::fs::metadata(self.lines.path()).and_then(|data| data.modified());
        // Standard input was written until now.
        let at = modified.unwrap_or_else(|_| std::time::SystemTime::now());
        chrono::DateTime::<chrono::Utc>::from(at).timestamp_millis()
    }
}

/// The raw records that live would have seen, of one partition, in event-time order. Log time is the running maximum
/// of event time.
pub struct Merge {
    cursors: Vec<Cursor>,
    order: BinaryHeap<Reverse<(i64, usize)>>,
    /// Hosts whose heartbeat is out: it says that nothing of theirs is missing.
    greeted: BTreeSet<HostId>,
    /// Inventories of certificates that are still to come, the oldest first.
    inventories: VecDeque<HostInventory>,
    log_time_ms: i64,
    next_offset: i64,
    /// How long after the last line the clock is moved once more, so that what waits for time is said.
    settle_ms: i64,
    settled: bool,
    /// Bytes of the lines given.
    done: Done,
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
            inventories: VecDeque::new(),
            log_time_ms: i64::MIN,
            next_offset: 0,
            settle_ms: i64::from(config.provisional_wait_secs) * 1_000 + 60_000,
            settled: false,
            done: Done::default(),
        };
        for log in logs {
            merge.cursors.push(Cursor {
                host_id: log.host_id.clone(),
                lines: FileLines::new(&log.path, &log.host, encoding),
                clock: FileClock::new(config, None),
                ahead: VecDeque::new(),
                last: None,
                alone: logs.len() == 1,
            });
        }
        for at in 0..merge.cursors.len() {
            merge.enqueue(at)?;
        }
        Ok(merge)
    }

    /// The same with inventories of certificates. Each comes at its time among the lines. One that was taken after the last
    /// line comes behind that line, at its log time: an inventory is no reason to say that time passed.
    #[must_use]
    pub fn with_inventories(self, inventories: Vec<HostInventory>) -> Merge {
        Merge { inventories: inventories.into(), ..self }
    }

    /// The same, with the bytes of the lines that are given counted in `done`.
    #[must_use]
    pub fn counted(self, done: &Done) -> Merge {
        Merge { done: Done::clone(done), ..self }
    }

    /// The record of the next inventory, where one is due before a line with that place.
    fn next_inventory(&mut self, place: i64) -> Option<Record> {
        loop {
            let next = self.inventories.front().filter(|next| next.taken <= place)?;
            let (host_id, host) = (next.host_id.clone(), next.host.clone());
            if self.greeted.insert(host_id.clone()) {
                return Some(self.greeting(&host_id, &host));
            }
            let HostInventory { folder, .. } = self.inventories.pop_front()?;
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
        let host_id = self.cursors[at].host_id.clone();
        if self.greeted.insert(host_id.clone()) {
            let host = self.cursors[at].ahead.front().map(|(_, line)| line.header.host.clone()).unwrap_or_default();
            return Ok(Some(self.greeting(&host_id, &host)));
        }
        self.order.pop();
        let line = self.cursors[at].ahead.pop_front();
        self.enqueue(at)?;
        Ok(line.map(|(_, line)| {
            self.done.set(self.done.get() + line.file_bytes as u64);
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
