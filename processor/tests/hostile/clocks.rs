//! Clocks that jump: of one host or of the log, forwards or backwards, for a moment or for hours.

use wulog_processor::detect::{Detector, DetectorConfig};
use wulog_processor::machine::{InRecord, Machine};
use wulog_schemas::topic::Topic;

use crate::fleet::{
    DAY, FAILING, HOUR, MINUTE, Raw, START, heartbeat, line, of_text, outbreak, outbreak_ms, records, run,
};

/// 9999-12-31 and 1601-01-01, in milliseconds since 1970.
const YEAR_9999: i64 = 253_402_300_799_000;
const YEAR_1601: i64 = -11_644_473_600_000;
const YEAR_2099: i64 = 4_070_908_800_000;

/// Expects an alert with nearly all hosts of the outbreak, and with its onset.
#[track_caller]
fn expect_outbreak(records: &[Raw], what: &str) {
    let (hosts, onset) = outbreak(&run(records)).unwrap_or_else(|| panic!("{what}: no alert"));
    assert!(hosts >= u64::from(FAILING) - 2, "{what}: {hosts} hosts");
    assert!((onset - outbreak_ms()).abs() < HOUR, "{what}: it began {} h off", (onset - outbreak_ms()) / HOUR);
}

#[test]
fn an_outbreak_is_found_with_right_clocks() {
    expect_outbreak(&records(), "no jump");
}

/// One record with the timestamp of another time, at any place.
#[test]
fn one_record_of_a_wrong_time_hides_no_outbreak() {
    for (what, time) in [
        ("+10 days", START + 13 * DAY),
        ("+30 days", START + 33 * DAY),
        ("2099", YEAR_2099),
        ("9999", YEAR_9999),
        ("1601", YEAR_1601),
        ("-10 days", START - 10 * DAY),
        ("the end of numbers", i64::MAX),
        ("the beginning of numbers", i64::MIN),
    ] {
        for place in [0, 1, 300, 700] {
            for record in
                [heartbeat("rogue", time), heartbeat("pc-0000", time), of_text("rogue", 1, "no time at all", time)]
            {
                let mut records = records();
                records.insert(place, record);
                expect_outbreak(&records, &format!("{what}, at {place}"));
            }
            if (START - 20 * DAY..YEAR_9999).contains(&time) {
                let mut records = records();
                // The clock of the record's host is wrong too: line and timestamp agree.
                records.insert(place, line("rogue", 7, time, false));
                expect_outbreak(&records, &format!("{what}, agreed, at {place}"));
            }
        }
    }
}

/// The clock that stamps records jumps for a while, and comes back.
#[test]
fn a_step_of_the_clock_of_the_log_hides_no_outbreak() {
    for (what, step) in [
        ("+1 day", DAY),
        ("+30 days", 30 * DAY),
        ("2099", YEAR_2099 - START),
        ("1601", YEAR_1601 - START),
        ("-30 days", -30 * DAY),
    ] {
        for lasts in [12 * 1_000, 20 * MINUTE, 2 * HOUR] {
            for begins in [outbreak_ms() - HOUR, outbreak_ms() + 2 * MINUTE, outbreak_ms() + 15 * MINUTE] {
                let mut records = records();
                for record in &mut records {
                    if (begins..begins + lasts).contains(&record.timestamp_ms) {
                        record.timestamp_ms += step;
                    }
                }
                expect_outbreak(&records, &format!("{what} for {} s", lasts / 1_000));
            }
        }
    }
}

/// A clock that was wrong from the first record on, and is set right later.
#[test]
fn a_log_that_begins_with_a_wrong_clock_recovers() {
    for step in [30 * DAY, -300 * DAY, YEAR_2099 - START] {
        let mut records = records();
        for record in &mut records {
            if record.timestamp_ms < START + DAY {
                record.timestamp_ms += step;
            }
        }
        expect_outbreak(&records, &format!("{} days off for a day", step / DAY));
    }
}

/// Lines with times of other years change nothing for other hosts.
#[test]
fn lines_from_other_years_hide_no_outbreak() {
    for time in [START + 10 * DAY, YEAR_2099, 4_102_444_800_000 - 1, START - 3_000 * DAY] {
        let mut records = records();
        for place in (0..600).step_by(50) {
            let mut stray = line("rogue", 100 + place as u64, time, false);
            stray.timestamp_ms = records[place].timestamp_ms;
            records.insert(place, stray);
        }
        expect_outbreak(&records, "lines of another year");
    }
}

/// A peer writes ticks into the signals, for existing and missing partitions, with any time.
#[test]
fn forged_ticks_hide_no_outbreak() {
    let signals: Vec<_> = run(&records())
        .into_iter()
        .filter(|output| output.topic == Topic::Signals)
        .map(|output| output.value)
        .collect();
    for time in [START + 13 * DAY, START + 33 * DAY, YEAR_2099, START - 30 * DAY] {
        for (partition, partitions) in [(0, 1), (2, 1), (2, 12), (0, 99_999)] {
            for place in [0, signals.len() / 4, signals.len() / 2, signals.len() * 3 / 4] {
                let tick = format!(
                    r#"{{"v":1,"log_time":{time},"raw":{{"partition":{partition},"offset":0}},"kind":"tick","partitions":{partitions}}}"#
                );
                let mut signals = signals.clone();
                signals.insert(place, tick.into_bytes().into());
                let mut detector = Detector::new(&DetectorConfig::default(), 0, 1);
                let mut out = Vec::new();
                for (value, offset) in signals.iter().zip(0..) {
                    let record = InRecord { partition: 0, offset, timestamp_ms: START, key: b"", header: None, value };
                    detector.apply(&record, &mut out);
                }
                let what = format!("a tick of {time} in partition {partition} of {partitions} at {place}");
                let (hosts, _) = outbreak(&out).unwrap_or_else(|| panic!("{what}: no alert"));
                assert!(hosts >= u64::from(FAILING) - 2, "{what}: {hosts} hosts");
            }
        }
    }
}

#[test]
fn a_jump_is_reported_once_when_the_clock_has_returned() {
    let mut records = records();
    let (before, after) = (records[99].timestamp_ms, records[100].timestamp_ms);
    for place in [100, 101, 102, 103] {
        records.insert(place, heartbeat("pc-0003", YEAR_2099 + i64::try_from(place).unwrap()));
    }
    records.insert(104, heartbeat("pc-0003", before.midpoint(after)));
    let told: Vec<String> = run(&records)
        .iter()
        .filter(|output| output.topic == Topic::Events)
        .map(|output| serde_json::from_slice::<serde_json::Value>(&output.value).unwrap())
        .filter(|event| event["error"]["type"] == "clock_jump")
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect();
    assert!(told.len() == 1 && told[0].contains("of 4 records"), "{told:?}");
}

/// The same records give the same outputs, with any restarts between them.
#[test]
fn unconfirmed_timestamps_do_not_depend_on_restarts() {
    use wulog_processor::machine::Machine;
    use wulog_processor::normalize::{Normalizer, NormalizerConfig};
    let mut records = records();
    for (at, record) in records.iter_mut().enumerate() {
        if at % 50 < 7 {
            record.timestamp_ms += 40 * DAY * (at as i64 % 3 - 1);
        }
    }
    let outputs = |restart_every: usize| {
        let config = NormalizerConfig::default();
        let mut normalizer = Normalizer::new(&config, 0, 1);
        let mut out = Vec::new();
        for (at, record) in records.iter().enumerate() {
            if at % restart_every == 0 {
                normalizer = Normalizer::restore(&config, 0, 1, &normalizer.snapshot()).unwrap();
            }
            let record = InRecord {
                partition: 0,
                offset: at as i64,
                timestamp_ms: record.timestamp_ms,
                key: &record.key,
                header: record.header.as_deref(),
                value: &record.value,
            };
            normalizer.apply(&record, &mut out);
        }
        out
    };
    assert!(outputs(usize::MAX) == outputs(17));
}
