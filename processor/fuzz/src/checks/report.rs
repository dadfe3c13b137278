//! Any bytes may stand after `REPORT EVENT:`, or be a line of ReportingEvents.log.

use wulog_schemas::event::Form;

use crate::product::parse::{Entry, event_name, parse};

/// Fields are parts of the line, by tabs or by blanks, in either log, wherever the record is cut off.
pub fn check(bytes: &[u8]) {
    let record = String::from_utf8_lossy(bytes);
    // To cut a record just after one of its fields is what a fuzzer by itself hardly ever does.
    let blanks = record.match_indices([' ', '\t']).map(|(at, _)| at);
    for end in blanks.chain([record.len()]) {
        let record = &record[..end];
        check_line(&format!("2011-05-15\t07:47:07:169\t 952\t5b4\tReport\tREPORT EVENT: {record}"));
        check_line(&format!("Report REPORT EVENT: {record}"));
        check_line(&format!("{{{record}"));
    }
}

fn check_line(line: &str) {
    let entry = parse(line);
    assert!(line.contains(entry.message), "{line:?} has a message of its own: {:?}", entry.message);
    check_fields(line, &entry);
}

fn check_fields(line: &str, entry: &Entry<'_>) {
    let Some(report) = &entry.report else {
        assert_ne!(entry.form, Form::ReportingEvents, "{line:?} is of ReportingEvents.log and has no fields");
        return;
    };
    let _ = (report.verdict(), event_name(report.event_id));
    for field in [report.instance, report.app, report.result, report.category, report.text] {
        assert!(line.contains(field), "{field:?} is not in {line:?}");
    }
}
