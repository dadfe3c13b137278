//! Bodies by template: presets that come with wulog, and files of the operator.
//!
//! A template whose name ends in `.json` writes every value as JSON, so that no host name can break out of its string,
//! and its result must be JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;
use wulog_schemas::alert::{Alert, Level, State};

use super::backlog::DeliveryMode;
use super::excerpt;
use super::summary::summary;
use crate::language::Language;
use crate::report::print_alert;

/// Largest template in bytes.
const TEMPLATE_BYTES_MAX: u64 = 64 * 1024;
/// Largest result in bytes; Teams takes 28 KB, most others less than 512 KiB.
const RESULT_BYTES_MAX: usize = 512 * 1024;
/// Most instructions of one rendering: a loop over all names of a document takes a tenth of them.
const FUEL: u64 = 1_000_000;
/// Columns of `text`.
const COLUMNS: usize = 80;

/// A template that comes with wulog.
#[derive(Debug)]
pub struct Preset {
    /// Its name in `preset = "NAME"`.
    pub name: &'static str,
    /// The documents that it is made for.
    pub delivery: DeliveryMode,
    /// The `values` that it needs.
    pub needs: &'static [&'static str],
    /// A refusal that says that the endpoint has the document already: the status, and a part of the answer.
    pub repeat: Option<(u16, &'static str)>,
    text: &'static str,
}

/// The presets.
const PRESETS: [Preset; 6] = [
    Preset {
        name: "pagerduty",
        delivery: DeliveryMode::State,
        needs: &["routing_key"],
        repeat: None,
        text: include_str!("presets/pagerduty.json"),
    },
    Preset {
        name: "servicenow",
        delivery: DeliveryMode::State,
        needs: &[],
        repeat: None,
        text: include_str!("presets/servicenow.json"),
    },
    Preset {
        name: "teams",
        delivery: DeliveryMode::Journal,
        needs: &[],
        repeat: None,
        text: include_str!("presets/teams.json"),
    },
    Preset {
        name: "slack",
        delivery: DeliveryMode::Journal,
        needs: &[],
        repeat: None,
        text: include_str!("presets/slack.json"),
    },
    Preset {
        name: "thehive",
        delivery: DeliveryMode::Journal,
        needs: &[],
        // Type, source and sourceRef are unique in TheHive.
        repeat: Some((400, "already exist")),
        text: include_str!("presets/thehive.json"),
    },
    Preset {
        name: "ntfy",
        delivery: DeliveryMode::Journal,
        needs: &["topic"],
        repeat: None,
        text: include_str!("presets/ntfy.json"),
    },
];

impl Preset {
    /// The preset of this name.
    ///
    /// # Errors
    /// Names the existing presets.
    pub fn find(name: &str) -> Result<&'static Preset, String> {
        let names = || PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ");
        PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| format!("{name:?}: one of {}", names()))
    }
}

/// Where a template comes from.
#[derive(Clone, Debug)]
pub enum TemplateSource {
    /// A template that comes with wulog.
    Preset(&'static Preset),
    /// A file of the operator, with its text.
    File(PathBuf, String),
}

impl TemplateSource {
    /// Reads a template and checks its syntax.
    ///
    /// # Errors
    /// Names file and line.
    pub fn read(path: &Path) -> Result<TemplateSource, String> {
        let shown = path.display();
        let length = std::fs::metadata(path).map_err(|error| format!("{shown}: {error}"))?.len();
        if length > TEMPLATE_BYTES_MAX {
            return Err(format!("{shown}: larger than {TEMPLATE_BYTES_MAX} bytes"));
        }
        let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
        let source = TemplateSource::File(path.to_owned(), text);
        Template::new(source.clone(), BTreeMap::new())?;
        Ok(source)
    }
}

/// A template that is ready to be rendered.
pub(super) struct Template {
    environment: Environment<'static>,
    name: String,
    values: BTreeMap<String, String>,
}

/// The variables of a template.
#[derive(Serialize)]
struct TemplateContext<'a> {
    id: &'a str,
    seq: u32,
    key: String,
    transition: &'static str,
    state: State,
    severity: Level,
    /// 1 (low) to 4 (critical).
    severity_number: u8,
    open: bool,
    family: &'static str,
    summary: String,
    /// The page of `alerts show`.
    text: String,
    link: Option<String>,
    onset: String,
    onset_ms: i64,
    updated: String,
    alert: &'a Alert,
    values: &'a BTreeMap<String, String>,
}

impl Template {
    /// Compiles a template; `values` are the operator's own, with secrets looked up.
    ///
    /// # Errors
    /// Names the template and the line.
    pub(super) fn new(source: TemplateSource, values: BTreeMap<String, String>) -> Result<Template, String> {
        let (name, text) = match source {
            TemplateSource::Preset(preset) => (format!("{}.json", preset.name), preset.text.to_owned()),
            TemplateSource::File(path, text) => (path.display().to_string(), text),
        };
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(
            |name| {
                if name.ends_with(".json") { AutoEscape::Json } else { AutoEscape::None }
            },
        );
        environment.add_filter("json_text", json_text);
        environment.add_filter("cut", excerpt::cut);
        environment.add_filter("slack", excerpt::slack);
        environment.add_filter("markdown", excerpt::markdown);
        environment.add_template_owned(name.clone(), text).map_err(|error| told(&name, &error))?;
        Ok(Template { environment, name, values })
    }

    /// The content type of what it writes.
    pub(super) fn content_type(&self) -> &'static str {
        if self.is_json() { "application/json" } else { "text/plain; charset=utf-8" }
    }

    fn is_json(&self) -> bool {
        self.name.ends_with(".json")
    }

    /// The body for a document.
    ///
    /// # Errors
    /// Names the template and the line.
    pub(super) fn render(&self, alert: &Alert, language: Language, link: Option<&str>) -> Result<Vec<u8>, String> {
        let level = alert.severity.level;
        let context = TemplateContext {
            id: &alert.id,
            seq: alert.seq,
            key: format!("{}/{}", alert.id, alert.seq),
            transition: alert.transition.as_str(),
            state: alert.state,
            severity: level,
            severity_number: match level {
                Level::Low => 1,
                Level::Medium => 2,
                Level::High => 3,
                Level::Critical => 4,
            },
            open: alert.state == State::Open,
            family: alert.family.as_str(),
            summary: summary(alert, language),
            text: print_alert(alert, COLUMNS),
            link: link.map(|link| link.replace("{id}", &alert.id)),
            onset: alert.time.onset.to_string(),
            onset_ms: alert.time.onset.0,
            updated: alert.time.updated.to_string(),
            alert,
            values: &self.values,
        };
        let template = self.environment.get_template(&self.name).map_err(|error| told(&self.name, &error))?;
        let mut result = Bounded(Vec::new());
        template
            .render_captured_to(minijinja::value::Serde(&context), &mut result)
            .map_err(|error| told(&self.name, &error))?;
        if self.is_json() {
            serde_json::from_slice::<serde::de::IgnoredAny>(&result.0)
                .map_err(|error| format!("{}: its result is not JSON: {error} (of the result)", self.name))?;
        }
        Ok(result.0)
    }
}

/// A value as a text that holds JSON: ServiceNow's `additional_info` is a string.
fn json_text(value: &minijinja::Value) -> Result<String, minijinja::Error> {
    let failed =
        |error: serde_json::Error| minijinja::Error::new(minijinja::ErrorKind::BadSerialization, error.to_string());
    serde_json::to_string(value).map_err(failed)
}

/// A template's error with name and line.
fn told(name: &str, error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(":{line}")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{name}{line}: {}{detail}", error.kind())
}

/// A result that may not grow without end.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > RESULT_BYTES_MAX {
            return Err(io::Error::other(format!("the result has more than {RESULT_BYTES_MAX} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::sample::sample;
    use serde_json::{Value, json};
    use wulog_schemas::alert::Transition;

    fn own(name: &str, text: &str) -> Result<Template, String> {
        Template::new(TemplateSource::File(PathBuf::from(name), text.to_owned()), BTreeMap::new())
    }

    fn rendered(name: &str, alert: &Alert) -> Value {
        let preset = Preset::find(name).unwrap();
        let values = preset.needs.iter().map(|need| ((*need).to_owned(), format!("my-{need}"))).collect();
        let template = Template::new(TemplateSource::Preset(preset), values).unwrap();
        let body = template.render(alert, Language::En, Some("https://desk.example/{id}")).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn a_failing_template_names_its_line() {
        let alert = sample("a", 1, Transition::Opened, Level::Low);
        let unknown = own("t.json", "{\n \"a\": {{ nothing }}\n}").unwrap();
        let error = unknown.render(&alert, Language::En, None).unwrap_err();
        assert!(error.starts_with("t.json:2: "), "{error}");
        let error = own("t.txt", "a\nb\n{% if %}").err().unwrap();
        assert!(error.starts_with("t.txt:3: "), "{error}");
        let endless = own("t.txt", "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}");
        assert!(endless.unwrap().render(&alert, Language::En, None).is_err());
        let broken = own("t.json", "{\"a\": ").unwrap().render(&alert, Language::En, None).unwrap_err();
        assert!(broken.contains("not JSON"), "{broken}");
    }

    #[test]
    fn a_hostile_name_stays_in_its_string() {
        let mut alert = sample("a", 1, Transition::Opened, Level::Low);
        let hostile = "x\", \"event_action\": \"resolve\u{2028}\n<b>\\";
        hostile.clone_into(&mut alert.summary);
        alert.common_factors[0].value = hostile.to_owned();
        alert.hosts.names = vec![hostile.to_owned()];
        assert_eq!(rendered("pagerduty", &alert)["payload"]["summary"], json!(hostile));
        assert_eq!(rendered("pagerduty", &alert)["event_action"], "trigger");
        for preset in &PRESETS {
            rendered(preset.name, &alert);
        }
    }

    #[test]
    fn presets_open_and_end_the_same_incident() {
        let open = sample("wu-1", 1, Transition::Opened, Level::High);
        let over = sample("wu-1", 5, Transition::Resolved, Level::High);
        let (opened, ended) = (rendered("pagerduty", &open), rendered("pagerduty", &over));
        assert_eq!((&opened["event_action"], &opened["dedup_key"]), (&json!("trigger"), &json!("wu-1")));
        assert_eq!((&ended["event_action"], &ended["dedup_key"]), (&json!("resolve"), &json!("wu-1")));
        assert_eq!(opened["routing_key"], "my-routing_key");
        assert_eq!(opened["payload"]["severity"], "error");
        let (opened, ended) = (rendered("servicenow", &open), rendered("servicenow", &over));
        assert_eq!(opened["records"][0]["message_key"], ended["records"][0]["message_key"]);
        assert_eq!((&opened["records"][0]["severity"], &ended["records"][0]["severity"]), (&json!("2"), &json!("0")));
        let details = opened["records"][0]["additional_info"].as_str().unwrap();
        assert!(serde_json::from_str::<Value>(details).unwrap().is_object(), "{details}");
    }
}
