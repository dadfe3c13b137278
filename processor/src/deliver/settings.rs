//! The checked settings of a channel: those that all channels have, and those of each kind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use wulog_settings::{Secret, SecretOrigin};

use super::backlog::DeliveryMode;
use super::filter::Wants;
use super::template::TemplateSource;
use crate::language::Language;

/// A checked channel.
#[derive(Clone, Debug)]
pub struct ChannelConfig {
    /// Name of the channel: part of the consumer group's name, of keys and of metrics.
    pub name: String,
    /// The documents that it takes.
    pub wants: Wants,
    /// The documents that it sends after an outage.
    pub delivery: DeliveryMode,
    /// Language of the summary.
    pub language: Language,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// CAs that it trusts, and the certificate that it shows.
    pub trust: TrustConfig,
    /// The settings of its kind.
    pub kind: ChannelKind,
}

impl ChannelConfig {
    /// Reads the files of secrets again, and returns whether one has changed. Short-lived tokens are renewed in their
    /// files.
    ///
    /// # Errors
    /// Names the file that cannot be read; the secret keeps its value.
    pub(super) fn read_secrets_again(&mut self) -> Result<bool, String> {
        let mut changed = false;
        for secret in self.secrets() {
            let SecretOrigin::File(path) = secret.origin() else { continue };
            let now = Secret::look_up("file", &path.display().to_string())?;
            changed |= now != *secret;
            *secret = now;
        }
        Ok(changed)
    }

    fn secrets(&mut self) -> Vec<&mut Secret> {
        match &mut self.kind {
            ChannelKind::Alertmanager { http, .. } => http.secrets(),
            ChannelKind::Webhook { http, hmac_key, body, .. } => {
                let mut secrets = http.secrets();
                secrets.extend(hmac_key);
                if let Body::Template(_, values) = body {
                    secrets.extend(values.values_mut());
                }
                secrets
            }
            ChannelKind::Mail(mail) => mail.login.iter_mut().map(|(_, password)| password).collect(),
            ChannelKind::Syslog(_) => Vec::new(),
        }
    }
}

impl EndpointConfig {
    fn secrets(&mut self) -> Vec<&mut Secret> {
        let optional = self.bearer_token.iter_mut().chain(&mut self.proxy);
        std::iter::once(&mut self.url).chain(optional).chain(self.headers.values_mut()).collect()
    }
}

/// Files of TLS.
#[derive(Clone, Debug, Default)]
pub struct TrustConfig {
    /// PEM file of CAs that are trusted beside the platform's.
    pub ca_file: Option<PathBuf>,
    /// PEM files of the certificate chain and the key that this client shows.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The settings of a kind of channel.
#[derive(Clone, Debug)]
pub enum ChannelKind {
    /// Alertmanager.
    Alertmanager {
        /// Its address; `/api/v2/alerts` is appended.
        http: EndpointConfig,
        /// Interval at which open incidents are sent again.
        resend: Duration,
        /// `generatorURL` of alerts; `{id}` becomes the incident's id.
        link: Option<String>,
    },
    /// HTTP POST.
    Webhook {
        /// The endpoint, with headers and secrets.
        http: EndpointConfig,
        /// Key of the signature.
        hmac_key: Option<Secret>,
        /// The body.
        body: Body,
        /// The variable `link` of templates; `{id}` becomes the incident's id.
        link: Option<String>,
    },
    /// SMTP.
    Mail(MailConfig),
    /// Syslog.
    Syslog(SyslogConfig),
}

/// Body of a webhook.
#[derive(Clone, Debug)]
pub enum Body {
    /// The document.
    Document,
    /// The document in a CloudEvents envelope, with this `source`.
    CloudEvent(String),
    /// A template.
    Template(TemplateSource, BTreeMap<String, Secret>),
}

/// An HTTP endpoint.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The address.
    pub url: Secret,
    /// Custom headers.
    pub headers: BTreeMap<String, Secret>,
    /// The value of `Authorization: Bearer`.
    pub bearer_token: Option<Secret>,
    /// The proxy.
    pub proxy: Option<Secret>,
}

/// A mail channel.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// `HOST:PORT`.
    pub server: (String, u16),
    /// How the connection is protected.
    pub tls: Tls,
    /// User and password.
    pub login: Option<(String, Secret)>,
    /// Sender.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
}

/// A syslog channel.
#[derive(Clone, Debug)]
pub struct SyslogConfig {
    /// `HOST:PORT`.
    pub server: (String, u16),
    /// Whether the connection is TLS.
    pub tls: bool,
    /// Form of the message.
    pub form: SyslogForm,
    /// RFC 5424's facility, 0-23.
    pub facility: u8,
    /// `HOSTNAME` of messages.
    pub source: String,
}

/// TLS of mail and syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Plain text.
    None,
    /// Plain text that becomes TLS before anything secret is said (mail only).
    Starttls,
    /// TLS from the first byte.
    #[serde(rename = "tls")]
    Implicit,
}

/// Form of a syslog message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SyslogForm {
    /// Structured data, and the summary as the message.
    #[default]
    Rfc5424,
    /// The message is ArcSight's Common Event Format; the structured data stands beside it.
    Cef,
}
