//! One host of the fleet: its failures, its successes, and when it was heard of.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use wulog_schemas::hresult::Family;

use crate::detect::activity::HostActivity;
use crate::detect::config::DetectorLimits;
use crate::detect::dimension_sets::SetId;
use crate::detect::strings::StringId;

/// The number of a host in a fleet.
pub(in crate::detect) type HostIndex = u32;

/// Estimated memory of a host without its lists, of a success, of a failing subject, of a family in which the host
/// counted, and of the box around the last two lists: the sizes of the types, with the spare capacity of containers.
/// `tests/memory_detector.rs` measures them.
const HOST_BYTES: u64 = 296;
const SUCCESS_BYTES: u64 = 16;
const FAILING_BYTES: u64 = 64;
const COUNTED_BYTES: u64 = 24;
const TROUBLE_BYTES: u64 = 64;

/// Servers of a host of which the last successful scan is kept: WSUS, and Microsoft's.
const SCANNED_MAX: usize = 2;

/// A host that is known for this long is established: an attacker who invents hosts cannot displace it.
const ESTABLISHED_SECS: u32 = 24 * 60 * 60;
/// A host that was silent for this long is forgotten first: it is probably gone, and was in no incident lately.
const GONE_SECS: u32 = 30 * 24 * 60 * 60;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::detect) struct FleetHost {
    /// Its id as a number; of an odd id, the beginning of its hash.
    pub(super) id: [u64; 2],
    pub(super) name: CompactString,
    pub(super) traits: SetId,
    pub(super) operations: SetId,
    pub(in crate::detect) activity: HostActivity,
    pub(super) succeeded: Vec<LatestSuccess>,
    /// Servers that its scans reached last, and when, in seconds since 1970; 0 marks an empty place. They are apart
    /// from the successes, since a scan is no attempt.
    pub(super) scanned: [(StringId, u32); SCANNED_MAX],
    /// Failures, boxed since few hosts have any.
    pub(super) trouble: Option<Box<HostTrouble>>,
    /// Time of the newest success that a limit dropped, seconds since 1970.
    pub(super) success_dropped_secs: u32,
    /// Event time of its earliest activity, seconds since 1970, or 0.
    pub(super) active_from_secs: u32,
    /// Whether everything that the host had is shipped; unknown before its first facts.
    pub(in crate::detect) caught_up: Option<bool>,
    /// Whether its logs cannot be read, so that its silence and its few lines say nothing about its health.
    pub(in crate::detect) unreadable: bool,
    /// True when a limit dropped some of its dimensions.
    pub(in crate::detect) dimensions_cut: bool,
    /// True in the place of a forgotten host, which a new host may take.
    pub(super) forgotten: bool,
    /// Log time of its first and of its latest signal, seconds since 1970.
    pub(super) first_secs: u32,
    pub(super) heard_secs: u32,
}

/// The latest success at a subject, in 12 bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct LatestSuccess {
    pub(super) subject: StringId,
    /// Seconds since 1970, which suffice until the year 2106.
    secs: u32,
    millis: u16,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct HostTrouble {
    failing: Vec<FailingSubject>,
    /// When it last counted as newly failing, by family.
    counted: Vec<(Family, i64)>,
}

/// A subject at which a host's latest outcome is a trust failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::detect) struct FailingSubject {
    pub(in crate::detect) subject: StringId,
    pub(in crate::detect) family: Family,
    /// Event time of the first failure since the last success.
    pub(in crate::detect) since: i64,
    /// Event time of the latest failure.
    pub(in crate::detect) last: i64,
    pub(in crate::detect) novelty: Novelty,
}

/// Whether a host has a value of a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum Knows {
    /// The host has the value.
    Yes,
    /// The host has another value of the dimension.
    No,
    /// The host never reported the dimension.
    Unknown,
}

/// Whether a failure has been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::detect) enum Novelty {
    /// Not decided: the failure arrived late, and counts once the facts of the host say that it still fails.
    Waiting,
    /// The host counted as newly failing by this failure, or by another one of the same family.
    Counted,
    /// The failure began before the horizon, or the host is chronic by another subject of the family.
    Chronic,
}

/// Seconds since 1970, which suffice until the year 2106.
pub(super) fn secs_of(time_ms: i64) -> u32 {
    u32::try_from(time_ms.div_euclid(1000)).unwrap_or(if time_ms < 0 { 0 } else { u32::MAX })
}

impl LatestSuccess {
    pub(super) fn of(subject: StringId, time: i64) -> LatestSuccess {
        LatestSuccess { subject, secs: secs_of(time), millis: u16::try_from(time.rem_euclid(1000)).unwrap_or(0) }
    }

    pub(super) fn time(self) -> i64 {
        i64::from(self.secs) * 1000 + i64::from(self.millis)
    }
}

impl FleetHost {
    /// Heap memory of the name: a name of at most 24 bytes needs none, and Windows has names of at most 15.
    fn name_bytes(&self) -> u64 {
        if self.name.is_heap_allocated() { self.name.len() as u64 } else { 0 }
    }

    /// Estimated memory of the host, computed from its contents alone, so that it is the same after a restart.
    pub(in crate::detect) fn bytes(&self) -> u64 {
        let trouble = self.trouble.as_ref().map_or(0, |trouble| {
            TROUBLE_BYTES + trouble.failing.len() as u64 * FAILING_BYTES + trouble.counted.len() as u64 * COUNTED_BYTES
        });
        HOST_BYTES + self.name_bytes() + self.succeeded.len() as u64 * SUCCESS_BYTES + trouble
    }

    /// The state of the host; silent if it was last heard of before `since_secs`.
    pub(super) fn state(&self, since_secs: u32) -> HostState {
        match self.caught_up {
            _ if self.unreadable => HostState::Unreadable,
            Some(false) => HostState::Behind,
            None => HostState::Unknown,
            Some(true) if self.heard_secs < since_secs => HostState::Silent,
            Some(true) => HostState::Active,
        }
    }

    /// True in the place of a forgotten host.
    pub(in crate::detect) fn is_forgotten(&self) -> bool {
        self.forgotten
    }

    pub(super) fn worth(&self, host: HostIndex, now_secs: u32) -> HostWorth {
        let standing = if now_secs.saturating_sub(self.heard_secs) > GONE_SECS {
            Familiarity::Gone
        } else if self.heard_secs.saturating_sub(self.first_secs) >= ESTABLISHED_SECS {
            Familiarity::Established
        } else {
            Familiarity::New
        };
        HostWorth { standing, fails: !self.failing().is_empty(), heard_secs: self.heard_secs, host }
    }

    /// Strings that the host refers to, beside those of its dimensions.
    pub(super) fn subjects(&self) -> impl Iterator<Item = StringId> {
        let failing = self.failing().iter().map(|failing| failing.subject);
        let scanned = self.scanned.iter().filter(|(_, secs)| *secs > 0).map(|(server, _)| *server);
        self.succeeded.iter().map(|success| success.subject).chain(scanned).chain(failing)
    }

    pub(in crate::detect) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The sets of its dimensions and of its operations' dimensions.
    pub(in crate::detect) fn sets(&self) -> [SetId; 2] {
        [self.traits, self.operations]
    }

    pub(in crate::detect) fn failing(&self) -> &[FailingSubject] {
        self.trouble.as_ref().map_or(&[], |trouble| &trouble.failing)
    }

    pub(in crate::detect) fn failing_at(&mut self, place: usize) -> &mut FailingSubject {
        &mut self.trouble.get_or_insert_default().failing[place]
    }

    /// Whether it was active before `time`.
    pub(in crate::detect) fn was_active_before(&self, time: i64) -> bool {
        self.active_from_secs != 0 && i64::from(self.active_from_secs) * 1000 < time
    }

    /// Subjects at which the host succeeded, as far as they are kept, with the time of the newest success at each.
    pub(in crate::detect) fn successes(&self) -> impl Iterator<Item = (StringId, i64)> {
        self.succeeded.iter().map(|success| (success.subject, success.time()))
    }

    /// Subjects at which the host succeeded at or after `from`, with the time of the newest success at each.
    pub(in crate::detect) fn successes_since(&self, from: i64) -> impl Iterator<Item = (StringId, i64)> {
        self.successes().filter(move |(_, time)| *time >= from)
    }

    /// Subjects at which the host succeeded, as far as they are kept.
    pub(in crate::detect) fn succeeded(&self) -> impl Iterator<Item = StringId> {
        self.successes().map(|(subject, _)| subject)
    }

    /// Subjects at which the host succeeded at or after `from`.
    pub(in crate::detect) fn succeeded_since(&self, from: i64) -> impl Iterator<Item = StringId> {
        self.successes_since(from).map(|(subject, _)| subject)
    }

    /// The servers that it scanned successfully at or after `from`, event time.
    pub(in crate::detect) fn scanned_since(&self, from: i64) -> impl Iterator<Item = StringId> {
        let since = secs_of(from).max(1);
        self.scanned.iter().filter(move |(_, secs)| *secs >= since).map(|(server, _)| *server)
    }

    /// Notes that a scan reached its server.
    pub(in crate::detect) fn scan(&mut self, server: StringId, time: i64) {
        let same = self.scanned.iter().position(|(known, secs)| *known == server && *secs > 0);
        let oldest = || (0..SCANNED_MAX).min_by_key(|place| self.scanned[*place].1).unwrap_or(0);
        let place = same.unwrap_or_else(oldest);
        if self.scanned[place].1 < secs_of(time) {
            self.scanned[place] = (server, secs_of(time));
        }
    }

    /// Whether a limit dropped a success at or after `from`, so that its subject is unknown.
    pub(in crate::detect) fn dropped_success_since(&self, from: i64) -> bool {
        i64::from(self.success_dropped_secs) * 1000 >= from
    }

    /// Whether an outcome at `subject` is its first there since `from`.
    pub(in crate::detect) fn is_first_since(&self, subject: StringId, from: i64) -> bool {
        let succeeded = self.succeeded.iter().any(|known| known.subject == subject && known.time() > from);
        !succeeded && !self.failing().iter().any(|failing| failing.subject == subject && failing.last > from)
    }

    /// Notes a success. True when it ends a failure at `subject`. Without room for another subject, the oldest success
    /// gives way, those at subjects of open incidents last, since documents count the hosts that succeeded there.
    pub(in crate::detect) fn succeed(
        &mut self,
        subject: StringId,
        time: i64,
        limits: &DetectorLimits,
        is_told_of: impl Fn(StringId) -> bool,
    ) -> bool {
        match self.succeeded.iter_mut().find(|known| known.subject == subject) {
            Some(known) if known.time() < time => *known = LatestSuccess::of(subject, time),
            Some(_) => {}
            None => self.push_success(LatestSuccess::of(subject, time), limits, is_told_of),
        }
        let Some(trouble) = &mut self.trouble else { return false };
        let before = trouble.failing.len();
        // A success that is older than the failure doesn't end it: records may come out of order.
        trouble.failing.retain(|failing| failing.subject != subject || failing.last > time);
        trouble.failing.len() < before
    }

    fn push_success(&mut self, success: LatestSuccess, limits: &DetectorLimits, is_told_of: impl Fn(StringId) -> bool) {
        if self.succeeded.len() < limits.succeeded_per_host.max(1) {
            if self.succeeded.len() == self.succeeded.capacity() {
                // Two more at a time: most hosts would not use the room that a vector reserves by itself.
                self.succeeded.reserve_exact(2);
            }
            self.succeeded.push(success);
            return;
        }
        let worth = |success: &LatestSuccess| (is_told_of(success.subject), success.time());
        let worths = self.succeeded.iter().map(worth).enumerate();
        if let Some((place, least)) = worths.min_by_key(|(_, worth)| *worth) {
            let dropped =
                if least <= worth(&success) { std::mem::replace(&mut self.succeeded[place], success) } else { success };
            self.success_dropped_secs = self.success_dropped_secs.max(dropped.secs);
        }
    }

    /// Notes a failure and returns its place; `None` when the host succeeded at the subject at that time or later.
    pub(in crate::detect) fn fail(
        &mut self,
        subject: StringId,
        family: Family,
        since: i64,
        time: i64,
        limits: &DetectorLimits,
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
        all.push(FailingSubject { subject, family, since, last: time, novelty: Novelty::Waiting });
        Some(all.len() - 1)
    }

    /// The novelty of another failing subject of the family, heard of since `from`. A host with one is not *newly*
    /// failing.
    pub(in crate::detect) fn fails_elsewhere(&self, subject: StringId, family: Family, from: i64) -> Option<Novelty> {
        let others = || {
            self.failing()
                .iter()
                .filter(|failing| failing.subject != subject && failing.family == family && failing.last >= from)
                .map(|failing| failing.novelty)
        };
        // One chronic subject makes the host chronic, whatever else fails on it.
        others().find(|novelty| *novelty == Novelty::Chronic).or_else(|| others().find(|v| *v == Novelty::Counted))
    }

    pub(in crate::detect) fn last_counted(&self, family: Family) -> Option<i64> {
        let counted = &self.trouble.as_ref()?.counted;
        counted.iter().find(|(known, _)| *known == family).map(|(_, at)| *at)
    }

    pub(in crate::detect) fn set_counted(&mut self, family: Family, time: i64) {
        let counted = &mut self.trouble.get_or_insert_default().counted;
        counted.retain(|(known, _)| *known != family);
        counted.push((family, time));
    }
}

/// The state of a host in metrics and on the status page: the first of these that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum HostState {
    /// Its logs cannot be read.
    Unreadable,
    /// Its earlier lines are still on their way.
    Behind,
    /// No heartbeat of the host came, so nothing says whether it is caught up with.
    Unknown,
    /// It was not heard of for `silent_secs`.
    Silent,
    /// None of the states above.
    Active,
}

impl HostState {
    pub(in crate::detect) const ALL: [HostState; 5] =
        [HostState::Unreadable, HostState::Behind, HostState::Unknown, HostState::Silent, HostState::Active];

    pub(in crate::detect) fn as_str(self) -> &'static str {
        match self {
            HostState::Unreadable => "unreadable",
            HostState::Behind => "behind",
            HostState::Unknown => "unknown",
            HostState::Silent => "silent",
            HostState::Active => "active",
        }
    }
}

/// The worth of a host when memory is short: hosts with the least worth are forgotten first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::detect) struct HostWorth {
    standing: Familiarity,
    fails: bool,
    /// Log time of its latest signal, seconds since 1970: the longest silent hosts are forgotten first.
    heard_secs: u32,
    pub(super) host: HostIndex,
}

/// How well a host is known. The standing counts more than failures do: forged hosts fail at once, and would otherwise
/// displace the healthy hosts of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Familiarity {
    Gone,
    New,
    Established,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million hosts take as many megabytes as one host takes bytes, without its lists.
    #[test]
    fn a_host_is_small() {
        assert!(size_of::<FleetHost>() <= 136, "{}", size_of::<FleetHost>());
        assert_eq!(size_of::<LatestSuccess>(), 12);
    }

    #[test]
    fn a_success_is_kept_to_the_millisecond() {
        for time in [0, 1, 999, 1000, 1_573_745_640_120, 4_102_444_799_999] {
            assert_eq!(LatestSuccess::of(7, time).time(), time);
        }
    }
}
