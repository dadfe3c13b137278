//! The sink of collectors that writes to the embedded log.

use std::time::Duration;

use rusqlite::Connection;
use wulog_collector::record::OutRecord;
use wulog_collector::sink::{Delivery, Sink, SinkError, Ticket};
use wulog_schemas::topic::Topic;
use wulog_service::Clock;

use super::append::Appender;
use super::{EmbeddedConfig, error, open};
use crate::log::LogError;

/// Records that one [`Sink::poll`] of [`EmbeddedSink`] writes at most.
const SINK_RECORDS_MAX: usize = 20_000;

/// The sink of collectors that writes to the embedded log. Records wait in memory for the next [`Sink::poll`], which
/// writes all of them in one transaction. The timestamp of a record is the time of this write, like Kafka's
/// `LogAppendTime`.
pub struct EmbeddedSink {
    config: EmbeddedConfig,
    connection: Connection,
    clock: Clock,
    waiting: Vec<(Ticket, OutRecord)>,
}

impl EmbeddedSink {
    /// Opens the file.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(config: &EmbeddedConfig, clock: Clock) -> Result<EmbeddedSink, LogError> {
        Ok(EmbeddedSink { config: config.clone(), connection: open(config)?, clock, waiting: Vec::new() })
    }

    fn write_waiting(&mut self) -> rusqlite::Result<()> {
        let now_ms = self.clock.now_ms();
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut appender = Appender::new(&transaction);
        for (_, record) in &self.waiting {
            let (key, header) = (record.host_id().as_str(), Some(record.header()));
            appender.append((Topic::Raw, 0), now_ms, key, header, record.value())?;
        }
        appender.finish()?;
        transaction.commit()
    }
}

impl Sink for EmbeddedSink {
    fn send(&mut self, ticket: Ticket, record: &OutRecord) -> Result<(), SinkError> {
        if self.waiting.len() >= SINK_RECORDS_MAX {
            return Err(SinkError::Full);
        }
        self.waiting.push((ticket, record.clone()));
        Ok(())
    }

    fn poll(&mut self, wait: Duration) -> Vec<Delivery> {
        if self.waiting.is_empty() {
            std::thread::sleep(wait);
            return Vec::new();
        }
        let failure = self.write_waiting().err().map(|e| error(&self.config.path, "writing raw lines", &e));
        self.waiting
            .drain(..)
            .map(|(ticket, _)| {
                let result = match &failure {
                    None => Ok(()),
                    Some(LogError::Retry(why)) => Err(SinkError::Retry(why.clone())),
                    Some(LogError::Fatal(why) | LogError::Refused { why, .. }) => Err(SinkError::Fatal(why.clone())),
                };
                Delivery { ticket, result }
            })
            .collect()
    }
}
