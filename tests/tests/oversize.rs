//! A broker with a smaller limit than wulog's: the document is skipped and named, and the processor continues.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use wulog_schemas::topic::Topic;
use wulog_tests::kafka::{self, or_skip, unique_prefix};
use wulog_tests::process::{self, Running, eventually};

const LIMIT: Duration = Duration::from_secs(90);
/// `max.message.bytes` of the events, far below what a document may have.
const EVENT_BYTES_MAX: &str = "50000";

#[test]
fn a_document_that_the_broker_refuses_is_skipped_and_named() {
    let Some(broker) = or_skip("a_document_that_the_broker_refuses", kafka::shared()) else { return };
    let prefix = unique_prefix("oversize");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // A line that hardly compresses: a broker measures the compressed size.
    let mut luck = 1_u64;
    let long: String = (0..90_000)
        .map(|_| {
            luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + (luck >> 33) as u8 % 90)
        })
        .collect();
    let line = |text: &str| format!("2023/03/01 22:19:01.8143606 1132 4 Agent {text}\n");
    let log = [line("first"), line(&long), line("last")].concat();
    std::fs::write(at("WindowsUpdate.log"), log).unwrap();
    let kafka = format!("topic_prefix = '{prefix}'\n[kafka]\n'bootstrap.servers' = '{}'\n", broker.bootstrap());
    std::fs::write(at("processor.toml"), format!("instance = 'one'\n{kafka}")).unwrap();
    let collector = format!(
        "state_dir = '{}'\n{kafka}[[input]]\npaths = ['{}']\n",
        at("state").display(),
        at("WindowsUpdate.log").display()
    );
    std::fs::write(at("collector.toml"), collector).unwrap();
    let events = Topic::Events.name(&prefix);
    let create = [Path::new("topics"), Path::new("create"), Path::new("--config"), &at("processor.toml")];
    process::run("wulog-processor", &create).expect_success();
    broker.set_topic(&events, "max.message.bytes", EVENT_BYTES_MAX);

    let start =
        |name: &str, config: &str| Running::start(name, &[Path::new("run"), Path::new("--config"), &at(config)]);
    let (collector, processor) =
        (start("wulog-collector", "collector.toml"), start("wulog-processor", "processor.toml"));
    let read = || -> Vec<serde_json::Value> {
        let events = broker.read_topic(&events).into_iter().filter_map(|event| event.value);
        events.map(|event| serde_json::from_slice(&event).unwrap()).collect()
    };
    let has = |events: &[serde_json::Value], text: &str| events.iter().any(|event| event["message"] == text);
    eventually("the last line is an event", LIMIT, || has(&read(), "last"));
    let events_read = read();
    assert!(has(&events_read, "first"));
    let refused: Vec<&serde_json::Value> =
        events_read.iter().filter(|event| event["error"]["type"] == "output_too_large").collect();
    assert_eq!(refused.len(), 1, "{events_read:?}");
    let raw = broker.read_topic(&Topic::Raw.name(&prefix));
    let record = raw.iter().find(|record| record.value.as_ref().is_some_and(|value| value.len() > 50_000)).unwrap();
    let told = refused[0].to_string();
    // The record of the document, the topic that refused it, and the size.
    assert_eq!(refused[0]["wu"]["raw"]["partition"], record.partition, "{told}");
    assert_eq!(refused[0]["wu"]["raw"]["offset"], record.offset, "{told}");
    let bytes = told.split(" bytes").next().and_then(|before| before.rsplit(' ').next()).map(str::parse::<usize>);
    assert!(matches!(bytes, Some(Ok(90_000..300_000))), "{told}");
    assert!(told.contains("the topic events") && told.contains("max.message.bytes"), "{told}");
    for process in [collector, processor] {
        assert_eq!(process.terminate().code, Some(0));
    }
}
