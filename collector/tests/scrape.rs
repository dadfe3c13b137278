//! What a scraper sees of a collector that ships, of one whose Kafka is away, and of one that is well again.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod agent;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use agent::{Bench, Running};
use regex::Regex;

/// Status and body of a GET.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Prometheus/3.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The samples of a page, by name and labels.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// Where the collector says that it serves.
fn address(running: &Running) -> String {
    let mut address = None;
    running.until("it serves metrics", || {
        let said = running.stderr();
        let line = said.lines().find(|line| line.contains("metrics and health are served"));
        address = line.and_then(|line| line.split("address=").nth(1)).map(|rest| rest.trim().to_owned());
        address.is_some()
    });
    address.unwrap()
}

/// All of these have these values.
fn are(found: &BTreeMap<String, f64>, expect: &[(&str, f64)]) -> bool {
    expect.iter().all(|(name, value)| found.get(&format!("wulog_collector_{name}")) == Some(value))
}

#[test]
fn a_scraper_sees_what_was_written_and_what_kafka_has() {
    let bench = Bench::new(
        "[metrics]\nlisten = '127.0.0.1:0'\nunhealthy_after_secs = 2\n[limits]\nline_bytes_max = 1024\nbytes_in_flight = 262144",
    );
    // Longer than lines may be: cut, and counted.
    let long = "x".repeat(1500);
    let first = format!("a\r\nb\u{fc}\r\n{long}\r\n");
    let second = "c\nd\n";
    fs::write(bench.log("first.log"), &first).unwrap();
    fs::write(bench.log("second.log"), second).unwrap();
    let running = bench.start();
    let address = address(&running);
    let input = format!("{{input=\"{}/logs/*.log\"}}", bench.dir.path().display());
    let of_input = |name: &str| format!("{name}{input}");
    let (files, lag, losses) = (of_input("files"), of_input("lag_bytes"), of_input("losses"));

    let mut page = String::new();
    let mut scrape = |expect: &[(&str, f64)]| {
        running.until(&format!("{expect:?}"), || {
            page = get(&address, "/metrics").1;
            are(&samples(&page), expect)
        });
    };
    let written = (first.len() + second.len()) as f64;
    scrape(&[
        ("lines_total", 5.0),
        ("bytes_total", written),
        ("truncated_lines_total", 1.0),
        ("in_flight_records", 0.0),
        ("caught_up", 1.0),
        ("hosts", 1.0),
        (&files, 2.0),
        (&lag, 0.0),
        (&losses, 0.0),
        ("rejected_records_total", 0.0),
        ("producer_rebuilds_total", 0.0),
    ]);
    // What it says is in the log is there, heartbeats too.
    scrape(&[("acknowledged_records_total", bench.records().len() as f64)]);
    assert_eq!(bench.shipped().len(), 5);
    assert_eq!(get(&address, "/healthz"), (200, "ok\n".to_owned()));

    bench.cluster.broker_down(1).unwrap();
    fs::write(bench.log("second.log"), format!("{second}efg\nh\n")).unwrap();
    scrape(&[("lines_total", 7.0), ("in_flight_records", 2.0), ("caught_up", 0.0), (&lag, 6.0)]);
    running.until("it says that it is not well", || get(&address, "/healthz").0 == 503);
    let (_, reason) = get(&address, "/healthz");
    assert!(
        reason.starts_with("no acknowledgement for ") && reason.ends_with(" with 2 records on their way\n"),
        "{reason}"
    );
    let silent = samples(&get(&address, "/metrics").1)["wulog_collector_last_ack_age_seconds"];
    assert!((2.0..120.0).contains(&silent), "{silent}");

    bench.cluster.broker_up(1).unwrap();
    scrape(&[("in_flight_records", 0.0), ("caught_up", 1.0), (&lag, 0.0), ("lines_total", 7.0)]);
    running.until("it is well again", || get(&address, "/healthz").0 == 200);
    let mut lines: Vec<String> = bench.shipped().into_iter().map(|line| line.text).collect();
    lines.dedup();
    assert_eq!(lines.last().map(String::as_str), Some("h"));
    rules_name_what_there_is(&page);
    running.terminate();
}

/// The alert rules that come with the product use figures that this page has, and labels too.
fn rules_name_what_there_is(page: &str) {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/wulog-collector.rules.yml");
    let rules = fs::read_to_string(rules).unwrap();
    let name = Regex::new("wulog_collector_[a-z_]+").unwrap();
    let named: BTreeSet<&str> = name.find_iter(&rules).map(|found| found.as_str()).collect();
    let there = samples(page);
    let there: BTreeSet<&str> = there.keys().map(|name| name.split('{').next().unwrap()).collect();
    assert!(named.len() >= 5 && named.is_subset(&there), "{named:?} against {there:?}");
    // What Prometheus adds to each, beside ours.
    let labels = Regex::new(r"\$labels\.([a-z]+)").unwrap();
    let labels: BTreeSet<&str> = labels.captures_iter(&rules).map(|found| found.get(1).unwrap().as_str()).collect();
    assert_eq!(labels, BTreeSet::from(["input", "instance"]));
}
