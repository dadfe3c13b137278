//! Mail: plain text and HTML, one thread per incident.
//!
//! The Message-ID follows from the incident's id and the document's number, so a repeated mail has the same Message-ID;
//! References names the first document. The subject names the incident and nothing that changes, since some mail
//! programs build threads by the subject; the changing part begins the text.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls as SmtpTls, TlsParameters};
use lettre::{Address, Message};
use wulog_schemas::alert::{Alert, IncidentKind, State};

use super::backlog::Item;
use super::channel::{Channel, DeliveryOutcome, MissingRecipient, other_kind};
use super::settings::{ChannelConfig, ChannelKind, MailConfig, Tls};
use super::smtp::{Refusal, SentMail, SmtpServer};
use super::summary::summary;
use super::trust::TlsTrust;
use crate::language::Language;
use crate::report::print_alert;

/// Columns of the plain text.
const COLUMNS: usize = 78;
/// Pause before a recipient that the server refused for now is tried again. Greylisting asks for some minutes.
const RECIPIENT_PAUSE: Duration = Duration::from_secs(60);
/// Pause before a mail is sent again whose text got no answer: the mail has probably arrived, and a repeat is a second
/// mail.
const UNANSWERED_PAUSE: Duration = Duration::from_secs(3600);

/// A channel to a mail server.
pub(super) struct Mail {
    server: SmtpServer,
    shown: String,
    from: Mailbox,
    to: Vec<Mailbox>,
    domain: String,
    language: Language,
    /// Recipients that are still to get a document, by its key. A document without an entry goes to all recipients.
    left: BTreeMap<String, Vec<String>>,
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
            Tls::Starttls => SmtpTls::Required(tls(host, &TlsTrust::load(&config.trust)?)?),
            Tls::Implicit => SmtpTls::Wrapper(tls(host, &TlsTrust::load(&config.trust)?)?),
        };
        let login = mail.login.as_ref();
        let login = login.map(|(user, password)| Credentials::new(user.clone(), password.expose().to_owned()));
        let server = SmtpServer { host: host.clone(), port: *port, tls, timeout: config.timeout, login };
        let mailbox = |key: &str, text: &str| text.parse::<Mailbox>().map_err(|error| format!("{key}: {error}"));
        let from = mailbox("from", &mail.from)?;
        let to = mail.to.iter().map(|text| mailbox("to", text)).collect::<Result<_, _>>()?;
        let domain = from.email.domain().to_owned();
        let shown = format!("{host}:{port}");
        Ok(Mail { server, shown, from, to, domain, language: config.language, left: BTreeMap::new() })
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
    fn deliver(&mut self, item: &Item, now_ms: i64) -> DeliveryOutcome {
        let mail = match self.prepare(item, now_ms) {
            Ok(mail) => mail,
            Err(why) => return DeliveryOutcome::Refused(why),
        };
        let left = self.left.get(&item.key());
        let is_left = |address: &&Address| left.is_none_or(|left| left.iter().any(|one| *one == address.to_string()));
        let to: Vec<Address> = self.to.iter().map(|mailbox| &mailbox.email).filter(is_left).cloned().collect();
        if to.is_empty() {
            return DeliveryOutcome::Delivered("no recipient is left".to_owned());
        }
        let at_server = |why: String| format!("{}: {why}", self.shown);
        match self.server.send(&self.from.email, &to, &mail) {
            SentMail::Taken { answer, refusals } if refusals.is_empty() => DeliveryOutcome::Delivered(answer),
            SentMail::Taken { answer, refusals } => {
                DeliveryOutcome::Partly { answer: Some(answer), lacking: refusals.into_iter().map(lacking).collect() }
            }
            SentMail::Unanswered { why, refusals } => {
                let why =
                    format!("no answer came to the text of the mail, which has probably arrived: {}", at_server(why));
                let refused = |address: &&Address| refusals.iter().any(|refusal| refusal.recipient == **address);
                let doubtful = to.iter().filter(|address| !refused(address)).map(|address| MissingRecipient {
                    recipient: address.to_string(),
                    why: why.clone(),
                    again: Some(UNANSWERED_PAUSE),
                });
                let doubtful: Vec<MissingRecipient> = doubtful.collect();
                let lacking = doubtful.into_iter().chain(refusals.into_iter().map(lacking)).collect();
                DeliveryOutcome::Partly { answer: None, lacking }
            }
            // Other recipients have the mail already, so these refusals do not stop the channel.
            SentMail::NoRecipient(refusals) if left.is_some() => {
                DeliveryOutcome::Partly { answer: None, lacking: refusals.into_iter().map(lacking).collect() }
            }
            SentMail::NoRecipient(refusals) => {
                let passes = refusals.iter().any(|refusal| !refusal.permanent);
                let each = refusals.iter().map(|refusal| format!("{}: {}", refusal.recipient, refusal.why));
                let why = at_server(format!("refuses every recipient: {}", each.collect::<Vec<_>>().join("; ")));
                if passes { DeliveryOutcome::Retry { why, after: None } } else { DeliveryOutcome::Barred(why) }
            }
            SentMail::NotNow(why) => DeliveryOutcome::Retry { why: at_server(why), after: None },
            SentMail::Barred(why) => DeliveryOutcome::Barred(at_server(why)),
            SentMail::Refused(why) => DeliveryOutcome::Refused(at_server(why)),
        }
    }

    fn renew(&mut self, config: &ChannelConfig) -> Result<(), String> {
        let ChannelKind::Mail(mail) = &config.kind else { return Err(other_kind()) };
        self.server = Mail::open(config, mail)?.server;
        Ok(())
    }

    fn prepare(&self, item: &Item, now_ms: i64) -> Result<Vec<u8>, String> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
        Ok(self.message(&item.alert, item.sample, now)?.formatted())
    }

    fn send_only_to(&mut self, key: &str, recipients: &[String]) {
        if recipients.is_empty() {
            self.left.remove(key);
        } else {
            self.left.insert(key.to_owned(), recipients.to_vec());
        }
    }

    fn forget(&mut self) {
        self.left.clear();
    }
}

fn lacking(refusal: Refusal) -> MissingRecipient {
    let Refusal { recipient, why, permanent } = refusal;
    MissingRecipient { recipient: recipient.to_string(), why, again: (!permanent).then_some(RECIPIENT_PAUSE) }
}

/// The subject of a mail: that of the incident's first mail, with `Re: ` in later ones.
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

/// The transition, and the severity of an open incident.
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

fn tls(host: &str, trust: &TlsTrust) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
    for root in &trust.roots {
        // A root that the platform holds and rustls cannot read is skipped, as the platform's other users do.
        if let Ok(certificate) = Certificate::from_der(root.to_vec()) {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build_rustls().map_err(|error| format!("tls: {error}"))
}
