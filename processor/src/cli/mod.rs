//! The commands of `wulog-processor`. Exit code 0: done; 1: failed, the reason on standard error; 2: wrong arguments or
//! configuration. `explain` has exit codes of its own.

mod check;
mod explain;
mod files;
mod moment;
mod parse;
mod replay;
mod report;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio_util::sync::CancellationToken;
use wulog_lines::EncodingChoice;
use wulog_service::{LogFormat, stop_requested};

use crate::alerts::command::AlertsArgs;
use crate::certificates::command::CertificatesArgs;
use crate::channels::ChannelsArgs;
use crate::config::{Config, ConfigError, StandaloneConfig, read_patterns};
use crate::format::Format;
use crate::log::embedded::EmbeddedConfig;
use crate::normalize::{Events, HostNamesFile, NormalizerConfig, Patterns, UtcOffset, Zone};
use crate::pattern_test::PatternTest;
use crate::shell::ShellConfig;
use crate::standalone::Standalone;
use crate::{run, topics};
use check::CheckConfigArgs;
use explain::{EXIT_UNREADABLE, ExplainArgs, UnreadableLog};
use parse::ParseArgs;
use replay::ReplayArgs;
use report::ReportArgs;

/// On one machine a tick costs next to nothing, and a person is waiting for the first alert.
const STANDALONE_TICK_AFTER_IDLE: Duration = Duration::from_secs(5);

/// Bytes written at a time: a document has 1 KB, and what a pipe holds by default is 64 KiB.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Turns raw WindowsUpdate.log records into events, and certificate-trust failures that cluster into one alert each.
///
/// Exit codes: 0 done; 1 failed, the reason is on standard error; 2 invalid arguments or configuration. `explain` has
/// its own: 0 healthy, 1 failing, 2 unreadable.
#[derive(Debug, Parser)]
#[command(name = "wulog-processor", version)]
pub struct Cli {
    /// How messages are written on standard error.
    #[arg(long, global = true, value_enum, default_value_t, env = "WULOG_LOG_FORMAT")]
    pub log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run on Kafka until stopped; several processors share the partitions.
    Run(ConfigArgs),
    /// Check a configuration, and name file and line of each fault; changes nothing. Reads from the brokers only where a
    /// rule or a filter names a dimension, to compare the dimension with those that hosts have reported.
    CheckConfig(CheckConfigArgs),
    /// Match your own patterns against log lines, and check the examples of each pattern.
    TestPatterns(TestPatternsArgs),
    /// Create the topics, or check their settings.
    Topics {
        /// Create missing topics, or check all of them.
        what: TopicsVerb,
        #[command(flatten)]
        file: ConfigArgs,
    },
    /// Watch a folder of gathered logs on this machine, without Kafka, and print alerts.
    Standalone(StandaloneArgs),
    /// Explain the log of one host in plain words, on one screen. Exit code 0: healthy; 1: failing; 2: unreadable.
    Explain(ExplainArgs),
    /// Print one JSON event for each line of log files.
    Parse(ParseArgs),
    /// Process log files, or records that Kafka or the embedded log holds, once more, and write events and alerts to files.
    Replay(ReplayArgs),
    /// List and show incidents; acknowledge, silence or annotate them.
    Alerts(AlertsArgs),
    /// Write the post-mortem of an incident: report.html, hosts.csv, timeline.jsonl and alert.json.
    Report(ReportArgs),
    /// List certificates, show the hosts that have a certificate, or the hosts that lack it; needs inventories of hosts.
    Certificates(CertificatesArgs),
    /// Test the channels that bring alerts to people, show their backlog, send or give up parked alerts.
    Channels(ChannelsArgs),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TopicsVerb {
    /// Create missing topics.
    Create,
    /// Name each topic that is missing or has invalid settings.
    Check,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration file, TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct TestPatternsArgs {
    #[command(flatten)]
    from: PatternsFrom,
    /// Log files of any age and encoding; - is standard input, in UTF-8. Without files, only
    /// the examples are checked.
    #[arg(value_name = "LOG")]
    logs: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct PatternsFrom {
    /// Take the patterns of this configuration, and of its pattern files.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take the patterns of this TOML file, `[[patterns]]`; may be given several times.
    #[arg(long, value_name = "FILE")]
    patterns: Vec<PathBuf>,
}

/// How lines are read: the time zone assumed for lines without a UTC offset, the encoding, and the operator's patterns.
#[derive(Debug, Args)]
struct NormalizerArgs {
    /// UTC offset of the hosts, such as +02:00, for logs that name none.
    #[arg(long, value_name = "OFFSET", conflicts_with = "time_zone", allow_hyphen_values = true, value_parser = |text: &str| UtcOffset::try_from(text.to_owned()))]
    utc_offset: Option<UtcOffset>,
    /// IANA time zone of the hosts, such as Europe/Berlin, for logs that name no offset.
    #[arg(long, value_name = "ZONE", value_parser = |text: &str| Zone::try_from(text.to_owned()))]
    time_zone: Option<Zone>,
    /// Encoding of log files without a byte order mark: auto (UTF-8 or UTF-16), or a code page such as windows-1252.
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = encoding)]
    encoding: EncodingChoice,
    /// A TOML file of your own patterns, `[[patterns]]`; may be given several times.
    #[arg(long, value_name = "FILE")]
    patterns: Vec<PathBuf>,
}

fn encoding(name: &str) -> Result<EncodingChoice, String> {
    EncodingChoice::parse(name)
        .ok_or_else(|| "no encoding: use auto, utf-8, utf-16le, windows-1252 or another WHATWG label".to_owned())
}

impl NormalizerArgs {
    fn config(&self) -> Result<NormalizerConfig, ConfigError> {
        self.over(NormalizerConfig::default())
    }

    /// The arguments over what a configuration says.
    fn over(&self, config: NormalizerConfig) -> Result<NormalizerConfig, ConfigError> {
        Ok(NormalizerConfig {
            utc_offset: self.utc_offset.or(config.utc_offset),
            time_zone: self.time_zone.or(config.time_zone),
            patterns: read_patterns(config.patterns.clone(), &self.patterns)?,
            ..config
        })
    }
}

/// Which events there are, and how they are written.
#[derive(Debug, Args)]
struct EventArgs {
    /// Format of events; default: the format of the configuration, or ecs.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Which lines become events; default: the choice of the configuration, or all.
    #[arg(long, value_enum)]
    events: Option<Events>,
}

impl EventArgs {
    fn over(&self, config: NormalizerConfig) -> NormalizerConfig {
        NormalizerConfig {
            format: self.format.unwrap_or(config.format),
            events: self.events.unwrap_or(config.events),
            ..config
        }
    }
}

#[derive(Debug, Args)]
struct StandaloneArgs {
    /// The folder of gathered logs, with one folder for each host (DIR/HOST/*.log).
    #[arg(long, value_name = "DIR")]
    logs: PathBuf,
    /// The configuration, TOML: `[normalizer]`, `[detector]`, `[[channels]]` and `[http]` as in processor.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The SQLite file that holds lines, events, alerts and positions; created when missing.
    #[arg(long, value_name = "FILE", default_value = "wulog.db")]
    db: PathBuf,
    /// Append alert documents to this file, one JSON document a line, as well as printing them.
    #[arg(long, value_name = "FILE")]
    alerts_out: Option<PathBuf>,
    /// Days that lines and events are kept.
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    retention_days: u32,
    /// Largest size of the SQLite file in MiB; by default limited by the disk only.
    #[arg(long, value_name = "MIB")]
    size_max_mib: Option<u32>,
    /// A file of host names, one name or suffix such as *.corp.example.com a line; hosts that are not in the file give
    /// events, but no alerts.
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
    #[command(flatten)]
    normalizer: NormalizerArgs,
    #[command(flatten)]
    events: EventArgs,
}

const EXIT_FAILED: u8 = 1;
const EXIT_CONFIG: u8 = 2;

/// The exit code of a command that ended with this error.
#[must_use]
pub fn exit_code_of(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<UnreadableLog>() {
        EXIT_UNREADABLE
    } else if error.is::<ConfigError>() {
        EXIT_CONFIG
    } else {
        EXIT_FAILED
    })
}

impl Cli {
    /// What is logged where `WULOG_LOG` does not say it. The page of `explain` says itself what is wrong with a log.
    #[must_use]
    pub fn log_filter(&self) -> &'static str {
        if matches!(self.command, Command::Explain(_)) { "error" } else { "info,librdkafka=error" }
    }

    /// Runs the command.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let done = match self.command {
            Command::Run(file) => {
                let config = Config::read(&file.config)?;
                run::run(&config, &stop_on_signals()).await
            }
            Command::CheckConfig(args) => tokio::task::block_in_place(|| args.run()),
            Command::TestPatterns(args) => test_patterns(&args),
            Command::Topics { what, file } => topics_command(what, &Config::read(&file.config)?).await,
            Command::Standalone(args) => {
                let config = args.config.as_deref().map(StandaloneConfig::read).transpose()?.unwrap_or_default();
                let mut normalizer = args.events.over(args.normalizer.over(config.normalizer)?);
                if let Some(file) = args.inventory {
                    normalizer.inventory =
                        HostNamesFile::from(Some(file)).read_in(Path::new("")).map_err(anyhow::Error::msg)?;
                }
                let standalone = Standalone {
                    logs: args.logs,
                    log: EmbeddedConfig {
                        retention_days: args.retention_days,
                        size_max_mib: args.size_max_mib,
                        ..EmbeddedConfig::at(&args.db)
                    },
                    encoding: args.normalizer.encoding,
                    alerts_out: args.alerts_out,
                    normalizer,
                    detector: config.detector,
                    channels: config.channels,
                    http: config.http,
                    shell: ShellConfig { tick_after_idle: Some(STANDALONE_TICK_AFTER_IDLE), ..ShellConfig::default() },
                };
                let stop = stop_on_signals();
                tokio::task::block_in_place(|| standalone.run(&stop))
            }
            Command::Explain(args) => return args.run(),
            Command::Parse(args) => args.run(),
            Command::Replay(args) => return args.run(),
            Command::Alerts(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::Certificates(args) => args.run(),
            Command::Channels(args) => tokio::task::block_in_place(|| args.run()),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

fn test_patterns(args: &TestPatternsArgs) -> anyhow::Result<()> {
    let normalizer = match &args.from.config {
        Some(file) => Config::read(file)?.normalizer,
        None => NormalizerConfig {
            patterns: read_patterns(Patterns::default(), &args.from.patterns)?,
            ..NormalizerConfig::default()
        },
    };
    let mut test = PatternTest::new(&normalizer.patterns, normalizer.limits.value_bytes_max, output(Path::new("-"))?);
    let outcome = args.logs.iter().try_for_each(|log| test.log(log)).and_then(|()| test.finish());
    let closed = |error: &anyhow::Error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    // `wulog-processor test-patterns ... | head` is no failure.
    outcome.or_else(|error| if closed(&error) { Ok(()) } else { Err(error) })
}

/// A token that Ctrl-C, or a service manager's SIGTERM, cancels.
fn stop_on_signals() -> CancellationToken {
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = stop_requested().await {
            tracing::error!(%error, "signals cannot be waited for; stop this process by other means");
            return;
        }
        tracing::info!("stopping");
        cancel.cancel();
    });
    stop
}

async fn topics_command(what: TopicsVerb, config: &Config) -> anyhow::Result<()> {
    match what {
        TopicsVerb::Create => {
            for line in topics::create(&config.kafka, &config.topics).await? {
                println!("{line}");
            }
        }
        TopicsVerb::Check => {
            let wrong = topics::check(&config.kafka, &config.topics).await?;
            if !wrong.is_empty() {
                bail!("the topics have invalid settings:\n  {}", wrong.join("\n  "));
            }
            println!("topics {}.*: valid", config.kafka.topic_prefix);
        }
    }
    Ok(())
}

/// A file, or standard output for `-`.
fn output(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufWriter::with_capacity(OUTPUT_BYTES, io::stdout())));
    }
    let file = File::create(path).with_context(|| format!("{}: cannot be written", path.display()))?;
    Ok(Box::new(BufWriter::with_capacity(OUTPUT_BYTES, file)))
}
