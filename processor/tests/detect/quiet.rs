//! Fleets that must raise no alert.

use std::collections::BTreeMap;

use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{Attempt, Fact, Failing, Outcome, ScanDone};

use crate::world::{DAY, HOUR, MINUTE, MONTHLY, START, THIRD_PARTY, World, host};

/// A fleet that lives for `days`, in which a scan finds a failure of its own with `probability`; the host succeeds at
/// its next scan in three cases of four. On the second day every host gets the monthly update.
fn trickle(hosts: u32, days: i64, probability: f64, seed: u64) -> World {
    let mut world = World::new(hosts, seed);
    let mut broken = vec![false; hosts as usize];
    world.live(START, START + days * DAY, |world, index, time| {
        if time > START + DAY {
            world.succeed(index, time, MONTHLY);
        }
        if broken[index as usize] && world.luck.chance(0.75) {
            broken[index as usize] = false;
            world.succeed(index, time, THIRD_PARTY);
        } else if broken[index as usize] || world.luck.chance(probability) {
            broken[index as usize] = true;
            world.fail(index, time, THIRD_PARTY);
        }
    });
    world
}

fn quiet(world: World) {
    let alerts = world.alerts();
    assert!(alerts.is_empty(), "{} {:?}", alerts[0].summary, alerts[0].detection);
}

#[test]
fn a_trickle_is_no_cluster() {
    for (hosts, seed) in [(20, 1), (20, 2), (200, 3), (200, 4), (1000, 5), (5000, 6), (5000, 7)] {
        let alerts = trickle(hosts, 14, 0.0008, seed).alerts();
        assert!(alerts.is_empty(), "{hosts} hosts, seed {seed}: {} {:?}", alerts[0].summary, alerts[0].detection);
    }
}

/// A fleet that was never well kept: from the first minute on, two scans in a hundred find a failure.
#[test]
fn a_badly_kept_fleet_is_no_cluster_on_its_first_days() {
    for (hosts, seed) in [(20, 60), (200, 61), (200, 62), (1000, 63), (5000, 64)] {
        let alerts = trickle(hosts, 6, 0.02, seed).alerts();
        assert!(alerts.is_empty(), "{hosts} hosts, seed {seed}: {} {:?}", alerts[0].summary, alerts[0].detection);
    }
}

/// A thousand hosts start between 8:00 and 8:30, and six of them fail each morning.
#[test]
fn a_monday_morning_is_no_cluster() {
    let mut world = World::new(1000, 8);
    for day in 0..10 {
        for index in 0..1000 {
            let time = START + day * DAY + 8 * HOUR + world.luck.below(30 * MINUTE);
            if day == 0 {
                world.facts(index, time - MINUTE, &[]);
            }
            world.scan(index, time);
            if index / 6 == day as u32 {
                world.fail(index, time, THIRD_PARTY);
            }
        }
    }
    // On the very first morning, six failures among a thousand hosts within half an hour are judged by the prior alone.
    quiet(world);
}

/// Hosts that fail one scan each, `apart` from each other, in a healthy fleet; `then` adds the following events.
fn one_failed_scan_each(hosts: u32, failing: u32, apart: i64, mut then: impl FnMut(&mut World, u32, i64)) -> World {
    let mut world = World::new(hosts, 31);
    world.live(START, START + 8 * DAY, |world, index, time| world.succeed(index, time, MONTHLY));
    for index in 0..failing {
        let time = START + 7 * DAY + i64::from(index) * apart;
        world.attempt(index, time, SERVER, Some((Family::Tls, "0x80072f8f", time)));
        then(&mut world, index, time);
    }
    world
}

const SERVER: &str = "server:wsus1.corp.example:8531";

#[test]
fn hosts_that_recover_within_minutes_are_no_cluster() {
    for (hosts, failing, apart) in [(20, 3, 30 * MINUTE), (60, 15, 12 * MINUTE), (60, 12, 2 * HOUR)] {
        let recovers = |world: &mut World, index, time| world.attempt(index, time + 2 * MINUTE, SERVER, None);
        quiet(one_failed_scan_each(hosts, failing, apart, recovers));
        let alerts = one_failed_scan_each(hosts, failing, apart, |_, _, _| {}).alerts();
        assert!(!alerts.is_empty(), "{hosts} hosts: without a success after the failure it is a cluster");
    }
}

/// A host that recovers and fails again for good counts as newly failing, though its first failure was counted already.
#[test]
fn hosts_that_recover_and_fail_again_are_a_cluster() {
    let fails_again = |world: &mut World, index, time| {
        world.attempt(index, time + MINUTE, SERVER, None);
        let again = time + 5 * HOUR;
        world.attempt(index, again, SERVER, Some((Family::Tls, "0x80072f8f", again)));
    };
    let alerts = one_failed_scan_each(60, 15, 2 * MINUTE, fails_again).alerts();
    assert_eq!(alerts.last().expect("an incident").hosts.affected, 15);
    assert!(alerts[0].time.opened.0 >= START + 7 * DAY + 5 * HOUR, "{}", alerts[0].time.opened);
}

#[test]
fn two_hosts_are_not_a_cluster() {
    let mut world = World::new(20, 9);
    world.live(START, START + 3 * DAY, |world, index, time| {
        if index < 2 {
            world.fail(index, time, THIRD_PARTY);
        }
    });
    quiet(world);
}

#[test]
fn a_looping_host_counts_once() {
    let mut world = World::new(20, 10);
    world.live(START, START + 2 * DAY, |_, _, _| {});
    for minute in 0..2000 {
        world.fail(3, START + DAY + minute * MINUTE, THIRD_PARTY);
        world.fail(3, START + DAY + minute * MINUTE, &format!("update:{minute:036}"));
        world.succeed(3, START + DAY + minute * MINUTE + 30_000, THIRD_PARTY);
    }
    quiet(world);
}

/// Forty hosts have failed for ten days when wulog is installed, go on failing, and fail at the new update too.
#[test]
fn chronic_hosts_open_nothing() {
    let mut world = World::new(200, 11);
    world.live(START, START + 4 * DAY, |world, index, time| {
        if index < 40 {
            let since = START - 10 * DAY;
            world.attempt(index, time, THIRD_PARTY, Some((Family::UntrustedRoot, "0x800b0109", since)));
            if time > START + 2 * DAY {
                world.fail(index, time, MONTHLY);
            }
        }
    });
    quiet(world);
}

#[test]
fn a_flapping_host_counts_once() {
    let mut world = World::new(200, 12);
    world.live(START, START + 2 * DAY, |world, index, time| world.succeed(index, time, MONTHLY));
    for minute in 0..600 {
        world.fail(3, START + DAY + minute * MINUTE, THIRD_PARTY);
        world.succeed(3, START + DAY + minute * MINUTE + 30_000, THIRD_PARTY);
    }
    quiet(world);
}

/// Twelve hosts broke one by one in six days; on Patch Tuesday all of them fail at the new update within an hour.
#[test]
fn broken_hosts_at_a_new_update_open_nothing() {
    let mut world = World::new(500, 13);
    world.live(START, START + 7 * DAY, |world, index, time| {
        if index < 12 && time > START + i64::from(index) * 12 * HOUR {
            world.fail(index, time, THIRD_PARTY);
        }
    });
    for index in 0..12 {
        world.fail(index, START + 7 * DAY + i64::from(index) * 5 * MINUTE, MONTHLY);
    }
    quiet(world);
}

/// A fleet is connected over five days. One host in fifty has long failed at one update, which no other host tries.
#[test]
fn broken_hosts_that_appear_one_after_another_open_nothing() {
    let mut world = World::new(1000, 15);
    for index in 0..1000 {
        let mut time = START + world.luck.below(5 * DAY);
        world.facts(index, time - MINUTE, &[]);
        while time < START + 9 * DAY {
            world.scan(index, time);
            world.succeed(index, time + MINUTE, &format!("update:{:036}", time / DAY));
            if index % 50 == 0 {
                world.fail(index, time + 2 * MINUTE, THIRD_PARTY);
            }
            time += 17 * HOUR + world.luck.below(5 * HOUR);
        }
    }
    quiet(world);
}

/// Four hundred of 2000 hosts come back from a week of holidays within half an hour, with as many failures as in any
/// week.
#[test]
fn hosts_that_come_back_bring_no_cluster() {
    let mut world = World::new(2000, 14);
    let (away, back) = (START + 4 * DAY, START + 11 * DAY);
    let is_away = |index: u32, time: i64| index < 400 && (away..back).contains(&time);
    world.live(START, START + 13 * DAY, |world, index, time| {
        let failed = world.luck.chance(0.004).then_some((Family::UntrustedRoot, "0x800b0109", time));
        world.attempt(index, time, &format!("update:{:036}", time / DAY), failed);
    });
    let mut failing = BTreeMap::<String, Vec<Failing>>::new();
    for signal in &mut world.signals {
        let (Fact::Attempt(Attempt { host, .. }) | Fact::ScanDone(ScanDone { host, .. })) = &signal.fact else {
            continue;
        };
        let index = u32::from_str_radix(&host.id, 16).expect("ids count up");
        if !is_away(index, signal.log_time) {
            continue;
        }
        signal.log_time = back + i64::from(index % 30) * MINUTE;
        if let Fact::Attempt(attempt) = &mut signal.fact {
            attempt.late = attempt.event_time < signal.log_time - DAY;
            if attempt.outcome == Outcome::Failure {
                let (subject, code) = (attempt.subject.clone(), "0x800b0109".to_owned());
                let still = Failing { subject, family: Family::UntrustedRoot, code, since: attempt.event_time };
                failing.entry(attempt.host.id.clone()).or_default().push(still);
            }
        }
    }
    for index in 0..400 {
        let still: Vec<Failing> = failing.remove(&host(index).id).unwrap_or_default();
        let still: Vec<(&str, i64)> = still.iter().map(|failing| (failing.subject.as_str(), failing.since)).collect();
        world.facts(index, back + i64::from(index % 30) * MINUTE + MINUTE, &still);
    }
    quiet(world);
}
