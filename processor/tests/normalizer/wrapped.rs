//! Records of ReportingEvents.log that were wrapped by a copy: one record for every width, behind any other lines.

use serde_json::Value;

use super::feed::Feed;

const TAIL: &str = "1\t161 [AGENT_DOWNLOAD_FAILED]\t101\t{77B0A6F1-2E40-4C55-8A27-6E8D0F2A9001}\t1\t800b0109\tUpdateOrchestrator\tFailure\tContent Download\tError: Download failed.";

fn record(minute: u32) -> String {
    format!("{{5812EE3F-B242-BD00-E263-35F7A0085A4D}}\t2024-03-07 06:{minute:02}:52:781+0100\t{TAIL}")
}

/// The text as a console shows it: a line ends at the width.
fn cut(text: &str, width: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(width).map(|part| part.iter().collect()).collect()
}

/// The text as a mail program wraps it: a line ends between words.
fn between_words(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|line| line.len() + 1 + word.len() <= width) {
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Checks that the lines from `from` to `to` are one record: the first line has its fields, and the others refer to the
/// first.
#[track_caller]
fn expect_record(events: &[Value], from: usize, to: usize, minute: u32, place: &str) {
    let head = &events[from];
    let expected = [
        ("/event/action", "download-failed"),
        ("/event/outcome", "failure"),
        ("/error/code", "0x800b0109"),
        ("/wu/form", "reporting_events"),
        ("/wu/update_id", "77b0a6f1-2e40-4c55-8a27-6e8d0f2a9001"),
        ("/wu/caller", "UpdateOrchestrator"),
        ("/wu/report/category", "Content Download"),
        ("/message", "Error: Download failed."),
    ];
    for (pointer, value) in expected {
        assert_eq!(head.pointer(pointer).and_then(Value::as_str), Some(value), "{pointer}, {place}: {head}");
    }
    assert_eq!(head["@timestamp"], format!("2024-03-07T05:{minute:02}:52.781Z"), "{place}");
    assert_eq!(head["wu"].get("continues"), None, "{place}");
    for part in &events[from + 1..to] {
        let text = part["event"]["original"].as_str().expect("a line has its text").trim();
        assert_eq!(part["message"], text, "{place}: what looks like columns is text");
        assert_eq!(part["wu"]["form"], "text", "{place}");
        assert_eq!(part["wu"]["continues"], head["event"]["id"], "{place}: {part}");
        let fields =
            [part["event"]["outcome"].as_str(), part["error"]["code"].as_str(), part["wu"]["update_id"].as_str()];
        assert_eq!(fields, [Some("unknown"), None, None], "{place}: {part}");
    }
}

/// The events of lines that a collector ships, once it is clear that no line follows.
fn events_of(lines: &[String]) -> Vec<Value> {
    let mut feed = Feed::live();
    feed.lines(&lines.join("\n"));
    feed.tick(60_000);
    assert_eq!(feed.events().len(), lines.len());
    feed.events()
}

#[test]
fn a_record_is_one_whatever_the_width() {
    let tabs = record(1);
    let blanks = tabs.replace('\t', " ");
    for width in [40, 60, 79, 80, 100, 120, 132] {
        let ways = [
            ("blanks, cut", cut(&blanks, width)),
            ("tabs, cut", cut(&tabs, width)),
            ("words", between_words(&blanks, width)),
        ];
        for (way, lines) in ways {
            assert!(lines.len() > 1, "{way} {width}");
            let events = events_of(&lines);
            expect_record(&events, 0, lines.len(), 1, &format!("{way} {width}"));
        }
    }
}

#[test]
fn a_wrapped_record_ends_where_the_next_begins() {
    for width in [60, 80, 120] {
        for wrap in [cut, between_words] {
            let [first, second] = [1, 2].map(|minute| wrap(&record(minute).replace('\t', " "), width));
            let events = events_of(&[first.clone(), second.clone(), vec![record(3)]].concat());
            expect_record(&events, 0, first.len(), 1, &format!("first, {width}"));
            expect_record(&events, first.len(), first.len() + second.len(), 2, &format!("second, {width}"));
            expect_record(&events, first.len() + second.len(), events.len(), 3, &format!("third, {width}"));
        }
    }
}

#[test]
fn a_wrapped_record_behind_a_message_does_not_belong_to_it() {
    let parts = between_words(&record(1).replace('\t', " "), 60);
    for message in ["Report\tUploading 2 events using cached cookie", "AU  WARNING: Something that goes on"] {
        let events = events_of(&[vec![message.to_owned()], parts.clone()].concat());
        assert_eq!(events[0]["wu"]["form"], "message");
        assert_eq!(events[0]["message"], message.split_once(['\t', ' ']).expect("columns").1.trim());
        expect_record(&events, 1, events.len(), 1, message);
    }
    // Lines between belong to the message.
    let events =
        events_of(&[vec!["Agent  WARNING: Failed to reach".to_owned(), "the server".to_owned()], parts].concat());
    assert_eq!(events[1]["wu"]["continues"], events[0]["event"]["id"]);
    expect_record(&events, 2, events.len(), 1, "two lines of a message");
}

/// `REPORT EVENT` in a copy of WindowsUpdate.log, with its columns and without, cut before the time and behind it.
#[test]
fn a_report_event_is_one_record_too() {
    let report = format!("REPORT EVENT: {}", record(1)).replace('\t', " ").replace(" [AGENT_DOWNLOAD_FAILED]", "");
    for columns in ["Report ", "2024-03-07 06:01:57:801 1044 a10 Report "] {
        for width in [60, 95, 100, 105, 120] {
            let lines = between_words(&format!("{columns}{report}"), width);
            let events = events_of(&lines);
            let place = format!("{columns} {width}");
            if events[0]["wu"]["form"] == "text" {
                continue; // its columns are cut apart
            }
            assert_eq!(events[0]["error"]["code"], "0x800b0109", "{place}: {lines:#?}");
            assert_eq!(events[0]["wu"]["update_id"], "77b0a6f1-2e40-4c55-8a27-6e8d0f2a9001", "{place}");
            assert_eq!(events[0]["@timestamp"], "2024-03-07T05:01:52.781Z", "{place}");
            assert!(events[1..].iter().all(|part| part["wu"]["continues"] == events[0]["event"]["id"]), "{place}");
        }
    }
}

/// The last line of a log that is still being written, or was copied in part: a record of Configuration Manager without
/// its columns.
#[test]
fn a_record_that_is_cut_off_continues_nothing() {
    let whole = r#"<![LOG[Async searching of updates using WUAgent started.]LOG]!><time="06:01:52.781-60" date="03-07-2024" component="WUAHandler" context="" type="1" thread="1234" file="x.cpp:12">"#;
    for cut_off in
        [r#"<![LOG[Scan failed with error = 0x80072f8f.]LOG]!><time="06:01:5"#, "<![LOG[Scan failed with error = 0x80"]
    {
        let events = events_of(&[whole.to_owned(), cut_off.to_owned()]);
        assert_eq!(events[1]["wu"].get("continues"), None, "{cut_off}");
        assert_ne!(events[1]["event"]["action"], "continuation", "{cut_off}");
    }
    // The lines below continue the record.
    let lines = [whole, "<![LOG[Scan failed with", "error = 0x80072f8f"].map(str::to_owned);
    let events = events_of(&lines);
    assert_eq!(events[2]["wu"]["continues"], events[1]["event"]["id"]);
}
