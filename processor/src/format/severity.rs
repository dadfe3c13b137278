//! How bad a line is: one scale for the formats that want a rank and not the line's own word.

use wulog_schemas::event::{Event, EventOutcome};

/// From the least to the worst. No line is critical by itself: one client's failed update is not, and that many fail at
/// once is for an alert to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventSeverity {
    /// Neither a level nor a failure.
    Informational,
    /// `WARNING:` of something that did not fail.
    Low,
    /// A failure.
    Medium,
    /// `FATAL:`
    High,
}

impl EventSeverity {
    pub(super) fn of(event: &Event<'_>) -> EventSeverity {
        match (event.log.level.as_deref(), event.event.outcome) {
            (Some("fatal"), _) => EventSeverity::High,
            (_, EventOutcome::Failure) => EventSeverity::Medium,
            (Some(_), _) => EventSeverity::Low,
            (None, _) => EventSeverity::Informational,
        }
    }
}
