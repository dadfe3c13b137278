//! Cost of inventories of certificates: bytes on each topic, and memory of the Normalizer and the Detector by host.
//!
//! The fleet has 50,000 hosts of 200 sites, each with some 40 certificates like a Windows client: those of its
//! organization and its site in Trusted Root and Trusted Publishers, intermediates in `CA`, and the common list in
//! `Disallowed`.

use std::collections::BTreeMap;

#[path = "../tests/counting/mod.rs"]
mod counting;

use counting::live_bytes;
use wulog_processor::detect::{CertificateWarnings, Detector, DetectorConfig};
use wulog_processor::machine::{InRecord, Machine, Output};
use wulog_processor::normalize::{Normalizer, NormalizerConfig};
use wulog_schemas::certificate::{Certificate, Inventory, Origin, Policy, Store, VERSION};
use wulog_schemas::raw::{self, Heartbeat, Kind, RawHeader};
use wulog_schemas::signal::{Fact, RawPosition, Signal, Tick};
use wulog_schemas::topic::Topic;

const HOSTS: usize = 50_000;
const SITES: usize = 200;
const START_MS: i64 = 1_770_000_000_000;
const HOUR_MS: i64 = 60 * 60 * 1000;
const WEEK_HOURS: i64 = 7 * 24;

fn certificate(subject: &str, number: usize) -> Certificate {
    let number = number as u64 + subject.bytes().map(u64::from).sum::<u64>() * 1_000_003;
    Certificate {
        sha1: format!("{number:016x}{:024x}", number.wrapping_mul(0x9e37_79b9)),
        sha256: Some(format!("{number:032x}{:032x}", number.wrapping_mul(0x85eb_ca6b))),
        subject: format!("CN={subject}, OU=Workplace, O=Example AG, L=Hamburg, C=DE"),
        issuer: "CN=Example Issuing CA 3, O=Example AG, C=DE".to_owned(),
        serial: format!("{number:032x}"),
        not_before: Some(START_MS - 400 * 24 * HOUR_MS),
        not_after: Some(START_MS + 400 * 24 * HOUR_MS),
        code_signing: Some(true),
        signature_algorithm: Some("1.2.840.113549.1.1.11".to_owned()),
        key_bits: Some(2048),
        origin: Some(Origin::GroupPolicy),
    }
}

fn inventory(host: usize, taken: i64) -> Inventory {
    let site = host % SITES;
    let store = |name: &str, common: usize, of_site: usize| {
        let shared = (0..common).map(|number| certificate(&format!("{name} of all"), number));
        let own = (0..of_site).map(|number| certificate(&format!("{name} of site {site}"), number));
        let mut certificates: Vec<Certificate> = shared.chain(own).collect();
        certificates.sort_by(|a, b| a.sha1.cmp(&b.sha1));
        Store { name: name.to_owned(), complete: true, certificates, ..Store::default() }
    };
    let stores =
        vec![store("TrustedPublisher", 2, 1), store("Disallowed", 4, 0), store("Root", 2, 2), store("CA", 3, 1)];
    let policy = Some(Policy { accept_trusted_publisher_certs: true, ..Policy::default() });
    Inventory { v: VERSION, taken, stores, policy, ..Inventory::default() }
}

/// Bytes of keys and values by topic.
#[derive(Default)]
struct Volume {
    bytes: BTreeMap<&'static str, u64>,
}

impl Volume {
    fn add(&mut self, topic: &'static str, bytes: usize) {
        *self.bytes.entry(topic).or_default() += bytes as u64;
    }
}

struct Bench {
    normalizer: Normalizer,
    signals: Vec<Vec<u8>>,
    volume: Volume,
    offset: i64,
}

impl Bench {
    fn record(&mut self, host: usize, at_ms: i64, kind: Kind, value: &[u8]) {
        let header =
            RawHeader { v: raw::VERSION, kind, host: format!("pc-{host:06}"), read: at_ms, ..RawHeader::default() };
        let (header, key) = (header.to_bytes(), format!("{host:032x}"));
        self.volume.add("wulog.raw", key.len() + header.len() + value.len());
        let record = InRecord {
            partition: 0,
            offset: self.offset,
            timestamp_ms: at_ms,
            key: key.as_bytes(),
            header: Some(&header),
            value,
        };
        self.offset += 1;
        let mut out: Vec<Output> = Vec::new();
        self.normalizer.apply(&record, &mut out);
        for output in out {
            let topic = if output.topic == Topic::Signals { "wulog.signals" } else { "wulog.events" };
            self.volume.add(topic, output.key.len() + output.value.len());
            if output.topic == Topic::Signals {
                self.signals.push(output.value.to_vec());
            }
        }
    }

    fn beat(&mut self, host: usize, at_ms: i64, certificates: Option<(&str, i64)>) {
        let beat = Heartbeat {
            version: "0.1.0".to_owned(),
            caught_up: true,
            certificates: certificates.map(|(hash, _)| hash.to_owned()),
            certificates_seen: certificates.map(|(_, seen)| seen),
            ..Heartbeat::default()
        };
        let value = serde_json::to_vec(&beat).expect("a heartbeat is plain data");
        self.record(host, at_ms, Kind::Heartbeat, &value);
    }
}

/// A week of heartbeats, one an hour, with or without an inventory at its beginning and its end.
fn week(with_inventories: bool) -> (Bench, usize) {
    let before = live_bytes();
    let config = NormalizerConfig::default();
    let mut bench =
        Bench { normalizer: Normalizer::new(&config, 0, 1), signals: Vec::new(), volume: Volume::default(), offset: 0 };
    // The hosts of a site have the same list, and a hash does not depend on the time.
    let hashes: Vec<String> = (0..SITES).map(|site| inventory(site, START_MS).hash()).collect();
    for hour in 0..=WEEK_HOURS {
        for host in 0..HOSTS {
            let at_ms = START_MS + hour * HOUR_MS + (host as i64 * HOUR_MS / HOSTS as i64);
            let is_due = with_inventories && hour % WEEK_HOURS == 0;
            let hash = &hashes[host % SITES];
            if hour == 0 {
                bench.beat(host, at_ms, None);
            }
            if is_due {
                let value = serde_json::to_vec(&inventory(host, at_ms)).expect("plain data");
                bench.record(host, at_ms, Kind::Certificates, &value);
            }
            // Four equal heartbeats an hour stand for all of them; one a day would suffice.
            if hour % 6 == 0 {
                bench.beat(host, at_ms, with_inventories.then_some((hash.as_str(), at_ms)));
            }
        }
    }
    let signals: usize = bench.signals.iter().map(|signal| signal.capacity() + size_of::<Vec<u8>>()).sum();
    let vector = bench.signals.capacity() * size_of::<Vec<u8>>() - bench.signals.len() * size_of::<Vec<u8>>();
    let bytes = live_bytes() - before - signals - vector;
    (bench, bytes)
}

fn detector_bytes(signals: &[Vec<u8>]) -> (usize, u64) {
    let before = live_bytes();
    let config =
        DetectorConfig { certificate_warnings: Some(CertificateWarnings::default()), ..DetectorConfig::default() };
    let (mut detector, mut out) = (Detector::new(&config, 0, 1), Vec::new());
    for value in signals {
        let record = InRecord { partition: 0, offset: 0, timestamp_ms: 0, key: b"", header: None, value };
        detector.apply(&record, &mut out);
    }
    // One search for warnings over all hosts.
    let began = std::time::Instant::now();
    let now = START_MS + 8 * 24 * HOUR_MS;
    let raw = RawPosition { partition: 0, offset: 0 };
    let tick = Signal { v: 1, log_time: now, raw, fact: Fact::Tick(Tick { partitions: 1 }) };
    let value = serde_json::to_vec(&tick).expect("plain data");
    let record = InRecord { partition: 0, offset: 0, timestamp_ms: 0, key: b"", header: None, value: &value };
    detector.apply(&record, &mut out);
    println!("  one search for warnings over all hosts: {} ms", began.elapsed().as_millis());
    (live_bytes() - before, detector.bytes())
}

fn main() {
    let (plain, plain_bytes) = week(false);
    let (bench, bytes) = week(true);
    let hosts = HOSTS as u64;
    println!("{HOSTS} hosts, one week, an inventory at its beginning and one at its end:");
    for (topic, with) in &bench.volume.bytes {
        let without = plain.volume.bytes.get(topic).copied().unwrap_or_default();
        let more = with.saturating_sub(without);
        println!("  {topic}: {} MB more, {} bytes a host", more / 1_000_000, more / hosts);
    }
    println!("  the Normalizer: {} bytes a host more", bytes.saturating_sub(plain_bytes) / HOSTS);
    let (without, _) = detector_bytes(&plain.signals);
    assert!(bench.signals.len() > plain.signals.len(), "inventories give signals");
    let (with, told) = detector_bytes(&bench.signals);
    println!("  the Detector: {} bytes a host more ({told} bytes by its own account)", (with - without) / HOSTS);
}
