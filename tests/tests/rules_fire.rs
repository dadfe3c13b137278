//! A rule of `deploy/prometheus` fires on a real Prometheus that scrapes the product.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use wulog_schemas::alert::{Level, Transition};
use wulog_tests::alerts::{Desk, document};
use wulog_tests::kafka::{Skip, or_skip};
use wulog_tests::process::{Running, eventually};
use wulog_tests::receiver::{Answer, Receiver, get};

const LIMIT: Duration = Duration::from_secs(60);
const PROMETHEUS: &str = "/usr/bin/prometheus";
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus/wulog-processor.rules.yml");

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_parked_alert_fires_a_rule_that_names_its_channel() {
    let name = "a_parked_alert_fires_a_rule_that_names_its_channel";
    let found = if Path::new(PROMETHEUS).exists() { Ok(()) } else { Err(Skip::NoPackage("prometheus")) };
    if or_skip(name, found).is_none() {
        return;
    }
    let (figures, port) = (free_port(), free_port());
    let strict = Receiver::start(|_| Answer::Status(422, ""));
    let desk = Desk::new(&format!(
        "[http]\nlisten = \"127.0.0.1:{figures}\"\n[[channels]]\nname = \"soc\"\nkind = \"webhook\"\nurl = \"{}\"\n",
        strict.url()
    ));
    let config = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\nrule_files: ['{RULES}']\n\
         scrape_configs:\n  - job_name: wulog-processor\n    static_configs: [{{ targets: ['127.0.0.1:{figures}'] }}]\n"
    );
    std::fs::write(desk.path("prometheus.yml"), config).unwrap();
    let wulog = desk.start(1);
    let prometheus = Running::start_program(
        Path::new(PROMETHEUS),
        &[
            format!("--config.file={}", desk.path("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", desk.path("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ],
    );
    let series = "/api/v1/query?query=wulog_processor_channel_parked_total";
    let none_parked = || get(port, series).contains("\"channel\":\"soc\"") && get(port, series).contains(",\"0\"]");
    eventually("a scrape before anything goes wrong", LIMIT, none_parked);
    let alerts = || get(port, "/api/v1/alerts");
    assert!(alerts().contains("\"alerts\":[]"), "{}", alerts());
    desk.append(&[document(1, 1, Transition::Opened, Level::High)]);
    let fires = |alerts: &str| {
        ["\"alertname\":\"WulogChannelParked\"", "\"channel\":\"soc\"", "\"state\":\"firing\""]
            .iter()
            .all(|part| alerts.contains(part))
    };
    eventually("the rule on parked alerts", LIMIT, || fires(&alerts()));
    wulog.terminate().expect_success();
    drop(prometheus);
}
