//! `parse`: one JSON document for each line of log files, or of standard input.

use std::cell::Cell;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

use anyhow::bail;
use clap::Args;

use super::files::{FileArgs, warn};
use super::{EventArgs, output};
use crate::detect::DetectorConfig;
use crate::normalize::NormalizerConfig;
use crate::replay::logs::{HostLog, Merge};
use crate::replay::{self, ReplayError, Results};

#[derive(Debug, Args)]
pub(super) struct ParseArgs {
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    events: EventArgs,
}

impl ParseArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        // One document for each line.
        let normalizer = NormalizerConfig { attempts: false, ..self.events.over(self.files.normalizer.config()?) };
        self.files.warn_of_folders();
        let zone_assumed = Rc::new(Cell::new(false));
        let mut failed = Vec::new();
        for log in self.files.logs() {
            if log.path.metadata().is_ok_and(|file| file.is_file() && file.len() == 0) {
                warn(&format!("{} is empty: copy it again", log.path.display()));
            }
            let events = ZoneWatch { inner: output(Path::new("-"))?, zone_assumed: Rc::clone(&zone_assumed) };
            let mut results = Results { events_out: Some(Box::new(events)), ..Results::default() };
            match parse(&log, self.files.normalizer.encoding, &normalizer, &mut results) {
                Ok(()) => {}
                // `wulog-processor parse F | head` is no failure.
                Err(ReplayError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(ReplayError::Output(error)) => return Err(error.into()),
                Err(error) => {
                    eprintln!("wulog-processor: {error}");
                    failed.push(log.path);
                }
            }
        }
        if zone_assumed.get() {
            warn(
                "these logs do not say their time zone, so UTC is assumed: \
                 give --utc-offset +02:00 or --time-zone Europe/Berlin",
            );
        }
        if !failed.is_empty() {
            bail!("{} of {} files could not be read", failed.len(), self.files.files.len());
        }
        Ok(())
    }
}

fn parse(
    log: &HostLog,
    encoding: wulog_lines::EncodingChoice,
    normalizer: &NormalizerConfig,
    results: &mut Results<'_>,
) -> Result<(), ReplayError> {
    let records = Merge::open(std::slice::from_ref(log), encoding, normalizer)?;
    replay::from_raw((normalizer, &DetectorConfig::default()), 1, records, results)
}

/// Passes events on and notes whether one of them was dated by an assumed time zone.
struct ZoneWatch {
    inner: Box<dyn Write>,
    zone_assumed: Rc<Cell<bool>>,
}

impl Write for ZoneWatch {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        // Each format has the flag among `wu.flags`, and a document is written in one piece.
        const FLAG: &[u8] = b"\"time_assumed\"";
        if !self.zone_assumed.get() && memchr::memmem::find(event, FLAG).is_some() {
            self.zone_assumed.set(true);
        }
        self.inner.write(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
