//! Incidents that come again or end without a success, and updates that other hosts installed long before.

use wulog_schemas::alert::{Alert, State, Transition};
use wulog_schemas::signal::{Fact, NOT_OFFERED};

use crate::world::{DAY, HOUR, MINUTE, MONTHLY, START, THIRD_PARTY, World, wsus_of};

const HOSTS: u32 = 80;
const ONSET: i64 = START + 3 * DAY;

fn last(alerts: &[Alert]) -> &Alert {
    alerts.last().expect("an incident")
}

/// The clients of one server fail for some hours each week and recover; in the second week other hosts are among them.
#[test]
fn a_reopened_incident_counts_the_hosts_that_fail_now() {
    let week = |number: i64| ONSET + number * 7 * DAY;
    let mut world = World::new(HOSTS, 3);
    world.live(START, week(1) + DAY, |world, index, time| world.succeed(index, time, MONTHLY));
    for index in (0..HOSTS).filter(|index| wsus_of(*index) == 1) {
        let time = week(0) + i64::from(index) * MINUTE;
        world.fail(index, time, THIRD_PARTY);
        world.succeed(index, time + 5 * HOUR, THIRD_PARTY);
    }
    let again: Vec<u32> = (0..HOSTS).filter(|index| wsus_of(*index) == 1).step_by(4).collect();
    for index in &again {
        world.fail(*index, week(1) + i64::from(*index) * MINUTE, THIRD_PARTY);
    }
    let alerts = world.alerts();
    let first = alerts.iter().find(|alert| alert.transition == Transition::Resolved).expect("it was over");
    assert_eq!((first.hosts.affected, first.hosts.recovered), (20, 20));
    let last = last(&alerts);
    assert!(alerts.iter().any(|alert| alert.transition == Transition::Reopened), "one cause is one incident");
    assert_eq!((&last.id, last.state), (&first.id, State::Open));
    assert_eq!((last.hosts.affected, last.hosts.recovered), (again.len() as u64, 0));
    assert_eq!(last.time.onset.0, week(1) + i64::from(again[0]) * MINUTE);
    assert_eq!(last.subjects[0].hosts, again.len() as u64);
    let reopened = alerts.iter().find(|alert| alert.transition == Transition::Reopened).unwrap();
    assert!(reopened.summary.contains("2019-11-21"), "the second week's day: {}", reopened.summary);
}

/// All hosts except nine, which were away, install an update. Then the hosts get new definitions each day, more than
/// the number of successes kept for a host. Weeks later the nine hosts come back and fail at the update.
#[test]
fn a_host_that_installed_the_update_long_ago_has_tried_it() {
    let away = |index: u32| index.is_multiple_of(9);
    let back = START + 20 * DAY;
    let mut world = World::new(HOSTS, 4);
    world.live(START, back + DAY, |world, index, time| {
        let day = (time - START) / DAY;
        if away(index) && (2..20).contains(&day) {
            return;
        }
        if day == 2 {
            world.succeed(index, time, THIRD_PARTY);
        }
        world.succeed(index, time + MINUTE, &format!("update:{day:08x}-0000-0000-0000-000000000000"));
        if away(index) && day >= 20 {
            world.fail(index, time + 2 * MINUTE, THIRD_PARTY);
        }
    });
    let alerts = world.alerts();
    let last = last(&alerts);
    assert_eq!(last.hosts.affected, 9);
    // A host without a scan on day 2 did not install the update.
    let succeeded = last.contrast.same_subject_succeeded_hosts;
    assert!((60..=71).contains(&succeeded), "{succeeded} of 71 hosts");
    assert!(last.summary.contains(&format!("9 of the {} hosts that tried", 9 + succeeded)), "{}", last.summary);
    assert!(!last.common_factors.iter().any(|factor| factor.untried_elsewhere), "{:?}", last.common_factors);
}

/// Hosts fail at an update, which is then declined: no scan offers the update any more.
#[test]
fn an_update_that_is_withdrawn_is_no_success() {
    let resolved = |withdrawn: fn(u32) -> bool| {
        let mut world = World::new(HOSTS, 5);
        world.live(START, ONSET + 3 * DAY, |world, index, time| world.succeed(index, time, MONTHLY));
        for index in (0..HOSTS).filter(|index| wsus_of(*index) == 1) {
            let time = ONSET + i64::from(index) * MINUTE;
            world.fail(index, time, THIRD_PARTY);
            world.succeed(index, time + 30 * HOUR, THIRD_PARTY);
            if let (true, Some(Fact::Attempt(attempt))) =
                (withdrawn(index), world.signals.last_mut().map(|signal| &mut signal.fact))
            {
                let (name, value) = NOT_OFFERED;
                attempt.dimensions.insert(name.to_owned(), value.to_owned());
            }
        }
        let alerts = world.alerts();
        let last = last(&alerts);
        assert_eq!(last.state, State::Resolved);
        assert!(last.hosts.recovered >= 18, "it is over once nine tenths of 20 have recovered");
        last.severity.reasons.last().unwrap().clone()
    };
    assert!(resolved(|_| true).contains("no longer offered"));
    let one = resolved(|index| index == 1);
    assert!(one.contains("17 of the affected hosts have succeeded, and the update is no longer offered to 1"), "{one}");
    let all = resolved(|_| false);
    assert!(all.contains("the affected hosts have succeeded") && !all.contains("offered"), "{all}");
}

/// Half of the failing hosts are repaired: the sentence that channels send counts them.
#[test]
fn the_summary_counts_hosts_that_have_recovered() {
    let mut world = World::new(HOSTS, 6);
    world.live(START, ONSET + 3 * DAY, |world, index, time| world.succeed(index, time, MONTHLY));
    for index in (0..HOSTS).filter(|index| wsus_of(*index) == 1) {
        world.fail(index, ONSET + i64::from(index) * MINUTE, THIRD_PARTY);
        if index % 8 == 1 {
            world.succeed(index, ONSET + 26 * HOUR, THIRD_PARTY);
        }
    }
    // One more host fails afterwards, so that there is a document.
    for index in [0, 4, 8] {
        world.fail(index, ONSET + 30 * HOUR, THIRD_PARTY);
    }
    let alerts = world.alerts();
    let last = last(&alerts);
    assert_eq!((last.hosts.affected, last.hosts.recovered), (23, 10));
    assert!(last.summary.contains("; 10 of them have recovered)"), "{}", last.summary);
}
