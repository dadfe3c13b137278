//! Expected values were written by hand from the text of each file.

use chrono::NaiveDate;
use proptest::prelude::*;

use wulog_schemas::certificate::Policy;

use super::certutil::Listing;
use super::*;

fn utc(year: i32, month: u32, day: u32, hour: u32, minute: u32) -> Option<i64> {
    let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
    Some(date.and_hms_opt(hour, minute, 0).unwrap().and_utc().timestamp_millis())
}

/// Reads an output by itself, without the other stores of the host.
fn parse(text: &str) -> Listing {
    let output = certutil::read(text);
    let order = output.order();
    output.listing(order)
}

fn listing(bytes: &[u8]) -> Listing {
    parse(&text(bytes))
}

fn file(name: &str, modified_ms: i64, bytes: &[u8]) -> InventoryFile {
    let kind = FileKind::of_file_name(name).unwrap();
    InventoryFile { kind, modified_ms, bytes: bytes.to_vec(), error: None }
}

#[test]
fn german_in_a_code_page() {
    let found = listing(include_bytes!("samples/de-my.txt"));
    let expected = Certificate {
        sha1: "9595a9a1cffe73fcd6251c9a2e97c60f1c2b111e".to_owned(),
        subject: "CN=www.example.com".to_owned(),
        issuer: "CN=Test Root CA".to_owned(),
        serial: "1a2b3c4d5e".to_owned(),
        not_before: utc(2026, 1, 1, 1, 0),
        not_after: utc(2027, 1, 1, 1, 0),
        ..Certificate::default()
    };
    assert_eq!(found, Listing { certificates: vec![expected], incomplete: None });
}

#[test]
fn english_with_blanks_in_the_thumbprint() {
    let found = listing(include_bytes!("samples/en-root.txt"));
    let expected = Certificate {
        sha1: "32c6b7330f306441f916950dd565a7309c50b9c2".to_owned(),
        subject: "CN=FYIcenter Root CA".to_owned(),
        issuer: "CN=FYIcenter Root CA".to_owned(),
        serial: "38c1e2306446cbbf3e50fd3ab7f066a1".to_owned(),
        not_before: utc(2012, 7, 1, 22, 34),
        not_after: utc(2039, 12, 31, 18, 59),
        ..Certificate::default()
    };
    assert_eq!(found, Listing { certificates: vec![expected], incomplete: None });
}

#[test]
fn french_in_utf_8_and_in_the_code_page_of_the_console() {
    let thawte = "CN=Thawte Timestamping CA, OU=Thawte Certification, O=Thawte, L=Durbanville, S=Western Cape, C=ZA";
    let microsoft = "CN=Microsoft Root Certificate Authority, DC=microsoft, DC=com";
    let expected = [
        Certificate {
            sha1: "cdd4eeae6000ac7f40c3802c171e30148030c072".to_owned(),
            subject: microsoft.to_owned(),
            issuer: microsoft.to_owned(),
            serial: "79ad16a14aa0a5ad4c7358f407132e65".to_owned(),
            not_before: utc(2001, 5, 10, 0, 19),
            not_after: utc(2021, 5, 10, 0, 28),
            ..Certificate::default()
        },
        Certificate {
            sha1: "be36a4562fb2ee05dbb3d32323adf445084ed656".to_owned(),
            subject: thawte.to_owned(),
            issuer: thawte.to_owned(),
            serial: "00".to_owned(),
            not_before: utc(1997, 1, 1, 1, 0),
            not_after: utc(2021, 1, 1, 0, 59),
            ..Certificate::default()
        },
    ];
    for bytes in [&include_bytes!("samples/fr-root.txt")[..], include_bytes!("samples/fr-root-oem850.txt")] {
        assert_eq!(listing(bytes), Listing { certificates: expected.to_vec(), incomplete: None });
    }
}

/// The letters of these code pages are lost, but not the fields that distinguish certificates.
#[test]
fn russian_and_japanese_in_their_code_pages() {
    let russian = listing(include_bytes!("samples/ru-trustedpublisher-oem866.txt"));
    assert_eq!((russian.certificates.len(), russian.incomplete), (1, None));
    let found = &russian.certificates[0];
    assert_eq!(found.sha1, "0123456789abcdef0123456789abcdef01234567");
    assert_eq!(found.serial, "0a1b2c3d4e5f60718293a4b5c6d7e8f9");
    assert_eq!((found.not_before, found.not_after), (utc(2024, 3, 13, 9, 5), utc(2029, 3, 13, 9, 15)));
    let japanese = listing(include_bytes!("samples/ja-trustedpublisher-sjis.txt"));
    assert_eq!((japanese.certificates.len(), japanese.incomplete), (1, None));
    let found = &japanese.certificates[0];
    assert_eq!(found.sha1, "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334");
    assert_eq!(found.serial, "3b00000002f4");
    assert_eq!(found.subject, "CN=Example Publishing, O=Example");
    assert_eq!(found.issuer, "CN=Example Issuing CA, DC=corp, DC=example");
    assert_eq!((found.not_before, found.not_after), (utc(2023, 11, 2, 10, 44), utc(2025, 11, 1, 10, 44)));
}

#[test]
fn verbose_in_utf_16_with_a_revocation_list_behind_the_certificate() {
    let found = listing(include_bytes!("samples/en-verbose-utf16.txt"));
    let expected = Certificate {
        sha1: "8".repeat(40),
        sha256: Some("9".repeat(64)),
        subject: "CN=Example Publishing, O=Example".to_owned(),
        issuer: "CN=Example Publishing, O=Example".to_owned(),
        serial: "4a5d8b1f7c2e9d4f8a6b3c1d2e0f9a8b".to_owned(),
        not_before: utc(2021, 2, 1, 18, 18),
        not_after: utc(2026, 2, 1, 18, 28),
        code_signing: Some(true),
        signature_algorithm: Some("1.2.840.113549.1.1.11".to_owned()),
        key_bits: Some(2048),
        origin: None,
    };
    assert_eq!(found, Listing { certificates: vec![expected], incomplete: None });
}

#[test]
fn the_order_of_a_date_is_that_of_all_dates_of_the_output() {
    let check = |first: &str, second: &str, expected: Option<i64>| {
        let entry = |date: &str| {
            let sha1 = "1".repeat(40);
            format!("==== C 0 ====\nN: 00\nI: CN=a\n A: {date}\n B: {date}\nS: CN=a\nH(sha1): {sha1}\n")
        };
        let text = entry(first) + &entry(second) + "CertUtil: -store ok";
        assert_eq!(parse(&text).certificates[0].not_after, expected, "{first}, {second}");
    };
    check("3/4/2030 5:06", "13/4/2030 5:06", utc(2030, 4, 3, 5, 6));
    check("3/4/2030 5:06", "3/14/2030 5:06", utc(2030, 3, 4, 5, 6));
    check("3/4/2030 5:06 PM", "3/5/2030 5:06 PM", utc(2030, 3, 4, 17, 6));
    check("3/4/2030 5:06", "3/5/2030 5:06", utc(2030, 4, 3, 5, 6));
    check("03.04.30 05:06", "03.05.30 05:06", utc(2030, 4, 3, 5, 6));
    check("2030-04-03 오후 5:06", "2030-04-03 오후 5:06", utc(2030, 4, 3, 17, 6));
    check("3/4/2573 5:06", "13/4/2573 5:06", utc(2030, 4, 3, 5, 6));
    check("3-4-2030 12:06 AM", "3-4-2030 12:06 AM", utc(2030, 3, 4, 0, 6));
}

/// A host has one region: where the dates of one store fit two orders, those of another store decide.
#[test]
fn the_order_of_a_date_is_that_of_all_stores_of_the_host() {
    let output = |sha1: &str, from: &str, until: &str| {
        format!(
            "Root\n================ Certificate 0 ================\nSerial Number: 1a2b\nIssuer: CN=Publishing\n \
             NotBefore: {from}\n NotAfter: {until}\nSubject: CN=Publishing\nCert Hash(sha1): {sha1}\n\
             CertUtil: -store command completed successfully.\n"
        )
    };
    let (signer, root) = ("b2".repeat(20), "c3".repeat(20));
    let doubtful = output(&signer, "4/12/2022 10:00 AM", "3/12/2024 10:00 AM");
    let clear = output(&root, "25/06/2011 9:00 AM", "25/06/2031 9:00 AM");
    let end_of = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(name, text)| file(name, 0, text.as_bytes())).collect();
        let stores = inventory(files).stores;
        stores.iter().flat_map(|store| &store.certificates).find(|found| found.sha1 == signer).unwrap().not_after
    };
    let publisher = ("certutil-TrustedPublisher.txt", doubtful.as_str());
    assert_eq!(end_of(&[publisher, ("certutil-Root.txt", &clear)]), utc(2024, 12, 3, 10, 0));
    assert_eq!(end_of(&[("certutil-Disallowed.txt", &clear), publisher]), utc(2024, 12, 3, 10, 0));
    // Judged alone, a clock of 12 hours means that the month comes first.
    assert_eq!(end_of(&[publisher]), utc(2024, 3, 12, 10, 0));
    // The date format is found for each file alone: files of two regions do not disturb each other.
    let american = output(&root, "06/25/2011 9:00 AM", "06/25/2031 9:00 AM");
    let both = format!("{clear}{clear}");
    assert_eq!(
        end_of(&[("certutil-Root.txt", &american), ("certutil-CA.txt", &both), publisher]),
        utc(2024, 3, 12, 10, 0)
    );
}

#[test]
fn a_store_is_whole_only_if_its_output_is() {
    let end = "CertUtil: -store command completed successfully.";
    let check = |text: &str, expected: Option<&str>| assert_eq!(parse(text).incomplete.as_deref(), expected, "{text}");
    check(&format!("TrustedPublisher\n{end}"), None);
    check("TrustedPublisher\n", Some("the output ends before its last line"));
    check("", Some("the output ends before its last line"));
    let denied = "CertUtil: -store command FAILED: 0x80070005 (WIN32: 5 ERROR_ACCESS_DENIED)";
    check(denied, Some(denied));
    check("CertUtil: -store command FAILED: 0x80070002 (WIN32: 2 ERROR_FILE_NOT_FOUND)", None);
    check(&format!("==== Certificate 0 ====\nSerial Number: 00\n{end}"), Some("1 entries cannot be read"));
    // The thumbprint of a key stands before the thumbprint of its certificate: an output that ends between them has
    // neither.
    let verbose = text(include_bytes!("samples/en-verbose-utf16.txt"));
    let cut = verbose.split("Cert Hash(sha1)").next().unwrap();
    assert!(cut.contains("Key Id Hash(sha1)") && parse(cut).certificates.is_empty());
    let cut = include_str!("samples/en-root.txt").split("Subject:").next().unwrap();
    assert!(parse(cut).certificates.is_empty() && parse(cut).incomplete.is_some());
}

#[test]
fn files_are_known_by_their_names_and_the_store_of_keys_is_never_read() {
    let check = |name: &str, expected: Option<FileKind>| assert_eq!(FileKind::of_file_name(name), expected, "{name}");
    check("certutil-TrustedPublisher.txt", Some(FileKind::Certutil("TrustedPublisher", None)));
    check("CertUtil-ROOT.TXT", Some(FileKind::Certutil("Root", None)));
    check("certutil-grouppolicy-Root.txt", Some(FileKind::Certutil("Root", Some(Origin::GroupPolicy))));
    check("certutil-enterprise-CA.txt", Some(FileKind::Certutil("CA", Some(Origin::Enterprise))));
    check("certificates.json", Some(FileKind::Json));
    check("certutil-My.txt", None);
    check("certutil-.txt", None);
    check("WindowsUpdate.log", None);
}

#[test]
fn the_files_of_a_host_make_one_inventory() {
    let verbose = include_bytes!("samples/en-verbose-utf16.txt");
    let json = r#"{"v": 1, "policy": {"accept_trusted_publisher_certs": true}, "stores": [
        {"name": "my", "complete": true, "certificates": [{"sha1": "0000000000000000000000000000000000000000"}]},
        {"name": "root", "complete": true, "certificates": [
            {"sha1": "CDD4EEAE6000AC7F40C3802C171E30148030C072"}, {"sha1": "no thumbprint"}]}]}"#;
    let found = inventory(vec![
        file("certutil-TrustedPublisher.txt", 5, verbose),
        file("certutil-grouppolicy-TrustedPublisher.txt", 6, verbose),
        file("certificates.json", 7, json.as_bytes()),
        file("certutil-Disallowed.txt", 4, b"Disallowed\nCertUtil: -store command completed successfully."),
    ]);
    assert_eq!(found.taken, 7);
    assert_eq!(found.policy, Some(Policy { accept_trusted_publisher_certs: true, ..Policy::default() }));
    let stores: Vec<(&str, bool, usize)> =
        found.stores.iter().map(|store| (store.name.as_str(), store.complete, store.certificates.len())).collect();
    assert_eq!(stores, [("TrustedPublisher", true, 1), ("Disallowed", true, 0), ("Root", false, 1)]);
    assert_eq!(found.stores[0].certificates[0].origin, Some(Origin::GroupPolicy));
    assert_eq!(found.stores[2].certificates[0].sha1, "cdd4eeae6000ac7f40c3802c171e30148030c072");
}

/// A program that cuts a name after so many UTF-16 units may cut a pair: all other certificates are still read.
#[test]
fn half_a_surrogate_pair_costs_one_letter_and_not_the_file() {
    let check = |name: &str, expected: &str| {
        let sha1 = "1".repeat(40);
        let json = format!(
            r#"{{"v": 1, "stores": [{{"name": "Root", "complete": true, "certificates": [
                {{"sha1": "{sha1}", "subject": "CN={name}", "issuer": "CN=b"}}]}}]}}"#
        );
        let found = inventory(vec![file("certificates.json", 1, json.as_bytes())]);
        assert_eq!(found.stores[0].certificates[0].subject, format!("CN={expected}"), "{name}");
    };
    check(r"a\ud800b", "a\u{fffd}b");
    check(r"a\udC00", "a\u{fffd}");
    check(r"\ud83d\ude00", "\u{1f600}");
    check(r"\ud83d\ud83d\ude00\ude00", "\u{fffd}\u{1f600}\u{fffd}");
    check(r"\ud83d\u0041", "\u{fffd}A");
    // An escaped backslash before `u`: these letters are the name's own.
    check(r"\\ud800", r"\ud800");
    check(r"\\\ud800", "\\\u{fffd}");
    check(r"\ud800\\", "\u{fffd}\\");
    check(r#"\u00e4\"\/"#, "\u{e4}\"/");
}

#[test]
fn what_group_policy_delivered_is_not_the_whole_store() {
    let verbose = include_bytes!("samples/en-verbose-utf16.txt");
    let found = inventory(vec![file("certutil-grouppolicy-TrustedPublisher.txt", 6, verbose)]);
    assert_eq!((found.stores[0].complete, found.stores[0].certificates.len()), (false, 1));
}

#[test]
fn the_certificates_of_microsofts_root_program_are_left_out_of_root() {
    let root = include_bytes!("samples/fr-root.txt");
    let one = "==== C 0 ====\nN: 00\nI: CN=a\nH(sha1): be36a4562fb2ee05dbb3d32323adf445084ed656\nCertUtil: -store ok";
    let found = inventory(vec![file("certutil-Root.txt", 1, root), file("certutil-AuthRoot.txt", 1, one.as_bytes())]);
    let thumbprints: Vec<&str> = found.stores.iter().flat_map(|s| &s.certificates).map(|c| c.sha1.as_str()).collect();
    assert_eq!(thumbprints, ["cdd4eeae6000ac7f40c3802c171e30148030c072"]);
}

#[test]
fn ten_thousand_certificates_are_cut_and_the_inventory_says_so() {
    let entry = |number: usize| {
        format!(
            "==== C {number} ====\nN: 00\nI: CN=Certificate {number}\n B: 1/1/2020 1:00\n A: 1/1/2030 1:00\nS: CN=Certificate {number}\nH(sha1): {number:040x}\n"
        )
    };
    let all: String = (0..10_000).map(entry).collect::<String>() + "CertUtil: -store ok";
    let small = entry(1) + "CertUtil: -store ok";
    let found = inventory(vec![
        file("certutil-Root.txt", 1, all.as_bytes()),
        file("certutil-TrustedPublisher.txt", 1, small.as_bytes()),
    ]);
    assert!(serde_json::to_vec(&found).unwrap().len() <= INVENTORY_BYTES_MAX + 1024);
    let (publisher, root) = (&found.stores[0], &found.stores[1]);
    assert_eq!(
        (publisher.name.as_str(), publisher.complete, publisher.certificates.len()),
        ("TrustedPublisher", true, 1)
    );
    assert!(!root.complete && root.error.is_some());
    assert_eq!(root.certificates.len() as u64 + root.unlisted, 10_000);
    assert!(root.certificates.len() > 1_000, "{} are kept", root.certificates.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_make_an_inventory(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for name in ["certutil-Root.txt", "certificates.json"] {
            let found = inventory(vec![file(name, 0, &bytes)]);
            prop_assert!(found.stores.len() <= 1);
        }
    }

    /// No change to an output produces a thumbprint that is not in it.
    #[test]
    fn no_output_gives_a_thumbprint_that_it_does_not_hold(
        at in 0_usize..1000, with in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = include_bytes!("samples/fr-root.txt").to_vec();
        let at = at % bytes.len();
        bytes.splice(at..(at + with.len()).min(bytes.len()), with);
        let text = text(&bytes);
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_ascii_lowercase();
        for certificate in parse(&text).certificates {
            prop_assert!(digits.contains(&certificate.sha1));
        }
    }
}
