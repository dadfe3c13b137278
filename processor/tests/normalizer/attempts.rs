//! The signals of a host's lines: attempts, scans, facts.

use wulog_schemas::hresult::Family;

use super::feed::{Feed, LOG_TIME};

/// A log without columns: the report that started this project.
pub(crate) const LUP: &str = "Report REPORT EVENT: {8D311782-E9DB-1E2A-563A-883AFD4A63DD} 2011-05-15 07:47:07:169+0200 1 161 101 {8468427E-6555-E8D9-5360-9CBC1D52A0BB} 1 800b0109 AutomaticUpdatesWuApp Failure Content Download Error: Download failed.
Report CWERReporter::HandleEvents - WER report upload completed with status 0x8
Report WER Report sent: 7.5.7601.17514 0x800b0109 8468427E-6555-E8D9-5360-9CBC1D52A0BB Download 101 Managed
Report CWERReporter finishing event handling. (00000000)
Report Uploading 1 events using cached cookie, reporting URL = http://wsus49.corp.example:8530/ReportingWebService/ReportingWebService.asmx
Report Reporter successfully uploaded 1 events.
Shutdwn user declined update at shutdown
AU Successfully wrote event for AU health state:0
AU AU initiates service shutdown
AU ########### AU: Uninitializing Automatic Updates ###########
Report CWERReporter finishing event handling. (00000000)
Service *********
Service ** END ** Service: Service exit [Exit code = 0x240001]
Service *************";

/// Four lines of one file that failed, with the path of a download.
const DIGSIG: &str = "2011-11-03\t10:22:46:750\t1036\t74c\tMisc\tValidating signature for C:\\WINNT\\Download\\89ce\\25cd5f57:\n\
2011-11-03\t10:22:46:797\t1036\t74c\tMisc\tWARNING: Error: 0x800b0109 when verifying trust for C:\\WINNT\\Download\\89ce\\25cd5f57\n\
2011-11-03\t10:22:46:797\t1036\t74c\tMisc\tWARNING: Digital Signatures on file C:\\WINNT\\Download\\89ce\\25cd5f57 are not trusted: Error 0x800b0109\n\
2011-11-03\t10:22:46:797\t1036\t74c\tDnldMgr\tWARNING: File failed postprocessing, error = 800b0109";

const REPORT: &str = "2011-11-03\t10:22:51:100\t1036\t8a0\tReport\tREPORT EVENT: {8D311782-E9DB-1E2A-563A-883AFD4A63DD}\t2011-11-03 10:22:46:797+0100\t1\t161\t101\t{8468427E-6555-E8D9-5360-9CBC1D52A0BB}\t1\t800b0109\tAutomaticUpdates\tFailure\tContent Download\tError: Download failed.";

const UPDATE: &str = "update:8468427e-6555-e8d9-5360-9cbc1d52a0bb";

fn check(lines: &str, expect: &[&str]) {
    let mut feed = Feed::live();
    feed.lines(lines);
    feed.tick(10 * 60_000);
    assert_eq!(feed.verdicts(), expect, "{lines}");
}

#[test]
fn a_report_event_of_a_trust_failure_is_a_failed_attempt_of_its_update() {
    let mut feed = Feed::live();
    feed.lines(LUP);
    let attempts = feed.attempts();
    assert_eq!(feed.verdicts(), [format!("failure {UPDATE} 0x800b0109")]);
    assert_eq!(attempts[0].operation, "download");
    // 2011-05-15 07:47:07.169 +0200
    assert_eq!(attempts[0].event_time, 1_305_438_427_169);
    assert_eq!(attempts[0].dimensions["caller"], "AutomaticUpdatesWuApp");
    assert!(attempts[0].late);
}

#[test]
fn the_lines_of_one_failure_are_one_attempt_of_the_update_that_the_report_names() {
    check(&format!("{DIGSIG}\n{REPORT}"), &[&format!("failure {UPDATE} 0x800b0109")]);
}

#[test]
fn without_a_report_the_file_stands_for_the_update() {
    check(DIGSIG, &["failure file:25cd5f57 0x800b0109"]);
}

#[test]
fn a_failure_counts_once_until_a_success() {
    let next = |line: &str, clock: &str| line.replace("10:22:", clock);
    let success = REPORT
        .replace("10:22:", "11:30:")
        .replace("161\t", "162\t")
        .replace("800b0109", "0")
        .replace("Failure", "Success");
    check(
        &format!("{REPORT}\n{}\n{success}\n{}", next(REPORT, "10:55:"), next(REPORT, "12:10:")),
        &[
            &format!("failure {UPDATE} 0x800b0109"),
            &format!("success {UPDATE}"),
            &format!("failure {UPDATE} 0x800b0109"),
        ],
    );
}

const ETW: &str = "2023/03/01 22:19:00.0000000 1992  1496  DownloadManager * START * Begin Downloading Updates CallerId = UpdateOrchestrator  Id = 7 (cV = abcdefghijklmnop.1.0)
2023/03/01 22:19:00.1000000 1992  1496  DownloadManager Title = Contoso Agent 4.2
2023/03/01 22:19:00.2000000 1992  1496  DownloadManager Generating download request for update {8468427E-6555-E8D9-5360-9CBC1D52A0BB}.201
2023/03/01 22:19:01.0000000 1992  1496  Misc            Validating signature for C:\\Windows\\SoftwareDistribution\\Download\\1\\agent.exe with dwProvFlags 0x00000080:
2023/03/01 22:19:01.1000000 1992  1496  Misc            *FAILED* [800B0109] Method failed [CertificateChain::VerifyPolicy:318]
2023/03/01 22:19:01.2000000 1992  1496  Misc            *FAILED* [800B0109] Method failed [CertificateChain::VerifyPolicy:318]";

#[test]
fn a_healthy_third_party_install_is_no_failure() {
    let good = "2023/03/01 22:19:01.3000000 1992  1496  Misc            Trusted Publisher: Yes
2023/03/01 22:19:02.0000000 1992  1496  DownloadManager updateId = 8468427E-6555-E8D9-5360-9CBC1D52A0BB.201, DownloadResult: DownloadSucceeded";
    check(&format!("{ETW}\n{good}"), &[&format!("success {UPDATE}")]);
}

#[test]
fn a_provisional_failure_counts_unless_a_success_follows() {
    check(ETW, &[&format!("failure {UPDATE} 0x800b0109")]);
    let mut feed = Feed::live();
    feed.lines(ETW);
    feed.tick(299_000);
    assert!(feed.attempts().is_empty());
    feed.tick(1_000);
    assert_eq!(feed.attempts().len(), 1);
}

#[test]
fn the_final_code_of_windows_10_counts_at_once() {
    let bad = "2023/03/01 22:19:02.0000000 1992  1496  DownloadManager *FAILED* [8024B303] File failed postprocessing, updateId = 8468427E-6555-E8D9-5360-9CBC1D52A0BB.201
2023/03/01 22:19:02.1000000 1992  1496  DownloadManager *FAILED* [8024B303] Method failed [CDownloadJob::PostProcessFile:2217]";
    let mut feed = Feed::live();
    feed.lines(&format!("{ETW}\n{bad}"));
    assert_eq!(feed.verdicts(), [format!("failure {UPDATE} 0x8024b303")]);
    assert_eq!(feed.attempts()[0].dimensions["title"], "Contoso Agent 4.2");
}

#[test]
fn a_tls_failure_is_one_of_its_server() {
    check(
        "2023/03/01 22:19:01.4037009 19924 14968 SLS             Making request with URL HTTPS://slscr.update.microsoft.com/SLS/{9482F4B4-E343-43B6-B170-9A65BC822C77}/x64/10.0.19045.2728/0?CH=584&L=ja-JP and send SLS events.\n\
         2023/03/01 22:19:01.8143606 19924 14968 Misc            *FAILED* [80072F8F] Send request\n\
         2023/03/01 22:19:02.2028507 19924 14968 Misc            *FAILED* [80072F8F] Send request",
        &["failure server:slscr.update.microsoft.com 0x80072f8f"],
    );
}

#[test]
fn other_failures_are_no_attempts() {
    check("2022-11-26\t11:15:01:303\t1048\tfd4\tMisc\tWARNING: SendRequest failed with hr = 80072efe.", &[]);
    check(
        "2025/03/28 19:48:37.8333572 41352 21380 Misc            *FAILED* [80092004] Method failed to get auth token.",
        &[],
    );
}

/// SHA-2 on a Windows 7 that cannot check it: the code counts only where the client discards the update.
#[test]
fn not_found_is_a_bad_signature_where_the_update_is_thrown_away() {
    let code = |text: &str| text.replace("800b0109", "80092004");
    check(&code(REPORT), &[&format!("failure {UPDATE} 0x80092004")]);
    check(&code(DIGSIG), &["failure file:25cd5f57 0x80092004"]);
    let mut feed = Feed::live();
    feed.lines(&code(REPORT));
    assert_eq!(feed.attempts()[0].family, Some(Family::Signature));
    check("2019-08-14\t11:15:01:303\t1048\tfd4\tMisc\tWARNING: Lookup failed with hr = 80092004.", &[]);
}

#[test]
fn a_scan_gives_one_signal_in_a_quarter_of_an_hour() {
    let end = |clock: &str| {
        format!(
            "2016-05-04\t{clock}:51:843\t 676\t3968\tAgent\t**  END  **  Agent: Finding updates [CallerId = AutomaticUpdates]"
        )
    };
    let mut feed = Feed::live();
    feed.lines(&format!("{}\n{}\n{}", end("06:30"), end("06:40"), end("06:46")));
    assert_eq!(feed.scans().len(), 2);
    let warning = "2016-05-04\t07:30:50:000\t 676\t3968\tAgent\t  * WARNING: Exit code = 0x8024402C";
    feed.lines(&format!("{warning}\n{}", end("07:30")));
    let scans: Vec<_> = feed.scans().iter().map(|scan| scan.outcome).collect();
    use wulog_schemas::signal::Outcome::{Failure, Success};
    assert_eq!(scans, [Success, Success, Failure]);
}

#[test]
fn a_host_that_catches_up_says_what_it_fails_at() {
    let mut feed = Feed::catching_up();
    feed.lines(LUP);
    feed.heartbeat(true);
    let facts = feed.host_facts();
    let facts = facts.last().unwrap();
    assert!(facts.caught_up);
    assert_eq!(facts.failing[0].subject, UPDATE);
    assert_eq!(facts.failing[0].since, 1_305_438_427_169);
    assert_eq!(facts.dimensions["wsus"], "wsus49.corp.example:8530");
    assert_eq!(facts.dimensions["client_build"], "7.5.7601.17514");
    assert_eq!(facts.dimensions["label.site"], "hamburg");
}

/// A backlog is history: its signals follow facts with `caught_up: false`.
#[test]
fn a_backlog_tells_attempts_and_scans_as_history() {
    let mut feed = Feed::catching_up();
    let end = "2011-05-15\t09:30:51:843\t 676\t3968\tAgent\t**  END  **  Agent: Finding updates [CallerId = X]";
    feed.lines(&format!("{LUP}\n{end}"));
    assert_eq!(feed.verdicts(), [format!("failure {UPDATE} 0x800b0109")]);
    assert_eq!(feed.scans().len(), 1);
    let kinds: Vec<String> = feed.signals().iter().map(|signal| signal["kind"].to_string()).collect();
    assert_eq!(kinds[kinds.len() - 4..], ["\"host_facts\"", "\"attempt\"", "\"host_facts\"", "\"scan_done\""]);
    assert!(feed.host_facts().iter().all(|facts| !facts.caught_up));
}

#[test]
fn a_host_without_heartbeats_counts_as_caught_up_after_half_an_hour() {
    let caught_up = |feed: &Feed| feed.host_facts().iter().map(|facts| facts.caught_up).collect::<Vec<_>>();
    let mut feed = Feed::catching_up();
    feed.lines(LUP);
    feed.tick(1_799_000);
    assert_eq!(caught_up(&feed), [false]);
    feed.tick(1_000);
    assert_eq!(caught_up(&feed), [false, true]);
}

#[test]
fn a_start_up_block_gives_one_signal_of_facts() {
    let mut feed = Feed::live();
    let before = feed.host_facts().len();
    feed.lines(
        "2012-11-24\t14:26:56:013\t1016\t1528\tAgent\t  * WU client version 7.6.7600.256\n\
         2012-11-24\t14:26:58:144\t1016\t65c\tAgent\t  * WSUS server: http://wsus48.corp.example\n\
         2012-11-24\t14:26:58:145\t1016\t65c\tAgent\t  * Target group: group.notarealtld\n\
         2012-11-24\t14:26:58:145\t1016\t65c\tReport\t  * OS Version = 6.1.7600.0.0.197008",
    );
    assert_eq!(feed.host_facts().len(), before);
    feed.tick(60_000);
    let facts = feed.host_facts();
    assert_eq!(facts.len(), before + 1);
    let dimensions = &facts.last().unwrap().dimensions;
    for (name, value) in [
        ("client_build", "7.6.7600.256"),
        ("wsus", "wsus48.corp.example"),
        ("target_group", "group.notarealtld"),
        ("os_build", "6.1.7600"),
        ("form", "legacy"),
    ] {
        assert_eq!(dimensions[name], value);
    }
}

#[test]
fn the_clock_is_passed_on_once_a_minute_and_at_each_tick() {
    let mut feed = Feed::live();
    assert_eq!(feed.ticks(), 1);
    for (later_ms, ticks) in [(59_999, 1), (1, 2), (59_999, 2)] {
        feed.log_time += later_ms;
        feed.heartbeat(true);
        assert_eq!(feed.ticks(), ticks);
    }
    feed.tick(0);
    assert_eq!(feed.ticks(), 3);
    // A leader's clock that steps back does not move log time back.
    feed.log_time = LOG_TIME;
    feed.heartbeat(true);
    assert_eq!(feed.ticks(), 3);
}
