//! One mail over one SMTP connection.
//!
//! lettre's own transport aborts at the first recipient that the server refuses, so no recipient gets the mail. This
//! conversation goes on with the accepted recipients, and distinguishes the step at which the server refuses: an answer
//! to `MAIL` is about the sender, one to `RCPT` about one recipient, and one to the text about the document.

use std::io::ErrorKind;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{SmtpConnection, Tls};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};

/// A mail server, and how to log in.
pub(super) struct SmtpServer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) timeout: Duration,
    pub(super) login: Option<Credentials>,
}

/// A recipient that the server refused.
pub(super) struct Refusal {
    pub(super) recipient: Address,
    pub(super) why: String,
    /// True for 5xx: the same attempt would be refused again.
    pub(super) permanent: bool,
}

/// The result of sending a mail.
pub(super) enum SentMail {
    /// The server has the mail for all recipients but the refused ones.
    Taken { answer: String, refusals: Vec<Refusal> },
    /// The whole text was sent and no answer came: the server probably has the mail for all recipients but the refused
    /// ones.
    Unanswered { why: String, refusals: Vec<Refusal> },
    /// Every recipient was refused.
    NoRecipient(Vec<Refusal>),
    /// The mail was not sent, for a reason that passes.
    NotNow(String),
    /// The server refuses the login or the sender.
    Barred(String),
    /// The server refuses the text.
    Refused(String),
}

impl SmtpServer {
    /// Sends a mail to these recipients.
    pub(super) fn send(&self, from: &Address, to: &[Address], mail: &[u8]) -> SentMail {
        let mut connection = match self.connect() {
            Ok(connection) => connection,
            Err(error) => return not_sent(&error),
        };
        let sent = converse(&mut connection, from, to, mail);
        match sent {
            SentMail::Unanswered { .. } | SentMail::NotNow(_) => connection.abort(),
            // The mail is settled; whether the server says goodbye does not matter.
            _ => drop(connection.quit()),
        }
        sent
    }

    fn connect(&self) -> Result<SmtpConnection, Error> {
        let hello = ClientId::default();
        let wrapper = if let Tls::Wrapper(parameters) = &self.tls { Some(parameters) } else { None };
        let address = (self.host.as_str(), self.port);
        let mut connection = SmtpConnection::connect(address, Some(self.timeout), &hello, wrapper, None)?;
        if let Tls::Required(parameters) = &self.tls {
            connection.starttls(parameters, &hello)?;
        }
        if let Some(login) = &self.login {
            connection.auth(DEFAULT_MECHANISMS, login)?;
        }
        Ok(connection)
    }
}

fn converse(connection: &mut SmtpConnection, from: &Address, to: &[Address], mail: &[u8]) -> SentMail {
    let parameters = match parameters(connection, from, to, mail) {
        Ok(parameters) => parameters,
        Err(why) => return SentMail::Barred(why.to_owned()),
    };
    if let Err(error) = connection.command(Mail::new(Some(from.clone()), parameters)) {
        return not_sent(&error);
    }
    let mut refusals = Vec::new();
    for recipient in to {
        if let Err(error) = connection.command(Rcpt::new(recipient.clone(), Vec::new())) {
            if error.status().is_none() {
                return not_sent(&error);
            }
            let (why, permanent) = (with_causes(&error), error.is_permanent());
            refusals.push(Refusal { recipient: recipient.clone(), why, permanent });
        }
    }
    if refusals.len() == to.len() {
        return SentMail::NoRecipient(refusals);
    }
    if let Err(error) = connection.command(Data) {
        return not_sent(&error);
    }
    match connection.message(mail) {
        Ok(answer) => {
            let text: Vec<&str> = answer.message().collect();
            SentMail::Taken { answer: format!("{} {}", answer.code(), text.join(" ")), refusals }
        }
        Err(error) if error.is_permanent() => SentMail::Refused(with_causes(&error)),
        // A broken pipe comes from writing: the end of the text was not sent.
        Err(error) if error.is_transient() || is_broken_pipe(&error) => SentMail::NotNow(with_causes(&error)),
        Err(error) => SentMail::Unanswered { why: with_causes(&error), refusals },
    }
}

/// A failure before the text: a permanent refusal concerns the login or the sender, any other failure may pass.
fn not_sent(error: &Error) -> SentMail {
    if error.is_permanent() { SentMail::Barred(with_causes(error)) } else { SentMail::NotNow(with_causes(error)) }
}

/// The extensions that the mail needs: RFC 6531 for addresses, RFC 6152 for the text.
fn parameters(
    connection: &SmtpConnection,
    from: &Address,
    to: &[Address],
    mail: &[u8],
) -> Result<Vec<MailParameter>, &'static str> {
    let mut parameters = Vec::new();
    let has = |extension| connection.server_info().supports_feature(extension);
    if !to.iter().chain([from]).all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
        if !has(Extension::SmtpUtfEight) {
            return Err("an address has letters beyond ASCII, and the server has no SMTPUTF8");
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !mail.is_ascii() {
        if !has(Extension::EightBitMime) {
            return Err("the mail has letters beyond ASCII, and the server has no 8BITMIME");
        }
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

fn is_broken_pipe(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == ErrorKind::BrokenPipe) {
            return true;
        }
        cause = inner.source();
    }
    false
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
