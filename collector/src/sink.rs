//! The destination of raw records: Kafka, or the processor's embedded log when everything runs on one machine.

use std::time::Duration;

use crate::record::OutRecord;
pub use crate::record::RawRecord;

/// Names a record until its delivery is reported; unique within one sink.
pub type Ticket = u64;

/// The result of sending one record.
#[derive(Debug)]
pub struct Delivery {
    /// The record.
    pub ticket: Ticket,
    /// `Err` says why it is not in the log; the sender sends it again.
    pub result: Result<(), SinkError>,
}

/// Why a sink did not take or deliver a record.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The sink's own buffer is full: poll for deliveries, then send again.
    #[error("the send buffer is full")]
    Full,
    /// A later try may work: unreachable broker, disk full. The message names broker, topic or file and says what to
    /// do.
    #[error("{0}")]
    Retry(String),
    /// This record alone is larger than the log takes. The sender cuts, marks and resends the record.
    #[error("{0}")]
    TooLarge(String),
    /// The log can never take this record. The sender counts, logs and skips the record.
    #[error("{0}")]
    Rejected(String),
    /// Nothing will work until a person acts: missing topic, failed authentication.
    #[error("{0}")]
    Fatal(String),
}

/// The destination of raw records. The two implementations are Kafka (here) and the embedded log (in the processor).
pub trait Sink: Send {
    /// Takes a record for delivery; returns at once. Records of one host are delivered in the order sent.
    ///
    /// # Errors
    /// [`SinkError::Full`] asks for a [`Sink::poll`]; the other variants describe themselves.
    fn send(&mut self, ticket: Ticket, record: &OutRecord) -> Result<(), SinkError>;

    /// Waits up to `wait` for deliveries and returns those that are reported.
    fn poll(&mut self, wait: Duration) -> Vec<Delivery>;

    /// True once after records were taken whose delivery may never be reported. The sender must then resend all records
    /// without a report.
    fn lost(&mut self) -> bool {
        false
    }
}
