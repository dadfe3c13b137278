//! The state of a runner: the channel with its queue, and the documents that are being delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use wulog_service::{Clock, Rounds};

use crate::deliver::backlog::{Backlog, Item};
use crate::deliver::backoff::Backoff;
use crate::deliver::channel::Channel;
use crate::deliver::history::History;
use crate::deliver::open::open;
use crate::deliver::set_aside::{LATE, SetAside};
use crate::deliver::settings::ChannelConfig;
use crate::log::alert_queue::{AlertQueue, ChannelPosition};
use crate::metrics::ChannelMetrics;

/// Interval at which notes are read again: for an operator's order to skip a failing document, and for parked documents
/// that `channels replay` has sent. On Kafka this reads a whole topic.
pub(super) const NOTES_READ_EVERY: Duration = Duration::from_secs(120);
/// Time after which the next document is tried while the endpoint refuses sender or address. An endpoint, such as a
/// firewall, may answer one document as if the credential were wrong; if it takes the next one, the first one is at
/// fault.
const BARRED_PATIENCE: Duration = Duration::from_secs(3600);

/// First and longest pause between two attempts at a recipient where the channel asks for none.
pub(super) const PAUSE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));

/// A channel at work.
pub(crate) struct Runner {
    pub(super) config: ChannelConfig,
    pub(super) channel: Box<dyn Channel>,
    pub(super) queue: Box<dyn AlertQueue>,
    pub(super) metrics: ChannelMetrics,
    /// The rounds of this loop, which the watchdog observes.
    pub(super) rounds: Rounds,
    pub(super) clock: Clock,
    /// Whether the queue has given this channel to this process.
    pub(super) owned: bool,
    /// Key of the last document at which the channel panicked, and how often it did.
    pub(super) panics: (String, u32),
    /// Panics of this loop in a row.
    pub(super) loop_panics: Backoff,
    /// See [`BARRED_PATIENCE`].
    pub(super) barred_patience: Duration,
    /// The documents that are being delivered, while this process owns the channel. `None` makes an owned channel start
    /// from its committed position: at first, and after an error of the log, which may have come between a read and its
    /// decision.
    pub(super) work: Option<Work>,
}

pub(super) struct Work {
    pub(super) backlog: Backlog,
    pub(super) history: History,
    pub(super) held: BTreeMap<String, Held>,
    pub(super) position: ChannelPosition,
    pub(super) backoff: Backoff,
    pub(super) again_at: Instant,
    pub(super) reported: Option<Instant>,
    pub(super) skip_looked_at: Instant,
    /// Time since which the endpoint refuses the sender or the address.
    pub(super) barred_since: Option<Instant>,
    /// Documents that some recipients are to get later.
    pub(super) late: Vec<LateDocument>,
    /// Recipients with a note about a document that they did not get.
    pub(super) refused_recipients: BTreeSet<String>,
    /// Keys of the documents that are parked now.
    pub(super) parked: BTreeSet<String>,
    pub(super) parked_read_at: Instant,
}

/// A held document.
pub(super) struct Held {
    pub(super) aside: SetAside,
    pub(super) item: Item,
    /// True when its time has come: the document is in the backlog, and its note is removed after the delivery.
    pub(super) released: bool,
}

impl Work {
    pub(super) fn at(config: &ChannelConfig, position: ChannelPosition) -> Work {
        let now = Instant::now();
        Work {
            backlog: Backlog::new(config.delivery, position.next),
            history: History::default(),
            held: BTreeMap::new(),
            position,
            backoff: Backoff::default(),
            again_at: now,
            reported: None,
            skip_looked_at: now,
            barred_since: None,
            late: Vec::new(),
            refused_recipients: BTreeSet::new(),
            parked: BTreeSet::new(),
            parked_read_at: now,
        }
    }
}

/// A document that some recipients are to get later.
pub(super) struct LateDocument {
    pub(super) item: Item,
    /// The note with the recipients and the time of the next attempt.
    pub(super) aside: SetAside,
    /// The pause before the next attempt, which doubles at each attempt.
    pub(super) pause: Duration,
}

impl LateDocument {
    /// A late document from the note of an earlier start.
    pub(super) fn again(item: Item, aside: SetAside) -> LateDocument {
        LateDocument { item, aside, pause: PAUSE.0 }
    }

    /// Makes the next attempt due now.
    #[cfg(test)]
    pub(super) fn make_due(&mut self) {
        self.aside.until_ms = Some(0);
    }

    pub(super) fn key(&self) -> String {
        format!("{LATE}{}", self.item.key())
    }
}

impl Runner {
    /// A channel over its queue, with its secrets looked up. Reaches no endpoint yet.
    ///
    /// # Errors
    /// Names the key, file or variable at fault.
    pub(crate) fn new(
        config: &ChannelConfig,
        queue: Box<dyn AlertQueue>,
        metrics: ChannelMetrics,
        rounds: Rounds,
    ) -> Result<Runner, String> {
        let channel = open(config).map_err(|why| format!("channel {}: {why}", config.name))?;
        Ok(Runner {
            config: config.clone(),
            channel,
            queue,
            metrics,
            rounds,
            clock: Clock::System,
            owned: false,
            panics: (String::new(), 0),
            loop_panics: Backoff::default(),
            barred_patience: BARRED_PATIENCE,
            work: None,
        })
    }
}
