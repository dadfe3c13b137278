//! What is known of every host: its dimensions, what it fails at, what it succeeded at.
//!
//! A million hosts fit into 400 MB, so what most of them share is held once (names of updates, sets of dimension
//! values), what few of them have stands apart (failures), and times are as small as they can be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wulog_schemas::host::hex_digest;
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::HostRefRef;

use super::activity::{FleetActivity, HostActivity};
use super::attempts::Attempts;
use super::config::Limits;
use super::lookup::Lookup;
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

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Fleet {
    pub(super) strings: Strings,
    sets: Sets,
    pub(super) hosts: Vec<Host>,
    /// Ids that are not 32 hex digits.
    odd_ids: BTreeMap<HostIndex, String>,
    pub(super) activity: FleetActivity,
    pub(super) attempts: Attempts,
    #[serde(skip)]
    index: Lookup,
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
    /// What only hosts have that fail.
    trouble: Option<Box<Trouble>>,
    /// Time of the newest success that a limit dropped, seconds since 1970.
    success_dropped_secs: u32,
    /// Whether everything that the host had is shipped; unknown before its first facts.
    pub(super) caught_up: Option<bool>,
    /// True when a limit dropped dimensions of it.
    pub(super) dimensions_cut: bool,
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

impl Success {
    fn of(subject: StringId, time: i64) -> Success {
        let secs = u32::try_from(time.div_euclid(1000)).unwrap_or(if time < 0 { 0 } else { u32::MAX });
        Success { subject, secs, millis: u16::try_from(time.rem_euclid(1000)).unwrap_or(0) }
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
            activity: FleetActivity::default(),
            attempts: Attempts::default(),
            index: Lookup::default(),
        }
    }

    /// Makes the index again, which no snapshot holds.
    pub(super) fn index_again(&mut self) {
        self.index = Lookup::default();
        for number in 0..self.hosts.len() {
            self.index_host(HostIndex::try_from(number).expect("hosts are numbered by 32 bits"));
        }
    }

    fn index_host(&mut self, host: HostIndex) {
        let hosts = &self.hosts;
        self.index.insert(host, |number| hash_id(hosts[number as usize].id));
    }

    /// The host that `host` names, added when new; none when there are too many. A renamed host keeps its number.
    pub(super) fn host(&mut self, host: HostRefRef<'_>, limits: &Limits) -> Option<HostIndex> {
        let text = cut(host.id, limits.string_bytes);
        let parsed = id_of_hex(text);
        let id = parsed.unwrap_or_else(|| id_of_odd(text));
        let index = match self.index.find(hash_id(id), |number| self.hosts[number as usize].id == id) {
            Some(index) => index,
            None if self.hosts.len() >= limits.hosts => return None,
            None => {
                let index = HostIndex::try_from(self.hosts.len()).ok()?;
                self.hosts.push(Host { id, ..Host::default() });
                self.index_host(index);
                if parsed.is_none() {
                    self.odd_ids.insert(index, text.to_owned());
                }
                index
            }
        };
        let known = &mut self.hosts[index as usize];
        let name = cut(host.name, limits.string_bytes);
        if known.name() != name && !name.is_empty() {
            known.name = Name::from(name);
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
        self.activity.mark(&mut self.hosts[host as usize].activity, time_ms);
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

    /// Subjects at which it succeeded at or after `from`.
    pub(super) fn succeeded_since(&self, from: i64) -> impl Iterator<Item = StringId> {
        self.succeeded.iter().filter(move |success| success.time() >= from).map(|success| success.subject)
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

    /// Notes a success. True when it ends a failure at that subject.
    pub(super) fn succeed(&mut self, subject: StringId, time: i64, limits: &Limits) -> bool {
        match self.succeeded.iter_mut().find(|known| known.subject == subject) {
            Some(known) if known.time() < time => *known = Success::of(subject, time),
            Some(_) => {}
            None => self.push_success(Success::of(subject, time), limits),
        }
        let Some(trouble) = &mut self.trouble else { return false };
        let before = trouble.failing.len();
        // A success that was said to be older than the failure doesn't end it: records may come out of order.
        trouble.failing.retain(|failing| failing.subject != subject || failing.last > time);
        trouble.failing.len() < before
    }

    fn push_success(&mut self, success: Success, limits: &Limits) {
        if self.succeeded.len() < limits.succeeded_per_host.max(1) {
            if self.succeeded.len() == self.succeeded.capacity() {
                // Two more at a time: what a vector would add by itself stays empty on most hosts.
                self.succeeded.reserve_exact(2);
            }
            self.succeeded.push(success);
            return;
        }
        let ages = self.succeeded.iter().enumerate().min_by_key(|(_, success)| success.time());
        if let Some((oldest, dropped)) = ages.map(|(place, success)| (place, *success)) {
            let dropped = if dropped.time() <= success.time() {
                std::mem::replace(&mut self.succeeded[oldest], success)
            } else {
                success
            };
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

fn hash_id([high, low]: [u64; 2]) -> u64 {
    high ^ low.rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million hosts have this many megabytes, without what hangs on them.
    #[test]
    fn a_host_is_small() {
        assert!(size_of::<Host>() <= 120, "{}", size_of::<Host>());
        assert_eq!(size_of::<Success>(), 12);
    }

    #[test]
    fn an_id_of_any_form_is_one_host() {
        let (mut fleet, limits) = (Fleet::new(), Limits::default());
        let ids = ["04a7c795a928a5d09b0cbad5910a34d5", "04A7C795A928A5D09B0CBAD5910A34D5", "", "pc-1", "04a7"];
        for round in 0..2 {
            for (place, id) in ids.iter().enumerate() {
                let index = fleet.host(HostRefRef { id, name: "" }, &limits);
                assert_eq!(index, u32::try_from(place).ok(), "{id}, round {round}");
                assert_eq!(fleet.id_of(index.unwrap()), *id);
            }
            fleet.index_again();
        }
    }

    #[test]
    fn addresses_are_known_by_their_beginnings() {
        let (mut fleet, limits) = (Fleet::new(), Limits::default());
        let host = fleet.host(HostRefRef { id: "a", name: "" }, &limits).unwrap();
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
