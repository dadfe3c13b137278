//! Uninstallations: they have actions of their own, and are not attempts.

use super::feed::Feed;

const UPDATE: &str = "471d79d5-c7aa-4980-abe7-3f120c63c53e";

/// A record of ReportingEvents.log. The numbers are those of MS-WUSP 2.2.2.3.1.
fn report(hour: u32, event: u32, code: &str, result: &str) -> String {
    format!(
        "{{5812EE3F-B242-BD00-E263-35F7A0085A{hour:02}}}\t2026-03-02 {hour:02}:00:00:000+0000\t1\t{event}\t101\t{{{UPDATE}}}\t1\t{code}\twusa\t\
         {result}\tContent Install\tIt ended."
    )
}

fn fed(lines: &str) -> Feed {
    let mut feed = Feed::live();
    feed.lines(lines);
    feed.tick(10 * 60_000);
    feed
}

#[test]
fn a_report_of_an_uninstallation_is_no_attempt() {
    let failed = report(9, 221, "800b0109", "Failure");
    for lines in [failed.clone(), report(9, 222, "0", "Success"), report(9, 224, "0", "Success")] {
        let feed = fed(&lines);
        assert_eq!(feed.verdicts(), [""; 0], "{lines}");
        assert!(feed.host_facts().last().unwrap().failing.is_empty());
    }
    let event = &fed(&failed).events()[0];
    assert_eq!(event["event"]["action"], "uninstall-failed");
    assert_eq!(event["event"]["type"][0], "deletion");
}

/// The update is gone, which proves nothing about its installation.
#[test]
fn a_successful_uninstallation_ends_no_failure() {
    let lines = [report(8, 182, "800b0109", "Failure"), report(9, 222, "0", "Success")].join("\n");
    let feed = fed(&lines);
    assert_eq!(feed.verdicts(), [format!("failure update:{UPDATE} 0x800b0109")]);
    assert_eq!(feed.host_facts().last().unwrap().failing.len(), 1);
}

/// The same by the lines of WindowsUpdate.log: by the section, or by the words of the line.
#[test]
fn lines_of_an_uninstallation_are_no_attempt() {
    let line =
        |ms: u32, message: &str| format!("2026/03/02 08:05:00.{ms:03}0000 1840  9000  Handler         {message}");
    let starting = format!("Starting uninstall of CBS update {UPDATE}");
    let section = |end: &str| {
        [line(1, "* START * CBS Uninstall"), line(2, &starting), line(3, end), line(4, "* END * CBS Uninstall")]
            .join("\n")
    };
    let endings = [
        (
            "*FAILED* [800B0109] Completed uninstall of CBS update with type=0, requiresReboot=0, installerError=1, hr=0x800b0109",
            "uninstall-failed",
        ),
        (
            "*FAILED* [800B0109] Completed install of CBS update with type=0, requiresReboot=0, installerError=1, hr=0x800b0109",
            "uninstall-failed",
        ),
        (
            "Completed uninstall of CBS update with type=0, requiresReboot=0, installerError=0, hr=0x0",
            "uninstall-succeeded",
        ),
        (
            "Command line install completed. Return code = 0x00000000, Result = Succeeded, Reboot required = false",
            "uninstall-succeeded",
        ),
    ];
    for (end, action) in endings {
        let feed = fed(&section(end));
        assert_eq!(feed.verdicts(), [""; 0], "{end}");
        let events = feed.events();
        assert_eq!(events[1]["event"]["action"], "uninstall-start", "{end}");
        assert_eq!(events[2]["event"]["action"], action, "{end}");
        assert_eq!(events[2]["event"]["type"][0], "deletion", "{end}");
        assert_eq!(events[2]["wu"]["operation"], "uninstall", "{end}");
    }
    let alone = "Command line uninstall completed. Return code = 0x800b0109, Result = Failed, Reboot required = false";
    let feed = fed(&line(1, alone));
    assert_eq!(feed.verdicts(), [""; 0]);
    assert_eq!(feed.events()[0]["event"]["action"], "uninstall-failed");
}

/// The agent's call around the uninstallation: its history reports an uninstallation too.
#[test]
fn the_history_of_an_uninstallation_is_no_installation() {
    let line =
        |ms: u32, message: &str| format!("2026/03/02 08:05:00.{ms:03}0000 1840  4000  Agent           {message}");
    let history =
        |code: &str| format!("LogHistory called. idUpdate={{{UPDATE}}}.1, resultMapped={code}, resultUnMapped=0");
    for code in ["00000000", "800B0109"] {
        let lines = [
            line(1, "* START * Uninstalling updates CallerId = wusa"),
            line(2, &history(code)),
            line(3, "* END * Uninstalling updates CallerId = wusa"),
        ];
        assert_eq!(fed(&lines.join("\n")).verdicts(), [""; 0], "{code}");
    }
}
