//! The one loop around both machines: poll a batch, apply it, commit outputs and input offsets in one transaction.
//!
//! One rule covers start, abort, fence and rebalance: **a machine in memory is valid exactly if its next offset equals
//! the committed one; otherwise it is loaded again.** Loading takes the newest whole snapshot at or below the
//! committed offset and applies the records since then with outputs muted. So a kill -9 anywhere neither loses nor
//! repeats an output.

mod config;
mod figures;
mod own_records;
mod slot;
mod snapshots;

pub use config::ShellConfig;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use wulog_schemas::topic::Topic;
use wulog_service::{Loops, Rounds};

use crate::log::{Log, LogError, Record, Write};
use crate::machine::{Machine, Output, PARSED_AHEAD, parse_ahead};
use crate::metrics::{MachineMetrics, Metrics};
use crate::question::Questions;
use slot::Slot;

/// First and longest pause after a log error that can be retried.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));

/// The result of one [`Shell::step`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShellProgress {
    /// Records applied.
    pub records: usize,
    /// True when every owned partition is live and at its end.
    pub at_end: bool,
}

/// A machine for each owned partition, and the log under them.
pub struct Shell<M: Machine> {
    config: ShellConfig,
    machine_config: M::Config,
    log: Box<dyn Log>,
    partitions: i32,
    owned: BTreeSet<i32>,
    slots: BTreeMap<i32, Slot<M>>,
    /// Records on which a machine panicked.
    poisoned: BTreeSet<(i32, i64)>,
    /// Number of panics of machines that were loaded from the snapshot of a partition at an offset.
    panics: BTreeMap<(i32, i64), u32>,
    /// True when `slots` may differ from the committed offsets.
    unsettled: bool,
    metrics: MachineMetrics,
    /// Rounds of the loop, for the watchdog.
    rounds: Rounds,
    /// Time of the last question for the machines' figures.
    asked_at: Option<Instant>,
    /// Questions about the state of the machines; `None` without a status page.
    questions: Option<Questions>,
}

impl<M: Machine> Shell<M> {
    /// A shell over `log`; the first step is the first access to the log.
    #[must_use]
    pub fn new(config: ShellConfig, machine_config: M::Config, log: Box<dyn Log>) -> Shell<M> {
        Shell {
            config,
            machine_config,
            log,
            partitions: 0,
            owned: BTreeSet::new(),
            slots: BTreeMap::new(),
            poisoned: BTreeSet::new(),
            panics: BTreeMap::new(),
            unsettled: false,
            metrics: Metrics::new().of_machine(M::NAME),
            rounds: Rounds::unwatched(),
            asked_at: None,
            questions: None,
        }
    }

    /// Records the shell's work in `metrics`.
    #[must_use]
    pub fn noting_in(mut self, metrics: &Metrics) -> Shell<M> {
        self.metrics = metrics.of_machine(M::NAME);
        self
    }

    /// Records the shell's rounds in `loops`.
    #[must_use]
    pub fn watched_in(mut self, loops: &Loops) -> Shell<M> {
        self.rounds = loops.add(Instant::now());
        self
    }

    /// Answers `questions` between batches.
    #[must_use]
    pub fn answering(mut self, questions: Questions) -> Shell<M> {
        self.questions = Some(questions);
        self
    }

    /// Runs until `stop`, retries errors that can be retried, and writes snapshots at the end.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when a person must act; nothing is lost.
    pub fn run(&mut self, stop: &CancellationToken) -> Result<(), LogError> {
        let mut backoff = BACKOFF.0;
        while !stop.is_cancelled() {
            self.rounds.turn(Instant::now());
            self.answer();
            match self.step(Duration::from_millis(200)) {
                Ok(step) => {
                    backoff = BACKOFF.0;
                    self.note_round(step);
                }
                Err(LogError::Retry(why)) => {
                    warn!(machine = M::NAME, retry_in_ms = backoff.as_millis(), "{why}");
                    self.metrics.retried();
                    let until = Instant::now() + backoff;
                    while Instant::now() < until && !stop.is_cancelled() {
                        self.answer();
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    backoff = (backoff * 2).min(BACKOFF.1);
                }
                Err(fatal) => return Err(fatal),
            }
        }
        match self.finish() {
            Err(LogError::Retry(why)) => {
                warn!(
                    machine = M::NAME,
                    "stopped without a fresh snapshot, so the next start reads on from an older one: {why}"
                );
                Ok(())
            }
            finished => finished,
        }
    }

    /// Answers the waiting questions, from the first live machine that has an answer. A machine that panics on a
    /// question stays unchanged, since a question changes nothing.
    fn answer(&mut self) {
        let Some(questions) = &mut self.questions else { return };
        let slots = &self.slots;
        questions.answer_all(|question| {
            let mut live = slots.values().filter(|slot| slot.is_live());
            let answered = catch_unwind(AssertUnwindSafe(|| live.find_map(|slot| slot.machine.answer(question))));
            answered.unwrap_or_else(|_| {
                error!(machine = M::NAME, ?question, "panicked on this question of the status page; please report it");
                None
            })
        });
    }

    /// Runs one batch, from poll to commit.
    ///
    /// # Errors
    /// The log's error; the next step loads the machines again if necessary, so that nothing is lost or
    /// repeated.
    pub fn step(&mut self, wait: Duration) -> Result<ShellProgress, LogError> {
        if self.unsettled {
            // The group waits for each member to answer a rebalance. A member that only asks for offsets would wait for
            // this answer for ever.
            if let Some(owned) = self.log.reassigned()? {
                self.owned = owned;
            }
            self.settle()?;
        }
        let polled = self.log.poll(self.config.batch_records_max, wait)?;
        if let Some(owned) = polled.owned {
            self.metrics.rebalanced();
            self.owned.difference(&owned).for_each(|&partition| self.metrics.gave_up(partition));
            self.owned = owned;
            self.unsettled = true;
            self.settle()?;
            return Ok(ShellProgress::default());
        }
        self.append_due_input().inspect_err(|_| self.unsettled = true)?;
        let applied = self.process(&polled.records).inspect_err(|_| self.unsettled = true)?;
        self.tick(&polled.at_end).inspect_err(|_| self.unsettled = true)?;
        self.snapshot_where_due().inspect_err(|_| self.unsettled = true)?;
        let at_end = !self.owned.is_empty()
            && self.owned.iter().all(|p| polled.at_end.contains(p) && self.slots.get(p).is_some_and(Slot::is_live));
        Ok(ShellProgress { records: applied, at_end })
    }

    /// Writes a snapshot of every machine that moved since its last one.
    ///
    /// # Errors
    /// The log's error, or an error if the last commit failed: the machines may then be ahead of the committed
    /// offsets, and a snapshot would commit their offsets without their outputs. The older snapshots stay valid.
    pub fn finish(&mut self) -> Result<(), LogError> {
        if self.unsettled {
            return Err(LogError::Retry("whether the last commit stands is not known".to_owned()));
        }
        for partition in self.slots.keys().copied().collect::<Vec<_>>() {
            self.write_snapshot(partition)?;
        }
        Ok(())
    }

    /// Loads the machines at the committed offsets, and continues reading from there.
    fn settle(&mut self) -> Result<(), LogError> {
        if self.partitions == 0 {
            self.partitions = self.log.partitions()?;
        }
        self.slots.retain(|partition, _| self.owned.contains(partition));
        let committed = if self.owned.is_empty() { BTreeMap::new() } else { self.log.committed(&self.owned)? };
        for &partition in &self.owned.clone() {
            let committed = committed.get(&partition).copied();
            let oldest = self.log.oldest(partition)?;
            if let Some(offset) = committed
                && offset < oldest
            {
                return Err(LogError::Fatal(format!(
                    "{}, input partition {partition}: the next offset to process is {offset}, but the log begins at {oldest}: {} records were \
                     deleted unprocessed; to go on without them reset this reader's offset to {oldest}, and keep records longer",
                    M::NAME,
                    oldest - offset
                )));
            }
            let target = committed.unwrap_or(oldest);
            if self.slots.get(&partition).is_none_or(|slot| slot.valid_for() != target) {
                let began = Instant::now();
                let mut slot = self.load(partition, target, oldest)?;
                self.metrics.loaded(partition, began.elapsed());
                slot.orphan = committed.is_some() && slot.snapshot_offset < 0;
                self.slots.insert(partition, slot);
            }
        }
        let positions = self.slots.iter().map(|(&partition, slot)| (partition, slot.next)).collect();
        self.log.start_at(&positions)?;
        self.unsettled = false;
        Ok(())
    }

    fn process(&mut self, records: &[Record]) -> Result<usize, LogError> {
        let mut writes = Vec::new();
        let mut origins = Vec::new();
        let mut next = BTreeMap::new();
        let mut outputs = Vec::new();
        let mut applied = 0;
        let mut parsed = Vec::new();
        for records in records.chunks(PARSED_AHEAD) {
            parse_ahead::<M>(records.iter().map(Record::as_input), &mut parsed);
            for (record, parsed) in records.iter().zip(&mut parsed) {
                let Some(slot) = self.slots.get_mut(&record.partition) else { continue };
                if record.offset < slot.next {
                    continue;
                }
                outputs.clear();
                if record.offset >= slot.live_from {
                    slot.adopt(&mut *self.log, record.partition)?;
                }
                let machine = &mut slot.machine;
                let input = record.as_input();
                if self.poisoned.contains(&(record.partition, record.offset)) {
                    machine.skip(&input, "the machine panicked on this record", &mut outputs);
                } else if catch_unwind(AssertUnwindSafe(|| machine.apply_parsed(&input, parsed, &mut outputs))).is_err()
                {
                    error!(
                        machine = M::NAME,
                        partition = record.partition,
                        offset = record.offset,
                        "panicked on this record; it will be marked and skipped; please report the panic with the record"
                    );
                    self.metrics.panicked();
                    self.poisoned.insert((record.partition, record.offset));
                    let panics = self.panics.entry((record.partition, slot.snapshot_offset)).or_default();
                    *panics = panics.saturating_add(1);
                    self.slots.clear();
                    self.settle()?;
                    return Ok(0);
                }
                let notices = slot.machine.take_notices();
                if record.offset >= slot.live_from {
                    notices.iter().for_each(|notice| warn!(machine = M::NAME, "{notice}"));
                }
                applied += 1;
                slot.quiet_since = Instant::now();
                slot.next = record.offset + 1; // + 1, since a Kafka commit names the next offset
                if record.offset >= slot.live_from {
                    origins.resize(origins.len() + outputs.len(), (record.partition, record.offset));
                    writes.extend(outputs.drain(..).map(|output| to_write(output, record.partition)));
                    next.insert(record.partition, slot.next);
                }
            }
        }
        if !next.is_empty() {
            let began = Instant::now();
            let written = sizes_of(&writes);
            self.commit_what_fits(writes, &origins, &next).inspect_err(|_| self.metrics.aborted())?;
            self.metrics.committed(began.elapsed());
            self.note_moved(records, written);
        }
        Ok(applied)
    }

    /// Commits `writes`, each of which came from the record at its place in `origins`. Where a topic refuses an output
    /// as too large, the machine's replacement is committed instead, or nothing if the replacement is refused too: a
    /// size never stops the shell.
    fn commit_what_fits(
        &mut self,
        writes: Vec<Write>,
        origins: &[(i32, i64)],
        next: &BTreeMap<i32, i64>,
    ) -> Result<(), LogError> {
        let mut left: Vec<(Write, (i32, i64), bool)> =
            writes.into_iter().zip(origins).map(|(write, origin)| (write, *origin, false)).collect();
        loop {
            let writes: Vec<Write> = left.iter().map(|(write, ..)| write.clone()).collect();
            let (places, why) = match self.log.commit(&writes, next) {
                Err(LogError::Refused { places, why }) => (places, why),
                done => return done,
            };
            let refused: BTreeSet<usize> = places.into_iter().filter(|place| *place < left.len()).collect();
            if refused.is_empty() {
                return Err(LogError::Retry(why));
            }
            // From the end, so that the earlier places stay valid.
            for place in refused.into_iter().rev() {
                let (write, origin, is_substitute) = &left[place];
                let bytes = write.value.as_ref().map_or(0, Bytes::len);
                let topic = write.topic.suffix();
                let (partition, offset) = *origin;
                error!(
                    machine = M::NAME,
                    partition, offset, topic, bytes, "an output is too large and is left out: {why}"
                );
                self.metrics.refused();
                let reason = format!("its output for the topic {topic}, {bytes} bytes, is refused as too large: {why}");
                let machine = self.slots.get(&partition).filter(|_| !is_substitute).map(|slot| &slot.machine);
                match machine.and_then(|machine| machine.refused(*origin, &reason)) {
                    Some(output) => left[place] = (to_write(output, partition), *origin, true),
                    None => drop(left.remove(place)),
                }
            }
        }
    }
}

/// Number of records, and bytes of values, by topic.
fn sizes_of(writes: &[Write]) -> BTreeMap<Topic, (u64, u64)> {
    let mut written: BTreeMap<Topic, (u64, u64)> = BTreeMap::new();
    for write in writes {
        let (count, size) = written.entry(write.topic).or_default();
        *count += 1;
        *size += write.value.as_ref().map_or(0, |value| value.len() as u64);
    }
    written
}

/// The write for an output. An event gets the partition of its raw record; signals and alerts have one partition.
fn to_write(output: Output, input_partition: i32) -> Write {
    let partition = if output.topic == Topic::Events { input_partition } else { 0 };
    Write {
        topic: output.topic,
        partition,
        timestamp_ms: output.timestamp_ms,
        key: output.key,
        header: None,
        value: Some(output.value),
    }
}
