//! `replay --compare live` on Kafka: the incidents that the log recorded, beside those of another configuration.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use wulog_processor::log::Record;
use wulog_processor::log::embedded::Records;
use wulog_schemas::topic::Topic;
use wulog_tests::embedded::{lived, outbreak_on_the_second_day};
use wulog_tests::fleet::{DAY_MS, HOUR_MS};
use wulog_tests::kafka::{self, or_skip, unique_prefix};
use wulog_tests::process::{Running, eventually, run};

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn a_replay_of_kafka_is_compared_with_the_live_run() {
    let name = "a_replay_of_kafka_is_compared_with_the_live_run";
    let Some(broker) = or_skip(name, kafka::shared()) else { return };
    let (prefix, folder) = (unique_prefix("compare"), tempfile::tempdir().unwrap());
    let config = folder.path().join("processor.toml");
    let text = format!(
        "topic_prefix = '{prefix}'\ninstance = 'one'\n[topics]\nraw_partitions = 1\nsimulated = true\n\
         [processor]\ntick_after_idle_secs = 0\n\
         [kafka]\n'bootstrap.servers' = '{}'\n'session.timeout.ms' = 6000\n",
        broker.bootstrap(),
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    run("wulog-processor", &["topics", "create", "--config", config]).expect_success();

    // The signals of a fleet, as an embedded log has them.
    let fleet = outbreak_on_the_second_day(31, 30);
    let end_ms = fleet.spec().start_ms + 2 * DAY_MS;
    let log = lived(fleet, folder.path(), (end_ms, HOUR_MS / 2)).unwrap();
    let producer: BaseProducer = broker.client_config().create().unwrap();
    let topic = format!("{prefix}.signals");
    for record in Records::open(&log, Topic::Signals).unwrap() {
        let Record { timestamp_ms, key, value, .. } = record.unwrap();
        let send = || BaseRecord::to(&topic).partition(0).key(&key).payload(&value).timestamp(timestamp_ms);
        while producer.send(send()).is_err() {
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(LIMIT).unwrap();

    let live = Running::start("wulog-processor", &["run", "--config", config]);
    let listed = || run("wulog-processor", &["alerts", "list", "--all", "--config", config]).stdout;
    eventually("the incident of the live run", LIMIT, || listed().contains("untrusted_root"));
    live.terminate_within(Duration::from_secs(60)).expect_success();

    let replay = |more: &[&str]| {
        let from = ["replay", "--config", config, "--stage", "signals", "--compare", "live"];
        let ended = run("wulog-processor", &[&from[..], more].concat());
        ended.expect_success();
        ended.stdout
    };
    let same = replay(&[]);
    assert!(same.contains("No difference: 1 incident is the same in the live run and the replay."), "{same}");

    let detector = folder.path().join("detector.toml");
    std::fs::write(&detector, "[detector]\nmin_hosts = 1000\n").unwrap();
    let page = folder.path().join("compare.html");
    let what_if = ["--what-if", "--detector", detector.to_str().unwrap(), "--compare-out", page.to_str().unwrap()];
    let missing = replay(&what_if);
    assert!(missing.contains("0 differ, 1 only in the live run, 0 only in the replay."), "{missing}");
    assert!(std::fs::read_to_string(&page).unwrap().contains("<h2>Only in the live run</h2>"));

    // The replay committed and wrote nothing: the live run is unchanged.
    assert_eq!(listed().matches("untrusted_root").count(), 1, "{}", listed());
    let alerts = broker.read_topic(&format!("{prefix}.alerts"));
    let ids: std::collections::BTreeSet<String> = alerts
        .iter()
        .filter_map(|record| serde_json::from_slice::<Value>(record.value.as_deref()?).ok())
        .map(|alert| alert["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}
