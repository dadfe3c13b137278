//! Outbreaks: found soon, as one incident, with the right hosts and the right cause.

use std::collections::BTreeSet;

use wulog_processor::detect::{DetectorConfig, Rule};
use wulog_schemas::alert::{Alert, Level, Method, State, Transition, UtcTime};
use wulog_schemas::hresult::Family;

use crate::world::{DAY, HOUR, MINUTE, MONTHLY, START, THIRD_PARTY, World, alerts_with, host, wsus_of};

const ONSET: i64 = START + 3 * DAY;

/// From [`ONSET`] on, the hosts of WSUS 1 fail at the third-party update at every scan, until `fixed`.
pub(crate) fn outbreak(hosts: u32, seed: u64, affected: impl Fn(u32) -> bool, fixed: i64, end: i64) -> World {
    let mut world = World::new(hosts, seed);
    world.live(START, end, |world, index, time| {
        world.succeed(index, time, MONTHLY);
        if time >= ONSET && affected(index) {
            if time < fixed {
                let code = if index % 3 == 0 { "0x800b0004" } else { "0x800b0109" };
                world.attempt(index, time + MINUTE, THIRD_PARTY, Some((Family::UntrustedRoot, code, time + MINUTE)));
            } else {
                world.succeed(index, time + MINUTE, THIRD_PARTY);
            }
        }
    });
    world
}

fn on_wsus_1(index: u32) -> bool {
    wsus_of(index) == 1
}

fn names(hosts: u32, affected: impl Fn(u32) -> bool) -> BTreeSet<String> {
    (0..hosts).filter(|index| affected(*index)).map(|index| host(index).name).collect()
}

fn one_id(alerts: &[Alert]) {
    let ids: BTreeSet<&str> = alerts.iter().map(|alert| alert.id.as_str()).collect();
    assert_eq!(ids.len(), 1, "{:#?}", alerts.iter().map(|alert| &alert.summary).collect::<Vec<_>>());
    let seqs: Vec<u32> = alerts.iter().map(|alert| alert.seq).collect();
    assert_eq!(seqs, (1..=alerts.len() as u32).collect::<Vec<_>>());
}

fn check_outbreak(hosts: u32, seed: u64, affected: impl Fn(u32) -> bool + Copy, opened_by: u64, within: i64) {
    let alerts = outbreak(hosts, seed, affected, i64::MAX, ONSET + 2 * DAY).alerts();
    let (Some(first), Some(last)) = (alerts.first(), alerts.last()) else { panic!("{hosts} hosts: nothing found") };
    one_id(&alerts);
    assert_eq!(first.transition, Transition::Opened);
    assert!(first.hosts.affected <= opened_by, "{hosts} hosts: opened by {}", first.hosts.affected);
    assert!(first.time.opened.0 - ONSET <= within, "{hosts} hosts: opened {}", first.time.opened);
    assert_eq!(last.transition, Transition::Stable);
    let expect = names(hosts, affected);
    assert_eq!(last.hosts.affected, expect.len() as u64);
    assert_eq!(last.hosts.names_complete, expect.len() <= 1000);
    let named: BTreeSet<String> = last.hosts.names.iter().cloned().collect();
    assert_eq!(named.len(), expect.len().min(1000));
    assert!(named.is_subset(&expect));
    let cause = &last.common_factors[0];
    assert_eq!((cause.dimension.as_str(), cause.value.as_str()), ("wsus", "wsus1.corp.example:8530"), "{hosts} hosts");
    assert_eq!(cause.coverage, 1.0);
    assert_eq!(last.hosts.active, u64::from(hosts));
    assert!(last.time.onset >= UtcTime(ONSET) && last.time.onset <= first.time.opened);
}

#[test]
fn hosts_of_one_wsus_are_one_incident() {
    check_outbreak(20, 1, on_wsus_1, 3, 20 * HOUR);
    for seed in 2..6 {
        check_outbreak(200, seed, on_wsus_1, 6, 4 * HOUR);
    }
    check_outbreak(5000, 7, on_wsus_1, 12, HOUR);
}

#[test]
fn one_percent_of_a_large_fleet_is_found() {
    for seed in 10..13 {
        check_outbreak(5000, seed, |index| on_wsus_1(index) && index % 100 == 1, 12, 6 * HOUR);
    }
}

#[test]
fn a_document_says_what_happened() {
    let alerts = outbreak(200, 2, on_wsus_1, i64::MAX, ONSET + 2 * DAY).alerts();
    let last = alerts.last().unwrap();
    assert_eq!(last.hosts.affected, 50);
    assert_eq!(last.hosts.share_of_active, 0.25);
    assert!(last.hosts.names_complete);
    let codes: Vec<(&str, Option<&str>)> =
        last.codes.iter().map(|count| (count.code.as_str(), count.symbol.as_deref())).collect();
    let expect = [("0x800b0109", Some("CERT_E_UNTRUSTEDROOT")), ("0x800b0004", Some("TRUST_E_SUBJECT_NOT_TRUSTED"))];
    assert_eq!(codes, expect);
    assert_eq!(last.subjects[0].subject, THIRD_PARTY);
    assert_eq!(last.not_common, ["caller", "client_build", "label.site", "os_build"]);
    assert!(last.common_factors.iter().any(|factor| factor.dimension == "update" && factor.untried_elsewhere));
    assert_eq!(last.contrast.same_subject_succeeded_hosts, 0);
    assert_eq!(last.evidence.ranges.len(), 1, "hosts of WSUS 1 are odd, so in partition 1");
    assert_eq!(last.severity.level, Level::High);
    let who = format!("50 of the 50 hosts of wsus1.corp.example:8530 that tried {THIRD_PARTY} fail to download it");
    assert!(last.summary.starts_with(&who), "{}", last.summary);
    assert!(
        last.summary.contains("none of the 150 other hosts has tried it (50 of 200 hosts, 25.0 %)"),
        "{}",
        last.summary
    );
    assert!(last.remediation.iter().any(|step| step.command.as_deref() == Some("certutil -store TrustedPublisher")));
}

#[test]
fn documents_follow_the_growth() {
    let alerts = outbreak(200, 3, on_wsus_1, i64::MAX, ONSET + 2 * DAY).alerts();
    let told: Vec<u64> = alerts
        .iter()
        .filter(|alert| alert.transition == Transition::Growing)
        .map(|alert| alert.hosts.affected)
        .collect();
    assert!((5..=16).contains(&told.len()), "{told:?}");
    assert!(told.windows(2).all(|pair| pair[1] > pair[0]), "{told:?}");
    assert_eq!(told.last(), Some(&50), "no host stays untold");
}

/// Two hundred hosts fail within half an hour: seven doublings, and an operator who reads two or three messages.
#[test]
fn a_fast_outbreak_does_not_flood() {
    let mut world = World::new(400, 9);
    world.live(START, ONSET, |_, _, _| {});
    for index in 0..200 {
        world.fail(index, ONSET + i64::from(index) * 10_000, THIRD_PARTY);
    }
    world.scan(399, ONSET + 2 * HOUR);
    let alerts = world.alerts();
    one_id(&alerts);
    let times: Vec<i64> = alerts.iter().map(|alert| alert.time.updated.0).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 15 * MINUTE), "{times:?}");
    assert!(alerts.len() <= 4 && alerts.last().unwrap().hosts.affected >= 180, "the last doubling is told: {times:?}");
}

#[test]
fn successes_resolve_and_a_new_cluster_reopens() {
    let mut world = outbreak(200, 4, on_wsus_1, ONSET + 2 * DAY, ONSET + 5 * DAY);
    for index in (0..200).filter(|index| on_wsus_1(*index)) {
        world.fail(index, ONSET + 6 * DAY + i64::from(index) * MINUTE, THIRD_PARTY);
    }
    let alerts = world.alerts();
    one_id(&alerts);
    let resolved = alerts.iter().find(|alert| alert.transition == Transition::Resolved).unwrap();
    assert_eq!(resolved.state, State::Resolved);
    assert!(resolved.hosts.recovered >= 45);
    assert!(resolved.time.updated >= UtcTime(ONSET + 2 * DAY));
    assert!(resolved.time.updated <= UtcTime(ONSET + 3 * DAY));
    let reopened = alerts.iter().find(|alert| alert.transition == Transition::Reopened).unwrap();
    assert!(reopened.time.updated >= UtcTime(ONSET + 6 * DAY));
}

#[test]
fn silent_hosts_do_not_count_as_recovered() {
    let mut world = World::new(200, 5);
    world.live(START, ONSET + 6 * DAY, |world, index, time| {
        if on_wsus_1(index) && time >= ONSET {
            // Every second host falls silent after its failure; the others are fixed at their next scan.
            if time < ONSET + 22 * HOUR {
                world.fail(index, time, THIRD_PARTY)
            } else {
                world.succeed(index, time, THIRD_PARTY)
            }
        }
    });
    let gone = |index: u32| on_wsus_1(index) && index % 8 == 1;
    world.signals.retain(|signal| {
        let (id, time) = match &signal.fact {
            wulog_schemas::signal::Fact::ScanDone(scan) => (&scan.host.id, scan.event_time),
            wulog_schemas::signal::Fact::Attempt(attempt) => (&attempt.host.id, attempt.event_time),
            _ => return true,
        };
        let index = u32::from_str_radix(id, 16).unwrap();
        !gone(index) || time < ONSET + 22 * HOUR
    });
    let alerts = world.alerts();
    one_id(&alerts);
    assert!(alerts.iter().all(|alert| alert.transition != Transition::Resolved));
    assert_eq!(alerts.last().unwrap().hosts.affected, 50);
}

/// wulog is installed two days into an outbreak: the facts of all hosts come within an hour, and 60 of 200 hosts
/// already fail.
#[test]
fn installed_in_the_middle_of_an_outbreak() {
    let mut world = World::new(200, 6);
    for index in 0..200 {
        let time = START + world.luck.below(HOUR);
        let since = START - 2 * DAY + i64::from(index) * MINUTE;
        let chronic = START - 30 * DAY;
        match index {
            _ if on_wsus_1(index) => world.facts(index, time, &[(THIRD_PARTY, since)]),
            _ if index % 20 == 0 => world.facts(index, time, &[(MONTHLY, chronic)]),
            _ => world.facts(index, time, &[]),
        }
    }
    world.scan(0, START + 2 * DAY);
    let alerts = world.alerts();
    one_id(&alerts);
    let last = alerts.last().unwrap();
    assert!(last.time.ongoing_at_start);
    assert_eq!(last.time.onset, UtcTime(START - 2 * DAY + MINUTE));
    assert_eq!((last.hosts.affected, last.hosts.chronic_excluded), (50, 10));
    assert_eq!(last.common_factors[0].dimension, "wsus");
}

/// A backlog of the whole fleet arrives within half a minute: the first document has all hosts.
#[test]
fn a_backlog_is_judged_as_a_whole() {
    let mut world = World::new(200, 7);
    for index in 0..200 {
        let time = START + 1_000 + i64::from(index) * 100;
        let since = START - DAY + i64::from(index) * MINUTE;
        let failing: &[_] = if on_wsus_1(index) { &[(THIRD_PARTY, since)] } else { &[] };
        world.facts(index, time, failing);
    }
    world.scan(0, START + HOUR);
    let alerts = world.alerts();
    assert_eq!(alerts[0].hosts.affected, 50);
    assert_eq!(alerts[0].common_factors[0].dimension, "wsus");
}

#[test]
fn an_operators_rule_opens_with_its_severity() {
    let rule = Rule {
        name: "pilot".to_owned(),
        min_hosts: 1,
        min_share: 0.0,
        within_secs: 3600,
        by: None,
        families: vec![Family::UntrustedRoot],
        dimensions: [("label.site".to_owned(), "lyon".to_owned())].into(),
        severity: Level::Critical,
    };
    let config = DetectorConfig { rules: vec![rule], ..DetectorConfig::default() };
    let mut world = World::new(200, 7);
    world.live(START, START + DAY, |_, _, _| {});
    world.fail(1, START + DAY, THIRD_PARTY);
    world.fail(7, START + DAY, THIRD_PARTY);
    let alerts = alerts_with(&config, &world.records());
    assert_eq!(alerts.len(), 1, "host 1 is in hamburg, host 7 in lyon");
    let alert = &alerts[0];
    assert_eq!((alert.detection.method, alert.detection.rule.as_deref()), (Method::Rule, Some("pilot")));
    assert_eq!(alert.severity.level, Level::Critical);
    assert!(alert.hosts.names.contains(&"pc-0007".to_owned()));
}

/// Another cause in the same family, on hosts that share another server and fail at another update.
#[test]
fn two_causes_are_two_incidents() {
    let mut world = outbreak(400, 8, on_wsus_1, i64::MAX, ONSET + 2 * DAY);
    for index in (0..400).filter(|index| wsus_of(*index) == 2) {
        world.fail(
            index,
            ONSET + DAY + 2 * HOUR + i64::from(index) * MINUTE,
            "update:22222222-aaaa-bbbb-cccc-222222222222",
        );
    }
    let alerts = world.alerts();
    let causes: BTreeSet<(String, String)> = alerts
        .iter()
        .filter(|alert| alert.hosts.affected >= 20)
        .map(|alert| (alert.id.clone(), alert.common_factors[0].value.clone()))
        .collect();
    let values: Vec<&str> =
        causes.iter().map(|(_, value)| value.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(values, ["wsus1.corp.example:8530", "wsus2.corp.example:8530"]);
    assert_eq!(causes.len(), 2);
}

/// Healthy hosts that have tried nothing yet have no caller, which proves nothing about callers. Ten of sixty hosts
/// cannot scan a server that the other hosts still scan: so the server is not the common factor of the ten.
#[test]
fn hosts_whose_scans_reach_a_server_have_tried_it() {
    const SERVER: &str = "server:wsus.corp.example:8531";
    let mut world = World::new(60, 3);
    world.live(START, ONSET + 2 * DAY, |world, index, time| {
        if index < 10 && time > ONSET {
            world.attempt(index, time, SERVER, Some((Family::Tls, "0x80072f8f", time)));
        } else {
            world.scan_at(index, time + HOUR, Some(SERVER));
        }
    });
    let alerts = world.alerts();
    let last = alerts.last().unwrap();
    assert_eq!((last.hosts.affected, last.contrast.same_subject_succeeded_hosts), (10, 50));
    assert!(last.common_factors.iter().all(|factor| factor.dimension != "server"), "{:?}", last.common_factors);
}

#[test]
fn a_caller_that_everybody_has_is_not_common() {
    let mut world = World::new(200, 14);
    world.live(START, ONSET, |world, index, time| {
        if index % 5 == 0 {
            world.succeed(index, time, MONTHLY);
        }
    });
    for index in (0..200).filter(|index| on_wsus_1(*index)) {
        world.fail(index, ONSET + i64::from(index) * MINUTE, THIRD_PARTY);
    }
    let alerts = world.alerts();
    assert!(alerts.iter().all(|alert| alert.not_common.contains(&"caller".to_owned())));
}
