//! Adds the events of single lines to the story: scans, operations and their outcomes.

use chrono::DateTime;
use wulog_schemas::event::{Action, Event, EventKind, EventOutcome, Flag, Form, TimeSource};
use wulog_schemas::hresult::Family;

use super::{KEPT_MAX, LastScan, Story, Try, UpdateOperation};
use crate::explain::failure::{ExplainedFailure, ThreadKey};

impl Story {
    pub(super) fn event(&mut self, event: &Event<'_>) {
        let wu = &event.wu;
        // Documents of attempts repeat the signals.
        let Some(form) = wu.form.filter(|_| event.event.kind == EventKind::Event) else { return };
        if let Some(name) = foreign_name(form) {
            *self.foreign.entry(name).or_default() += 1;
            return;
        }
        self.lines += 1;
        self.undecoded += u64::from(wu.flags.contains(&Flag::Undecoded));
        self.lossy += u64::from(wu.flags.contains(&Flag::Lossy));
        let dated = !matches!(wu.time_source, TimeSource::Previous | TimeSource::Read | TimeSource::Log);
        let at = DateTime::parse_from_rfc3339(&event.timestamp).map_or(0, |at| at.timestamp_millis());
        if dated {
            let (first, last) = self.span.unwrap_or((at, at));
            self.span = Some((first.min(at), last.max(at)));
            let offset = event.event.timezone.as_deref().and_then(minutes);
            self.offset_min = offset.filter(|_| wu.time_source != TimeSource::Assumed);
        }
        let keep = |known: &mut Option<String>, value: Option<&str>| {
            if let Some(value) = value {
                value.clone_into(known.get_or_insert_default());
            }
        };
        keep(&mut self.os, event.host.as_ref().and_then(|host| host.os.version.as_deref()));
        keep(&mut self.client, event.service.version.as_deref());
        keep(&mut self.wsus, wu.wsus.as_deref());
        keep(&mut self.target_group, wu.target_group.as_deref());
        keep(&mut self.proxy, wu.proxy.as_deref());
        if let Some(service) = wu.service.as_deref().filter(|service| !self.services.contains(*service)) {
            self.services.insert(service.to_owned());
        }
        let title = event.package.as_ref().map(|package| &*package.name);
        self.learn(wu.update_id.as_deref(), title, wu.kb.as_deref());
        let thread = (
            event.log.file.as_ref().map(|file| file.path.to_string()).unwrap_or_default(),
            event.process.as_ref().and_then(|process| process.pid),
            event.process.as_ref().and_then(|process| process.thread).map(|thread| thread.id),
        );
        if let Some(url) = &event.url
            && let Some(domain) = url.domain.as_deref()
            && (self.servers.len() < KEPT_MAX || self.servers.contains_key(&thread))
        {
            let server = url.port.map_or_else(|| domain.to_owned(), |port| format!("{domain}:{port}"));
            self.servers.insert(thread.clone(), server);
        }
        if matches!(
            event.event.action,
            Action::ScanStart | Action::DownloadStart | Action::InstallStart | Action::UninstallStart
        ) && (self.starts.len() < KEPT_MAX || self.starts.contains_key(&thread))
        {
            *self.starts.entry(thread.clone()).or_default() += 1;
        }
        // Configuration Manager writes `Async searching completed.` before each result, also before a failure.
        let is_announced = event.event.action == Action::ScanEnd && event.event.outcome == EventOutcome::Unknown;
        if !(is_of_handler(event) && is_announced) {
            self.scans(event, &thread, at);
            self.operations(event, &thread, at, dated);
        }
    }

    /// Follows the scans of each thread. A scan whose END has no code failed where an earlier line of the scan failed.
    fn scans(&mut self, event: &Event<'_>, thread: &ThreadKey, at: i64) {
        let failed = event.event.outcome == EventOutcome::Failure;
        let code = event.error.as_ref().and_then(|error| error.code.as_deref()).map(str::to_owned);
        match event.event.action {
            Action::ScanStart if self.scanning.len() < KEPT_MAX => {
                self.scanning.insert(thread.clone(), None);
            }
            Action::ScanEnd | Action::ScanFailed if event.wu.report.is_some() => {
                self.scan = Some(LastScan { at, code, failed });
            }
            Action::ScanEnd => {
                let met = self.scanning.remove(thread).flatten();
                self.scan = Some(LastScan { at, failed: failed || met.is_some(), code: code.or(met) });
            }
            Action::ScanFailed => {
                if let Some(met) = self.scanning.get_mut(thread) {
                    *met = code.clone();
                }
                self.scan = Some(LastScan { at, code, failed: true });
            }
            _ => {}
        }
    }

    /// Notes failed and successful operations, by the actions that end an operation.
    fn operations(&mut self, event: &Event<'_>, thread: &ThreadKey, at: i64, dated: bool) {
        let (operation, failed) = match event.event.action {
            Action::ScanFailed => ("scan", true),
            Action::DownloadFailed => ("download", true),
            Action::InstallFailed => ("install", true),
            Action::UninstallFailed => ("uninstall", true),
            Action::ScanEnd => ("scan", event.event.outcome == EventOutcome::Failure),
            // Configuration Manager writes the end of an operation with the update and its code.
            Action::DownloadEnd if is_success_of_handler(event) => ("download", false),
            Action::InstallEnd if is_success_of_handler(event) => ("install", false),
            Action::DownloadSucceeded => ("download", false),
            Action::InstallSucceeded => ("install", false),
            Action::UninstallSucceeded => ("uninstall", false),
            // The client's history states the outcome of an installation with the update, which the installer does not
            // name.
            _ if is_history(event) => ("install", event.event.outcome == EventOutcome::Failure),
            _ => {
                let server = self.servers.get(thread).map(String::as_str);
                self.step.take(event, thread, server, at, dated);
                return;
            }
        };
        let update = event.wu.update_id.as_deref();
        if !failed {
            if operation == "scan" && self.scan.as_ref().is_some_and(|scan| scan.failed) {
                return;
            }
            self.succeeded(operation, update, at);
            self.step.operation_succeeded(operation);
            return;
        }
        let key = key(operation, update);
        if !self.failures.contains_key(&key) && self.failures.len() >= KEPT_MAX {
            return;
        }
        let error = event.error.as_ref();
        let failure = self.failures.entry(key.clone()).or_insert_with(|| ExplainedFailure {
            operation: operation.to_owned(),
            update: update.map(str::to_owned),
            object: None,
            code: None,
            family: None,
            http: None,
            since: at,
            last: at,
            count: 0,
            is_by_command: false,
            dated,
        });
        let attempt = Try { thread: thread.clone(), starts: self.starts.get(thread).copied().unwrap_or_default(), at };
        let before = self.tries.insert(key, attempt.clone());
        if before.is_none_or(|before| failure.count == 0 || !before.is_same(&attempt)) {
            failure.count += 1;
        }
        failure.is_by_command |= is_by_command(event);
        failure.last = at;
        failure.dated |= dated;
        if let Some(code) = error.and_then(|error| error.code.as_deref()) {
            failure.code = Some(code.to_owned());
            failure.family = event.wu.family;
        }
        failure.http = event.http.map(|http| http.response.status_code).or(failure.http);
        let named = event.package.as_ref().filter(|_| update.is_none()).map(|package| package.name.to_string());
        let server = || self.servers.get(thread).cloned();
        // The certificate that a download does not accept is that of its server.
        let is_of_server = operation == "scan" || update.is_some() && failure.family == Some(Family::Tls);
        failure.object = if is_of_server { server().or(failure.object.take()) } else { named };
        if update.is_some() {
            self.name_unnamed(operation, update);
        }
    }

    /// Merges the failure of an installer that named no update into the failure of the update.
    fn name_unnamed(&mut self, operation: &str, update: Option<&str>) {
        let unnamed = key(operation, None);
        let (Some(named), Some(failure)) = (self.failures.get(&key(operation, update)), self.failures.get(&unnamed))
        else {
            return;
        };
        if !failure.is_unnamed() || !failure.is_same_end(named) {
            return;
        }
        let is_by_command = failure.is_by_command;
        self.failures.remove(&unnamed);
        if let Some(named) = self.failures.get_mut(&key(operation, update)) {
            named.is_by_command |= is_by_command;
        }
    }

    fn succeeded(&mut self, operation: &str, update: Option<&str>, at: i64) {
        self.failures.remove(&key(operation, update));
        let done = match operation {
            "install" => UpdateOperation::Installed,
            "uninstall" => UpdateOperation::Uninstalled,
            _ => UpdateOperation::Downloaded,
        };
        if done == UpdateOperation::Installed {
            self.failures.remove(&key("download", update));
        }
        if let Some(update) = update.filter(|_| matches!(operation, "download" | "install" | "uninstall")) {
            self.note(update, done, at);
        }
    }
}

/// True for a line of WUAHandler.log.
fn is_of_handler(event: &Event<'_>) -> bool {
    event.wu.form == Some(Form::WuaHandler)
}

/// True for a success at an update that a line of WUAHandler.log names.
pub(super) fn is_success_of_handler(event: &Event<'_>) -> bool {
    is_of_handler(event) && event.event.outcome == EventOutcome::Success && event.wu.update_id.is_some()
}

/// True for the line of the client's history that states the outcome of an update's installation.
pub(super) fn is_history(event: &Event<'_>) -> bool {
    event.wu.update_id.is_some() && event.message.starts_with("LogHistory called")
}

/// True for the end of an installer that is a separate program: an EXE, or the Windows Installer.
pub(super) fn is_by_command(event: &Event<'_>) -> bool {
    event
        .message
        .trim_start_matches([':', ' '])
        .trim_start_matches("WARNING: ")
        .starts_with("Command line install completed")
}

/// Returns the key of a failure: its operation and update. A success with the same key ends the failure.
pub(super) fn key(operation: &str, update: Option<&str>) -> String {
    format!("{operation} {}", update.filter(|_| operation != "scan").unwrap_or_default())
}

/// Returns the name of another program's log.
pub(super) fn foreign_name(form: Form) -> Option<&'static str> {
    match form {
        Form::Legacy | Form::Etw | Form::ReportingEvents | Form::WuaHandler | Form::Message | Form::Text => None,
        Form::Cbs => Some("CBS.log"),
        Form::Dism => Some("dism.log"),
        Form::SetupAct => Some("Windows Setup"),
        Form::MpSigStub => Some("MpSigStub.log"),
        Form::CmTrace => Some("Configuration Manager"),
        Form::Iis => Some("a web server"),
        Form::WsusServer => Some("the WSUS server"),
        Form::DeliveryOptimization => Some("Delivery Optimization"),
        Form::PublishingTool => Some("a publishing tool"),
    }
}

/// Returns `+01:00` in minutes.
pub(super) fn minutes(offset: &str) -> Option<i32> {
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let total = hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?;
    Some(if offset.starts_with('-') { -total } else { total })
}
