//! The status page: incidents, hosts, certificates and the pipeline, as pages for people and as JSON. It only reads.
//!
//! ```text
//! wulog.alerts -> follow -> Incidents --\
//! Detector's shell <- question ----------+-> overview, incident, hosts, certificates, pipeline -> pages
//! Metrics -> samples -------------------/                                                    \-> api -> JSON
//! ```
//!
//! Every process follows the alerts itself and so shows all incidents. Questions about hosts are answered by the process
//! whose shell has the Detector; the others name it. ADR 0901 has the reasons.

mod api;
mod certificates;
mod events;
mod filter;
mod follow;
mod guard;
mod hosts;
mod incident;
mod incidents;
mod layout;
mod openapi;
mod overview;
mod pipeline;
mod table;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use axum::Router;
use axum::routing::get;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use wulog_schemas::alert::Alert;
use wulog_schemas::signal::RawPosition;

pub use filter::{Filter, ROWS_MAX};
pub use follow::AlertsLog;
pub use guard::Access;
pub(crate) use guard::{TOKEN_BYTES_MIN, guard};
pub use incidents::{IncidentDocuments, IncidentIndex};
pub use openapi::openapi;

use crate::log::Record;
use crate::log::kafka::Surroundings;
use crate::metrics::{ChannelFigures, Metrics, PartitionFigures};
use crate::question::{Asker, FleetState, NoAnswer};

/// Samples of a partition's lag: 20 minutes, one each 10 s.
const SAMPLES_MAX: usize = 120;
/// Incidents whose raw lines are kept: at most ten lines each.
const EVIDENCE_MAX: usize = 50;
/// Maximum number of incidents whose raw lines wait to be read.
const EVIDENCE_WANTED_MAX: usize = 8;
/// Maximum number of streams: half of the connections, so that streams never block `/metrics`.
const STREAMS_MAX: usize = 32;

/// All data of the pages. The follower's thread writes, the HTTP server's thread reads.
#[derive(Debug)]
pub struct Status {
    log: AlertsLog,
    /// Name of this process; empty for `standalone`.
    instance: String,
    incidents: RwLock<IncidentIndex>,
    reading: Mutex<AlertsProgress>,
    surroundings: Mutex<Option<Result<Surroundings, String>>>,
    lags: Mutex<BTreeMap<(&'static str, i32), VecDeque<i64>>>,
    evidence: Mutex<EvidenceCache>,
    metrics: Metrics,
    asker: Asker,
    /// Asks the Normalizers of this process; `None` where no machine answers about files.
    file_asker: Option<Asker>,
    /// Counter of changes of the pages.
    version: watch::Sender<u64>,
    /// The state of the pipeline for which the version was last incremented.
    shown: Mutex<String>,
    streams: Semaphore,
}

/// Raw lines of the incidents whose pages were opened. The follower reads them, so that no page waits for the log.
#[derive(Debug, Default)]
struct EvidenceCache {
    /// By id: the document for which the lines were read, and the lines.
    known: BTreeMap<String, (u32, BTreeMap<RawPosition, String>)>,
    wanted: BTreeSet<String>,
}

/// The progress of reading the alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AlertsProgress {
    Starting,
    Done,
    Failed(String),
}

/// The pipeline of this process, and Kafka's view of the other processes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PipelineStatus {
    partitions: Vec<PartitionStatus>,
    channels: Vec<ChannelFigures>,
    /// Brokers that answer; `None` without Kafka, or where Kafka does not answer.
    brokers: Option<u64>,
    brokers_away: Vec<i32>,
    /// The reason for which the owners of partitions are not known.
    kafka_error: Option<String>,
}

/// A partition: its owner, and its lag if this process has it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PartitionStatus {
    machine: &'static str,
    partition: i32,
    owner: Option<String>,
    owner_host: Option<String>,
    lag_records: Option<i64>,
    lag_seconds: Option<f64>,
    /// Lag in records, one value each 10 s, the newest last.
    lag_records_before: Vec<i64>,
}

impl Status {
    /// The status of a process that reads alerts from `log`.
    #[must_use]
    pub fn new(log: AlertsLog, metrics: &Metrics, asker: Asker) -> Status {
        let instance = match &log {
            AlertsLog::Kafka(config) => config.instance.clone(),
            AlertsLog::Embedded(_) => String::new(),
        };
        Status {
            log,
            instance,
            incidents: RwLock::default(),
            reading: Mutex::new(AlertsProgress::Starting),
            surroundings: Mutex::default(),
            lags: Mutex::default(),
            evidence: Mutex::default(),
            metrics: metrics.clone(),
            asker,
            file_asker: None,
            version: watch::Sender::new(1),
            shown: Mutex::default(),
            streams: Semaphore::new(STREAMS_MAX),
        }
    }

    /// Sets `asker` for questions about the files of hosts.
    #[must_use]
    pub fn asking_for_files(self, asker: Asker) -> Status {
        Status { file_asker: Some(asker), ..self }
    }

    /// Follows the alerts until `stop`.
    ///
    /// # Errors
    /// None: problems are shown on the page, since the pipeline does not need this thread.
    pub fn run(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        follow::follow(self, &self.log, stop);
        Ok(())
    }

    fn take(&self, records: &[Record], is_end: bool) {
        let mut incidents = self.incidents.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for record in records {
            changed |= incidents.take(&record.value);
        }
        drop(incidents);
        let mut reading = locked(&self.reading);
        let now = if is_end { AlertsProgress::Done } else { reading.clone() };
        let is_news = changed || *reading != now;
        *reading = now;
        drop(reading);
        // While old documents are read, a page would change hundreds of times a second.
        if is_news && *locked(&self.reading) == AlertsProgress::Done {
            self.count_up();
        }
    }

    /// Notes that the alerts cannot be read; returns true if this is a change.
    fn reading_failed(&self, why: &str) -> bool {
        let failed = AlertsProgress::Failed(why.to_owned());
        let before = std::mem::replace(&mut *locked(&self.reading), failed.clone());
        let is_news = before != failed;
        if is_news {
            self.count_up();
        }
        is_news
    }

    /// The raw lines of an incident that are already read; missing ones are read next.
    fn evidence(&self, alert: &Alert) -> BTreeMap<RawPosition, String> {
        let mut evidence = locked(&self.evidence);
        let known = evidence.known.get(&alert.id).cloned();
        let is_current = known.as_ref().is_some_and(|(seq, _)| *seq == alert.seq);
        if !is_current && evidence.wanted.len() < EVIDENCE_WANTED_MAX {
            evidence.wanted.insert(alert.id.clone());
        }
        known.map(|(_, lines)| lines).unwrap_or_default()
    }

    /// The newest document of an incident whose raw lines are needed.
    fn evidence_wanted(&self) -> Option<Alert> {
        let id = locked(&self.evidence).wanted.pop_first()?;
        self.incidents().get(&id).map(|known| known.newest.clone())
    }

    fn evidence_read(&self, alert: &Alert, lines: BTreeMap<RawPosition, String>) {
        let mut evidence = locked(&self.evidence);
        let is_news = evidence.known.get(&alert.id).map(|(_, known)| known).unwrap_or(&BTreeMap::new()) != &lines;
        evidence.known.insert(alert.id.clone(), (alert.seq, lines));
        if evidence.known.len() > EVIDENCE_MAX {
            let other = evidence.known.keys().find(|id| **id != alert.id).cloned();
            other.and_then(|id| evidence.known.remove(&id));
        }
        drop(evidence);
        if is_news {
            self.count_up();
        }
    }

    fn surrounded_by(&self, surroundings: Result<Surroundings, String>) {
        *locked(&self.surroundings) = Some(surroundings);
    }

    /// Samples the lag of each partition, and increments the version if the pipeline has changed.
    fn sample(&self) {
        let partitions = self.metrics.partitions();
        let mut lags = locked(&self.lags);
        lags.retain(|place, _| partitions.iter().any(|known| (known.machine, known.partition) == *place));
        for known in &partitions {
            let samples = lags.entry((known.machine, known.partition)).or_default();
            samples.push_back(known.lag_records.unwrap_or(0));
            if samples.len() > SAMPLES_MAX {
                samples.pop_front();
            }
        }
        drop(lags);
        let rendered = self.metrics.render();
        let hosts: Vec<&str> = rendered.lines().filter(|line| line.contains("figure=\"hosts_by_state\"")).collect();
        let surroundings = locked(&self.surroundings).clone();
        let now = format!("{partitions:?}{:?}{surroundings:?}{:?}{hosts:?}", self.metrics.channels(), self.problems());
        if std::mem::replace(&mut *locked(&self.shown), now.clone()) != now {
            self.count_up();
        }
    }

    fn count_up(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn version(&self) -> u64 {
        *self.version.borrow()
    }

    fn incidents(&self) -> RwLockReadGuard<'_, IncidentIndex> {
        self.incidents.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fleet(&self) -> Result<FleetState, NoAnswer> {
        self.asker.fleet().await
    }

    /// The problems of wulog itself, in words.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(why) = self.metrics.readiness(Instant::now()) {
            problems.push(format!("This process is not ready: {why}."));
        }
        problems.extend(self.metrics.problems());
        match &*locked(&self.reading) {
            AlertsProgress::Starting => problems.push("The alerts are still being read.".to_owned()),
            AlertsProgress::Failed(why) => problems.push(format!("The alerts cannot be read: {why}.")),
            AlertsProgress::Done => {}
        }
        if let Some(Err(why)) = &*locked(&self.surroundings) {
            problems.push(format!("Kafka does not say who has which partition: {why}."));
        }
        if let Some(Ok(known)) = &*locked(&self.surroundings)
            && !known.brokers_away.is_empty()
        {
            let ids: Vec<String> = known.brokers_away.iter().map(i32::to_string).collect();
            problems.push(format!("Brokers are away: {}.", ids.join(", ")));
        }
        for channel in self.metrics.channels() {
            if let Some(age) = channel.oldest_seconds.filter(|age| *age >= CHANNEL_AGE_MAX) {
                let minutes = (age / 60.0).round();
                problems.push(format!(
                    "The channel {:?} has not delivered an alert for {minutes} minutes: look at the log of this process.",
                    channel.name
                ));
            }
            if let Some(parked) = channel.parked_now.filter(|parked| *parked > 0) {
                let (name, alerts) = (&channel.name, if parked == 1 { "alert" } else { "alerts" });
                problems.push(format!(
                    "The channel {name:?} has set aside {parked} {alerts} that its endpoint refused: `wulog-processor channels \
                     status` says why, `channels replay {name} --since TIME` sends them again."
                ));
            }
        }
        problems
    }

    /// The instance that runs the Detector, by Kafka's answer, with the address from which it reaches Kafka.
    fn detector_at(&self) -> Option<(String, String)> {
        let surroundings = locked(&self.surroundings);
        let owners = surroundings.as_ref()?.as_ref().ok()?;
        let owner = owners.owners.iter().find(|owner| owner.machine == "detector")?;
        (owner.instance != self.instance).then(|| (owner.instance.clone(), owner.host.clone()))
    }

    /// The reason for which a question has no answer, and the process that has it.
    fn why_unanswered(&self, why: NoAnswer) -> String {
        match (why, self.detector_at()) {
            (NoAnswer::Elsewhere, Some((instance, host))) => format!(
                "The Detector runs in the processor {instance:?} at {host}: open the status page there. Only that process \
                 knows single hosts."
            ),
            (NoAnswer::Elsewhere, None) => format!("No answer: {why}."),
            (NoAnswer::Busy | NoAnswer::TooMany, _) => format!("No answer: {why}."),
        }
    }

    fn pipeline(&self) -> PipelineStatus {
        let surroundings = locked(&self.surroundings).clone();
        let lags = locked(&self.lags);
        let here: BTreeMap<(&'static str, i32), PartitionFigures> =
            self.metrics.partitions().into_iter().map(|known| ((known.machine, known.partition), known)).collect();
        let owners = surroundings.as_ref().and_then(|known| known.as_ref().ok()).map(|known| &known.owners);
        let owned = owners.into_iter().flatten().map(|owner| (owner.machine, owner.partition));
        let places: BTreeSet<(&'static str, i32)> = here.keys().copied().chain(owned).collect();
        let partitions = places.into_iter().map(|place| {
            let owner = owners.and_then(|owners| owners.iter().find(|owner| (owner.machine, owner.partition) == place));
            let figures = here.get(&place);
            PartitionStatus {
                machine: place.0,
                partition: place.1,
                owner: owner.map(|owner| owner.instance.clone()),
                owner_host: owner.map(|owner| owner.host.clone()),
                lag_records: figures.and_then(|figures| figures.lag_records),
                lag_seconds: figures.and_then(|figures| figures.lag_seconds),
                lag_records_before: lags
                    .get(&place)
                    .map(|samples| samples.iter().copied().collect())
                    .unwrap_or_default(),
            }
        });
        PipelineStatus {
            partitions: partitions.collect(),
            channels: self.metrics.channels(),
            brokers: surroundings.as_ref().and_then(|known| known.as_ref().ok()).map(|known| known.brokers),
            brokers_away: surroundings
                .as_ref()
                .and_then(|known| known.as_ref().ok())
                .map(|known| known.brokers_away.clone())
                .unwrap_or_default(),
            kafka_error: surroundings.and_then(Result::err),
        }
    }
}

/// A channel without a delivery for this long is a problem; short outages of an endpoint are not.
const CHANNEL_AGE_MAX: f64 = 300.0;

/// Paths of the pages and of the API; `api/openapi` describes those below `/api/`.
pub(crate) fn routes() -> Router<std::sync::Arc<Status>> {
    Router::new()
        .route("/", get(overview::page))
        .route("/incidents.csv", get(overview::csv))
        .route("/incidents/{id}", get(incident::page))
        .route("/incidents/{id}/hosts.csv", get(incident::csv))
        .route("/hosts", get(hosts::list))
        .route("/hosts/{name}", get(hosts::page))
        .route("/certificates", get(certificates::page))
        .route("/pipeline", get(pipeline::page))
        .route("/status.css", get(layout::style))
        .route("/status.js", get(layout::script))
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/incidents", get(api::incidents))
        .route("/api/v1/incidents/{id}", get(api::incident))
        .route("/api/v1/hosts", get(api::hosts))
        .route("/api/v1/hosts/{name}", get(api::host))
        .route("/api/v1/certificates", get(api::certificates))
        .route("/api/v1/pipeline", get(api::pipeline))
        .route("/api/v1/events", get(events::stream))
        .route("/api/v1/openapi.json", get(openapi::answer))
}

fn locked<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
