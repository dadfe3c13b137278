//! The order of arrival: signals of one interval between ticks come in any order that keeps each host's own order.
//!
//! Several Normalizers write to one topic, so the signals of different hosts overtake each other. Every such order must
//! give the same incidents: the same ids, families, onsets, hosts and ends, and in the last document of each the same
//! codes and factors. Only facts that the order itself decides may differ: the host at which an incident opened, and
//! the probability (`detection`, `evidence`, `time.opened`), and so the times of doubling and the number of documents
//! (`seq`, `updated`, `new_since_last`, `replay`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use serde_json::Value;
use wulog_processor::detect::{Detector, DetectorConfig};
use wulog_processor::machine::{InRecord, Machine};
use wulog_schemas::signal::{Fact, Signal};
use wulog_tests::scenario::all;

/// SplitMix64: the seed decides the random numbers of a test.
struct Luck(u64);

impl Luck {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// The host of a signal, or `None` for a tick.
fn host_of(signal: &[u8]) -> Option<String> {
    match Signal::from_bytes(signal).unwrap().fact {
        Fact::HostFacts(facts) => Some(facts.host.id),
        Fact::Attempt(attempt) => Some(attempt.host.id),
        Fact::ScanDone(scan) => Some(scan.host.id),
        Fact::Certificates(facts) => Some(facts.host.id),
        Fact::Tick(_) | Fact::Config(_) | Fact::Handling(_) => None,
    }
}

/// The same signals, with those between two ticks in another order.
fn shuffled(signals: &[Vec<u8>], luck: &mut Luck) -> Vec<Vec<u8>> {
    let hosts: Vec<Option<String>> = signals.iter().map(|signal| host_of(signal)).collect();
    let mut out: Vec<Vec<u8>> = Vec::with_capacity(signals.len());
    let mut at = 0;
    while at < signals.len() {
        let ticks = hosts[at].is_none();
        let end = (at..signals.len()).find(|place| hosts[*place].is_none() != ticks).unwrap_or(signals.len());
        if ticks {
            out.extend_from_slice(&signals[at..end]);
        } else {
            // The positions are shuffled, and each host's signals fill its positions in their own order.
            let mut places: Vec<usize> = (at..end).collect();
            (1..places.len()).rev().for_each(|last| places.swap(last, luck.below(last + 1)));
            let mut queues: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for place in (at..end).rev() {
                queues.entry(hosts[place].as_deref().unwrap()).or_default().push(place);
            }
            for place in places {
                let next = queues.get_mut(hosts[place].as_deref().unwrap()).and_then(Vec::pop).unwrap();
                out.push(signals[next].clone());
            }
        }
        at = end;
    }
    out
}

/// The last document of each incident that was not merged, without the facts that the order decides.
fn said(signals: &[Vec<u8>]) -> BTreeMap<String, Value> {
    let (mut detector, mut out) = (Detector::new(&DetectorConfig::default(), 0, 1), Vec::new());
    for (value, offset) in signals.iter().zip(0..) {
        detector.apply(&InRecord { partition: 0, offset, timestamp_ms: 0, key: b"", header: None, value }, &mut out);
    }
    let mut last = BTreeMap::new();
    for output in out {
        let document: Value = serde_json::from_slice(&output.value).unwrap();
        last.insert(document["id"].as_str().unwrap().to_owned(), document);
    }
    last.retain(|_, document| document["state"] != "merged");
    for document in last.values_mut() {
        let remove = |object: &mut Value, names: &[&str]| {
            let fields = object.as_object_mut().unwrap();
            names.iter().for_each(|name| drop(fields.remove(*name)));
        };
        remove(document, &["seq", "evidence", "detection", "replay"]);
        remove(&mut document["time"], &["opened", "updated"]);
        remove(&mut document["hosts"], &["new_since_last"]);
    }
    last
}

#[test]
fn signals_that_overtake_each_other_say_the_same() {
    let some = ["S01", "S13", "S16", "T05", "T10", "T14", "T19", "T21", "T23", "T26", "Q03"];
    let (mut incidents, mut moved) = (0, 0);
    for scenario in all().into_iter().filter(|scenario| some.contains(&scenario.id)) {
        for seed in 100..102 {
            let signals = scenario.signals(seed, 1_000);
            let expect = said(&signals);
            incidents += expect.len();
            for shuffle in 0..2 {
                let other = shuffled(&signals, &mut Luck(shuffle));
                moved += signals.iter().zip(&other).filter(|(a, b)| a != b).count();
                let found = said(&other);
                let place = format!("{}, seed {seed}, shuffle {shuffle}", scenario.id);
                assert_eq!(found.keys().collect::<Vec<_>>(), expect.keys().collect::<Vec<_>>(), "{place}");
                for (id, document) in &found {
                    assert_eq!(document, &expect[id], "{place}");
                }
            }
        }
    }
    assert!(incidents >= 22, "{incidents} incidents are too few to say anything");
    assert!(moved > 100_000, "{moved} signals came in another order");
}
