//! Which inventories are to be sent now: on a change, every week, and at most once in a quarter hour for each host.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use wulog_schemas::certificate::Inventory;

use super::ReadMachine;
use super::gathered::{Files, Seen, files_of, of_files, seen};
use super::site::SiteQuestion;
use crate::config::{CertificateSources, Input};
use crate::redact::{Rule, redact};

/// How often folders are looked at for new inventories.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// An inventory goes out again after so long without a change, so that a processor that lost its state learns it again.
const REPEAT_AFTER_MS: i64 = 7 * 24 * 3600 * 1000;

/// A host sends at most one inventory in this time. The machine's own stores are read this often: more often would be of
/// no use.
const PAUSE_MS: i64 = 15 * 60 * 1000;

/// A file that shows no whole store may still be written to; for so long after its last change it is read again later.
const SETTLE_MS: i64 = 60 * 1000;

/// An inventory that was read.
#[derive(Debug)]
pub(crate) struct Due {
    /// Whose it is.
    pub(crate) owner: Owner,
    pub(crate) inventory: Inventory,
    /// Hash of what the inventory lists.
    pub(crate) hash: String,
    /// Whether it is to be sent. Of one that lists the same as the one before, heartbeats tell the time.
    pub(crate) is_news: bool,
}

/// The host that an inventory describes.
#[derive(Debug)]
pub(crate) enum Owner {
    /// The collector's own host.
    Machine,
    /// A gathered host.
    Gathered {
        /// The input that the host's folder belongs to.
        input: usize,
        /// One of the inventory's files: the host is told by its path, as that of a log is.
        path: PathBuf,
    },
}

/// The inventories of all hosts.
#[derive(Debug)]
pub(crate) struct Inventories {
    sources: CertificateSources,
    machine: Machine,
    site: SiteQuestion,
    folders: BTreeMap<PathBuf, Folder>,
    /// What is still to be looked at in this round. Inventories are read one by one, as far as there is room for them on
    /// their way to the log.
    round: VecDeque<Look>,
    next_look: Option<Instant>,
}

/// One thing to look at in a round.
#[derive(Debug)]
enum Look {
    Machine(ReadMachine),
    Folder(Files),
}

/// The inventory of the collector's own host.
#[derive(Debug, Default)]
struct Machine {
    /// When the stores were read last, or are about to be. The next question to the WSUS server is a pause later.
    read_ms: Option<i64>,
    /// The stores are to be read when the WSUS server has answered.
    awaits_site: bool,
    sent: Sent,
}

/// The inventory in one folder.
#[derive(Debug, Default)]
struct Folder {
    /// The files, as they were when they were read.
    seen: Vec<Seen>,
    sent: Sent,
}

/// What was sent last of one host: the hash, and when.
#[derive(Debug, Default)]
struct Sent(Option<(String, i64)>);

impl Sent {
    /// Whether the pause since the last inventory is over.
    fn has_paused(&self, now_ms: i64) -> bool {
        self.0.as_ref().is_none_or(|(_, sent_ms)| now_ms - sent_ms >= PAUSE_MS)
    }

    /// Whether an inventory without a change is to be sent again. A host that has sent nothing repeats nothing.
    fn must_repeat(&self, now_ms: i64) -> bool {
        self.0.as_ref().is_some_and(|(_, sent_ms)| now_ms - sent_ms >= REPEAT_AFTER_MS)
    }

    /// The inventory with its hash, and whether it is to be sent; the caller sends it then.
    fn take(&mut self, owner: Owner, inventory: Inventory, now_ms: i64) -> Due {
        let hash = inventory.hash();
        let is_known = self.0.as_ref().is_some_and(|(sent, _)| *sent == hash);
        let is_news = !is_known || self.must_repeat(now_ms);
        if is_news {
            self.0 = Some((hash.clone(), now_ms));
        }
        Due { owner, inventory, hash, is_news }
    }
}

impl Machine {
    /// Whether the stores are to be read. A clock that was set back far must not stop the reading.
    fn is_due(&self, now_ms: i64) -> bool {
        self.read_ms.is_none_or(|read_ms| now_ms.abs_diff(read_ms) >= PAUSE_MS.unsigned_abs())
    }
}

impl Inventories {
    /// The inventories of these sources; `None` where there is none.
    pub(crate) fn of(sources: CertificateSources) -> Option<Inventories> {
        (sources.gathered || sources.machine.is_some()).then(|| Inventories {
            site: SiteQuestion::by(sources.site.filter(|_| sources.machine.is_some())),
            sources,
            machine: Machine::default(),
            folders: BTreeMap::new(),
            round: VecDeque::new(),
            next_look: None,
        })
    }

    /// Begins to look at all folders, once a minute, and at the machine's own stores, once in a quarter hour, when the WSUS
    /// server has answered.
    pub(crate) fn look_when_due(&mut self, inputs: &[Input], now_ms: i64) {
        if !self.round.is_empty() {
            return;
        }
        if let Some(read) = self.sources.machine {
            if !self.machine.awaits_site && self.machine.is_due(now_ms) {
                self.machine.awaits_site = true;
                self.site.begin(now_ms);
            }
            if self.machine.awaits_site && self.site.is_settled(now_ms) {
                self.machine.awaits_site = false;
                self.machine.read_ms = Some(now_ms);
                self.round.push_back(Look::Machine(read));
            }
        }
        if self.sources.gathered && self.next_look.is_none_or(|next| Instant::now() >= next) {
            self.next_look = Some(Instant::now() + LOOK_EVERY);
            for (input, config) in inputs.iter().enumerate().filter(|(_, config)| config.host_pattern.is_some()) {
                self.round.extend(files_of(input, config).into_iter().map(Look::Folder));
            }
        }
    }

    /// True once everything in a round was looked at.
    pub(crate) fn is_idle(&self) -> bool {
        self.round.is_empty()
    }

    /// The next inventory that is due.
    pub(crate) fn next_due(&mut self, rules: &[Rule], now_ms: i64) -> Option<Due> {
        while let Some(look) = self.round.pop_front() {
            let due = match look {
                Look::Machine(read) => Some(self.look_at_machine(read, rules, now_ms)),
                Look::Folder(files) => self.look_at_folder(files, rules, now_ms),
            };
            if due.is_some() {
                return due;
            }
        }
        None
    }

    fn look_at_machine(&mut self, read: ReadMachine, rules: &[Rule], now_ms: i64) -> Due {
        let mut inventory = Inventory { taken: now_ms, wsus_site: self.site.answer(), ..read() };
        redact_names(&mut inventory, rules);
        self.machine.sent.take(Owner::Machine, inventory, now_ms)
    }

    fn look_at_folder(&mut self, files: Files, rules: &[Rule], now_ms: i64) -> Option<Due> {
        let Files { input, folder, paths, fence } = files;
        let seen = seen(&paths);
        let known = self.folders.entry(folder).or_default();
        let is_news = known.seen != seen && known.sent.has_paused(now_ms);
        if !is_news && !known.sent.must_repeat(now_ms) {
            return None;
        }
        let mut inventory = of_files(&paths, &fence)?;
        let is_young = |file: &Seen| (now_ms - file.modified_ms).abs() < SETTLE_MS;
        if inventory.stores.iter().any(|store| !store.complete) && seen.iter().any(is_young) {
            return None;
        }
        redact_names(&mut inventory, rules);
        known.seen = seen;
        let owner = Owner::Gathered { input, path: paths.into_iter().next()? };
        Some(known.sent.take(owner, inventory, now_ms))
    }
}

/// Replaces what must not leave the host in all texts that somebody chose: names and addresses.
fn redact_names(inventory: &mut Inventory, rules: &[Rule]) {
    let in_stores = inventory.stores.iter_mut().flat_map(|store| &mut store.certificates);
    let (mut servers, mut shown) = (Vec::new(), Vec::new());
    if let Some(site) = &mut inventory.wsus_site {
        servers.push(&mut site.server);
        shown.extend(&mut site.chain);
    }
    let names = in_stores.chain(shown).flat_map(|certificate| [&mut certificate.subject, &mut certificate.issuer]);
    let policy = inventory.policy.iter_mut();
    servers.extend(policy.flat_map(|policy| [&mut policy.wu_server, &mut policy.wu_status_server]).flatten());
    for text in names.chain(servers) {
        *text = String::from_utf8_lossy(&redact(rules, text.as_bytes())).into_owned();
    }
}
