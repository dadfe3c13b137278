//! Reports of a legacy client: REPORT EVENTs to its server, WER lines to Microsoft.

use crate::fleet::pen::{Pen, say};
use crate::fleet::spec::Update;

/// The reporter works through its queue every five seconds: an event's own time is that much before its line's.
pub(super) const QUEUE_MS: i64 = 5_000;

/// One REPORT EVENT.
pub(super) struct Report<'a> {
    event: u16,
    update: &'a str,
    revision: u32,
    code: u32,
    caller: &'a str,
    category: &'a str,
    text: &'a str,
}

impl<'a> Report<'a> {
    /// A success of automatic updates that concerns no update.
    pub(super) fn new(event: u16, category: &'a str, text: &'a str) -> Report<'a> {
        let update = "00000000-0000-0000-0000-000000000000";
        Report { event, update, revision: 0, code: 0, caller: "AutomaticUpdates", category, text }
    }

    pub(super) fn about(self, update: &'a Update) -> Report<'a> {
        Report { update: &update.id, revision: update.revision, ..self }
    }

    pub(super) fn by(self, caller: &'a str) -> Report<'a> {
        Report { caller, ..self }
    }

    pub(super) fn failed(self, code: u32) -> Report<'a> {
        Report { code, ..self }
    }

    /// Writes the report now, `late_ms` after the event.
    pub(super) fn write(self, pen: &mut Pen<'_>, late_ms: i64) {
        let written_ticks = pen.now_ticks;
        pen.now_ticks -= late_ms * 10_000;
        let happened = pen.time_at_target();
        pen.now_ticks = written_ticks;
        let instance = pen.random.guid();
        let Report { event, update, revision, code, caller, category, text } = self;
        let (code, result) = if code == 0 { ("0".to_owned(), "Success") } else { (format!("{code:08x}"), "Failure") };
        let about = format!("{{{update}}}\t{revision}\t{code}\t{caller}\t{result}\t{category}\t{text}");
        say!(pen, "Report", "REPORT EVENT: {{{instance}}}\t{happened}\t1\t{event}\t101\t{about}");
        pen.process.unsent += 1;
    }
}

/// The client has reported a failure to Microsoft's error reporting.
pub(super) fn wer_sent(pen: &mut Pen<'_>, update: &str, code: u32, phase: &str) {
    let build = pen.host.system.client_build;
    pen.write("Report", "CWERReporter::HandleEvents - WER report upload completed with status 0x8");
    say!(pen, "Report", "WER Report sent: {build} 0x{code:08x} {update} {phase} 101 Managed");
    wer_finished(pen);
}

/// The client has checked its queue of error reports.
pub(super) fn wer_finished(pen: &mut Pen<'_>) {
    pen.write("Report", "CWERReporter finishing event handling. (00000000)");
}
