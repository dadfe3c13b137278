//! Keeps the processors of a group together in log time.
//!
//! Within one processor records are applied in the order of log time (see [`super::order`]). Several processors that
//! catch up after an outage would each do so at its own speed, and the detector would see one partition's Friday before
//! another's Wednesday. So no processor goes further than [`DRIFT_MAX_MS`] beyond the first record that another
//! processor has not processed (Flink calls this watermark alignment). The committed offsets show the progress of the
//! other processors; the time of the record at such an offset is read from the log. A partition without progress is not
//! waited for after a limit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::clients::{UngroupedContext, committed};

/// Maximum lead of a processor. It is less than the age at which the detector takes a signal for late. A longer lead
/// would let the detector see windows of an hour out of order; a shorter one would make processors wait more than they
/// work.
const DRIFT_MAX_MS: i64 = 10 * 60 * 1000;

/// A partition without progress for this long is not waited for: its processor is gone, and the group has had the time
/// to assign the partition to another one, or Kafka has lost the processor.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// Interval of looks at the other partitions while a record waits for them.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Timeout of one look.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// The record at a partition's committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Not read yet.
    Unknown,
    /// A record of this time.
    At(i64),
    /// No record: all are processed.
    Nothing,
}

/// A partition of another processor.
#[derive(Clone, Copy, Debug)]
struct OtherOwner {
    committed: Option<i64>,
    next: Next,
    /// Lower bound of the times of its remaining records; a later time if the partition is not waited for.
    free_ms: i64,
    /// Time since which a record waits for the partition without progress.
    awaited: Option<Instant>,
}

impl OtherOwner {
    const NEW: OtherOwner = OtherOwner { committed: None, next: Next::Unknown, free_ms: i64::MIN, awaited: None };

    fn is_behind(&self, head_ms: i64) -> bool {
        self.free_ms.saturating_add(DRIFT_MAX_MS) < head_ms
    }

    /// Whether a record of `head_ms` waits for this partition.
    fn holds(&mut self, head_ms: i64, now: Instant) -> bool {
        if !self.is_behind(head_ms) {
            return false;
        }
        if now.duration_since(*self.awaited.get_or_insert(now)) < STALLED_AFTER {
            return true;
        }
        // Without progress, the partition is read again only after another drift.
        self.free_ms = head_ms;
        false
    }

    /// Takes the result of a look, made when this processor's first record was of `head_ms`.
    fn found(&mut self, committed: Option<i64>, next: Next, head_ms: i64) {
        if (committed, next) != (self.committed, self.next) {
            self.awaited = None;
        }
        (self.committed, self.next) = (committed, next);
        self.free_ms = match next {
            Next::Unknown => i64::MIN,
            Next::At(time) => time,
            // A later record is newer than the records that are here now.
            Next::Nothing => head_ms,
        };
    }
}

/// How far the other processors of the group are.
pub(super) struct Alignment {
    /// Reads records at committed offsets; not a member of a group.
    scout: BaseConsumer<UngroupedContext>,
    topic: String,
    others: BTreeMap<i32, OtherOwner>,
    /// A record up to this time does not wait.
    free_until_ms: i64,
    looked: Option<Instant>,
}

impl Alignment {
    pub(super) fn new(scout: BaseConsumer<UngroupedContext>, topic: String) -> Alignment {
        Alignment { scout, topic, others: BTreeMap::new(), free_until_ms: i64::MAX, looked: None }
    }

    /// Starts again: of `partitions` partitions this processor has `own`.
    pub(super) fn start(&mut self, partitions: i32, own: &BTreeSet<i32>) {
        // Facts about another processor's partition stay valid.
        let known = std::mem::take(&mut self.others);
        // A processor without partitions waits for no other.
        let others = (0..if own.is_empty() { 0 } else { partitions }).filter(|partition| !own.contains(partition));
        self.others = others.map(|at| (at, known.get(&at).copied().unwrap_or(OtherOwner::NEW))).collect();
        self.recount();
    }

    fn recount(&mut self) {
        let least = self.others.values().map(|other| other.free_ms).min();
        self.free_until_ms = least.map_or(i64::MAX, |least| least.saturating_add(DRIFT_MAX_MS));
    }

    /// Whether a record of `head_ms` must wait for other processors. Asks Kafka if the known facts do not suffice.
    pub(super) fn holds(&mut self, member: &BaseConsumer<impl ConsumerContext>, head_ms: i64) -> bool {
        if head_ms <= self.free_until_ms {
            return false;
        }
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            if let Err(error) = self.look(member, head_ms) {
                tracing::debug!(topic = self.topic, %error, "where the other processors are is not known");
            }
            self.looked = Some(Instant::now());
        }
        let now = Instant::now();
        // Every partition is asked, since each has a time of its own.
        let held = self.others.values_mut().filter_map(|other| other.holds(head_ms, now).then_some(())).count() > 0;
        self.recount();
        held
    }

    /// Reads the positions of the partitions that are behind.
    fn look(&mut self, member: &BaseConsumer<impl ConsumerContext>, head_ms: i64) -> KafkaResult<()> {
        let behind: BTreeSet<i32> =
            self.others.iter().filter(|(_, other)| other.is_behind(head_ms)).map(|(at, _)| *at).collect();
        let committed = committed(member, &self.topic, &behind, LOOK_TIMEOUT)?;
        let mut read = TopicPartitionList::new();
        for &partition in &behind {
            let at = committed.get(&partition).copied();
            let other = &self.others[&partition];
            // The offset did not move, so the record at it is known.
            if at != other.committed || !matches!(other.next, Next::At(_)) {
                let from = at.map_or(Offset::Beginning, Offset::Offset);
                read.add_partition_offset(&self.topic, partition, from)?;
            }
        }
        let found = self.read_first(&read)?;
        for (partition, next) in found {
            if let Some(other) = self.others.get_mut(&partition) {
                other.found(committed.get(&partition).copied(), next, head_ms);
            }
        }
        Ok(())
    }

    /// The first record at or after each position.
    fn read_first(&self, positions: &TopicPartitionList) -> KafkaResult<BTreeMap<i32, Next>> {
        let mut found = BTreeMap::new();
        if positions.count() == 0 {
            return Ok(found);
        }
        self.scout.assign(positions)?;
        let until = Instant::now() + LOOK_TIMEOUT;
        while found.len() < positions.count() && Instant::now() < until {
            match self.scout.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let time = message.timestamp().to_millis().unwrap_or(0);
                    found.entry(message.partition()).or_insert(Next::At(time));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    found.entry(partition).or_insert(Next::Nothing);
                }
                Some(Err(_)) | None => {}
            }
        }
        self.scout.unassign()?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    /// The finds of a look at a partition, and whether a record of the hundredth minute waits for it, then and later.
    #[track_caller]
    fn check(finds: &[(Option<i64>, Next)], later: Duration, held: bool) {
        let began = Instant::now();
        let mut other = OtherOwner::NEW;
        for (committed, next) in finds {
            other.found(*committed, *next, 100 * MINUTE);
            other.holds(100 * MINUTE, began);
        }
        assert_eq!(other.holds(100 * MINUTE, began + later), held, "{other:?}");
    }

    #[test]
    fn a_record_waits_for_records_more_than_ten_minutes_older() {
        let soon = Duration::from_secs(1);
        check(&[(None, Next::Unknown)], soon, true);
        check(&[(Some(3), Next::At(89 * MINUTE))], soon, true);
        check(&[(Some(3), Next::At(90 * MINUTE))], soon, false);
        check(&[(Some(3), Next::At(200 * MINUTE))], soon, false);
        check(&[(None, Next::Nothing)], soon, false);
    }

    #[test]
    fn a_partition_that_stands_still_is_not_waited_for_until_it_moves() {
        let still = (Some(3), Next::At(MINUTE));
        check(&[still], Duration::from_secs(59), true);
        check(&[still], Duration::from_secs(61), false);
        check(&[(None, Next::Unknown)], Duration::from_secs(61), false);
        let began = Instant::now();
        let mut other = OtherOwner::NEW;
        other.found(Some(3), Next::At(MINUTE), 100 * MINUTE);
        assert!(other.holds(100 * MINUTE, began));
        let later = began + Duration::from_secs(61);
        assert!(!other.holds(100 * MINUTE, later));
        // No longer waited for, and looked at again.
        assert!(!other.holds(105 * MINUTE, later) && other.is_behind(111 * MINUTE));
        assert!(!other.holds(111 * MINUTE, later));
        other.found(Some(4), Next::At(2 * MINUTE), 111 * MINUTE);
        assert!(other.holds(111 * MINUTE, later));
    }
}
