//! The collector: finds files, reads them, ships their lines and keeps positions. The collector has one thread and
//! waits no longer than its caller allows.

mod files;
mod reading;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tracing::{error, warn};
use wulog_schemas::raw::{Kind, RawHeader};
use wulog_service::Clock;

use crate::certificates::INVENTORY_BYTES_MAX;
use crate::certificates::due::{self, Due, Inventories};
use crate::checkpoint::{CheckpointError, CheckpointStore, FileEntry};
use crate::config::Config;
use crate::discover::Discovery;
use crate::hosts::HostTable;
use crate::limits::TokenBucket;
use crate::local_host::LocalHost;
use crate::progress::{InputStatus, Pass};
use crate::record::RawRecord;
use crate::redact::RedactRule;
use crate::ship::{FatalSinkError, RecordOwner, Shipper};
use crate::sink::{Sink, Ticket};
use crate::tail::{ReadingConfig, Tail};

/// How long acknowledged positions may wait to be written. After a crash, lines of this time are sent again under the
/// same identity.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// Poll interval while a rewritten file settles or a backoff ends.
const PAUSE: Duration = Duration::from_millis(5);

/// Collects the files of a configuration into a sink.
pub struct Collector {
    clock: Clock,
    reading: ReadingConfig,
    discovery: Discovery,
    store: CheckpointStore,
    shipper: Shipper,
    tails: Vec<Tail>,
    /// The input of each tail.
    inputs: Vec<usize>,
    by_path: HashMap<PathBuf, usize>,
    /// Indexes of retired tails in `tails`, to be reused. A record on its way names its tail by index, so no tail may
    /// move.
    vacant: Vec<usize>,
    hosts: HostTable,
    /// The inventories of certificates to ship; `None` where the configuration has none.
    inventories: Option<Inventories>,
    /// An inventory that waits for the first heartbeat of its host.
    inventory_waits: Option<(usize, RawRecord)>,
    /// Positions of files that no tail follows. They are kept, since an error in the configuration must not lose them.
    unclaimed: HashMap<PathBuf, FileEntry>,
    redact: Vec<RedactRule>,
    pace: Option<TokenBucket>,
    buffer: Vec<u8>,
    next_rescan: Instant,
    saved: Instant,
    unsaved: Unsaved,
    save_failed: bool,
}

/// The changes that the checkpoint on disk lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unsaved {
    Nothing,
    /// Positions, which are written soon.
    Positions,
    /// A new epoch, which is written before anything is read.
    Epoch,
}

/// The result of a drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Records that were not acknowledged. Their lines are sent again after the next start.
    pub in_flight: usize,
}

/// Why a collector cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] CheckpointError),
    /// The sink will not work until a person acts.
    #[error(transparent)]
    Sink(#[from] FatalSinkError),
    /// The machine does not know its name.
    #[error("{0}")]
    Machine(String),
}

impl Collector {
    /// Returns a collector that continues at the positions of its state directory. Nothing is read before the first
    /// pass.
    ///
    /// # Errors
    /// When the state directory is in use or cannot be written, or the machine has no name.
    pub fn new(config: Config, sink: Box<dyn Sink>, clock: Clock) -> Result<Collector, CollectorError> {
        let own = LocalHost::ask(&config.host).map_err(CollectorError::Machine)?;
        let (store, entries) = CheckpointStore::open(&config.state_dir)?;
        let limits = &config.limits;
        let mut collector = Collector {
            reading: ReadingConfig {
                encoding: wulog_lines::EncodingChoice::Auto,
                line_bytes_max: limits.line_bytes_max,
                final_line_quiet_ms: i64::try_from(limits.final_line_quiet_secs).unwrap_or(i64::MAX / 1000) * 1000,
                settle: Duration::from_millis(limits.poll_interval_ms),
            },
            shipper: Shipper::new(sink, limits.bytes_in_flight),
            store,
            tails: Vec::new(),
            inputs: Vec::new(),
            by_path: HashMap::new(),
            vacant: Vec::new(),
            hosts: HostTable::new(own, config.host.labels),
            inventories: Inventories::of(config.certificates),
            inventory_waits: None,
            unclaimed: entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect(),
            redact: config.redact,
            pace: (limits.bytes_per_second > 0).then(|| TokenBucket::new(limits.bytes_per_second)),
            buffer: Vec::new(),
            next_rescan: Instant::now(),
            saved: Instant::now(),
            unsaved: Unsaved::Nothing,
            save_failed: false,
            discovery: Discovery::new(config.inputs, Duration::from_millis(limits.rescan_interval_ms)),
            clock,
        };
        if collector.discovery.reads_own_host() {
            collector.hosts.own();
        }
        Ok(collector)
    }

    /// Makes the next pass search for new files, however short ago the last search was.
    pub fn rescan(&mut self) {
        self.next_rescan = Instant::now();
    }

    /// Writes the acknowledged positions now. Passes write them once a second.
    ///
    /// # Errors
    /// When the state directory cannot be written.
    pub fn checkpoint(&mut self) -> Result<(), CollectorError> {
        Ok(self.save()?)
    }

    /// Makes one pass: searches for new files when due, reads new lines, sends them, handles deliveries, and writes
    /// positions when due. Returns as soon as all lines are acknowledged, and at the latest after `wait` and the
    /// reading of one chunk of each file.
    ///
    /// # Errors
    /// When nothing will work until a person acts. A checkpoint that cannot be written is no error: lines are
    /// still shipped, and shipped again after a crash. Only lines of a new epoch wait until the epoch is kept.
    pub fn pass(&mut self, wait: Duration) -> Result<Pass, CollectorError> {
        let deadline = Instant::now() + wait;
        let now_ms = self.clock.now_ms();
        let mut pass = Pass::default();
        if Instant::now() >= self.next_rescan {
            self.discover(now_ms);
        }
        self.deliveries(Duration::ZERO, &mut pass)?;
        let looks = Instant::now();
        self.tails.iter_mut().for_each(|tail| tail.look(now_ms));
        pass.look = looks.elapsed();
        self.locate();
        self.save_when_due();
        self.heartbeats(now_ms);
        self.certificates(now_ms);
        loop {
            let read = self.unsaved != Unsaved::Epoch && self.read_round(now_ms, &mut pass);
            self.send(&mut pass)?;
            self.deliveries(Duration::ZERO, &mut pass)?;
            self.locate();
            self.save_when_due();
            self.heartbeats(now_ms);
            self.certificates(now_ms);
            self.send(&mut pass)?;
            if read && Instant::now() < deadline {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.caught_up() || left.is_zero() {
                break;
            }
            let before = (pass.acked, Instant::now());
            self.deliveries(left, &mut pass)?;
            if pass.acked == before.0 && before.1.elapsed() < PAUSE {
                // The sink returned at once without deliveries, so only time helps: a rewritten file settles, or a
                // backoff ends.
                std::thread::sleep(PAUSE.min(left));
            }
        }
        self.limit_handles();
        pass.caught_up = self.caught_up();
        pass.in_flight = self.shipper.in_flight();
        pass.bytes_in_flight = self.shipper.bytes_in_flight();
        pass.rejected = self.shipper.rejected();
        (pass.hosts, pass.files) = (self.hosts.len(), self.tails.len() - self.vacant.len());
        Ok(pass)
    }

    /// Stops reading, waits up to `grace` for records on their way, and writes the acknowledged positions.
    ///
    /// # Errors
    /// As [`Collector::pass`], and when the positions cannot be written: lines after the last written position are then
    /// sent again under the same identity.
    pub fn drain(mut self, grace: Duration) -> Result<Drained, CollectorError> {
        let deadline = Instant::now() + grace;
        let mut pass = Pass::default();
        let mut result = Ok(());
        while self.shipper.in_flight() > 0 && Instant::now() < deadline && result.is_ok() {
            let left = deadline.saturating_duration_since(Instant::now());
            result = self.send(&mut pass).and_then(|()| self.deliveries(left.min(PAUSE * 10), &mut pass));
            if self.shipper.in_flight() > 0 {
                std::thread::sleep(PAUSE.min(left));
            }
        }
        self.save()?;
        result.map(|()| Drained { in_flight: self.shipper.in_flight() })
    }

    /// The status of each input, in the order of the configuration. Costs a look at each tail.
    #[must_use]
    pub fn inputs(&self) -> Vec<InputStatus> {
        let mut inputs: Vec<InputStatus> =
            self.discovery.names().map(|name| InputStatus { name, ..InputStatus::default() }).collect();
        for (tail, &input) in self.tails.iter().zip(&self.inputs).filter(|(tail, _)| !tail.is_retired()) {
            let (status, sum) = (tail.status(), &mut inputs[input]);
            sum.files += 1;
            sum.lag_bytes += status.lag_bytes;
            sum.losses += status.losses;
        }
        inputs
    }

    fn heartbeats(&mut self, now_ms: i64) {
        for index in 0..self.hosts.len() {
            // Ten thousand hosts may have heartbeats in the same minute. Without room the remaining hosts wait, and so
            // do their lines.
            if self.shipper.room() == 0 {
                return;
            }
            if let Some(record) = self.hosts.heartbeat(index, &self.tails, now_ms) {
                self.shipper.submit(record.into(), RecordOwner::Heartbeat(index));
            }
        }
    }

    /// Sends the inventories of certificates that are due, each after the first heartbeat of its host.
    fn certificates(&mut self, now_ms: i64) {
        let Some(inventories) = &mut self.inventories else { return };
        inventories.look_when_due(self.discovery.inputs(), now_ms);
        // 2, since a record on its way is in memory twice: here and in librdkafka's queue.
        while self.shipper.room() >= 2 * INVENTORY_BYTES_MAX || self.shipper.in_flight() == 0 {
            let (host, record) = match self.inventory_waits.take() {
                Some(waiting) => waiting,
                None => {
                    let Some(due) = inventories.next_due(&self.redact, now_ms) else { return };
                    let Due { owner, inventory, hash, is_news } = due;
                    let host = match owner {
                        due::InventoryOwner::Machine => self.hosts.own(),
                        due::InventoryOwner::Gathered { input, path } => {
                            let Some(found) = self.discovery.beside(input, path) else { continue };
                            let Some(name) = found.host.clone() else { continue };
                            self.hosts.gathered(&name, &found, false).0
                        }
                    };
                    self.hosts.saw_certificates(host, hash, inventory.taken);
                    if !is_news {
                        continue;
                    }
                    let value =
                        serde_json::to_vec(&inventory).expect("an inventory holds only strings, numbers and booleans");
                    let header = RawHeader { kind: Kind::Certificates, ..self.hosts.header(host, now_ms) };
                    (host, RawRecord { host_id: self.hosts.id(host), header, value })
                }
            };
            if !self.hosts.has_spoken(host) {
                self.inventory_waits = Some((host, record));
                return;
            }
            self.shipper.submit(record.into(), RecordOwner::Certificates(host));
        }
    }

    fn send(&mut self, pass: &mut Pass) -> Result<(), CollectorError> {
        let mut settled = Vec::new();
        let result = self.shipper.send(&mut settled);
        self.settle(&settled, pass);
        Ok(result?)
    }

    fn deliveries(&mut self, wait: Duration, pass: &mut Pass) -> Result<(), CollectorError> {
        let mut settled = Vec::new();
        let result = self.shipper.poll(wait, &mut settled);
        self.settle(&settled, pass);
        Ok(result?)
    }

    fn settle(&mut self, settled: &[(Ticket, RecordOwner)], pass: &mut Pass) {
        for (ticket, owner) in settled {
            pass.acked += 1;
            match owner {
                RecordOwner::Line(file) => {
                    self.tails[*file].delivered(*ticket);
                    self.unsaved = self.unsaved.max(Unsaved::Positions);
                }
                RecordOwner::Heartbeat(host) => self.hosts.delivered(*host),
                RecordOwner::Certificates(_) => {}
            }
        }
    }

    fn caught_up(&self) -> bool {
        let sends_inventories =
            self.inventory_waits.is_some() || self.inventories.as_ref().is_some_and(|known| !known.is_idle());
        self.shipper.in_flight() == 0
            && !sends_inventories
            && self.tails.iter().all(Tail::is_idle)
            && self.hosts.all_say_caught_up()
    }

    fn save_when_due(&mut self) {
        let due = match self.unsaved {
            Unsaved::Nothing => false,
            Unsaved::Positions => self.saved.elapsed() >= CHECKPOINT_EVERY,
            Unsaved::Epoch => !self.save_failed || self.saved.elapsed() >= CHECKPOINT_EVERY,
        };
        if !due {
            return;
        }
        match self.save() {
            Ok(()) if self.save_failed => {
                warn!("the state directory can be written again");
                self.save_failed = false;
            }
            Ok(()) => {}
            Err(error) => {
                if !self.save_failed {
                    error!(%error, "positions cannot be kept; no line is lost: lines are shipped again after a crash, and a new epoch waits until it can be kept");
                }
                (self.save_failed, self.saved) = (true, Instant::now());
            }
        }
    }

    fn save(&mut self) -> Result<(), CheckpointError> {
        let entries: Vec<&FileEntry> = self
            .tails
            .iter()
            .filter(|tail| !tail.is_retired())
            .map(|tail| &tail.entry)
            .chain(self.unclaimed.values())
            .collect();
        self.store.save(&entries)?;
        (self.saved, self.unsaved) = (Instant::now(), Unsaved::Nothing);
        Ok(())
    }
}
