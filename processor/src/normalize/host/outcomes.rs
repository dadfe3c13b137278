//! How operations on a host's subjects ended: what fails there, and which attempts are told.
//!
//! A subject is what an operation is about: an update, a file, a server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wulog_schemas::hresult::{self, Family};
use wulog_schemas::signal::{Attempt, Fact, Outcome, RawPosition};

use super::{DAY_MS, Facts, Host, Scope};
use crate::normalize::fold::Failure;
use crate::normalize::thread::cut;

/// An outcome that is older than the latest by more than this does not undo it; REPORT EVENT is dated up to 5 s back.
const OUT_OF_ORDER_MS: i64 = 60_000;

/// The latest outcome at one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Subject {
    pub(super) outcome: Outcome,
    pub(super) family: Option<Family>,
    pub(super) code: u32,
    pub(super) since: i64,
    /// Event time of the latest outcome.
    pub(super) last: i64,
    /// Event time of the latest one that was sent since the outcome changed.
    pub(super) sent: Option<i64>,
}

/// How an operation on a subject ended.
struct End {
    subject: String,
    outcome: Outcome,
    family: Option<Family>,
    code: u32,
    operation: String,
    dimensions: BTreeMap<String, String>,
    event_time: i64,
    raw: RawPosition,
}

impl Host {
    /// A file's failure counts.
    pub(in crate::normalize) fn failed(&mut self, failure: Failure, scope: Scope<'_>, out: &mut Facts) {
        let file = failure.path.as_deref().map(|path| path.rsplit(['\\', '/']).next().unwrap_or(path).to_lowercase());
        let subject = match (&failure.update, &file) {
            (Some(update), _) => format!("update:{update}"),
            (None, Some(file)) if failure.family != Family::Tls => format!("file:{file}"),
            _ => {
                let server = failure.server.as_ref().or_else(|| self.dimensions.get("wsus"));
                format!("server:{}", server.map_or("unknown", String::as_str))
            }
        };
        let mut dimensions = failure.dimensions;
        dimensions.extend(failure.update.map(|update| ("update".to_owned(), update)));
        dimensions.extend(file.map(|file| ("file".to_owned(), file)));
        let end = End {
            subject: cut(&subject, scope.config.limits.value_bytes_max).to_owned(),
            outcome: Outcome::Failure,
            family: Some(failure.family),
            code: failure.code,
            operation: failure.operation,
            dimensions,
            event_time: failure.event_time,
            raw: failure.raw,
        };
        self.end(end, scope, out);
    }

    /// An update was downloaded or installed.
    pub(in crate::normalize) fn update_succeeded(
        &mut self,
        update: &str,
        operation: &str,
        dimensions: BTreeMap<String, String>,
        event_time: i64,
        scope: Scope<'_>,
        out: &mut Facts,
    ) {
        let end = End {
            subject: format!("update:{update}"),
            outcome: Outcome::Success,
            family: None,
            code: 0,
            operation: operation.to_owned(),
            dimensions,
            event_time,
            raw: scope.at.raw,
        };
        self.end(end, scope, out);
    }

    /// A file's signature is good: says so where the file failed before.
    pub(in crate::normalize) fn file_succeeded(
        &mut self,
        path: &str,
        event_time: i64,
        scope: Scope<'_>,
        out: &mut Facts,
    ) {
        let file = path.rsplit(['\\', '/']).next().unwrap_or(path).to_lowercase();
        let subject = format!("file:{file}");
        self.succeed_if_failing(
            cut(&subject, scope.config.limits.value_bytes_max),
            "signature",
            event_time,
            scope,
            out,
        );
    }

    fn end(&mut self, end: End, scope: Scope<'_>, out: &mut Facts) {
        let known = self.subjects.get(&end.subject);
        let changed = known.is_none_or(|known| known.outcome != end.outcome);
        if changed && known.is_some_and(|known| end.event_time.saturating_add(OUT_OF_ORDER_MS) < known.last) {
            return;
        }
        let since = match known {
            Some(known) if !changed && end.outcome == Outcome::Failure => known.since.min(end.event_time),
            _ => end.event_time,
        };
        let sent = known.filter(|_| !changed).and_then(|known| known.sent);
        let send = self.caught_up && sent.is_none_or(|sent| end.event_time >= sent.saturating_add(DAY_MS));
        let last = known.map_or(end.event_time, |known| known.last.max(end.event_time));
        let was_failing = known.is_some_and(|known| known.outcome == Outcome::Failure);
        // Facts go first and without this outcome, so that the detector knows the host when it counts the attempt.
        if send {
            self.send_facts_if_changed(scope, out);
        }
        self.forget_oldest_subject(&end.subject, scope.config.limits.subjects_per_host_max);
        let sent = if send { Some(end.event_time) } else { sent };
        let state = Subject { outcome: end.outcome, family: end.family, code: end.code, since, last, sent };
        self.subjects.insert(end.subject.clone(), state);
        if changed && (was_failing || end.outcome == Outcome::Failure) {
            self.facts_changed(scope);
        }
        if send {
            let attempt = Attempt {
                host: self.named(scope),
                subject: end.subject,
                outcome: end.outcome,
                family: end.family,
                code: end.family.map(|_| hresult::display(end.code)),
                operation: end.operation,
                dimensions: end.dimensions,
                event_time: end.event_time,
                since,
                late: end.event_time < scope.at.log_time.saturating_sub(DAY_MS),
            };
            out.push((end.raw, Fact::Attempt(attempt)));
        }
    }

    pub(super) fn succeed_if_failing(
        &mut self,
        subject: &str,
        operation: &str,
        event_time: i64,
        scope: Scope<'_>,
        out: &mut Facts,
    ) {
        if self.subjects.get(subject).is_none_or(|known| known.outcome != Outcome::Failure) {
            return;
        }
        let end = End {
            subject: subject.to_owned(),
            outcome: Outcome::Success,
            family: None,
            code: 0,
            operation: operation.to_owned(),
            dimensions: BTreeMap::new(),
            event_time,
            raw: scope.at.raw,
        };
        self.end(end, scope, out);
    }

    fn forget_oldest_subject(&mut self, keep: &str, subjects_max: usize) {
        if self.subjects.len() < subjects_max.max(1) || self.subjects.contains_key(keep) {
            return;
        }
        let oldest = self.subjects.iter().min_by_key(|(_, subject)| subject.last).map(|(name, _)| name.clone());
        if let Some(oldest) = oldest {
            self.subjects.remove(&oldest);
        }
    }
}
