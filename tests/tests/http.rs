//! `[http] listen` of `standalone`: figures in OpenMetrics, health, readiness, and an address in use.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use wulog_schemas::alert::{Level, Transition};
use wulog_tests::alerts::{Desk, document};
use wulog_tests::process::{eventually, run};
use wulog_tests::receiver::{Answer, Receiver, get};

const LIMIT: Duration = Duration::from_secs(60);

/// Checks that this page has the figures of the shipped alert rules.
fn rules_name_what_there_is(page: &str) {
    let rules = include_str!("../../deploy/prometheus/wulog-processor.rules.yml");
    let words = rules.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    let named: BTreeSet<&str> = words.filter(|word| word.starts_with("wulog_processor_")).collect();
    let series = |line: &str| line.split(['{', ' ']).next().unwrap_or_default().to_owned();
    let there: BTreeSet<String> = page.lines().map(series).collect();
    assert!(named.len() >= 4, "{named:?}");
    named.iter().for_each(|name| assert!(there.contains(*name), "{name} is not in\n{page}"));
}

#[test]
fn figures_and_readiness_are_told_beside_slow_clients() {
    let receiver = Receiver::start(|_| Answer::Status(422, ""));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let desk = Desk::new(&format!(
        "[http]\nlisten = \"127.0.0.1:{port}\"\n[[channels]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{}\"\n",
        receiver.url()
    ));
    let running = desk.start(1);
    // Silent clients delay no other.
    let idle: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    eventually("readiness", LIMIT, || get(port, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(get(port, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(get(port, "/nothing").starts_with("HTTP/1.1 404"));
    desk.append(&[document(1, 1, Transition::Opened, Level::High)]);
    let parked = "wulog_processor_channel_parked_total{channel=\"hook\"} 1";
    eventually("the parked document", LIMIT, || get(port, "/metrics").contains(parked));
    let figures = get(port, "/metrics");
    assert!(figures.contains("application/openmetrics-text"), "{figures}");
    assert!(figures.trim_end().ends_with("# EOF"), "{figures}");
    for name in ["figure=\"incidents_open\"", "figure=\"hosts\"", "wulog_processor_channel_backlog"] {
        assert!(figures.contains(name), "{name} is not in\n{figures}");
    }
    for lag in ["lag_seconds", "lag_records"] {
        let lag = format!("wulog_processor_{lag}{{machine=\"detector\",partition=\"0\"}} 0");
        eventually("a lag of nothing", LIMIT, || get(port, "/metrics").contains(&lag));
    }
    for figure in ["memory_bytes", "memory_bytes_max", "hosts_forgotten"] {
        for machine in ["normalizer", "detector"] {
            let series = format!("wulog_processor_machine{{machine=\"{machine}\",figure=\"{figure}\"}} ");
            assert!(figures.contains(&series), "{series} is not in\n{figures}");
        }
    }
    for state in ["active", "silent", "unreadable", "behind", "unknown"] {
        let series = format!("figure=\"hosts_by_state\",state=\"{state}\"}} 0");
        assert!(figures.contains(&series), "{series} is not in\n{figures}");
    }
    rules_name_what_there_is(&get(port, "/metrics"));
    // A second processor gets the reason.
    let (config, logs, db) = (desk.config(), desk.path("logs"), desk.path("other.db"));
    let words: [&Path; 7] =
        ["standalone".as_ref(), "--config".as_ref(), &config, "--logs".as_ref(), &logs, "--db".as_ref(), &db];
    let second = run("wulog-processor", &words);
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains(&format!("[http] listen = 127.0.0.1:{port}")), "{}", second.stderr);
    drop(idle);
    running.terminate().expect_success();
}
