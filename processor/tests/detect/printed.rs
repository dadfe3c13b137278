//! Documents for people and programs: the printed alert is compared as a whole, each document is validated against its
//! schema.

use wulog_processor::detect::DetectorConfig;
use wulog_processor::report::print_alert;
use wulog_schemas::alert::{Alert, State, Transition};

use crate::incidents::outbreak;
use crate::world::{DAY, START, outputs, wsus_of};

/// The first example of the contract.
fn example() -> Alert {
    let text = include_str!("../../../schemas/examples/alert.json");
    serde_json::from_str::<Vec<Alert>>(text).expect("the example is valid").remove(0)
}

#[test]
fn an_open_incident_in_80_columns() {
    assert_eq!(print_alert(&example(), 80), include_str!("printed/opened.txt"));
}

#[test]
fn a_resolved_incident_asks_for_nothing() {
    let mut alert = example();
    (alert.state, alert.transition) = (State::Resolved, Transition::Resolved);
    (alert.hosts.recovered, alert.hosts.silent, alert.hosts.silent_names) = (3, 1, vec!["pc-0519".to_owned()]);
    let text = print_alert(&alert, 80);
    assert!(text.contains("\nRESOLVED: certificate trust failures, untrusted_root\n"));
    assert!(text.contains("\nsilent     pc-0519\n"));
    assert!(!text.contains("CHECK"));
}

#[test]
fn lines_keep_the_width() {
    for width in [60, 72, 80, 132] {
        let text = print_alert(&example(), width);
        for line in text.lines().filter(|line| line.len() > width) {
            // A command for a Windows console is never broken: no character continues a line in both of its shells.
            let unbroken = line.split_whitespace().count() == 1 || line.starts_with("     > ");
            assert!(unbroken, "{width}: {line}");
        }
        assert!(text.contains("     > certutil -store TrustedPublisher"));
    }
}

/// A collector may send any host name.
#[test]
fn foreign_text_cannot_reach_the_terminal() {
    let mut alert = example();
    alert.hosts.names = vec!["\u{1b}[31mpc\u{7}".to_owned(), "büro-1".to_owned()];
    alert.summary = "bad\u{1b}]0;title\u{7}".to_owned();
    alert.replay = "replay\n\u{1b}[2J".to_owned();
    let text = print_alert(&alert, 80);
    assert!(text.chars().all(|letter| letter == '\n' || letter == ' ' || letter.is_ascii_graphic()));
    assert!(text.contains("?[31mpc? b?ro-1"));
}

#[test]
fn every_document_keeps_the_contract() {
    let schema = serde_json::from_str(include_str!("../../../schemas/json/alert.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let records = outbreak(40, 1, |index| wsus_of(index) == 1, START + 5 * DAY, START + 7 * DAY).records();
    let outputs = outputs(&DetectorConfig::default(), &records);
    assert!(outputs.len() >= 3);
    for output in outputs {
        let document: serde_json::Value = serde_json::from_slice(&output.value).unwrap();
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let alert: Alert = serde_json::from_value(document).unwrap();
        assert_eq!((&*output.key, output.timestamp_ms), (&*alert.id, alert.time.updated.0));
        assert_eq!(serde_json::to_vec(&alert).unwrap(), output.value, "reading and writing loses nothing");
    }
}
