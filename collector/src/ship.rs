//! Raw records on their way into a [`Sink`].
//!
//! The shipper owns a record from the moment that the record is read until it is in the log. No record is dropped: a
//! record whose delivery failed is sent again after a pause, in the order of reading. Only a record that the log can
//! never take is counted, logged and skipped. One byte budget bounds all records; the reader asks for [`Shipper::room`]
//! before it reads.
//!
//! The bookkeeping of a record, from [`Shipper::submit`] to its delivery, takes 27 ns beside the 43 ns of making the
//! record and about 1 µs that the collector takes for a line with librdkafka (2026-11, one core).

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::record::OutRecord;
use crate::sink::{Sink, SinkError, Ticket};

/// Memory that a record takes beside its header and value. Header and value themselves count twice: in the shipper and
/// in librdkafka's queue. Most of the overhead is librdkafka's bookkeeping of a message with a key and a header.
/// Measured as growth of the process.
const RECORD_OVERHEAD_BYTES: usize = 600;
/// Memory that a short line takes: the overhead, and twice a header of some 200 bytes.
const LINE_COST_BYTES: usize = RECORD_OVERHEAD_BYTES + 2 * 200;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A line that is too large for the log is halved until the log takes it, but not below this length.
const CUT_BYTES_MIN: usize = 1024;

/// The owner of a record: an index into the files or hosts of the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordOwner {
    /// A line of this file.
    Line(usize),
    /// A heartbeat of this host.
    Heartbeat(usize),
    /// An inventory of this host's certificates.
    Certificates(usize),
}

/// Sends records and keeps them until they are in the log.
pub struct Shipper {
    sink: Box<dyn Sink>,
    /// The records from ticket `first` on; `None` for a settled record behind one that is not settled.
    pending: VecDeque<Option<Pending>>,
    first: Ticket,
    /// The first ticket that the sink was never given.
    next: Ticket,
    /// Tickets whose delivery failed. They are sent before `next`, so that the order of reading holds.
    again: BTreeSet<Ticket>,
    in_flight: usize,
    bytes: usize,
    bytes_max: usize,
    backoff: Option<SinkPause>,
    rejected: u64,
}

struct Pending {
    record: OutRecord,
    owner: RecordOwner,
}

/// A pause after the sink failed.
struct SinkPause {
    until: Instant,
    next: Duration,
}

/// The error that the sink will not work until a person acts.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FatalSinkError(pub String);

impl Shipper {
    /// Returns a shipper into `sink` whose records take about `bytes_max` bytes at most.
    #[must_use]
    pub fn new(sink: Box<dyn Sink>, bytes_max: usize) -> Shipper {
        Shipper {
            sink,
            pending: VecDeque::new(),
            first: 1,
            next: 1,
            again: BTreeSet::new(),
            in_flight: 0,
            bytes: 0,
            bytes_max,
            backoff: None,
            rejected: 0,
        }
    }

    /// Returns how many bytes may still be read.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bytes_max.saturating_sub(self.bytes_in_flight())
    }

    /// Memory that records not in the log yet take, in bytes.
    #[must_use]
    pub fn bytes_in_flight(&self) -> usize {
        // A settled record keeps its place in `pending` while an earlier record is not settled.
        let places = self.pending.len() * size_of::<Option<Pending>>();
        self.bytes + places
    }

    /// Returns how many short lines may still be read; at least 1.
    #[must_use]
    pub fn room_lines(&self) -> usize {
        (self.room() / LINE_COST_BYTES).max(1)
    }

    /// Returns the number of records that are not in the log yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the number of records that were skipped, since the log can never take them.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Takes ownership of a record and returns its ticket.
    pub fn submit(&mut self, record: OutRecord, owner: RecordOwner) -> Ticket {
        let ticket = self.first + self.pending.len() as Ticket;
        self.bytes += cost(&record);
        self.in_flight += 1;
        self.pending.push_back(Some(Pending { record, owner }));
        ticket
    }

    /// Sends waiting records until the sink is full or fails. Adds skipped records to `settled`.
    ///
    /// # Errors
    /// When the sink will not work until a person acts.
    pub fn send(&mut self, settled: &mut Vec<(Ticket, RecordOwner)>) -> Result<(), FatalSinkError> {
        if self.waits() {
            return Ok(());
        }
        while let Some(ticket) = self.unsent() {
            let Some(pending) = self.pending.get((ticket - self.first) as usize).and_then(Option::as_ref) else {
                self.was_sent(ticket);
                continue;
            };
            match self.sink.send(ticket, &pending.record) {
                Ok(()) => self.was_sent(ticket),
                Err(SinkError::Full) => break,
                Err(SinkError::Retry(reason)) => {
                    self.back_off(reason);
                    break;
                }
                Err(SinkError::TooLarge(reason)) => {
                    self.was_sent(ticket);
                    self.cut(ticket, &reason, settled);
                }
                Err(SinkError::Rejected(reason)) => {
                    self.was_sent(ticket);
                    self.skip(ticket, &reason, settled);
                }
                Err(SinkError::Fatal(reason)) => return Err(FatalSinkError(reason)),
            }
        }
        Ok(())
    }

    /// Waits up to `wait` for deliveries and adds the settled records to `settled`.
    ///
    /// # Errors
    /// When the sink will not work until a person acts.
    pub fn poll(&mut self, wait: Duration, settled: &mut Vec<(Ticket, RecordOwner)>) -> Result<(), FatalSinkError> {
        let backoff = self.backoff.as_ref().map(|backoff| backoff.until.saturating_duration_since(Instant::now()));
        let wait = wait.min(backoff.filter(|left| !left.is_zero()).unwrap_or(wait));
        for delivery in self.sink.poll(wait) {
            match delivery.result {
                Ok(()) => {
                    self.works_again();
                    self.settle(delivery.ticket, settled);
                }
                Err(SinkError::TooLarge(reason)) => self.cut(delivery.ticket, &reason, settled),
                Err(SinkError::Rejected(reason)) => self.skip(delivery.ticket, &reason, settled),
                Err(SinkError::Fatal(reason)) => return Err(FatalSinkError(reason)),
                Err(error @ (SinkError::Full | SinkError::Retry(_))) => {
                    if self.is_pending(delivery.ticket) {
                        self.again.insert(delivery.ticket);
                        self.back_off(error.to_string());
                    }
                }
            }
        }
        if self.sink.lost() {
            let sent = (self.first..self.next).zip(&self.pending);
            self.again.extend(sent.filter(|(_, pending)| pending.is_some()).map(|(ticket, _)| ticket));
        }
        Ok(())
    }

    /// The next ticket to send.
    fn unsent(&self) -> Option<Ticket> {
        let end = self.first + self.pending.len() as Ticket;
        self.again.first().copied().or_else(|| (self.next < end).then_some(self.next))
    }

    fn was_sent(&mut self, ticket: Ticket) {
        if !self.again.remove(&ticket) {
            self.next = ticket + 1;
        }
    }

    fn slot(&mut self, ticket: Ticket) -> Option<&mut Option<Pending>> {
        self.pending.get_mut(usize::try_from(ticket.checked_sub(self.first)?).ok()?)
    }

    fn is_pending(&mut self, ticket: Ticket) -> bool {
        self.slot(ticket).is_some_and(|slot| slot.is_some())
    }

    fn settle(&mut self, ticket: Ticket, settled: &mut Vec<(Ticket, RecordOwner)>) {
        let Some(pending) = self.slot(ticket).and_then(Option::take) else { return };
        self.bytes -= cost(&pending.record);
        self.in_flight -= 1;
        // The delivery of a record that waits to be sent again may succeed late.
        self.again.remove(&ticket);
        settled.push((ticket, pending.owner));
        while let Some(None) = self.pending.front() {
            self.pending.pop_front();
            self.first += 1;
        }
        self.next = self.next.max(self.first);
    }

    /// Halves the value of a record that is too large for the log: a shortened line is better than a lost one.
    fn cut(&mut self, ticket: Ticket, reason: &str, settled: &mut Vec<(Ticket, RecordOwner)>) {
        let Some(Some(pending)) = self.slot(ticket) else { return };
        let half = pending.record.value().len() / 2;
        if half < CUT_BYTES_MIN || matches!(pending.owner, RecordOwner::Heartbeat(_) | RecordOwner::Certificates(_)) {
            return self.skip(ticket, reason, settled);
        }
        let (cut, before) = (pending.record.cut(half), cost(&pending.record));
        let after = cost(&cut);
        pending.record = cut;
        let header = pending.record.whole().header;
        warn!(
            host = header.host,
            file = header.file,
            offset = header.offset,
            reason,
            bytes = half,
            "the log takes no line of this length; the line is cut, marked and sent again; raise message.max.bytes of the topic"
        );
        self.bytes = self.bytes - before + after;
        self.again.insert(ticket);
    }

    fn skip(&mut self, ticket: Ticket, reason: &str, settled: &mut Vec<(Ticket, RecordOwner)>) {
        if let Some(Some(pending)) = self.slot(ticket) {
            let header = pending.record.whole().header;
            error!(
                host = header.host,
                file = header.file,
                epoch = header.epoch,
                offset = header.offset,
                reason,
                "the log can never take this record, which is lost; correct the cause that reason names"
            );
            self.rejected += 1;
            self.settle(ticket, settled);
        }
    }

    fn waits(&self) -> bool {
        self.backoff.as_ref().is_some_and(|backoff| Instant::now() < backoff.until)
    }

    /// Starts a pause before the next try, each twice as long as the one before. A failure during a pause does not
    /// prolong the pause.
    fn back_off(&mut self, reason: String) {
        if self.waits() {
            return;
        }
        let wait = self.backoff.as_ref().map_or(BACKOFF_FIRST, |backoff| backoff.next);
        // One warning for a series of failures, since the reason is worded differently from try to try.
        if self.backoff.is_none() {
            warn!(reason, "cannot send; nothing is lost, it is tried again");
        }
        self.backoff = Some(SinkPause { until: Instant::now() + wait, next: (wait * 2).min(BACKOFF_MAX) });
    }

    fn works_again(&mut self) {
        // While some records wait to be sent again, a successful delivery does not prove that sending works.
        if self.again.is_empty() && self.backoff.take().is_some() {
            info!("sending works again");
        }
    }
}

fn cost(record: &OutRecord) -> usize {
    2 * record.len_bytes() + RECORD_OVERHEAD_BYTES
}
