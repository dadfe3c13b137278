//! Inventories of certificates: their documents and signals; a repeated inventory gives none.

use serde_json::{Value, json};
use wulog_processor::machine::Machine;
use wulog_processor::normalize::{Normalizer, NormalizerConfig};
use wulog_schemas::raw::{Kind, RawHeader, VERSION};

use super::feed::{Feed, KEY};

const A: &str = "9595a9a1cffe73fcd6251c9a2e97c60f1c2b111e";
const B: &str = "32c6b7330f306441f916950dd565a7309c50b9c2";

fn send(feed: &mut Feed, inventory: &Value) {
    let header = RawHeader { v: VERSION, kind: Kind::Certificates, host: "pc-0042".to_owned(), ..RawHeader::default() };
    feed.record(KEY.as_bytes(), Some(header.to_bytes()), inventory.to_string().into_bytes());
}

/// An inventory of Trusted Publishers.
fn listing(thumbprints: &[&str], complete: bool) -> Value {
    let certificates: Vec<Value> = thumbprints
        .iter()
        .map(|sha1| {
            json!({"sha1": sha1, "subject": format!("CN={}", &sha1[..4]), "issuer": "CN=CA", "serial": "0a1b",
                "not_before": 1_577_836_800_000_i64, "not_after": 1_893_456_000_000_i64, "key_bits": 2048})
        })
        .collect();
    json!({"v": 1, "taken": 1_668_384_000_000_i64,
        "stores": [{"name": "TrustedPublisher", "complete": complete, "certificates": certificates}]})
}

/// The actions and thumbprints of all documents of inventories so far.
fn said(feed: &Feed) -> Vec<(String, String)> {
    let is_ours = |event: &Value| event["event"]["dataset"] == "windows_update.certificate";
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let events = feed.events().into_iter().filter(is_ours);
    events.map(|event| (text(&event["event"]["action"]), text(&event["wu"]["certificate"]["sha1"]))).collect()
}

fn certificate_signals(feed: &Feed) -> Vec<Value> {
    feed.signals().into_iter().filter(|signal| signal["kind"] == "certificates").collect()
}

#[test]
fn a_first_inventory_is_found_and_later_ones_say_what_changed() {
    let mut feed = Feed::live();
    let pair = |action: &str, sha1: &str| (action.to_owned(), sha1.to_owned());
    send(&mut feed, &listing(&[A], true));
    let mut expected = vec![pair("certificate-inventory", ""), pair("certificate-found", A)];
    assert_eq!(said(&feed), expected);
    send(&mut feed, &listing(&[A], true));
    assert_eq!(said(&feed), expected, "a repeated inventory says nothing");
    assert_eq!(certificate_signals(&feed).len(), 1);
    send(&mut feed, &listing(&[B], true));
    expected.push(pair("certificate-inventory", ""));
    expected.push(pair("certificate-removed", A));
    expected.push(pair("certificate-added", B));
    assert_eq!(said(&feed), expected);
    // An incomplete list proves no removal.
    send(&mut feed, &listing(&[], false));
    expected.push(pair("certificate-inventory", ""));
    assert_eq!(said(&feed), expected);
    assert_eq!(certificate_signals(&feed).len(), 3);
}

#[test]
fn a_document_describes_the_certificate_and_the_signal_names_it() {
    let mut feed = Feed::live();
    send(&mut feed, &listing(&[A], true));
    let event = feed.events().into_iter().find(|event| event["event"]["action"] == "certificate-found").unwrap();
    assert_eq!(event["@timestamp"], "2022-11-14T00:00:00.000Z");
    assert_eq!(event["message"], format!("The certificate CN=9595 ({A}) is in TrustedPublisher"));
    assert_eq!(event["related"]["hash"], json!([A]));
    let expected = json!({
        "subject": {"distinguished_name": "CN=9595"}, "issuer": {"distinguished_name": "CN=CA"}, "serial_number": "0A1B",
        "not_before": "2020-01-01T00:00:00.000Z", "not_after": "2030-01-01T00:00:00.000Z", "public_key_size": 2048,
    });
    assert_eq!(event["file"]["x509"], expected);
    let signal = certificate_signals(&feed).remove(0);
    let expected = json!([{"name": "TrustedPublisher", "complete": true, "certificates": [
        {"sha1": A, "subject": "CN=9595", "issuer": "CN=CA", "not_before": 1_577_836_800_000_i64,
            "not_after": 1_893_456_000_000_i64}]}]);
    assert_eq!(signal["stores"], expected);
    assert_eq!(signal["host"], json!({"id": KEY, "name": "pc-0042"}));
}

/// A Detector that is rebuilt from the signals of 35 days learns of each host, although nothing changes.
#[test]
fn the_signal_is_sent_again_after_six_days_without_a_document() {
    let mut feed = Feed::live();
    send(&mut feed, &listing(&[A], true));
    for days in [5, 7] {
        feed.log_time += days * 24 * 3600 * 1000;
        // The clock follows a jump only after a second record confirms it.
        (0..3).for_each(|_| feed.tick(3600 * 1000));
        send(&mut feed, &listing(&[A], true));
    }
    assert_eq!(said(&feed).len(), 2);
    // After 5 days it is too early, after 12 it is time.
    assert_eq!(certificate_signals(&feed).len(), 2);
}

#[test]
fn the_inventory_of_a_host_is_in_the_snapshot() {
    let mut feed = Feed::live();
    send(&mut feed, &listing(&[A], true));
    let bytes = feed.normalizer.snapshot();
    feed.normalizer = Normalizer::restore(&NormalizerConfig::default(), 3, 12, &bytes).unwrap();
    send(&mut feed, &listing(&[A], true));
    assert_eq!(said(&feed).len(), 2, "the inventory is known after a restart");
}

#[test]
fn an_inventory_that_is_no_json_is_a_pipeline_error() {
    let mut feed = Feed::live();
    send(&mut feed, &json!("nothing"));
    let event = feed.events().pop().unwrap();
    assert_eq!(
        (&event["event"]["kind"], &event["error"]["type"]),
        (&json!("pipeline_error"), &json!("malformed_record"))
    );
}

/// An inventory with a file that was not trusted, and nothing else.
fn failed_file(path: &str, signer: Option<&str>) -> Value {
    let signer = signer.map(|sha1| {
        json!({"sha1": sha1, "sha256": "ab".repeat(32), "subject": "CN=Example Publisher", "issuer": "CN=CA",
            "serial": "0a1b", "not_after": 1_893_456_000_000_i64})
    });
    let mut inventory = listing(&[], true);
    inventory["failed_files"] = json!([{"path": path, "error": "0x800b0109", "seen": 1_668_380_000_000_i64,
        "signer": signer, "has_timestamp": false, "chain": [{"sha1": B, "subject": "CN=CA"}]}]);
    inventory
}

#[test]
fn a_file_that_was_not_trusted_is_a_document_and_its_signer_is_in_the_signal() {
    let mut feed = Feed::live();
    let path = r"C:\Windows\SoftwareDistribution\Download\7c1e\9f31";
    send(&mut feed, &failed_file(path, Some(A)));
    send(&mut feed, &failed_file(path, Some(A)));
    let is_signer = |event: &Value| event["event"]["action"] == "certificate-signer";
    let events: Vec<Value> = feed.events().into_iter().filter(is_signer).collect();
    assert_eq!(events.len(), 1, "the same file is told once");
    let event = &events[0];
    assert_eq!(event["file"]["path"], path);
    assert_eq!(event["file"]["code_signature"], json!({"trusted": false, "status": "CERT_E_UNTRUSTEDROOT"}));
    assert_eq!(event["file"]["x509"]["subject"]["distinguished_name"], "CN=Example Publisher");
    assert_eq!(event["file"]["x509"]["not_after"], "2030-01-01T00:00:00.000Z");
    let expected = json!({"sha1": A, "sha256": "ab".repeat(32), "has_timestamp": false});
    assert_eq!(event["wu"]["certificate"], expected);
    assert_eq!(event["related"]["hash"], json!([A]));
    // The document is not a failure of its own, so that nobody counts it twice.
    assert_eq!(
        (&event["event"]["outcome"], &event["error"], &event["wu"]["family"]),
        (&json!("unknown"), &Value::Null, &Value::Null)
    );
    let message = format!(
        "The file {path}, which was not trusted (0x800b0109), is signed with the certificate CN=Example Publisher ({A}), without a time stamp"
    );
    assert_eq!(event["message"], message);
    let signals = certificate_signals(&feed);
    assert_eq!(signals.len(), 1);
    let signer =
        json!({"sha1": A, "subject": "CN=Example Publisher", "issuer": "CN=CA", "not_after": 1_893_456_000_000_i64});
    assert_eq!(signals[0]["failed_signers"], json!([{"certificate": signer}]));

    // Another file, and a file without a signature.
    send(&mut feed, &failed_file(&format!("{path}2"), Some(A)));
    send(&mut feed, &failed_file(path, None));
    let ids: std::collections::BTreeSet<String> =
        feed.events().iter().filter(|event| is_signer(event)).map(|event| event["event"]["id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
    let last = feed.events().into_iter().rfind(is_signer).unwrap();
    assert!(last["message"].as_str().unwrap().ends_with("carries no signature that can be read"));
    assert_eq!(last["wu"]["certificate"], Value::Null);
    assert!(certificate_signals(&feed).pop().unwrap().get("failed_signers").is_none());
}

#[test]
fn an_inventory_whose_files_were_deleted_says_so_once() {
    let mut feed = Feed::live();
    send(&mut feed, &listing(&[A], true));
    let withdrawn = json!({"v": 1, "taken": 1_668_390_000_000_i64, "stores": []});
    send(&mut feed, &withdrawn);
    send(&mut feed, &withdrawn);
    let event = feed.events().pop().unwrap();
    assert_eq!(event["event"]["action"], "certificate-inventory");
    assert!(event["message"].as_str().unwrap().contains("its files were deleted"));
    // Nothing was removed from a store, since no store was read.
    assert_eq!(said(&feed).len(), 3);
    let last = certificate_signals(&feed).pop().unwrap();
    assert_eq!((&last["stores"], certificate_signals(&feed).len()), (&json!([]), 2));
}
