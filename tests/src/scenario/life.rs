//! The course of one host's life: it wakes, scans, tries the updates that it finds, and sleeps until its next scan.

use super::plan::{At, Plan};
use super::population::Host;
use super::time::{DAY, HOUR, MINUTE, PATCH_TUESDAY, START};
use crate::fleet::random::Random;
use wulog_schemas::hresult::Family;

/// Interval of third-party updates; chronic hosts fail at the first one.
const THIRD_PARTY_EVERY: i64 = 3 * DAY;
const THIRD_PARTY: usize = 12;
/// Updates of a Patch Tuesday: one for each form, and the MSRT.
const MONTHLY: usize = 3;
/// A client that could not scan tries again after some hours.
const SCAN_RETRY: i64 = 5 * HOUR;
const LOOP_INTERVAL: i64 = 45 * MINUTE;

/// One action of a host.
#[derive(Clone, Debug)]
pub(super) struct Doing {
    /// Time by the host's own clock, as UTC.
    pub time: i64,
    /// Time at which the log receives it.
    pub arrives: i64,
    /// The action.
    pub what: What,
}

/// The kinds of actions.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A scan ended, well or for a reason other than trust.
    Scan {
        /// Whether it succeeded.
        ok: bool,
    },
    /// An attempt at a subject ended.
    Attempt {
        /// The subject of the attempt.
        subject: Subject,
        /// Family and code of a trust failure.
        failed: Option<(Family, &'static str)>,
        /// True where the line existed before: a file was regenerated.
        again: bool,
    },
}

/// A subject that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// Update by its number; see [`Subject::text`].
    Update(usize),
    /// Malware definitions of a day.
    Definitions(i64),
    /// A server, by its name.
    Server(&'static str),
}

impl Subject {
    /// The subject in the spelling of signals.
    #[must_use]
    pub(super) fn text(self) -> String {
        match self {
            Subject::Update(number) => format!("update:{}", guid(number as u64)),
            Subject::Definitions(day) => format!("update:{}", guid(1_000 + day.unsigned_abs())),
            Subject::Server(name) => format!("server:{name}"),
        }
    }
}

fn guid(number: u64) -> String {
    Random::stream(number, "scenario update", 0).guid().to_lowercase()
}

/// Number of the update of a fault.
#[must_use]
pub(super) fn update_of_fault(fault: usize) -> usize {
    THIRD_PARTY + MONTHLY + fault
}

/// A host and its current state.
pub(super) struct Life {
    random: Random,
    installed: u64,
    definitions: i64,
    /// Updates that failed by chance.
    unlucky: u64,
    chronic: bool,
    looping: bool,
    /// The server that the last scan could not reach for a reason of trust.
    unreachable: Option<&'static str>,
    fault_failures: u32,
    /// First failure of each fault.
    pub(super) struck: Vec<Option<i64>>,
    past: Vec<(i64, Subject, (Family, &'static str))>,
}

impl Life {
    pub(super) fn new(seed: u64, host: &Host, plan: &Plan, hosts: u32) -> Life {
        let from_end = hosts - 1 - host.index;
        Life {
            random: Random::stream(seed, "scenario life", u64::from(host.index)),
            installed: 0,
            definitions: 0,
            unlucky: 0,
            chronic: one_in(plan.chronic_one_in, host.index, 5),
            looping: from_end < plan.looping && hosts >= 20,
            unreachable: None,
            fault_failures: 0,
            struck: vec![None; plan.faults.len()],
            past: Vec::new(),
        }
    }

    /// Time of its first wake.
    pub(super) fn first_wake(&mut self, host: &Host) -> i64 {
        let due = START + self.random.within(0..20 * HOUR);
        self.when_on(host, due)
    }

    /// True if the host failed before the run began, so that no fault makes it newly failing.
    pub(super) fn is_chronic(&self) -> bool {
        self.chronic
    }

    fn when_on(&mut self, host: &Host, due: i64) -> i64 {
        let on = host.next_on(due);
        if on == due { due } else { on + self.random.within(MINUTE..20 * MINUTE) }
    }

    /// Wakes the host at `now`; returns the next wake, or `None` when the host falls silent for good.
    pub(super) fn wake(&mut self, host: &Host, plan: &Plan, now: i64, out: &mut Vec<Doing>) -> Option<i64> {
        let mut time = now;
        if self.looping {
            self.attempt(&mut time, Subject::Update(900), Some((Family::Signature, "0x800b0100")), out);
            out.push(scan(time, true));
            return Some(self.when_on(host, time + LOOP_INTERVAL));
        }
        if let Some(next) = self.scan(host, plan, &mut time, out) {
            return next;
        }
        let mut retry = None;
        for (subject, fault) in self.wanted(host, plan, time) {
            let failed = match fault {
                Some(fault) => {
                    self.struck[fault].get_or_insert(time);
                    self.fault_failures += 1;
                    retry = retry.or(plan.faults[fault].retry);
                    Some(plan.faults[fault].code(host))
                }
                None => self.luck(subject, plan.noise),
            };
            self.attempt(&mut time, subject, failed, out);
            if plan.faults.iter().any(|fault| fault.silent_after.is_some_and(|most| self.fault_failures >= most)) {
                return None;
            }
        }
        if plan.stale {
            self.past.retain(|(at, ..)| *at > now - 7 * DAY);
            out.extend(self.past.iter().map(|(at, subject, failed)| Doing {
                time: *at,
                arrives: time,
                what: What::Attempt { subject: *subject, failed: Some(*failed), again: true },
            }));
        }
        let pause = retry.unwrap_or_else(|| 17 * HOUR + self.random.within(0..5 * HOUR));
        Some(self.when_on(host, time + pause))
    }

    /// Scans. After a failure, returns the time of the next wake.
    fn scan(&mut self, host: &Host, plan: &Plan, time: &mut i64, out: &mut Vec<Doing>) -> Option<Option<i64>> {
        let fault = plan.faults.iter().enumerate().find_map(|(number, fault)| match fault.at {
            At::Server(name) if strikes(fault, host, *time) => Some((number, fault, name)),
            _ => None,
        });
        if let Some((number, fault, name)) = fault {
            self.struck[number].get_or_insert(*time);
            self.fault_failures += 1;
            self.unreachable = Some(name);
            self.attempt_at(*time, Subject::Server(name), Some(fault.code(host)), out);
            out.push(scan(*time, false));
            if fault.silent_after.is_some_and(|most| self.fault_failures >= most) {
                return Some(None);
            }
            return Some(Some(self.when_on(host, *time + fault.retry.unwrap_or(SCAN_RETRY))));
        }
        if self.random.percent(2) {
            out.push(scan(*time, false));
            return Some(Some(self.when_on(host, *time + SCAN_RETRY)));
        }
        // Hotels and trains: a portal answers in place of the server.
        if self.chance(plan.noise / 2.0) {
            self.unreachable = Some("portal");
            self.attempt_at(*time, Subject::Server("portal"), Some((Family::Tls, "0x80072f8f")), out);
            return Some(Some(self.when_on(host, *time + SCAN_RETRY)));
        }
        if let Some(name) = self.unreachable.take() {
            self.attempt_at(*time, Subject::Server(name), None, out);
        }
        out.push(scan(*time, true));
        *time += 2 * MINUTE;
        None
    }

    /// The subjects to try, each with the fault that makes it fail. A tried update counts as installed unless it fails.
    fn wanted(&mut self, host: &Host, plan: &Plan, now: i64) -> Vec<(Subject, Option<usize>)> {
        let mut wanted = Vec::new();
        let today = now.div_euclid(DAY);
        if self.definitions < today {
            self.definitions = today;
            wanted.push((Subject::Definitions(today), None));
        }
        let third_party = usize::try_from((now - START) / THIRD_PARTY_EVERY + 1).unwrap_or(0).min(THIRD_PARTY);
        let monthly = |number: usize| match number {
            0 => host.system.form == "legacy",
            1 => host.system.form == "etw",
            _ => true,
        };
        let months =
            (THIRD_PARTY..THIRD_PARTY + MONTHLY).filter(|at| now >= PATCH_TUESDAY && monthly(at - THIRD_PARTY));
        let of_faults = plan.faults.iter().enumerate().filter(|(_, fault)| {
            now >= fault.published
                && match fault.at {
                    At::Update => true,
                    At::OwnUpdate => (fault.who)(host).is_some(),
                    At::Monthly | At::Published | At::Server(_) => false,
                }
        });
        let all: Vec<usize> =
            (0..third_party).chain(months).chain(of_faults.map(|(number, _)| update_of_fault(number))).collect();
        for number in all {
            let fault = plan.faults.iter().position(|fault| fault_at(fault, plan, number) && strikes(fault, host, now));
            let fault = fault.filter(|_| !self.chronic);
            let recheck = fault.is_some_and(|fault| plan.faults[fault].at == At::Published);
            if self.installed & (1 << number) != 0 && !(recheck && number + 4 >= third_party) {
                continue;
            }
            wanted.push((Subject::Update(number), fault));
        }
        wanted
    }

    fn luck(&mut self, subject: Subject, noise: f64) -> Option<(Family, &'static str)> {
        let Subject::Update(number) = subject else {
            return self.chance(noise).then(|| self.mishap());
        };
        if self.chronic && number < THIRD_PARTY {
            return Some((Family::UntrustedRoot, "0x800b0109"));
        }
        let bit = 1 << number;
        let fails = if self.unlucky & bit == 0 { self.chance(noise) } else { self.chance(0.25) };
        if fails {
            self.unlucky |= bit;
        }
        fails.then(|| self.mishap())
    }

    /// A failure by chance: a damaged download, a store without a certificate, a wrong clock.
    fn mishap(&mut self) -> (Family, &'static str) {
        match self.random.below(10) {
            0..4 => (Family::Signature, "0x80096010"),
            4..7 => (Family::UntrustedRoot, "0x800b0109"),
            7..9 => (Family::Expired, "0x800b0101"),
            _ => (Family::Chain, "0x800b010a"),
        }
    }

    fn attempt(
        &mut self,
        time: &mut i64,
        subject: Subject,
        failed: Option<(Family, &'static str)>,
        out: &mut Vec<Doing>,
    ) {
        if let (Subject::Update(number @ ..64), None) = (subject, failed) {
            self.installed |= 1 << number;
            self.unlucky &= !(1 << number);
        }
        self.attempt_at(*time, subject, failed, out);
        *time += self.random.within(3 * MINUTE..15 * MINUTE);
    }

    fn attempt_at(
        &mut self,
        time: i64,
        subject: Subject,
        failed: Option<(Family, &'static str)>,
        out: &mut Vec<Doing>,
    ) {
        self.past.extend(failed.map(|failed| (time, subject, failed)));
        let what = What::Attempt { subject, failed, again: false };
        out.push(Doing { time, arrives: time, what });
    }

    fn chance(&mut self, probability: f64) -> bool {
        (self.random.next() >> 11) as f64 / (1_u64 << 53) as f64 <= probability
    }
}

fn scan(time: i64, ok: bool) -> Doing {
    Doing { time, arrives: time, what: What::Scan { ok } }
}

fn fault_at(fault: &super::plan::Fault, plan: &Plan, number: usize) -> bool {
    match fault.at {
        At::Update | At::OwnUpdate => {
            plan.faults.get(number.wrapping_sub(update_of_fault(0))).is_some_and(|own| std::ptr::eq(own, fault))
        }
        At::Monthly => (THIRD_PARTY..THIRD_PARTY + MONTHLY).contains(&number),
        At::Published => number < THIRD_PARTY,
        At::Server(_) => false,
    }
}

fn strikes(fault: &super::plan::Fault, host: &Host, now: i64) -> bool {
    now < fault.fixed && (fault.who)(host).is_some_and(|onset| now >= onset)
}

/// Every `one_in`th host, shifted by `shift`; no host if `one_in` is 0.
pub(super) fn one_in(one_in: u32, index: u32, shift: u32) -> bool {
    one_in > 0 && index % one_in == shift % one_in
}
