//! Cases of lines; expected values are read off the line.

use proptest::prelude::*;
use wulog_schemas::event::Form;

use super::*;

type Columns<'a> = (Form, Option<u32>, Option<u32>, Option<&'a str>, &'a str);

fn check(line: &str, expect: Columns<'_>) {
    let entry = parse(line);
    assert_eq!((entry.form, entry.pid, entry.tid, entry.component, entry.message), expect, "{line}");
}

#[test]
fn columns() {
    use Form::*;
    let long = "WARNING: Failed to";
    let cases: [(&str, Columns<'_>); 18] = [
        (
            "2017-03-28\t19:06:43:471\t 952\t5b4\tAgent\t  * Access type: No proxy",
            (Legacy, Some(952), Some(0x5b4), Some("Agent"), "* Access type: No proxy"),
        ),
        (
            "2008-07-19 18:33:03:886 1164 179c Misc Microsoft signed: Yes",
            (Legacy, Some(1164), Some(0x179c), Some("Misc"), "Microsoft signed: Yes"),
        ),
        (
            "2014-01-25    12:18:47:511    968    f58    PT    + ServiceId  ",
            (Legacy, Some(968), Some(0xf58), Some("PT"), "+ ServiceId"),
        ),
        ("2016-05-12 16:25:51+0100 1896 13c AU is disabled", (Legacy, Some(1896), Some(0x13c), None, "AU is disabled")),
        (
            "2005-06-0118:30:03 9927a0Agent***********  Agent: x",
            (Legacy, Some(992), Some(0x7a0), Some("Agent"), "***********  Agent: x"),
        ),
        (
            " 2005-06-0204:32:01 992158MiscWARNING: Send failed",
            (Legacy, Some(992), Some(0x158), Some("Misc"), "WARNING: Send failed"),
        ),
        ("1060 15a8 PT WARNING: ECP: Failed", (Legacy, Some(1060), Some(0x15a8), Some("PT"), "WARNING: ECP: Failed")),
        (
            "C:\\Windows\\WindowsUpdate.log:2264:2013-09-13    03:07:45:709     856    670    Agent    WARNING: Failed to",
            (Legacy, Some(856), Some(0x670), Some("Agent"), long),
        ),
        (
            "2023/03/01 22:19:01.8143606 19924 14968 Misc            *FAILED* [80072F8F] Send request",
            (Etw, Some(19924), Some(14968), Some("Misc"), "*FAILED* [80072F8F] Send request"),
        ),
        (
            "2021.11.13 08:24:22.1394591 69624 176640 WebServices     WS error: Fault occurred",
            (Etw, Some(69624), Some(176_640), Some("WebServices"), "WS error: Fault occurred"),
        ),
        (
            "ac2018.10.21 12:08:49.8046643 1276 3628 Shared * START * Service startup",
            (Etw, Some(1276), Some(3628), Some("Shared"), "* START * Service startup"),
        ),
        (
            "1600/12/31 19:00:00.0000000 2024  4948                  Unknown( 15): GUID=d",
            (Etw, Some(2024), Some(4948), None, "Unknown( 15): GUID=d"),
        ),
        (
            "2018/11/18 19:00:00.0000000 2024  4948                  Some text",
            (Etw, Some(2024), Some(4948), None, "Some text"),
        ),
        (
            "YYYY/MM/DD HH:MM:SS.6134275 22576 27056 Misc            FAILED [80072EFE] Send",
            (Etw, Some(22576), Some(27056), Some("Misc"), "FAILED [80072EFE] Send"),
        ),
        (
            "Shutdwn user declined update at shutdown",
            (Message, None, None, Some("Shutdwn"), "user declined update at shutdown"),
        ),
        ("WARNING: PTError: 0x8024400e", (Message, None, None, None, "WARNING: PTError: 0x8024400e")),
        ("Windows Update Agent ***********", (Text, None, None, None, "Windows Update Agent ***********")),
        ("", (Text, None, None, None, "")),
    ];
    for (line, expect) in cases {
        check(line, expect);
    }
}

#[test]
fn a_report_by_tabs_and_by_spaces() {
    let tabs = "{481BD344-1788-6EB3-E8D2-1C3A01257966}\t2020-03-14 13:14:20:702+0100\t1\t148 [AGENT_DETECTION_FAILED]\t101\t{00000000-0000-0000-0000-000000000000}\t0\t80240438\t<<PROCESS>>: 32bitProxy.exe\tFailure\tSoftware Synchronization\tWindows Update Client failed to detect with error 0x80240438.\telerOJgZdE+e2lIG.1.0.0.3.0";
    for line in [tabs.to_owned(), tabs.replace('\t', " ")] {
        let entry = parse(&line);
        assert_eq!(entry.form, Form::ReportingEvents);
        let report = entry.report.unwrap();
        assert_eq!((report.event_id, report.source, report.update, report.revision), (148, Some(101), None, None));
        assert_eq!((report.hresult, report.app), (Some(0x8024_0438), "<<PROCESS>>: 32bitProxy.exe"));
        assert_eq!((report.result, report.category), ("Failure", "Software Synchronization"));
        assert_eq!(report.text, "Windows Update Client failed to detect with error 0x80240438.");
        assert_eq!(report.correlation, Some("elerOJgZdE+e2lIG.1.0.0.3.0"));
        assert_eq!(report.time.unwrap().offset_min, Some(60));
    }
}

#[test]
fn titles_and_kbs() {
    let line = "2016-10-24\t14:24:01:200\t1532\taa4\tReport\tREPORT EVENT: {8D0F95E6-747D-2045-A407-E096678415C8}\t2016-10-24 14:23:56:200-0600\t1\t181\t101\t{349DE7A2-B3C8-1C7B-A498-641EC6A9D6BA}\t501\t0\twusa\tSuccess\tContent Install\tInstallation Started: Windows successfully started the following update: Update for Windows (KB3177467)";
    let facts = parse(line).facts;
    assert_eq!((facts.title, facts.kb), (Some("Update for Windows (KB3177467)"), Some("KB3177467")));
    assert_eq!((facts.update, facts.revision), (Some("349DE7A2-B3C8-1C7B-A498-641EC6A9D6BA"), Some(501)));
}

#[test]
fn facts_of_messages() {
    let facts = |message: &'static str| {
        let mut facts = super::Facts::default();
        super::message::facts(message, level_and_body_of(message), Some("Agent"), &mut facts);
        facts
    };
    assert_eq!(facts("  * WSUS server: http://wsus48.corp.example").wsus, Some("http://wsus48.corp.example"));
    assert_eq!(facts("  * WSUS status server: http://wsus48.corp.example").wsus, None);
    assert_eq!(facts("  * Target group: (Unassigned Computers)").target_group, Some("(Unassigned Computers)"));
    assert_eq!(facts("  * OS Version = 6.1.7600.0.0.197008").os_version, Some("6.1.7600.0.0.197008"));
    assert_eq!(
        facts("===========  Logging initialized (build: 7.5.7601.17514, tz: -0430)  ===========").banner_offset_min,
        Some(-270)
    );
    assert_eq!(facts("** START **  Agent: Finding updates [CallerId = CcmExec  Id = 1]").caller, Some("CcmExec"));
    assert_eq!(
        facts("* START * Finding updates CallerId = Azure VM Guest Patching  Id = 12 (cV = x.1)").caller,
        Some("Azure VM Guest Patching")
    );
    assert_eq!(facts("-- START --  COMAPI: Search [ClientId = <NULL>]").caller, None);
    assert_eq!(
        facts("WARNING: x, updateId = {E5F3A5A4-2FED-1252-4F9C-E390A3E409EC}.101, hr = 80242013").revision,
        Some(101)
    );
    assert_eq!(
        facts("  + ServiceId = {3DA21691-E39D-4DA6-8A4B-B43877BCB1B7}, Server URL = `http://w:8530/a.asmx`").url,
        Some("http://w:8530/a.asmx")
    );
    assert_eq!(
        facts("SendRequestUsingProxy failed for <http://w/a.cab>. error 0x8024402c").url,
        Some("http://w/a.cab")
    );
    assert_eq!(facts("  * SusClientId = '53d5a682-2351-5262-2e29-5520565a8b02'").caller, None);
    assert_eq!(facts("Microsoft signed: NA").trust, Some(Trust::Unknown));
    assert_eq!(
        facts("WARNING: Digital Signatures on file C:\\a b\\c are not trusted: Error 0x800b0109").path,
        Some("C:\\a b\\c")
    );
}

fn level_and_body_of(message: &str) -> &str {
    super::message::level_and_body(message).1
}

#[test]
fn levels_stand_after_bullets_too() {
    assert_eq!(parse("Agent   * WARNING: Exit code = 0x8024402C").level, Some(LineLevel::Warning));
    assert_eq!(parse("Handler FATAL: UH: 0x80070057: x").level, Some(LineLevel::Fatal));
    assert_eq!(parse("Agent a WARNING: in the middle").level, None);
}

/// A doubled header of Insider builds.
#[test]
fn a_trace_prefix_is_no_part_of_the_body() {
    let entry = parse(
        "2017/03/07 17:08:41.7360000 2860  3124  Agent           [0]0B2C.0C34::03/07/2017-17:08:41.736 [agent]WU client version 10.0.15014.1000",
    );
    assert_eq!(entry.facts.client_version, Some("10.0.15014.1000"));
}

const LINES: [&str; 5] = [
    "2016-10-24\t14:24:01:200\t1532\taa4\tReport\tREPORT EVENT: {8D0F95E6-747D-2045-A407-E096678415C8}\t2016-10-24 14:23:56:200-0600\t1\t181\t101\t{349DE7A2-B3C8-1C7B-A498-641EC6A9D6BA}\t501\t0\twusa\tSuccess\tContent Install\tInstallation Started: Windows successfully started the following update: Update for Windows (KB3177467)",
    "{481BD344-1788-6EB3-E8D2-1C3A01257966} 2020-03-14 13:14:20:702+0100 1 148 [AGENT_DETECTION_FAILED] 101 {00000000-0000-0000-0000-000000000000} 0 80240438 <<PROCESS>>: 32bitProxy.exe Failure Software Synchronization é 0x80240438. elerOJgZdE+e2lIG.1.0.0.3.0",
    "2023/03/01 22:19:04.5990314 19924 14968 SLS             Complete the request URL HTTPS://slscr.update.microsoft.com/SLS/{9482F4B4-E343-43B6-B170-9A65BC822C77}/x64/10.0.19045.2728/0?CH=584 with [80072F8F]",
    "2011-11-03 10:22:46:797 1036 74c Misc WARNING: Digital Signatures on file C:\\Téléchargements\\25cd are not trusted: Error 0x800b0109",
    "2017-03-28\t19:06:43:471\t 952\t5b4\tMisc\t===========  Logging initialized (build: 7.3.7600.16385, tz: +0200)  ===========",
];

#[test]
fn half_lines_are_entries() {
    for line in LINES {
        for at in (0..=line.len()).filter(|at| line.is_char_boundary(*at)) {
            let _ = parse(&line[..at]);
            let _ = parse(&line[at..]);
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_an_entry(text in ".*") {
        let _ = parse(&text);
    }

    #[test]
    fn any_change_of_a_line_is_an_entry(line in 0..LINES.len(), at in 0_usize..300, with in ".{0,4}") {
        let mut chars: Vec<char> = LINES[line].chars().collect();
        let at = at.min(chars.len() - 1);
        chars.splice(at..=at, with.chars());
        let _ = parse(&chars.into_iter().collect::<String>());
    }
}

/// Configuration Manager writes the criteria of a search before the search; such a line does not end a search.
#[test]
fn criteria_of_configuration_manager_are_progress() {
    let of = |message: &str| {
        let columns = r#"]LOG]!><time="06:01:52.781-60" date="03-07-2024" component="WUAHandler" context="" type="1" thread="1234" file="x.cpp:12">"#;
        parse(&format!("<![LOG[{message}{columns}")).action
    };
    assert_eq!(of("Scan results will include all superseded updates."), Action::ScanProgress);
    assert_eq!(of("Search Criteria is (DeploymentAction=* AND Type='Software')"), Action::ScanProgress);
    assert_eq!(of("Async searching of updates using WUAgent started."), Action::ScanStart);
    assert_eq!(of("Successfully completed scan."), Action::ScanEnd);
}
