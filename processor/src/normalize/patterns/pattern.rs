//! One pattern: as configured, and as compiled and checked.

use std::fmt;

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use wulog_schemas::alert::Level;
use wulog_schemas::hresult::{Family, is_failure, parse_hresult};

use crate::parse::parse;

/// The name of the capture that is the code of the failure rather than a label.
const CODE: &str = "code";

const NAME_BYTES_MAX: usize = 64;
const REGEX_BYTES_MAX: usize = 4096;

/// Memory for one compiled program: `\d{1,1000}` fits, nested repetitions do not.
const PROGRAM_BYTES_MAX: usize = 1 << 20;

/// Most labels of one pattern.
const CAPTURES_MAX: usize = 16;

/// `[[normalizer.patterns]]`, or `[[patterns]]` in a file of patterns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatternConfig {
    /// Stands in `wu.pattern` of the lines that match: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// For the reader of the configuration.
    #[serde(default)]
    pub description: String,
    /// Matches anywhere in the raw line. A named capture `(?<proxy>...)` becomes `labels.proxy`; one that is called
    /// `code` is the HRESULT of the failure, where the line has none that the parser finds.
    pub regex: String,
    /// Components of lines that are looked at, in any case; all where there is none.
    #[serde(default)]
    pub components: Vec<String>,
    /// The line is a failure of certificate trust of this family.
    #[serde(default)]
    pub family: Option<Family>,
    /// Its HRESULT, where neither the line nor a capture `code` has one.
    #[serde(default)]
    pub code: Option<String>,
    /// When it counts; see [`Counts`]. With a family: `definite`.
    #[serde(default)]
    pub counts: Option<Counts>,
    /// `event.severity` of the line: low 1, medium 2, high 3, critical 4.
    #[serde(default)]
    pub severity: Option<Level>,
    /// Lines that must match; `check-config` and `test-patterns` look.
    #[serde(default)]
    pub examples: Vec<String>,
    /// Lines that must not.
    #[serde(default)]
    pub counterexamples: Vec<String>,
}

/// When a line counts as a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// The client gave up: whatever comes after.
    Definite,
    /// Unless a success follows within `provisional_wait_secs`.
    Provisional,
    /// Not at all, not even where its own code would: a line that is known to be harmless.
    Never,
}

/// A checked pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) config: PatternConfig,
    pub(super) code: Option<u32>,
    /// Names of the captures that become labels.
    pub(super) labels: Vec<String>,
    regex: Regex,
}

impl Pattern {
    /// Returns the named captures: labels, in the order of the regex, and the text of `code`.
    pub(super) fn captures<'a>(&'a self, line: &'a str) -> (Vec<(&'a str, &'a str)>, Option<&'a str>) {
        if self.regex.captures_len() == 1 {
            return (Vec::new(), None);
        }
        let Some(found) = self.regex.captures(line) else {
            return (Vec::new(), None);
        };
        let text = |name: &str| found.name(name).map(|it| it.as_str()).filter(|text| !text.is_empty());
        let labels = self.labels.iter().filter_map(|name| Some((name.as_str(), text(name)?))).collect();
        (labels, text(CODE))
    }

    pub(super) fn takes_component(&self, component: Option<&str>) -> bool {
        let wanted = &self.config.components;
        let is = |name: &String| component.is_some_and(|component| component.eq_ignore_ascii_case(name));
        wanted.is_empty() || wanted.iter().any(is)
    }

    pub(super) fn wrong_examples(&self) -> Vec<String> {
        let name = &self.config.name;
        let mut wrong = Vec::new();
        for line in &self.config.examples {
            let component = parse(line).component;
            if !self.regex.is_match(line) {
                wrong.push(format!("pattern {name:?}: does not match its example {line:?}"));
            } else if !self.takes_component(component) {
                let component = component.unwrap_or("none");
                wrong
                    .push(format!("pattern {name:?}: its example has component {component}, not one of its: {line:?}"));
            }
        }
        let matches = |line: &&String| self.regex.is_match(line) && self.takes_component(parse(line).component);
        let matched = self.config.counterexamples.iter().filter(matches);
        wrong.extend(matched.map(|line| format!("pattern {name:?}: matches its counterexample {line:?}")));
        wrong
    }
}

impl<'de> Deserialize<'de> for Pattern {
    /// Checks inside the visitor, so that an error has the line of this pattern rather than of the first one.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Pattern;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the table of a pattern")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Pattern, A::Error> {
                let config = PatternConfig::deserialize(MapAccessDeserializer::new(map))?;
                check(&config).map_err(|why| A::Error::custom(format!("pattern {:?}: {why}", config.name)))
            }
        }
        deserializer.deserialize_map(Table)
    }
}

fn check(config: &PatternConfig) -> Result<Pattern, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if config.name.is_empty() || config.name.len() > NAME_BYTES_MAX || !config.name.bytes().all(legal) {
        return Err(format!("a name has 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' and '-'"));
    }
    if config.regex.len() > REGEX_BYTES_MAX {
        return Err(format!("the regex has {} bytes, more than {REGEX_BYTES_MAX}", config.regex.len()));
    }
    let regex = RegexBuilder::new(&config.regex)
        .size_limit(PROGRAM_BYTES_MAX)
        .dfa_size_limit(PROGRAM_BYTES_MAX)
        .build()
        .map_err(|why| match why {
            regex::Error::CompiledTooBig(_) => {
                format!(
                    "the regex needs more than {PROGRAM_BYTES_MAX} bytes of memory; use fewer or smaller repetitions"
                )
            }
            why => why.to_string(),
        })?;
    if regex.is_match("") {
        return Err("the regex matches the empty text, and so any line; let it ask for something".to_owned());
    }
    let captures: Vec<&str> = regex.capture_names().flatten().collect();
    if captures.len() > CAPTURES_MAX {
        return Err(format!("{} named captures are more than {CAPTURES_MAX}", captures.len()));
    }
    if let Some(name) = captures.iter().find(|name| !is_label(name)) {
        return Err(format!(
            "capture {name:?} cannot be a label: a small letter, then small letters, digits, '_', {NAME_BYTES_MAX} at most"
        ));
    }
    let code = config.code.as_deref().map(failure_code).transpose()?;
    let has_code = code.is_some() || captures.contains(&CODE);
    match (config.family, config.counts) {
        (Some(family), Some(Counts::Definite | Counts::Provisional) | None) if !has_code => {
            return Err(format!(
                "family {family} lacks the code of the failure: add code = \"0x...\", or a capture (?<{CODE}>...)"
            ));
        }
        (None, Some(Counts::Definite | Counts::Provisional)) => {
            return Err("counts says when a failure counts, but there is no family".to_owned());
        }
        (None, _) if has_code => {
            return Err(format!("a code, also as a capture {CODE:?}, is that of a failure, but there is no family"));
        }
        _ => {}
    }
    let labels = captures.into_iter().filter(|name| *name != CODE).map(str::to_owned).collect();
    Ok(Pattern { config: config.clone(), code, labels, regex })
}

fn is_label(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn failure_code(text: &str) -> Result<u32, String> {
    parse_hresult(text)
        .filter(|code| is_failure(*code))
        .ok_or_else(|| format!("code {text:?} is no HRESULT of a failure, such as \"0x80072f8f\""))
}
