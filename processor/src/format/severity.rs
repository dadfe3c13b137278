//! How bad a line is: one scale for the formats that want a rank and not the line's own word.

use wulog_schemas::event::{Event, EventOutcome};

/// From the least to the worst. No line is critical by itself: one client's failed update is not, and that many fail at
/// once is for an alert to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// Neither a level nor a failure.
    Informational,
    /// `WARNING:` of something that did not fail.
    Low,
    /// A failure.
    Medium,
    /// `FATAL:`
    High,
}

impl Severity {
    pub(super) fn of(event: &Event<'_>) -> Severity {
        match (event.log.level.as_deref(), event.event.outcome) {
            (Some("fatal"), _) => Severity::High,
            (_, EventOutcome::Failure) => Severity::Medium,
            (Some(_), _) => Severity::Low,
            (None, _) => Severity::Informational,
        }
    }
}
