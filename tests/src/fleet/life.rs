//! The course of one host's life: it wakes, scans, tries the updates that it finds, and sleeps until its next scan.

use std::collections::{BTreeSet, VecDeque};

use super::dialect::{Dialect, Verdict};
use super::host::{Habit, Host};
use super::legacy::Legacy;
use super::modern::Modern;
use super::pen::{Line, Pen, Process};
use super::random::Random;
use super::spec::{Cause, FleetSpec, HOUR_MS, Publisher, Update};

/// The client's detection frequency; each interval is up to a fifth shorter, by chance.
const SCAN_INTERVAL_MS: i64 = 22 * HOUR_MS;

/// A client that could not scan tries again after some hours.
const SCAN_RETRY_MS: i64 = 5 * HOUR_MS;

/// How long a looping host waits between its attempts.
const LOOP_INTERVAL_MS: i64 = 45 * 60_000;

/// Maximum number of updates at one scan, so that a wake ends long before the next.
const UPDATES_PER_SCAN: usize = 4;

/// One host and its current state.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) host: Host,
    random: Random,
    process: Process,
    next_wake_ms: i64,
    /// Updates that are installed, by index into the catalogue.
    installed: BTreeSet<usize>,
    /// Time of the first failure of the outbreak's update.
    pub(super) outbreak_failure_ms: Option<i64>,
    /// Lines that are written and not yet taken.
    lines: VecDeque<Line>,
}

/// All updates that can be published to a fleet: the catalogue, then the outbreak's update.
fn published(spec: &FleetSpec) -> impl Iterator<Item = (usize, &Update)> {
    spec.updates.iter().chain(spec.outbreak.iter().map(|outbreak| &outbreak.update)).enumerate()
}

impl Life {
    pub(super) fn new(spec: &FleetSpec, index: usize) -> Life {
        let mut random = Random::stream(spec.seed, "life", index as u64);
        let next_wake_ms = spec.start_ms + random.within(0..SCAN_INTERVAL_MS);
        Life {
            host: Host::new(spec, index),
            random,
            process: Process::default(),
            next_wake_ms,
            installed: BTreeSet::new(),
            outbreak_failure_ms: None,
            lines: VecDeque::new(),
        }
    }

    /// Lives until `until_ms` and returns the lines written before it, in the order of the file.
    pub(super) fn live(&mut self, spec: &FleetSpec, until_ms: i64, mut take: impl FnMut(&str)) -> u64 {
        while self.next_wake_ms < until_ms {
            let mut lines = std::mem::take(&mut self.lines);
            self.wake(spec, Some(&mut lines));
            self.lines = lines;
        }
        let mut taken = 0;
        while let Some(line) = self.lines.pop_front_if(|line| line.at_ms < until_ms) {
            take(&line.text);
            taken += 1;
        }
        taken
    }

    /// Lives until `until_ms` without writing, to learn the future failures.
    pub(super) fn foresee(&mut self, spec: &FleetSpec, until_ms: i64) {
        while self.next_wake_ms < until_ms && self.outbreak_failure_ms.is_none() {
            self.wake(spec, None);
        }
    }

    fn wake(&mut self, spec: &FleetSpec, lines: Option<&mut VecDeque<Line>>) {
        let Life { host, random, process, .. } = self;
        let woke_ms = self.next_wake_ms;
        let now_ticks = woke_ms * 10_000 + random.within(0..10_000);
        let mut pen = Pen { host, random, process, lines, tid: 0, now_ticks };
        let dialect: &dyn Dialect = if host.system.form.is_legacy() { &Legacy } else { &Modern };

        service(&mut pen, dialect);
        if pen.random.percent(15) {
            dialect.other_program(&mut pen);
        }
        pen.wait(1_000..60_000);
        let asleep_ms = if let Some(code) = site_code(spec, host, pen.now_ms()) {
            dialect.scan_failed(&mut pen, code);
            self.outbreak_failure_ms.get_or_insert(pen.now_ms());
            SCAN_RETRY_MS
        } else if pen.random.percent(3) {
            let code = if host.system.form.is_legacy() { 0x8024_402c } else { 0x8024_0438 };
            dialect.scan_failed(&mut pen, code);
            SCAN_RETRY_MS
        } else {
            let found: Vec<(usize, &Update)> = published(spec)
                .filter(|(index, update)| {
                    update.published_ms <= pen.now_ms() && host.wants(update) && !self.installed.contains(index)
                })
                .take(UPDATES_PER_SCAN)
                .collect();
            let updates: Vec<&Update> = found.iter().map(|(_, update)| *update).collect();
            dialect.scan(&mut pen, &updates);
            for (index, update) in found {
                let verdict = verdict(spec, host, index, pen.now_ms());
                let definite_ms = dialect.attempt(&mut pen, update, verdict);
                if verdict == Verdict::Installed {
                    self.installed.insert(index);
                } else if index == spec.updates.len() {
                    self.outbreak_failure_ms.get_or_insert(definite_ms);
                }
            }
            dialect.upload(&mut pen);
            interval(host.habit, pen.random)
        };
        if !host.system.form.is_legacy() {
            dialect.service_exit(&mut pen);
        }
        // + a minute, since a wake must be over when the next begins.
        self.next_wake_ms = (woke_ms + asleep_ms).max(pen.now_ms() + 60_000);
    }
}

/// Windows 10 starts the service for each scan; before, it runs from one start of Windows to the next.
fn service(pen: &mut Pen<'_>, dialect: &dyn Dialect) {
    let first = pen.process.pid == 0;
    let restarts = pen.random.percent(if pen.host.system.server { 5 } else { 60 });
    if pen.host.system.form.is_legacy() && !first {
        if !restarts {
            return;
        }
        dialect.service_exit(pen);
        pen.wait(30_000..300_000);
    }
    if first || restarts {
        pen.process.pid = 4 * u32::try_from(pen.random.within(190..500)).expect("a small number");
    }
    pen.process.next_call = 0;
    dialect.service_start(pen);
}

fn interval(habit: Habit, random: &mut Random) -> i64 {
    match habit {
        Habit::LoopsInstall | Habit::LoopsSignature => LOOP_INTERVAL_MS + random.within(0..600_000),
        Habit::Healthy | Habit::Chronic => SCAN_INTERVAL_MS - random.within(0..SCAN_INTERVAL_MS / 5),
    }
}

/// The code at the end of a scan at this time, if the host does not trust its WSUS server.
fn site_code(spec: &FleetSpec, host: &Host, now_ms: i64) -> Option<u32> {
    let outbreak = spec.outbreak.as_ref().filter(|outbreak| outbreak.cause == Cause::Site)?;
    let is_over = outbreak.end_ms.is_some_and(|end_ms| now_ms >= end_ms);
    (host.wsus == outbreak.wsus && now_ms >= outbreak.onset_ms && !is_over).then(|| outbreak.cause.chain_code())
}

/// The outcome of this host's attempt at this update at this time.
fn verdict(spec: &FleetSpec, host: &Host, index: usize, now_ms: i64) -> Verdict {
    let legacy = host.system.form.is_legacy();
    if let Some(outbreak) = &spec.outbreak
        && index == spec.updates.len()
    {
        let begun = now_ms >= outbreak.onset_ms;
        let over = outbreak.end_ms.is_some_and(|end_ms| now_ms >= end_ms);
        if host.wsus == outbreak.wsus && begun && !over && outbreak.cause != Cause::Site {
            let cause = outbreak.cause;
            let code = if legacy { cause.legacy_code(host.publisher_only) } else { cause.modern_code() };
            return Verdict::Untrusted { chain_code: cause.chain_code(), code };
        }
        return Verdict::Installed;
    }
    let first_third_party = spec.updates.iter().position(|update| update.publisher == Publisher::ThirdParty);
    match host.habit {
        Habit::Chronic if first_third_party == Some(index) => {
            let code = if legacy { 0x800b_0109 } else { 0x8024_b303 };
            Verdict::Untrusted { chain_code: 0x800b_0109, code }
        }
        Habit::LoopsInstall if first_third_party == Some(index) => Verdict::InstallFailed { code: 0x8007_0643 },
        Habit::LoopsSignature if first_third_party == Some(index) => {
            Verdict::Untrusted { chain_code: 0x800b_0100, code: 0x800b_0100 }
        }
        _ => Verdict::Installed,
    }
}
