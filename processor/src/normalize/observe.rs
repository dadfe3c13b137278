//! What a line means for its host: facts of the host, failures into the fold, successes and scans.

use std::borrow::Cow;
use std::collections::BTreeMap;

use wulog_schemas::signal::Outcome;

use super::classify::{self, TrustFailure};
use super::fold::Failure;
use super::host::{Facts, Host, Scope};
use super::thread::{Thread, cut, server_of_url};
use crate::parse::{Entry, Trust};

/// Takes what a line says of its host.
pub(super) fn learn(host: &mut Host, entry: &Entry<'_>, scope: Scope<'_>) {
    let facts = &entry.facts;
    if let Some(server) = facts.wsus {
        host.set_dimension("wsus", server_of_url(server).as_deref(), scope);
    }
    // Programs that load another library of the client have banners of their own: the service's own lines decide.
    let from_banner = facts.banner_offset_min.is_some() && host.has_dimension("client_build");
    if let Some(build) = facts.client_version.filter(|_| !from_banner) {
        host.set_dimension("client_build", Some(build), scope);
    }
    if let Some(version) = facts.os_version {
        let build = os_build(version);
        // `10.0.14393` says less than the `10.0.14393.2580` that is known.
        let says_less = |known: &str| known.strip_prefix(build).is_some_and(|rest| rest.starts_with('.'));
        if !host.dimensions.get("os_build").is_some_and(|known| says_less(known)) {
            host.set_dimension("os_build", Some(build), scope);
        }
    }
    if let Some(group) = facts.target_group {
        host.set_dimension("target_group", Some(group), scope);
    }
    host.set_form(entry.form, scope);
}

/// `6.1.7600.0.0.197008` is build 6.1.7600 with service pack and suite; `10.0.19045.2728` is a build already.
fn os_build(version: &str) -> &str {
    let mut dots = version.match_indices('.').map(|(at, _)| at);
    match (dots.nth(2), dots.next()) {
        (Some(third), Some(_)) => &version[..third],
        _ => version,
    }
}

/// A line as the fold sees it.
pub(super) struct Seen<'a> {
    pub(super) entry: &'a Entry<'a>,
    /// Its trust failure, by its code or by an operator's pattern.
    pub(super) trust: Option<TrustFailure>,
    pub(super) time: i64,
    /// Local time of the file.
    pub(super) clock: i64,
    pub(super) file: &'a str,
}

/// Folds what a line says of certificate trust.
pub(super) fn observe(host: &mut Host, seen: &Seen<'_>, scope: Scope<'_>, out: &mut Facts) {
    let entry = seen.entry;
    // Few lines say anything of trust or end a scan; only for them the file is looked up and the thread worth a copy.
    let success = classify::is_success(entry);
    if !success && seen.trust.is_none() && classify::scan_done(entry, None).is_none() {
        return;
    }
    host.settle_folds(scope, out);
    let Some(file) = host.files.get_mut(seen.file) else {
        return;
    };
    let thread = file.threads.of(entry, &scope.config.limits).clone();
    let failure = failure(seen, &thread, scope);
    let failure = failure.and_then(|failure| file.folds.add(failure, scope.config.limits.pending_per_file_max));
    if let Some(failure) = failure {
        host.failed(failure, scope, out);
    }
    if success {
        succeeded(host, seen, &thread, scope, out);
    }
    if let Some(outcome) = classify::scan_done(entry, thread.scan_code) {
        if let (Outcome::Success, Some(file)) = (outcome, host.files.get_mut(seen.file)) {
            file.folds.scan_succeeded();
        }
        host.scanned(outcome, seen.time, scope, out);
    }
}

fn failure(seen: &Seen<'_>, thread: &Thread, scope: Scope<'_>) -> Option<Failure> {
    let entry = seen.entry;
    let trust = seen.trust?;
    let reported = entry.report.is_some();
    let update =
        entry.facts.update.map(str::to_ascii_lowercase).or_else(|| thread.update.clone().filter(|_| !reported));
    let wait_secs = if trust.definite { scope.config.update_wait_secs } else { scope.config.provisional_wait_secs };
    let wait_ms = i64::from(wait_secs) * 1000;
    let own = entry.facts.url.and_then(server_of_url).map(Cow::into_owned);
    let server = own.or_else(|| thread.server.clone().filter(|_| !reported));
    Some(Failure {
        pid: entry.pid,
        tid: entry.tid,
        path: thread.path_of(entry).map(|path| cut(path, scope.config.limits.value_bytes_max).to_owned()),
        update,
        server,
        code: trust.code,
        family: trust.family,
        definite: trust.definite,
        reported,
        operation: classify::operation(entry, trust.family).to_owned(),
        dimensions: dimensions(entry, thread, scope),
        event_time: seen.time,
        raw: scope.at.raw,
        clock: seen.clock,
        due_clock: seen.clock.saturating_add(wait_ms),
        due_log: scope.at.log_time.saturating_add(wait_ms),
    })
}

/// Dimensions of an attempt, from its line and from the lines above on its thread.
fn dimensions(entry: &Entry<'_>, thread: &Thread, scope: Scope<'_>) -> BTreeMap<String, String> {
    let from_thread = |value: &Option<String>| value.clone().filter(|_| entry.report.is_none());
    let caller = entry.report.as_ref().map(|report| report.app).filter(|app| !app.is_empty()).or(entry.facts.caller);
    let found = [
        ("title", entry.facts.title.map(str::to_owned).or_else(|| from_thread(&thread.title))),
        ("kb", entry.facts.kb.map(str::to_ascii_uppercase)),
        ("service", entry.facts.service.map(str::to_ascii_lowercase).or_else(|| from_thread(&thread.service))),
        ("caller", caller.map(str::to_owned).or_else(|| from_thread(&thread.caller))),
    ];
    let bounded = |value: String| cut(&value, scope.config.limits.value_bytes_max).to_owned();
    found.into_iter().filter_map(|(name, value)| Some((name.to_owned(), bounded(value?)))).collect()
}

fn succeeded(host: &mut Host, seen: &Seen<'_>, thread: &Thread, scope: Scope<'_>, out: &mut Facts) {
    let entry = seen.entry;
    let trusted = entry.facts.trust == Some(Trust::Trusted);
    let own = entry.facts.update.map(str::to_ascii_lowercase);
    let update = own.or_else(|| thread.update.clone().filter(|_| entry.report.is_none() && !trusted));
    if let (None, Some(file)) = (&entry.report, host.files.get_mut(seen.file)) {
        file.folds.thread_succeeded(entry.pid, entry.tid, thread.path_of(entry));
    }
    if let Some(update) = update {
        for file in host.files.values_mut() {
            file.folds.update_succeeded(&update);
        }
        let operation = match entry.report.as_ref().map(|report| report.event_id) {
            Some(181..) => "install",
            _ => "download",
        };
        let mut dimensions = dimensions(entry, thread, scope);
        dimensions.insert("update".to_owned(), update.clone());
        host.update_succeeded(&update, operation, dimensions, seen.time, scope, out);
    } else if let Some(path) = thread.path_of(entry).filter(|_| trusted) {
        host.file_succeeded(path, seen.time, scope, out);
    }
}
