//! `explain`: the pages of whole logs; the expected texts are read off the logs by eye.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use wulog_lines::EncodingChoice;
use wulog_processor::explain::{Explanation, Sheet, Verdict, explain};
use wulog_processor::normalize::NormalizerConfig;
use wulog_processor::replay::logs::HostLog;

mod ends;
mod servers;
mod siblings;
mod without_end;

/// Explains files as those of the host `pc-0042`.
fn explained(paths: &[PathBuf]) -> Explanation {
    let logs: Vec<HostLog> = paths.iter().map(|path| HostLog::new("pc-0042", path.clone())).collect();
    let files = paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let sheet = Sheet { host: "pc-0042".to_owned(), files, width: 80, lines: 24 };
    explain(&logs, EncodingChoice::Auto, &NormalizerConfig::default(), &sheet).unwrap()
}

fn corpus(name: &str) -> Explanation {
    explained(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus").join(name).join("in.log")])
}

/// Explains bytes as a file of this name.
fn of_bytes(file_name: &str, bytes: &[u8]) -> Explanation {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file_name);
    std::fs::write(&path, bytes).unwrap();
    explained(&[path])
}

/// The text without line breaks, so that a phrase is found across them.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn expect(name: &str, explanation: &Explanation, verdict: Verdict, has: &[&str], lacks: &[&str]) {
    let text = flat(&explanation.text);
    assert_eq!(explanation.verdict, verdict, "{name}:\n{}", explanation.text);
    for part in has {
        assert!(text.contains(part), "{name} lacks {part:?}:\n{}", explanation.text);
    }
    for part in lacks {
        assert!(!text.contains(part), "{name} has {part:?}:\n{}", explanation.text);
    }
}

/// Configuration Manager's handler: a download that failed, and the installation that succeeded later.
#[test]
fn an_installation_of_the_handler_is_a_success() {
    let line = |message: &str, time: &str, kind: u8| {
        format!(
            "<![LOG[{message}]LOG]!><time=\"{time}-60\" date=\"03-12-2024\" component=\"WUAHandler\" context=\"\" \
             type=\"{kind}\" thread=\"5508\" file=\"updateagent.cpp:1101\">\r\n"
        )
    };
    let row = "1. Update (Missing): Contoso Reader 24.2 (6c0f3a52-91de-4b3a-a6e2-5b8d7c31f0a4, 1)";
    let done = "Update 1 (6c0f3a52-91de-4b3a-a6e2-5b8d7c31f0a4) finished installing (0x00000000), Reboot Required? No";
    let text = [
        line(row, "09:12:30.961", 1),
        line("Failed to download updates to the WUAgent datastore. Error = 0x8024b303.", "09:12:31.000", 3),
        line(row, "15:00:01.000", 1),
        line(done, "15:03:00.000", 1),
        line("Async install completed.", "15:03:01.000", 1),
    ];
    let page = of_bytes("WUAHandler.log", text.concat().as_bytes());
    expect("handler", &page, Verdict::Healthy, &["1 installed", "Contoso Reader 24.2"], &["CHECK"]);
}

/// Windows 7: the third party's update is refused, another update is installed.
#[test]
fn a_refused_signature_is_named_with_update_server_and_stores() {
    let page = corpus("w7-full-scan-download-install-thirdparty-800b0109");
    expect(
        "w7",
        &page,
        Verdict::Failing,
        &[
            "does not trust the certificate that signed the update",
            "WSUS wsus01.corp.example:8530, target group Pilot Clients",
            "0x800B0109 CERT_E_UNTRUSTEDROOT",
            "trust yes: the signature of updates",
            "certutil -store WSUS",
        ],
        &["netsh http show sslcert"],
    );
}

#[test]
fn a_failure_before_a_success_does_not_count() {
    let page = corpus("w81-healthy-thirdparty-800b0109-then-success");
    expect("w81", &page, Verdict::Healthy, &["nothing fails", "WSUS wsus03.corp.example:8530"], &["CHECK", "800B0109"]);
}

#[test]
fn an_untrusted_publisher_on_windows_10_is_looked_for_in_trusted_publishers_first() {
    let page = corpus("w10-thirdparty-8024b303-failed");
    expect("w10", &page, Verdict::Failing, &["0x8024B303 WU_E_TRUST_SUBJECT_NOT_TRUSTED"], &[]);
    let at = |part: &str| page.text.find(part).unwrap_or_else(|| panic!("{part} in {}", page.text));
    assert!(at("certutil -store TrustedPublisher") < at("certutil -store Root"));
}

/// A scan that fails at name resolution does not concern trust, and certificates are not mentioned.
#[test]
fn a_failure_that_does_not_concern_trust_says_so() {
    let page = corpus("w7-mslearn-8024402c");
    expect("w7", &page, Verdict::Failing, &["no matter of certificate trust", "0x8024402C", "nslookup"], &["certutil"]);
}

#[test]
fn text_of_other_programs_cannot_be_read() {
    for name in ["certutil-store-en-fyicenter", "certutil-store-de-fixture"] {
        expect(name, &corpus(name), Verdict::Unreadable, &["cannot be read"], &["CHECK"]);
    }
    expect("empty", &of_bytes("WindowsUpdate.log", b""), Verdict::Unreadable, &["cannot be read"], &[]);
    let trace = b"\x00\x10\x00\x00\xfe\xed\x00\x01\x00\x00\x00\x00Microsoft.Windows.WindowsUpdate\x00\x00\x00";
    expect("trace", &of_bytes("WindowsUpdate.log", trace), Verdict::Unreadable, &["cannot be read"], &[]);
}

/// Every log of the corpus gives a page that fits a terminal of 80 columns, except for commands that must not be
/// broken, and one screen, except for three steps that are always shown.
#[test]
fn every_page_fits_a_screen() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus");
    let mut seen = 0;
    for case in std::fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        if !case.join("in.log").exists() {
            continue;
        }
        let page = explained(&[case.join("in.log")]);
        for line in page.text.lines().filter(|line| !line.trim_start().starts_with('>')) {
            let longest_word = line.split_whitespace().map(|word| word.chars().count()).max().unwrap_or(0);
            assert!(line.chars().count() <= 80 || longest_word > 60, "{}: {line}", case.display());
        }
        assert!(page.text.lines().count() <= 34, "{}:\n{}", case.display(), page.text);
        assert!(page.text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{}", case.display());
        seen += 1;
    }
    assert!(seen > 50, "the corpus is part of the tree");
}
