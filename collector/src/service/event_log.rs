//! Writes `tracing` events to the Windows Event Log: warnings, errors, and start and stop of the service.
//!
//! Each event becomes an entry of the log `Application`. Readers of this log run many hosts, so ordinary work is left
//! out. The texts come from a message table in the program itself (`resources/messages.mc`), which the registry key of
//! the source names; without the table the Event Viewer would print a complaint before each entry.

#![allow(unsafe_code)] // four calls that no crate wraps

use std::fmt::{Debug, Write};
use std::io;
use std::path::Path;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use windows_registry::LOCAL_MACHINE;
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE, RegisterEventSourceW,
    ReportEventW,
};
use wulog_schemas::visible::visible;

/// The name of the service, and of its source in the Event Log.
pub const NAME: &str = "wulog-collector";

/// The target of informational events that belong into the Event Log too.
pub(super) const TARGET: &str = "wulog_collector::service";

/// The registry key in which Windows finds the source.
const SOURCES: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application";
/// Longest text: ReportEvent takes 31,839 characters.
const TEXT_UNITS_MAX: usize = 31_000;

/// Event ids, as in `resources/messages.mc`.
const ID_SERVICE: u32 = 1;
const ID_WARNING: u32 = 2;
const ID_ERROR: u32 = 3;

/// An open source of the Event Log.
#[derive(Debug)]
pub struct EventLog(HANDLE);

// SAFETY: the handle belongs to the process and not to a thread; any thread may call ReportEventW.
unsafe impl Send for EventLog {}
// SAFETY: as above.
unsafe impl Sync for EventLog {}

impl EventLog {
    /// Opens the source; it need not be registered.
    ///
    /// # Errors
    /// When the Event Log does not run.
    pub fn open() -> io::Result<EventLog> {
        let name = wide(NAME);
        // SAFETY: the name ends with a zero and outlives the call; a null server is this machine.
        let handle = unsafe { RegisterEventSourceW(std::ptr::null(), name.as_ptr()) };
        if handle.is_null() { Err(io::Error::last_os_error()) } else { Ok(EventLog(handle)) }
    }

    fn report(&self, metadata: &Metadata<'_>, text: &str) {
        let (kind, id) = match *metadata.level() {
            Level::ERROR => (EVENTLOG_ERROR_TYPE, ID_ERROR),
            Level::WARN => (EVENTLOG_WARNING_TYPE, ID_WARNING),
            _ => (EVENTLOG_INFORMATION_TYPE, ID_SERVICE),
        };
        let text = wide(text);
        let strings = [text.as_ptr()];
        // SAFETY: the handle is open until drop; one string that ends with a zero, and no data. The result is ignored,
        // since there is no other place to report an error.
        unsafe {
            ReportEventW(
                self.0,
                kind,
                0,
                id,
                std::ptr::null_mut(),
                strings.len() as u16,
                0,
                strings.as_ptr(),
                std::ptr::null(),
            );
        }
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        // SAFETY: the handle was opened in `open` and is closed only here.
        unsafe {
            DeregisterEventSource(self.0);
        }
    }
}

impl<S: Subscriber> Layer<S> for EventLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() <= Level::WARN || metadata.target() == TARGET {
            let mut text = EventLogText::default();
            event.record(&mut text);
            self.report(metadata, &(text.message + &text.fields));
        }
    }
}

/// Registers the program as the place of the texts of the entries.
pub(super) fn register_source(program: &Path) -> windows_registry::Result<()> {
    let key = LOCAL_MACHINE.create(format!(r"{SOURCES}\{NAME}"))?;
    key.set_expand_string("EventMessageFile", program.to_string_lossy())?;
    key.set_u32("TypesSupported", u32::from(EVENTLOG_ERROR_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_INFORMATION_TYPE))
}

pub(super) fn unregister_source() -> windows_registry::Result<()> {
    LOCAL_MACHINE.remove_tree(format!(r"{SOURCES}\{NAME}"))
}

/// An event as text: the message, then a line for each field.
#[derive(Default)]
struct EventLogText {
    message: String,
    fields: String,
}

impl Visit for EventLogText {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing into a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{}", visible(&format!("{value:?}"))),
            name => write!(self.fields, "\r\n{name}: {}", visible(&format!("{value:?}"))),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// Returns the text as UTF-16 with a zero at its end, cut to [`TEXT_UNITS_MAX`].
fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().filter(|&unit| unit != 0).take(TEXT_UNITS_MAX).chain([0]).collect()
}
