//! How often an operation failed, which event ended its failure, and which lines and logs report the same end. The
//! expected texts are read off the lines.

use super::siblings::{RE, WU};
use super::{Explanation, Verdict, expect, explained, of_bytes};

const READER: &str = "e6ed7ea5-b1e8-43b3-a31b-b3b334a5b519";
const TITLE: &str = "Adobe Acrobat Reader 24.001 (x64)";
const LCU: &str = "471d79d5-c7aa-4980-abe7-3f120c63c53e";
const LCU_TITLE: &str = "2026-02 Cumulative Update for Windows 10 Version 22H2 for x64-based Systems (KB5034763)";

/// One line of the log of Windows 10.
fn line(time: &str, thread: u32, component: &str, message: &str) -> String {
    format!("2026/03/{time}0000 1840  {thread:<5} {component:<15} {message}\r\n")
}

fn start(day: &str, wsus: &str) -> String {
    [
        line(&format!("{day} 08:00:00.000"), 4000, "Agent", "WU client version 10.0.19041.3570"),
        line(&format!("{day} 08:00:00.000"), 4000, "Agent", &format!("WSUS server: {wsus}")),
    ]
    .concat()
}

/// A scan that finds updates, or that fails with a code.
fn scan(day: &str, thread: u32, wsus: &str, found: Result<&[&str], &str>) -> String {
    let at = |message: &str, component: &str| line(&format!("{day} 08:01:00.000"), thread, component, message);
    let mut text = at("* START * Finding updates CallerId = UpdateOrchestrator  Id = 1", "Agent");
    text += &at("ServiceID = {3DA21691-E39D-4DA6-8A4B-B43877BCB1B7} Managed", "Agent");
    let server = format!(
        "ServiceId = {{3DA21691-E39D-4DA6-8A4B-B43877BCB1B7}}, Server URL = {wsus}/ClientWebService/client.asmx"
    );
    text += &at(&server, "ProtocolTalker");
    match found {
        Ok(updates) => {
            for update in updates {
                text += &at(&format!("Added update {update}.1 to search result"), "Agent");
            }
            text += &at(&format!("Found {} updates and 71 categories in search", updates.len()), "Agent");
        }
        Err(code) => {
            text += &at(&format!("*FAILED* [{code}] SyncUpdates_WithRecovery failed"), "ProtocolTalker");
            text += &at(&format!("Exit code = 0x{code}"), "Agent");
        }
    }
    text + &at("* END * Finding updates CallerId = UpdateOrchestrator  Id = 1", "Agent")
}

/// A download whose file is refused with a code.
fn download(time: &str, thread: u32, inner: &str, code: &str) -> String {
    let file = r"C:\Windows\SoftwareDistribution\Download\391eb8974e8cff5e9c8e6f4b4297f5d5\f3079b4bcfcf44e7f0aeaa9e178d262ab8904a53";
    let at = |message: &str, component: &str| line(time, thread, component, message);
    [
        at("* START * Begin Downloading Updates [CallerId = UpdateOrchestrator]", "DownloadManager"),
        at("Updates to download = 1", "DownloadManager"),
        at(&format!("  Title = {TITLE}"), "DownloadManager"),
        at(&format!("  UpdateId = {READER}.1"), "DownloadManager"),
        at(&format!("Validating signature for {file} with dwProvFlags 0x00000080:"), "Misc"),
        at(&format!("*FAILED* [{inner}] Error when verifying trust for {file}"), "Misc"),
        at(&format!("*FAILED* [{code}] Digital Signatures on file {file} are not trusted"), "Misc"),
        at(&format!("*FAILED* [{code}] File failed postprocessing"), "DownloadManager"),
        at(
            &format!(
                "*FAILED* [{code}] Error occurred while downloading update {READER}.1; notifying dependent calls."
            ),
            "DownloadManager",
        ),
        at("* END * Begin Downloading Updates CallerId = UpdateOrchestrator", "DownloadManager"),
    ]
    .concat()
}

/// An installation by a command line, `0` for a success.
fn install(time: &str, thread: u32, update: &str, title: &str, code: &str) -> String {
    let agent = |message: &str| line(time, thread, "Agent", message);
    let handler = |message: &str| line(time, 12_004, "Handler", message);
    let result = if code == "0" { "Succeeded" } else { "Failed" };
    [
        agent("* START * Installing updates CallerId = UpdateOrchestrator"),
        agent("Updates to install = 1"),
        agent(&format!("  Title = {title}")),
        agent(&format!("  UpdateId = {update}.1")),
        handler("* START * Command Line Install"),
        handler(&format!(
            "Command line install completed. Return code = 0x{code:0>8}, Result = {result}, Reboot required = false"
        )),
        handler("* END * Command Line Install"),
        agent(&format!("LogHistory called. idUpdate={{{update}}}.1, resultMapped={code}, resultUnMapped=0")),
        agent("* END * Installing updates CallerId = UpdateOrchestrator"),
    ]
    .concat()
}

/// One line of ReportingEvents.log.
fn report(time: &str, event: &str, update: &str, code: &str, text: &str) -> String {
    let verdict = if code == "0" { "Success" } else { "Failure" };
    let (hour, minute) = time.split_once(':').expect("HH:MM");
    format!(
        "{{C2AC88CD-7588-9573-1539-693D6A28{hour}{minute}}}\t2026-03-02 {time}:00:000+0000\t1\t{event}\t101\t{{{update}}}\t1\t{code}\tUpdateOrchestrator\t{verdict}\tContent Install\t{text}\r\n"
    )
}

/// Explains several logs of one host.
fn of_logs(logs: &[(&str, &str)]) -> Explanation {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = logs.iter().map(|(name, _)| folder.path().join(name)).collect();
    for (path, (_, text)) in paths.iter().zip(logs) {
        std::fs::write(path, text).unwrap();
    }
    explained(&paths)
}

const HTTP: &str = "http://wsus-a.corp.example:8530";
const HTTPS: &str = "https://wsus-a.corp.example:8531";

/// Scans of the next days succeed and no longer offer the update: the detector then resolves its incident.
#[test]
fn an_update_that_is_not_offered_any_more_does_not_fail() {
    let text = [
        start("02", HTTP),
        scan("02", 4004, HTTP, Ok(&[READER])),
        download("02 08:02:05.000", 4008, "800B0109", "8024B303"),
        scan("03", 4012, HTTP, Ok(&[])),
        scan("04", 4016, HTTP, Ok(&[])),
    ];
    let page = of_bytes(WU, text.concat().as_bytes());
    expect("not offered", &page, Verdict::Healthy, &["nothing fails"], &["CHECK", "1 downloaded"]);
}

/// Configuration Manager's handler fails, then Windows Update installs the same update.
#[test]
fn an_installation_by_another_program_ends_the_failure() {
    let handler = |message: &str, kind: u8| {
        format!(
            "<![LOG[{message}]LOG]!><time=\"08:00:00.000+000\" date=\"03-02-2026\" component=\"WUAHandler\" context=\"\" \
             type=\"{kind}\" thread=\"9160\" file=\"cwuahandler.cpp:3572\">\r\n"
        )
    };
    let wua = handler(&format!("1. Update (Missing): {TITLE} ({READER}, 101)"), 1)
        + &handler(&format!("Update 1 ({READER}) finished installing (0x800b0109), Reboot Required? No"), 2);
    let windows_update = start("02", HTTP) + &install("02 12:03:00.000", 4012, READER, TITLE, "0");
    let page = of_logs(&[("WUAHandler.log", &wua), (WU, &windows_update)]);
    expect("handler", &page, Verdict::Healthy, &["1 installed", TITLE], &["CHECK", "downloaded"]);
}

/// The installer names no update; the line of the history does.
#[test]
fn an_installer_that_names_no_update_and_the_history_tell_of_one_failure() {
    let text = start("02", HTTP) + &install("02 08:03:01.000", 4012, LCU, LCU_TITLE, "800B0109");
    let page = of_bytes(WU, text.as_bytes());
    expect(
        "history",
        &page,
        Verdict::Failing,
        &["KB5034763", "Microsoft Root Certificate Authority 2011"],
        &["installation of an update", "-store WSUS", " times,", "KB4474419"],
    );
    assert_eq!(page.text.matches("\nfails ").count(), 1, "{}", page.text);
    let repaired = text + &install("02 18:03:01.000", 4020, LCU, LCU_TITLE, "0");
    expect("repaired", &of_bytes(WU, repaired.as_bytes()), Verdict::Healthy, &["1 installed"], &["CHECK"]);
}

/// An EXE or MSI of a third party never writes to CBS.log.
#[test]
fn an_installer_of_a_third_party_has_a_log_of_its_own() {
    let text = start("02", HTTP) + &install("02 08:03:01.000", 4012, READER, TITLE, "80070643");
    let page = of_bytes(WU, text.as_bytes());
    let has = [TITLE, "0x80070643", "no matter of certificate trust", "msiexec /i", "/l*v", "exit code", "vendor"];
    expect("third party", &page, Verdict::Failing, &has, &["CBS.log", "DISM", "installation of an update", " times,"]);
    let again = text + &install("02 19:03:01.000", 4020, READER, TITLE, "0");
    expect("repaired", &of_bytes(WU, again.as_bytes()), Verdict::Healthy, &["1 installed"], &["CHECK"]);
}

/// Two lines of each attempt report a failure of the download; a log of three days has three attempts.
#[test]
fn attempts_are_counted_and_no_lines() {
    let once = start("02", HTTP) + &download("02 08:02:05.000", 4008, "800B0101", "800B0101");
    expect("one", &of_bytes(WU, once.as_bytes()), Verdict::Failing, &["since 2026-03-02 08:02"], &[" times,"]);
    let thrice = once
        + &download("03 08:02:05.000", 4008, "800B0101", "800B0101")
        // The client tries again within a minute, on the same thread.
        + &download("03 08:02:35.000", 4008, "800B0101", "800B0101");
    expect("three", &of_bytes(WU, thrice.as_bytes()), Verdict::Failing, &["3 times"], &[]);
}

/// The client and Configuration Manager's handler report one scan. The log of the client is in local time without an
/// offset, so the reports may seem an hour apart.
#[test]
fn a_scan_in_two_logs_is_listed_once() {
    for code in ["80072F8F", "8024402C"] {
        let client = start("02", HTTPS) + &scan("02", 4004, HTTPS, Err(code));
        let handler = |message: &str, hour: &str| {
            format!(
                "<![LOG[{message} = 0x{}]LOG]!><time=\"{hour}:01:01.000+000\" date=\"03-02-2026\" component=\"WUAHandler\" \
                 context=\"\" type=\"3\" thread=\"9160\" file=\"cwuahandler.cpp:3487\">\r\n",
                code.to_lowercase()
            )
        };
        let handlers = |hour: &str| {
            handler("OnSearchComplete - Failed to end search job. Error", hour)
                + &handler("Scan failed with error", hour)
        };
        let (at_once, an_hour_before) = (handlers("08"), handlers("07"));
        let reports = report(
            "08:01",
            "148 [AGENT_DETECTION_FAILED]",
            "00000000-0000-0000-0000-000000000000",
            &code.to_lowercase(),
            "Windows Update Client failed to detect with error.",
        );
        for (logs, server) in [
            ([(WU, client.as_str()), ("WUAHandler.log", &at_once)], true),
            ([(WU, client.as_str()), ("WUAHandler.log", &an_hour_before)], true),
            ([(WU, client.as_str()), (RE, &reports)], true),
            ([(RE, reports.as_str()), ("WUAHandler.log", &at_once)], false),
        ] {
            let page = of_logs(&logs);
            let at = format!("{code} {} {}:\n{}", logs[0].0, logs[1].0, page.text);
            assert_eq!(page.text.matches("\nfails ").count(), 1, "{at}");
            assert_eq!(page.text.contains("The scan at wsus-a.corp.example:8531"), server, "{at}");
        }
    }
}

/// Events 221 and 222 concern the removal of an update.
#[test]
fn an_uninstallation_is_called_a_removal() {
    let failed = report(
        "09:00",
        "221 [AGENT_UNINSTALLING_FAILED]",
        LCU,
        "800b0109",
        &format!(
            "Uninstallation Failure: Windows failed to uninstall the following update with error 0x800b0109: {LCU_TITLE}"
        ),
    );
    expect(
        "221",
        &of_bytes(RE, failed.as_bytes()),
        Verdict::Failing,
        &["The uninstallation of 2026-02", "Microsoft Root Certificate Authority 2011"],
        &["installation of an", "The installation", "KB4474419"],
    );
    let done = report(
        "10:00",
        "222 [AGENT_UNINSTALLING_SUCCEEDED]",
        READER,
        "0",
        &format!("Uninstallation Successful: Windows successfully uninstalled the following update: {TITLE}"),
    );
    expect(
        "222",
        &of_bytes(RE, done.as_bytes()),
        Verdict::Healthy,
        &["1 uninstalled", TITLE],
        &["downloaded", "1 installed"],
    );
}

/// NTE_BAD_SIGNATURE at the check of a file: the file is not the one that was signed.
#[test]
fn a_signature_that_does_not_fit_its_file_is_a_matter_of_the_file() {
    let text = start("02", HTTP) + &download("02 08:02:05.000", 4008, "80090006", "80090006");
    expect(
        "80090006",
        &of_bytes(WU, text.as_bytes()),
        Verdict::Failing,
        &[
            "the file is not the one that was signed",
            "0x80090006 NTE_BAD_SIGNATURE",
            "trust yes",
            "-hashfile",
            "changed on its way",
        ],
        &["no matter of certificate trust", "WUServer"],
    );
}

#[test]
fn a_handshake_and_a_revoked_certificate_are_not_called_untrusted() {
    for code in ["80072F7D", "80090326", "80090331"] {
        let text = start("02", HTTPS) + &scan("02", 4004, HTTPS, Err(code));
        expect(
            code,
            &of_bytes(WU, text.as_bytes()),
            Verdict::Failing,
            &["want of a common protocol or cipher", r"SCHANNEL\Protocols", "likely its protocols or ciphers"],
            &["does not accept", "sslcert", "DefaultSecureProtocols"],
        );
    }
    let revoked = start("02", HTTPS) + &scan("02", 4004, HTTPS, Err("80092010"));
    let has = ["the TLS certificate of its WSUS server is revoked", "1. The certificate of the server is revoked"];
    expect(
        "revoked",
        &of_bytes(WU, revoked.as_bytes()),
        Verdict::Failing,
        &has,
        &["does not accept", "revocation lists"],
    );
    let offline = start("02", HTTPS) + &scan("02", 4004, HTTPS, Err("80092013"));
    expect(
        "offline",
        &of_bytes(WU, offline.as_bytes()),
        Verdict::Failing,
        &["could not be checked", "revocation lists"],
        &[],
    );
}
