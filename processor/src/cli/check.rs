//! `check-config`: a configuration by itself, and its rules against the dimensions that hosts have reported.

use std::path::PathBuf;

use clap::Args;
use wulog_schemas::topic::Topic;

use super::ConfigArgs;
use crate::config::{Config, StandaloneConfig, check_examples, try_channels};
use crate::dimension_check;
use crate::log::embedded::{EmbeddedConfig, Records};
use crate::log::kafka::PartitionReader;

#[derive(Debug, Args)]
pub(super) struct CheckConfigArgs {
    #[command(flatten)]
    file: ConfigArgs,
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
            warn(&try_channels(file, &config.channels)?);
            if let Some(db) = &self.db {
                let signals = Records::open(&EmbeddedConfig::of_file(db)?, Topic::Signals)?;
                if dimension_check::is_needed(&config.detector, &config.channels) {
                    dimension_check::compare(&config.detector, &config.channels, Ok(signals));
                }
            }
        } else {
            let config = Config::read(file)?;
            check_examples(&config.normalizer, file)?;
            warn(&try_channels(file, &config.channels)?);
            if dimension_check::is_needed(&config.detector, &config.channels) {
                dimension_check::compare(
                    &config.detector,
                    &config.channels,
                    PartitionReader::open(&config.kafka, Topic::Signals, 0),
                );
            }
        }
        println!("{}: valid", file.display());
        Ok(())
    }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("wulog-processor: {warning}");
    }
}
