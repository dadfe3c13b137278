//! An honest fleet in memory: its raw records in order, with an outbreak that must raise an alert.

use wulog_processor::detect::DetectorConfig;
use wulog_processor::machine::{InRecord, Output};
use wulog_processor::normalize::NormalizerConfig;
use wulog_processor::pipeline::Pipeline;
use wulog_schemas::alert::Alert;
use wulog_schemas::host::HostId;
use wulog_schemas::raw::{Heartbeat, Kind, RawHeader, Source, VERSION};
use wulog_schemas::topic::Topic;

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
/// Tuesday, 2023-11-14 22:13:20 UTC.
pub(crate) const START: i64 = 1_700_000_000_000;

pub(crate) const UPDATE: &str = "8468427e-6555-e8d9-5360-9cbc1d52a0bb";
pub(crate) const HEALTHY: u32 = 60;
pub(crate) const FAILING: u32 = 60;

/// One raw record, owned.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) header: Option<Vec<u8>>,
    pub(crate) value: Vec<u8>,
}

pub(crate) fn name(host: u32) -> String {
    format!("pc-{host:04}")
}

fn key(name: &str) -> Vec<u8> {
    HostId::of_gathered(name).as_str().as_bytes().to_vec()
}

pub(crate) fn heartbeat(name: &str, at: i64) -> Raw {
    let header =
        RawHeader { v: VERSION, kind: Kind::Heartbeat, host: name.to_owned(), read: at, ..RawHeader::default() };
    let beat = Heartbeat { version: "0.1.0".to_owned(), caught_up: true, ..Heartbeat::default() };
    let value = serde_json::to_vec(&beat).expect("a heartbeat is plain data");
    Raw { timestamp_ms: at, key: key(name), header: Some(header.to_bytes()), value }
}

/// A line of ReportingEvents.log: an installation that ended at `at`.
pub(crate) fn line(name: &str, number: u64, at: i64, failed: bool) -> Raw {
    let time = chrono::DateTime::from_timestamp_millis(at).expect("a time").format("%Y-%m-%d %H:%M:%S:%3f");
    let guid = format!("{{{number:08X}-0000-4000-8000-{:012X}}}", crc32fast::hash(name.as_bytes()));
    let update = UPDATE.to_uppercase();
    let text = if failed {
        format!(
            "{guid}\t{time}+0000\t1\t161 [AGENT_DOWNLOAD_FAILED]\t101\t{{{update}}}\t1\t800b0109\tAutomaticUpdates\tFailure\t\
             Content Download\tError: Download failed."
        )
    } else {
        format!(
            "{guid}\t{time}+0000\t1\t147 [AGENT_DETECTION_FINISHED]\t101\t{{00000000-0000-0000-0000-000000000000}}\t0\t0\t\
             AutomaticUpdates\tSuccess\tSoftware Synchronization\tWindows Update Client successfully detected 0 updates."
        )
    };
    of_text(name, number * 1_000, &text, at)
}

pub(crate) fn of_text(name: &str, offset: u64, text: &str, at: i64) -> Raw {
    let header = RawHeader {
        v: VERSION,
        host: name.to_owned(),
        file: r"C:\Windows\SoftwareDistribution\ReportingEvents.log".to_owned(),
        source: Source::ReportingEvents,
        epoch: "9f2c61d0a4e7b511".to_owned(),
        offset,
        end: offset + text.len() as u64 + 1,
        hash: format!("{:08x}", crc32fast::hash(text.as_bytes())),
        read: at,
        ..RawHeader::default()
    };
    Raw { timestamp_ms: at, key: key(name), header: Some(header.to_bytes()), value: text.as_bytes().to_vec() }
}

/// Two quiet days of all hosts, and on the third an hour in which half of them fail, in the order of time.
pub(crate) fn records() -> Vec<Raw> {
    let mut records = Vec::new();
    let all = HEALTHY + FAILING;
    for host in 0..all {
        let name = name(host);
        let first = START + i64::from(host) * MINUTE;
        records.push(heartbeat(&name, first));
        for scan in 0..5 {
            let at = first + scan * 12 * HOUR;
            records.push(line(&name, scan.unsigned_abs() + 1, at + MINUTE, false));
        }
        if host % 2 == 0 {
            records.push(line(&name, 50, outbreak_ms() + i64::from(host) * MINUTE / 2, true));
        }
        // A day without a new host, at whose end the incident names all of its hosts.
        for hours in [3, 12, 21, 30, 39] {
            records.push(heartbeat(&name, outbreak_ms() + hours * HOUR + i64::from(host) * 1_000));
        }
    }
    records.sort_by_key(|record| record.timestamp_ms);
    records
}

pub(crate) fn outbreak_ms() -> i64 {
    START + 2 * DAY + 14 * HOUR
}

/// The outputs for the records, in one partition.
pub(crate) fn run(records: &[Raw]) -> Vec<Output> {
    let mut pipeline = Pipeline::new(&NormalizerConfig::default(), &DetectorConfig::default(), 1);
    let mut out = Vec::new();
    for (record, offset) in records.iter().zip(0..) {
        let record = InRecord {
            partition: 0,
            offset,
            timestamp_ms: record.timestamp_ms,
            key: &record.key,
            header: record.header.as_deref(),
            value: &record.value,
        };
        pipeline.apply(&record, &mut out);
    }
    out
}

/// The largest number of hosts that one alert about the honest update names, and its onset.
pub(crate) fn outbreak(outputs: &[Output]) -> Option<(u64, i64)> {
    let alerts = outputs.iter().filter(|output| output.topic == Topic::Alerts);
    let alerts = alerts.map(|output| serde_json::from_slice::<Alert>(&output.value).expect("an alert"));
    let subject = format!("update:{UPDATE}");
    alerts
        .filter(|alert| alert.subjects.iter().any(|count| count.subject == subject))
        .map(|alert| (alert.hosts.affected, alert.time.onset.0))
        .max()
}
