//! HTTP POST of a document: as it stands, in a CloudEvents envelope, or by a template.

use serde_json::json;
use wulog_settings::Secret;

use super::backlog::Item;
use super::channel::{Channel, DeliveryOutcome, other_kind};
use super::endpoint::Endpoint;
use super::settings::{Body, ChannelConfig, ChannelKind, EndpointConfig};
use super::sign::SigningKey;
use super::template::{Template, TemplateSource};
use crate::language::Language;

/// A webhook.
pub(super) struct Webhook {
    endpoint: Endpoint,
    signer: Option<SigningKey>,
    content: WebhookContent,
    language: Language,
    link: Option<String>,
    /// A refusal, as status and part of the answer, that means that the endpoint has the document already.
    repeat: Option<(u16, &'static str)>,
}

enum WebhookContent {
    Document,
    /// With this `source`.
    CloudEvent(String),
    Template(Box<Template>),
}

impl Webhook {
    /// Looks up secrets and compiles the template; reaches nothing yet.
    ///
    /// # Errors
    /// Names the key, file or variable at fault.
    pub(super) fn open(
        config: &ChannelConfig,
        http: &EndpointConfig,
        hmac_key: Option<&Secret>,
        body: &Body,
        link: Option<String>,
    ) -> Result<Webhook, String> {
        let signer = match hmac_key {
            Some(key) => Some(SigningKey::new(key.expose()).map_err(|why| format!("hmac_key: {why}"))?),
            None => None,
        };
        let mut repeat = None;
        let content = match body {
            Body::Document => WebhookContent::Document,
            Body::CloudEvent(source) => WebhookContent::CloudEvent(source.clone()),
            Body::Template(source, values) => {
                if let TemplateSource::Preset(preset) = source {
                    repeat = preset.repeat;
                }
                let values = values.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
                WebhookContent::Template(Box::new(Template::new(source.clone(), values)?))
            }
        };
        Ok(Webhook {
            endpoint: Endpoint::open(config, http, "")?,
            signer,
            content,
            language: config.language,
            link,
            repeat,
        })
    }

    fn body(&self, item: &Item) -> Result<(&'static str, Vec<u8>), String> {
        match &self.content {
            WebhookContent::Document => Ok(("application/json", item.bytes.clone())),
            WebhookContent::CloudEvent(source) => Ok(("application/cloudevents+json", envelope(item, source))),
            WebhookContent::Template(template) => {
                let body = template.render(&item.alert, self.language, self.link.as_deref());
                let body = body.map_err(|why| format!("template: {why}"))?;
                Ok((template.content_type(), body))
            }
        }
    }
}

impl Channel for Webhook {
    fn renew(&mut self, config: &ChannelConfig) -> Result<(), String> {
        let ChannelKind::Webhook { http, hmac_key, body, link } = &config.kind else { return Err(other_kind()) };
        *self = Webhook::open(config, http, hmac_key.as_ref(), body, link.clone())?;
        Ok(())
    }

    fn prepare(&self, item: &Item, _now_ms: i64) -> Result<Vec<u8>, String> {
        Ok(self.body(item)?.1)
    }

    fn deliver(&mut self, item: &Item, now_ms: i64) -> DeliveryOutcome {
        let (content_type, body) = match self.body(item) {
            Ok(body) => body,
            Err(why) => return DeliveryOutcome::Refused(why),
        };
        let key = item.key();
        let mut headers = vec![("content-type", content_type.to_owned()), ("idempotency-key", key.clone())];
        if let Some(signer) = &self.signer {
            let secs = now_ms.div_euclid(1000);
            headers.push(("webhook-signature", signer.sign(&key, secs, &body)));
            headers.push(("webhook-timestamp", secs.to_string()));
            headers.push(("webhook-id", key));
        }
        let answer = match self.endpoint.post(&headers, &body) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        if self.repeat.is_some_and(|(status, part)| answer.status == status && answer.body.contains(part)) {
            return DeliveryOutcome::Delivered(format!("{}, which says that it has it already", answer.status));
        }
        self.endpoint.judge(answer)
    }
}

/// The document in a CloudEvents 1.0 envelope. The document's own bytes are kept, so that its digits and order are
/// those of the topic.
fn envelope(item: &Item, source: &str) -> Vec<u8> {
    let head = json!({
        "specversion": "1.0",
        "id": item.key(),
        "source": source,
        "type": format!("wulog.alert.{}", item.alert.transition),
        "subject": item.alert.id,
        "time": item.alert.time.updated,
        "datacontenttype": "application/json",
    });
    let mut bytes = head.to_string().into_bytes();
    bytes.pop(); // the closing brace, since one more member follows
    bytes.extend_from_slice(b",\"data\":");
    bytes.extend_from_slice(&item.bytes);
    bytes.push(b'}');
    bytes
}
