//! Names in the language of the report: times, shares, dimensions, updates, stores, and sentences of the Detector.

use std::cell::Cell;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use wulog_schemas::alert::{Alert, Detection, Factor, Level, NO_WSUS};

use super::phrases::Phrases;
use super::words::Vocabulary;
use super::{Style, percent};
use crate::language::Language;

/// The words of a language, and a time zone.
pub(super) struct Wording {
    words: Vocabulary,
    phrases: Phrases,
    language: Language,
    zone: Tz,
    /// Whether a sentence of the Detector was quoted in English on a page in another language.
    has_quoted: Cell<bool>,
}

impl Wording {
    pub(super) fn of(style: Style) -> Wording {
        Wording {
            words: Vocabulary::of(style.language),
            phrases: Phrases::german(),
            language: style.language,
            zone: style.zone,
            has_quoted: Cell::new(false),
        }
    }

    pub(super) fn words(&self) -> &Vocabulary {
        &self.words
    }

    pub(super) fn has_quoted(&self) -> bool {
        self.has_quoted.get()
    }

    pub(super) fn get<'a>(&'a self, name: &'a str) -> &'a str {
        self.words.get(name)
    }

    pub(super) fn with(&self, name: &str, values: &[(&str, &str)]) -> String {
        self.words.with(name, values)
    }

    /// A sentence about the time zones of the page.
    pub(super) fn times(&self) -> String {
        match self.zone {
            Tz::UTC => self.get("times_utc").to_owned(),
            zone => self.with("times", &[("zone", zone.name())]),
        }
    }

    /// `2023-03-01 22:19:01 (23:19)`; with the date in the zone if it differs.
    pub(super) fn time(&self, ms: i64) -> String {
        let utc: DateTime<Utc> = DateTime::from_timestamp_millis(ms).unwrap_or_default();
        let text = utc.format("%Y-%m-%d %H:%M:%S").to_string();
        text + &self.in_zone(utc)
    }

    /// `2023-03-01 22:19:01 UTC (23:19)`, in a sentence.
    pub(super) fn moment(&self, ms: i64) -> String {
        let utc: DateTime<Utc> = DateTime::from_timestamp_millis(ms).unwrap_or_default();
        let text = utc.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        text + &self.in_zone(utc)
    }

    /// `2023-03-01 22:19 UTC (23:19)`, in a picture.
    pub(super) fn minute(&self, ms: i64) -> String {
        let utc: DateTime<Utc> = DateTime::from_timestamp_millis(ms).unwrap_or_default();
        let text = utc.format("%Y-%m-%d %H:%M UTC").to_string();
        text + &self.in_zone(utc)
    }

    fn in_zone(&self, utc: DateTime<Utc>) -> String {
        if self.zone == Tz::UTC {
            return String::new();
        }
        let local = utc.with_timezone(&self.zone);
        let form = if local.date_naive() == utc.date_naive() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
        format!(" ({})", local.format(form))
    }

    /// A length of time in its two largest units.
    pub(super) fn span(&self, ms: i64) -> String {
        let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds")];
        let mut rest = ms.max(0) / 1000;
        let mut parts = Vec::new();
        for (unit, name) in units {
            let count = rest / unit;
            rest %= unit;
            if count > 0 || (unit == 1 && parts.is_empty()) {
                parts.push(format!("{count} {}", self.get(name)));
            }
        }
        parts.truncate(2);
        parts.join(" ")
    }

    /// A number with the decimal sign of the language.
    pub(super) fn decimal(&self, number: &str) -> String {
        number.replace('.', self.get("decimal"))
    }

    pub(super) fn percent(&self, share: f64) -> String {
        self.decimal(&percent(share))
    }

    /// The name of a dimension for people.
    pub(super) fn dimension(&self, name: &str) -> String {
        match name.strip_prefix("label.") {
            Some(label) => self.with("dimension_label", &[("label", label)]),
            None => self.words.find(&format!("dimension_{name}")).unwrap_or(name).to_owned(),
        }
    }

    pub(super) fn dimensions(&self, names: &[String]) -> String {
        let names: Vec<String> = names.iter().map(|name| self.dimension(name)).collect();
        names.join(", ")
    }

    /// A value of a dimension; the name of an update stands before its id.
    pub(super) fn value(&self, dimension: &str, value: &str, name: Option<&str>) -> String {
        match name {
            Some(name) => format!("{name} ({value})"),
            None if dimension == "wsus" && value == NO_WSUS => self.get("no_wsus").to_owned(),
            None => value.to_owned(),
        }
    }

    /// `WSUS server wsus-2` of `wsus=wsus-2`.
    pub(super) fn pair(&self, dimension: &str, value: &str) -> String {
        format!("{} {}", self.dimension(dimension), self.value(dimension, value, None))
    }

    /// The value of a factor. A certificate's condition is a sentence, which its finding provides.
    pub(super) fn factor(&self, factor: &Factor, alert: &Alert) -> String {
        match alert.certificates.first().filter(|_| factor.dimension == "certificate") {
            Some(finding) => self.condition(finding),
            None => self.value(&factor.dimension, &factor.value, factor.name.as_deref()),
        }
    }

    /// The update, file or server at which hosts fail; without the id if it has a name.
    pub(super) fn short_subject(&self, subject: &str, name: Option<&str>) -> String {
        match (name.filter(|name| !name.is_empty()), subject.split_once(':')) {
            (Some(name), _) => name.to_owned(),
            (None, Some((_, "unknown"))) => self.get("subject_unknown").to_owned(),
            (None, Some((kind, id))) => format!("{} {id}", self.dimension(kind)),
            (None, None) if matches!(subject, "" | "unknown") => self.get("subject_unknown").to_owned(),
            (None, None) => subject.to_owned(),
        }
    }

    /// The name of an update, followed by its id.
    pub(super) fn subject(&self, subject: &str, name: Option<&str>) -> String {
        let id = self.short_subject(subject, None);
        match name.filter(|name| !name.is_empty()) {
            Some(name) => format!("{name} ({id})"),
            None => id,
        }
    }

    /// The name that a document gives to a subject.
    pub(super) fn subject_of(&self, subject: &str, alert: &Alert) -> String {
        let known = alert.subjects.iter().find(|known| known.subject == subject);
        self.subject(subject, known.and_then(|known| known.name.as_deref()))
    }

    /// The code that most hosts failed with, or the family.
    pub(super) fn code(&self, alert: &Alert) -> String {
        match alert.codes.first() {
            None => self.get(&format!("family_{}", alert.family)).to_owned(),
            Some(known) => match &known.symbol {
                Some(symbol) => format!("{} {symbol}", known.code),
                None => known.code.clone(),
            },
        }
    }

    pub(super) fn level(&self, level: Level) -> &str {
        self.words.find(&format!("level_{level}")).expect("each level has a word; a test looks for it")
    }

    pub(super) fn method(&self, detection: &Detection) -> String {
        let rule = detection.rule.as_deref().unwrap_or_default();
        self.with(&format!("method_{}", name_of(&detection.method)), &[("rule", rule)])
    }

    /// A store as Windows' certificate console shows it.
    pub(super) fn store(&self, store: &str) -> String {
        self.words.find(&format!("store_{store}")).unwrap_or(store).to_owned()
    }

    /// A sentence of the Detector in this language.
    pub(super) fn phrase(&self, sentence: &str) -> String {
        let is_german = self.language == Language::De;
        let Some(phrase) = self.phrases.find(sentence) else {
            self.has_quoted.set(self.has_quoted.get() || is_german);
            return sentence.to_owned();
        };
        let texts: Vec<String> = phrase.gaps.iter().map(|(gap, text)| self.gap(gap, text)).collect();
        phrase.with(is_german, &texts)
    }

    /// The text of a gap in this language.
    fn gap(&self, gap: &str, text: &str) -> String {
        match gap {
            // Rounded like every other share on the page.
            "share" => match text.trim_end_matches(" %").parse::<f64>() {
                Ok(share) => self.percent(share / 100.0),
                Err(_) => text.to_owned(),
            },
            "level" => self.words.find(&format!("level_{text}")).unwrap_or(text).to_owned(),
            "factor" => text.split_once(' ').map_or(text.to_owned(), |(dimension, value)| self.pair(dimension, value)),
            "certificate" => self.phrase(text),
            "stores" => {
                let stores: Vec<String> = text.split(" and to ").map(|store| self.phrase(store)).collect();
                stores.join(self.get("and_store"))
            }
            _ => text.to_owned(),
        }
    }
}

/// The name of a variant as documents write it.
fn name_of(variant: &impl Serialize) -> String {
    let name = serde_json::to_value(variant).ok();
    name.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use wulog_schemas::hresult::Family;

    use super::*;

    fn wording(language: Language) -> Wording {
        Wording::of(Style { language, zone: Tz::UTC })
    }

    #[test]
    fn names_stand_before_ids() {
        let wording = wording(Language::De);
        for (subject, name, expect) in [
            ("update:8468427e", Some("VideoTool (KB5004245)"), "VideoTool (KB5004245) (Update 8468427e)"),
            ("update:8468427e", None, "Update 8468427e"),
            ("server:wsus-2:8530", None, "Server wsus-2:8530"),
            ("server:unknown", None, "etwas, das das Log nicht nennt"),
        ] {
            assert_eq!(wording.subject(subject, name), expect);
        }
    }

    #[test]
    fn dimensions_have_words() {
        let (english, german) = (wording(Language::En), wording(Language::De));
        for (name, expect, deutsch) in [
            ("wsus", "WSUS server", "WSUS-Server"),
            ("label.site", "label site", "Label site"),
            ("of_a_newer_version", "of_a_newer_version", "of_a_newer_version"),
        ] {
            assert_eq!((english.dimension(name).as_str(), german.dimension(name).as_str()), (expect, deutsch));
        }
    }

    #[test]
    fn variants_have_words() {
        let words = Vocabulary::of(Language::En);
        let levels = [Level::Low, Level::Medium, Level::High, Level::Critical].map(|level| format!("level_{level}"));
        let families = Family::ALL.map(|family| format!("family_{family}"));
        for name in levels.iter().chain(&families) {
            assert!(words.find(name).is_some(), "{name} has no word");
        }
    }

    #[test]
    fn reasons_are_told_in_both_languages() {
        let (english, german) = (wording(Language::En), wording(Language::De));
        for (sentence, expect, deutsch) in [
            (
                "100.0 % of them share wsus w:8530",
                "100 % of them share WSUS server w:8530",
                "100 % von ihnen gemeinsam: WSUS-Server w:8530",
            ),
            (
                "33.3 % of the active hosts are affected",
                "33 % of the active hosts are affected",
                "33 % der aktiven Rechner sind betroffen",
            ),
            (
                "a rule of yours asks for high: x",
                "a rule of yours asks for high: x",
                "eine eigene Regel verlangt hoch: x",
            ),
        ] {
            assert_eq!((english.phrase(sentence).as_str(), german.phrase(sentence).as_str()), (expect, deutsch));
        }
        assert!(!german.has_quoted());
        german.phrase("a sentence of another version");
        assert!(german.has_quoted() && !english.has_quoted());
    }
}
