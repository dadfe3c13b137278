//! Writes the fields of a log message for both binaries. Foreign text in a field is made visible, so that a folder's
//! name cannot forge a line of the log.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use wulog_schemas::visible::visible;

/// Writes `message name=value name=value`, for `fmt_fields` of a `tracing_subscriber` layer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct VisibleFields;

impl<'writer> FormatFields<'writer> for VisibleFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut text = FieldText { writer, first: true, result: Ok(()) };
        fields.record(&mut text);
        text.result
    }
}

struct FieldText<'writer> {
    writer: Writer<'writer>,
    first: bool,
    result: fmt::Result,
}

impl Visit for FieldText<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.result.is_err() {
            return;
        }
        let gap = if std::mem::take(&mut self.first) { "" } else { " " };
        let (value, name) = (format!("{value:?}"), field.name());
        self.result = match name {
            "message" => write!(self.writer, "{gap}{}", visible(&value)),
            _ => write!(self.writer, "{gap}{}={}", name.trim_start_matches("r#"), visible(&value)),
        };
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::{error, warn};

    use super::*;

    /// The bytes that a subscriber wrote.
    #[derive(Clone, Default)]
    pub(crate) struct Lines(pub(crate) Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(VisibleFields)
            .with_ansi(false)
            .without_time()
            .with_writer(move || to.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let name = "PC-1\n2026-01-01 ERROR forged \u{1b}[31m\u{9b}1m \u{202e}";
            warn!(path = %name, host = name, count = 7, "file {name} is not read");
            error!("a message alone");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{text:?}");
        assert!(
            text.contains("file PC-1\\n2026") && text.contains("count=7") && text.contains("host=\"PC-1\\n"),
            "{text}"
        );
        assert!(text.trim_end().ends_with("a message alone"), "{text}");
    }
}
