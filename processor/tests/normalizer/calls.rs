//! Calls for several updates: each update has an outcome of its own, and the success of one update does not end the
//! failure of another.

use super::feed::Feed;

const READER: &str = "e6ed7ea5-b1e8-43b3-a31b-b3b334a5b519";
const MEETING: &str = "8f6fdd8b-2b9b-4a93-a0ff-69506260102a";
const PLAYER: &str = "89f94572-780d-4898-a4f5-0a7e013b809d";

/// One update of a call, and the end of its installation.
type Ending = (&'static str, &'static str);

/// Thread of the agent, and that of the handler.
const AGENT: u32 = 4020;
const HANDLER: u32 = 12004;

/// A line of Windows 10, `ms` after 08:05:00.
fn line(ms: u32, thread: u32, component: &str, message: &str) -> String {
    let (secs, ms) = (ms / 1000, ms % 1000);
    format!("2026/03/02 08:05:{secs:02}.{ms:03}0000 1840  {thread:<5} {component:<15} {message}")
}

/// The lines of a log about an installation, in addition to those of the handler.
#[derive(Clone, Copy)]
struct Told {
    /// `Preparing update for install`, before each update.
    preparation: bool,
    /// `LogHistory called`, after each update.
    history: bool,
}

const ALL: Told = Told { preparation: true, history: true };

/// The lines of one call that installs these updates, with the given END line.
fn installation(updates: &[Ending], told: Told, end: &str) -> String {
    let mut lines = vec![
        line(0, AGENT, "Agent", "* START * Installing updates CallerId = UpdateOrchestrator"),
        line(1, AGENT, "Agent", &format!("Updates to install = {}", updates.len())),
    ];
    for (update, _) in updates {
        lines.push(line(2, AGENT, "Agent", &format!("  Title = Update {}", &update[..4])));
        lines.push(line(2, AGENT, "Agent", &format!("  UpdateId = {update}.1")));
    }
    let mut ms = 1000;
    for (update, code) in updates {
        let result = if *code == "00000000" { "Succeeded" } else { "Failed" };
        if told.preparation {
            let message = format!("Preparing update for install, updateId = {update}.1.");
            lines.push(line(ms - 10, AGENT, "DownloadManager", &message));
        }
        lines.push(line(ms, HANDLER, "Handler", "* START * Command Line Install"));
        lines.push(line(ms + 1, HANDLER, "Handler", "  Updates to install = 1"));
        let message = format!(
            "Command line install completed. Return code = 0x{code}, Result = {result}, Reboot required = false"
        );
        lines.push(line(ms + 500, HANDLER, "Handler", &message));
        lines.push(line(ms + 501, HANDLER, "Handler", "* END * Command Line Install"));
        if told.history {
            let update = update.to_uppercase();
            let message = format!("LogHistory called. idUpdate={{{update}}}.1, resultMapped={code}, resultUnMapped=0");
            lines.push(line(ms + 510, AGENT, "Agent", &message));
        }
        ms += 1000;
    }
    lines.push(line(ms, AGENT, "Agent", &format!("* END * Installing updates{end} CallerId = UpdateOrchestrator")));
    lines.join("\n")
}

#[track_caller]
fn check(lines: &str, expect: &[String]) -> Feed {
    let mut feed = Feed::live();
    feed.lines(lines);
    feed.tick(10 * 60_000);
    let mut verdicts = feed.verdicts();
    verdicts.sort();
    let mut expect = expect.to_vec();
    expect.sort();
    assert_eq!(verdicts, expect, "{lines}");
    feed
}

fn failure(update: &str) -> String {
    format!("failure update:{update} 0x800b0109")
}

fn success(update: &str) -> String {
    format!("success update:{update}")
}

/// The failure stands first, between successes, and last in its call.
#[test]
fn the_success_of_another_update_of_the_call_ends_no_failure() {
    let untrusted = (MEETING, "800b0109");
    let (reader, player) = ((READER, "00000000"), (PLAYER, "00000000"));
    for told in [ALL, Told { preparation: false, ..ALL }] {
        for end in ["", " [Exit code = 0x00240005]", " [Exit code = 0x00000000]"] {
            let both = [success(READER), failure(MEETING), success(PLAYER)];
            check(&installation(&[reader, untrusted, player], told, end), &both);
            check(&installation(&[untrusted, reader, player], told, end), &both);
            check(&installation(&[reader, player, untrusted], told, end), &both);
            check(&installation(&[untrusted, player], told, end), &[failure(MEETING), success(PLAYER)]);
        }
    }
}

/// Without the history, the update is the one that the agent prepared last.
#[test]
fn the_update_that_the_agent_prepared_is_the_one_that_the_handler_installs() {
    let told = Told { preparation: true, history: false };
    let updates = [(READER, "00000000"), (MEETING, "800b0109"), (PLAYER, "00000000")];
    let all = [success(READER), failure(MEETING), success(PLAYER)];
    check(&installation(&updates, told, ""), &all);
}

/// Where no line says which of three updates failed, one of them did.
#[test]
fn a_failure_of_an_unnamed_update_counts_too() {
    let told = Told { preparation: false, history: false };
    let updates = [(READER, "00000000"), (MEETING, "800b0109"), (PLAYER, "00000000")];
    check(&installation(&updates, told, ""), &["failure unknown 0x800b0109".to_owned()]);
}

/// A call for one update: the handler's thread names no update, the agent's thread names it.
#[test]
fn the_handler_of_a_single_update_works_on_that_update() {
    let told = Told { preparation: false, history: false };
    check(&installation(&[(MEETING, "800b0109")], told, ""), &[failure(MEETING)]);
    check(&installation(&[(MEETING, "00000000")], told, ""), &[success(MEETING)]);
}

#[test]
fn where_all_updates_of_a_call_fail_each_has_its_failure() {
    let updates = [(READER, "800b0109"), (MEETING, "800b0109"), (PLAYER, "800b0109")];
    let all = [failure(READER), failure(MEETING), failure(PLAYER)];
    for told in [ALL, Told { preparation: false, ..ALL }, Told { history: false, ..ALL }] {
        check(&installation(&updates, told, " [Exit code = 0x80240022]"), &all);
    }
}

/// Reports come seconds after the call, in the order of its updates.
#[test]
fn the_reports_of_a_call_repeat_its_outcomes() {
    let report = |ms: u32, number: u32, update: &str, failed: bool| {
        let (event, code, result) = if failed { (182, "800b0109", "Failure") } else { (183, "0", "Success") };
        let message = format!(
            "REPORT EVENT: {{7D311782-E9DB-1E2A-563A-883AFD4A63{number:02}}}\t2026-03-02 08:05:0{number}:510+0000\t1\t{event}\t101\t\
             {{{update}}}\t1\t{code}\tUpdateOrchestrator\t{result}\tContent Install\tIt ended."
        );
        line(ms, 3333, "Report", &message)
    };
    let updates = [(READER, "00000000"), (MEETING, "800b0109"), (PLAYER, "00000000")];
    let reports = [report(9000, 1, READER, false), report(9001, 2, MEETING, true), report(9002, 3, PLAYER, false)];
    for told in [ALL, Told { preparation: false, history: false }] {
        let lines = format!("{}\n{}", installation(&updates, told, ""), reports.join("\n"));
        let feed = check(&lines, &[success(READER), failure(MEETING), success(PLAYER)]);
        assert_eq!(feed.host_facts().last().unwrap().failing.len(), 1);
    }
}

/// The next try of the update succeeds, a minute after its failure.
#[test]
fn a_success_at_the_same_update_ends_its_failure() {
    let first = installation(&[(MEETING, "800b0109"), (PLAYER, "00000000")], ALL, "");
    let second = installation(&[(MEETING, "00000000")], ALL, "").replace(" 08:05:", " 08:09:");
    let feed = check(&format!("{first}\n{second}"), &[failure(MEETING), success(PLAYER), success(MEETING)]);
    assert!(feed.host_facts().last().unwrap().failing.is_empty());
}

/// The check of the first file ends without a verdict; the second file belongs to another update, and is valid.
#[test]
fn the_download_of_another_update_does_not_end_the_failure() {
    let file = |digit: &str| format!("C:\\Windows\\SoftwareDistribution\\Download\\abcd\\{}", digit.repeat(40));
    let refused = [
        line(0, AGENT, "DownloadManager", "* START * Begin Downloading Updates CallerId = UpdateOrchestrator"),
        line(1, AGENT, "DownloadManager", "Updates to download = 2"),
        line(2, AGENT, "DownloadManager", "  Title = Meeting"),
        line(2, AGENT, "DownloadManager", &format!("  UpdateId = {MEETING}.1")),
        line(3, AGENT, "DownloadManager", "  Title = Player"),
        line(3, AGENT, "DownloadManager", &format!("  UpdateId = {PLAYER}.1")),
        line(100, AGENT, "Misc", &format!("Validating signature for {} with dwProvFlags 0x00000080:", file("1"))),
        line(101, AGENT, "Misc", &format!("*FAILED* [800B0109] Error when verifying trust for {}", file("1"))),
    ];
    let trusted = [
        line(200, AGENT, "Misc", &format!("Validating signature for {} with dwProvFlags 0x00000080:", file("2"))),
        line(201, AGENT, "Misc", " Trusted Publisher: Yes"),
        line(202, AGENT, "DownloadManager", &format!("DownloadResult: DownloadSucceeded, updateId = {PLAYER}.1")),
        line(203, AGENT, "DownloadManager", "* END * Begin Downloading Updates CallerId = UpdateOrchestrator"),
    ];
    let of_file = format!("failure file:{} 0x800b0109", "1".repeat(40));
    let lines = [&refused[..], &trusted[..]].concat().join("\n");
    check(&lines, &[of_file, success(PLAYER)]);
    let named = line(
        105,
        AGENT,
        "DownloadManager",
        &format!("*FAILED* [800B0109] Error occurred while downloading update {MEETING}.1; notifying dependent calls."),
    );
    let lines = [&refused[..], &[named], &trusted[..]].concat().join("\n");
    check(&lines, &[failure(MEETING), success(PLAYER)]);
}

/// Configuration Manager names the update on each line.
#[test]
fn the_updates_of_configuration_manager_have_outcomes_of_their_own() {
    let at = |message: &str, second: u32, kind: u8| {
        format!(
            "<![LOG[{message}]LOG]!><time=\"10:22:{second:02}.000-60\" date=\"11-03-2011\" component=\"WUAHandler\" context=\"\" \
             type=\"{kind}\" thread=\"7712\" file=\"cwuahandler.cpp:1788\">"
        )
    };
    let done = |number: u32, update: &str, code: &str| {
        format!("Update {number} ({update}) finished installing ({code}), Reboot Required? No")
    };
    let lines = [
        at("Async installation of updates started.", 1, 1),
        at(&done(1, READER, "0x00000000"), 2, 1),
        at(&done(2, MEETING, "0x800b0109"), 3, 2),
        at(&done(3, PLAYER, "0x00000000"), 4, 1),
        at("Async install completed.", 5, 1),
        at("Installation of updates completed.", 6, 1),
    ];
    let mut feed = Feed::live();
    feed.file = r"C:\Windows\CCM\Logs\WUAHandler.log";
    feed.lines(&lines.join("\n"));
    feed.tick(10 * 60_000);
    assert_eq!(feed.verdicts(), [success(READER), failure(MEETING), success(PLAYER)]);
}
