//! No alert without a cause, and one alert for one cause: many fleets of many sizes, from their files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use wulog_tests::fleet::{Cause, DAY_MS, Fleet, FleetSpec, HOUR_MS, Habit};
use wulog_tests::line::{Incident, incidents};
use wulog_tests::process;

/// One zone for all sites, since files alone don't say it.
fn in_one_zone(mut spec: FleetSpec) -> FleetSpec {
    for site in spec.wsus.iter_mut().flat_map(|wsus| &mut wsus.sites) {
        (site.zone, site.utc_minutes) = ("Europe/Berlin".to_owned(), 60);
    }
    spec
}

/// The incidents of `replay --logs` over `hours` of a fleet.
fn replayed(fleet: &mut Fleet, hours: i64) -> Vec<Incident> {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fleet.write_until(&logs, fleet.spec().start_ms + hours * HOUR_MS).unwrap();
    let arguments = ["replay", "--logs", logs.to_str().unwrap(), "--time-zone", "Europe/Berlin", "--alerts-out", "-"];
    let ended = process::run("wulog-processor", &arguments);
    ended.expect_success();
    incidents(ended.stdout.lines().map(str::as_bytes))
}

#[track_caller]
fn check_quiet(hosts: usize, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut fleet = Fleet::new(in_one_zone(FleetSpec::new(seed, hosts)));
        let found = replayed(&mut fleet, 5 * 24);
        assert!(found.is_empty(), "{hosts} hosts, seed {seed}: {found:#?}");
    }
}

/// The hosts of one server fail from hour 30 on. After two days each of them has failed, and a day later the alert has
/// all of them.
#[track_caller]
fn check_outbreak(hosts: usize, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let server = usize::try_from(seed).unwrap() % 5;
        let spec = FleetSpec::new(seed, hosts).with_outbreak(server, 30 * HOUR_MS, Cause::UntrustedRoot);
        let mut fleet = Fleet::new(in_one_zone(spec));
        let truth = fleet.truth().unwrap().clone();
        let found = replayed(&mut fleet, 30 + 73);
        let [incident] = found.as_slice() else {
            panic!("{hosts} hosts, seed {seed}: expected one incident, got {found:#?}")
        };
        let place = format!("{hosts} hosts, seed {seed}");
        assert_eq!(incident.family, truth.family.as_str(), "{place}");
        assert_eq!(incident.onset_ms / DAY_MS, truth.onset_ms / DAY_MS, "{place}");
        let wsus = truth.wsus.trim_start_matches("http://").to_owned();
        assert_eq!(incident.cause, Some(("wsus".to_owned(), wsus)), "{place}");
        // A host that has failed trust since its first scan fails at one more update: this is not a new failure.
        let chronic = |name: &String| fleet.host(name).unwrap().habit == Habit::Chronic;
        let expected: BTreeSet<String> = truth.hosts.into_keys().filter(|name| !chronic(name)).collect();
        let differ: Vec<&String> = incident.hosts.symmetric_difference(&expected).collect();
        assert!(differ.is_empty(), "{place}: {differ:?} of {}", expected.len());
    }
}

#[test]
fn quiet_fleets_of_20() {
    check_quiet(20, 0..10);
}

#[test]
fn quiet_fleets_of_200() {
    check_quiet(200, 100..103);
}

#[test]
fn a_quiet_fleet_of_1000() {
    check_quiet(1000, 200..201);
}

#[test]
fn outbreaks_in_fleets_of_50() {
    check_outbreak(50, 300..308);
}

#[test]
fn outbreaks_in_fleets_of_500() {
    check_outbreak(500, 401..404);
}
