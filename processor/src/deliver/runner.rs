//! The loop of one channel, in a thread of its own: read, decide, deliver, commit.
//!
//! The position is committed after each delivery, so that after a crash at most the request in flight is repeated.
//!
//! A panic stays in its channel: it is logged and counts as a failed attempt, and no other channel waits.

mod attempt;
mod settle;
mod late;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use wulog_schemas::alert::{Alert, State};
use wulog_service::{Clock, Rounds};

use self::attempt::panic_text;
use self::late::Late;
use super::aside::{self, Aside, HELD, LATE, PARKED, RECIPIENT, SKIP};
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
/// How often notes are read again: for an operator's order to skip a failing document, and for parked documents that
/// `channels replay` has sent. On Kafka that reads a topic.
const NOTES_READ_EVERY: Duration = Duration::from_secs(120);
/// An endpoint may refuse one document with the answer that it has for a wrong credential, as a firewall does. Where the next
/// document is taken after so long, the fault is in the first one.
const BARRED_PATIENCE: Duration = Duration::from_secs(3600);

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
    /// Key of the last document at which the channel panicked, and how often it did.
    panics: (String, u32),
    /// Panics of this loop in a row.
    loop_panics: Backoff,
    /// See [`BARRED_PATIENCE`].
    barred_patience: Duration,
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
    /// Since when the endpoint refuses whatever is sent.
    barred_since: Option<Instant>,
    /// Documents that some recipients are to get later.
    late: Vec<Late>,
    /// Recipients with a note that they did not get a document.
    refused_recipients: BTreeSet<String>,
    /// Keys of the documents that are parked now.
    parked: BTreeSet<String>,
    parked_read_at: Instant,
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
            barred_since: None,
            late: Vec::new(),
            refused_recipients: BTreeSet::new(),
            parked: BTreeSet::new(),
            parked_read_at: now,
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
            panics: (String::new(), 0),
            loop_panics: Backoff::default(),
            barred_patience: BARRED_PATIENCE,
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
            // Work that a panic leaves half done is dropped: the channel starts again from its committed position.
            match catch_unwind(AssertUnwindSafe(|| self.step())) {
                Ok(Ok(())) => self.loop_panics.reset(),
                Ok(Err(LogError::Retry(why))) => {
                    warn!(channel = self.config.name, "{why}");
                    self.give_up();
                    self.wait(LOG_PAUSE, stop);
                }
                Ok(Err(fatal)) => return Err(fatal),
                Err(panic) => {
                    let pause = self.loop_panics.pause(None, fastrand::f64());
                    error!(
                        channel = self.config.name,
                        retry_in_ms = pause.as_millis(),
                        "the channel panicked and starts again from its position; please report it: {}",
                        panic_text(panic.as_ref())
                    );
                    self.metrics.failed();
                    self.give_up();
                    self.wait(pause, stop);
                }
            }
        }
        Ok(())
    }

    fn wait(&mut self, pause: Duration, stop: &CancellationToken) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !stop.is_cancelled() {
            self.rounds.turn(Instant::now());
            std::thread::sleep(Duration::from_millis(50));
        }
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
        self.deliver_late()?;
        self.read_parked_again()?;
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
        let mut late: BTreeMap<i64, Aside> =
            aside::among(&notes, LATE).into_iter().map(|aside| (aside.offset, aside)).collect();
        // A new channel has committed nothing, not even the beginning.
        let mut work = Work::at(&self.config, committed.clone().unwrap_or(Position { next: -1, last: None }));
        work.refused_recipients = recipients_among(&notes);
        work.parked = parked_among(&notes);
        let mut newest: BTreeMap<String, Item> = BTreeMap::new();
        let (wants, channel) = (&self.config.wants, &mut self.channel);
        let end = self.queue.read_all(&mut |record: Record| {
            let Some(item) = item(record) else { return };
            if let Some(aside) = asides.get(&item.offset) {
                let held = Held { aside: aside.clone(), item: item.clone(), released: false };
                work.held.insert(item.alert.id.clone(), held);
            }
            if let Some(aside) = late.remove(&item.offset) {
                channel.send_only_to(&item.key(), &aside.recipients);
                work.late.push(Late::again(item.clone(), aside));
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
        let began = Instant::now();
        match self.attempt(&item) {
            Outcome::Delivered(answer) => self.delivered(&item, &answer, began),
            Outcome::Partly { answer, lacking } => self.delivered_to_some(&item, answer, lacking, began),
            outcome => self.not_delivered(&item, outcome),
        }
    }

    /// The head is delivered or set aside: the next document follows.
    fn settle(&mut self, item: &Item, last: Option<Last>) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        work.backlog.done();
        work.backoff.reset();
        work.barred_since = None;
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

    /// An operator's `channels replay` and `channels skip` end parked documents from another process.
    fn read_parked_again(&mut self) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        if work.parked.is_empty() || work.parked_read_at.elapsed() < NOTES_READ_EVERY {
            return Ok(());
        }
        work.parked_read_at = Instant::now();
        work.parked = parked_among(&self.queue.notes()?);
        Ok(())
    }

    fn tend(&mut self) {
        let Some(work) = &self.work else { return };
        if work.backoff.failures() > 0 {
            return;
        }
        match self.channel.tend(self.clock.now_ms()) {
            Outcome::Delivered(_) | Outcome::Partly { .. } => {}
            Outcome::Retry { why, .. } | Outcome::Barred(why) | Outcome::Refused(why) => {
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
        self.metrics.parked_now(work.parked.len());
    }
}

fn parked_among(notes: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    notes.keys().filter(|key| key.starts_with(PARKED)).cloned().collect()
}

fn recipients_among(notes: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    notes.keys().filter_map(|key| key.strip_prefix(RECIPIENT)).map(str::to_owned).collect()
}

/// A record as a document; none where this version cannot read it.
fn item(record: Record) -> Option<Item> {
    let alert: Alert = serde_json::from_slice(&record.value).ok()?;
    Some(Item { alert, bytes: record.value, offset: record.offset, sample: false })
}

#[cfg(test)]
mod tests;
