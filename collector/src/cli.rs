//! The commands of `wulog-collector`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use wulog_files::shown;
use wulog_schemas::visible::visible;
use wulog_service::LogFormat;

use crate::check;
use crate::checkpoint;
use crate::config::Config;
use crate::forget;
use crate::kafka::KafkaSink;
pub use crate::run::{BadConfig, CommandOutcome};
use crate::run::{ConfigFile, load, ranked_sink, run, sink};
use crate::service::{self, ServiceCommand};

/// How long `test` waits for a broker.
const TEST_CONTACT: Duration = Duration::from_secs(10);

/// Ships WindowsUpdate.log lines to Kafka.
///
/// Exit codes: 0 done; 1 stopped, and a person must act; 2 invalid arguments or configuration; 3 a check found a
/// problem.
#[derive(Debug, Parser)]
#[command(version, name = "wulog-collector")]
pub struct Cli {
    /// How messages are written on standard error.
    #[arg(long, global = true, value_enum, default_value_t, env = "WULOG_LOG_FORMAT")]
    pub log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ships until it is stopped (SIGTERM, Ctrl-C).
    Run(ConfigFile),
    /// Checks a configuration, and names inputs that match no file.
    CheckConfig(ConfigFile),
    /// Checks the configuration, reads the files and connects to Kafka; ships nothing.
    Test(ConfigFile),
    /// Positions in files.
    Cursor {
        #[command(subcommand)]
        command: CursorCommand,
    },
    /// Prepares a golden image: forgets all positions, so that each clone begins its own. The collector must not run.
    Seal(ConfigFile),
    /// The Windows service.
    Service {
        #[command(subcommand)]
        command: ServiceCommand,
    },
}

impl Cli {
    /// True for the process that Windows starts as a service: nobody reads its terminal.
    #[must_use]
    pub fn is_service(&self) -> bool {
        matches!(self.command, Command::Service { command: ServiceCommand::Run(_) })
    }
}

#[derive(Debug, Subcommand)]
enum CursorCommand {
    /// Shows up to where each file is acknowledged.
    Show(ConfigFile),
    /// Forgets the position in a file: it is read and sent again from its start. The collector must not run.
    Reset {
        /// The file, as `cursor show` names it.
        file: PathBuf,
        #[command(flatten)]
        config: ConfigFile,
    },
}

/// Runs a command.
///
/// # Errors
/// [`BadConfig`] for the configuration, anything else for what happens later.
pub fn execute(cli: &Cli, stop: &Arc<AtomicBool>) -> Result<CommandOutcome> {
    match &cli.command {
        Command::Run(file) => {
            let config = load(&file.config)?;
            let sink = ranked_sink(&file.config, &config)?;
            run(config, sink, stop, || {})
        }
        Command::CheckConfig(file) => {
            let config = Config::load(&file.config).map_err(BadConfig::from)?;
            sink(&file.config, &config)?;
            Ok(check_config(&config, &file.config))
        }
        Command::Test(file) => {
            let config = Config::load(&file.config).map_err(BadConfig::from)?;
            let sink = sink(&file.config, &config)?;
            test(&config, &file.config, sink)
        }
        Command::Cursor { command: CursorCommand::Show(file) } => Ok(show(&load(&file.config)?)),
        Command::Service { command } => service::execute(command, stop),
        Command::Cursor { command: CursorCommand::Reset { file, config } } => reset(&load(&config.config)?, file),
        Command::Seal(file) => seal(&load(&file.config)?),
    }
}

fn check_config(config: &Config, path: &Path) -> CommandOutcome {
    let mut findings = check::findings(config);
    findings.extend(config.kafka.readable_by_all(path));
    for finding in &findings {
        println!("{}", visible(finding));
    }
    if findings.is_empty() {
        println!("{}: valid", visible(&path.display().to_string()));
        return CommandOutcome::Well;
    }
    CommandOutcome::LookHere
}

fn test(config: &Config, path: &Path, mut sink: KafkaSink) -> Result<CommandOutcome> {
    let outcome = check_config(config, path);
    for (path, found) in check::read_heads(config) {
        println!("{}: {}", visible(&shown(&path)), visible(&found));
    }
    let partitions = sink.contact(TEST_CONTACT)?;
    println!("topic {}.raw has {partitions} partitions; nothing was shipped", config.topic_prefix);
    Ok(outcome)
}

fn show(config: &Config) -> CommandOutcome {
    let (generation, mut entries) = checkpoint::read(&config.state_dir);
    println!("{}: generation {generation}, {} files", config.state_dir.display(), entries.len());
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    for entry in entries {
        let cursor = &entry.cursor;
        println!(
            "{}\n  epoch {}  acknowledged up to offset {} (byte {} of the file)  losses {}",
            visible(&shown(&entry.path)),
            cursor.epoch,
            cursor.logical,
            cursor.position,
            entry.losses
        );
    }
    CommandOutcome::Well
}

fn reset(config: &Config, file: &Path) -> Result<CommandOutcome> {
    let forgotten = forget::reset(config, file)?;
    println!(
        "{}: forgotten, it was acknowledged up to offset {}; the next start sends it again from its start, as new lines",
        file.display(),
        forgotten.cursor.logical
    );
    Ok(CommandOutcome::Well)
}

fn seal(config: &Config) -> Result<CommandOutcome> {
    let shared = forget::seal(config)?;
    println!("{}: sealed; do not start the collector here before the image is made", config.state_dir.display());
    for sentence in &shared {
        println!("{sentence}");
    }
    // The host id is the hash of the machine id and the computer's name.
    println!("see to it that each clone gets a machine id of its own (sysprep /generalize; an empty /etc/machine-id)");
    Ok(if shared.is_empty() { CommandOutcome::Well } else { CommandOutcome::LookHere })
}
