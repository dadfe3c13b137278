//! The loop of one channel, in a thread of its own: read, decide, deliver, commit.
//!
//! The position is committed after each delivery, so that after a crash at most the request in flight is repeated.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use wulog_collector::clock::Clock;
use wulog_collector::service_manager::Rounds;
use wulog_schemas::alert::{Alert, State};

use super::aside::{self, Aside, HELD, SKIP};
use super::backlog::{Backlog, Item};
use super::backoff::Backoff;
use super::channel::{self, Channel, Outcome};
use super::config::ChannelConfig;
use super::filter::{Verdict, verdict};
use super::history::History;
use super::queue::{Last, Position, Queue};
use crate::http::metrics::ChannelMetrics;
use crate::log::{LogError, Record};

/// How long one poll waits: short, since a new alert is to be delivered within a second.
const POLL_WAIT: Duration = Duration::from_millis(200);
/// Pause after the log said "retry".
const LOG_PAUSE: Duration = Duration::from_secs(1);
/// A failing delivery is reported at the first failure, and then this often.
const REPORTED_EVERY: Duration = Duration::from_secs(60);
/// How often an operator's order to skip a failing document is looked for. On Kafka that reads a topic.
const SKIP_LOOKED_EVERY: Duration = Duration::from_secs(120);

/// A channel at work.
pub struct Runner {
    config: ChannelConfig,
    channel: Box<dyn Channel>,
    queue: Box<dyn Queue>,
    metrics: ChannelMetrics,
    /// What the watchdog looks at.
    rounds: Rounds,
    clock: Clock,
    /// Whether the queue has given this channel to this process.
    owned: bool,
    /// What this process delivers, while the channel is its own. Without it an owned channel starts from its committed
    /// position: at first, and after an error of the log, which may have come between a read and its decision.
    work: Option<Work>,
}

struct Work {
    backlog: Backlog,
    history: History,
    held: BTreeMap<String, Held>,
    position: Position,
    backoff: Backoff,
    again_at: Instant,
    reported: Option<Instant>,
    skip_looked_at: Instant,
}

/// A held document.
struct Held {
    aside: Aside,
    item: Item,
    /// True when its time has come: it is in the backlog, and the note goes after its delivery.
    released: bool,
}

impl Work {
    fn at(config: &ChannelConfig, position: Position) -> Work {
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
        }
    }
}

impl Runner {
    /// A channel over its queue, with its secrets looked up. Reaches no endpoint yet.
    ///
    /// # Errors
    /// Names the key, file or variable at fault.
    pub fn new(
        config: &ChannelConfig,
        queue: Box<dyn Queue>,
        metrics: ChannelMetrics,
        rounds: Rounds,
    ) -> Result<Runner, String> {
        let channel = channel::open(config).map_err(|why| format!("channel {}: {why}", config.name))?;
        Ok(Runner {
            config: config.clone(),
            channel,
            queue,
            metrics,
            rounds,
            clock: Clock::System,
            owned: false,
            work: None,
        })
    }

    /// Runs until `stop`.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when a person must act; nothing is lost.
    pub fn run(&mut self, stop: &CancellationToken) -> Result<(), LogError> {
        while !stop.is_cancelled() {
            self.rounds.turn(Instant::now());
            match self.step() {
                Ok(()) => {}
                Err(LogError::Retry(why)) => {
                    warn!(channel = self.config.name, "{why}");
                    self.give_up();
                    let until = Instant::now() + LOG_PAUSE;
                    while Instant::now() < until && !stop.is_cancelled() {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                }
                Err(fatal) => return Err(fatal),
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), LogError> {
        let (room, wait) = match &self.work {
            None => (0, POLL_WAIT),
            Some(work) if work.backlog.len() > 0 => {
                (work.backlog.room(), POLL_WAIT.min(work.again_at.saturating_duration_since(Instant::now())))
            }
            Some(work) => (work.backlog.room(), POLL_WAIT),
        };
        let polled = self.queue.poll(room, wait)?;
        if let Some(owned) = polled.owned {
            self.owned = owned;
            self.give_up();
        }
        if self.owned && self.work.is_none() {
            return self.take_over();
        }
        for record in polled.records {
            self.read(record)?;
        }
        self.release();
        self.deliver()?;
        self.tend();
        self.report();
        Ok(())
    }

    /// Reads what is known of incidents, and goes on where this channel was left.
    fn take_over(&mut self) -> Result<(), LogError> {
        let committed = self.queue.committed()?;
        let notes = self.queue.notes()?;
        let asides: BTreeMap<i64, Aside> =
            aside::among(&notes, HELD).into_iter().map(|aside| (aside.offset, aside)).collect();
        // A new channel has committed nothing, not even the beginning.
        let mut work = Work::at(&self.config, committed.clone().unwrap_or(Position { next: -1, last: None }));
        let mut newest: BTreeMap<String, Item> = BTreeMap::new();
        let (wants, channel) = (&self.config.wants, &mut self.channel);
        let end = self.queue.read_all(&mut |record: Record| {
            let Some(item) = item(record) else { return };
            if let Some(aside) = asides.get(&item.offset) {
                let held = Held { aside: aside.clone(), item: item.clone(), released: false };
                work.held.insert(item.alert.id.clone(), held);
            }
            match &committed {
                Some(position) if item.offset < position.next => {
                    let told = work.history.of(&item.alert.id);
                    // When it was decided is not known; what time decides is what a hold is, and those are noted.
                    let sent =
                        !matches!(verdict(wants, &item.alert, told, item.alert.time.updated.0), Verdict::Skip(_));
                    work.history.note(&item.alert, sent);
                    channel.recall(&item.alert, sent);
                }
                Some(_) => {}
                None if item.alert.state == State::Open => drop(newest.insert(item.alert.id.clone(), item)),
                None => drop(newest.remove(&item.alert.id)),
            }
        })?;
        match &committed {
            Some(position) => info!(channel = self.config.name, next = position.next, end, "delivering from here on"),
            None => {
                info!(
                    channel = self.config.name,
                    open = newest.len(),
                    "a new channel: it begins with the newest document of each open incident"
                );
            }
        }
        let first = committed.as_ref().map_or(end, |position| position.next);
        let mut by_offset: Vec<Item> = newest.into_values().collect();
        by_offset.sort_by_key(|item| item.offset);
        self.queue.start_at(first)?;
        self.work = Some(work);
        for item in by_offset {
            self.decide(item)?;
        }
        self.advance(first, None)
    }

    fn give_up(&mut self) {
        self.work = None;
        self.channel.forget();
        self.metrics.idle();
    }

    fn read(&mut self, record: Record) -> Result<(), LogError> {
        let next = record.offset + 1; // + 1, since a position names the next document
        let (offset, empty) = (record.offset, record.value.is_empty());
        let Some(item) = item(record) else {
            if !empty {
                error!(channel = self.config.name, offset, "not an alert that this version can read; it is skipped");
                self.metrics.unreadable();
            }
            return self.advance(next, None);
        };
        if let Some(work) = &mut self.work {
            work.backlog.read_up_to(item.offset);
        }
        self.decide(item)
    }

    /// Puts a document into the backlog, sets it aside, or leaves it out.
    fn decide(&mut self, item: Item) -> Result<(), LogError> {
        let now_ms = self.clock.now_ms();
        let Some(work) = &mut self.work else { return Ok(()) };
        let told = work.history.of(&item.alert.id).copied();
        let decided = verdict(&self.config.wants, &item.alert, told.as_ref(), now_ms);
        work.history.note(&item.alert, !matches!(decided, Verdict::Skip(_)));
        let superseded = work.held.remove(&item.alert.id).map(|held| held.aside);
        match decided {
            Verdict::Send => work.backlog.push(item),
            Verdict::Skip(why) => {
                tracing::debug!(channel = self.config.name, key = item.key(), why, "left out");
                work.backlog.read_up_to(item.offset + 1); // + 1, since a position names the next document
                self.channel.recall(&item.alert, false);
                self.metrics.left_out();
            }
            Verdict::Hold { until_ms, why } => {
                let aside = Aside::new(&item, now_ms, Some(until_ms), why);
                self.queue.note(&aside.key(), Some(&aside.to_bytes()))?;
                info!(channel = self.config.name, key = item.key(), why, until_ms, "held");
                work.backlog.read_up_to(item.offset + 1); // + 1, since a position names the next document
                work.held.insert(item.alert.id.clone(), Held { aside, item, released: false });
                return self.advance_to_backlog(None);
            }
        }
        if let Some(aside) = superseded {
            self.queue.note(&aside.key(), None)?;
        }
        self.advance_to_backlog(None)
    }

    /// Brings held documents back whose time has come.
    fn release(&mut self) {
        let now_ms = self.clock.now_ms();
        let Some(work) = &mut self.work else { return };
        let is_due = |held: &&mut Held| !held.released && held.aside.until_ms.is_none_or(|until| until <= now_ms);
        for held in work.held.values_mut().filter(is_due) {
            held.released = true;
            work.backlog.push_released(held.item.clone());
        }
    }

    fn deliver(&mut self) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        if Instant::now() < work.again_at {
            return Ok(());
        }
        let Some(item) = work.backlog.head().cloned() else { return Ok(()) };
        let now_ms = self.clock.now_ms();
        let began = Instant::now();
        match self.channel.deliver(&item, now_ms) {
            Outcome::Delivered(answer) => {
                if work.backoff.failures() > 0 {
                    info!(channel = self.config.name, key = item.key(), answer, "delivered after failures");
                }
                let last = Last { id: item.alert.id.clone(), seq: item.alert.seq, time_ms: self.clock.now_ms() };
                self.metrics.delivered(began.elapsed());
                self.settle(&item, Some(last))
            }
            Outcome::Retry { why, after } => {
                let pause = work.backoff.pause(after, fastrand::f64());
                work.again_at = Instant::now() + pause;
                self.metrics.failed();
                if work.reported.is_none_or(|reported| reported.elapsed() >= REPORTED_EVERY) {
                    work.reported = Some(Instant::now());
                    warn!(
                        channel = self.config.name,
                        key = item.key(),
                        failures = work.backoff.failures(),
                        retry_in_ms = pause.as_millis(),
                        "not delivered; nothing is lost: {why}"
                    );
                }
                self.skip_if_ordered(&item)
            }
            Outcome::Refused(why) => self.park(&item, &why),
        }
    }

    fn park(&mut self, item: &Item, why: &str) -> Result<(), LogError> {
        let aside = Aside::new(item, self.clock.now_ms(), None, why);
        self.queue.note(&aside.key(), Some(&aside.to_bytes()))?;
        self.metrics.parked();
        error!(
            channel = self.config.name,
            key = item.key(),
            "parked, since it cannot be delivered as it is: {why}; later alerts go on; see `channels status` and `channels replay`"
        );
        self.settle(item, None)
    }

    /// An operator may give up a document that fails again and again.
    fn skip_if_ordered(&mut self, item: &Item) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        if work.skip_looked_at.elapsed() < SKIP_LOOKED_EVERY {
            return Ok(());
        }
        work.skip_looked_at = Instant::now();
        let key = format!("{SKIP}{}", item.key());
        if !self.queue.notes()?.contains_key(&key) {
            return Ok(());
        }
        warn!(channel = self.config.name, key = item.key(), "skipped, as an operator ordered");
        self.queue.note(&key, None)?;
        self.settle(item, None)
    }

    /// The head is delivered or set aside: the next document follows.
    fn settle(&mut self, item: &Item, last: Option<Last>) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        work.backlog.done();
        work.backoff.reset();
        work.reported = None;
        work.again_at = Instant::now();
        let released = work.held.get(&item.alert.id).is_some_and(|held| held.released);
        if released && let Some(held) = work.held.remove(&item.alert.id) {
            self.queue.note(&held.aside.key(), None)?;
        }
        self.advance_to_backlog(last)
    }

    fn advance_to_backlog(&mut self, last: Option<Last>) -> Result<(), LogError> {
        let Some(work) = &self.work else { return Ok(()) };
        let next = work.backlog.position();
        self.advance(next, last)
    }

    /// Commits a position that has moved.
    fn advance(&mut self, next: i64, last: Option<Last>) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        work.backlog.read_up_to(next);
        let next = work.backlog.position();
        let moved = next != work.position.next || last.is_some();
        if moved {
            let position = Position { next, last: last.or_else(|| work.position.last.clone()) };
            self.queue.commit(&position)?;
            work.position = position;
        }
        Ok(())
    }

    fn tend(&mut self) {
        let Some(work) = &self.work else { return };
        if work.backoff.failures() > 0 {
            return;
        }
        match self.channel.tend(self.clock.now_ms()) {
            Outcome::Delivered(_) => {}
            Outcome::Retry { why, .. } | Outcome::Refused(why) => {
                self.metrics.failed();
                warn!(channel = self.config.name, "open incidents could not be sent again: {why}");
            }
        }
    }

    fn report(&mut self) {
        let Some(work) = &self.work else { return };
        let oldest = work.backlog.items().map(|item| item.alert.time.updated.0).min();
        let age_ms = oldest.map_or(0, |oldest| self.clock.now_ms().saturating_sub(oldest).max(0));
        self.metrics.backlog(work.backlog.len(), work.held.len(), age_ms);
    }
}

/// A record as a document; none where this version cannot read it.
fn item(record: Record) -> Option<Item> {
    let alert: Alert = serde_json::from_slice(&record.value).ok()?;
    Some(Item { alert, bytes: record.value, offset: record.offset, sample: false })
}
