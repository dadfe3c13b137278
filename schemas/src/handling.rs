//! Orders of operators about incidents: acknowledgements, silences and notes.
//!
//! `wulog-processor alerts ack|silence|note` writes an [`Order`] to `wulog.signals`. The detector reads an order like
//! every other signal, and repeats it in documents as [`Handling`], so a replay of the topic repeats the orders too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hresult::Family;
use crate::time::UtcTime;

/// The kind of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrderKind {
    /// A person works on the incident.
    Acknowledge,
    /// No notification until a time.
    Silence,
    /// A remark.
    Note,
    /// Acknowledgement and silences of this scope end now.
    Clear,
}

/// The incidents of an order. Every part that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Scope {
    /// One incident, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Incidents of this family of codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// Incidents with this value of a dimension among their common factors, as `dimension=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Incidents in which this update fails: its id or its KB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<String>,
}

/// A record of `wulog.signals` by which an operator handles incidents. The record key is `handling`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// The kind of the order.
    pub action: OrderKind,
    /// The incidents of the order.
    pub scope: Scope,
    /// The operator.
    pub by: String,
    /// End of the order, milliseconds since 1970 UTC; without an end, until the incident ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// The operator's reason.
    pub why: String,
}

/// How operators handle an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Handling {
    /// The newest acknowledgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Note>,
    /// Silences that cover the incident.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silenced: Vec<Note>,
    /// Remarks, oldest first; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// The operator, the time and the text of one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// The operator.
    pub by: String,
    /// Log time of the order.
    pub at: UtcTime,
    /// End of the order; without an end, until the incident ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UtcTime>,
    /// The operator's reason.
    pub why: String,
}

impl Handling {
    /// Whether there is no acknowledgement, silence or note.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Handling::default()
    }

    /// The end of the longest silence that covers `now_ms`, or `None`. A silence without an end counts as ten years.
    #[must_use]
    pub fn silenced_until(&self, now_ms: i64) -> Option<i64> {
        const TEN_YEARS_MS: i64 = 10 * 366 * 86_400_000;
        let ends = self.silenced.iter().map(|note| note.until.map_or(now_ms + TEN_YEARS_MS, |until| until.0));
        ends.max().filter(|until| *until > now_ms)
    }

    /// Whether an acknowledgement covers `now_ms`.
    #[must_use]
    pub fn acknowledged_at(&self, now_ms: i64) -> bool {
        self.acknowledged.as_ref().is_some_and(|note| note.until.is_none_or(|until| until.0 > now_ms))
    }
}
