//! The detector's configuration is data, and open incidents survive a loss of state.

use wulog_processor::detect::{Detector, DetectorConfig};
use wulog_processor::machine::{Machine, Output};
use wulog_schemas::alert::{Alert, State, Transition};

use crate::incidents::outbreak;
use crate::world::{DAY, START, alerts_with, apply, outputs, wsus_of};

const ONSET: i64 = START + 3 * DAY;

fn records(seed: u64) -> Vec<Vec<u8>> {
    outbreak(200, seed, |index| wsus_of(index) == 1, ONSET + 4 * DAY, ONSET + 6 * DAY).records()
}

fn config_record(config: &DetectorConfig) -> Vec<u8> {
    Detector::new(config, 0, 1).input_due().expect("a new log knows no configuration").value.to_vec()
}

fn with(place: usize, record: Vec<u8>, mut records: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    records.insert(place, record);
    records
}

#[test]
fn a_configuration_on_the_log_holds_from_there_on() {
    let live = DetectorConfig { stable_secs: 20 * 3600, ..DetectorConfig::default() };
    let records = records(50);
    let all = with(0, config_record(&live), records.clone());
    let expect = outputs(&live, &all);
    assert!(!expect.is_empty());
    // A replay with any other configuration gives the same bytes.
    let other = DetectorConfig { min_hosts: 30, quiet_secs: 1, ..DetectorConfig::default() };
    assert_eq!(outputs(&other, &all), expect);
    assert_ne!(outputs(&other, &records), expect);
    let hash = |output: &Output| serde_json::from_slice::<Alert>(&output.value).unwrap().detector.config_hash;
    assert!(expect.iter().all(|output| hash(output) == live.hash()));
}

#[test]
fn a_change_holds_from_its_record_and_survives_a_restart() {
    let (before, after) = (DetectorConfig::default(), DetectorConfig { quiet_secs: 600, ..DetectorConfig::default() });
    let middle = records(51).len() / 2;
    let all = with(middle, config_record(&after), with(0, config_record(&before), records(51)));
    let expect = outputs(&before, &all);
    let mut detector = Detector::new(&before, 0, 1);
    let mut out = Vec::new();
    for (place, record) in all.iter().enumerate() {
        if place % 500 == 0 {
            detector = Detector::restore(&after, 0, 1, &detector.snapshot()).unwrap();
        }
        apply(&mut detector, record, &mut out);
    }
    assert_eq!(out, expect);
    let alerts = alerts_with(&before, &all);
    let hashes: Vec<String> = alerts.iter().map(|alert| alert.detector.config_hash.clone()).collect();
    assert!(hashes.is_sorted_by_key(|hash| *hash == after.hash()), "{hashes:?}");
    assert!(hashes.contains(&before.hash()) && hashes.contains(&after.hash()));
}

#[test]
fn a_configuration_is_due_when_the_log_says_another_and_daily() {
    let config = DetectorConfig::default();
    let mut detector = Detector::new(&config, 0, 1);
    let mut out = Vec::new();
    let mut due = 0;
    for record in records(52) {
        if let Some(output) = detector.input_due() {
            due += 1;
            apply(&mut detector, &output.value, &mut out);
            assert!(detector.input_due().is_none());
        }
        apply(&mut detector, &record, &mut out);
    }
    assert!((8..=10).contains(&due), "nine days: {due}");
    let changed = DetectorConfig { alpha: 1e-6, ..config };
    let restored = Detector::restore(&changed, 0, 1, &detector.snapshot()).unwrap();
    assert!(restored.input_due().is_some());
}

#[test]
fn an_invalid_configuration_is_skipped() {
    let config = DetectorConfig::default();
    let text = String::from_utf8(config_record(&config)).unwrap();
    let mut detector = Detector::new(&config, 0, 1);
    let mut out = Vec::new();
    for wrong in
        [text.replace("\"alpha\"", "\"alhpa\""), text.replace("\"resolve_share\":0.9", "\"resolve_share\":9.0")]
    {
        assert_ne!(wrong, text);
        apply(&mut detector, wrong.as_bytes(), &mut out);
    }
    assert_eq!((detector.counts().foreign_configs, detector.counts().unreadable), (2, 0));
    assert!(detector.input_due().is_some());
}

/// The snapshot is lost, and the log no longer holds how the incident began.
#[test]
fn open_incidents_are_adopted_from_their_documents() {
    let (config, records) = (DetectorConfig::default(), records(53));
    let live = outputs(&config, &records);
    let stable = live.iter().position(|output| document(output).transition == Transition::Stable).unwrap();
    let told: Vec<Vec<u8>> = vec![live[stable].value.to_vec()];
    let known = document(&live[stable]);
    // Signals begin two days after the onset; half a day of them is applied with muted outputs.
    let time =
        |record: &[u8]| serde_json::from_slice::<serde_json::Value>(record).unwrap()["log_time"].as_i64().unwrap();
    let from = records.iter().position(|record| time(record) >= ONSET + 2 * DAY).unwrap();
    let until = records.iter().position(|record| time(record) >= ONSET + 5 * DAY / 2).unwrap();
    let (mut detector, mut muted, mut out) = (Detector::new(&config, 0, 1), Vec::new(), Vec::new());
    records[from..until].iter().for_each(|record| apply(&mut detector, record, &mut muted));
    assert_eq!(detector.adopt(&told), std::slice::from_ref(&known.id));
    assert_eq!(detector.incidents_open(), 1);
    records[until..].iter().for_each(|record| apply(&mut detector, record, &mut out));
    let alerts: Vec<Alert> = out.iter().map(document).collect();
    assert!(alerts.iter().all(|alert| alert.id == known.id), "no second incident");
    assert_eq!(alerts[0].seq, known.seq + 1);
    let last = alerts.last().unwrap();
    assert_eq!((last.state, last.transition), (State::Resolved, Transition::Resolved));
    assert_eq!((last.time.onset, last.time.opened), (known.time.onset, known.time.opened));
}

/// All signals are there: the rebuilt state equals the old one, and there is nothing to take over.
#[test]
fn a_rebuilt_incident_is_not_adopted() {
    let (config, records) = (DetectorConfig::default(), records(54));
    let live = outputs(&config, &records);
    let half = records.len() * 2 / 3;
    let (mut detector, mut muted, mut out) = (Detector::new(&config, 0, 1), Vec::new(), Vec::new());
    records[..half].iter().for_each(|record| apply(&mut detector, record, &mut muted));
    let newest = muted.last().unwrap().value.to_vec();
    assert_eq!(detector.adopt(&[newest, b"no document".to_vec()]), Vec::<String>::new());
    records[half..].iter().for_each(|record| apply(&mut detector, record, &mut out));
    muted.append(&mut out);
    assert_eq!(muted, live);
}

fn document(output: &Output) -> Alert {
    serde_json::from_slice(&output.value).expect("a document")
}
