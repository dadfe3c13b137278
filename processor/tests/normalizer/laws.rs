//! Laws of the machine: a restart anywhere changes nothing, and no bytes make it panic.

use std::path::Path;

use proptest::prelude::*;
use wulog_processor::machine::Machine;
use wulog_processor::normalize::{Normalizer, NormalizerConfig};
use wulog_schemas::event::Event;
use wulog_schemas::topic::Topic;

use super::feed::{Feed, apply};

fn busy_feed() -> Feed {
    let mut feed = Feed::catching_up();
    feed.lines(super::attempts::LUP);
    feed.heartbeat(true);
    feed.lines("2011-11-03\t10:22:46:797\t1036\t74c\tDnldMgr\tWARNING: File failed postprocessing, error = 800b0109");
    feed.lines(
        "2011-11-03\t10:22:46:798\t1036\t74c\tMisc\tWARNING: Error: 0x800b0109 when verifying trust for C:\\a\\b",
    );
    feed.tick(5_000);
    feed.record(b"other", None, Vec::new());
    feed.tick(400_000);
    feed.heartbeat(false);
    feed.lines(super::attempts::LUP);
    feed.heartbeat(true);
    feed.tick(60_000);
    feed
}

#[test]
fn a_restart_anywhere_changes_nothing() {
    let feed = busy_feed();
    let config = NormalizerConfig::default();
    for split in 0..=feed.records.len() {
        let mut outputs = Vec::new();
        let mut normalizer = Normalizer::new(&config, 3, 12);
        for (offset, record) in feed.records.iter().enumerate() {
            if offset == split {
                normalizer = Normalizer::restore(&config, 3, 12, &normalizer.snapshot()).unwrap();
            }
            apply(&mut normalizer, record, offset, &mut outputs);
        }
        assert_eq!(outputs, feed.outputs, "split at {split}");
        assert_eq!(normalizer.snapshot(), feed.normalizer.snapshot(), "split at {split}");
    }
}

#[test]
fn a_snapshot_of_something_else_is_refused() {
    assert!(Normalizer::restore(&NormalizerConfig::default(), 0, 1, b"\xff\xff\xff").is_err());
}

proptest! {
    #[test]
    fn any_line_becomes_one_event_with_the_line_in_it(line in ".*") {
        let mut feed = Feed::live();
        feed.line_at(&line, 0, 1);
        let events = feed.events();
        prop_assert_eq!(events.len(), 1);
        prop_assert_eq!(events[0]["event"]["original"].as_str(), Some(line.as_str()));
        let event: Event<'_> = serde_json::from_slice(&feed.outputs.last().unwrap().value).unwrap();
        prop_assert_eq!(serde_json::to_vec(&event).unwrap(), feed.outputs.last().unwrap().value.clone());
    }

    #[test]
    fn any_header_and_clock_are_acceptable(
        line in ".*",
        log_time in any::<i64>(),
        read in any::<i64>(),
        utc in proptest::option::of(any::<i32>()),
        offset in any::<u64>(),
        end in any::<u64>(),
    ) {
        let mut feed = Feed::live();
        feed.log_time = read;
        feed.utc = utc;
        feed.line_at("2017-03-28\t19:07:00:000\t 952\t5b4\tDnldMgr\tFile failed postprocessing, error = 800b0109", offset, end);
        feed.log_time = log_time;
        feed.line_at(&line, offset, end);
        feed.heartbeat(true);
        // A line gives at most one event, and so does a heartbeat whose timestamp is set aside.
        prop_assert!(feed.events().len() <= 3);
    }

    #[test]
    fn any_record_becomes_at_most_one_event(
        key in any::<Vec<u8>>(),
        header in proptest::option::of(any::<Vec<u8>>()),
        value in any::<Vec<u8>>(),
        log_time in any::<i64>(),
    ) {
        let mut feed = Feed::catching_up();
        feed.log_time = log_time;
        feed.record(&key, header, value);
        prop_assert_eq!(feed.events().len(), 1);
    }
}

/// Our own writer and serde give the same bytes for every event.
#[test]
fn every_event_is_written_as_its_type_is() {
    let mut feed = busy_feed();
    let mut plain = Feed::catching_up();
    plain.utc = Some(-210);
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus");
    for case in std::fs::read_dir(corpus).unwrap() {
        let case = case.unwrap().path();
        if case.is_dir() {
            let text = std::fs::read(case.join("in.log")).unwrap();
            feed.lines(&String::from_utf8_lossy(&text));
            plain.lines(&String::from_utf8_lossy(&text));
        }
    }
    let outputs = [feed.outputs, plain.outputs].concat();
    let events: Vec<_> = outputs.iter().filter(|output| output.topic == Topic::Events).collect();
    assert!(events.len() > 900);
    for output in events {
        let event: Event<'_> = serde_json::from_slice(&output.value).unwrap();
        let again = serde_json::to_string(&event).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.value), again);
    }
}

#[test]
fn every_document_is_valid() {
    let schema = |text: &str| jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap();
    let event = schema(include_str!("../../../schemas/json/event.schema.json"));
    let signal = schema(include_str!("../../../schemas/json/signal.schema.json"));
    for output in busy_feed().outputs {
        let document = serde_json::from_slice(&output.value).unwrap();
        let schema = if output.topic == Topic::Events { &event } else { &signal };
        let errors: Vec<String> = schema.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {document}");
    }
}
