//! The events that end a failure or do not, and the subject of each.

use wulog_schemas::hresult::Family;

use super::feed::Feed;

const UPDATE: &str = "update:8468427e-6555-e8d9-5360-9cbc1d52a0bb";
const ID: &str = "8468427E-6555-E8D9-5360-9CBC1D52A0BB";

/// A line of Windows 10 on thread `tid`, at a clock such as `22:19:00.0`.
fn etw(day: u32, clock: &str, tid: u32, component: &str, text: &str) -> String {
    format!("2023/03/{day:02} {clock:0<16} 1992  {tid:<5} {component:<15} {text}")
}

/// A legacy line.
fn old(clock: &str, tid: &str, component: &str, text: &str) -> String {
    format!("2014-07-08\t{clock}\t 952\t{tid}\t{component}\t{text}")
}

fn verdicts(lines: &[String]) -> Vec<String> {
    let mut feed = Feed::live();
    feed.lines(&lines.join("\n"));
    feed.tick(10 * 60_000);
    feed.verdicts()
}

/// A download whose file is refused, in the lines of Windows 10.
fn refused(day: u32, minute: u32) -> Vec<String> {
    let at = |second: u32| format!("10:{minute:02}:{second:02}.0");
    vec![
        etw(
            day,
            &at(1),
            30,
            "DownloadManager",
            &format!("DO job {{{}}} completed successfully, updateId = {ID}.201", G),
        ),
        etw(
            day,
            &at(2),
            30,
            "Misc",
            r"Validating signature for C:\W\SoftwareDistribution\Download\1\a.cab with dwProvFlags 0x00000080:",
        ),
        etw(day, &at(2), 30, "Misc", "*FAILED* [800B0109] Method failed [CTrustVerifier::CheckChainPolicy:388]"),
        etw(day, &at(2), 30, "DownloadManager", "*FAILED* [8024B303] File failed postprocessing"),
    ]
}

const G: &str = "73C8E215-4D0A-4B9F-8E61-A2F50B7D9C34";

fn scan(day: u32, found: u32, caller: &str) -> Vec<String> {
    vec![
        etw(day, "20:00:00.0", 40, "Agent", &format!("* START * Finding updates CallerId = {caller}  Id = 5")),
        etw(
            day,
            "20:00:01.0",
            40,
            "ProtocolTalker",
            "ServiceId = {3DA21691-E39D-4DA6-8A4B-B43877BCB1B7}, Server URL = http://wsus01.corp.example:8530/ClientWebService/client.asmx",
        ),
        etw(
            day,
            "20:00:09.0",
            40,
            "Agent",
            &format!(
                "Found {found} updates and 80 categories in search; evaluated appl. rules of 1 out of 2 deployed entities"
            ),
        ),
        etw(day, "20:00:09.0", 40, "Agent", &format!("* END * Finding updates CallerId = {caller}  Id = 5")),
    ]
}

#[test]
fn a_job_that_completed_is_a_download_unless_its_file_is_refused() {
    assert_eq!(verdicts(&refused(1, 0)), [format!("failure {UPDATE} 0x8024b303")]);
    let mut feed = Feed::live();
    feed.lines(&refused(1, 0)[0]);
    feed.tick(299_000);
    assert!(feed.attempts().is_empty(), "the end of the operation decides");
    feed.tick(1_000);
    assert_eq!(feed.verdicts(), [format!("success {UPDATE}")]);
    assert_eq!(feed.attempts()[0].operation, "download");
}

/// Each file of an update is a job. Successful jobs do not disprove the refusal of another file.
#[test]
fn a_job_of_another_file_of_the_update_ends_no_failure() {
    let mut lines = refused(1, 0);
    lines.push(etw(
        1,
        "10:03:00.0",
        31,
        "DownloadManager",
        &format!("DO job {{{G}}} completed successfully, updateId = {ID}.201"),
    ));
    assert_eq!(verdicts(&lines), [format!("failure {UPDATE} 0x8024b303")]);
}

/// A verdict on a file keeps the update of its thread, so the success has the subject of the failure.
#[test]
fn a_trusted_publisher_counts_for_the_update_that_failed() {
    let mut lines = refused(1, 0);
    lines.push(etw(
        2,
        "10:00:00.0",
        50,
        "DownloadManager",
        &format!("Generating download request for update {{{ID}}}.201"),
    ));
    lines.push(etw(2, "10:00:05.0", 50, "Misc", "Trusted Publisher: Yes"));
    assert_eq!(verdicts(&lines), [format!("failure {UPDATE} 0x8024b303"), format!("success {UPDATE}")]);
    // If the file is refused after all, the verdict proved nothing.
    lines.push(etw(2, "10:00:06.0", 50, "DownloadManager", "*FAILED* [8024B303] File failed postprocessing"));
    assert_eq!(verdicts(&lines), [format!("failure {UPDATE} 0x8024b303"), format!("failure {UPDATE} 0x8024b303")]);
}

#[test]
fn every_form_of_success_counts() {
    for (component, text, operation) in [
        (
            "DownloadManager",
            format!("All files for update {ID}.201 were already downloaded and are valid."),
            "download",
        ),
        ("DownloadManager", format!("DownloadResult: DownloadSucceeded, updateId = {ID}.201"), "download"),
        (
            "Agent",
            format!("LogHistory called. idUpdate={{{ID}}}.201, resultMapped=00000000, resultUnMapped=0000"),
            "install",
        ),
        ("Agent", format!("LogHistory called. idUpdate={{{ID}}}.201, resultMapped=0, resultUnMapped=0"), "install"),
    ] {
        let mut feed = Feed::live();
        feed.lines(&etw(1, "10:00:00.0", 7, component, &text));
        assert_eq!(feed.verdicts(), [format!("success {UPDATE}")], "{text}");
        assert_eq!(feed.attempts()[0].operation, operation, "{text}");
    }
    let bad = format!("LogHistory called. idUpdate={{{ID}}}.201, resultMapped=80070643, resultUnMapped=FFFE");
    assert_eq!(verdicts(&[etw(1, "10:00:00.0", 7, "Agent", &bad)]), Vec::<String>::new());
}

/// SHA-2 on a system without support for it: the download succeeds each time, and the installation fails each time.
#[test]
fn a_download_does_not_end_the_failure_of_an_installation() {
    let fails = |day| {
        vec![
            etw(
                day,
                "10:00:00.0",
                30,
                "DownloadManager",
                &format!("All files for update {ID}.201 were already downloaded and are valid."),
            ),
            etw(day, "10:00:08.0", 30, "Handler", "* START * CBS Install"),
            etw(
                day,
                "10:00:09.0",
                30,
                "Handler",
                &format!("FATAL: UH: 0x800b0109: Install failed in CCbs::Install, updateId = {{{ID}}}.201"),
            ),
            etw(day, "10:00:09.5", 30, "Handler", "* END * CBS Install"),
        ]
    };
    let days = [fails(1), fails(3), fails(5)].concat();
    let failed = format!("failure {UPDATE} 0x800b0109");
    assert_eq!(verdicts(&days), [format!("success {UPDATE}"), failed.clone(), failed.clone(), failed.clone()]);
    let installed = etw(
        6,
        "10:00:00.0",
        7,
        "Agent",
        &format!("LogHistory called. idUpdate={{{ID}}}.201, resultMapped=0, resultUnMapped=0"),
    );
    assert_eq!(verdicts(&[days, vec![installed]].concat()).last(), Some(&format!("success {UPDATE}")));
}

#[test]
fn an_update_that_is_not_offered_any_more_has_ended() {
    let after = |lines: Vec<String>| verdicts(&[refused(1, 0), lines].concat()).split_off(1);
    let mut feed = Feed::live();
    feed.lines(&[refused(1, 0), scan(1, 0, "UpdateOrchestrator")].concat().join("\n"));
    let attempt = &feed.attempts()[1];
    assert_eq!((attempt.subject.as_str(), attempt.dimensions["evidence"].as_str()), (UPDATE, "not_offered"));
    assert_eq!(after(scan(1, 1, "UpdateOrchestrator")), Vec::<String>::new(), "something is offered");
    assert_eq!(after(scan(1, 0, "Windows Defender")), Vec::<String>::new(), "it asks for its own updates");
    // A scan soon after the failure may have run at the same time.
    assert_eq!(verdicts(&[refused(1, 0), scan(1, 0, "UpdateOrchestrator")].concat()).len(), 2);
    let soon: Vec<String> = scan(1, 0, "UpdateOrchestrator").iter().map(|line| line.replace(" 20:", " 14:")).collect();
    assert_eq!(after(soon), Vec::<String>::new());
    // A scan that lists all updates that it found.
    let listed = |id: &str| {
        let mut lines = scan(1, 1, "UpdateOrchestrator");
        lines.insert(2, etw(1, "20:00:08.0", 40, "Agent", &format!("Added update {id}.1 to search result")));
        lines
    };
    assert_eq!(after(listed(G)), [format!("success {UPDATE}")]);
    assert_eq!(after(listed(ID)), Vec::<String>::new());
}

/// `800B0109` in a scan concerns the server's certificate; the subject is the server, at once.
#[test]
fn a_failure_in_a_scan_is_one_of_its_server() {
    let lines = |code: &str| {
        vec![
            old("08:00:00:000", "a30", "Agent", "** START **  Agent: Finding updates [CallerId = AutomaticUpdates]"),
            old(
                "08:00:01:000",
                "a30",
                "PT",
                "  + ServiceId = {3DA21691-E39D-4DA6-8A4B-B43877BCB1B7}, Server URL = https://wsus01.corp.example:8531/ClientWebService/client.asmx",
            ),
            old("08:00:05:000", "a30", "Misc", &format!("WARNING: Send failed with hr = {code}.")),
            old("08:00:05:100", "a30", "Agent", &format!("  * WARNING: Exit code = 0x{code}")),
        ]
    };
    for code in ["800b0109", "800b0101", "80072f8f"] {
        let mut feed = Feed::live();
        feed.lines(&lines(code).join("\n"));
        assert_eq!(feed.verdicts(), [format!("failure server:wsus01.corp.example:8531 0x{code}")]);
        let attempt = &feed.attempts()[0];
        assert_eq!(
            (attempt.operation.as_str(), attempt.dimensions["server"].as_str()),
            ("scan", "wsus01.corp.example:8531")
        );
    }
}

/// Revocation could not be checked, and so the scan failed: both families are reported at the end of the scan.
#[test]
fn two_families_of_one_scan_are_told_together() {
    let mut feed = Feed::live();
    let lines = [
        etw(1, "10:00:00.0", 9, "Agent", "* START * Finding updates CallerId = UpdateOrchestrator  Id = 5"),
        etw(
            1,
            "10:00:01.0",
            9,
            "SLS",
            "Making request with URL HTTPS://slscr.update.microsoft.com/SLS/{9482F4B4-E343-43B6-B170-9A65BC822C77}/x64/10.0.19045.2728/0 and send SLS events.",
        ),
        etw(1, "10:00:02.0", 9, "Misc", "*FAILED* [80092013] Send request"),
        etw(1, "10:00:02.1", 9, "Misc", "*FAILED* [80072F8F] Send request"),
        etw(1, "10:00:03.0", 9, "Agent", "Exit code = 0x80072F8F"),
    ];
    feed.lines(&lines.join("\n"));
    let families: Vec<Option<Family>> = feed.attempts().iter().map(|attempt| attempt.family).collect();
    assert_eq!(families, [Some(Family::Revocation), Some(Family::Tls)]);
    assert!(feed.attempts().iter().all(|attempt| attempt.subject == "server:slscr.update.microsoft.com"));
}

/// The report of the scan that failed comes from another thread and names no server.
#[test]
fn the_report_of_a_scan_is_the_same_failure() {
    let lines = [
        old("08:00:00:000", "a30", "Agent", "** START **  Agent: Finding updates [CallerId = AutomaticUpdates]"),
        old(
            "08:00:01:000",
            "a30",
            "PT",
            "  + ServiceId = {9482F4B4-E343-43B6-B170-9A65BC822C77}, Server URL = https://fe2.update.microsoft.com/v6/ClientWebService/client.asmx",
        ),
        old("08:00:05:100", "a30", "Agent", "  * WARNING: Exit code = 0x80072F8F"),
        old(
            "08:00:10:000",
            "b11",
            "Report",
            "REPORT EVENT: {D3AE8947-4B1E-49C2-8D70-5E93A1F6C216}\t2014-07-08 08:00:05:100+0000\t1\t148\t101\t{00000000-0000-0000-0000-000000000000}\t0\t80072f8f\tAutomaticUpdates\tFailure\tSoftware Synchronization\tWindows Update Client failed to detect with error 0x80072f8f.",
        ),
    ];
    assert_eq!(verdicts(&lines), ["failure server:fe2.update.microsoft.com 0x80072f8f"]);
    // Alone it names no server, and no server is invented.
    assert_eq!(verdicts(&lines[3..]), ["failure unknown 0x80072f8f"]);
}

/// The antimalware program reaches Microsoft, which proves nothing about the WSUS server.
#[test]
fn a_scan_ends_the_failures_of_the_servers_that_it_talked_to() {
    let failed = [
        etw(1, "10:00:00.0", 9, "Agent", "* START * Finding updates CallerId = UpdateOrchestrator  Id = 5"),
        etw(
            1,
            "10:00:01.0",
            9,
            "ProtocolTalker",
            "ServiceId = {3DA21691-E39D-4DA6-8A4B-B43877BCB1B7}, Server URL = https://wsus01.corp.example:8530/ClientWebService/client.asmx",
        ),
        etw(1, "10:00:03.0", 9, "Agent", "Exit code = 0x80072F8F"),
        etw(1, "10:00:03.0", 9, "Agent", "* END * Finding updates CallerId = UpdateOrchestrator  Id = 5"),
    ];
    let elsewhere: Vec<String> = scan(1, 0, "Windows Defender")
        .iter()
        .map(|line| line.replace("wsus01.corp.example:8530", "fe2.update.microsoft.com"))
        .collect();
    let subject = "server:wsus01.corp.example:8530";
    assert_eq!(verdicts(&[failed.to_vec(), elsewhere].concat()), [format!("failure {subject} 0x80072f8f")]);
    let there = scan(1, 3, "UpdateOrchestrator");
    assert_eq!(
        verdicts(&[failed.to_vec(), there].concat()),
        [format!("failure {subject} 0x80072f8f"), format!("success {subject}")]
    );
}

/// The same old lines in a second file, after the repair: an administrator's copy of the log.
#[test]
fn lines_that_are_logged_again_open_nothing_again() {
    let repaired = etw(
        1,
        "12:00:00.0",
        7,
        "Agent",
        &format!("LogHistory called. idUpdate={{{ID}}}.201, resultMapped=0, resultUnMapped=0"),
    );
    let lines = [refused(1, 0), vec![repaired]].concat().join("\n");
    let mut feed = Feed::live();
    feed.lines(&lines);
    feed.tick(10 * 60_000);
    let before = feed.verdicts();
    assert_eq!(before.len(), 2);
    feed.file = r"C:\Windows\WindowsUpdate.log.old.log";
    feed.offset = 0;
    feed.lines(&lines);
    feed.tick(10 * 60_000);
    assert_eq!(feed.verdicts(), before);
}

/// Facts from lines seconds before the failure precede its attempt.
#[test]
fn facts_go_before_the_attempt() {
    let mut feed = Feed::live();
    let server = etw(1, "09:59:59.0", 5, "Agent", "WSUS server: http://wsus07.corp.example:8530");
    feed.lines(&[vec![server], refused(1, 0)].concat().join("\n"));
    let signals = feed.signals();
    let attempt = signals.iter().position(|signal| signal["kind"] == "attempt").expect("it failed");
    assert_eq!(signals[attempt - 1]["dimensions"]["wsus"], "wsus07.corp.example:8530");
    // `NULL` means a known lack of a server, which differs from an unknown server.
    feed.lines(&etw(1, "11:00:00.0", 5, "Agent", "WSUS server: NULL"));
    feed.tick(60_000);
    assert_eq!(feed.host_facts().last().map(|facts| facts.dimensions["wsus"].clone()), Some("none".to_owned()));
}
