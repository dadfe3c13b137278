//! The plan of a fleet: which event hits which host at which time. Hosts with a fault of their own are chosen before
//! any cause.

use std::collections::{BTreeMap, BTreeSet};

use super::catalog::Update;
use super::chance::Chance;
use super::client::Client;
use super::operations::ScanFailure;
use super::{HOUR_MS, REPAIR_MS, Spec, TrueCause, Truth, days};

/// Tuesday 2024-04-09 and Tuesday 2019-08-13, when Microsoft released updates, 17:00 UTC.
const RELEASE_2024_MS: i64 = 1_712_682_000_000;
const RELEASE_2019_MS: i64 = 1_565_715_600_000;

/// The operation that a cause breaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Breaks {
    Scan(&'static str),
    Download,
    Install,
}

/// A root cause: the hosts that it hits, and their codes.
#[derive(Debug)]
pub(super) struct Cause {
    pub(super) truth: TrueCause,
    pub(super) breaks: Breaks,
    pub(super) updates: Vec<Update>,
    /// Code of each affected host, and the time from which it fails.
    pub(super) hits: BTreeMap<String, (u32, i64)>,
    pub(super) end_ms: i64,
}

/// Hosts with a fault of their own.
#[derive(Debug, Default)]
pub(super) struct Oddities {
    /// Always fail at the same update, with this code.
    pub(super) chronic: BTreeMap<String, u32>,
    /// Fails once a minute for six hours.
    pub(super) looping: BTreeSet<String>,
    /// Were off until shortly before the end.
    pub(super) returned: BTreeSet<String>,
    /// Clocks that go wrong: the time, and the code of the host's failures.
    pub(super) wrong_clocks: BTreeMap<String, (i64, u32)>,
    /// Hosts that a network outage cuts off, with its begin and end.
    pub(super) outage: Option<(i64, i64, BTreeSet<String>)>,
}

/// Updates of a fleet.
#[derive(Debug)]
pub(super) struct Updates {
    pub(super) third_party: Vec<Update>,
    pub(super) monthly: Update,
    pub(super) definitions: Vec<Update>,
    /// The update at which chronic, looping and unlucky hosts fail.
    pub(super) own: Update,
    /// Updates that these hosts install without trouble from the release on.
    pub(super) also: (Vec<Update>, BTreeSet<String>),
}

/// The decisions before any host lives.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) spec: Spec,
    pub(super) chance: Chance,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) release_ms: i64,
    pub(super) onset_ms: i64,
    pub(super) loop_ms: i64,
    pub(super) clients: Vec<Client>,
    /// Indexes of clients without a fault of their own.
    pub(super) ordinary: Vec<usize>,
    pub(super) odd: Oddities,
    pub(super) updates: Updates,
    pub(super) causes: Vec<Cause>,
}

impl Plan {
    pub(super) fn new(spec: &Spec) -> Plan {
        let mut chance = Chance::new(spec.seed, "plan", spec.hosts as u64);
        let is_2019 = spec.scenario.is_2019();
        let release_ms = if is_2019 { RELEASE_2019_MS } else { RELEASE_2024_MS };
        let days_before = if is_2019 { 7 } else { chance.between(2, 6) };
        let start_ms = release_ms - 17 * HOUR_MS - days(days_before);
        let end_ms = start_ms + days(spec.days);
        let days_after = if spec.repaired { 6 } else { 2 };
        let onset_ms = end_ms - days(days_after) - chance.between(0, 12 * HOUR_MS);
        let third_party = ["Tailspin Editor 11.2 (x64)", "Adatum Player 3.8.1 (x64)", "Proseware Agent 5.0 (x64)"];
        let updates = Updates {
            third_party: third_party.map(|title| Update::third_party(&mut chance, title)).into(),
            monthly: Update::microsoft(&mut chance, "Cumulative Update for the month (KB5036893)"),
            definitions: (0..4).map(|_| Update::microsoft(&mut chance, "Antivirus definitions (KB2267602)")).collect(),
            own: Update::third_party(&mut chance, "Lucerne Backup 2.9 (x64)"),
            also: Default::default(),
        };
        let clients = (0..spec.hosts).map(|index| Client::new(spec, index)).collect();
        let loop_ms = start_ms + days(spec.days) * 55 / 100 + chance.between(0, 6 * HOUR_MS);
        let mut plan = Plan {
            spec: spec.clone(),
            chance,
            start_ms,
            end_ms,
            release_ms,
            onset_ms,
            loop_ms,
            clients,
            updates,
            ordinary: Vec::new(),
            odd: Oddities::default(),
            causes: Vec::new(),
        };
        plan.choose_odd_hosts();
        plan.choose_causes();
        if spec.repaired {
            for cause in &mut plan.causes {
                cause.end_ms = cause.truth.onset_ms + REPAIR_MS;
            }
        }
        plan
    }

    fn choose_odd_hosts(&mut self) {
        let count = self.spec.hosts;
        let mut order: Vec<usize> = (0..count).collect();
        self.chance.shuffle(&mut order);
        let chronic = (count * self.spec.noise_percent as usize / 50_000).max(1);
        for index in take(&mut order, chronic) {
            let code = self.chance.pick(&[super::LEGACY_UNTRUSTED, 0x800b_0101, 0x8009_6010, 0x800b_010a]);
            let client = &self.clients[index];
            let is_renamed = !client.is_legacy() && code == super::LEGACY_UNTRUSTED;
            self.odd.chronic.insert(client.name.clone(), if is_renamed { super::MODERN_UNTRUSTED } else { code });
        }
        let name = |plan: &Plan, index: usize| plan.clients[index].name.clone();
        self.odd.looping = take(&mut order, 1).into_iter().map(|index| name(self, index)).collect();
        if count >= 100 {
            self.odd.returned = take(&mut order, count / 100).into_iter().map(|index| name(self, index)).collect();
            for index in take(&mut order, (count / 200).max(1)) {
                self.clients[index].set_wrong_clock();
            }
        }
        order.sort_unstable();
        self.ordinary = order;
    }

    /// The real causes, after all hosts have lived.
    pub(super) fn truth(self) -> Truth {
        let causes = self.causes.into_iter().map(|cause| cause.truth).filter(|cause| !cause.hosts.is_empty());
        Truth { causes: causes.collect() }
    }

    /// A scan failure of this cause, where it breaks scans.
    pub(super) fn scan_failure(breaks: Breaks, code: u32) -> Option<ScanFailure> {
        match breaks {
            Breaks::Scan(proxy) => Some(ScanFailure { code, proxy }),
            Breaks::Download | Breaks::Install => None,
        }
    }
}

/// Takes some of a list, an eighth of it at most.
fn take(order: &mut Vec<usize>, count: usize) -> Vec<usize> {
    let left = order.len() - count.min(order.len() / 8);
    order.split_off(left)
}
