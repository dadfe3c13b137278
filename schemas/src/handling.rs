//! What operators say of incidents: acknowledgements, silences and notes.
//!
//! `wulog-processor alerts ack|silence|note` writes an [`Order`] to `wulog.signals`. The detector reads it like every other
//! signal, and its documents repeat it as [`Handling`], so a replay of the topic repeats it too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hresult::Family;
use crate::time::UtcTime;

/// What an operator did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Somebody works on it.
    Acknowledge,
    /// Nobody is to be notified until a time.
    Silence,
    /// A remark.
    Note,
    /// Acknowledgement and silences of this scope end now.
    Clear,
}

/// Which incidents an order is about. Every part that is given must fit.
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
    /// What is done.
    pub action: Action,
    /// To which incidents.
    pub scope: Scope,
    /// Who does it.
    pub by: String,
    /// Until when it holds, milliseconds since 1970 UTC; without it, until the incident ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// Why.
    pub why: String,
}

/// How operators handle an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Handling {
    /// The newest acknowledgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Note>,
    /// Silences that cover it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silenced: Vec<Note>,
    /// Remarks, oldest first; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// Who said what, when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// Who.
    pub by: String,
    /// Log time of the order.
    pub at: UtcTime,
    /// Until when it holds; without it, until the incident ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UtcTime>,
    /// Why.
    pub why: String,
}

impl Handling {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Handling::default()
    }

    /// The end of the longest silence that covers `now_ms`; `None` where none does. A silence without an end counts as one
    /// of ten years.
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
