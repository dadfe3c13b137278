//! Alertmanager's API v2: one alert per incident, sent again while the incident is open.
//!
//! Alertmanager keeps alerts in memory and resolves those that are not sent again, so every alert has an `endsAt` a few
//! intervals ahead. An alert is its set of labels: where the severity changes, the same request resolves the old set.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use wulog_schemas::alert::{Alert, IncidentKind, Level, State, Transition, UtcTime};

use super::backlog::Item;
use super::channel::{Channel, DeliveryOutcome, other_kind};
use super::endpoint::Endpoint;
use super::filter::Silenced;
use super::settings::{ChannelConfig, ChannelKind, EndpointConfig};
use super::summary::summary;
use crate::language::Language;
use crate::report::print_alert;

/// Intervals that an alert lives after it was last sent, as an alert of Prometheus does.
const LIVES_INTERVALS: i64 = 4;
/// The path at which Alertmanager takes alerts.
const PATH: &str = "/api/v2/alerts";
/// Columns of the description.
const COLUMNS: usize = 80;

/// A channel to Alertmanager.
pub(super) struct Alertmanager {
    endpoint: Endpoint,
    resend_ms: i64,
    link: Option<String>,
    language: Language,
    ends_silenced: bool,
    open: BTreeMap<String, Firing>,
    tended_ms: i64,
}

/// An open incident.
struct Firing {
    alert: Alert,
    /// Severities under which Alertmanager may hold the alert.
    told: BTreeSet<Level>,
    /// When the incident was opened, or last reopened.
    starts_ms: i64,
}

#[derive(Serialize)]
struct Posted<'a> {
    labels: BTreeMap<&'static str, &'a str>,
    annotations: BTreeMap<&'static str, String>,
    #[serde(rename = "startsAt")]
    starts_at: UtcTime,
    #[serde(rename = "endsAt")]
    ends_at: UtcTime,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

impl Alertmanager {
    /// Looks up secrets; reaches nothing yet.
    ///
    /// # Errors
    /// Names the key, file or variable at fault.
    pub(super) fn open(
        config: &ChannelConfig,
        http: &EndpointConfig,
        resend: Duration,
        link: Option<String>,
    ) -> Result<Alertmanager, String> {
        Ok(Alertmanager {
            endpoint: Endpoint::open(config, http, PATH)?,
            resend_ms: i64::try_from(resend.as_millis()).unwrap_or(i64::MAX / 8),
            link,
            language: config.language,
            ends_silenced: config.wants.silenced == Silenced::Hold,
            open: BTreeMap::new(),
            tended_ms: i64::MIN,
        })
    }

    /// Notes a document. `told` says that Alertmanager has it.
    fn learn(&mut self, alert: &Alert, told: bool) {
        let begins = matches!(alert.transition, Transition::Opened | Transition::Reopened);
        let starts_ms = if begins { alert.time.updated.0 } else { alert.time.opened.0 };
        let firing = self.open.entry(alert.id.clone()).or_insert_with(|| Firing {
            alert: alert.clone(),
            told: BTreeSet::new(),
            starts_ms,
        });
        if begins {
            firing.starts_ms = starts_ms;
        }
        if told {
            // The request with this severity ended the earlier severities. To end them again would notify again.
            firing.told = BTreeSet::from([alert.severity.level]);
        }
        firing.alert = alert.clone();
    }

    /// The alerts to post for an incident: the current one, and the end of each alert under another severity.
    fn alerts<'a>(&self, firing: &'a Firing, sample: bool, now_ms: i64) -> Vec<Posted<'a>> {
        let alert = &firing.alert;
        let silenced = self.ends_silenced && alert.handling.silenced_until(now_ms).is_some();
        let fires = alert.state == State::Open && !silenced && !sample;
        let level = alert.severity.level;
        let mut levels: BTreeSet<Level> = firing.told.clone();
        levels.insert(level);
        let lives_ms = self.resend_ms.saturating_mul(LIVES_INTERVALS);
        let post = |of: Level| Posted {
            labels: BTreeMap::from([
                ("alertname", name(alert, sample)),
                ("wulog_id", alert.id.as_str()),
                ("family", alert.family.as_str()),
                ("severity", word(of)),
            ]),
            annotations: self.annotations(alert),
            starts_at: UtcTime(firing.starts_ms.min(now_ms)),
            ends_at: UtcTime(if fires && of == level { now_ms.saturating_add(lives_ms) } else { now_ms }),
            generator_url: self.link.as_ref().map(|link| link.replace("{id}", &alert.id)),
        };
        levels.into_iter().map(post).collect()
    }

    fn annotations(&self, alert: &Alert) -> BTreeMap<&'static str, String> {
        let mut annotations = BTreeMap::from([
            ("summary", summary(alert, self.language)),
            ("description", print_alert(alert, COLUMNS)),
            ("affected", alert.hosts.affected.to_string()),
            ("active", alert.hosts.active.to_string()),
            ("seq", alert.seq.to_string()),
            ("transition", alert.transition.to_string()),
        ]);
        if let Some(note) = &alert.handling.acknowledged {
            annotations.insert("acknowledged", format!("{}: {}", note.by, note.why));
        }
        if let Some(id) = &alert.related.merged_into {
            annotations.insert("merged_into", id.clone());
        }
        annotations
    }

    fn post(&self, firing: &Firing, sample: bool, now_ms: i64) -> DeliveryOutcome {
        let body = serde_json::to_vec(&self.alerts(firing, sample, now_ms)).expect("alerts hold only strings");
        match self.endpoint.post(&[("content-type", "application/json".to_owned())], &body) {
            Ok(answer) => self.endpoint.judge(answer),
            Err(outcome) => outcome,
        }
    }
}

impl Channel for Alertmanager {
    fn deliver(&mut self, item: &Item, now_ms: i64) -> DeliveryOutcome {
        let alert = &item.alert;
        if item.sample {
            let firing = Firing { alert: alert.clone(), told: BTreeSet::new(), starts_ms: now_ms };
            return self.post(&firing, true, now_ms);
        }
        self.learn(alert, false);
        let Some(firing) = self.open.get(&alert.id) else { return DeliveryOutcome::Delivered(String::new()) };
        let outcome = self.post(firing, false, now_ms);
        if !matches!(outcome, DeliveryOutcome::Retry { .. } | DeliveryOutcome::Barred(_)) {
            if alert.state == State::Open {
                if let Some(firing) = self.open.get_mut(&alert.id) {
                    firing.told = BTreeSet::from([alert.severity.level]);
                }
            } else {
                self.open.remove(&alert.id);
            }
        }
        outcome
    }

    fn renew(&mut self, config: &ChannelConfig) -> Result<(), String> {
        let ChannelKind::Alertmanager { http, .. } = &config.kind else { return Err(other_kind()) };
        self.endpoint = Endpoint::open(config, http, PATH)?;
        Ok(())
    }

    fn recall(&mut self, alert: &Alert, sent: bool) {
        if alert.state != State::Open {
            self.open.remove(&alert.id);
        } else if sent {
            self.learn(alert, true);
        }
    }

    fn tend(&mut self, now_ms: i64) -> DeliveryOutcome {
        if now_ms.saturating_sub(self.tended_ms) < self.resend_ms {
            return DeliveryOutcome::Delivered(String::new());
        }
        self.tended_ms = now_ms;
        for firing in self.open.values() {
            // One request for each alert: of several alerts in one request Alertmanager takes the valid ones and
            // answers 400.
            let outcome = self.post(firing, false, now_ms);
            if !matches!(outcome, DeliveryOutcome::Delivered(_)) {
                return outcome;
            }
        }
        DeliveryOutcome::Delivered(String::new())
    }

    fn forget(&mut self) {
        self.open.clear();
        self.tended_ms = i64::MIN;
    }
}

/// The name by which routes tell incidents of failures from warnings.
fn name(alert: &Alert, sample: bool) -> &'static str {
    match alert.kind {
        _ if sample => "WulogTest",
        IncidentKind::Failures => "WulogCertificateTrust",
        IncidentKind::Warning => "WulogCertificateWarning",
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Low => "low",
        Level::Medium => "medium",
        Level::High => "high",
        Level::Critical => "critical",
    }
}
