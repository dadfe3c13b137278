//! Raw records on their way into a [`Sink`].
//!
//! The shipper owns a record from the moment that it is read until it is in the log. Nothing is dropped: what fails is
//! sent again after a while, in the order of reading; only a record that the log can never take is counted, logged and
//! passed. One byte budget bounds all of it; the reader asks for [`Shipper::room`] before it reads.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::sink::{RawRecord, Sink, SinkError, Ticket};

/// What a record costs beside its value: key, header and bookkeeping.
const RECORD_OVERHEAD_BYTES: usize = 300;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Whose record it is: an index of the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A line of this file.
    Line(usize),
    /// A heartbeat of this host.
    Heartbeat(usize),
}

/// Sends records and keeps them until they are in the log.
pub struct Shipper {
    sink: Box<dyn Sink>,
    pending: HashMap<Ticket, Pending>,
    /// What the sink does not have, in the order of reading.
    unsent: BTreeSet<Ticket>,
    next_ticket: Ticket,
    bytes: usize,
    bytes_max: usize,
    backoff: Option<Backoff>,
    rejected: u64,
}

struct Pending {
    record: RawRecord,
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
            pending: HashMap::new(),
            unsent: BTreeSet::new(),
            next_ticket: 1,
            bytes: 0,
            bytes_max,
            backoff: None,
            rejected: 0,
        }
    }

    /// How many bytes may still be read.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bytes_max.saturating_sub(self.bytes)
    }

    /// Records that are not in the log yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// Records that were passed over, since the log can never take them.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Takes a record over.
    pub fn submit(&mut self, record: RawRecord, owner: Owner) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.bytes += cost(&record);
        self.pending.insert(ticket, Pending { record, owner });
        self.unsent.insert(ticket);
        ticket
    }

    /// Gives the sink what it takes. What is settled thereby (passed over) is added to `settled`.
    ///
    /// # Errors
    /// When the sink says that nothing will work.
    pub fn send(&mut self, settled: &mut Vec<(Ticket, Owner)>) -> Result<(), FatalSinkError> {
        if self.waits() {
            return Ok(());
        }
        while let Some(&ticket) = self.unsent.first() {
            match self.sink.send(ticket, &self.pending[&ticket].record) {
                Ok(()) => {
                    self.unsent.pop_first();
                }
                Err(SinkError::Full) => break,
                Err(SinkError::Retry(reason)) => {
                    self.back_off(reason);
                    break;
                }
                Err(SinkError::Rejected(reason)) => {
                    self.unsent.pop_first();
                    self.pass_over(ticket, &reason, settled);
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
                Err(SinkError::Rejected(reason)) => self.pass_over(delivery.ticket, &reason, settled),
                Err(SinkError::Fatal(reason)) => return Err(FatalSinkError(reason)),
                Err(error @ (SinkError::Full | SinkError::Retry(_))) => {
                    if self.pending.contains_key(&delivery.ticket) {
                        self.unsent.insert(delivery.ticket);
                        self.back_off(error.to_string());
                    }
                }
            }
        }
        Ok(())
    }

    fn settle(&mut self, ticket: Ticket, settled: &mut Vec<(Ticket, Owner)>) {
        if let Some(pending) = self.pending.remove(&ticket) {
            self.bytes -= cost(&pending.record);
            // A late success of a record that was to be sent again.
            self.unsent.remove(&ticket);
            settled.push((ticket, pending.owner));
        }
    }

    fn pass_over(&mut self, ticket: Ticket, reason: &str, settled: &mut Vec<(Ticket, Owner)>) {
        if let Some(pending) = self.pending.get(&ticket) {
            let header = &pending.record.header;
            error!(
                host = header.host,
                file = header.file,
                epoch = header.epoch,
                offset = header.offset,
                reason,
                "record can never be taken and is passed over"
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
        if self.unsent.is_empty() && self.backoff.take().is_some() {
            info!("sending works again");
        }
    }
}

fn cost(record: &RawRecord) -> usize {
    record.value.len() + RECORD_OVERHEAD_BYTES
}
