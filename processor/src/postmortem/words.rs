//! The report's words in English and German, and sentences with gaps in them.

use std::collections::BTreeMap;

use crate::deliver::Language;

const ENGLISH: &str = include_str!("words/en.json");
const GERMAN: &str = include_str!("words/de.json");

/// The words of one language by name.
#[derive(Debug)]
pub(super) struct Words(BTreeMap<String, String>);

impl Words {
    pub(super) fn of(language: Language) -> Words {
        let text = match language {
            Language::En => ENGLISH,
            Language::De => GERMAN,
        };
        Words(serde_json::from_str(text).expect("the words of a language are JSON; a test reads them"))
    }

    /// All words, for the template.
    pub(super) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    pub(super) fn get<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(name).map_or(name, String::as_str)
    }

    /// A sentence with its gaps filled: `{hosts} hosts`. A value is put in as it is, so it must be escaped afterwards.
    pub(super) fn with(&self, name: &str, values: &[(&str, &str)]) -> String {
        let mut rest = self.get(name);
        let mut text = String::new();
        while let Some((before, (gap, after))) =
            rest.split_once('{').and_then(|(before, from)| Some((before, from.split_once('}')?)))
        {
            text.push_str(before);
            text.push_str(values.iter().find(|(name, _)| *name == gap).map_or("", |(_, value)| value));
            rest = after;
        }
        text + rest
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn gaps(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|from| from.split_once('}')).map(|(gap, _)| gap).collect()
    }

    #[test]
    fn both_languages_have_the_same_words_with_the_same_gaps() {
        let (english, german) = (Words::of(Language::En), Words::of(Language::De));
        assert!(english.0.keys().eq(german.0.keys()));
        for (name, text) in &english.0 {
            assert_eq!(gaps(text), gaps(german.get(name)), "{name}");
        }
    }

    #[test]
    fn a_value_with_braces_fills_one_gap_only() {
        let words = Words([("line".to_owned(), "{a} and {b}".to_owned())].into());
        assert_eq!(words.with("line", &[("a", "{b}"), ("b", "x")]), "{b} and x");
    }
}
