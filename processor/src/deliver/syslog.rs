//! Syslog: RFC 5424 over TCP with octet counting (RFC 6587), TLS by default (RFC 5425).
//!
//! Syslog has no answers, so a connection carries one message: the channel closes the connection for writing, and the
//! close of the receiver shows that the receiver read to the end.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use wulog_schemas::alert::{Alert, Level, State};

use super::backlog::Item;
use super::channel::{Channel, DeliveryOutcome, other_kind};
use super::settings::{ChannelConfig, ChannelKind, SyslogConfig, SyslogForm};
use super::summary::summary;
use super::trust::TlsTrust;
use crate::language::Language;
use crate::report::{capitalized, title};

/// Longest wait for the receiver's close. A receiver that keeps connections open has the message all the same.
const CLOSE_WAIT: Duration = Duration::from_secs(3);
/// Longest message: receivers take 8 KiB or more by default.
const MESSAGE_CHARS_MAX: usize = 2_000;
/// IANA's private enterprise number for documentation: wulog has none of its own.
const SD_ID: &str = "wulog@32473";

/// A channel to a syslog receiver.
pub(super) struct Syslog {
    config: SyslogConfig,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
    language: Language,
}

impl Syslog {
    /// Reads certificates; reaches nothing yet.
    ///
    /// # Errors
    /// Names the file at fault.
    pub(super) fn open(config: &ChannelConfig, syslog: &SyslogConfig) -> Result<Syslog, String> {
        let tls = if syslog.tls { Some(TlsTrust::load(&config.trust)?.rustls()?) } else { None };
        Ok(Syslog { config: syslog.clone(), tls, timeout: config.timeout, language: config.language })
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        let (host, port) = &self.config.server;
        let address = (host.as_str(), *port).to_socket_addrs()?.next();
        let address = address.ok_or_else(|| io::Error::other("the name has no address"))?;
        let stream = TcpStream::connect_timeout(&address, self.timeout)?;
        stream.set_write_timeout(Some(self.timeout))?;
        stream.set_read_timeout(Some(self.timeout))?;
        let Some(tls) = &self.tls else {
            (&stream).write_all(frame)?;
            stream.shutdown(Shutdown::Write)?;
            return wait_for_close(&stream, &mut &stream);
        };
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
        let mut secured = StreamOwned::new(connection, stream);
        secured.write_all(frame)?;
        secured.conn.send_close_notify();
        secured.flush()?;
        secured.sock.shutdown(Shutdown::Write)?;
        let socket = secured.sock.try_clone()?;
        wait_for_close(&socket, &mut secured)
    }
}

/// Reads until the receiver closes. A receiver that does not answer is no failure; a reset is.
fn wait_for_close(socket: &TcpStream, stream: &mut dyn Read) -> io::Result<()> {
    socket.set_read_timeout(Some(CLOSE_WAIT))?;
    let mut said = [0; 256];
    loop {
        match stream.read(&mut said) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => {
                return match error.kind() {
                    // A TLS receiver may close without a close_notify, which also counts as a close.
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::UnexpectedEof => Ok(()),
                    _ => Err(error),
                };
            }
        }
    }
}

impl Channel for Syslog {
    fn renew(&mut self, config: &ChannelConfig) -> Result<(), String> {
        let ChannelKind::Syslog(syslog) = &config.kind else { return Err(other_kind()) };
        *self = Syslog::open(config, syslog)?;
        Ok(())
    }

    fn deliver(&mut self, item: &Item, now_ms: i64) -> DeliveryOutcome {
        let message = message(&self.config, &item.alert, &summary(&item.alert, self.language), now_ms);
        let frame = [format!("{} ", message.len()).as_bytes(), message.as_bytes()].concat();
        let (host, port) = &self.config.server;
        match self.send(&frame) {
            Ok(()) => DeliveryOutcome::Delivered(format!("{host}:{port} took {} bytes", message.len())),
            Err(error) => DeliveryOutcome::Retry { why: format!("{host}:{port}: {error}"), after: None },
        }
    }
}

/// The message of a document, without its length.
fn message(config: &SyslogConfig, alert: &Alert, summary: &str, now_ms: i64) -> String {
    let severity = match (alert.state, alert.severity.level) {
        (State::Open, Level::Critical) => 2,
        (State::Open, Level::High) => 3,
        (State::Open, Level::Medium) => 4,
        (State::Open, Level::Low) => 5,
        _ => 6,
    };
    let priority = u32::from(config.facility) * 8 + severity;
    let time = wulog_schemas::alert::UtcTime(now_ms);
    let text = match config.form {
        SyslogForm::Rfc5424 => one_line(summary),
        SyslogForm::Cef => cef(alert, summary),
    };
    // RFC 5424 wants a byte order mark before UTF-8; plain ASCII needs none, and some receivers keep it in the text.
    let mark = if text.is_ascii() { "" } else { "\u{feff}" };
    let host = header(&config.source, 255);
    let data = structured_data(alert);
    format!("<{priority}>1 {time} {host} wulog {} {} {data} {mark}{text}", std::process::id(), alert.transition)
}

fn structured_data(alert: &Alert) -> String {
    let pairs = [
        ("id", alert.id.clone()),
        ("seq", alert.seq.to_string()),
        ("severity", alert.severity.level.to_string()),
        ("family", alert.family.to_string()),
        ("transition", alert.transition.to_string()),
        ("affected", alert.hosts.affected.to_string()),
        ("active", alert.hosts.active.to_string()),
        ("recovered", alert.hosts.recovered.to_string()),
        ("silent", alert.hosts.silent.to_string()),
        ("onset", alert.time.onset.to_string()),
    ];
    let mut text = format!("[{SD_ID}");
    for (name, value) in pairs {
        text.push_str(&format!(" {name}=\"{}\"", sd_value(&value)));
    }
    text.push(']');
    text
}

/// Escapes a value of structured data: RFC 5424, section 6.3.3.
fn sd_value(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]")
}

/// A field of the header: printable ASCII without spaces.
fn header(text: &str, chars_max: usize) -> String {
    let legal: String = text.chars().filter(char::is_ascii_graphic).take(chars_max).collect();
    if legal.is_empty() { "-".to_owned() } else { legal }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_CHARS_MAX).collect()
}

/// ArcSight's Common Event Format, version 0.
fn cef(alert: &Alert, summary: &str) -> String {
    let level = match alert.severity.level {
        Level::Low => 3,
        Level::Medium => 5,
        Level::High => 8,
        Level::Critical => 10,
    };
    let name = cef_header(&capitalized(&title(alert)));
    let factor = alert.common_factors.first().map(|factor| format!("{} {}", factor.dimension, factor.value));
    let extension = [
        ("externalId", alert.id.clone()),
        ("rt", alert.time.updated.0.to_string()),
        ("start", alert.time.onset.0.to_string()),
        ("cat", alert.family.to_string()),
        ("act", alert.transition.to_string()),
        ("cn1", alert.hosts.affected.to_string()),
        ("cn1Label", "affectedHosts".to_owned()),
        ("cn2", alert.hosts.active.to_string()),
        ("cn2Label", "activeHosts".to_owned()),
        ("cn3", alert.seq.to_string()),
        ("cn3Label", "seq".to_owned()),
        ("cs1", factor.unwrap_or_default()),
        ("cs1Label", "commonFactor".to_owned()),
        ("msg", summary.chars().take(MESSAGE_CHARS_MAX / 2).collect()),
    ];
    let extension: Vec<String> = extension.iter().map(|(name, value)| format!("{name}={}", cef_value(value))).collect();
    let version = env!("CARGO_PKG_VERSION");
    format!("CEF:0|wulog|wulog-processor|{version}|{}|{name}|{level}|{}", alert.transition, extension.join(" "))
}

fn cef_header(text: &str) -> String {
    one_line(text).replace('\\', "\\\\").replace('|', "\\|")
}

/// Escapes a value of the extension. Line ends become the escapes that CEF has for them.
fn cef_value(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('=', "\\=").replace('\r', "\\r").replace('\n', "\\n");
    escaped.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::sample::sample;
    use wulog_schemas::alert::Transition;

    fn config(form: SyslogForm) -> SyslogConfig {
        SyslogConfig {
            server: ("localhost".to_owned(), 6514),
            tls: false,
            form,
            facility: 13,
            source: "proc 1".to_owned(),
        }
    }

    #[test]
    fn a_message_has_the_fields_of_rfc_5424() {
        let alert = sample("wu-1", 2, Transition::Growing, Level::High);
        let text = message(&config(SyslogForm::Rfc5424), &alert, "a\nb", 1_772_452_800_000);
        let start =
            format!("<107>1 2026-03-02T12:00:00.000Z proc1 wulog {} growing [{SD_ID} id=\"wu-1\"", std::process::id());
        assert!(text.starts_with(&start), "{text}");
        assert!(text.ends_with("] a b"), "{text}");
        let german = message(&config(SyslogForm::Rfc5424), &alert, "Rechnern fällt", 0);
        assert!(german.ends_with("] \u{feff}Rechnern fällt"), "{german}");
        let over = sample("wu-1", 3, Transition::Resolved, Level::High);
        assert!(message(&config(SyslogForm::Rfc5424), &over, "", 0).starts_with("<110>1 "));
    }

    #[test]
    fn structured_data_and_cef_escape_what_they_must() {
        assert_eq!(sd_value(r#"a"b\c]d"#), r#"a\"b\\c\]d"#);
        assert_eq!(cef_header("a|b\\c\n"), r"a\|b\\c ");
        assert_eq!(cef_value("a=b\\c\nd|e"), r"a\=b\\c\nd|e");
    }
}
