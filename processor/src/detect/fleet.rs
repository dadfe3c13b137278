//! What is known of every host: its dimensions, what it fails at, what it succeeded at.
//!
//! A million hosts fit into 400 MB, so what most of them share is held once (names of updates, sets of dimension
//! values), what few of them have stands apart (failures), and times are as small as they can be.

mod search;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wulog_schemas::host::hex_digest;
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::HostRefRef;

use super::activity::{FleetActivity, HostActivity};
use super::attempts::Attempts;
use super::config::Limits;
use super::evidence::Onset;
use super::lookup::{Lookup, hash};
use super::name::Name;
use super::sets::{Pair, SetId, Sets};
use super::strings::{StringId, Strings, cut};

/// A host's number in [`Fleet::hosts`].
pub(super) type HostIndex = u32;

/// Dimensions of an operation that are kept of a host. `update` and `file` are the subject itself, `kb` and `title`
/// say the same in other words.
const OPERATION_DIMENSIONS: [&str; 3] = ["caller", "service", "signer"];
/// Dimensions that hold an address: hosts share its beginning, not all of it.
const ADDRESS_DIMENSIONS: [&str; 4] = ["address", "ip", "label.address", "label.ip"];

/// Memory of a host beside what hangs on it, and of an id, a success, a failing subject and a family that counted: the
/// sizes of the types, with room that containers keep to grow. `tests/memory_detector.rs` measures them.
const HOST_BYTES: u64 = 296;
const SUCCESS_BYTES: u64 = 16;
const FAILING_BYTES: u64 = 64;
const COUNTED_BYTES: u64 = 24;
const TROUBLE_BYTES: u64 = 64;
/// An entry of a map with a text, beside the bytes of the text.
const ENTRY_BYTES: u64 = 64;

/// Servers of which the last successful scan of a host is known: WSUS, and Microsoft's.
const SCANNED_MAX: usize = 2;

/// A host that is known for so long is established: who makes hosts up cannot put it out of its place by new ones.
const ESTABLISHED_SECS: u32 = 24 * 60 * 60;
/// A host that was not heard of for so long gives way first: it is probably gone, and was in no incident lately.
const GONE_SECS: u32 = 30 * 24 * 60 * 60;

/// What the loss of a host would matter, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worth {
    standing: Standing,
    fails: bool,
    /// When it was heard of last: who has been silent for longest gives way.
    heard_secs: u32,
    host: HostIndex,
}

/// What a host is to an operator who looks at figures: the first state that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostState {
    /// Nobody can read its logs.
    Unreadable,
    /// Its earlier lines are still on their way.
    Behind,
    /// It has not said whether it is caught up: no heartbeat of it came.
    Unknown,
    /// It was not heard of for `silent_secs`.
    Silent,
    /// None of these.
    Active,
}

impl HostState {
    pub(super) const ALL: [HostState; 5] =
        [HostState::Unreadable, HostState::Behind, HostState::Unknown, HostState::Silent, HostState::Active];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            HostState::Unreadable => "unreadable",
            HostState::Behind => "behind",
            HostState::Unknown => "unknown",
            HostState::Silent => "silent",
            HostState::Active => "active",
        }
    }
}

/// How well a host is known. It stands before whether the host fails: forged hosts fail at once, and would else put the
/// healthy hosts of the fleet out of their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Gone,
    New,
    Established,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Fleet {
    pub(super) strings: Strings,
    sets: Sets,
    pub(super) hosts: Vec<Host>,
    /// Ids that are not 32 hex digits.
    odd_ids: BTreeMap<HostIndex, String>,
    /// What people call the updates that fail: title and KB number.
    names: BTreeMap<StringId, String>,
    pub(super) activity: FleetActivity,
    pub(super) attempts: Attempts,
    #[serde(skip)]
    index: Lookup,
    /// Numbers of forgotten hosts, which new hosts get, the least first.
    #[serde(skip)]
    free: BTreeSet<HostIndex>,
    /// Memory of hosts, odd ids and names.
    #[serde(skip)]
    bytes: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Host {
    /// Its id as a number; of an odd id, the beginning of its hash.
    id: [u64; 2],
    name: Name,
    traits: SetId,
    operations: SetId,
    pub(super) activity: HostActivity,
    succeeded: Vec<Success>,
    /// Servers that its scans reached last, and when, seconds since 1970; 0 where there is none. They stand apart from the
    /// successes, since a scan is no attempt.
    scanned: [(StringId, u32); SCANNED_MAX],
    /// What only hosts have that fail.
    trouble: Option<Box<Trouble>>,
    /// Time of the newest success that a limit dropped, seconds since 1970.
    success_dropped_secs: u32,
    /// Event time of its earliest activity, seconds since 1970, or 0.
    active_from_secs: u32,
    /// Whether everything that the host had is shipped; unknown before its first facts.
    pub(super) caught_up: Option<bool>,
    /// Whether nobody can read its logs: then its silence and its few lines say nothing about its health.
    pub(super) unreadable: bool,
    /// True when a limit dropped dimensions of it.
    pub(super) dimensions_cut: bool,
    /// True when this is the place of a host that was forgotten.
    forgotten: bool,
    /// Log time of its first and of its latest signal, seconds since 1970.
    first_secs: u32,
    heard_secs: u32,
}

/// The latest success at a subject, in 12 bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Success {
    subject: StringId,
    /// Since 1970: until the year 2106.
    secs: u32,
    millis: u16,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Trouble {
    failing: Vec<Failing>,
    /// When it last counted as newly failing, by family.
    counted: Vec<(Family, i64)>,
}

/// A subject at which a host's latest outcome is a trust failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Failing {
    pub(super) subject: StringId,
    pub(super) family: Family,
    /// Event time of the first failure since the last success.
    pub(super) since: i64,
    /// Event time of the latest failure.
    pub(super) last: i64,
    pub(super) verdict: Verdict,
}

/// Whether a host has a value of a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knows {
    /// It has the value.
    Yes,
    /// It has another value.
    No,
    /// Its value was never heard.
    Unknown,
}

/// Whether a failure has been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Verdict {
    /// Only history so far: the host is not caught up with.
    Waiting,
    /// The host counted as newly failing for it, or for another subject of the same family.
    Counted,
    /// It failed before it could count as new.
    Chronic,
}

/// Seconds since 1970: until the year 2106.
fn secs_of(time_ms: i64) -> u32 {
    u32::try_from(time_ms.div_euclid(1000)).unwrap_or(if time_ms < 0 { 0 } else { u32::MAX })
}

impl Success {
    fn of(subject: StringId, time: i64) -> Success {
        Success { subject, secs: secs_of(time), millis: u16::try_from(time.rem_euclid(1000)).unwrap_or(0) }
    }

    fn time(self) -> i64 {
        i64::from(self.secs) * 1000 + i64::from(self.millis)
    }
}

impl Fleet {
    pub(super) fn new() -> Fleet {
        Fleet {
            strings: Strings::new(),
            sets: Sets::new(),
            hosts: Vec::new(),
            odd_ids: BTreeMap::new(),
            names: BTreeMap::new(),
            activity: FleetActivity::default(),
            attempts: Attempts::default(),
            index: Lookup::default(),
            free: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// Makes again what no snapshot holds: the index, the free numbers, the sum of memory.
    pub(super) fn index_again(&mut self) {
        self.index = Lookup::default();
        self.free.clear();
        self.bytes = self.odd_ids.values().chain(self.names.values()).map(|text| text.len() as u64 + ENTRY_BYTES).sum();
        for number in 0..self.hosts.len() {
            let host = HostIndex::try_from(number).expect("hosts are numbered by 32 bits");
            self.bytes += self.hosts[number].bytes();
            if self.hosts[number].forgotten {
                self.free.insert(host);
            } else {
                self.index_host(host);
            }
        }
    }

    /// How many hosts are known.
    pub(super) fn hosts_known(&self) -> usize {
        self.hosts.len() - self.free.len()
    }

    /// Memory of the fleet, as far as it can be told from what is known of it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.strings.bytes() + self.sets.bytes()
    }

    /// How many hosts are in each of [`HostState::ALL`], where a host heard of before `heard_since_ms` is silent.
    pub(super) fn by_state(&self, heard_since_ms: i64) -> [usize; 5] {
        let since = secs_of(heard_since_ms);
        let mut counts = [0; 5];
        for host in self.hosts.iter().filter(|host| !host.forgotten) {
            counts[host.state(since) as usize] += 1;
        }
        counts
    }

    /// Counts what `host` takes by now; `before` is what it took before it was changed.
    pub(super) fn weigh_again(&mut self, host: HostIndex, before: u64) {
        self.bytes = self.bytes - before + self.hosts[host as usize].bytes();
    }

    /// The `count` hosts whose loss matters least at log time `now_ms`, but never `spared`.
    pub(super) fn least_worthy(&self, count: usize, now_ms: i64, spared: Option<HostIndex>) -> BTreeSet<HostIndex> {
        let now_secs = secs_of(now_ms);
        let known = (0..).zip(&self.hosts).filter(|(index, host)| !host.forgotten && Some(*index) != spared);
        let mut worths: Vec<Worth> = known.map(|(index, host)| host.worth(index, now_secs)).collect();
        if count < worths.len() {
            worths.select_nth_unstable(count);
            worths.truncate(count);
        }
        worths.into_iter().map(|worth| worth.host).collect()
    }

    /// Forgets hosts; their numbers go to new ones.
    pub(super) fn forget(&mut self, hosts: &BTreeSet<HostIndex>) {
        for &index in hosts {
            let host = std::mem::replace(&mut self.hosts[index as usize], Host { forgotten: true, ..Host::default() });
            self.bytes = self.bytes - host.bytes() + self.hosts[index as usize].bytes();
            self.index.remove(hash(host.id), index);
            if let Some(id) = self.odd_ids.remove(&index) {
                self.bytes -= id.len() as u64 + ENTRY_BYTES;
            }
            self.sets.change(host.traits, &[]);
            self.sets.change(host.operations, &[]);
            self.activity.forget(host.activity);
            self.free.insert(index);
        }
        while self.hosts.last().is_some_and(|host| host.forgotten) {
            self.bytes -= self.hosts.pop().map_or(0, |host| host.bytes());
        }
        self.hosts.shrink_to_fit();
        self.free.split_off(&HostIndex::try_from(self.hosts.len()).unwrap_or(HostIndex::MAX));
        self.sets.trim();
    }

    /// Marks the strings that hosts and their dimensions refer to.
    pub(super) fn mark_used(&self, used: &mut [bool]) {
        let subjects = self.hosts.iter().flat_map(Host::subjects);
        for id in self.sets.all_pairs().flat_map(|(name, value)| [name, value]).chain(subjects) {
            used[id as usize] = true;
        }
    }

    /// Forgets all strings but the marked ones, and returns how many there were.
    pub(super) fn keep_strings(&mut self, used: &[bool]) -> u64 {
        let forgotten = self.strings.keep(used);
        for id in &forgotten {
            if let Some(name) = self.names.remove(id) {
                self.bytes -= name.len() as u64 + ENTRY_BYTES;
            }
        }
        self.attempts.forget(&forgotten);
        forgotten.len() as u64
    }

    /// The number of the host with this id, where it is known.
    pub(super) fn find(&self, id: &str, limits: &Limits) -> Option<HostIndex> {
        let text = cut(id, limits.string_bytes);
        self.find_id(id_of_hex(text).unwrap_or_else(|| id_of_odd(text)))
    }

    fn find_id(&self, id: [u64; 2]) -> Option<HostIndex> {
        self.index.find(hash(id), |number| self.hosts[number as usize].id == id)
    }

    fn index_host(&mut self, host: HostIndex) {
        let hosts = &self.hosts;
        self.index.insert(host, |number| hash(hosts[number as usize].id));
    }

    /// The host that `host` names at log time `now_ms`, added when new; none when there is no room. A renamed host keeps
    /// its number.
    pub(super) fn host(&mut self, host: HostRefRef<'_>, now_ms: i64, limits: &Limits) -> Option<HostIndex> {
        let text = cut(host.id, limits.string_bytes);
        let parsed = id_of_hex(text);
        let id = parsed.unwrap_or_else(|| id_of_odd(text));
        let now_secs = secs_of(now_ms);
        let index = match self.find_id(id) {
            Some(index) => index,
            None if self.hosts_known() >= limits.hosts => return None,
            None => {
                let new = Host { id, first_secs: now_secs, ..Host::default() };
                self.bytes += new.bytes();
                let index = match self.free.pop_first() {
                    Some(index) => {
                        self.bytes -= self.hosts[index as usize].bytes();
                        self.hosts[index as usize] = new;
                        index
                    }
                    None => {
                        let index = HostIndex::try_from(self.hosts.len()).ok()?;
                        self.hosts.push(new);
                        index
                    }
                };
                self.index_host(index);
                if parsed.is_none() {
                    self.bytes += text.len() as u64 + ENTRY_BYTES;
                    self.odd_ids.insert(index, text.to_owned());
                }
                index
            }
        };
        let known = &mut self.hosts[index as usize];
        // Log time may go back, where a jump of it was not confirmed.
        (known.first_secs, known.heard_secs) = (known.first_secs.min(now_secs), now_secs);
        let name = cut(host.name, limits.string_bytes);
        if known.name() != name && !name.is_empty() {
            let before = known.bytes();
            known.name = Name::from(name);
            self.weigh_again(index, before);
        }
        Some(index)
    }

    /// The host id of a number.
    pub(super) fn id_of(&self, host: HostIndex) -> String {
        let [high, low] = self.hosts[host as usize].id;
        self.odd_ids.get(&host).cloned().unwrap_or_else(|| format!("{high:016x}{low:016x}"))
    }

    pub(super) fn string(&mut self, text: &str, limits: &Limits) -> StringId {
        self.strings.id(text, limits.strings, limits.string_bytes)
    }

    pub(super) fn mark_active(&mut self, host: HostIndex, time_ms: i64) {
        let known = &mut self.hosts[host as usize];
        if !known.was_active_before(time_ms) {
            known.active_from_secs = secs_of(time_ms);
        }
        self.activity.mark(&mut known.activity, time_ms);
    }

    /// Sets a host's dimensions, which come in the order of their names.
    pub(super) fn set_dimensions(&mut self, host: HostIndex, dimensions: &[(&str, &str)], limits: &Limits) {
        self.hosts[host as usize].dimensions_cut = dimensions.len() > limits.dimensions_per_host;
        let kept = &dimensions[..dimensions.len().min(limits.dimensions_per_host)];
        let before = self.hosts[host as usize].traits;
        if self.are_texts(self.sets.pairs(before), kept) {
            return;
        }
        let mut pairs = Vec::with_capacity(kept.len());
        for (name, value) in kept {
            match value.parse::<std::net::Ipv4Addr>() {
                Ok(address) if ADDRESS_DIMENSIONS.contains(name) => {
                    let [a, b, c, _] = address.octets();
                    for (net, value) in [("/16", format!("{a}.{b}")), ("/24", format!("{a}.{b}.{c}"))] {
                        pairs.push((self.string(&format!("{name}{net}"), limits), self.string(&value, limits)));
                    }
                }
                _ => pairs.push((self.string(name, limits), self.string(value, limits))),
            }
        }
        self.hosts[host as usize].traits = self.sets.change(before, &pairs);
    }

    /// Whether the pairs are these texts. Nearly always they are, and comparing is quicker than looking up.
    fn are_texts(&self, pairs: &[Pair], texts: &[(&str, &str)]) -> bool {
        pairs.len() == texts.len()
            && pairs
                .iter()
                .zip(texts)
                .all(|(pair, text)| self.strings.text(pair.1) == text.1 && self.strings.text(pair.0) == text.0)
    }

    /// Notes the dimensions of an operation, which come in the order of their names.
    pub(super) fn add_operation(&mut self, host: HostIndex, dimensions: &[(&str, &str)], limits: &Limits) {
        for (name, value) in dimensions.iter().filter(|(name, _)| OPERATION_DIMENSIONS.contains(name)) {
            let before = self.hosts[host as usize].operations;
            let known = self.sets.pairs(before);
            if known.iter().any(|pair| self.are_texts(&[*pair], &[(name, value)])) {
                continue;
            }
            if known.len() >= limits.dimensions_per_host {
                self.hosts[host as usize].dimensions_cut = true;
                continue;
            }
            let mut pairs = known.to_vec();
            pairs.push((self.string(name, limits), self.string(value, limits)));
            // Which came first tells nothing, and fewer sets are better.
            pairs.sort_unstable();
            pairs.dedup();
            self.hosts[host as usize].operations = self.sets.change(before, &pairs);
        }
    }

    /// The host's own dimensions.
    pub(super) fn traits_of(&self, host: HostIndex) -> &[Pair] {
        self.sets.pairs(self.hosts[host as usize].traits)
    }

    /// Whether the host of an onset has not succeeded since at all that it failed at in that family.
    pub(super) fn still_fails(&self, onset: &Onset) -> bool {
        self.hosts[onset.host as usize].failing().iter().any(|failing| failing.family == onset.family)
    }

    /// Whether a host has a value, as far as is known: a host of which the dimension was never heard says nothing.
    pub(super) fn knows(&self, host: HostIndex, pair: Pair) -> Knows {
        let traits = self.traits_of(host);
        match traits.iter().find(|(name, _)| *name == pair.0) {
            Some(_) if traits.contains(&pair) => Knows::Yes,
            Some(_) => Knows::No,
            None => Knows::Unknown,
        }
    }

    /// How many hosts have logs that nobody can read.
    pub(super) fn unreadable(&self) -> u64 {
        self.hosts.iter().filter(|host| host.unreadable).count() as u64
    }

    /// Learns what people call a subject that fails.
    pub(super) fn name_subject(&mut self, subject: StringId, dimensions: &[(&str, &str)], limits: &Limits) {
        if self.names.contains_key(&subject) || self.names.len() >= limits.strings {
            return;
        }
        let of = |wanted: &str| dimensions.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        let name = match (of("title"), of("kb")) {
            (Some(title), Some(kb)) if !title.contains(kb) => format!("{title} ({kb})"),
            (Some(title), _) => title.to_owned(),
            (None, Some(kb)) => kb.to_owned(),
            (None, None) => return,
        };
        let name = cut(&name, limits.string_bytes).to_owned();
        self.bytes += name.len() as u64 + ENTRY_BYTES;
        self.names.insert(subject, name);
    }

    /// What people call a subject, where it is known.
    pub(super) fn name_of_subject(&self, subject: StringId) -> Option<&str> {
        self.names.get(&subject).map(String::as_str)
    }

    /// Whether a subject says that nobody knows what failed. Hosts have nothing in common by it.
    pub(super) fn is_unknown_subject(&self, subject: StringId) -> bool {
        matches!(self.strings.text(subject), "unknown" | "server:unknown")
    }

    /// The dimensions of its operations; several values of one dimension are usual.
    pub(super) fn operations_of(&self, host: HostIndex) -> &[Pair] {
        self.sets.pairs(self.hosts[host as usize].operations)
    }

    /// All sets of dimensions, for those who count by set.
    pub(super) fn sets(&self) -> &Sets {
        &self.sets
    }
}

impl Host {
    /// Memory that the host takes, by what it has and not by how it came to it: the same after a restart.
    pub(super) fn bytes(&self) -> u64 {
        let trouble = self.trouble.as_ref().map_or(0, |trouble| {
            TROUBLE_BYTES + trouble.failing.len() as u64 * FAILING_BYTES + trouble.counted.len() as u64 * COUNTED_BYTES
        });
        HOST_BYTES + self.name.bytes() + self.succeeded.len() as u64 * SUCCESS_BYTES + trouble
    }

    /// The state of the host, where one that was heard of before `since_secs` is silent.
    fn state(&self, since_secs: u32) -> HostState {
        match self.caught_up {
            _ if self.unreadable => HostState::Unreadable,
            Some(false) => HostState::Behind,
            None => HostState::Unknown,
            Some(true) if self.heard_secs < since_secs => HostState::Silent,
            Some(true) => HostState::Active,
        }
    }

    /// True in the place of a host that was forgotten.
    pub(super) fn is_forgotten(&self) -> bool {
        self.forgotten
    }

    fn worth(&self, host: HostIndex, now_secs: u32) -> Worth {
        let standing = if now_secs.saturating_sub(self.heard_secs) > GONE_SECS {
            Standing::Gone
        } else if self.heard_secs.saturating_sub(self.first_secs) >= ESTABLISHED_SECS {
            Standing::Established
        } else {
            Standing::New
        };
        Worth { standing, fails: !self.failing().is_empty(), heard_secs: self.heard_secs, host }
    }

    /// Strings that the host refers to, beside those of its dimensions.
    fn subjects(&self) -> impl Iterator<Item = StringId> {
        let failing = self.failing().iter().map(|failing| failing.subject);
        let scanned = self.scanned.iter().filter(|(_, secs)| *secs > 0).map(|(server, _)| *server);
        self.succeeded.iter().map(|success| success.subject).chain(scanned).chain(failing)
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The sets of its dimensions and of its operations' dimensions.
    pub(super) fn sets(&self) -> [SetId; 2] {
        [self.traits, self.operations]
    }

    pub(super) fn failing(&self) -> &[Failing] {
        self.trouble.as_ref().map_or(&[], |trouble| &trouble.failing)
    }

    pub(super) fn failing_at(&mut self, place: usize) -> &mut Failing {
        &mut self.trouble.get_or_insert_default().failing[place]
    }

    /// Whether it was active before `time`.
    pub(super) fn was_active_before(&self, time: i64) -> bool {
        self.active_from_secs != 0 && i64::from(self.active_from_secs) * 1000 < time
    }

    /// Subjects at which the host succeeded, as far as they are kept, with the time of the newest success at each.
    pub(super) fn successes(&self) -> impl Iterator<Item = (StringId, i64)> {
        self.succeeded.iter().map(|success| (success.subject, success.time()))
    }

    /// The same of successes at or after `from`.
    pub(super) fn successes_since(&self, from: i64) -> impl Iterator<Item = (StringId, i64)> {
        self.successes().filter(move |(_, time)| *time >= from)
    }

    /// Subjects at which the host succeeded, as far as they are kept.
    pub(super) fn succeeded(&self) -> impl Iterator<Item = StringId> {
        self.successes().map(|(subject, _)| subject)
    }

    /// Subjects at which the host succeeded at or after `from`.
    pub(super) fn succeeded_since(&self, from: i64) -> impl Iterator<Item = StringId> {
        self.successes_since(from).map(|(subject, _)| subject)
    }

    /// The servers that it scanned successfully at or after `from`, event time.
    pub(super) fn scanned_since(&self, from: i64) -> impl Iterator<Item = StringId> {
        let since = secs_of(from).max(1);
        self.scanned.iter().filter(move |(_, secs)| *secs >= since).map(|(server, _)| *server)
    }

    /// Notes that a scan reached its server.
    pub(super) fn scan(&mut self, server: StringId, time: i64) {
        let same = self.scanned.iter().position(|(known, secs)| *known == server && *secs > 0);
        let oldest = || (0..SCANNED_MAX).min_by_key(|place| self.scanned[*place].1).unwrap_or(0);
        let place = same.unwrap_or_else(oldest);
        if self.scanned[place].1 < secs_of(time) {
            self.scanned[place] = (server, secs_of(time));
        }
    }

    /// Whether a limit dropped a success at or after `from`: then nobody knows at what.
    pub(super) fn dropped_success_since(&self, from: i64) -> bool {
        i64::from(self.success_dropped_secs) * 1000 >= from
    }

    /// Whether an outcome at `subject` is its first there since `from`.
    pub(super) fn is_first_since(&self, subject: StringId, from: i64) -> bool {
        let succeeded = self.succeeded.iter().any(|known| known.subject == subject && known.time() > from);
        !succeeded && !self.failing().iter().any(|failing| failing.subject == subject && failing.last > from)
    }

    /// Notes a success. True when it ends a failure at that subject. Where the host has no room for one more, the oldest
    /// goes at whose subject no open incident fails, since documents count who succeeded there.
    pub(super) fn succeed(
        &mut self,
        subject: StringId,
        time: i64,
        limits: &Limits,
        is_told_of: impl Fn(StringId) -> bool,
    ) -> bool {
        match self.succeeded.iter_mut().find(|known| known.subject == subject) {
            Some(known) if known.time() < time => *known = Success::of(subject, time),
            Some(_) => {}
            None => self.push_success(Success::of(subject, time), limits, is_told_of),
        }
        let Some(trouble) = &mut self.trouble else { return false };
        let before = trouble.failing.len();
        // A success that was said to be older than the failure doesn't end it: records may come out of order.
        trouble.failing.retain(|failing| failing.subject != subject || failing.last > time);
        trouble.failing.len() < before
    }

    fn push_success(&mut self, success: Success, limits: &Limits, is_told_of: impl Fn(StringId) -> bool) {
        if self.succeeded.len() < limits.succeeded_per_host.max(1) {
            if self.succeeded.len() == self.succeeded.capacity() {
                // Two more at a time: what a vector would add by itself stays empty on most hosts.
                self.succeeded.reserve_exact(2);
            }
            self.succeeded.push(success);
            return;
        }
        let worth = |success: &Success| (is_told_of(success.subject), success.time());
        let worths = self.succeeded.iter().map(worth).enumerate();
        if let Some((place, least)) = worths.min_by_key(|(_, worth)| *worth) {
            let dropped =
                if least <= worth(&success) { std::mem::replace(&mut self.succeeded[place], success) } else { success };
            self.success_dropped_secs = self.success_dropped_secs.max(dropped.secs);
        }
    }

    /// Notes a failure and gives its place, or none when the subject has succeeded later than that.
    pub(super) fn fail(
        &mut self,
        subject: StringId,
        family: Family,
        since: i64,
        time: i64,
        limits: &Limits,
    ) -> Option<usize> {
        if self.succeeded.iter().any(|known| known.subject == subject && known.time() >= time) {
            return None;
        }
        let all = &mut self.trouble.get_or_insert_default().failing;
        if let Some(place) = all.iter().position(|failing| failing.subject == subject) {
            let failing = &mut all[place];
            failing.family = family;
            failing.since = failing.since.min(since);
            failing.last = failing.last.max(time);
            return Some(place);
        }
        if all.len() >= limits.failing_per_host.max(1) {
            let oldest = all.iter().enumerate().min_by_key(|(_, failing)| failing.last).map_or(0, |(i, _)| i);
            all.remove(oldest);
        }
        all.push(Failing { subject, family, since, last: time, verdict: Verdict::Waiting });
        Some(all.len() - 1)
    }

    /// Whether the host fails at another subject of the family, heard of since `from`: then it is not *newly* failing.
    pub(super) fn fails_elsewhere(&self, subject: StringId, family: Family, from: i64) -> Option<Verdict> {
        let others = || {
            self.failing()
                .iter()
                .filter(|failing| failing.subject != subject && failing.family == family && failing.last >= from)
                .map(|failing| failing.verdict)
        };
        // One subject that has failed for long makes the host chronic, whatever else fails on it.
        others().find(|verdict| *verdict == Verdict::Chronic).or_else(|| others().find(|v| *v == Verdict::Counted))
    }

    pub(super) fn last_counted(&self, family: Family) -> Option<i64> {
        let counted = &self.trouble.as_ref()?.counted;
        counted.iter().find(|(known, _)| *known == family).map(|(_, at)| *at)
    }

    pub(super) fn set_counted(&mut self, family: Family, time: i64) {
        let counted = &mut self.trouble.get_or_insert_default().counted;
        counted.retain(|(known, _)| *known != family);
        counted.push((family, time));
    }
}

/// The number that 32 lower-case hex digits are.
fn id_of_hex(text: &str) -> Option<[u64; 2]> {
    let digits: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let (mut halves, mut wrong) = ([0_u64; 2], 0);
    for (half, digits) in halves.iter_mut().zip(digits.chunks_exact(16)) {
        for digit in digits {
            let value = HEX_VALUES[usize::from(*digit)];
            wrong |= value;
            *half = *half << 4 | u64::from(value & 0xf);
        }
    }
    (wrong < 0x10).then_some(halves)
}

/// The value of each lower-case hex digit, and one above 15 for all other bytes.
const HEX_VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// A number for an id of any other form; two of them are never equal by chance.
fn id_of_odd(text: &str) -> [u64; 2] {
    id_of_hex(&hex_digest(&["odd id", text])[..32]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million hosts have this many megabytes, without what hangs on them.
    #[test]
    fn a_host_is_small() {
        assert!(size_of::<Host>() <= 136, "{}", size_of::<Host>());
        assert_eq!(size_of::<Success>(), 12);
    }

    #[test]
    fn an_id_of_any_form_is_one_host() {
        let (mut fleet, limits) = (Fleet::new(), Limits::default());
        let ids = ["04a7c795a928a5d09b0cbad5910a34d5", "04A7C795A928A5D09B0CBAD5910A34D5", "", "pc-1", "04a7"];
        for round in 0..2 {
            for (place, id) in ids.iter().enumerate() {
                let index = fleet.host(HostRefRef { id, name: "" }, 0, &limits);
                assert_eq!(index, u32::try_from(place).ok(), "{id}, round {round}");
                assert_eq!(fleet.id_of(index.unwrap()), *id);
            }
            fleet.index_again();
        }
    }

    #[test]
    fn addresses_are_known_by_their_beginnings() {
        let (mut fleet, limits) = (Fleet::new(), Limits::default());
        let host = fleet.host(HostRefRef { id: "a", name: "" }, 0, &limits).unwrap();
        fleet.set_dimensions(host, &[("label.ip", "10.20.30.40"), ("wsus", "10.0.0.5")], &limits);
        let texts: Vec<(&str, &str)> =
            fleet.traits_of(host).iter().map(|pair| (fleet.strings.text(pair.0), fleet.strings.text(pair.1))).collect();
        assert_eq!(texts, [("label.ip/16", "10.20"), ("label.ip/24", "10.20.30"), ("wsus", "10.0.0.5")]);
    }

    #[test]
    fn a_success_is_kept_to_the_millisecond() {
        for time in [0, 1, 999, 1000, 1_573_745_640_120, 4_102_444_799_999] {
            assert_eq!(Success::of(7, time).time(), time);
        }
    }
}
