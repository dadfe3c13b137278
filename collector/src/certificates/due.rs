//! Decides which inventories are sent now: on a change, every week, and at most once in a quarter of an hour for each
//! host.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use tracing::warn;
use wulog_schemas::certificate::{Inventory, VERSION};

use super::failed_files::FailedFiles;
use super::gathered::{FolderFiles, GatheredFile, files_of, has_lost_files, of_files, seen};
use super::site::SiteQuestion;
use super::sources::{CertificateSources, ReadMachine};
use crate::input::Input;
use crate::redact::{RedactRule, redact};

/// How often folders are searched for new inventories.
const LOOK_EVERY_MS: i64 = 60 * 1000;

/// An unchanged inventory is sent again after this time, so that a processor that lost its state learns the inventory
/// again.
const REPEAT_AFTER_MS: i64 = 7 * 24 * 3600 * 1000;

/// A host sends at most one inventory in this time. The machine's own stores are read once in this time, since a second
/// inventory could not be sent anyway.
const PAUSE_MS: i64 = 15 * 60 * 1000;

/// A file without a complete store may still be being written; within this time after its last change the file is read
/// again later.
const SETTLE_MS: i64 = 60 * 1000;

/// Files that are missing for so long count as deleted. The time is long, since a program that gathers files may delete
/// and recreate them, and a share is slow.
const GONE_AFTER_MS: i64 = 60 * 60 * 1000;

/// An inventory that was read.
#[derive(Debug)]
pub(crate) struct Due {
    /// The host of the inventory.
    pub(crate) owner: InventoryOwner,
    pub(crate) inventory: Inventory,
    /// Hash of the contents of the inventory.
    pub(crate) hash: String,
    /// Whether the inventory must be sent. An unchanged inventory is not sent; heartbeats report when its contents were
    /// seen last.
    pub(crate) is_news: bool,
}

/// The host that an inventory describes.
#[derive(Debug)]
pub(crate) enum InventoryOwner {
    /// The collector's own host.
    Machine,
    /// A gathered host.
    Gathered {
        /// The input that the host's folder belongs to.
        input: usize,
        /// One of the inventory's files, whose path names the host as the path of a log does.
        path: PathBuf,
    },
}

/// The inventories of all hosts.
#[derive(Debug)]
pub(crate) struct Inventories {
    sources: CertificateSources,
    machine: OwnHost,
    site: SiteQuestion,
    failed: Option<FailedFiles>,
    folders: BTreeMap<PathBuf, Folder>,
    /// Inventories that are still to be examined in this round. They are read one by one, as far as the shipper has
    /// room.
    round: VecDeque<Look>,
    looked_ms: Option<i64>,
}

/// One inventory to examine in a round.
#[derive(Debug)]
enum Look {
    Machine(ReadMachine),
    Folder(FolderFiles),
    /// A folder of this input that held an inventory and holds none now.
    Gone(usize, PathBuf),
}

/// The inventory of the collector's own host.
#[derive(Debug, Default)]
struct OwnHost {
    /// When the stores were last read, or their reading was begun. The next question to the WSUS server comes
    /// [`PAUSE_MS`] later.
    read_ms: Option<i64>,
    /// True while the reading of the stores waits for the answer of the WSUS server and for the signers of files.
    awaits_answers: bool,
    sent: SentInventory,
}

/// The inventory in one folder.
#[derive(Debug, Default)]
struct Folder {
    /// The input that the folder belongs to.
    input: usize,
    /// The files as the last reading saw them.
    seen: Vec<GatheredFile>,
    /// Since when the folder has none of the files.
    gone_since_ms: Option<i64>,
    sent: SentInventory,
}

/// The last inventory that was sent of one host: its hash, and when.
#[derive(Debug, Default)]
struct SentInventory(Option<(String, i64)>);

impl SentInventory {
    /// Whether the pause since the last inventory is over.
    fn has_paused(&self, now_ms: i64) -> bool {
        self.0.as_ref().is_none_or(|(_, sent_ms)| now_ms - sent_ms >= PAUSE_MS)
    }

    /// Whether an unchanged inventory must be sent again. False before the first inventory.
    fn must_repeat(&self, now_ms: i64) -> bool {
        self.0.as_ref().is_some_and(|(_, sent_ms)| now_ms - sent_ms >= REPEAT_AFTER_MS)
    }

    /// Returns the inventory with its hash, and whether the caller must send it.
    fn take(&mut self, owner: InventoryOwner, inventory: Inventory, now_ms: i64) -> Due {
        let hash = inventory.hash();
        let is_known = self.0.as_ref().is_some_and(|(sent, _)| *sent == hash);
        let is_news = !is_known || self.must_repeat(now_ms);
        if is_news {
            self.0 = Some((hash.clone(), now_ms));
        }
        Due { owner, inventory, hash, is_news }
    }
}

impl OwnHost {
    /// Whether the stores must be read. The distance in time counts in both directions, so that a clock that was set
    /// back does not stop the reading.
    fn is_due(&self, now_ms: i64) -> bool {
        self.read_ms.is_none_or(|read_ms| now_ms.abs_diff(read_ms) >= PAUSE_MS.unsigned_abs())
    }
}

impl Inventories {
    /// Returns the inventories of these sources; `None` where no source is configured.
    pub(crate) fn of(sources: CertificateSources) -> Option<Inventories> {
        (sources.gathered || sources.machine.is_some()).then(|| Inventories {
            site: SiteQuestion::by(sources.site.filter(|_| sources.machine.is_some())),
            failed: sources.failed_files.filter(|_| sources.machine.is_some()).map(FailedFiles::by),
            sources,
            machine: OwnHost::default(),
            folders: BTreeMap::new(),
            round: VecDeque::new(),
            looked_ms: None,
        })
    }

    /// The files that lines of the machine's own log name as untrusted; `None` where their signers are not configured.
    pub(crate) fn failed_files(&mut self) -> Option<&mut FailedFiles> {
        self.failed.as_mut()
    }

    /// Begins a round when due: all folders once a minute, and the machine's own stores once in a quarter of an hour,
    /// when the WSUS server has answered and the signers of files are known.
    pub(crate) fn look_when_due(&mut self, inputs: &[Input], now_ms: i64) {
        if !self.round.is_empty() {
            return;
        }
        if let Some(read) = self.sources.machine {
            if !self.machine.awaits_answers && self.machine.is_due(now_ms) {
                self.machine.awaits_answers = true;
                self.site.begin(now_ms);
                if let Some(failed) = &mut self.failed {
                    failed.begin(now_ms);
                }
            }
            let is_settled = self.machine.awaits_answers
                && self.site.is_settled(now_ms)
                && self.failed.as_mut().is_none_or(|failed| failed.is_settled(now_ms));
            if is_settled {
                self.machine.awaits_answers = false;
                self.machine.read_ms = Some(now_ms);
                self.round.push_back(Look::Machine(read));
            }
        }
        let must_look = |looked_ms: i64| now_ms.abs_diff(looked_ms) >= LOOK_EVERY_MS.unsigned_abs();
        if self.sources.gathered && self.looked_ms.is_none_or(must_look) {
            self.looked_ms = Some(now_ms);
            for (input, config) in inputs.iter().enumerate().filter(|(_, config)| config.host_pattern.is_some()) {
                self.round.extend(files_of(input, config).into_iter().map(Look::Folder));
            }
            let found: BTreeSet<&PathBuf> = self.round.iter().filter_map(Look::folder).collect();
            let gone = self.folders.iter().filter(|(path, folder)| !folder.seen.is_empty() && !found.contains(path));
            let gone: Vec<Look> = gone.map(|(path, folder)| Look::Gone(folder.input, path.clone())).collect();
            self.round.extend(gone);
        }
    }

    /// True when every inventory of the round was examined.
    pub(crate) fn is_idle(&self) -> bool {
        self.round.is_empty()
    }

    /// Returns the next inventory that is due.
    pub(crate) fn next_due(&mut self, rules: &[RedactRule], now_ms: i64) -> Option<Due> {
        while let Some(look) = self.round.pop_front() {
            let due = match look {
                Look::Machine(read) => Some(self.look_at_machine(read, rules, now_ms)),
                Look::Folder(files) => self.look_at_folder(files, rules, now_ms),
                Look::Gone(input, folder) => self.look_for_gone_files(input, folder, now_ms),
            };
            if due.is_some() {
                return due;
            }
        }
        None
    }

    fn look_at_machine(&mut self, read: ReadMachine, rules: &[RedactRule], now_ms: i64) -> Due {
        let failed_files = self.failed.as_ref().map(FailedFiles::answer).unwrap_or_default();
        let mut inventory = Inventory { taken: now_ms, wsus_site: self.site.answer(), failed_files, ..read() };
        redact_names(&mut inventory, rules);
        self.machine.sent.take(InventoryOwner::Machine, inventory, now_ms)
    }

    fn look_at_folder(&mut self, files: FolderFiles, rules: &[RedactRule], now_ms: i64) -> Option<Due> {
        let FolderFiles { input, folder, paths, fence } = files;
        let seen = seen(&paths);
        let known = self.folders.entry(folder).or_default();
        (known.input, known.gone_since_ms) = (input, None);
        let is_news = known.seen != seen && known.sent.has_paused(now_ms);
        if !is_news && !known.sent.must_repeat(now_ms) {
            return None;
        }
        let mut inventory = of_files(&paths, &fence)?;
        let is_young = |file: &GatheredFile| (now_ms - file.modified_ms).abs() < SETTLE_MS;
        if inventory.stores.iter().any(|store| !store.complete) && seen.iter().any(is_young) {
            return None;
        }
        redact_names(&mut inventory, rules);
        known.seen = seen;
        let owner = InventoryOwner::Gathered { input, path: paths.into_iter().next()? };
        Some(known.sent.take(owner, inventory, now_ms))
    }

    /// Returns an empty inventory of a host whose files were deleted, so that the processor forgets the host's
    /// certificates.
    fn look_for_gone_files(&mut self, input: usize, folder: PathBuf, now_ms: i64) -> Option<Due> {
        let is_deleted = has_lost_files(&folder);
        let known = self.folders.get_mut(&folder)?;
        // While the share is unreachable, and after it returns, the wait begins again.
        let since_ms = known.gone_since_ms.filter(|since_ms| is_deleted && *since_ms <= now_ms);
        known.gone_since_ms = is_deleted.then(|| since_ms.unwrap_or(now_ms));
        let is_over = since_ms.is_some_and(|since_ms| now_ms - since_ms >= GONE_AFTER_MS);
        if !is_over || !known.sent.has_paused(now_ms) {
            return None;
        }
        let path = std::mem::take(&mut known.seen).into_iter().next()?.path;
        known.gone_since_ms = None;
        warn!(folder = %folder.display(), "the files of an inventory of certificates were deleted");
        let inventory = Inventory { v: VERSION, taken: now_ms, ..Inventory::default() };
        Some(known.sent.take(InventoryOwner::Gathered { input, path }, inventory, now_ms))
    }
}

impl Look {
    /// Returns the folder whose files are examined.
    fn folder(&self) -> Option<&PathBuf> {
        match self {
            Look::Folder(files) => Some(&files.folder),
            Look::Machine(_) | Look::Gone(..) => None,
        }
    }
}

/// Applies the redaction rules to all texts that a person chose: names and addresses.
fn redact_names(inventory: &mut Inventory, rules: &[RedactRule]) {
    let in_stores = inventory.stores.iter_mut().flat_map(|store| &mut store.certificates);
    let (mut servers, mut shown) = (Vec::new(), Vec::new());
    if let Some(site) = &mut inventory.wsus_site {
        servers.push(&mut site.server);
        shown.extend(&mut site.chain);
    }
    let mut paths = Vec::new();
    for file in &mut inventory.failed_files {
        paths.push(&mut file.path);
        shown.extend(file.signer.iter_mut().chain(&mut file.chain));
    }
    let names = in_stores.chain(shown).flat_map(|certificate| [&mut certificate.subject, &mut certificate.issuer]);
    let policy = inventory.policy.iter_mut();
    servers.extend(policy.flat_map(|policy| [&mut policy.wu_server, &mut policy.wu_status_server]).flatten());
    for text in names.chain(servers).chain(paths) {
        *text = String::from_utf8_lossy(&redact(rules, text.as_bytes())).into_owned();
    }
}
