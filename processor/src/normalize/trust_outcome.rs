//! The trust outcome of a line: a failure goes into the fold of its file, successes and ends of scans go to the host.

use std::borrow::Cow;
use std::collections::BTreeMap;

use wulog_schemas::event::{Action, EventId, Form, OpenOperation, TimeSource};
use wulog_schemas::signal::Outcome;

use super::classify;
use super::fold::{Failure, ProvisionalSuccess, SuccessScope};
use super::host::{FactsToSend, Host, RecordContext, Success};
use super::limit::cut;
use super::operation::{AttemptProof, Operation};
use super::spelling::server_of_url;
use super::thread::{Thread, updates_found};
use super::trust_failure::{TrustFailure, is_history};
use crate::parse::Entry;

/// How long a failure of WUAHandler.log without an update waits for the update client's own log, which names the
/// update. Both lines are written within a second, and the collector reads all files of a host in one pass.
const OTHER_LOG_WAIT_MS: i64 = 60_000;

/// The values of a line from which its trust outcome is derived.
pub(super) struct TrustLine<'a> {
    pub(super) entry: &'a Entry<'a>,
    /// Trust failure of the line, by its code or by an operator's pattern.
    pub(super) trust: Option<TrustFailure>,
    /// The action of the line.
    pub(super) action: Action,
    /// The operation that is open on its thread.
    pub(super) open: Option<OpenOperation>,
    pub(super) id: EventId,
    pub(super) time: i64,
    pub(super) time_source: TimeSource,
    /// Local time of the file, milliseconds since 1970.
    pub(super) clock: i64,
    pub(super) file: &'a str,
}

impl TrustLine<'_> {
    fn proof(&self, scope: RecordContext<'_>) -> AttemptProof {
        AttemptProof {
            raw: scope.at.raw,
            log_time: scope.at.log_time,
            lines: vec![self.id],
            start: self.time,
            time_source: self.time_source,
            file: self.file.into(),
        }
    }

    fn thread_ids(&self) -> (Option<u32>, Option<u32>) {
        (self.entry.pid, self.entry.tid)
    }
}

/// Derives the trust outcome of a line and gives it to the fold or to the host.
pub(super) fn observe(host: &mut Host, line: &TrustLine<'_>, scope: RecordContext<'_>, out: &mut FactsToSend) {
    let entry = line.entry;
    // An uninstallation says nothing about trust: the removed update was trusted once, and later updates may differ.
    if classify::is_of_uninstallation(entry, line.action, line.open) {
        return;
    }
    // Few lines have a trust outcome or end a scan; the file and the thread are looked up only for these.
    let success = classify::success(entry, line.action);
    let refused = line.action == Action::DownloadFailed;
    if success.is_none() && line.trust.is_none() && !refused && classify::scan_done(entry, None).is_none() {
        return;
    }
    host.settle_folds(scope, out);
    let Ok(place) = host.files.place(line.file) else {
        return;
    };
    // The thread is moved out and put back, since the host changes meanwhile and a copy of a thread takes a dozen
    // allocations.
    let limits = &scope.config.limits;
    let thread = std::mem::take(host.files[place].threads.of(entry, limits));
    let update = match thread.update_of(entry, line.open) {
        Some(update) => Some(update),
        None => host.files[place].threads.update_in_work(entry).map(|update| Cow::Owned(update.to_owned())),
    };
    let update = update.as_deref();
    if refused || line.trust.is_some() {
        for file in host.files.values_mut() {
            file.folds.refused(update, thread.path_of(entry), line.thread_ids());
        }
    }
    if let Some(failure) = failure(line, &thread, update, scope) {
        for failure in host.files[place].folds.add(failure, limits.pending_per_file_max) {
            host.failed(failure, scope, out);
        }
    }
    if let Some(success) = success {
        succeeded(host, line, success, (&thread, update), scope, out);
    }
    if let Some(outcome) = classify::scan_done(entry, thread.scan_code()) {
        scanned(host, line, outcome, &thread, scope, out);
    }
    *host.files[place].threads.of(entry, limits) = thread;
}

/// Returns the failure of a line; `update` is the update of the line.
fn failure(line: &TrustLine<'_>, thread: &Thread, update: Option<&str>, scope: RecordContext<'_>) -> Option<Failure> {
    let entry = line.entry;
    let trust = line.trust?;
    let reported = entry.report.is_some();
    let operation = classify::operation(entry, line.action, line.open, trust.family);
    let is_scan = operation == Operation::Scan;
    let update = update.filter(|_| !is_scan).map(str::to_owned);
    // A scan that gave up has its final outcome.
    let definite = trust.definite || is_scan && line.action == Action::ScanFailed;
    let wait_secs = if definite { scope.config.update_wait_secs } else { scope.config.provisional_wait_secs };
    let wait_ms = i64::from(wait_secs) * 1000;
    let due = (line.clock.saturating_add(wait_ms), scope.at.log_time.saturating_add(wait_ms));
    let (due_clock, due_log) = if entry.form == Form::WuaHandler && update.is_none() {
        // The other log is read independently, so the clock of this file does not show how far the other log is read.
        (i64::MAX, scope.at.log_time.saturating_add(OTHER_LOG_WAIT_MS))
    } else {
        due
    };
    let own = entry.facts.url.and_then(server_of_url).map(Cow::into_owned);
    let server = own.or_else(|| thread.server.clone().filter(|_| !reported));
    let path = thread.path_of(entry).filter(|_| !is_scan);
    Some(Failure {
        pid: entry.pid,
        tid: entry.tid,
        item: thread.item,
        path: path.map(|path| cut(path, scope.config.limits.value_bytes_max).to_owned()),
        update,
        server,
        code: trust.code,
        family: trust.family,
        definite,
        reported,
        sums_up: reported || is_history(entry.body),
        operation,
        dimensions: dimensions(entry, thread, scope),
        event_time: line.time,
        proof: line.proof(scope),
        clock: line.clock,
        due_clock,
        due_log,
    })
}

/// Returns the dimensions of an attempt, from its line and from earlier lines of its thread.
fn dimensions(entry: &Entry<'_>, thread: &Thread, scope: RecordContext<'_>) -> BTreeMap<String, String> {
    let from_thread = |value: &Option<String>| value.clone().filter(|_| entry.report.is_none());
    // The title of a known update is looked up when the attempt is sent.
    let is_unnamed = entry.report.is_none() && entry.facts.update.is_none();
    let title_of_thread = || thread.title_of_operation().filter(|_| is_unnamed).map(str::to_owned);
    let caller = entry.report.as_ref().map(|report| report.app).filter(|app| !app.is_empty()).or(entry.facts.caller);
    let found = [
        ("title", entry.facts.title.map(str::to_owned).or_else(title_of_thread)),
        ("kb", entry.facts.kb.map(str::to_ascii_uppercase)),
        ("service", entry.facts.service.map(str::to_ascii_lowercase).or_else(|| from_thread(&thread.service))),
        ("caller", caller.map(str::to_owned).or_else(|| from_thread(&thread.caller))),
    ];
    let bounded = |value: String| cut(&value, scope.config.limits.value_bytes_max).to_owned();
    found.into_iter().filter_map(|(name, value)| Some((name.to_owned(), bounded(value?)))).collect()
}

fn succeeded(
    host: &mut Host,
    line: &TrustLine<'_>,
    what: classify::StatedSuccess,
    (thread, update): (&Thread, Option<&str>),
    scope: RecordContext<'_>,
    out: &mut FactsToSend,
) {
    let entry = line.entry;
    let limits = &scope.config.limits;
    if let (None, Some(file)) = (&entry.report, host.files.get_mut(line.file)) {
        let (pid, tid, item) = (entry.pid, entry.tid, thread.item);
        // Among several updates, the end of one does not disprove a failure of a file that was checked earlier for
        // another update.
        let path = thread.path_of(entry).or(thread.path.as_deref().filter(|_| thread.has_several()));
        file.folds.item_succeeded(&SuccessScope { pid, tid, item, path, update });
    }
    if !what.is_whole {
        let path = thread.path_of(entry).map(|path| cut(path, limits.value_bytes_max).to_owned());
        // The check of a file without an update, such as a list of servers, proves at most that this file works again.
        if update.is_none() && !host.fails_at_file(path.as_deref()) {
            return;
        }
        let wait_ms = i64::from(scope.config.provisional_wait_secs) * 1000;
        let step = ProvisionalSuccess {
            pid: entry.pid,
            tid: entry.tid,
            path: path.filter(|_| what.operation == Operation::Verification),
            update: update.map(str::to_owned),
            operation: what.operation,
            dimensions: dimensions(entry, thread, scope),
            event_time: line.time,
            proof: line.proof(scope),
            due_clock: line.clock.saturating_add(wait_ms),
            due_log: scope.at.log_time.saturating_add(wait_ms),
        };
        if let Some(file) = host.files.get_mut(line.file)
            && let Some(step) = file.folds.add_step(step, limits.pending_per_file_max)
        {
            host.step_succeeded(step, scope, out);
        }
        return;
    }
    let Some(update) = update else { return };
    for file in host.files.values_mut() {
        file.folds.update_succeeded(update);
    }
    let success = Success {
        operation: what.operation,
        dimensions: dimensions(entry, thread, scope),
        event_time: line.time,
        proof: line.proof(scope),
    };
    host.update_succeeded(update, success, scope, out);
}

fn scanned(
    host: &mut Host,
    line: &TrustLine<'_>,
    outcome: Outcome,
    thread: &Thread,
    scope: RecordContext<'_>,
    out: &mut FactsToSend,
) {
    let entry = line.entry;
    if outcome == Outcome::Success
        && let Some(file) = host.files.get_mut(line.file)
    {
        file.folds.scan_succeeded();
    }
    if outcome == Outcome::Success && host.fails() {
        let success = Success {
            operation: Operation::Scan,
            dimensions: dimensions(entry, thread, scope),
            event_time: line.time,
            proof: line.proof(scope),
        };
        let caller = success.dimensions.get("caller").cloned();
        match &entry.report {
            Some(_) => {
                host.scan_reached(&[], &success, scope, out);
                let finds_nothing = updates_found(entry) == Some(0);
                host.not_offered(|_| finds_nothing, caller.as_deref(), &success, scope, out);
            }
            None => {
                let of_service = host.server_of(thread.service.as_deref()).map(str::to_owned);
                let named = &thread.scan.servers;
                let servers = if named.is_empty() { of_service.as_slice() } else { named };
                host.scan_reached(servers, &success, scope, out);
                if host.asks_its_service(thread.service.as_deref()) {
                    host.not_offered(|update| thread.scan.lacks(update), caller.as_deref(), &success, scope, out);
                }
            }
        }
    }
    let is_report = entry.report.is_some();
    let of_thread = |value: &'_ Option<String>| value.as_deref().filter(|_| !is_report).map(str::to_owned);
    let (server, service) = (of_thread(&thread.server), of_thread(&thread.service));
    let subject = host.subject_of_scan(server.as_deref(), service.as_deref(), scope);
    host.scanned(outcome, subject, line.time, scope, out);
}
