//! The `[[channels]]` tables of a configuration: read as written, checked once, then trusted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use wulog_schemas::alert::Level;
use wulog_schemas::hresult::Family;
use wulog_settings::Secret;

use super::backlog::DeliveryMode;
use super::endpoint;
use super::filter::{Happening, QuietHours, Silenced, Wants};
use super::settings::{
    Body, ChannelConfig, ChannelKind, EndpointConfig, MailConfig, SyslogConfig, SyslogForm, Tls, TrustConfig,
};
use super::sign::SigningKey;
use super::template::{Preset, TemplateSource};
use crate::language::Language;

/// Channels that one configuration may have: each has a thread and a connection to the log.
const CHANNELS_MAX: usize = 32;
/// Longest name of a channel: it is part of a consumer group's name and of a metric's label.
const NAME_BYTES_MAX: usize = 64;
/// Custom headers of a channel.
const HEADERS_MAX: usize = 32;
/// Longest wait for an answer; a consumer that is silent for five minutes loses its partition.
const TIMEOUT_SECS_MAX: u64 = 120;

/// What is wrong with a channel: its place among `[[channels]]`, the key, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WrongChannel {
    /// Index of the table.
    pub index: usize,
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong, beginning with the key.
    pub why: String,
}

/// How a channel is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum KindName {
    /// Alertmanager's API v2.
    Alertmanager,
    /// HTTP POST.
    Webhook,
    /// SMTP.
    Mail,
    /// RFC 5424 over TCP.
    Syslog,
}

/// Hours in which a channel sends only what is severe.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQuiet {
    /// Time of day at which they begin, `HH:MM`.
    from: String,
    /// Time of day at which they end, `HH:MM`; before `from` it is on the next day.
    until: String,
    /// IANA time zone of both. Default: UTC.
    #[serde(default)]
    time_zone: Option<String>,
    /// Documents of this severity and above are sent all the same. Default: `critical`.
    #[serde(default)]
    except_severity: Option<Level>,
}

/// A `[[channels]]` table as written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawChannel {
    /// Name of the channel: part of its consumer group's name and of metrics.
    pub(super) name: String,
    /// How the channel is spoken to.
    kind: KindName,
    /// The least severity that is sent. The end of an incident that was sent is sent too. Default: `low`.
    min_severity: Option<Level>,
    /// What must have happened: transitions, or `raised`. Without it every document is sent.
    transitions: Option<Vec<Happening>>,
    /// Families of codes of which one must be among the incident's. Default: all.
    families: Option<Vec<Family>>,
    /// For each of these dimensions, one of the values must be a common factor of the incident.
    labels: Option<BTreeMap<String, Vec<String>>>,
    /// Hours in which only what is severe is sent.
    quiet: Option<RawQuiet>,
    /// What happens to documents of an incident that an operator has silenced. Default: `send` for syslog, otherwise `hold`.
    silenced: Option<Silenced>,
    /// Language of the summary. Default: `en`.
    language: Option<Language>,
    /// Which documents are sent after an outage. Default: `state` for Alertmanager and the presets `pagerduty` and
    /// `servicenow`, otherwise `journal`.
    delivery: Option<DeliveryMode>,
    /// Seconds that the channel waits for an answer, 1 to 120. Default: 15.
    timeout_secs: Option<u64>,
    /// PEM file of CAs that are trusted beside the system's.
    ca_file: Option<PathBuf>,
    /// PEM file of the certificate chain that the channel shows; with `client_key`.
    client_certificate: Option<PathBuf>,
    /// PEM file of the key of `client_certificate`.
    client_key: Option<PathBuf>,
    /// Address of the endpoint (alertmanager, webhook).
    url: Option<Secret>,
    /// Headers of each request (alertmanager, webhook).
    headers: Option<BTreeMap<String, Secret>>,
    /// Value of `Authorization: Bearer` (alertmanager, webhook).
    bearer_token: Option<Secret>,
    /// Key of the signature by Standard Webhooks, at least 16 bytes (webhook).
    hmac_key: Option<Secret>,
    /// Proxy of the endpoint, `http://HOST:PORT` (alertmanager, webhook).
    proxy: Option<Secret>,
    /// Sends the document in a CloudEvents envelope (webhook).
    cloudevents: Option<bool>,
    /// Body for a service: `pagerduty`, `servicenow`, `teams`, `slack`, `thehive` or `ntfy` (webhook).
    preset: Option<String>,
    /// File of your own template of the body (webhook).
    template: Option<PathBuf>,
    /// Values that the template or preset asks for, such as `routing_key` (webhook).
    values: Option<BTreeMap<String, Secret>>,
    /// Address of your own page about an incident; `{id}` becomes the incident's id (alertmanager, webhook).
    link: Option<String>,
    /// Seconds after which an open incident is sent again (alertmanager). Default: 60.
    resend_secs: Option<u64>,
    /// `HOST:PORT` (mail, syslog).
    server: Option<String>,
    /// How the connection is protected (mail, syslog). Default: `starttls` for mail, `tls` for syslog.
    tls: Option<Tls>,
    /// User of the mail server (mail).
    username: Option<String>,
    /// Password of the user (mail).
    password: Option<Secret>,
    /// Sender (mail).
    from: Option<String>,
    /// Recipients (mail).
    to: Option<Vec<String>>,
    /// Form of the message (syslog). Default: `rfc5424`.
    format: Option<SyslogForm>,
    /// Facility by RFC 5424, 0 to 23 (syslog). Default: 13.
    facility: Option<u8>,
    /// `HOSTNAME` of the messages (syslog). Default: the processor's instance.
    source: Option<String>,
}

/// Checks all channels of a configuration.
///
/// # Errors
/// The first channel that is wrong.
pub(crate) fn check_all(raw: &[RawChannel], instance: &str) -> Result<Vec<ChannelConfig>, WrongChannel> {
    let mut checked: Vec<ChannelConfig> = Vec::new();
    for (index, channel) in raw.iter().enumerate() {
        let wrong = |(key, why): (&'static str, String)| WrongChannel { index, key, why: format!("{key}: {why}") };
        if index >= CHANNELS_MAX {
            return Err(wrong(("name", format!("more than {CHANNELS_MAX} channels"))));
        }
        if checked.iter().any(|other| other.name == channel.name) {
            return Err(wrong(("name", format!("two channels are called {:?}", channel.name))));
        }
        checked.push(channel.check(instance).map_err(wrong)?);
    }
    Ok(checked)
}

type ConfigFault = (&'static str, String);

impl RawChannel {
    fn check(&self, instance: &str) -> Result<ChannelConfig, ConfigFault> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.chars().all(legal) {
            return Err(("name", format!("{:?}: 1 to {NAME_BYTES_MAX} letters, digits, '_' and '-'", self.name)));
        }
        self.refuse_foreign_keys()?;
        let preset = self.preset()?;
        let state_by_default = match self.kind {
            KindName::Alertmanager => true,
            KindName::Webhook => preset.is_some_and(|preset| preset.delivery == DeliveryMode::State),
            KindName::Mail | KindName::Syslog => false,
        };
        let delivery =
            self.delivery.unwrap_or(if state_by_default { DeliveryMode::State } else { DeliveryMode::Journal });
        let timeout_secs = self.timeout_secs.unwrap_or(15);
        if !(1..=TIMEOUT_SECS_MAX).contains(&timeout_secs) {
            return Err(("timeout_secs", format!("{timeout_secs}: 1 to {TIMEOUT_SECS_MAX}")));
        }
        let client = match (&self.client_certificate, &self.client_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (Some(_), None) => return Err(("client_certificate", "needs client_key beside it".to_owned())),
            (None, Some(_)) => return Err(("client_key", "needs client_certificate beside it".to_owned())),
        };
        Ok(ChannelConfig {
            name: self.name.clone(),
            wants: self.wants()?,
            delivery,
            language: self.language.unwrap_or_default(),
            timeout: Duration::from_secs(timeout_secs),
            trust: TrustConfig { ca_file: self.ca_file.clone(), client },
            kind: self.kind(preset, instance)?,
        })
    }

    /// Keys that mean nothing for this kind are mistakes, and are named.
    fn refuse_foreign_keys(&self) -> Result<(), ConfigFault> {
        use KindName::{Alertmanager, Mail, Syslog, Webhook};
        let keys: [(&'static str, bool, &[KindName]); 24] = [
            ("url", self.url.is_some(), &[Alertmanager, Webhook]),
            ("headers", self.headers.is_some(), &[Alertmanager, Webhook]),
            ("bearer_token", self.bearer_token.is_some(), &[Alertmanager, Webhook]),
            ("proxy", self.proxy.is_some(), &[Alertmanager, Webhook]),
            ("client_certificate", self.client_certificate.is_some(), &[Alertmanager, Webhook, Syslog]),
            ("client_key", self.client_key.is_some(), &[Alertmanager, Webhook, Syslog]),
            ("link", self.link.is_some(), &[Alertmanager, Webhook]),
            ("resend_secs", self.resend_secs.is_some(), &[Alertmanager]),
            ("hmac_key", self.hmac_key.is_some(), &[Webhook]),
            ("cloudevents", self.cloudevents.is_some(), &[Webhook]),
            ("preset", self.preset.is_some(), &[Webhook]),
            ("template", self.template.is_some(), &[Webhook]),
            ("values", self.values.is_some(), &[Webhook]),
            ("transitions", self.transitions.is_some(), &[Webhook, Mail, Syslog]),
            ("quiet", self.quiet.is_some(), &[Webhook, Mail, Syslog]),
            ("delivery", self.delivery.is_some(), &[Webhook, Mail]),
            ("server", self.server.is_some(), &[Mail, Syslog]),
            ("tls", self.tls.is_some(), &[Mail, Syslog]),
            ("username", self.username.is_some(), &[Mail]),
            ("password", self.password.is_some(), &[Mail]),
            ("from", self.from.is_some(), &[Mail]),
            ("to", self.to.is_some(), &[Mail]),
            ("format", self.format.is_some(), &[Syslog]),
            ("facility", self.facility.is_some(), &[Syslog]),
        ];
        let foreign = keys.iter().find(|(_, written, kinds)| *written && !kinds.contains(&self.kind));
        match foreign {
            Some(("quiet", ..)) => {
                Err(("quiet", "Alertmanager has mute_time_intervals of its own; use those".to_owned()))
            }
            Some((key, ..)) => Err((key, format!("means nothing for kind {:?}", self.kind))),
            None => Ok(()),
        }
    }

    fn wants(&self) -> Result<Wants, ConfigFault> {
        if self.transitions.as_ref().is_some_and(Vec::is_empty) {
            return Err(("transitions", "an empty list would send nothing".to_owned()));
        }
        if self.families.as_ref().is_some_and(Vec::is_empty) {
            return Err((
                "families",
                "an empty list would send nothing; leave the key out for all families".to_owned(),
            ));
        }
        if let Some((name, _)) = self.labels.iter().flatten().find(|(_, values)| values.is_empty()) {
            return Err(("labels", format!("{name:?}: an empty list matches no incident, so nothing would be sent")));
        }
        let default_silenced = if self.kind == KindName::Syslog { Silenced::Send } else { Silenced::Hold };
        Ok(Wants {
            min_severity: self.min_severity.unwrap_or(Level::Low),
            transitions: self.transitions.clone(),
            families: self.families.clone().unwrap_or_default(),
            labels: self.labels.clone().unwrap_or_default(),
            quiet: self.quiet.as_ref().map(RawQuiet::check).transpose().map_err(|why| ("quiet", why))?,
            silenced: self.silenced.unwrap_or(default_silenced),
        })
    }

    fn preset(&self) -> Result<Option<&'static Preset>, ConfigFault> {
        let Some(name) = &self.preset else { return Ok(None) };
        let preset = Preset::find(name).map_err(|why| ("preset", why))?;
        let given = self.values.clone().unwrap_or_default();
        match preset.needs.iter().find(|needed| !given.contains_key(**needed)) {
            Some(lacking) => Err(("values", format!("preset {name:?} needs the value {lacking:?}"))),
            None => Ok(Some(preset)),
        }
    }

    fn kind(&self, preset: Option<&'static Preset>, instance: &str) -> Result<ChannelKind, ConfigFault> {
        Ok(match self.kind {
            KindName::Alertmanager => {
                let resend_secs = self.resend_secs.unwrap_or(60);
                if !(1..=600).contains(&resend_secs) {
                    return Err(("resend_secs", format!("{resend_secs}: 1 to 600")));
                }
                ChannelKind::Alertmanager {
                    http: self.http()?,
                    resend: Duration::from_secs(resend_secs),
                    link: self.link.clone(),
                }
            }
            KindName::Webhook => {
                let cloudevents = self.cloudevents.unwrap_or_default();
                let values = self.values.clone().unwrap_or_default();
                let body = match (cloudevents, preset, &self.template) {
                    (false, None, None) => Body::Document,
                    (true, None, None) => Body::CloudEvent(format!("wulog/{instance}")),
                    (false, Some(preset), None) => Body::Template(TemplateSource::Preset(preset), values),
                    (false, None, Some(path)) => {
                        let source = TemplateSource::read(path).map_err(|why| ("template", why))?;
                        Body::Template(source, values)
                    }
                    _ => return Err(("template", "only one of cloudevents, preset and template".to_owned())),
                };
                if let Some(key) = &self.hmac_key {
                    SigningKey::new(key.expose()).map_err(|why| ("hmac_key", why))?;
                }
                ChannelKind::Webhook {
                    http: self.http()?,
                    hmac_key: self.hmac_key.clone(),
                    body,
                    link: self.link.clone(),
                }
            }
            KindName::Mail => self.mail()?,
            KindName::Syslog => {
                let facility = self.facility.unwrap_or(13); // 13: log alert
                if facility > 23 {
                    return Err(("facility", format!("{facility}: 0 to 23")));
                }
                if self.tls == Some(Tls::Starttls) {
                    return Err(("tls", "syslog has no STARTTLS: \"tls\" or \"none\"".to_owned()));
                }
                ChannelKind::Syslog(SyslogConfig {
                    server: self.server(6514)?,
                    tls: self.tls.unwrap_or(Tls::Implicit) == Tls::Implicit,
                    form: self.format.unwrap_or_default(),
                    facility,
                    source: self.source.clone().unwrap_or_else(|| instance.to_owned()),
                })
            }
        })
    }

    fn http(&self) -> Result<EndpointConfig, ConfigFault> {
        let url = self.url.clone().ok_or(("url", "is missing".to_owned()))?;
        endpoint::address(url.expose()).map_err(|why| ("url", why.to_owned()))?;
        if let Some(proxy) = &self.proxy {
            endpoint::proxy(proxy.expose()).map_err(|why| ("proxy", why.to_owned()))?;
        }
        let headers = self.headers.clone().unwrap_or_default();
        if headers.len() > HEADERS_MAX {
            return Err(("headers", format!("more than {HEADERS_MAX}")));
        }
        let http = EndpointConfig { url, headers, bearer_token: self.bearer_token.clone(), proxy: self.proxy.clone() };
        endpoint::headers(&http)?;
        Ok(http)
    }

    fn mail(&self) -> Result<ChannelKind, ConfigFault> {
        let tls = self.tls.unwrap_or(Tls::Starttls);
        let login = match (&self.username, &self.password) {
            (None, None) => None,
            (Some(user), Some(password)) => Some((user.clone(), password.clone())),
            (Some(_), None) => return Err(("username", "needs password beside it".to_owned())),
            (None, Some(_)) => return Err(("password", "needs username beside it".to_owned())),
        };
        if tls == Tls::None && login.is_some() {
            return Err(("tls", "\"none\" would send the password in plain text".to_owned()));
        }
        let address = |key: &'static str, text: &str| {
            let parsed: Result<lettre::message::Mailbox, _> = text.parse();
            parsed.map(|_| ()).map_err(|error| (key, format!("{text:?}: {error}")))
        };
        let from = self.from.clone().ok_or(("from", "is missing".to_owned()))?;
        let to = self.to.clone().unwrap_or_default();
        if to.is_empty() || to.len() > 100 {
            return Err(("to", "1 to 100 addresses".to_owned()));
        }
        address("from", &from)?;
        to.iter().try_for_each(|text| address("to", text))?;
        let port = if tls == Tls::Implicit { 465 } else { 587 };
        Ok(ChannelKind::Mail(MailConfig { server: self.server(port)?, tls, login, from, to }))
    }

    fn server(&self, default_port: u16) -> Result<(String, u16), ConfigFault> {
        let text = self.server.as_deref().ok_or(("server", "is missing".to_owned()))?;
        let wrong = || ("server", format!("{text:?}: HOST, HOST:PORT or [IPv6]:PORT"));
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong())?)
            }
            _ => (text, default_port),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', ' ']) || port == 0 {
            Err(wrong())
        } else {
            Ok((host.to_owned(), port))
        }
    }
}

impl RawQuiet {
    fn check(&self) -> Result<QuietHours, String> {
        let minute = |text: &str| {
            let (hours, minutes) = text.split_once(':')?;
            let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
            (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
        };
        let read = |text: &str| minute(text).ok_or_else(|| format!("{text:?} is not a time such as \"22:00\""));
        let (from_minute, until_minute) = (read(&self.from)?, read(&self.until)?);
        if from_minute == until_minute {
            return Err("from and until are the same time".to_owned());
        }
        let zone = self.time_zone.as_deref().unwrap_or("UTC");
        let zone = zone.parse().map_err(|_| format!("time_zone {zone:?} is not an IANA zone"))?;
        Ok(QuietHours { from_minute, until_minute, zone, except: self.except_severity.unwrap_or(Level::Critical) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Vec<ChannelConfig>, WrongChannel> {
        #[derive(Deserialize)]
        struct File {
            channels: Vec<RawChannel>,
        }
        let file: File = toml::from_str(text).expect("each test writes keys that exist");
        check_all(&file.channels, "proc-1")
    }

    #[track_caller]
    fn refused(rest: &str, key: &str, index: usize) {
        let wrong = check(&format!("[[channels]]\nname = \"a\"\n{rest}\n")).expect_err("this channel is wrong");
        assert_eq!((wrong.key, wrong.index), (key, index), "{}", wrong.why);
    }

    #[test]
    fn the_example_that_is_shipped_is_right() {
        let channels = check(include_str!("../../../deploy/config/channels.toml")).unwrap();
        let names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
        assert_eq!(names, ["am", "soc", "pager", "team", "siem"]);
        let state: Vec<bool> = channels.iter().map(|channel| channel.delivery == DeliveryMode::State).collect();
        assert_eq!(state, [true, false, true, false, false]);
    }

    #[test]
    fn a_mistake_is_named_by_its_key() {
        refused("kind = \"webhook\"\nurl = \"http://x\"\ntransitions = []", "transitions", 0);
        refused("kind = \"webhook\"\nurl = \"http://x\"\ntimeout_secs = 0", "timeout_secs", 0);
        refused("kind = \"webhook\"\nurl = \"http://x\"\nclient_key = \"k.pem\"", "client_key", 0);
        refused("kind = \"webhook\"\nurl = \"http://x\"\nheaders = { \"a b\" = \"c\" }", "headers", 0);
        refused("kind = \"webhook\"\nurl = \"http://x\"\npreset = \"nagios\"", "preset", 0);
        refused("kind = \"webhook\"\nurl = \"http://x\"\npreset = \"pagerduty\"", "values", 0);
        refused("kind = \"webhook\"\nurl = \"http://x\"\ncloudevents = true\npreset = \"slack\"", "template", 0);
        for proxy in ["nonsense", "socks5://p:1080", "http://p:99999", "http://"] {
            refused(&format!("kind = \"webhook\"\nurl = \"http://x\"\nproxy = \"{proxy}\""), "proxy", 0);
        }
        refused("kind = \"alertmanager\"\nurl = \"http://x\"\nproxy = \"socks4://p\"", "proxy", 0);
        for url in ["http://x:99999/", "http://", "http://exa mple/ x"] {
            refused(&format!("kind = \"webhook\"\nurl = \"{url}\""), "url", 0);
        }
        refused("kind = \"webhook\"\nurl = \"http://x\"\nheaders = { content-length = \"5\" }", "headers", 0);
        refused("kind = \"webhook\"\nurl = \"http://x\"\nheaders = { x = \"a\\r\\nb: c\" }", "headers", 0);
        refused("kind = \"webhook\"\nurl = \"http://x\"\nbearer_token = \"two\\nlines\"", "bearer_token", 0);
        refused("kind = \"webhook\"\nurl = \"http://x\"\nhmac_key = \"short\"", "hmac_key", 0);
        refused("kind = \"webhook\"\nurl = \"http://x\"\nfamilies = []", "families", 0);
        refused("kind = \"webhook\"\nurl = \"http://x\"\nlabels = { \"label.site\" = [] }", "labels", 0);
        refused("kind = \"syslog\"\nserver = \"x:0\"", "server", 0);
        refused("kind = \"alertmanager\"\nurl = \"http://x\"\nresend_secs = 0", "resend_secs", 0);
        refused("kind = \"alertmanager\"\nurl = \"http://x\"\ntransitions = [\"opened\"]", "transitions", 0);
        refused("kind = \"syslog\"\nserver = \"x\"\ntls = \"starttls\"", "tls", 0);
        refused("kind = \"syslog\"\nserver = \"x:y\"", "server", 0);
        refused("kind = \"syslog\"\nserver = \"x\"\nfacility = 24", "facility", 0);
        let mail = "kind = \"mail\"\nserver = \"x\"\nfrom = \"a@x.example\"\n";
        refused(&format!("{mail}to = []"), "to", 0);
        refused(&format!("{mail}to = [\"nobody\"]"), "to", 0);
        let login = "username = \"u\"\npassword = \"hunter2\"";
        refused(&format!("{mail}to = [\"b@x.example\"]\ntls = \"none\"\n{login}"), "tls", 0);
        let quiet = "quiet = { from = \"22:00\", until = \"25:00\" }";
        refused(&format!("kind = \"webhook\"\nurl = \"http://x\"\n{quiet}"), "quiet", 0);
    }

    #[test]
    fn no_secret_of_a_channel_is_shown() {
        let text = "[[channels]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"http://x/hunter2\"\nhmac_key = \"hunter2hunter2hunter2\"\n\
                    headers = { \"x-key\" = \"hunter2\" }\n";
        let shown = format!("{:?}", check(text).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
