//! The signer of a downloaded file that the update client did not trust. The files and what OpenSSL says about their
//! certificates are in `signed/`, with the script that made them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use wulog_collector::certificates::{FailedLine, failed_file_reader};
use wulog_schemas::certificate::{Certificate, FailedFile};

use crate::certificates::{MACHINE, is_wine};

const CHAIN: &[u8] = include_bytes!("signed/chain.cab");
const STAMPED: &[u8] = include_bytes!("signed/stamped.exe");
const UNSIGNED: &[u8] = include_bytes!("signed/unsigned.cab");
const PUBLISHER: &str = include_str!("signed/publisher.txt");
const MIDDLE: &str = include_str!("signed/middle.txt");
const ROOT: &str = include_str!("signed/root.txt");
const SELF: &str = include_str!("signed/self.txt");

/// Thumbprints, subject and issuer, as OpenSSL says them.
fn openssl(text: &str) -> [String; 4] {
    let said = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let hex = |key: &str| said(key).replace(':', "").to_lowercase();
    [hex("sha1 Fingerprint="), hex("sha256 Fingerprint="), said("subject=").to_owned(), said("issuer=").to_owned()]
}

fn read(certificate: &Certificate) -> [String; 4] {
    let Certificate { sha1, sha256, subject, issuer, .. } = certificate.clone();
    [sha1, sha256.unwrap_or_default(), subject, issuer]
}

/// A folder of the test below Windows' folder of downloads, which is removed with all that is in it.
struct Downloads(PathBuf);

impl Downloads {
    fn new() -> Downloads {
        let windows = std::env::var("SystemRoot").unwrap();
        let folder = Path::new(&windows).join(r"SoftwareDistribution\Download\wulog-test");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Downloads(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.0.join(name), bytes).unwrap();
        self.path(name)
    }
}

impl Drop for Downloads {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the machine says of the files with these paths.
fn found(paths: &[&str]) -> Vec<FailedFile> {
    let line = |path: &&str| FailedLine {
        path: (*path).to_owned(),
        error: "0x800b0109".to_owned(),
        seen_ms: 1_700_000_000_000,
    };
    failed_file_reader().expect("Windows has such files")(paths.iter().map(line).collect())
}

#[test]
fn the_signer_of_a_file_is_the_one_that_openssl_names() {
    if !is_wine() {
        eprintln!("skipped: this test writes into Windows' own folder, so it runs under Wine only");
        return;
    }
    let _machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let downloads = Downloads::new();
    // The client names its files by their hashes, without an ending.
    let chain = downloads.write("9f31c2e7a05b46d8", CHAIN);
    let stamped = downloads.write("stamped.exe", STAMPED);
    let unsigned = downloads.write("unsigned.cab", UNSIGNED);
    let broken = downloads.write("broken.cab", &CHAIN[..CHAIN.len() - 100]);
    let gone = downloads.path("gone.cab");

    let all = found(&[&chain, &stamped, &unsigned, &broken, &gone]);
    let paths: Vec<&str> = all.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, [&chain, &stamped, &unsigned, &broken], "a file that is gone is not reported");
    assert!(all.iter().all(|file| (file.error.as_str(), file.seen) == ("0x800b0109", 1_700_000_000_000)));

    let signer = all[0].signer.as_ref().expect("the file is signed");
    assert_eq!(read(signer), openssl(PUBLISHER));
    assert_eq!((signer.code_signing, signer.key_bits, signer.origin), (Some(true), Some(2048), None));
    assert_eq!(all[0].chain.iter().map(read).collect::<Vec<_>>(), [openssl(MIDDLE), openssl(ROOT)]);
    assert!(!all[0].has_timestamp);

    assert_eq!(read(all[1].signer.as_ref().expect("the file is signed")), openssl(SELF));
    assert_eq!((all[1].chain.len(), all[1].has_timestamp), (0, true));

    for file in &all[2..] {
        assert_eq!((&file.signer, file.has_timestamp, file.chain.len()), (&None, false, 0), "{}", file.path);
    }
}

#[test]
fn no_other_file_is_opened_whatever_a_line_says() {
    if !is_wine() {
        eprintln!("skipped: this test writes into Windows' own folder, so it runs under Wine only");
        return;
    }
    let _machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let downloads = Downloads::new();
    let real = downloads.write("real.cab", CHAIN);
    assert_eq!(found(&[&real]).len(), 1);
    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().join("other.cab");
    fs::write(&other, CHAIN).unwrap();
    let windows = std::env::var("SystemRoot").unwrap();
    let beside = Path::new(&windows).join(r"SoftwareDistribution\wulog-test.cab");
    fs::write(&beside, CHAIN).unwrap();
    let drive = real.strip_prefix("C:").expect("Wine's Windows is on C:");
    let paths = [
        other.to_str().unwrap().to_owned(),
        beside.to_str().unwrap().to_owned(),
        format!(r"{}\..\..\..\wulog-test.cab", downloads.0.display()),
        format!(r"{}\..\wulog-test\real.cab", downloads.0.display()),
        format!(r"\\?\{real}"),
        format!(r"\\.\{real}"),
        format!(r"\\localhost\C$\{drive}"),
        format!(r"\\?\UNC\localhost\C$\{drive}"),
        format!("{real}:stream"),
        format!("{real}::$DATA"),
        format!("{real}."),
        format!("{real} "),
        real.replace('\\', "/"),
        // The form of a download, in a folder that is not Windows' own.
        format!(r"C:\other{}", &drive[drive.find(r"\SoftwareDistribution").unwrap()..]),
        downloads.0.to_str().unwrap().to_owned(),
        downloads.path("NUL"),
        String::new(),
    ];
    for path in &paths {
        assert_eq!(found(&[path]), [], "{path}");
    }
    fs::remove_file(beside).unwrap();
}

/// Wine shows a symbolic link of Linux as the file or folder behind it.
#[test]
fn a_link_out_of_the_folder_is_not_followed() {
    if !is_wine() {
        eprintln!("skipped: this test writes into Windows' own folder, so it runs under Wine only");
        return;
    }
    let _machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let downloads = Downloads::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().join("other.cab");
    fs::write(&other, CHAIN).unwrap();
    let unix = |path: &Path| {
        let said = Command::new("winepath").arg("-u").arg(path).output().unwrap();
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    };
    // Wine does not wait for a program of Linux.
    let linux = |program: &[&str], path: &str, makes: bool| {
        let ended = Command::new("cmd").args(["/c", "start", "/wait", "/unix"]).args(program).status().unwrap();
        assert!(ended.success(), "{program:?}");
        let begun = Instant::now();
        while fs::exists(path).unwrap() != makes {
            assert!(begun.elapsed() < Duration::from_secs(20), "{program:?} does nothing");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    for (target, link, path) in [(elsewhere.path(), "folder", r"folder\other.cab"), (&other, "file.cab", "file.cab")] {
        let (link, path) = (format!("{}/{link}", unix(&downloads.0)), downloads.path(path));
        linux(&["/bin/ln", "-sfn", &unix(target), &link], &path, true);
        assert_eq!(fs::read(&path).unwrap(), CHAIN, "the link leads to the file");
        assert_eq!(found(&[&path]), [], "{path}");
        linux(&["/bin/rm", &link], &path, false);
    }
    assert!(other.exists());
}
