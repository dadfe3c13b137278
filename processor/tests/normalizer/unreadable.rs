//! Hosts whose logs hold no readable line about Windows Update: their facts say so.

use wulog_schemas::signal::Unreadable;

use super::feed::{Feed, LOG_TIME};

const UNDECODED: &str = "1601/01/01 01:00:00.0000000 1156  412                  Unknown( 43): GUID=9f767c45-4164-bde5-5bc8-b0c1cb91ce37 (No Format Information found).";
const DECODED: &str = "2021/03/01 22:19:01.4037009 19924 14968 Agent           * START * Queueing Finding updates [CallerId = UpdateOrchestrator]";
const TEXT: &str = "Please find the log of my machine attached, it does not update any more";
const REPORT: &str = "{A7C0B9D1-3E5F-4B62-8D17-90F2C4E6A813}\t2021-03-01 22:19:05:120+0100\t1\t147 [AGENT_DETECTION_FINISHED]\t101\t{00000000-0000-0000-0000-000000000000}\t0\t0\tUpdateOrchestrator\tSuccess\tSoftware Synchronization\tWindows Update Client successfully detected 0 updates.\tabc.1.0";

const DAY_MS: i64 = 24 * 3600 * 1000;

/// The `unreadable` of the host's newest facts, a minute after its last line.
fn newest(feed: &mut Feed) -> Option<Unreadable> {
    feed.tick(61_000);
    feed.host_facts().pop().expect("facts were sent").unreadable
}

fn unreadable(since: i64, reason: &str) -> Option<Unreadable> {
    Some(Unreadable { since, reason: reason.to_owned() })
}

#[test]
fn a_host_with_undecoded_lines_alone_is_unreadable_until_a_line_is_decoded() {
    let mut feed = Feed::live();
    feed.lines(UNDECODED);
    feed.log_time += 5_000;
    feed.lines(UNDECODED);
    assert_eq!(newest(&mut feed), unreadable(LOG_TIME, "undecoded"));
    feed.lines(DECODED);
    assert_eq!(newest(&mut feed), None);
}

#[test]
fn text_is_a_reason_and_undecoded_traces_are_a_stronger_one() {
    let mut feed = Feed::live();
    feed.lines(&format!("\n{TEXT}\n****************\n{TEXT}"));
    assert_eq!(newest(&mut feed), unreadable(LOG_TIME, "text"));
    feed.lines(UNDECODED);
    assert_eq!(newest(&mut feed), unreadable(LOG_TIME, "undecoded"));
}

#[test]
fn empty_lines_and_bars_say_nothing() {
    let mut feed = Feed::live();
    feed.lines("\n   \n****************");
    assert_eq!(newest(&mut feed), None);
}

#[test]
fn text_around_readable_lines_leaves_the_host_readable() {
    let mut feed = Feed::live();
    feed.lines(&format!("{TEXT}\n{DECODED}\n{TEXT}\n{UNDECODED}"));
    assert!(feed.host_facts().iter().all(|facts| facts.unreadable.is_none()));
    assert_eq!(newest(&mut feed), None);
}

/// ReportingEvents.log has all outcomes, so an undecoded WindowsUpdate.log beside it hides nothing.
#[test]
fn reporting_events_beside_undecoded_traces_make_a_host_readable() {
    let mut feed = Feed::live();
    feed.lines(UNDECODED);
    assert_eq!(newest(&mut feed), unreadable(LOG_TIME, "undecoded"));
    feed.file = r"C:\Windows\SoftwareDistribution\ReportingEvents.log";
    feed.lines(REPORT);
    assert_eq!(newest(&mut feed), None);
}

#[test]
fn a_host_that_could_be_read_is_unreadable_after_a_day_of_undecoded_lines() {
    let mut feed = Feed::live();
    feed.lines(DECODED).lines(UNDECODED);
    // In the steps of ticks: lines without times confirm no jump of a day.
    for _ in 0..5 {
        feed.tick(DAY_MS / 6);
    }
    feed.log_time += DAY_MS / 6 - 1;
    feed.lines(UNDECODED);
    assert_eq!(newest(&mut feed), None);
    feed.lines(UNDECODED);
    assert_eq!(newest(&mut feed).map(|it| it.reason), Some("undecoded".to_owned()));
}
