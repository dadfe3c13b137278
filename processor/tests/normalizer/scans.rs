//! The end of a scan, and its server.

use wulog_schemas::signal::Outcome;

use super::feed::Feed;

const SERVER: &str = "server:wsus-a.corp.example:8531";

const FAILURE: &str = "failure server:wsus-a.corp.example:8531 0x80072f8f";

/// Lines of Windows 10 on one thread, in the minute `minute` of the day.
fn lines(minute: u32, messages: &[(&str, &str)]) -> String {
    let line = |(number, (component, message)): (usize, &(&str, &str))| {
        let (hour, minute) = (minute / 60, minute % 60);
        format!("2026/03/02 {hour:02}:{minute:02}:00.{number:03}0000 1840  {minute:<5} {component:<15} {message}")
    };
    messages.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

const START: (&str, &str) = ("Agent", "* START * Finding updates CallerId = UpdateOrchestrator  Id = 1");
const URL: (&str, &str) = (
    "ProtocolTalker",
    "ServiceId = {3DA21691-E39D-4DA6-8A4B-B43877BCB1B7}, Server URL = https://wsus-a.corp.example:8531/ClientWebService/client.asmx",
);
const CALL: (&str, &str) = ("WebServices", "*FAILED* [80072F8F] Web service call");
const SYNC: (&str, &str) = ("ProtocolTalker", "*FAILED* [80072F8F] SyncUpdates_WithRecovery failed");
const GAVE_UP: (&str, &str) = ("Agent", "*FAILED* [80072F8F] Failed to find updates");
const FOUND: (&str, &str) =
    ("Agent", "Found 0 updates and 71 categories in search; evaluated appl. rules of 4 out of 9 deployed entities");
const END: (&str, &str) = ("Agent", "* END * Finding updates CallerId = UpdateOrchestrator  Id = 1");
const ENDS_WELL: (&str, &str) =
    ("Agent", "* END * Finding updates CallerId = UpdateOrchestrator  Id = 1 [Exit code = 0x00000000]");

/// Feeds the scans, each an hour after the one before, and returns the attempts and the outcomes of the scans.
fn fed(scans: &[&[(&str, &str)]]) -> (Vec<String>, Vec<Outcome>) {
    let mut feed = Feed::live();
    for (hour, scan) in (1..).zip(scans) {
        feed.lines(&lines(hour * 61, scan));
        feed.tick(10 * 60_000);
    }
    (feed.verdicts(), feed.scans().into_iter().map(|scan| scan.outcome).collect())
}

#[test]
fn a_failure_inside_of_a_scan_stands_where_its_end_says_nothing() {
    let failed = (vec![FAILURE.to_owned()], vec![Outcome::Failure]);
    assert_eq!(fed(&[&[START, URL, CALL, SYNC, GAVE_UP, END]]), failed);
    assert_eq!(fed(&[&[START, URL, GAVE_UP, END]]), failed);
    assert_eq!(fed(&[&[START, URL, CALL, SYNC, END]]), failed);
}

#[test]
fn a_failure_inside_of_a_scan_stands_where_its_end_is_lost() {
    let lost = (vec![FAILURE.to_owned()], vec![]);
    assert_eq!(fed(&[&[START, URL, CALL, SYNC, GAVE_UP]]), lost);
    assert_eq!(fed(&[&[START, URL, CALL, SYNC]]), lost);
    // The next scan on the thread succeeds an hour later: a recovery, which does not erase the failure.
    let (verdicts, _) = fed(&[&[START, URL, CALL, SYNC, GAVE_UP], &[START, URL, FOUND, END]]);
    assert_eq!(verdicts, [FAILURE.to_owned(), format!("success {SERVER}")]);
}

/// A call that fails is repeated; the results of the search, or its END, show its outcome.
#[test]
fn a_scan_that_found_its_updates_succeeded() {
    let well = (vec![], vec![Outcome::Success]);
    assert_eq!(fed(&[&[START, URL, CALL, SYNC, FOUND, END]]), well);
    assert_eq!(fed(&[&[START, URL, CALL, SYNC, ENDS_WELL]]), well);
    assert_eq!(fed(&[&[START, URL, CALL, SYNC, ("Agent", "Exit code = 0x00000000"), END]]), well);
}

/// A successful scan names its servers like a failed one.
#[test]
fn a_scan_tells_the_server_that_it_reached() {
    let scan = |messages: &[(&str, &str)]| {
        let mut feed = Feed::live();
        feed.lines(&lines(61, messages));
        feed.tick(10 * 60_000);
        let signals = feed.signals();
        let scans: Vec<_> = signals.iter().filter(|signal| signal["kind"] == "scan_done").collect();
        assert_eq!(scans.len(), 1);
        scans[0].get("subject").and_then(|subject| subject.as_str()).map(str::to_owned)
    };
    let wsus = ("Agent", "WSUS server: https://wsus-a.corp.example:8531");
    let store = ("Agent", "ServiceID = {855E8A7C-ECB4-4CA3-B045-1DFA50104289} Third party service");
    assert_eq!(scan(&[START, URL, FOUND, END]).as_deref(), Some(SERVER));
    assert_eq!(scan(&[wsus, START, FOUND, END]).as_deref(), Some(SERVER), "the configured one");
    assert_eq!(scan(&[wsus, START, store, FOUND, END]), None, "a scan of another service");
    assert_eq!(scan(&[START, FOUND, END]), None);
}

/// Scans of other services stand between those of the WSUS server.
#[test]
fn a_quarter_of_an_hour_counts_for_each_server() {
    let store = (
        "ProtocolTalker",
        "ServiceId = {855E8A7C-ECB4-4CA3-B045-1DFA50104289}, Server URL = https://fe3.delivery.mp.microsoft.com/ClientWebService/client.asmx",
    );
    let mut feed = Feed::live();
    for minute in 0..6 {
        feed.lines(&lines(60 + 2 * minute, &[START, store, FOUND, END]));
        feed.lines(&lines(61 + 2 * minute, &[START, URL, FOUND, END]));
    }
    let servers: Vec<String> = feed
        .signals()
        .iter()
        .filter(|signal| signal["kind"] == "scan_done")
        .map(|signal| signal["subject"].to_string())
        .collect();
    assert_eq!(servers, ["\"server:fe3.delivery.mp.microsoft.com\"".to_owned(), format!("\"{SERVER}\"")]);
}
