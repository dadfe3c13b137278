//! Incidents that are split or merged, that fall silent, or that expire.

use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::alert::{Alert, Method, State, Transition};
use wulog_schemas::host::hex_digest;
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{Fact, HostFacts, Outcome};

use crate::incidents::outbreak;
use crate::world::{DAY, HOUR, MINUTE, MONTHLY, START, THIRD_PARTY, World, host, wsus_of};

const ONSET: i64 = START + 3 * DAY;
const OTHER: &str = "update:22222222-aaaa-bbbb-cccc-222222222222";
const SERVER: &str = "server:wsus1.corp.example:8530";

/// A fleet that gets the monthly update and has no failures around [`ONSET`].
fn healthy(hosts: u32, seed: u64, end: i64) -> World {
    let mut world = World::new(hosts, seed);
    world.live(START, end, |world, index, time| world.succeed(index, time, MONTHLY));
    world
}

fn fail(world: &mut World, index: u32, time: i64, subject: &str, family: Family) {
    let code = if family == Family::Tls { "0x80072f8f" } else { "0x800b0109" };
    world.attempt(index, time, subject, Some((family, code, time)));
}

fn ids(alerts: &[Alert]) -> BTreeSet<&str> {
    alerts.iter().map(|alert| alert.id.as_str()).collect()
}

/// The newest document of each incident.
fn newest(alerts: &[Alert]) -> Vec<&Alert> {
    ids(alerts).into_iter().filter_map(|id| alerts.iter().rfind(|alert| alert.id == id)).collect()
}

/// Half of the hosts of a WSUS server fail with one code, the other half with a code of another family.
#[test]
fn two_families_with_one_cause_are_one_incident() {
    for seed in 20..24 {
        let mut world = healthy(200, seed, ONSET + 2 * DAY);
        for index in (0..200).filter(|index| wsus_of(*index) == 1) {
            let time = ONSET + i64::from(index) * MINUTE;
            if index < 100 {
                fail(&mut world, index, time, THIRD_PARTY, Family::UntrustedRoot);
            } else {
                fail(&mut world, index, time, THIRD_PARTY, Family::Chain);
            }
        }
        let alerts = world.alerts();
        assert_eq!(ids(&alerts).len(), 1, "seed {seed}: {:#?}", alerts.iter().map(|a| &a.summary).collect::<Vec<_>>());
        let last = alerts.last().unwrap();
        assert_eq!(last.families.len(), 2, "{:?}", last.families);
        assert_eq!(last.hosts.affected, 50);
        assert_eq!(last.common_factors[0].value, "wsus1.corp.example:8530");
        let commands: Vec<&str> = last.remediation.iter().filter_map(|step| step.command.as_deref()).collect();
        assert!(commands.contains(&"certutil -store TrustedPublisher"), "{commands:?}");
    }
}

/// Two families alternate, so that both incidents are open before either's cause is clear: the younger incident is
/// merged into the older one, once, and names it.
#[test]
fn incidents_that_turn_out_to_be_one_are_merged() {
    let mut world = healthy(400, 25, ONSET + 2 * DAY);
    let affected: Vec<u32> = (0..400).filter(|index| wsus_of(*index) == 1).collect();
    for (place, index) in affected.iter().enumerate() {
        let (subject, family) =
            if place % 2 == 0 { (THIRD_PARTY, Family::UntrustedRoot) } else { (SERVER, Family::Tls) };
        fail(&mut world, *index, ONSET + place as i64 * 2 * MINUTE, subject, family);
    }
    // Trust in a signature and trust in a server are two causes, until the same hosts show both.
    for (place, index) in affected.iter().enumerate() {
        let (subject, family) =
            if place % 2 == 1 { (THIRD_PARTY, Family::UntrustedRoot) } else { (SERVER, Family::Tls) };
        fail(&mut world, *index, ONSET + 6 * HOUR + place as i64 * 2 * MINUTE, subject, family);
    }
    let alerts = world.alerts();
    let last = newest(&alerts);
    let open: Vec<&&Alert> = last.iter().filter(|alert| alert.state == State::Open).collect();
    let merged: Vec<&&Alert> = last.iter().filter(|alert| alert.state == State::Merged).collect();
    assert_eq!((open.len(), merged.len()), (1, 1), "{:#?}", alerts.iter().map(|a| &a.summary).collect::<Vec<_>>());
    assert_eq!(merged[0].related.merged_into.as_ref(), Some(&open[0].id));
    assert_eq!(merged[0].transition, Transition::Merged);
    assert_eq!(open[0].related.merged_from, [merged[0].id.clone()]);
    assert_eq!(open[0].hosts.affected, affected.len() as u64);
    assert!(open[0].time.opened <= merged[0].time.opened, "the older one goes on");
}

/// Some hosts have recovered before the failures of the others make an incident: they count as affected and recovered,
/// and the incident ends when the others have recovered too.
#[test]
fn hosts_that_recovered_before_the_incident_opened_count_as_recovered() {
    let mut world = healthy(60, 28, ONSET + 3 * DAY);
    for index in 0..12 {
        let time = ONSET + i64::from(index) * MINUTE;
        fail(&mut world, index, time, THIRD_PARTY, Family::UntrustedRoot);
        let repaired = if index < 3 { time + MINUTE / 2 } else { ONSET + DAY };
        world.succeed(index, repaired, THIRD_PARTY);
    }
    let alerts = world.alerts();
    let last = alerts.last().unwrap();
    assert_eq!(ids(&alerts).len(), 1);
    assert_eq!((last.state, last.hosts.affected, last.hosts.recovered), (State::Resolved, 12, 12));
    let opened = alerts.first().unwrap();
    assert_eq!(opened.hosts.recovered, 3);
}

/// Two servers break in the same hour, each at its own update. While no dimension separates their hosts, there is one
/// incident.
#[test]
fn two_causes_in_one_hour_are_split() {
    let mut world = healthy(400, 26, ONSET + 2 * DAY);
    for index in (0..400).filter(|index| matches!(wsus_of(*index), 1 | 2)) {
        let subject = if wsus_of(index) == 1 { THIRD_PARTY } else { OTHER };
        fail(&mut world, index, ONSET + i64::from(index) * MINUTE / 2, subject, Family::UntrustedRoot);
    }
    let alerts = world.alerts();
    let last = newest(&alerts);
    let mut causes: Vec<(&str, u64)> =
        last.iter().map(|alert| (alert.common_factors[0].value.as_str(), alert.hosts.affected)).collect();
    causes.sort_unstable();
    assert_eq!(causes, [("wsus1.corp.example:8530", 100), ("wsus2.corp.example:8530", 100)]);
    if let Some(split) = alerts.iter().find(|alert| !alert.related.split_into.is_empty()) {
        let other = alerts.iter().find(|alert| alert.related.split_from.as_ref() == Some(&split.id)).unwrap();
        assert_eq!(other.transition, Transition::Opened);
        assert_eq!(split.related.split_into, std::slice::from_ref(&other.id));
    }
}

/// All hosts fail at one update, whatever their server: two servers are not two causes.
#[test]
fn one_update_on_two_servers_is_one_incident() {
    let mut world = healthy(400, 27, ONSET + 2 * DAY);
    for index in (0..400).filter(|index| matches!(wsus_of(*index), 1 | 2)) {
        fail(&mut world, index, ONSET + i64::from(index) * MINUTE, THIRD_PARTY, Family::UntrustedRoot);
    }
    let alerts = world.alerts();
    assert_eq!(ids(&alerts).len(), 1);
    assert_eq!(alerts.last().unwrap().hosts.affected, 200);
}

#[test]
fn hosts_that_fail_and_fall_silent_are_reported() {
    let mut world = outbreak(200, 28, |index| wsus_of(index) == 1, i64::MAX, ONSET + 6 * DAY);
    (0..200).filter(|index| wsus_of(*index) == 1).for_each(|index| world.silence(index, ONSET + DAY));
    let alerts = world.alerts();
    assert_eq!(ids(&alerts).len(), 1);
    let silent: Vec<&Alert> = alerts.iter().filter(|alert| alert.transition == Transition::Silent).collect();
    assert!((1..=3).contains(&silent.len()), "{}", silent.len());
    assert_eq!(silent.last().unwrap().hosts.silent, 50);
    assert_eq!(silent.last().unwrap().hosts.silent_names.len(), 50);
    assert!(silent[0].time.updated.0 <= ONSET + 4 * DAY);
}

/// Hosts fail one by one, too slowly for a cluster, and fall silent; other hosts fail and go on.
#[test]
fn silence_alone_makes_an_incident() {
    let run = |silent: bool| {
        let mut world = healthy(1000, 29, ONSET + 9 * DAY);
        for index in 0..12 {
            let time = ONSET + i64::from(index) * 10 * HOUR;
            fail(&mut world, index, time, &format!("file:{index}.cab"), Family::Tls);
            if silent && index % 2 == 0 {
                world.silence(index, time);
            }
        }
        world.alerts()
    };
    assert_eq!(run(false).len(), 0);
    let alerts = run(true);
    assert_eq!(alerts[0].detection.method, Method::Silence);
    assert!(
        alerts[0]
            .hosts
            .names
            .iter()
            .all(|name| matches!(name.as_str(), "pc-0000" | "pc-0002" | "pc-0004" | "pc-0006" | "pc-0008" | "pc-0010"))
    );
    assert_eq!(alerts[0].hosts.silent, alerts[0].hosts.affected);
}

/// The affected hosts fall silent without a success: the end of the incident is not called a success.
#[test]
fn an_incident_without_recovery_expires() {
    let alerts = outbreak(200, 30, |index| wsus_of(index) == 1, i64::MAX, ONSET + 20 * DAY).alerts();
    assert_eq!(ids(&alerts).len(), 1);
    let last = alerts.last().unwrap();
    assert_eq!((last.transition, last.state), (Transition::Expired, State::Expired));
    assert!(last.time.updated.0 >= ONSET + 14 * DAY);
    assert!(alerts.iter().all(|alert| alert.transition != Transition::Resolved));
}

/// A host that has failed for a month fails at the outbreak's own update too: the host is excluded, and the document
/// counts it.
#[test]
fn a_chronic_host_is_excluded_even_at_the_same_update() {
    let mut world = outbreak(200, 31, |index| wsus_of(index) == 1, i64::MAX, ONSET + 2 * DAY);
    for (index, subject) in [(2, MONTHLY), (6, THIRD_PARTY), (10, OTHER)] {
        let long_ago = START - 30 * DAY;
        let of_its_own = if subject == MONTHLY { OTHER } else { subject };
        for day in 0..5 {
            let time = START + day * DAY + i64::from(index) * MINUTE;
            world.attempt(index, time, of_its_own, Some((Family::UntrustedRoot, "0x800b0109", long_ago)));
        }
        fail(&mut world, index, ONSET + HOUR, THIRD_PARTY, Family::UntrustedRoot);
        fail(&mut world, index, ONSET + HOUR, "file:other.cab", Family::UntrustedRoot);
    }
    let alerts = world.alerts();
    let last = alerts.last().unwrap();
    assert_eq!((last.hosts.affected, last.hosts.chronic_excluded), (50, 3));
}

/// In a fleet's first hour four of 40 hosts fail, and stand in a room with twelve other hosts: perhaps by chance. Then
/// three hundred healthy hosts appear that stand elsewhere, and no other host fails.
#[test]
fn a_cluster_shows_once_healthy_hosts_are_known() {
    let mut world = World::new(328, 70);
    for index in 0..328 {
        let fails = index < 28 && index % 7 == 0;
        let in_room = fails || (28..40).contains(&index);
        let minutes = match index {
            0..28 => 2 * i64::from(index),
            28..40 => i64::from(index) - 27,
            _ => 90 + i64::from(index),
        };
        let time = START + minutes * MINUTE;
        let room = if in_room { "attic" } else { "hall" };
        let facts = HostFacts {
            host: host(index),
            dimensions: BTreeMap::from([("label.room".to_owned(), room.to_owned())]),
            failing: Vec::new(),
            last_event_time: Some(time),
            caught_up: true,
            unreadable: None,
        };
        world.push(index, time, Fact::HostFacts(facts));
        if fails {
            world.fail(index, time, THIRD_PARTY);
        } else {
            world.scan(index, time);
        }
    }
    let alerts = world.alerts();
    let first = alerts.first().expect("it is told of");
    assert_eq!((first.transition, first.hosts.affected), (Transition::Opened, 4));
    assert!(first.time.opened.0 > START + 2 * HOUR, "{}", first.time.opened);
    let cause = &first.common_factors[0];
    assert_eq!((cause.dimension.as_str(), cause.value.as_str()), ("label.room", "attic"));
}

/// At night only the hosts of one site are on, so a cause of two servers looks like a cause of the site. By day it does
/// not.
#[test]
fn a_cause_that_explains_fewer_and_fewer_hosts_is_dropped() {
    let mut world = healthy(400, 71, ONSET + 2 * DAY);
    for index in 0..400 {
        let site = if index < 26 { "night" } else { "day" };
        let dimensions = [("wsus", format!("wsus{}", wsus_of(index))), ("label.site", site.to_owned())];
        let facts = HostFacts {
            host: host(index),
            dimensions: dimensions.map(|(name, value)| (name.to_owned(), value)).into(),
            failing: Vec::new(),
            last_event_time: Some(START + 2 * DAY),
            caught_up: true,
            unreadable: None,
        };
        world.push(index, START + 2 * DAY, Fact::HostFacts(facts));
    }
    for index in (0..150).filter(|index| [1, 2].contains(&wsus_of(*index))) {
        let time = if index < 26 {
            ONSET + i64::from(index) * 5 * MINUTE
        } else {
            ONSET + 6 * HOUR + i64::from(index) * MINUTE
        };
        fail(&mut world, index, time, if wsus_of(index) == 1 { THIRD_PARTY } else { OTHER }, Family::UntrustedRoot);
    }
    let alerts = world.alerts();
    let by_night = alerts.iter().find(|alert| alert.hosts.affected >= 12).expect("it is told of by night");
    assert_eq!(by_night.common_factors[0].value, "night", "{by_night:#?}");
    let causes: BTreeSet<&str> = newest(&alerts).iter().map(|alert| alert.common_factors[0].value.as_str()).collect();
    assert_eq!(causes, BTreeSet::from(["wsus1", "wsus2"]));
}

#[test]
fn an_id_is_of_the_earliest_failure() {
    let world = outbreak(40, 1, |index| wsus_of(index) == 1, i64::MAX, ONSET + 2 * DAY);
    let failures = world.signals.iter().filter_map(|signal| match &signal.fact {
        Fact::Attempt(attempt) if attempt.outcome == Outcome::Failure => {
            Some((attempt.event_time, attempt.host.id.clone(), attempt.subject.clone()))
        }
        _ => None,
    });
    let (time, host, subject) = failures.min().expect("some fail");
    let digest = hex_digest(&["untrusted_root", &host, &subject, &time.to_string()]);
    assert_eq!(world.alerts()[0].id, format!("wu-{}", &digest[..16]));
}
