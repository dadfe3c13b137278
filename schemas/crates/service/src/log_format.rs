//! Writes log messages on standard error for both binaries: text for people, or one JSON object a line for programs.

use std::fmt::{self, Debug};
use std::io::IsTerminal;

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use wulog_schemas::visible::visible_json;

use crate::log_fields::VisibleFields;

/// The value of `--log-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line: time, level, target, message, fields.
    Json,
}

/// Returns the layer that writes to standard error.
#[must_use]
pub fn layer<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => layer.with_ansi(std::io::stderr().is_terminal()).fmt_fields(VisibleFields).boxed(),
        LogFormat::Json => layer.with_ansi(false).event_format(JsonLines).boxed(),
    }
}

/// Writes `{"time":…,"level":…,"target":…,"message":…,"fields":{…}}`. Fields of any name stay inside `fields`, so that
/// a field cannot pass for a part of the message itself.
#[derive(Clone, Copy, Debug)]
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut found = LogEventFields::default();
        event.record(&mut found);
        let metadata = event.metadata();
        let line = json!({
            "time": Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
            "level": metadata.level().as_str(),
            "target": metadata.target(),
            "message": found.message,
            "fields": found.others,
        });
        writeln!(writer, "{}", visible_json(&line.to_string()))
    }
}

/// The fields of an event.
#[derive(Default)]
struct LogEventFields {
    message: String,
    others: Map<String, Value>,
}

impl LogEventFields {
    fn put(&mut self, field: &Field, value: Value) {
        self.others.insert(field.name().trim_start_matches("r#").to_owned(), value);
    }
}

impl Visit for LogEventFields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity and no NaN; they become null.
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.put(field, value.into());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing::{error, warn};

    use super::*;
    use crate::log_fields::tests::Lines;

    #[test]
    fn a_message_is_one_json_object_that_no_field_can_forge() {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = tracing_subscriber::fmt().event_format(JsonLines).with_writer(move || to.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let name = "PC-1\"}\n{\"level\":\"ERROR\"} \u{1b}[31m\u{9b}1m \u{202e}";
            warn!(path = %name, level = name, count = 7, ok = true, share = 0.5, wait = ?Some(1), "file {name} is not read");
            error!("a message alone");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{text:?}");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let name = "PC-1\"}\n{\"level\":\"ERROR\"} \u{1b}[31m\u{9b}1m \u{202e}";
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["level"], &lines[1]["level"]), (&json!("WARN"), &json!("ERROR")));
        assert_eq!(lines[0]["message"], format!("file {name} is not read"));
        assert_eq!(
            lines[0]["fields"],
            json!({"path": name, "level": name, "count": 7, "ok": true, "share": 0.5, "wait": "Some(1)"})
        );
        assert_eq!((&lines[1]["message"], &lines[1]["fields"]), (&json!("a message alone"), &json!({})));
        assert_eq!(lines[0]["target"], module_path!());
        assert!(lines[0]["time"].as_str().is_some_and(|time| time.parse::<chrono::DateTime<Utc>>().is_ok()));
    }
}
