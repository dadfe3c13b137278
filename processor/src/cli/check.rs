//! `check-config`: a configuration by itself, and its rules against the dimensions that hosts have reported.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use wulog_schemas::topic::Topic;

use super::ConfigFile;
use crate::config::{Config, StandaloneConfig, check_examples};
use crate::detect::{Detector, DetectorConfig, unreported};
use crate::log::embedded::{EmbeddedConfig, Records};
use crate::log::kafka::PartitionReader;
use crate::log::{LogError, Record};
use crate::machine::Machine;

/// A log of many days is not read to its end: hosts report their dimensions every day.
const READ_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct CheckConfigArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// The file is a configuration of `standalone`.
    #[arg(long)]
    standalone: bool,
    /// The log that `standalone --db` writes: rules are compared with the dimensions that its hosts have reported.
    #[arg(long, value_name = "FILE", requires = "standalone")]
    db: Option<PathBuf>,
}

impl CheckConfigArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let file = &self.file.config;
        if self.standalone {
            let config = StandaloneConfig::read(file)?;
            check_examples(&config.normalizer, file)?;
            if let Some(db) = self.db.as_deref().filter(|_| looks_at_hosts(&config.detector)) {
                let signals = Records::open(&EmbeddedConfig::of_file(db)?, Topic::Signals);
                compare(&config.detector, signals);
            }
        } else {
            let config = Config::read(file)?;
            check_examples(&config.normalizer, file)?;
            if looks_at_hosts(&config.detector) {
                compare(&config.detector, PartitionReader::open(&config.kafka, Topic::Signals, 0));
            }
        }
        println!("{}: fine", file.display());
        Ok(())
    }
}

/// Whether a rule looks at a dimension that hosts report.
fn looks_at_hosts(config: &DetectorConfig) -> bool {
    !unreported(config, &std::collections::BTreeSet::new()).is_empty()
}

/// Warns of rules that cannot fire with the hosts that the log knows. They are no error: such a host may come.
fn compare(config: &DetectorConfig, signals: Result<impl Iterator<Item = Result<Record, LogError>>, LogError>) {
    let mut detector = Detector::new(&DetectorConfig::default(), 0, 1);
    let read = signals.and_then(|signals| read(signals, &mut detector));
    let reported = detector.reported_dimensions();
    match read {
        Err(error) => {
            eprintln!(
                "wulog-processor: the dimensions of rules were not compared with those that hosts report: {error}"
            );
        }
        Ok(()) if reported.is_empty() => {
            eprintln!(
                "wulog-processor: no host has reported anything yet, so the dimensions of rules were not compared"
            );
        }
        Ok(()) => {
            let listed = Vec::from_iter(reported.iter().copied()).join(", ");
            for (rule, dimension) in unreported(config, &reported) {
                eprintln!(
                    "wulog-processor: detector.rules: rule {:?} cannot fire: no host has reported the dimension \
                     {dimension}; hosts report {listed}",
                    rule.name
                );
            }
        }
    }
}

fn read(signals: impl Iterator<Item = Result<Record, LogError>>, detector: &mut Detector) -> Result<(), LogError> {
    let (began, mut out) = (Instant::now(), Vec::new());
    for record in signals {
        detector.apply(&record?.as_input(), &mut out);
        out.clear();
        if began.elapsed() > READ_MAX {
            break;
        }
    }
    Ok(())
}
