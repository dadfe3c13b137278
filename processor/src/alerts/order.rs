//! `alerts ack|silence|note|clear`: orders of operators, written to `wulog.signals` for the detector.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use wulog_schemas::handling::{Order, OrderKind, Scope};
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{Fact, RawPosition, Signal, VERSION};
use wulog_schemas::topic::Topic;
use wulog_service::Clock;

use super::source::OrderLog;
use crate::config::Config;
use crate::log::embedded::{EmbeddedConfig, EmbeddedLog};
use crate::log::kafka::append;
use crate::log::{Log, Write};

/// The record key of an order.
const KEY: &str = "handling";

/// Who gives an order, until when and why.
#[derive(Debug, Args)]
pub(super) struct Given {
    /// Who; by default the user of this terminal.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "operator")]
    by: String,
    /// Until when, RFC 3339; without it, until the incident ends.
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// The reason, shown with the incident.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    why: String,
}

/// Which incidents, where not one is named.
#[derive(Debug, Default, Args)]
pub(super) struct Covers {
    /// Incidents of this family of codes.
    #[arg(long, value_name = "FAMILY", value_parser = family)]
    family: Option<Family>,
    /// Incidents with this common factor, such as label.site=BER.
    #[arg(long, value_name = "DIMENSION=VALUE")]
    label: Option<String>,
    /// Incidents in which this update fails: its id, or its KB.
    #[arg(long, value_name = "UPDATE")]
    update: Option<String>,
}

fn family(text: &str) -> Result<Family, String> {
    let names = || Family::ALL.map(|family| family.as_str()).join(", ");
    Family::ALL.into_iter().find(|family| family.as_str() == text).ok_or_else(|| format!("one of {}", names()))
}

impl Given {
    /// The order.
    ///
    /// # Errors
    /// Where it covers nothing in particular, or ends in the past.
    pub(super) fn order(&self, action: OrderKind, incident: Option<String>, covers: &Covers) -> anyhow::Result<Order> {
        let scope =
            Scope { incident, family: covers.family, label: covers.label.clone(), update: covers.update.clone() };
        ensure!(scope != Scope::default(), "name an incident, or --family, --label or --update");
        ensure!(scope.label.as_ref().is_none_or(|label| label.contains('=')), "--label takes DIMENSION=VALUE");
        if let Some(until) = self.until {
            ensure!(until > Utc::now(), "--until {until} is in the past");
        }
        ensure!(
            action != OrderKind::Silence || self.until.is_some() || scope.incident.is_some(),
            "a silence that names no incident needs --until: it would never end"
        );
        let until = self.until.map(|until| until.timestamp_millis());
        Ok(Order { action, scope, by: self.by.clone(), until, why: self.why.clone() })
    }
}

/// Writes an order to the log that a configuration or a file names.
///
/// # Errors
/// As the log says.
pub(super) fn give(order: Order, log: &OrderLog) -> anyhow::Result<()> {
    let now_ms = Clock::System.now_ms();
    // No raw record made it.
    let raw = RawPosition { partition: -1, offset: 0 };
    let signal = Signal { v: VERSION, log_time: now_ms, raw, fact: Fact::Handling(order) };
    let value = serde_json::to_vec(&signal)?;
    match (&log.config, &log.db) {
        (Some(path), _) => {
            let config = Config::read(path)?;
            append(&config.kafka, Topic::Signals, 0, KEY, Some(&value))?;
        }
        (_, Some(path)) => {
            let mut log = EmbeddedLog::open(&EmbeddedConfig::of_file(path)?, KEY, Topic::Signals)?;
            let write = Write {
                topic: Topic::Signals,
                partition: 0,
                timestamp_ms: now_ms,
                key: KEY.into(),
                header: None,
                value: Some(value.into()),
            };
            log.commit(&[write], &BTreeMap::new())?;
        }
        (None, None) => bail!("one of --config, --db is needed"),
    }
    Ok(())
}
