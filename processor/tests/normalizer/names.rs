//! The document of an attempt, and the name of an update on events and signals.

use serde_json::{Value, json};
use wulog_processor::machine::Machine as _;
use wulog_processor::normalize::{Events, Normalizer, NormalizerConfig};

use super::feed::Feed;

const ID: &str = "8468427E-6555-E8D9-5360-9CBC1D52A0BB";

const LINES: &str = "2014-07-08\t07:59:00:000\t 952\t5b4\tAgent\t  * WSUS server: http://wsus01.corp.example:8530
2014-07-08\t07:59:00:000\t 952\t5b4\tAgent\t  * Target group: Pilot
2014-07-08\t07:59:00:000\t 952\t5b4\tAgent\t  * WU client version 7.6.7601.24436
2014-07-08\t07:59:00:000\t 952\t5b4\tReport\t  * OS Version = 6.1.7601.1.0.65792
2014-07-08\t08:00:00:000\t 952\ta30\tDnldMgr\t  * Title = VideoTool 3.2 (KB9990001)
2014-07-08\t08:00:00:000\t 952\ta30\tDnldMgr\t  * UpdateId = {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.201
2014-07-08\t08:00:05:000\t 952\ta30\tMisc\tWARNING: Error: 0x800b0109 when verifying trust for C:\\Windows\\a\\25cd5f57
2014-07-08\t08:00:05:100\t 952\ta30\tDnldMgr\tWARNING: File failed postprocessing, error = 800b0109";

#[test]
fn an_attempt_is_a_document() {
    let mut feed = Feed::live();
    feed.utc = Some(120);
    feed.lines(LINES);
    let attempts = feed.attempt_documents();
    assert_eq!(attempts.len(), 1);
    let attempt = &attempts[0];
    let expect = [
        ("/@timestamp", json!("2014-07-08T06:00:05.000Z")),
        ("/event/start", json!("2014-07-08T06:00:05.000Z")),
        ("/event/kind", json!("event")),
        ("/event/action", json!("attempt-failed")),
        ("/event/outcome", json!("failure")),
        ("/event/code", json!("0x800b0109")),
        ("/error/code", json!("0x800b0109")),
        ("/error/type", json!("CERT_E_UNTRUSTEDROOT")),
        ("/host/name", json!("pc-0042")),
        ("/host/os/version", json!("6.1.7601")),
        ("/service/version", json!("7.6.7601.24436")),
        ("/labels/site", json!("hamburg")),
        ("/package/name", json!("VideoTool 3.2 (KB9990001)")),
        ("/tags", json!(["cert-trust"])),
        ("/wu/family", json!("untrusted_root")),
        ("/wu/operation", json!("download")),
        ("/wu/subject", json!("update:8468427e-6555-e8d9-5360-9cbc1d52a0bb")),
        ("/wu/update_id", json!("8468427e-6555-e8d9-5360-9cbc1d52a0bb")),
        ("/wu/kb", json!("KB9990001")),
        ("/wu/wsus", json!("wsus01.corp.example:8530")),
        ("/wu/target_group", json!("Pilot")),
        ("/message", json!("The download of VideoTool 3.2 (KB9990001) failed: CERT_E_UNTRUSTEDROOT (0x800b0109)")),
    ];
    for (pointer, value) in expect {
        assert_eq!(attempt.pointer(pointer), Some(&value), "{pointer} of {attempt}");
    }
    let events = feed.events();
    let ids: Vec<Value> = [6, 7].map(|line: usize| events[line]["event"]["id"].clone()).into();
    assert_eq!(attempt["wu"]["lines"], Value::Array(ids));
    assert_eq!(attempt["event"].get("original"), None);
    let signals = feed.attempts();
    assert_eq!(
        (signals[0].dimensions["title"].as_str(), signals[0].dimensions["kb"].as_str()),
        ("VideoTool 3.2 (KB9990001)", "KB9990001")
    );
    assert_eq!(signals[0].operation, "download");
}

/// The document comes with the signal, in a backlog too, and for every setting of `events`.
#[test]
fn attempts_are_documents_of_a_backlog_and_among_notable_events() {
    let mut feed = Feed::catching_up();
    let config = NormalizerConfig { events: Events::Notable, ..NormalizerConfig::default() };
    feed.normalizer = Normalizer::new(&config, 3, 12);
    feed.lines(LINES);
    assert_eq!(feed.attempt_documents().len(), 1);
    let config = NormalizerConfig { attempts: false, ..NormalizerConfig::default() };
    feed.normalizer = Normalizer::new(&config, 3, 12);
    feed.outputs.clear();
    feed.offset = 0;
    feed.lines(LINES);
    assert_eq!((feed.attempt_documents().len(), feed.attempts().len()), (0, 1));
}

/// Failing lines have the update of their operation; the update's name may come from another host's log.
#[test]
fn a_failing_line_names_its_update() {
    let mut feed = Feed::live();
    let report = format!(
        "2023-03-01\t10:00:00:000\t 952\t5b4\tReport\tREPORT EVENT: {{D3AE8947-4B1E-49C2-8D70-5E93A1F6C216}}\t2023-03-01 10:00:00:000+0000\t1\t183\t101\t{{{ID}}}\t201\t0\twusa\tSuccess\tContent Install\tInstallation Successful: Windows successfully installed the following update: VideoTool 3.2 (KB9990001)"
    );
    feed.key = "00000000000000000000000000000001";
    feed.lines(&report);
    feed.key = super::feed::KEY;
    feed.offset = 0;
    feed.lines(&format!(
        "2023/03/01 22:19:00.0000000 1992  1496  DownloadManager Generating download request for update {{{ID}}}.201
2023/03/01 22:19:02.0000000 1992  1496  DownloadManager *FAILED* [8024B303] File failed postprocessing
2023/03/01 22:19:03.0000000 1992  1500  DownloadManager *FAILED* [80070002] Something of another thread"
    ));
    let events = feed.events();
    let failing = events
        .iter()
        .find(|event| event["error"]["code"] == "0x8024b303" && event["event"]["action"] == "download-failed");
    let failing = failing.expect("the line failed");
    assert_eq!(failing["wu"]["update_id"], "8468427e-6555-e8d9-5360-9cbc1d52a0bb");
    assert_eq!(failing["package"]["name"], "VideoTool 3.2 (KB9990001)");
    assert_eq!(failing["wu"]["kb"], "KB9990001");
    let other = events.last().expect("a line gives an event");
    assert_eq!((other["wu"].get("update_id"), other.get("package")), (None, None));
    let attempts = feed.attempts();
    assert_eq!(attempts.last().map(|attempt| attempt.dimensions["title"].as_str()), Some("VideoTool 3.2 (KB9990001)"));
}

/// Checks the update of the last line of a log, in a Normalizer that has read only this log.
#[track_caller]
fn check_update_of_last(lines: &str, update: Option<&str>, name: Option<&str>) {
    let mut feed = Feed::live();
    feed.lines(lines);
    let events = feed.events();
    let last = events.last().expect("a line gives an event");
    assert_eq!(last["event"]["outcome"], "failure", "{last}");
    let found = (last["wu"]["update_id"].as_str(), last["package"]["name"].as_str());
    assert_eq!(found, (update, name), "{lines}");
}

const A: &str = "8468427e-6555-e8d9-5360-9cbc1d52a0bb";
const REFUSED: &str =
    "2014-07-08\t08:00:05:100\t 952\ta30\tDnldMgr\tWARNING: File failed postprocessing, error = 800b0109";

/// A refused file belongs to an update only while the client works on this update; a line that mentions an update is
/// not enough.
#[test]
fn a_line_that_only_mentions_an_update_lends_no_id() {
    let above = |line: &str| format!("2014-07-08\t08:00:00:000\t 952\ta30\t{line}\n{REFUSED}");
    let mentions = [
        "Agent\tWARNING: Failed to evaluate Installed rule, updateId = {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.101, hr = 80070057",
        "Agent\tWARNING: Failed to evaluate Installable rule, updateId = {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.202, hr = 80242013",
        "Handler\tFATAL: UH: 0x80070057: EvaluateApplicability failed in CCbs, updateId = {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.202",
        "Agent\t  * Added update {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.101 to search result",
        "Agent\tUpdate {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.100 is superseded, skipping",
        "Agent\tLogHistory called. idUpdate={8468427E-6555-E8D9-5360-9CBC1D52A0BB}.1, resultMapped=0, resultUnMapped=0",
        "Report\tREPORT EVENT: {1E7C40D9-A5B3-4862-9F0D-C83E6B2751A4}\t2014-07-08 08:00:00:000+0000\t1\t162\t101\t{8468427E-6555-E8D9-5360-9CBC1D52A0BB}\t101\t0\tAutomaticUpdates\tSuccess\tContent Download\tDownload succeeded.",
        "Report\tREPORT EVENT: {1E7C40D9-A5B3-4862-9F0D-C83E6B2751A4}\t2014-07-08 08:00:00:000+0000\t1\t161\t101\t{8468427E-6555-E8D9-5360-9CBC1D52A0BB}\t101\t80070643\tAutomaticUpdates\tFailure\tContent Download\tError: Download failed.",
    ];
    for line in mentions {
        check_update_of_last(&above(line), None, None);
    }
    let works_on = [
        "Agent\t  * UpdateId = {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.101",
        "DnldMgr\t***********  DnldMgr: New download job [UpdateId = {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.101]  ***********",
        "DnldMgr\tDO job {11111111-2222-3333-4444-555555555555} completed successfully, updateId = 8468427E-6555-E8D9-5360-9CBC1D52A0BB.1",
    ];
    for line in works_on {
        check_update_of_last(&above(line), Some(A), None);
    }
}

/// A scan may list one update only; a file that is refused later on the same thread may belong to another.
#[test]
fn updates_that_a_scan_lists_give_no_id_to_later_failures() {
    let scan = |line: &str| {
        format!(
            "2014-07-08\t08:00:00:000\t 952\ta30\tAgent\t** START **  Agent: Finding updates [CallerId = AutomaticUpdates]
2014-07-08\t08:00:01:000\t 952\ta30\tAgent\t{line}
2014-07-08\t08:00:02:000\t 952\ta30\tAgent\t**  END  **  Agent: Finding updates [CallerId = AutomaticUpdates]
{REFUSED}"
        )
    };
    check_update_of_last(
        &scan("  * Added update {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.101 to search result"),
        None,
        None,
    );
    check_update_of_last(&scan("Update {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.101 is hidden by the user"), None, None);
}

/// In an operation with two titles no line says which update fails, even if only one of them has its id in the log.
#[test]
fn two_titles_leave_the_line_without_a_title() {
    let at = |second: &str| format!("2014-07-08\t08:00:00:000\t 952\ta30\tAgent\t{second}\n");
    let start = at("** START **  Agent: Downloading updates [CallerId = AutomaticUpdates]");
    let title = at("  * Title = VideoTool 3.2 (KB9990001)");
    let id = at("  * UpdateId = {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.201");
    let second = at("  * Title = Reader 9");
    let one = Some("VideoTool 3.2 (KB9990001)");
    check_update_of_last(&format!("{start}{title}{id}{REFUSED}"), Some(A), one);
    // A repeated title is the same update.
    check_update_of_last(&format!("{start}{title}{id}{title}{REFUSED}"), Some(A), one);
    check_update_of_last(&format!("{start}{title}{id}{second}{REFUSED}"), None, None);
    check_update_of_last(&format!("{start}{second}{title}{id}{REFUSED}"), None, None);
    // A request for one of the updates decides.
    let request = at("Generating download request for update {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.201");
    check_update_of_last(&format!("{start}{title}{id}{second}{request}{REFUSED}"), Some(A), one);
    // The attempt does not get the last title either.
    let mut feed = Feed::live();
    feed.lines(&format!("{start}{title}{id}{second}{REFUSED}\n2014-07-08\t09:00:00:000\t 952\tb00\tAgent\tx"));
    let attempts = feed.attempts();
    assert_eq!((attempts.len(), attempts[0].dimensions.get("title")), (1, None), "{attempts:?}");
}

/// A title belongs to the id below it, not to the next id that the thread mentions.
#[test]
fn a_title_names_only_the_update_that_it_stands_above() {
    let at = |line: &str| format!("2014-07-08\t08:00:00:000\t 952\ta30\tAgent\t{line}\n");
    let title = at("  * Title = VideoTool 3.2 (KB9990001)");
    let failing = |id: &str| {
        format!(
            "2014-07-08\t08:00:05:100\t 952\tb00\tHandler\tFATAL: UH: 0x80070643: Install failed in CCbs::Install, updateId = {{{id}}}.201"
        )
    };
    let id = at("  * UpdateId = {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.201");
    let priority = at("  * Priority = 2, NetworkCostPolicy = 0");
    let one = Some("VideoTool 3.2 (KB9990001)");
    check_update_of_last(&format!("{title}{id}{}", failing(ID)), Some(A), one);
    check_update_of_last(&format!("{title}{priority}{id}{}", failing(ID)), Some(A), one);
    let rule = at(
        "WARNING: Failed to evaluate Installed rule, updateId = {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.101, hr = 80070057",
    );
    check_update_of_last(&format!("{title}{rule}{}", failing(ID)), Some(A), None);
    // Of several titles only the last one before the id counts.
    let second = at("  * Title = Reader 9");
    check_update_of_last(&format!("{second}{title}{id}{}", failing(ID)), Some(A), one);
    check_update_of_last(&format!("{second}{title}{priority}{id}{}", failing(ID)), Some(A), None);
}

/// A failing line that names its update has the update's name, also outside of an operation and for every kind of
/// failure.
#[test]
fn a_failing_line_with_an_id_has_the_name_of_that_update() {
    let title = "2014-07-08\t08:00:00:000\t 952\ta30\tAgent\t  * Title = VideoTool 3.2 (KB9990001)
2014-07-08\t08:00:00:000\t 952\ta30\tAgent\t  * UpdateId = {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.201\n";
    let lines = [
        "DnldMgr\tBITS job {11111111-2222-3333-4444-555555555555} hit a transient error, updateId = {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.201, error = 0x80072EE7",
        "Agent\tWARNING: Failed to evaluate Installed rule, updateId = {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.201, hr = 80242013",
        "Agent\tLogHistory called. idUpdate={8468427E-6555-E8D9-5360-9CBC1D52A0BB}.201, resultMapped=80070643, resultUnMapped=0",
    ];
    for line in lines {
        let lines = format!("{title}2014-07-08\t08:00:09:000\t 952\tb40\t{line}");
        check_update_of_last(&lines, Some(A), Some("VideoTool 3.2 (KB9990001)"));
    }
}

/// Configuration Manager has no sections: it lists the missing updates, and then an unnamed update fails.
#[test]
fn two_listed_updates_leave_the_line_without_an_update() {
    let line = |message: &str| {
        format!(
            r#"<![LOG[{message}]LOG]!><time="11:02:07.441-60" date="01-12-2021" component="WUAHandler" context="" type="1" thread="5508" file="x.cpp:12">"#
        )
    };
    let first = line("1. Update (Missing): VideoTool 3.2 (KB9990001) (8468427E-6555-E8D9-5360-9CBC1D52A0BB, 201)");
    let second = line("2. Update (Missing): Reader 9 (77B0A6F1-2E40-4C55-8A27-6E8D0F2A9001, 101)");
    let failed = line("Failed to download updates to the WUAgent datastore. Error = 0x800b0109.");
    check_update_of_last(&format!("{first}\n{failed}"), Some(A), Some("VideoTool 3.2 (KB9990001)"));
    check_update_of_last(&format!("{first}\n{second}\n{failed}"), None, None);
}
