//! The document that `channels test` sends, and from which unit tests start: the example of the contract, marked as a
//! test.

use wulog_schemas::alert::{Alert, Level, State, Transition};

/// The example beside the alert's JSON Schema.
const EXAMPLES: &str = include_str!("../../../schemas/examples/alert.json");

/// The sample as a document of incident `id`.
pub(crate) fn sample(id: &str, seq: u32, transition: Transition, level: Level) -> Alert {
    let examples: Vec<Alert> = serde_json::from_str(EXAMPLES).expect("a test compares the examples with the schema");
    let mut alert = examples.into_iter().next().expect("the schema has an example");
    id.clone_into(&mut alert.id);
    alert.seq = seq;
    alert.transition = transition;
    alert.state = match transition {
        Transition::Resolved => State::Resolved,
        Transition::Expired => State::Expired,
        _ => State::Open,
    };
    alert.severity.level = level;
    alert
}

/// The document of `channels test`: marked in the summary, and of an incident that cannot exist.
pub(crate) fn marked() -> Alert {
    let mut alert = sample("wu-test000000000000", 1, Transition::Opened, Level::Low);
    alert.summary = format!("TEST of this channel, not an incident. {}", alert.summary);
    alert
}
