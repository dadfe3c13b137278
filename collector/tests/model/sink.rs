//! A broker that refuses, lies, forgets and recovers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use wulog_collector::record::OutRecord;
use wulog_collector::sink::{Delivery, RawRecord, Sink, SinkError, Ticket};

/// What the broker does with records. Within one mood records never overtake each other: the producer is idempotent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Takes,
    /// Records stay in the producer's queue, nothing is reported.
    Silent,
    /// Records arrive, nothing is reported.
    Deaf,
    /// The producer's queue is full at this many.
    FullAfter(usize),
    /// Cannot be reached.
    Away,
    /// Every delivery fails.
    Fails,
    /// Records arrive and are reported as failed.
    Lies,
    /// This many of each batch arrive, the others fail.
    FailsAfter(usize),
    /// Reports last first.
    Backwards,
}

#[derive(Debug, Default)]
pub(crate) struct Topic {
    pub(crate) mood: Mood,
    /// What arrived, in order.
    pub(crate) records: Vec<RawRecord>,
    /// In the producer's queue.
    queue: Vec<(Ticket, RawRecord)>,
    /// Arrived and not reported.
    unreported: Vec<Ticket>,
}

/// One producer; the topic outlives it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelSink(pub(crate) Arc<Mutex<Topic>>);

impl Topic {
    /// The producer dies; of its queue this many records were on the wire.
    pub(crate) fn crash(&mut self, arrived: usize) {
        let queue = std::mem::take(&mut self.queue);
        if self.mood != Mood::Away {
            self.records.extend(queue.into_iter().take(arrived).map(|(_, record)| record));
        }
        self.unreported.clear();
    }

    fn arrive(&mut self, queue: &[(Ticket, RawRecord)]) {
        self.records.extend(queue.iter().map(|(_, record)| record.clone()));
    }
}

impl Sink for ModelSink {
    fn send(&mut self, ticket: Ticket, record: &OutRecord) -> Result<(), SinkError> {
        let mut topic = self.0.lock().unwrap();
        match topic.mood {
            Mood::Away => return Err(SinkError::Retry("broker a:1 is away".to_owned())),
            Mood::FullAfter(count) if topic.queue.len() >= count => return Err(SinkError::Full),
            _ => {}
        }
        topic.queue.push((ticket, record.whole()));
        Ok(())
    }

    fn poll(&mut self, _: Duration) -> Vec<Delivery> {
        let mut topic = self.0.lock().unwrap();
        let failed = |ticket| Delivery { ticket, result: Err(SinkError::Retry("leader moved".to_owned())) };
        let delivered = |ticket| Delivery { ticket, result: Ok(()) };
        if matches!(topic.mood, Mood::Silent | Mood::Away) {
            return Vec::new();
        }
        let queue = std::mem::take(&mut topic.queue);
        let tickets: Vec<Ticket> = queue.iter().map(|(ticket, _)| *ticket).collect();
        if topic.mood == Mood::Deaf {
            topic.arrive(&queue);
            topic.unreported.extend(tickets);
            return Vec::new();
        }
        let mut reports: Vec<Delivery> = std::mem::take(&mut topic.unreported).into_iter().map(delivered).collect();
        let arrived = match topic.mood {
            Mood::Fails => 0,
            Mood::FailsAfter(count) => count.min(queue.len()),
            _ => queue.len(),
        };
        topic.arrive(&queue[..arrived]);
        let lies = topic.mood == Mood::Lies;
        reports.extend(tickets[..arrived].iter().map(|&ticket| if lies { failed(ticket) } else { delivered(ticket) }));
        reports.extend(tickets[arrived..].iter().map(|&ticket| failed(ticket)));
        if topic.mood == Mood::Backwards {
            reports.reverse();
        }
        reports
    }
}
