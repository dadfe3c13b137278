//! Which server a page blames, and when a scan has ended.

use super::{Verdict, expect, of_bytes};

/// Lines of the update client of Windows 10 and 11, with their times.
fn etw(lines: &[&str]) -> Vec<u8> {
    let lines = lines.iter().enumerate();
    let line = |(nth, text): (usize, &&str)| {
        format!("2026/11/30 09:{:02}:{:02}.0000000 5120  9100  {text}\r\n", nth / 60, nth % 60)
    };
    lines.map(line).collect::<String>().into_bytes()
}

const WSUS: &str = "Agent           WSUS server: http://wsus.muster.example:8530";

/// The file came from Microsoft's content servers, as its address says; WSUS over plain HTTP has no certificate.
#[test]
fn a_download_names_the_server_of_its_file() {
    let text = etw(&[
        WSUS,
        "DownloadManager * START * Begin Downloading Updates [CallerId = CcmExec]",
        "DownloadManager   Title = Contoso BIOS 1.2",
        "DownloadManager   UpdateId = 11111111-2222-4333-8444-555555555555.200",
        "DownloadManager DO job {2E4A9C10-77BD-4D35-8A06-F1C25B93D7E5} failed, updateId = \
         11111111-2222-4333-8444-555555555555.200, hr = 0x80072F8F. File URL = \
         https://2.dl.delivery.mp.microsoft.com/filestreamingservice/files/abc",
        "DownloadManager *FAILED* [80072F8F] Error occurred while downloading update \
         11111111-2222-4333-8444-555555555555.200; notifying dependent calls.",
    ]);
    let page = of_bytes("WindowsUpdate.log", &text);
    let has = ["The download of Contoso BIOS 1.2 fails", "for Microsoft's"];
    expect("content", &page, Verdict::Failing, &has, &["8531", "certificate of its WSUS"]);
}

/// A host with a WSUS server also asks Windows Update, whose scan fails; the scan at WSUS goes well.
#[test]
fn a_scan_at_windows_update_is_no_failure_of_wsus() {
    let text = etw(&[
        WSUS,
        "Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 11",
        "Agent           ServiceID = {3DA21691-E39D-4DA6-8A4B-B43877BCB1B7} Managed",
        "Agent           * END * Finding updates CallerId = UpdateOrchestrator  Id = 11",
        "Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 12",
        "Agent           ServiceID = {9482F4B4-E343-43B6-B170-9A65BC822C77} Windows Update service",
        "Agent           * FAILED * [80072F8F] Scan failed",
        "Agent           * END * Finding updates CallerId = UpdateOrchestrator  Id = 12, Exit code = 0x80072F8F",
    ]);
    let page = of_bytes("WindowsUpdate.log", &text);
    expect(
        "dual scan",
        &page,
        Verdict::Failing,
        &["for Microsoft's update service"],
        &["certificate of its WSUS", "8531"],
    );
}

fn handler(messages: &[&str]) -> Vec<u8> {
    let line = |(nth, message): (usize, &&str)| {
        format!(
            "<![LOG[{message}]LOG]!><time=\"06:{nth:02}:00.000-60\" date=\"11-30-2026\" component=\"WUAHandler\" \
             context=\"\" type=\"1\" thread=\"4120\" file=\"cwuahandler.cpp:3092\">\r\n"
        )
    };
    messages.iter().enumerate().map(line).collect::<String>().into_bytes()
}

/// Configuration Manager writes that the search has completed before it writes the result.
#[test]
fn a_completed_search_of_the_handler_is_no_success() {
    let failed = "OnSearchComplete - Failed to end search job. Error = 0x8024401c.";
    let page =
        of_bytes("WUAHandler.log", &handler(&["Async searching completed.", failed, "Async searching completed."]));
    expect("search", &page, Verdict::Failing, &["0x8024401C"], &["succeeded with", "nothing fails"]);
    let done = "Successfully completed scan.";
    let page = of_bytes("WUAHandler.log", &handler(&[failed, "Async searching completed.", done]));
    expect("search that succeeds", &page, Verdict::Healthy, &["nothing fails"], &["CHECK"]);
}

/// A Group Policy that names another server keeps Configuration Manager from scanning.
#[test]
fn an_update_source_that_cannot_be_added_is_a_failed_scan() {
    let page = of_bytes(
        "WUAHandler.log",
        &handler(&[
            "Successfully completed scan.",
            "Group policy settings were overwritten by a higher authority (Domain Controller) to: Server \
             http://alt.muster.example:8530 and Policy ENABLED",
            "Failed to Add Update Source for WUAgent of type (2) and id ({7F21B3A0-1111-4A4A-9B9B-1234567890AB}). Error = \
             0x87d00692.",
        ]),
    );
    expect("policy", &page, Verdict::Failing, &["0x87D00692", "WUServer"], &["nothing fails"]);
}

/// The steps of an installation are about servicing, not about the network.
#[test]
fn an_installation_gets_steps_about_servicing() {
    let text = etw(&[
        WSUS,
        "Agent           Title = 2026-11 Cumulative Update for Windows 10 (KB5099999)",
        "Handler         Starting install of CBS update 11111111-2222-4333-8444-555555555555",
        "Agent           WARNING: Exit code = 0x80073712; Install failed, updateId = \
         11111111-2222-4333-8444-555555555555.200, hr = 0x80073712",
    ]);
    let page = of_bytes("WindowsUpdate.log", &text);
    expect("servicing", &page, Verdict::Failing, &["0x80073712", "DISM", "CBS.log"], &["proxy"]);
    let text = "2015-05-14\t08:00:00:100\t 932\t81c\tAgent\t  * Windows OS Version: 6.1.7601.1.0.65792\r\n\
                2015-05-14\t08:00:01:100\t 932\t81c\tAgent\tWARNING: Exit code = 0x80073712; Install failed, updateId = \
                {11111111-2222-4333-8444-555555555555}.200, hr = 0x80073712\r\n";
    let page = of_bytes("WindowsUpdate.log", text.as_bytes());
    expect("Windows 7", &page, Verdict::Failing, &["Windows 7", "KB947821", "CheckSUR.log"], &["DISM"]);
}

/// A transfer that ends well comes before the check of the signature, which refuses the file.
#[test]
fn a_refused_download_is_no_success() {
    let text = etw(&[
        WSUS,
        "DownloadManager   Title = Contoso Reader 24.2",
        "DownloadManager   UpdateId = 11111111-2222-4333-8444-555555555555.200",
        "DownloadManager DO job {2E4A9C10-77BD-4D35-8A06-F1C25B93D7E5} completed successfully, updateId = \
         11111111-2222-4333-8444-555555555555.200",
        "DownloadManager *FAILED* [8024B303] Error occurred while downloading update \
         11111111-2222-4333-8444-555555555555.200; notifying dependent calls.",
    ]);
    let page = of_bytes("WindowsUpdate.log", &text);
    expect("refused", &page, Verdict::Failing, &["no download and no installation"], &["1 downloaded"]);
}

#[test]
fn a_log_of_undecoded_lines_is_unreadable_and_says_so() {
    let undecoded =
        "Unknown         Unknown( 15): GUID=2f8bd3a5-3a21-3a4f-7d68-0d0b3cd5e8ff (No Format Information found).";
    let mut lines = vec![undecoded; 30];
    lines.insert(3, "Agent           WU client version 10.0.22631.4460");
    let page = of_bytes("WindowsUpdate.log", &etw(&lines));
    expect("undecoded", &page, Verdict::Unreadable, &["not decoded", "Get-WindowsUpdateLog"], &["nothing fails"]);
    lines.push("Agent           * END * Finding updates CallerId = UpdateOrchestrator  Id = 12");
    let page = of_bytes("WindowsUpdate.log", &etw(&lines));
    expect("with an end", &page, Verdict::Healthy, &["nothing fails", "30 not decoded"], &[]);
}
