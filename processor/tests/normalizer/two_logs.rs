//! Configuration Manager repeats in WUAHandler.log the reports of the update client's own log: one failure of a host.

use super::feed::Feed;

/// The client's own report, which names the update.
const REPORT: &str = "2011-11-03\t10:22:51:100\t1036\t8a0\tReport\tREPORT EVENT: {8D311782-E9DB-1E2A-563A-883AFD4A63DD}\t2011-11-03 10:22:46:797+0100\t1\t161\t101\t{8468427E-6555-E8D9-5360-9CBC1D52A0BB}\t1\t800b0109\tAutomaticUpdates\tFailure\tContent Download\tError: Download failed.";

const OF_UPDATE: &str = "failure update:8468427e-6555-e8d9-5360-9cbc1d52a0bb 0x800b0109";

/// Configuration Manager's line on a failed download, which names no update. A bias of -60 is UTC+01:00.
fn of_handler(code: &str) -> String {
    format!(
        "<![LOG[Failed to download updates to the WUAgent datastore. Error = {code}.]LOG]!><time=\"10:22:49.200-60\" \
         date=\"11-03-2011\" component=\"WUAHandler\" context=\"\" type=\"3\" thread=\"7712\" file=\"cwuahandler.cpp:1788\">"
    )
}

/// Feeds each text as the next lines of its log, 30 s of log time after the one before.
fn fed(texts: &[&str]) -> Feed {
    let mut feed = Feed::live();
    for text in texts {
        (feed.file, feed.epoch) = if text.starts_with("<![LOG[") {
            (r"C:\Windows\CCM\Logs\WUAHandler.log", "1111111111111111")
        } else {
            (r"C:\Windows\WindowsUpdate.log", "2222222222222222")
        };
        feed.lines(text);
        feed.log_time += 30_000;
    }
    feed.tick(10 * 60_000);
    feed
}

#[test]
fn a_failure_that_two_logs_report_counts_once_and_has_the_updates_name() {
    let handler = of_handler("-2146762487");
    for texts in [[&*handler, REPORT], [REPORT, &*handler]] {
        let feed = fed(&texts);
        assert_eq!(feed.verdicts(), [OF_UPDATE], "{texts:?}");
        assert_eq!(feed.attempt_documents().len(), 1, "{texts:?}");
        let facts = feed.host_facts();
        assert_eq!(facts.last().unwrap().failing.len(), 1, "{texts:?}");
    }
}

#[test]
fn a_failure_that_one_log_alone_reports_counts_too() {
    assert_eq!(fed(&[&of_handler("0x800b0109")]).verdicts(), ["failure unknown 0x800b0109"]);
    let other_code = of_handler("0x800b0101");
    // The attempt waits in vain for the other log to name its update.
    assert_eq!(fed(&[&other_code, REPORT]).verdicts(), [OF_UPDATE, "failure unknown 0x800b0101"]);
}

/// `finished installing (0x00000000)` of the update ends the failure of its download.
#[test]
fn an_installation_that_succeeds_ends_the_failure_of_its_update() {
    let at = |message: &str, time: &str, kind: u8| {
        format!(
            "<![LOG[{message}]LOG]!><time=\"{time}-60\" date=\"11-03-2011\" component=\"WUAHandler\" context=\"\" \
             type=\"{kind}\" thread=\"7712\" file=\"cwuahandler.cpp:1788\">"
        )
    };
    let row = "1. Update (Missing): Contoso Reader 24.2 (8468427e-6555-e8d9-5360-9cbc1d52a0bb, 1)";
    let done = "Update 1 (8468427E-6555-E8D9-5360-9CBC1D52A0BB) finished installing (0x00000000), Reboot Required? No";
    let feed = fed(&[
        &at(row, "10:22:48.000", 1),
        &of_handler("0x800b0109"),
        &at(row, "15:00:01.000", 1),
        &at(done, "15:03:00.000", 1),
    ]);
    let update = "update:8468427e-6555-e8d9-5360-9cbc1d52a0bb";
    assert_eq!(feed.verdicts(), [OF_UPDATE.to_owned(), format!("success {update}")]);
    assert!(feed.host_facts().last().unwrap().failing.is_empty());
}
