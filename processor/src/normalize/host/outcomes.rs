//! Outcomes of operations on a host's subjects: decides what fails at the host, and which attempts become signals.
//!
//! A subject is the object of an operation: an update, a file, the server of a scan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wulog_schemas::alert::NO_WSUS;
use wulog_schemas::hresult::{self, Family};
use wulog_schemas::signal::{Attempt, Fact, NOT_OFFERED, Outcome};

use super::{DAY_MS, FactToSend, FactsToSend, Host, RecordContext};
use crate::normalize::fold::{Failure, ProvisionalSuccess};
use crate::normalize::limit::cut;
use crate::normalize::operation::{AttemptProof, Operation};
use crate::parse::service_name;

/// An outcome that is older than the latest one by more than this changes nothing. REPORT EVENT is dated up to 5 s
/// before its line.
const OUT_OF_ORDER_MS: i64 = 60_000;

/// Longest time between two lines of one failure in two files or threads.
const SAME_FAILURE_MS: i64 = 5 * 60_000;

/// A successful step ends only a failure that is at least this old: after a refusal, other files of the same update
/// continue to be transferred and verified.
const STEP_AFTER_REFUSAL_MS: i64 = 10 * 60_000;

/// Subject of a failure that names neither update, file nor server.
pub(super) const UNKNOWN: &str = "unknown";

/// Stands for a server of Microsoft's update services where no line names the server.
const MICROSOFT: &str = "update.microsoft.com";

/// The outcomes of one subject.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SubjectOutcomes {
    /// The failures that no success has ended, by family.
    pub(super) failing: BTreeMap<Family, OpenFailure>,
    /// Event time of the latest failure, also of an ended one.
    failed: Option<i64>,
    /// Event time of the latest success.
    succeeded: Option<i64>,
    /// The latest success that was sent since the subject last failed.
    success_sent: Option<(i64, Operation)>,
}

/// A family of failures at one subject that no success has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenFailure {
    pub(super) code: u32,
    pub(super) operation: Operation,
    /// Event time of the first failure since the last success.
    pub(super) since: i64,
    /// Event time of the latest failure.
    pub(super) last: i64,
    /// Event time of the latest failure that was sent.
    pub(super) sent: Option<i64>,
    /// Application that asked for the operation.
    pub(super) caller: Option<String>,
}

impl SubjectOutcomes {
    fn latest(&self) -> Option<i64> {
        self.failed.max(self.succeeded)
    }

    /// True for a failure at `time` that a success has already ended: the line came late or was logged again.
    fn is_over(&self, time: i64) -> bool {
        let is_old = self.succeeded.is_some_and(|at| time.saturating_add(OUT_OF_ORDER_MS) < at);
        is_old || self.failing.is_empty() && self.failed.is_some_and(|failed| time <= failed)
    }
}

impl OpenFailure {
    /// True where a success at `time` ends this failure.
    fn ends(&self, operation: Operation, time: i64, weight: SuccessWeight) -> bool {
        let is_after = match weight {
            SuccessWeight::Step => time >= self.last.saturating_add(STEP_AFTER_REFUSAL_MS),
            SuccessWeight::Whole | SuccessWeight::Repair => time.saturating_add(OUT_OF_ORDER_MS) >= self.last,
        };
        is_after && operation.ends(self.operation)
    }
}

/// An operation that succeeded.
pub(in crate::normalize) struct Success {
    pub(in crate::normalize) operation: Operation,
    pub(in crate::normalize) dimensions: BTreeMap<String, String>,
    pub(in crate::normalize) event_time: i64,
    pub(in crate::normalize) proof: AttemptProof,
}

/// Which failures a success may end, and whether it is reported for a subject that did not fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SuccessWeight {
    /// The end of an operation.
    Whole,
    /// A step of an operation.
    Step,
    /// A success that follows from another one; reported only where it ends a failure.
    Repair,
}

impl Host {
    /// Takes a failure that counts, and sends its attempt: the first of its family at the subject, then one a day.
    pub(in crate::normalize) fn failed(&mut self, failure: Failure, scope: RecordContext<'_>, out: &mut FactsToSend) {
        let file = failure.path.as_deref().map(file_name);
        let subject = self.subject_of(&failure, file.as_deref());
        let mut subject = cut(&subject, scope.config.limits.value_bytes_max).to_owned();
        if subject == UNKNOWN
            && let Some(known) = self.same_failure(&failure)
        {
            subject = known;
        }
        let mut dimensions = failure.dimensions;
        let details = [("update", failure.update), ("file", file), ("server", failure.server)];
        dimensions.extend(details.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));

        let (time, family) = (failure.event_time, failure.family);
        let known = self.subjects.get(&subject);
        if known.is_some_and(|known| known.is_over(time)) {
            return;
        }
        let before = known.and_then(|known| known.failing.get(&family));
        let is_new = before.is_none();
        let send = before.and_then(|before| before.sent).is_none_or(|sent| time >= sent.saturating_add(DAY_MS));
        // Facts go first and without this outcome, so that the detector knows the host when it counts the attempt.
        if send {
            self.send_facts_if_unsent(scope, out);
        }
        self.forget_oldest_subject(&subject, scope.config.limits.subjects_per_host_max);
        let known = self.subjects.entry(subject.clone()).or_default();
        let failing = known.failing.entry(family).or_insert(OpenFailure {
            code: failure.code,
            operation: failure.operation,
            since: time,
            last: time,
            sent: None,
            caller: None,
        });
        failing.code = failure.code;
        failing.operation = failing.operation.max(failure.operation);
        failing.since = failing.since.min(time);
        failing.last = failing.last.max(time);
        failing.caller = dimensions.get("caller").cloned().or(failing.caller.take());
        if send {
            failing.sent = Some(time);
        }
        let since = failing.since;
        known.failed = known.failed.max(Some(time));
        known.success_sent = None;
        if is_new {
            self.facts_changed(scope);
        }
        if send {
            let attempt = Attempt {
                host: self.named(scope),
                subject,
                outcome: Outcome::Failure,
                family: Some(family),
                code: Some(hresult::display(failure.code)),
                operation: failure.operation.name().to_owned(),
                dimensions,
                event_time: time,
                since,
                late: time < scope.at.log_time.saturating_sub(DAY_MS),
            };
            out.push(FactToSend { raw: failure.proof.raw, fact: Fact::Attempt(attempt), proof: Some(failure.proof) });
        }
    }

    /// Returns the subject of a failure. The subject of a failed scan is its server, also where the failure itself
    /// concerns an update or a file.
    fn subject_of(&self, failure: &Failure, file: Option<&str>) -> String {
        let at_server = || {
            let of_service = || self.server_of(failure.dimensions.get("service").map(String::as_str));
            let server = failure.server.as_deref().or_else(of_service);
            server.map_or_else(|| UNKNOWN.to_owned(), |server| format!("server:{server}"))
        };
        match (&failure.update, file) {
            _ if failure.operation == Operation::Scan => at_server(),
            // A refused TLS certificate is that of the server, whichever update was fetched from there.
            _ if failure.family == Family::Tls && failure.server.is_some() => at_server(),
            (Some(update), _) => format!("update:{update}"),
            (None, Some(file)) if failure.family != Family::Tls => format!("file:{file}"),
            _ if failure.family == Family::Tls => at_server(),
            // Only a server that the line or its thread named; the configured server would be a guess.
            _ => failure.server.as_ref().map_or_else(|| UNKNOWN.to_owned(), |server| format!("server:{server}")),
        }
    }

    /// Returns the server of an operation whose lines name none: the configured server where the operation asks the
    /// configured service, [`MICROSOFT`] where a host with a WSUS server asks a service of Microsoft.
    pub(in crate::normalize) fn server_of(&self, service: Option<&str>) -> Option<&str> {
        if self.asks_its_service(service) {
            return self.dimensions.get("wsus").map(String::as_str).filter(|wsus| *wsus != NO_WSUS);
        }
        let is_of_microsoft = matches!(service.and_then(service_name), Some("windows_update" | "microsoft_update"));
        is_of_microsoft.then_some(MICROSOFT)
    }

    /// Returns the subject of an ended scan: the server that its thread named, else the server of the service.
    pub(in crate::normalize) fn subject_of_scan(
        &self,
        server: Option<&str>,
        service: Option<&str>,
        scope: RecordContext<'_>,
    ) -> Option<String> {
        let server = server.or_else(|| self.server_of(service))?;
        Some(cut(&format!("server:{server}"), scope.config.limits.value_bytes_max).to_owned())
    }

    /// Returns a subject with a failure of the same family within [`SAME_FAILURE_MS`]: another file of the host or
    /// another thread stated the same failure.
    fn same_failure(&self, failure: &Failure) -> Option<String> {
        let is_same = |failing: &OpenFailure| {
            failing.last.abs_diff(failure.event_time) <= SAME_FAILURE_MS.unsigned_abs()
                && (failing.operation == Operation::Scan) == (failure.operation == Operation::Scan)
        };
        let fails = |subject: &SubjectOutcomes| subject.failing.get(&failure.family).is_some_and(is_same);
        let found = self.subjects.iter().find(|(name, subject)| *name != UNKNOWN && fails(subject));
        found.map(|(name, _)| name.clone())
    }

    /// Takes the success of a download or an installation of an update.
    pub(in crate::normalize) fn update_succeeded(
        &mut self,
        update: &str,
        mut success: Success,
        scope: RecordContext<'_>,
        out: &mut FactsToSend,
    ) {
        success.dimensions.insert("update".to_owned(), update.to_owned());
        let subject = format!("update:{update}");
        for alias in self.aliases(&subject) {
            self.succeed(&alias, success.like(), SuccessWeight::Repair, scope, out);
        }
        // The content came from a server, so failures to reach a server have ended.
        for server in self.failing_servers(|failing| failing.operation != Operation::Scan) {
            self.succeed(&server, success.like(), SuccessWeight::Repair, scope, out);
        }
        self.succeed(&subject, success, SuccessWeight::Whole, scope, out);
    }

    /// Takes a successful step that no refusal followed.
    pub(in crate::normalize) fn step_succeeded(
        &mut self,
        step: ProvisionalSuccess,
        scope: RecordContext<'_>,
        out: &mut FactsToSend,
    ) {
        let ProvisionalSuccess { update, path, operation, dimensions, event_time, proof, .. } = step;
        let mut success = Success { operation, dimensions, event_time, proof };
        if let Some(path) = &path {
            let subject = format!("file:{}", file_name(path));
            let subject = cut(&subject, scope.config.limits.value_bytes_max);
            self.succeed(subject, success.like(), SuccessWeight::Repair, scope, out);
        }
        if let Some(update) = update {
            success.dimensions.insert("update".to_owned(), update.clone());
            self.succeed(&format!("update:{update}"), success, SuccessWeight::Step, scope, out);
        }
    }

    /// Takes a scan that reached its servers, and ends the failures of scans at servers of the same owner, Microsoft or
    /// not; where the scan names no server, at the configured server. All servers of an owner, since the client may
    /// have been given another WSUS server, and a server of Microsoft may refer the client to another one.
    pub(in crate::normalize) fn scan_reached(
        &mut self,
        servers: &[String],
        success: &Success,
        scope: RecordContext<'_>,
        out: &mut FactsToSend,
    ) {
        let wsus = self.dimensions.get("wsus").map(|wsus| format!("server:{wsus}"));
        let reached: Vec<String> = self
            .failing_servers(|failing| failing.operation == Operation::Scan)
            .into_iter()
            .filter(|subject| {
                let is_reached = subject
                    .strip_prefix("server:")
                    .is_some_and(|server| servers.iter().any(|it| is_of_microsoft(it) == is_of_microsoft(server)));
                // A report names no server. Where the host has no other log, reports are the only evidence of its
                // scans.
                let is_implied = servers.is_empty() && (wsus.as_ref() == Some(subject) || !self.has_dimension("form"));
                is_reached || is_implied || subject == UNKNOWN
            })
            .collect();
        for subject in reached {
            self.succeed(&subject, success.like(), SuccessWeight::Repair, scope, out);
        }
    }

    /// Ends the failures of updates that a scan no longer offers, where they failed long before the scan.
    pub(in crate::normalize) fn not_offered(
        &mut self,
        lacks: impl Fn(Option<&str>) -> bool,
        caller: Option<&str>,
        success: &Success,
        scope: RecordContext<'_>,
        out: &mut FactsToSend,
    ) {
        /// How long before the scan the last failure must be. A client that fails at an update scans again within some
        /// hours. A scan right after a failure may answer from a cache, or be one of several scans at that time.
        const SETTLED_MS: i64 = 6 * 3_600_000;
        let is_over = |failing: &OpenFailure| {
            let asks_the_same = caller
                .is_none_or(|caller| is_of_automatic_updates(caller) || failing.caller.as_deref() == Some(caller));
            failing.operation != Operation::Scan
                && failing.last.saturating_add(SETTLED_MS) <= success.event_time
                && asks_the_same
        };
        let over: Vec<(String, Operation)> = self
            .subjects
            .iter()
            .filter(|(name, subject)| lacks(name.strip_prefix("update:")) && subject.failing.values().all(is_over))
            .filter_map(|(name, subject)| {
                let operation = subject.failing.values().map(|failing| failing.operation).max()?;
                Some((name.clone(), operation))
            })
            .collect();
        for (subject, operation) in over {
            let mut success = Success { operation, ..success.like() };
            let (name, value) = NOT_OFFERED;
            success.dimensions.insert(name.to_owned(), value.to_owned());
            success.dimensions.extend(subject.strip_prefix("update:").map(|it| ("update".to_owned(), it.to_owned())));
            self.succeed(&subject, success, SuccessWeight::Repair, scope, out);
        }
    }

    /// True where any subject fails.
    pub(in crate::normalize) fn fails(&self) -> bool {
        self.subjects.values().any(|subject| !subject.failing.is_empty())
    }

    /// True where the file of that path fails.
    pub(in crate::normalize) fn fails_at_file(&self, path: Option<&str>) -> bool {
        let subject = path.map(|path| format!("file:{}", file_name(path)));
        let known = subject.and_then(|subject| self.subjects.get(&subject));
        known.is_some_and(|known| !known.failing.is_empty())
    }

    /// True where a scan of that service offers the host's updates. A host with a WSUS server also asks other services,
    /// for applications of the store.
    pub(in crate::normalize) fn asks_its_service(&self, service: Option<&str>) -> bool {
        let has_wsus = self.dimensions.get("wsus").is_some_and(|wsus| wsus != NO_WSUS);
        match service.map(|service| service_name(service).unwrap_or_default()) {
            None => true,
            Some(name) if has_wsus => name == "wsus",
            Some(name) => matches!(name, "windows_update" | "microsoft_update"),
        }
    }

    /// Returns files and the unknown subject that failed in the same family within [`SAME_FAILURE_MS`] of this update.
    /// Lines without an update stated the same failure, so only the success of the update can end it.
    fn aliases(&self, update: &str) -> Vec<String> {
        let Some(subject) = self.subjects.get(update) else { return Vec::new() };
        let is_same = |(family, failing): (&Family, &OpenFailure)| {
            subject
                .failing
                .get(family)
                .is_some_and(|own| own.last.abs_diff(failing.last) <= SAME_FAILURE_MS.unsigned_abs())
        };
        let others = self.subjects.iter().filter(|(name, _)| name.starts_with("file:") || *name == UNKNOWN);
        others.filter(|(_, other)| other.failing.iter().any(is_same)).map(|(name, _)| name.clone()).collect()
    }

    /// Returns the servers, and the unknown subject, with a failure for which `is_such` holds.
    fn failing_servers(&self, is_such: impl Fn(&OpenFailure) -> bool) -> Vec<String> {
        let servers = self.subjects.iter().filter(|(name, _)| name.starts_with("server:") || *name == UNKNOWN);
        let failing = servers.filter(|(_, subject)| subject.failing.values().any(&is_such));
        // `unknown` may also stand for an update, whose failure does not end when a server is reached.
        let failing = failing.filter(|(name, subject)| {
            *name != UNKNOWN || subject.failing.values().all(|it| it.operation == Operation::Scan)
        });
        failing.map(|(name, _)| name.clone()).collect()
    }

    fn succeed(
        &mut self,
        subject: &str,
        success: Success,
        weight: SuccessWeight,
        scope: RecordContext<'_>,
        out: &mut FactsToSend,
    ) {
        let Success { operation, dimensions, event_time: time, proof } = success;
        let known = self.subjects.get(subject);
        let is_failing = known.is_some_and(|known| !known.failing.is_empty());
        if weight == SuccessWeight::Repair && !is_failing {
            return;
        }
        if known.is_some_and(|known| known.succeeded.is_some_and(|at| time < at)) {
            // The line was logged again or came late: a newer success is known.
            return;
        }
        let ends_all =
            known.is_none_or(|known| known.failing.values().all(|failing| failing.ends(operation, time, weight)));
        let is_told = known
            .and_then(|known| known.success_sent)
            .is_some_and(|(sent, told)| time < sent.saturating_add(DAY_MS) && told.ends(operation));
        let send = ends_all && (is_failing || !is_told);
        if send {
            self.send_facts_if_unsent(scope, out);
        }
        self.forget_oldest_subject(subject, scope.config.limits.subjects_per_host_max);
        let known = self.subjects.entry(subject.to_owned()).or_default();
        known.failing.retain(|_, failing| !failing.ends(operation, time, weight));
        if !ends_all {
            // The subject still fails, at a later step of the chain or after this success.
            return;
        }
        known.succeeded = Some(time);
        if send {
            known.success_sent = Some((time, operation));
        }
        if is_failing {
            self.facts_changed(scope);
        }
        if send {
            let attempt = Attempt {
                host: self.named(scope),
                subject: subject.to_owned(),
                outcome: Outcome::Success,
                family: None,
                code: None,
                operation: operation.name().to_owned(),
                dimensions,
                event_time: time,
                since: time,
                late: time < scope.at.log_time.saturating_sub(DAY_MS),
            };
            out.push(FactToSend { raw: proof.raw, fact: Fact::Attempt(attempt), proof: Some(proof) });
        }
    }

    fn forget_oldest_subject(&mut self, keep: &str, subjects_max: usize) {
        if self.subjects.len() < subjects_max.max(1) || self.subjects.contains_key(keep) {
            return;
        }
        let oldest = self.subjects.iter().min_by_key(|(_, subject)| subject.latest()).map(|(name, _)| name.clone());
        if let Some(oldest) = oldest {
            self.subjects.remove(&oldest);
        }
    }
}

impl Success {
    /// Returns a copy for another subject that the success proves.
    fn like(&self) -> Success {
        Success {
            operation: self.operation,
            dimensions: self.dimensions.clone(),
            event_time: self.event_time,
            proof: self.proof.clone(),
        }
    }
}

/// True for callers that search for all updates of the host. Other applications search for their own updates: an empty
/// search of an antimalware program says nothing about other updates.
fn is_of_automatic_updates(caller: &str) -> bool {
    const CALLERS: [&str; 7] =
        ["AutomaticUpdates", "UpdateOrchestrator", "MoUpdateOrchestrator", "USOSVC", "CcmExec", "wuauclt", "wuapp"];
    CALLERS.into_iter().any(|known| caller.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known)))
}

/// True for Microsoft's own update servers.
fn is_of_microsoft(server: &str) -> bool {
    let host = server.split(':').next().unwrap_or(server);
    ["microsoft.com", "windowsupdate.com"]
        .into_iter()
        .any(|domain| host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

/// The last part of a path, lower case.
fn file_name(path: &str) -> String {
    path.rsplit(['\\', '/']).next().unwrap_or(path).to_lowercase()
}
