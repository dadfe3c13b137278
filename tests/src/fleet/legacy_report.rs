//! What a legacy client reports of itself: REPORT EVENTs to its server, WER lines to Microsoft.

use super::pen::Pen;
use super::spec::Update;

/// The fields of a REPORT EVENT that differ from one to the next.
pub(super) struct Report<'a> {
    pub(super) event: u16,
    pub(super) update: &'a str,
    pub(super) revision: u32,
    pub(super) code: u32,
    pub(super) caller: &'a str,
    pub(super) failed: bool,
    pub(super) category: &'a str,
    pub(super) text: &'a str,
}

impl<'a> Report<'a> {
    pub(super) const SUCCESS: Report<'static> = Report {
        event: 0,
        update: "00000000-0000-0000-0000-000000000000",
        revision: 0,
        code: 0,
        caller: "AutomaticUpdates",
        failed: false,
        category: "",
        text: "",
    };

    pub(super) fn of(update: &'a Update) -> Report<'a> {
        Report {
            update: &update.id,
            revision: update.revision,
            ..Report::SUCCESS
        }
    }
}

/// A REPORT EVENT, written `late_ms` after it happened: the reporter works through its queue every five seconds.
pub(super) fn report(pen: &mut Pen<'_>, late_ms: i64, report: &Report<'_>) {
    let written_ticks = pen.now_ticks;
    pen.now_ticks -= late_ms * 10_000;
    let happened = pen.time_at_target();
    pen.now_ticks = written_ticks;
    let instance = pen.random.guid();
    let Report {
        event,
        update,
        revision,
        code,
        caller,
        failed,
        category,
        text,
    } = report;
    let code = if *code == 0 {
        "0".to_owned()
    } else {
        format!("{code:08x}")
    };
    let result = if *failed { "Failure" } else { "Success" };
    pen.write(
        "Report",
        &format!(
            "REPORT EVENT: {{{instance}}}\t{happened}\t1\t{event}\t101\t{{{update}}}\t{revision}\t{code}\t{caller}\t{result}\t{category}\t{text}"
        ),
    );
    pen.process.unsent += 1;
}

pub(super) fn wer_sent(pen: &mut Pen<'_>, update: &str, code: u32, phase: &str) {
    let build = pen.host.system.client_build;
    pen.write(
        "Report",
        &format!("WER Report sent: {build} 0x{code:08x} {update} {phase} 101 Managed"),
    );
    pen.write("Report", "CWERReporter finishing event handling. (00000000)");
}
