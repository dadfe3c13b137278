//! The place of a new line: its identity, its time, and the operation that is open on its thread.

use wulog_schemas::event::{EventId, FileId, Form, OpenOperation, RawFields};
use wulog_schemas::raw::RawHeaderRef;

use super::classify;
use super::config::NormalizerLimits;
use super::event_time;
use super::file::File;
use super::flags::Flags;
use super::position::Position;
use super::raw_record::hash_of;
use super::thread::Thread;
use super::time::{EventTime, Offsets, Process};
use crate::parse::Entry;

/// A line that was not read before.
pub(super) struct NewLine<'a> {
    pub(super) header: &'a RawHeaderRef<'a>,
    pub(super) value: &'a [u8],
    pub(super) raw: RawFields,
    pub(super) position: Position,
    pub(super) epoch: FileId,
    /// True where bytes of the value could not be decoded.
    pub(super) lossy: bool,
}

/// The place of a line in its file.
pub(super) struct Placement<'f> {
    pub(super) time: EventTime,
    pub(super) flags: Flags,
    pub(super) id: EventId,
    /// The line that this line continues.
    pub(super) continues: Option<EventId>,
    pub(super) thread: &'f mut Thread,
    /// The operation that the line belongs to.
    pub(super) operation: Option<OpenOperation>,
    /// The process of the line, where an earlier line named its build or program.
    pub(super) process: Option<&'f Process>,
    /// Local time of the file, milliseconds since 1970.
    pub(super) clock: i64,
    /// True where the line may raise alerts: its form, component and time are those of Windows Update.
    pub(super) counts: bool,
    /// True for a line that an earlier epoch of the file had.
    pub(super) reread: bool,
}

/// Finds the place of a line in its file, and updates the file and the thread by the line.
#[inline]
pub(super) fn locate<'f>(
    file: &'f mut File,
    line: &NewLine<'_>,
    entry: &Entry<'_>,
    form: Form,
    offsets: &Offsets,
    limits: &NormalizerLimits,
    log_time: i64,
) -> Placement<'f> {
    let NewLine { header, position, epoch, .. } = *line;
    let stated = file.time.stated(entry, offsets);
    let counts = file.kind.counts(entry, stated.is_some());
    let reread = file.is_reread(stated.as_ref().map(|time| time.millis));
    let time = event_time::event_time(stated, entry, file, header, log_time);
    let flags = event_time::flags(&time, entry, header, position, reread, line.lossy, log_time);
    let file_id = match position {
        Position::Rewound => epoch.rewound(hash_of(header, line.value)),
        Position::New | Position::Repeat => epoch,
    };
    let id = file_id.line(header.offset);
    let continues = file.continues(entry, id, epoch, header.offset, header.end);
    let thread = file.threads.of(entry, limits);
    let operation = match form {
        form if form.is_foreign() => None,
        // Configuration Manager has no sections: each line names its own operation.
        Form::WuaHandler => {
            thread.follow(entry, limits.value_bytes_max);
            classify::operation_of(entry.action)
        }
        _ => thread.follow(entry, limits.value_bytes_max),
    };
    let process = file.time.process(entry.pid).filter(|_| !form.is_foreign());
    let clock = file.time.clock_millis();
    Placement { time, flags, id, continues, thread, operation, process, clock, counts, reread }
}
