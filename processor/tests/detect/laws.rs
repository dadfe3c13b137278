//! Laws: the same records give the same bytes, with any restart between them; no bytes cause a panic.

use std::collections::BTreeSet;

use proptest::prelude::*;
use wulog_processor::detect::{Detector, DetectorConfig};
use wulog_processor::machine::Machine;
use wulog_schemas::alert::Alert;

use crate::incidents::outbreak;
use crate::world::{DAY, Luck, MINUTE, START, World, alerts_with, apply, outputs, wsus_of};

fn small_outbreak() -> World {
    outbreak(40, 1, |index| wsus_of(index) == 1, START + 5 * DAY, START + 7 * DAY)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_restart_anywhere_changes_nothing(splits in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let (config, records) = (DetectorConfig::default(), small_outbreak().records());
        let splits: BTreeSet<usize> = splits.iter().map(|split| split.index(records.len())).collect();
        let (mut detector, mut out) = (Detector::new(&config, 0, 1), Vec::new());
        for (place, value) in records.iter().enumerate() {
            if splits.contains(&place) {
                let snapshot = detector.snapshot();
                detector = Detector::restore(&config, 0, 1, &snapshot).unwrap();
                prop_assert_eq!(detector.snapshot(), snapshot);
            }
            apply(&mut detector, value, &mut out);
        }
        prop_assert!(!out.is_empty());
        prop_assert_eq!(out, outputs(&config, &records));
    }

    #[test]
    fn any_bytes_are_acceptable(junk in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20)) {
        let mut detector = Detector::new(&DetectorConfig::default(), 0, 1);
        let mut out = Vec::new();
        junk.iter().for_each(|value| apply(&mut detector, value, &mut out));
        prop_assert_eq!(detector.counts().unreadable, junk.len() as u64);
        prop_assert!(out.is_empty());
    }

    /// Signals with arbitrary numbers and names.
    #[test]
    fn any_numbers_are_acceptable(seed in any::<u64>()) {
        let mut luck = Luck(seed);
        let times = [i64::MIN, -1, 0, START, START + DAY, 7_258_118_399_999, i64::MAX];
        let (mut detector, mut out) = (Detector::new(&DetectorConfig::default(), 0, 1), Vec::new());
        for _ in 0..200 {
            let mut time = || times[luck.below(times.len() as i64) as usize];
            let (log_time, event_time, since, partition) = (time(), time(), time(), time() as i32);
            let kind = luck.below(4);
            let host = format!(r#"{{"id":"{}","name":""}}"#, luck.below(9));
            let fact = match kind {
                0 => format!(r#""kind":"tick","partitions":{partition}"#),
                1 => format!(r#""kind":"scan_done","host":{host},"outcome":"failure","event_time":{event_time}"#),
                2 => format!(
                    r#""kind":"attempt","host":{host},"subject":"","outcome":"failure","family":"tls","operation":"","event_time":{event_time},"since":{since}"#
                ),
                _ => format!(
                    r#""kind":"host_facts","host":{host},"dimensions":{{"":""}},"last_event_time":{event_time},"caught_up":true,"failing":[{{"subject":"","family":"tls","code":"","since":{since}}}]"#
                ),
            };
            let raw = format!(r#"{{"partition":{partition},"offset":{event_time}}}"#);
            apply(&mut detector, format!(r#"{{"v":1,"log_time":{log_time},"raw":{raw},{fact}}}"#).as_bytes(), &mut out);
        }
        prop_assert_eq!(detector.counts().unreadable, 0);
    }
}

#[test]
fn snapshots_that_do_not_fit_are_refused() {
    let config = DetectorConfig::default();
    let snapshot = Detector::new(&config, 0, 1).snapshot();
    assert!(Detector::restore(&config, 0, 1, &snapshot[1..]).is_err());
    assert!(Detector::restore(&config, 0, 1, &[&snapshot[..], b"x"].concat()).is_err());
}

#[test]
fn a_skipped_record_says_nothing() {
    let mut detector = Detector::new(&DetectorConfig::default(), 0, 1);
    let record = wulog_processor::machine::InRecord {
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        key: b"",
        header: None,
        value: b"",
    };
    let mut out = Vec::new();
    detector.skip(&record, "a panic", &mut out);
    assert!(out.is_empty());
    assert_eq!(detector.counts().skipped, 1);
}

/// Hosts' records overtake each other by up to ten minutes, as over several partitions.
#[test]
fn shuffled_arrival_gives_the_same_incidents() {
    // Documents without the parts that depend on the order of arrival.
    let facts = |alerts: &[Alert]| {
        let ids: BTreeSet<&str> = alerts.iter().map(|alert| alert.id.as_str()).collect();
        let newest = ids.into_iter().filter_map(|id| alerts.iter().rfind(|alert| alert.id == id));
        let heard_of = ["seq", "evidence", "detection", "replay"];
        let documents = newest.map(|alert| {
            let mut document = serde_json::to_value(alert).unwrap();
            let fields = document.as_object_mut().unwrap();
            heard_of.iter().for_each(|name| drop(fields.remove(*name)));
            ["opened", "updated", "resolved"]
                .iter()
                .for_each(|n| drop(fields["time"].as_object_mut().unwrap().remove(*n)));
            drop(fields["hosts"].as_object_mut().unwrap().remove("new_since_last"));
            document
        });
        documents.collect::<Vec<_>>()
    };
    let expect = facts(&small_outbreak().alerts());
    for seed in 0..20 {
        let mut world = small_outbreak();
        let mut luck = Luck(seed);
        let mut order: Vec<(i64, usize)> = world
            .signals
            .iter()
            .enumerate()
            .map(|(place, signal)| (signal.log_time + luck.below(10 * MINUTE), place))
            .collect();
        order.sort_unstable();
        let mut log_time = 0;
        let shuffled = order.iter().map(|(arrival, place)| {
            let mut signal = world.signals[*place].clone();
            log_time = (*arrival).max(log_time);
            signal.log_time = log_time;
            signal
        });
        world.signals = shuffled.collect();
        let alerts = alerts_with(&DetectorConfig::default(), &world.records());
        assert_eq!(facts(&alerts), expect, "seed {seed}");
    }
}
