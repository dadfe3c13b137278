//! The rule of an administrator in a SIEM: attempts that failed for a reason of certificate trust.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use wulog_tests::fleet::{Cause, Fleet, FleetSpec, HOUR_MS, Habit};
use wulog_tests::foreign_fleet::{self, Scenario, Spec};
use wulog_tests::process;

/// The rule: dataset is attempt, outcome is failure, family is set.
fn is_found_by_the_rule(event: &Value) -> bool {
    event["event"]["dataset"] == "windows_update.attempt"
        && event["event"]["outcome"] == "failure"
        && event["wu"]["family"].is_string()
}

fn host_of(event: &Value) -> String {
    event["host"]["name"].as_str().unwrap().to_owned()
}

/// The demo: 200 hosts in UTC, of which those of one server stop trusting an update after a day.
fn replayed(fleet: &mut Fleet, hours: i64) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fleet.write_until(&logs, fleet.spec().start_ms + hours * HOUR_MS).unwrap();
    events_of(&logs)
}

fn events_of(logs: &Path) -> Vec<Value> {
    events_in(logs, "ecs")
}

fn events_in(logs: &Path, format: &str) -> Vec<Value> {
    let arguments = ["replay", "--logs", logs.to_str().unwrap(), "--format", format, "--events-out", "-"];
    let ended = process::run("wulog-processor", &arguments);
    ended.expect_success();
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_rule_finds_exactly_the_hosts_that_the_fault_strikes() {
    for seed in 1..4 {
        let mut fleet = Fleet::new(FleetSpec::new(seed, 200).with_outbreak(2, 24 * HOUR_MS, Cause::UntrustedRoot));
        let events = replayed(&mut fleet, 24 + 73);
        let truth = fleet.truth().unwrap().clone();
        let found: BTreeSet<String> = events.iter().filter(|event| is_found_by_the_rule(event)).map(host_of).collect();
        let struck: BTreeSet<String> = truth.hosts.into_keys().collect();
        // Hosts with a trust failure of their own: since their first scan, or again and again all day.
        let by_themselves = fleet.hosts().filter(|host| matches!(host.habit, Habit::Chronic | Habit::LoopsSignature));
        let expected: BTreeSet<String> =
            struck.iter().cloned().chain(by_themselves.map(|host| host.name.clone())).collect();
        let differ: Vec<&String> = found.symmetric_difference(&expected).collect();
        assert!(differ.is_empty(), "seed {seed}: {differ:?}");
        // A rule over lines finds far more: healthy installations log the same code.
        let lines = events
            .iter()
            .filter(|event| event["event"]["dataset"] != "windows_update.attempt" && event["wu"]["family"].is_string());
        let by_lines: BTreeSet<String> = lines.map(host_of).collect();
        assert!(by_lines.len() > 2 * found.len(), "seed {seed}: {} and {}", by_lines.len(), found.len());

        // At the struck update, the rule needs no list of hosts that fail by themselves.
        let update = truth.update.to_lowercase();
        let at_update =
            events.iter().filter(|event| is_found_by_the_rule(event) && event["wu"]["update_id"] == *update);
        let mut at_update = at_update.peekable();
        let name = at_update.peek().map(|event| event["package"]["name"].clone());
        assert!(name.is_some_and(|name| name.is_string()), "seed {seed}: the update has a name");
        let with_facts: Vec<Value> = at_update.cloned().collect();
        assert_eq!(with_facts.iter().map(host_of).collect::<BTreeSet<_>>(), struck, "seed {seed}");
        let wsus = truth.wsus.trim_start_matches("http://");
        assert!(with_facts.iter().all(|event| event["wu"]["wsus"] == wsus), "seed {seed}: a SIEM groups by server");
    }
}

/// The same rule over a fleet of the second generator, in which one server's publishing certificate is missing on its
/// hosts. Hosts with a fault of their own fail at one update of their own, which the struck hosts do not try.
#[test]
fn the_rule_finds_the_struck_hosts_of_a_fleet_that_others_wrote() {
    for seed in 1..=2 {
        let folder = tempfile::tempdir().unwrap();
        let spec = Spec::new(Scenario::WsusCertMissing, 200, seed);
        let truth = foreign_fleet::write(&spec, folder.path()).unwrap();
        let [cause] = &truth.causes[..] else { panic!("one cause, not {:?}", truth.causes) };
        let events = events_of(folder.path());
        let (at_struck, elsewhere): (Vec<&Value>, Vec<&Value>) = events
            .iter()
            .filter(|event| is_found_by_the_rule(event))
            .partition(|event| cause.updates.iter().any(|update| event["wu"]["update_id"] == **update));
        let upper = |event: &&Value| host_of(event).to_uppercase();
        let found: BTreeSet<String> = at_struck.iter().map(upper).collect();
        let struck: BTreeSet<String> = cause.hosts.keys().cloned().collect();
        let differ: Vec<&String> = found.symmetric_difference(&struck).collect();
        assert!(differ.is_empty(), "seed {seed}: {differ:?}");
        assert!(struck.len() >= 20, "seed {seed}: {} hosts are struck", struck.len());

        // Every other document of the rule belongs to a host that fails by itself, at a product of its own.
        let names: BTreeSet<&str> = elsewhere.iter().filter_map(|event| event["package"]["name"].as_str()).collect();
        assert!(names.iter().all(|name| *name == "Lucerne Backup 2.9 (x64)"), "seed {seed}: {names:?}");
        let by_themselves: BTreeSet<String> = elsewhere.iter().map(upper).collect();
        assert!((1..10).contains(&by_themselves.len()), "seed {seed}: {by_themselves:?}");

        // Healthy hosts log the same codes at the same updates, and install them.
        let is_healthy = |event: &&Value| !struck.contains(&upper(event));
        let logs_a_code = |event: &&Value| event["wu"]["family"].is_string();
        let healthy: BTreeSet<String> =
            events.iter().filter(is_healthy).filter(logs_a_code).map(|e| upper(&e)).collect();
        assert!(healthy.len() > 20, "seed {seed}: {} healthy hosts log a code", healthy.len());

        for event in at_struck {
            assert!(cause.codes.iter().any(|code| event["event"]["code"] == **code), "seed {seed}: {event}");
            assert!(event["package"]["name"].is_string(), "seed {seed}: the update has a name in {event}");
        }
    }
}

/// The attributes of an OpenTelemetry record, and of its resource.
fn attributes(record: &Value) -> BTreeMap<&str, &str> {
    let all = ["/resourceLogs/0/resource/attributes", "/resourceLogs/0/scopeLogs/0/logRecords/0/attributes"];
    let attributes = all.into_iter().flat_map(|place| record.pointer(place).and_then(Value::as_array).unwrap());
    attributes.filter_map(text_of).collect()
}

fn text_of(attribute: &Value) -> Option<(&str, &str)> {
    Some((attribute["key"].as_str()?, attribute["value"]["stringValue"].as_str()?))
}

/// The host and the update of an event that the rule finds, as `deploy/siem/README.md` writes the rule for the format.
fn found_in(format: &str, event: &Value) -> Option<(String, String)> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let [dataset, failed, family, host, update] = match format {
        "ecs" => ["/event/dataset", "/event/outcome", "/wu/family", "/host/name", "/wu/update_id"].map(text),
        "ocsf" => {
            let of = ["/unmapped/event/dataset", "", "/unmapped/wu/family", "/device/hostname", "/app/uid"];
            let mut found = of.map(text);
            found[1] = (event["status_id"] == 2).then_some("failure");
            found
        }
        "otlp" => {
            let attributes = attributes(event);
            ["event.dataset", "event.outcome", "wu.family", "host.name", "wu.update_id"]
                .map(|name| attributes.get(name).copied())
        }
        _ => ["/event/event/dataset", "/event/event/outcome", "/event/wu/family", "/host", "/event/wu/update_id"]
            .map(text),
    };
    let is_found = (dataset, failed) == (Some("windows_update.attempt"), Some("failure")) && family.is_some();
    is_found.then(|| (host.unwrap().to_uppercase(), update.unwrap_or_default().to_owned()))
}

/// Each format has its own spelling of the rule; each finds the same hosts.
#[test]
fn the_rule_finds_the_same_hosts_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec::new(Scenario::SmallFleet, 20, 1);
    let truth = foreign_fleet::write(&spec, folder.path()).unwrap();
    let struck: BTreeSet<&String> = truth.causes[0].hosts.keys().collect();
    for format in ["ecs", "ocsf", "otlp", "hec"] {
        let found =
            events_in(folder.path(), format).iter().filter_map(|event| found_in(format, event)).collect::<Vec<_>>();
        let is_struck = |update: &String| truth.causes[0].updates.contains(update);
        let hosts: BTreeSet<&String> = found.iter().filter(|(_, at)| is_struck(at)).map(|(host, _)| host).collect();
        assert_eq!(hosts, struck, "{format}");
    }
}
