//! `report`: the post-mortem of one incident, from Kafka, the embedded log, a file of alerts, or logs.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use chrono_tz::Tz;
use clap::Args;

use super::NormalizerArgs;
use crate::gather::{WantedIncident, quoted};
use crate::language::Language;
use crate::postmortem::Style;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The id of the incident, or a beginning of the id that only one incident has; `wu-` may be left out.
    id: String,
    #[command(flatten)]
    from: ReportFrom,
    /// The folder for the files; created when missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Language of the page.
    #[arg(long, value_enum, default_value_t)]
    lang: Language,
    /// IANA time zone that the page shows beside UTC, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    zone: Tz,
    #[command(flatten)]
    normalizer: NormalizerArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ReportFrom {
    /// Read from the Kafka of this configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The SQLite file of `standalone`.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// A file of alert documents, one a line, as --alerts-out writes it; the report then has no rows of hosts.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A folder of logs of many hosts (DIR/HOST/*.log), which are replayed.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
}

fn zone(name: &str) -> Result<Tz, String> {
    name.parse().map_err(|_| format!("unknown time zone {name:?}: use an IANA name such as Europe/Berlin"))
}

impl ReportArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let ReportFrom { config, db, file, logs } = &self.from;
        ensure!(
            logs.is_some() || self.normalizer.patterns.is_empty(),
            "--patterns is for --logs: signals of --config and --db were made with the patterns of their time"
        );
        let wanted = WantedIncident { id: &self.id };
        let incident = match (config, db, file, logs) {
            (Some(path), ..) => wanted.in_kafka(path)?,
            (_, Some(path), ..) => wanted.in_embedded(path)?,
            (_, _, Some(path), _) => wanted.in_file(path)?,
            (_, _, _, Some(path)) => {
                let read_as = reading_options(std::env::args().skip(1));
                wanted.in_logs(path, &self.normalizer.config()?, self.normalizer.encoding, &read_as)?
            }
            (None, None, None, None) => bail!("one of --config, --db, --file, --logs is needed"),
        };
        incident.write(&self.out, Style { language: self.lang, zone: self.zone })?;
        println!("{}: report.html, hosts.csv, timeline.jsonl, alert.json", self.out.display());
        Ok(())
    }
}

/// The options among `arguments` that say how logs are read, as they were typed: a replay needs the same ones.
fn reading_options(arguments: impl Iterator<Item = String>) -> Vec<String> {
    const OPTIONS: [&str; 4] = ["--utc-offset", "--time-zone", "--encoding", "--patterns"];
    let mut found = Vec::new();
    let mut arguments = arguments.skip(1); // 1, since the first one is `report`
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        if OPTIONS.contains(&name.as_str()) {
            let value = value.or_else(|| arguments.next()).unwrap_or_default();
            found.push(format!("{name}={}", quoted(Path::new(&value))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_reads_logs_as_the_report_did() {
        let options = |line: &str| reading_options(line.split(' ').map(str::to_owned)).join(" ");
        assert_eq!(options("report wu-1 --logs d --out o"), "");
        assert_eq!(
            options(
                "report wu-1 --utc-offset -02:00 --logs d --encoding=windows-1252 --patterns a.toml --patterns b.toml"
            ),
            "--utc-offset=-02:00 --encoding=windows-1252 --patterns=a.toml --patterns=b.toml"
        );
    }
}
