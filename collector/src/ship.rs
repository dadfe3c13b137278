//! Raw records on their way into a [`Sink`].
//!
//! The shipper owns a record from the moment that it is read until it is in the log. No record is dropped: a record
//! that was not delivered is sent again after a while, in the order of reading. Only a record that the log can never take
//! is counted, logged and skipped. One byte budget bounds all records; the reader asks for [`Shipper::room`] before it reads.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::record::Record;
use crate::sink::{Sink, SinkError, Ticket};

/// What a record costs beside header and value, which are there twice: here and in librdkafka's queue, whose bookkeeping
/// of a message with a key and a header is the greater part of this. Measured as growth of the process.
const RECORD_OVERHEAD_BYTES: usize = 600;
/// What a short line costs: its header, twice, has some 200 bytes.
const LINE_COST_BYTES: usize = RECORD_OVERHEAD_BYTES + 2 * 200;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A line that is too large for the log is cut to half, again and again, but not below this.
const CUT_BYTES_MIN: usize = 1024;

/// Whose record it is: an index of the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
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
    /// The records of the tickets from `first` on; `None` where one is settled and an earlier one is not.
    pending: VecDeque<Option<Pending>>,
    first: Ticket,
    /// The sink was not given any of the tickets from here on.
    next: Ticket,
    /// What the sink gave back; goes before all that it was not given yet, in the order of reading.
    again: BTreeSet<Ticket>,
    in_flight: usize,
    bytes: usize,
    bytes_max: usize,
    backoff: Option<Backoff>,
    rejected: u64,
}

struct Pending {
    record: Record,
    owner: Owner,
}

/// The sink does not work for now.
struct Backoff {
    until: Instant,
    next: Duration,
}

/// The sink will not work until a person acts.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FatalSinkError(pub String);

impl Shipper {
    /// A shipper into `sink` that holds about `bytes_max` at most.
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

    /// How many bytes may still be read.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bytes_max.saturating_sub(self.bytes_in_flight())
    }

    /// Memory that records not in the log yet take, in bytes.
    #[must_use]
    pub fn bytes_in_flight(&self) -> usize {
        // Settled records behind one that is not still take their places.
        let places = self.pending.len() * size_of::<Option<Pending>>();
        self.bytes + places
    }

    /// How many short lines may still be read; one at least.
    #[must_use]
    pub fn room_lines(&self) -> usize {
        (self.room() / LINE_COST_BYTES).max(1)
    }

    /// Records that are not in the log yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Records that were skipped, since the log can never take them.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Takes a record over.
    pub fn submit(&mut self, record: Record, owner: Owner) -> Ticket {
        let ticket = self.first + self.pending.len() as Ticket;
        self.bytes += cost(&record);
        self.in_flight += 1;
        self.pending.push_back(Some(Pending { record, owner }));
        ticket
    }

    /// Gives the sink what it takes. Records that are skipped are added to `settled`.
    ///
    /// # Errors
    /// When the sink says that nothing will work.
    pub fn send(&mut self, settled: &mut Vec<(Ticket, Owner)>) -> Result<(), FatalSinkError> {
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

    /// Waits up to `wait` for deliveries; adds what is settled by them.
    ///
    /// # Errors
    /// When the sink says that nothing will work.
    pub fn poll(&mut self, wait: Duration, settled: &mut Vec<(Ticket, Owner)>) -> Result<(), FatalSinkError> {
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

    /// The next ticket that the sink does not have.
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

    fn settle(&mut self, ticket: Ticket, settled: &mut Vec<(Ticket, Owner)>) {
        let Some(pending) = self.slot(ticket).and_then(Option::take) else { return };
        self.bytes -= cost(&pending.record);
        self.in_flight -= 1;
        // A late success of a record that was to be sent again.
        self.again.remove(&ticket);
        settled.push((ticket, pending.owner));
        while let Some(None) = self.pending.front() {
            self.pending.pop_front();
            self.first += 1;
        }
        self.next = self.next.max(self.first);
    }

    /// A line that alone is too large loses its end rather than be lost.
    fn cut(&mut self, ticket: Ticket, reason: &str, settled: &mut Vec<(Ticket, Owner)>) {
        let Some(Some(pending)) = self.slot(ticket) else { return };
        let half = pending.record.value().len() / 2;
        if half < CUT_BYTES_MIN || matches!(pending.owner, Owner::Heartbeat(_) | Owner::Certificates(_)) {
            return self.skip(ticket, reason, settled);
        }
        let (cut, before) = (pending.record.cut(half), cost(&pending.record));
        let after = cost(&cut);
        pending.record = cut;
        warn!(reason, bytes = half, "a line is larger than the log takes; it is cut, marked and sent again");
        self.bytes = self.bytes - before + after;
        self.again.insert(ticket);
    }

    fn skip(&mut self, ticket: Ticket, reason: &str, settled: &mut Vec<(Ticket, Owner)>) {
        if let Some(Some(pending)) = self.slot(ticket) {
            let header = pending.record.whole().header;
            error!(
                host = header.host,
                file = header.file,
                epoch = header.epoch,
                offset = header.offset,
                reason,
                "the broker can never take this record; the collector skips the record"
            );
            self.rejected += 1;
            self.settle(ticket, settled);
        }
    }
    fn waits(&self) -> bool {
        self.backoff.as_ref().is_some_and(|backoff| Instant::now() < backoff.until)
    }

    /// Waits before the next try. A failure while waiting belongs to the same trouble and does not prolong it.
    fn back_off(&mut self, reason: String) {
        if self.waits() {
            return;
        }
        let wait = self.backoff.as_ref().map_or(BACKOFF_FIRST, |backoff| backoff.next);
        // Once a trouble: its wording changes from try to try.
        if self.backoff.is_none() {
            warn!(reason, "cannot send; nothing is lost, it is tried again");
        }
        self.backoff = Some(Backoff { until: Instant::now() + wait, next: (wait * 2).min(BACKOFF_MAX) });
    }

    fn works_again(&mut self) {
        // While some deliveries fail the others don't prove that it works.
        if self.again.is_empty() && self.backoff.take().is_some() {
            info!("sending works again");
        }
    }
}

fn cost(record: &Record) -> usize {
    2 * record.len_bytes() + RECORD_OVERHEAD_BYTES
}
