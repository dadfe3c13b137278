//! Mail: plain text and HTML, one thread per incident.
//!
//! The Message-ID follows from id and number, so a repeated mail has the same; References names the first document. The subject
//! names the incident and nothing that changes, since some mail programs build threads by it; what changes begins the text.

use std::time::{Duration, SystemTime};

use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls as SmtpTls, TlsParameters};
use lettre::{Message, SmtpTransport, Transport};
use wulog_schemas::alert::{Alert, IncidentKind, State};

use super::backlog::Item;
use super::channel::{Channel, Outcome};
use super::config::{ChannelConfig, Language, MailConfig, Tls};
use super::summary::summary;
use super::trust::Trust;
use crate::report::print_alert;

/// Columns of the plain text.
const COLUMNS: usize = 78;
/// SMTP codes that refuse the login and not the mail: they end when a person mends the login.
const LOGIN_CODES: [&str; 4] = ["530", "534", "535", "538"];

/// A channel to a mail server.
pub(super) struct Mail {
    transport: SmtpTransport,
    shown: String,
    from: Mailbox,
    to: Vec<Mailbox>,
    domain: String,
    language: Language,
}

impl Mail {
    /// Looks up secrets and certificates; reaches nothing yet.
    ///
    /// # Errors
    /// Names the key, file or variable at fault.
    pub(super) fn open(config: &ChannelConfig, mail: &MailConfig) -> Result<Mail, String> {
        let (host, port) = &mail.server;
        let tls = match mail.tls {
            Tls::None => SmtpTls::None,
            Tls::Starttls => SmtpTls::Required(tls(host, &Trust::load(&config.trust)?)?),
            Tls::Tls => SmtpTls::Wrapper(tls(host, &Trust::load(&config.trust)?)?),
        };
        let mut builder =
            SmtpTransport::builder_dangerous(host.as_str()).port(*port).tls(tls).timeout(Some(config.timeout));
        if let Some((user, password)) = &mail.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        let mailbox = |key: &str, text: &str| text.parse::<Mailbox>().map_err(|error| format!("{key}: {error}"));
        let from = mailbox("from", &mail.from)?;
        let to = mail.to.iter().map(|text| mailbox("to", text)).collect::<Result<_, _>>()?;
        let domain = from.email.domain().to_owned();
        let shown = format!("{host}:{port}");
        Ok(Mail { transport: builder.build(), shown, from, to, domain, language: config.language })
    }

    /// The mail for a document.
    fn message(&self, alert: &Alert, sample: bool, now: SystemTime) -> Result<Message, String> {
        let text = print_alert(alert, COLUMNS);
        let summary = summary(alert, self.language);
        let message_id = |seq: u32| format!("<{}.{seq}@{}>", alert.id, self.domain);
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(subject(alert, sample, self.language))
            .date(now)
            .message_id(Some(message_id(alert.seq)));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        if alert.seq > 1 && !sample {
            builder = builder.in_reply_to(message_id(1)).references(message_id(1));
        }
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let part = |kind: ContentType, body: String| SinglePart::builder().header(kind).body(body);
        let summary = format!("{}: {summary}", mark(alert));
        let plain = format!("{summary}\r\n\r\n{}", text.replace('\n', "\r\n"));
        let body = MultiPart::alternative()
            .singlepart(part(ContentType::TEXT_PLAIN, plain))
            .singlepart(part(ContentType::TEXT_HTML, html(alert, &summary, &text)));
        builder.raw_header(automatic).multipart(body).map_err(|error| error.to_string())
    }
}

impl Channel for Mail {
    fn deliver(&mut self, item: &Item, now_ms: i64) -> Outcome {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
        let message = match self.message(&item.alert, item.sample, now) {
            Ok(message) => message,
            Err(why) => return Outcome::Refused(why),
        };
        let envelope: &Envelope = message.envelope();
        match self.transport.send_raw(envelope, &message.formatted()) {
            Ok(answer) => {
                let text: Vec<&str> = answer.message().collect();
                Outcome::Delivered(format!("{} {}", answer.code(), text.join(" ")))
            }
            Err(error) => {
                let code = error.status().map(|code| code.to_string());
                let is_login = code.as_deref().is_some_and(|code| LOGIN_CODES.contains(&code));
                let why = format!("{}: {}", self.shown, with_causes(&error));
                if error.is_permanent() && !is_login {
                    Outcome::Refused(why)
                } else {
                    Outcome::Retry { why, after: None }
                }
            }
        }
    }
}

/// An error with its causes: lettre's own text does not name what TLS found wrong.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

/// The subject of all mails of an incident: the first one's, and answers to it.
fn subject(alert: &Alert, sample: bool, language: Language) -> String {
    let (test, answer) = (if sample { "TEST " } else { "" }, if alert.seq > 1 && !sample { "Re: " } else { "" });
    let what = match (language, alert.kind) {
        (Language::En, IncidentKind::Failures) => "Windows Update does not trust certificates",
        (Language::De, IncidentKind::Failures) => "Windows Update vertraut Zertifikaten nicht",
        (Language::En, IncidentKind::Warning) => "A certificate needs attention before Windows Update fails",
        (Language::De, IncidentKind::Warning) => {
            "Ein Zertifikat braucht Aufmerksamkeit, bevor Windows Update scheitert"
        }
    };
    format!("{answer}[wulog] {test}{what} ({}), {}", alert.family, alert.id)
}

/// What has happened, and how severe an open incident is.
fn mark(alert: &Alert) -> String {
    match alert.state {
        State::Open => format!("{} {}", alert.severity.level.to_string().to_uppercase(), alert.transition),
        _ => alert.transition.to_string(),
    }
}

fn html(alert: &Alert, summary: &str, text: &str) -> String {
    let color = match alert.state {
        State::Open => "#b3261e",
        _ => "#2e7d32",
    };
    format!(
        "<!doctype html><html><body style=\"font-family:sans-serif\">\r\n<p style=\"border-left:6px solid {color};\
         padding-left:10px\"><strong>{}</strong></p>\r\n<pre style=\"font-family:monospace\">{}</pre>\r\n</body></html>\r\n",
        escaped(summary),
        escaped(text).replace('\n', "\r\n")
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn tls(host: &str, trust: &Trust) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
    for root in &trust.roots {
        // A root that the platform holds and rustls cannot read is skipped, as the platform's other users do.
        if let Ok(certificate) = Certificate::from_der(root.to_vec()) {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build_rustls().map_err(|error| format!("tls: {error}"))
}
