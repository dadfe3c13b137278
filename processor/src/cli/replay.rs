//! `replay`: a stretch of time again, into files, and compared with another run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use tokio_util::sync::CancellationToken;
use wulog_schemas::alert::Alert;
use wulog_service::{StopSignal, stop_signal};

use super::{EventArgs, NormalizerArgs, moment, output};
use crate::alerts::{AlertsByIncident, source};
use crate::compare::{self, ComparedRun, Openings, RunComparison};
use crate::config::{Config, StandaloneConfig};
use crate::log::embedded::EmbeddedConfig;
use crate::replay::sources::{self, Stage};
use crate::replay::{Range, RangeTime, ReplayError, Results, TakeDocument};

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    from: ReplayFrom,
    /// Where the replay starts: at raw lines, or at the signals that the Detector read (byte-identical alerts).
    #[arg(long, value_enum, default_value_t = Stage::Raw)]
    stage: Stage,
    /// Write events here, one JSON document a line; - is standard output.
    #[arg(long, value_name = "FILE")]
    events_out: Option<PathBuf>,
    /// Write alerts here, one JSON document a line; - is standard output.
    #[arg(long, value_name = "FILE")]
    alerts_out: Option<PathBuf>,
    /// Let alerts name all affected hosts, however many they are.
    #[arg(long)]
    all_hosts: bool,
    /// Run the detector with the section `[detector]` of this TOML file.
    #[arg(long, value_name = "FILE")]
    detector: Option<PathBuf>,
    /// Use the configuration of --detector also where the signals record another configuration.
    #[arg(long, requires = "detector")]
    what_if: bool,
    /// Print how the incidents of this replay differ from those of another run: live (what the alerts log recorded), or a
    /// file of alert documents, as --alerts-out writes it.
    #[arg(long, value_name = "live|ALERTS", value_parser = |text: &str| Ok::<_, String>(CompareWith::of(text)))]
    compare: Option<CompareWith>,
    /// Write the comparison as a page that opens offline.
    #[arg(long, value_name = "FILE", requires = "compare")]
    compare_out: Option<PathBuf>,
    /// Write only documents at or after this time (see --by): RFC 3339, a date, yesterday, `2h ago`.
    #[arg(long, value_name = "TIME", value_parser = moment::moment)]
    since: Option<DateTime<Utc>>,
    /// Write only documents before this time (see --by), in the same forms.
    #[arg(long, value_name = "TIME", value_parser = moment::moment)]
    until: Option<DateTime<Utc>>,
    /// Which time --since and --until mean. By event time an alert counts when the first failures of its hosts reach into
    /// the range, and a replay reads to the end, since lines may come late.
    #[arg(long, value_enum, default_value_t)]
    by: RangeTime,
    /// Begin to read this long before --since, such as 10d or 12h, instead of at the oldest record. The replay is faster,
    /// but does not know earlier records: the detector compares with a week, and an incident may be older.
    #[arg(long, value_name = "AGE", requires = "since", value_parser = moment::age)]
    warm_up: Option<TimeDelta>,
    #[command(flatten)]
    normalizer: NormalizerArgs,
    #[command(flatten)]
    events: EventArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ReplayFrom {
    /// A folder of logs of many hosts (DIR/HOST/*.log); lines are merged in order of event time.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// The SQLite file of `standalone`.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Read from the Kafka of this configuration; no offset is committed.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The run that a replay is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CompareWith {
    /// What the alerts log recorded.
    Live,
    /// The documents of a file.
    File(PathBuf),
}

impl CompareWith {
    fn of(text: &str) -> CompareWith {
        if text == "live" { CompareWith::Live } else { CompareWith::File(text.into()) }
    }

    fn name(&self) -> String {
        match self {
            CompareWith::Live => "the live run".to_owned(),
            CompareWith::File(path) => path.display().to_string(),
        }
    }
}

/// The signal that has ended a replay, and the token that ends it.
struct Stop {
    token: CancellationToken,
    signal: Arc<OnceLock<StopSignal>>,
}

impl Stop {
    /// Listens for Ctrl-C and SIGTERM. The second one ends the process at once: a replay that waits for its input, or for the
    /// reader of its output, does not look at the token.
    fn on_signals() -> Stop {
        let stop = Stop { token: CancellationToken::new(), signal: Arc::default() };
        let (token, signal) = (stop.token.clone(), Arc::clone(&stop.signal));
        tokio::spawn(async move {
            loop {
                match stop_signal().await {
                    Ok(again) if signal.set(again).is_err() => std::process::exit(i32::from(again.exit_code())),
                    Ok(_) => token.cancel(),
                    Err(error) => {
                        tracing::error!(%error, "signals cannot be waited for; stop this process by other means");
                        return;
                    }
                }
            }
        });
        stop
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ReplayError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe)
}

impl ReplayArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        self.check()?;
        // The other run is read first: where it is missing, nobody waits for a replay.
        let other = self.compare.as_ref().map(|with| self.documents_of(with)).transpose()?;
        let stop = Stop::on_signals();
        let mut replayed = ComparedRun::called("the replay");
        let ms = |time: Option<DateTime<Utc>>, open: i64| time.map_or(open, |time| time.timestamp_millis());
        let range = Range { since_ms: ms(self.since, i64::MIN), until_ms: ms(self.until, i64::MAX), by: self.by };
        let mut results = Results {
            all_hosts: self.all_hosts,
            what_if: self.what_if,
            events_out: self.events_out.as_deref().map(output).transpose()?,
            alerts_out: self.alerts_out.as_deref().map(output).transpose()?,
            alert_seen: other.is_some().then(|| -> TakeDocument<'_> {
                Box::new(|document| match serde_json::from_slice::<Alert>(document) {
                    Ok(alert) if alert.time.updated.0 < range.until_ms => replayed.take(&alert),
                    Ok(_) => {}
                    Err(error) => tracing::error!(%error, "the replay wrote an alert that is none; please report it"),
                })
            }),
            range,
            stop: stop.token.clone(),
            ..Results::default()
        };
        match self.replay(&mut results) {
            // Ctrl-C ends a whole pipeline, so that the reader may be gone before the writer has stopped.
            Err(error) if stop.signal.get().is_some() && is_broken_pipe(&error) => results.stopped = true,
            done => done?,
        }
        let (records, events, alerts, log_times) = (results.records, results.events, results.alerts, results.log_times);
        let stopped_by = results.stopped.then(|| stop.signal.get().copied()).flatten();
        drop(results);
        if let Some(signal) = stopped_by {
            let until = log_times.map_or_else(
                || "nothing was replayed".to_owned(),
                |(first, last)| format!("replayed from {first} to {last} (log time)"),
            );
            eprintln!("stopped by {}: {until}; every line written is complete", signal.name());
        }
        eprintln!("replayed {records} records: {events} events, {alerts} alert documents");
        let is_ranged = self.since.is_some() || self.until.is_some();
        if is_ranged && events == 0 && alerts == 0 {
            match log_times {
                Some((first, last)) => {
                    eprintln!("no document lies in the range; the records read have log times from {first} to {last}");
                }
                None => eprintln!("no document lies in the range, and no record was read"),
            }
        }
        if let (Some(with), Some(book)) = (&self.compare, other) {
            let Some((first, last)) = log_times else { bail!("no record was read: there is nothing to compare") };
            let openings = Openings {
                from_ms: range.since_ms.max(first.0),
                to_ms: range.until_ms.saturating_sub(1).min(last.0), // - 1, since `until` itself lies outside
            };
            let mut live = ComparedRun::called(&with.name());
            book.documents().filter(|alert| alert.time.updated.0 <= openings.to_ms).for_each(|alert| live.take(alert));
            self.tell(&RunComparison::of(&live, &replayed, openings))?;
        }
        Ok(stopped_by.map_or(ExitCode::SUCCESS, |signal| ExitCode::from(signal.exit_code())))
    }

    /// Refuses arguments that contradict each other.
    fn check(&self) -> anyhow::Result<()> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            let (since, until) = (since.to_rfc3339(), until.to_rfc3339());
            bail!("--since {since} is not before --until {until}: no time lies between them");
        }
        if self.compare == Some(CompareWith::Live) && self.from.logs.is_some() {
            bail!(
                "--logs has no live run: give --compare the alert documents of another run, as --alerts-out writes \
                 them, or replay --db or --config, whose alerts are recorded"
            );
        }
        ensure!(
            self.compare.is_none() || self.by == RangeTime::Log,
            "--compare counts incidents by their opening, which is a log time: leave out --by event"
        );
        ensure!(
            self.warm_up.is_none() || self.from.logs.is_none(),
            "--warm-up is for --db and --config: files are read from their beginning"
        );
        let is_stdout = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new("-"));
        ensure!(
            self.compare.is_none() || !(is_stdout(&self.events_out) || is_stdout(&self.alerts_out)),
            "--compare prints on standard output: let --events-out and --alerts-out name a file"
        );
        if let (Some(file), Stage::Signals, false) = (&self.detector, self.stage, self.what_if) {
            eprintln!(
                "wulog-processor: where the signals record a configuration, that one counts and not {}; --what-if uses {0} throughout",
                file.display()
            );
        }
        Ok(())
    }

    /// The alert documents of the run that the replay is compared with.
    fn documents_of(&self, with: &CompareWith) -> anyhow::Result<AlertsByIncident> {
        let (place, book) = match (with, &self.from.db, &self.from.config) {
            (CompareWith::File(path), ..) => (path.display().to_string(), source::from_file(path)?),
            (CompareWith::Live, Some(db), _) => source::in_embedded(&EmbeddedConfig::of_file(db)?)?,
            (CompareWith::Live, _, Some(file)) => source::in_kafka(&Config::read(file)?.kafka)?,
            (CompareWith::Live, None, None) => bail!("one of --db, --config is needed"),
        };
        if book.is_empty() {
            eprintln!("wulog-processor: {place} holds no alerts: every incident of the replay is new");
        }
        Ok(book)
    }

    /// Prints the comparison, and writes its page.
    fn tell(&self, comparison: &RunComparison) -> anyhow::Result<()> {
        if let Some(path) = &self.compare_out {
            let page = compare::html(comparison).context("the page could not be made")?;
            std::fs::write(path, page).with_context(|| format!("{}: cannot be written", path.display()))?;
        }
        let mut out = output(Path::new("-"))?;
        match out.write_all(compare::text(comparison).as_bytes()).and_then(|()| out.flush()) {
            // `... | head` is no failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("standard output"),
        }
    }

    /// The log time at which reading begins; `None` for the oldest record.
    fn begin_ms(&self) -> Option<i64> {
        let begin = self.since?.checked_sub_signed(self.warm_up?)?;
        Some(begin.timestamp_millis())
    }

    /// Runs the records of the source through the machines.
    fn replay(&self, results: &mut Results<'_>) -> anyhow::Result<()> {
        let given = self.detector.as_deref().map(StandaloneConfig::read).transpose()?.map(|config| config.detector);
        let normalizer = self.events.over(self.normalizer.config()?);
        let detector = given.clone().unwrap_or_default();
        match (&self.from.logs, &self.from.db, &self.from.config) {
            (Some(_), _, _) if self.stage == Stage::Signals => {
                bail!("--logs holds raw lines: --stage signals needs --db or --config")
            }
            (Some(folder), _, _) => {
                let tell = |refused: &ReplayError| eprintln!("wulog-processor: {refused}");
                sources::logs(folder, self.normalizer.encoding, (&normalizer, &detector), results, tell)
            }
            (_, Some(db), _) => {
                let log = EmbeddedConfig::of_file(db)?;
                sources::embedded(&log, self.stage, self.begin_ms(), (&normalizer, &detector), results)
            }
            (_, _, Some(_)) if !self.normalizer.patterns.is_empty() => {
                bail!("--config has patterns of its own: name the files of --patterns there, in pattern_files")
            }
            (_, _, Some(file)) => {
                let config = Config::read(file)?;
                let detector = given.unwrap_or(config.detector);
                let normalizer = self.events.over(config.normalizer);
                let partitions = config.topics.raw_partitions;
                let machines = (&normalizer, &detector);
                sources::kafka(&config.kafka, partitions, self.stage, self.begin_ms(), machines, results)
            }
            (None, None, None) => bail!("one of --logs, --db, --config is needed"),
        }
    }
}
