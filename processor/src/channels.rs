//! The command line of `channels`: try one, look at all, handle what is set aside.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use wulog_schemas::alert::{Alert, UtcTime};
use wulog_schemas::topic::Topic;
use wulog_service::Clock;

use crate::config::{Config, StandaloneConfig};
use crate::deliver::backlog::{DeliveryMode, Item};
use crate::deliver::channel::DeliveryOutcome;
use crate::deliver::set_aside::{self, HELD, LATE, PARKED, RECIPIENT, SKIP, SetAside};
use crate::deliver::{ChannelConfig, open, sample};
use crate::log::alert_queue::AlertQueue;
use crate::log::embedded::{EmbeddedConfig, EmbeddedQueue};
use crate::log::kafka::{KafkaBystander, KafkaConfig};

/// Arguments of `channels`.
#[derive(Debug, Args)]
pub(crate) struct ChannelsArgs {
    #[command(subcommand)]
    what: ChannelsVerb,
}

#[derive(Debug, Subcommand)]
enum ChannelsVerb {
    /// Send a document that is marked as a test, and print the answer.
    Test {
        /// The channel.
        name: String,
        #[command(flatten)]
        from: ChannelsFrom,
    },
    /// The last delivery, the backlog and the parked alerts of each channel.
    Status {
        #[command(flatten)]
        from: ChannelsFrom,
    },
    /// Send parked alerts again, each under its own key.
    Replay {
        /// The channel.
        name: String,
        /// Only those parked at or after this time, RFC 3339.
        #[arg(long, value_name = "TIME")]
        since: DateTime<Utc>,
        /// Every alert of that time, also those that were delivered.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        from: ChannelsFrom,
    },
    /// Give up one alert: a parked alert, or the alert that a channel retries.
    Skip {
        /// The channel.
        name: String,
        /// The alert, as `channels status` prints it.
        #[arg(value_name = "ID/SEQ")]
        key: String,
        #[command(flatten)]
        from: ChannelsFrom,
    },
}

/// Where channels are configured and where their log is.
#[derive(Debug, Args)]
struct ChannelsFrom {
    /// The configuration: processor.toml, or that of `standalone`.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The SQLite file of `standalone`; without it the log is Kafka.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
}

/// The channels, and how their queues are opened.
struct Channels {
    channels: Vec<ChannelConfig>,
    log: ChannelLog,
}

enum ChannelLog {
    Kafka(KafkaConfig),
    Embedded(EmbeddedConfig),
}

/// A queue that is looked at from outside.
enum Opened {
    Kafka(Box<KafkaBystander>),
    Embedded(EmbeddedQueue),
}

impl Opened {
    fn queue(&mut self) -> &mut dyn AlertQueue {
        match self {
            Opened::Kafka(bystander) => bystander.queue(),
            Opened::Embedded(queue) => queue,
        }
    }
}

impl ChannelsFrom {
    fn place(&self, needs_log: bool) -> anyhow::Result<Channels> {
        let Some(db) = &self.db else {
            if !needs_log && let Ok(standalone) = StandaloneConfig::read(&self.config) {
                return Ok(Channels {
                    channels: standalone.channels,
                    log: ChannelLog::Embedded(EmbeddedConfig::at(&self.config)),
                });
            }
            let config = Config::read(&self.config)?;
            return Ok(Channels { channels: config.channels, log: ChannelLog::Kafka(config.kafka) });
        };
        let log = EmbeddedConfig::of_file(db)?;
        let config = StandaloneConfig::read(&self.config)?;
        Ok(Channels { channels: config.channels, log: ChannelLog::Embedded(log) })
    }
}

impl Channels {
    fn channel(&self, name: &str) -> anyhow::Result<&ChannelConfig> {
        let names = || self.channels.iter().map(|channel| channel.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = self.channels.iter().find(|channel| channel.name == name);
        found.with_context(|| format!("no channel {name:?}; the configuration has: {}", names()))
    }

    fn open(&self, name: &str) -> anyhow::Result<Opened> {
        Ok(match &self.log {
            ChannelLog::Kafka(config) => Opened::Kafka(Box::new(KafkaBystander::open(config, name)?)),
            ChannelLog::Embedded(config) => Opened::Embedded(EmbeddedQueue::open(config, name)?),
        })
    }
}

impl ChannelsArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        match &self.what {
            ChannelsVerb::Test { name, from } => {
                let place = from.place(false)?;
                writeln!(out, "{name}: {}", test(place.channel(name)?)?)?;
            }
            ChannelsVerb::Status { from } => {
                let place = from.place(true)?;
                ensure!(!place.channels.is_empty(), "{}: no [[channels]]", from.config.display());
                for channel in &place.channels {
                    out.write_all(status(channel, place.open(&channel.name)?.queue())?.as_bytes())?;
                }
            }
            ChannelsVerb::Replay { name, since, all, from } => {
                let place = from.place(true)?;
                let channel = place.channel(name)?;
                let (sent, failed) =
                    replay(channel, place.open(name)?.queue(), since.timestamp_millis(), *all, &mut out)?;
                ensure!(failed == 0, "{failed} of {} alerts could not be delivered", sent + failed);
                writeln!(out, "{sent} alerts delivered")?;
            }
            ChannelsVerb::Skip { name, key, from } => {
                let place = from.place(true)?;
                place.channel(name)?;
                writeln!(out, "{}", skip(key, place.open(name)?.queue())?)?;
            }
        }
        Ok(())
    }
}

fn test(config: &ChannelConfig) -> anyhow::Result<String> {
    let alert = sample::marked();
    let bytes = serde_json::to_vec(&alert)?;
    let mut channel = open::open(config).map_err(anyhow::Error::msg)?;
    match channel.deliver(&Item { alert, bytes, offset: -1, sample: true }, Clock::System.now_ms()) {
        DeliveryOutcome::Delivered(answer) => Ok(format!("delivered, answer: {answer}")),
        DeliveryOutcome::Partly { answer, lacking } => {
            let each = lacking.iter().map(|one| format!("{}: {}", one.recipient, one.why));
            let answer = answer.unwrap_or_else(|| "none".to_owned());
            bail!(
                "not delivered to every recipient; {}; answer for the others: {answer}",
                each.collect::<Vec<_>>().join("; ")
            )
        }
        DeliveryOutcome::Retry { why, .. } | DeliveryOutcome::Barred(why) => {
            bail!("not delivered, and an alert would be tried again: {why}")
        }
        DeliveryOutcome::Refused(why) => bail!("refused, and an alert would be parked: {why}"),
    }
}

fn status(config: &ChannelConfig, queue: &mut dyn AlertQueue) -> anyhow::Result<String> {
    let position = queue.committed()?;
    let notes = queue.notes()?;
    let next = position.as_ref().map(|position| position.next);
    let mut waiting = 0_u64;
    let mut oldest: Option<i64> = None;
    queue.read_all(&mut |record| {
        if next.is_some_and(|next| record.offset >= next) && !record.value.is_empty() {
            waiting += 1;
            oldest = oldest.or(Some(record.timestamp_ms));
        }
    })?;
    let mode = if config.delivery == DeliveryMode::State { "state" } else { "journal" };
    let mut text = format!("{} ({mode})\n", config.name);
    match position.and_then(|position| position.last) {
        Some(last) => text += &format!("  last delivery  {}/{} at {}\n", last.id, last.seq, UtcTime(last.time_ms)),
        None if next.is_none() => text += "  never started\n",
        None => text += "  last delivery  none yet\n",
    }
    text += &match oldest {
        Some(oldest) => format!("  backlog        {waiting}, the oldest of {}\n", UtcTime(oldest)),
        None => "  backlog        0\n".to_owned(),
    };
    for held in set_aside::among(&notes, HELD) {
        let until = UtcTime(held.until_ms.unwrap_or_default());
        text += &format!("  held           {}/{} until {until}: {}\n", held.id, held.seq, held.reason);
    }
    for late in set_aside::among(&notes, LATE) {
        let (to, again) = (late.recipients.join(", "), UtcTime(late.until_ms.unwrap_or_default()));
        text += &format!("  waiting        {}/{} for {to}, again at {again}: {}\n", late.id, late.seq, late.reason);
    }
    for (key, value) in &notes {
        if let Some(recipient) = key.strip_prefix(RECIPIENT)
            && let Ok(refused) = serde_json::from_slice::<SetAside>(value)
        {
            let at = UtcTime(refused.at_ms);
            text += &format!(
                "  refused        {recipient}, last {}/{} at {at}: {}\n",
                refused.id, refused.seq, refused.reason
            );
        }
    }
    for parked in set_aside::among(&notes, PARKED) {
        text +=
            &format!("  parked         {}/{} at {}: {}\n", parked.id, parked.seq, UtcTime(parked.at_ms), parked.reason);
    }
    Ok(text)
}

fn replay(
    config: &ChannelConfig,
    queue: &mut dyn AlertQueue,
    since_ms: i64,
    all: bool,
    out: &mut impl Write,
) -> anyhow::Result<(u64, u64)> {
    let parked: BTreeMap<i64, SetAside> = set_aside::among(&queue.notes()?, PARKED)
        .into_iter()
        .filter(|aside| aside.at_ms >= since_ms)
        .map(|aside| (aside.offset, aside))
        .collect();
    let mut items = Vec::new();
    queue.read_all(&mut |record| {
        let wanted = parked.contains_key(&record.offset) || all && record.timestamp_ms >= since_ms;
        if wanted && let Ok(alert) = serde_json::from_slice::<Alert>(&record.value) {
            items.push(Item { alert, bytes: record.value, offset: record.offset, sample: false });
        }
    })?;
    let found: Vec<i64> = items.iter().map(|item| item.offset).collect();
    for gone in parked.values().filter(|aside| !found.contains(&aside.offset)) {
        writeln!(out, "{}/{}: compaction has removed it from {}; skip it", gone.id, gone.seq, Topic::Alerts.suffix())?;
    }
    let mut channel = open::open(config).map_err(anyhow::Error::msg)?;
    let (mut sent, mut failed) = (0, 0);
    for item in items {
        match channel.deliver(&item, Clock::System.now_ms()) {
            DeliveryOutcome::Delivered(answer) => {
                writeln!(out, "{}: delivered, answer: {answer}", item.key())?;
                sent += 1;
                if let Some(aside) = parked.get(&item.offset) {
                    queue.note(&aside.key(), None)?;
                }
            }
            DeliveryOutcome::Partly { lacking, .. } => {
                for one in lacking {
                    writeln!(out, "{}: not delivered to {}: {}", item.key(), one.recipient, one.why)?;
                }
                failed += 1;
            }
            DeliveryOutcome::Retry { why, .. } | DeliveryOutcome::Barred(why) | DeliveryOutcome::Refused(why) => {
                writeln!(out, "{}: {why}", item.key())?;
                failed += 1;
            }
        }
    }
    Ok((sent, failed))
}

fn skip(key: &str, queue: &mut dyn AlertQueue) -> anyhow::Result<String> {
    let well_formed = key.rsplit_once('/').is_some_and(|(id, seq)| !id.is_empty() && seq.parse::<u32>().is_ok());
    ensure!(well_formed, "{key:?} is not ID/SEQ, such as wu-0123456789abcdef/3");
    let parked = format!("{PARKED}{key}");
    if queue.notes()?.contains_key(&parked) {
        queue.note(&parked, None)?;
        return Ok(format!("{key}: given up, it was parked"));
    }
    queue.note(&format!("{SKIP}{key}"), Some(b"{}"))?;
    Ok(format!("{key}: not parked; the processor gives it up within minutes if its attempts fail"))
}
