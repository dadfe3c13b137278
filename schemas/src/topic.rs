//! The five topics, named by one configurable prefix (one prefix and one principal a tenant).

use std::fmt;

/// A topic of the pipeline, without its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Raw log lines, heartbeats and ticks, keyed by host id.
    Raw,
    /// One ECS-shaped JSON document for each line, keyed by host id.
    Events,
    /// The few facts that the detector needs, keyed by host id; one partition, so that it is totally ordered.
    Signals,
    /// Every transition of every incident, keyed by alert id; one partition, compacted.
    Alerts,
    /// Snapshots of the two state machines; compacted.
    State,
}

impl Topic {
    /// All topics, in the order of the data path.
    pub const ALL: [Topic; 5] = [Topic::Raw, Topic::Events, Topic::Signals, Topic::Alerts, Topic::State];

    /// The name after the prefix: `raw`, `events`, `signals`, `alerts`, `state`.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Topic::Raw => "raw",
            Topic::Events => "events",
            Topic::Signals => "signals",
            Topic::Alerts => "alerts",
            Topic::State => "state",
        }
    }

    /// The full name under `prefix`, such as `wulog.raw`.
    #[must_use]
    pub fn name(self, prefix: &str) -> String {
        format!("{prefix}.{}", self.suffix())
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.suffix())
    }
}
