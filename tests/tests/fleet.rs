//! Other tests rely on the simulated fleet, so this test reads it independently of the product's parser.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDateTime, TimeDelta};
use wulog_schemas::host::hex_digest;
use wulog_schemas::hresult::Family;
use wulog_tests::fleet::{Cause, DAY_MS, Fleet, FleetSpec, Form, HOUR_MS, Host, Layout};

fn outbreak(seed: u64) -> FleetSpec {
    FleetSpec::new(seed, 100).with_outbreak(2, 30 * HOUR_MS, Cause::UntrustedRoot)
}

/// The logs that a fleet writes in `days`, in steps of `step_ms`.
fn logs(spec: FleetSpec, days: i64, step_ms: i64) -> BTreeMap<String, String> {
    let mut fleet = Fleet::new(spec);
    let end_ms = fleet.now_ms() + days * DAY_MS;
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    while fleet.now_ms() < end_ms {
        let until_ms = (fleet.now_ms() + step_ms).min(end_ms);
        for (host, bytes) in fleet.lines_until(until_ms) {
            all.entry(host).or_default().push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
    all
}

fn digest(logs: &BTreeMap<String, String>) -> String {
    let parts: Vec<&str> = logs.iter().flat_map(|(host, log)| [host.as_str(), log.as_str()]).collect();
    hex_digest(&parts)
}

#[test]
fn the_seed_decides_every_byte() {
    let once = digest(&logs(outbreak(7), 3, DAY_MS));
    assert_eq!(once, digest(&logs(outbreak(7), 3, DAY_MS)));
    assert_ne!(once, digest(&logs(outbreak(8), 3, DAY_MS)));
}

#[test]
fn the_steps_decide_nothing() {
    assert_eq!(digest(&logs(outbreak(7), 2, DAY_MS)), digest(&logs(outbreak(7), 2, 61_234)));
}

#[test]
fn files_hold_what_memory_holds() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = outbreak(7);
    spec.layout = Layout::Sites;
    let mut fleet = Fleet::new(spec.clone());
    let begin_ms = fleet.now_ms();
    let mut lines = 0;
    for hours in [5, 6, 24] {
        lines += fleet.write_until(folder.path(), begin_ms + hours * HOUR_MS).unwrap();
    }
    let memory = logs(spec, 1, DAY_MS);
    let total: usize = memory.values().map(|log| log.lines().count()).sum();
    assert_eq!(lines, total as u64);
    for (host, log) in memory {
        let path = folder.path().join(fleet.site_of(&host).unwrap()).join(&host).join("WindowsUpdate.log");
        assert_eq!(std::fs::read_to_string(path).unwrap(), log);
    }
}

/// The columns of one line: local time, component, message.
type Columns<'a> = (NaiveDateTime, &'a str, &'a str);

fn columns<'a>(host: &Host, line: &'a str) -> Columns<'a> {
    if host.system.form.is_legacy() { legacy(line) } else { modern(line, host.site.date_separator) }
}

/// date TAB time:ms TAB pid (blanks to 4) TAB tid (lower-case hex) TAB component TAB message (may hold tabs)
fn legacy(line: &str) -> Columns<'_> {
    let [date, time, pid, tid, component, message] = line.splitn(6, '\t').collect::<Vec<_>>()[..] else {
        panic!("not six columns: {line}")
    };
    let at = NaiveDateTime::parse_from_str(&format!("{date} {time}"), "%Y-%m-%d %H:%M:%S:%3f").unwrap();
    assert_eq!((date.len(), time.len()), (10, 12), "{line}");
    assert!(pid.len() >= 4 && pid.trim_start().bytes().all(|b| b.is_ascii_digit()), "{line}");
    assert!((2..=4).contains(&tid.len()) && tid.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{line}");
    let known = "Agent AU COMAPI DnldMgr EP Handler Misc PT Report Service Setup";
    assert!(known.split(' ').any(|name| name == component), "{line}");
    assert_eq!(message.contains('\t'), message.starts_with("REPORT EVENT: {"), "{line}");
    (at, component, message)
}

/// date time.fffffff, pid and tid padded to 5, component padded to 15, a blank after each
fn modern(line: &str, separator: char) -> Columns<'_> {
    let (stamp, rest) = line.split_at(27);
    let format = format!("%Y{separator}%m{separator}%d %H:%M:%S%.f");
    let at = NaiveDateTime::parse_from_str(stamp, &format).unwrap();
    assert_eq!(stamp.as_bytes()[19], b'.', "{line}");
    let bytes = rest.as_bytes();
    assert!(bytes[0] == b' ' && bytes[6] == b' ' && bytes[12] == b' ' && bytes[28] == b' ', "{line}");
    for id in [&rest[1..6], &rest[7..12]] {
        let digits = id.trim_end();
        assert!(!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()), "{line}");
    }
    let component = rest[13..28].trim_end();
    let known = "Agent ComApi DownloadManager Handler IdleTimer Misc ProtocolTalker Shared SLS WebServices";
    assert!(known.split(' ').any(|name| name == component), "{line}");
    (at, component, &rest[29..])
}

#[test]
fn every_line_has_the_shape_of_its_windows() {
    let fleet = Fleet::new(outbreak(7));
    let mut forms = BTreeSet::new();
    for (name, log) in logs(outbreak(7), 3, DAY_MS) {
        let host = fleet.host(&name).unwrap();
        forms.insert(format!("{:?}", host.system.form));
        let mut latest = NaiveDateTime::MIN;
        for line in log.split_inclusive('\n') {
            let line = line.strip_suffix("\r\n").expect("CRLF");
            assert!(line.is_ascii() && !line.contains('\r'), "{line}");
            let (at, component, message) = columns(host, line);
            assert!(!message.is_empty() && at + TimeDelta::seconds(10) > latest, "out of order: {line}");
            latest = latest.max(at);
            if component == "Report" && message.starts_with("REPORT EVENT: {") {
                report_event(host, at, message);
            }
        }
    }
    assert_eq!(forms.len(), 4, "each form is in the fleet: {forms:?}");
}

#[test]
fn a_step_ends_at_its_time() {
    let mut fleet = Fleet::new(outbreak(7));
    let (begin_ms, mut previous_ms) = (fleet.now_ms(), i64::MIN);
    for until_ms in (0..150).map(|step| begin_ms + step * 601_234) {
        for (name, bytes) in fleet.lines_until(until_ms) {
            let host = fleet.host(&name).unwrap();
            let offset = TimeDelta::minutes(host.site.utc_minutes.into());
            for line in std::str::from_utf8(&bytes).unwrap().lines() {
                let at_ms = (columns(host, line).0 - offset).and_utc().timestamp_millis();
                assert!(at_ms < until_ms, "{line}");
                // A line that jumps back by less than a second may come a step later.
                assert!(at_ms > previous_ms.saturating_sub(1_000), "{line}");
            }
        }
        assert_eq!(fleet.now_ms(), until_ms);
        previous_ms = until_ms;
    }
}

/// {id} TAB local time with offset TAB 1 TAB event TAB 101 TAB {update} TAB rev TAB hr TAB app TAB result TAB category TAB text
fn report_event(host: &Host, written: NaiveDateTime, message: &str) {
    let fields: Vec<&str> = message.strip_prefix("REPORT EVENT: ").unwrap().split('\t').collect();
    assert_eq!(fields.len(), 12, "{message}");
    let (local, offset) = fields[1].split_at(23);
    let happened = NaiveDateTime::parse_from_str(local, "%Y-%m-%d %H:%M:%S:%3f").unwrap();
    let late = written - happened;
    assert!(late >= TimeDelta::zero() && late <= TimeDelta::seconds(5), "{message}");
    let minutes = host.site.utc_minutes;
    assert_eq!(offset, format!("{}{:02}00", if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60));
    assert_eq!((fields[2], fields[4]), ("1", "101"));
    assert_eq!(fields[9] == "Failure", ["148", "161", "182"].contains(&fields[3]), "{message}");
    assert_eq!(fields[7] == "0", fields[9] == "Success", "{message}");
}

/// The definite trust failures of a log: local time, and the update if the line or its operation names one.
fn trust_failures<'a>(host: &Host, log: &'a str) -> Vec<(NaiveDateTime, &'a str)> {
    let mut update = "";
    let mut failures = Vec::new();
    for line in log.lines() {
        let (at, _, message) = columns(host, line);
        if let Some((_, rest)) = message.split_once("New download job [UpdateId = {") {
            update = &rest[..36];
        } else if let Some((_, rest)) = message.split_once("Generating download request for update {") {
            update = &rest[..36];
        } else if message.contains("File failed postprocessing") {
            failures.push((at, update));
        }
    }
    failures
}

#[test]
fn the_truth_is_what_the_lines_say() {
    for (cause, family) in [(Cause::UntrustedRoot, Family::UntrustedRoot), (Cause::Expired, Family::Expired)] {
        let mut spec = outbreak(11);
        spec.outbreak.as_mut().unwrap().cause = cause;
        let fleet = Fleet::new(spec.clone());
        let truth = fleet.truth().unwrap();
        let mut seen = BTreeMap::new();
        for (name, log) in logs(spec.clone(), 4, DAY_MS) {
            let host = fleet.host(&name).unwrap();
            let offset = TimeDelta::minutes(host.site.utc_minutes.into());
            let failures = trust_failures(host, &log);
            let first = failures.iter().find(|(_, update)| *update == truth.update);
            if let Some((at, _)) = first {
                assert_eq!(fleet.wsus_of(&name), Some(truth.wsus.as_str()), "{name}");
                seen.insert(name, (*at - offset).and_utc().timestamp_millis());
            } else {
                let installed = log.contains(&truth.update);
                assert!(installed, "{name} never saw the update, though it is healthy");
            }
        }
        assert_eq!(seen, truth.hosts);
        assert_eq!(truth.onset_ms, *seen.values().min().unwrap());
        assert!(truth.onset_ms >= spec.outbreak.as_ref().unwrap().onset_ms);
        assert_eq!((truth.family, truth.hosts.len()), (family, 20), "a fifth of the hosts");
    }
}

#[test]
fn an_outbreak_ends_with_successes() {
    let mut spec = outbreak(5);
    let onset_ms = spec.outbreak.as_ref().unwrap().onset_ms;
    spec.outbreak.as_mut().unwrap().end_ms = Some(onset_ms + 40 * HOUR_MS);
    let fleet = Fleet::new(spec.clone());
    let truth = fleet.truth().unwrap();
    let logs = logs(spec, 5, DAY_MS);
    for name in truth.hosts.keys() {
        let (log, host) = (&logs[name], fleet.host(name).unwrap());
        let success = if host.system.form.is_legacy() {
            log.lines().any(|line| line.contains("\t183\t101\t") && line.contains(&truth.update))
        } else {
            log.contains(&format!("updateId = {}.1, DownloadResult: DownloadSucceeded", truth.update))
        };
        assert!(success, "{name}");
    }
}

#[test]
fn a_quiet_fleet_fails_trust_only_where_it_always_did() {
    let spec = FleetSpec::new(3, 100);
    let fleet = Fleet::new(spec.clone());
    assert_eq!(fleet.truth(), None);
    let mut failing = BTreeSet::new();
    let mut healthy_with_code = 0;
    for (name, log) in logs(spec, 2, DAY_MS) {
        let host = fleet.host(&name).unwrap();
        if !trust_failures(host, &log).is_empty() {
            failing.insert(name.clone());
        } else if log.to_lowercase().contains("800b0109") {
            healthy_with_code += 1;
            assert!(!host.system.form.is_legacy(), "{name}");
        }
    }
    assert_eq!(failing.len(), 3, "two chronic hosts and one that loops: {failing:?}");
    assert!(healthy_with_code > 30, "most newer hosts log the code and succeed: {healthy_with_code}");
}

#[test]
fn hosts_scan_about_once_a_day() {
    let spec = FleetSpec::new(3, 100);
    let fleet = Fleet::new(spec.clone());
    let logs = logs(spec, 10, DAY_MS);
    let (mut scans, mut hosts) = (0, 0);
    for host in fleet.hosts().take(90) {
        let log = &logs[&host.name];
        scans += log.matches("* Finding updates ").count() / 2 + log.matches("** START **  Agent: Finding").count();
        hosts += 1;
        let legacy = host.system.form.is_legacy();
        assert_eq!(log.contains("REPORT EVENT"), legacy, "{}", host.name);
        assert_eq!(
            log.contains(&format!("tz: +{:02}00", host.site.utc_minutes / 60)),
            legacy && host.site.utc_minutes >= 0
        );
        assert_eq!(log.contains("EP\tGot WSUS Client/Server URL: \"http"), host.system.form == Form::Legacy81);
        let per_day = log.lines().count() / 10;
        assert!((20..400).contains(&per_day), "{}: {per_day} lines a day", host.name);
    }
    // Every 17.6 to 22 h, and once more after a scan that failed: 10.9 to 13.7 in ten days, and some.
    assert!((11 * hosts..14 * hosts).contains(&scans), "{scans} scans of {hosts} hosts in 10 days");
}
