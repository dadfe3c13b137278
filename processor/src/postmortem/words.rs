//! The report's words in English and German, and sentences with gaps in them.

use std::collections::BTreeMap;

use crate::language::Language;

const ENGLISH: &str = include_str!("words/en.json");
const GERMAN: &str = include_str!("words/de.json");

/// The words of one language by name.
#[derive(Debug)]
pub(super) struct Vocabulary(BTreeMap<String, String>);

impl Vocabulary {
    pub(super) fn of(language: Language) -> Vocabulary {
        let text = match language {
            Language::En => ENGLISH,
            Language::De => GERMAN,
        };
        Vocabulary(serde_json::from_str(text).expect("the words of a language are JSON; a test reads them"))
    }

    /// All words, for the template.
    pub(super) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    pub(super) fn get<'a>(&'a self, name: &'a str) -> &'a str {
        self.find(name).unwrap_or(name)
    }

    /// The word with this name; `None` for an unknown name, such as a value of a newer version.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A sentence with its gaps filled: `{hosts} hosts`, or `{hosts} {hosts?host:hosts}` with one form for 1 and one
    /// for other numbers. Values are inserted unchanged, so the result must be escaped.
    pub(super) fn with(&self, name: &str, values: &[(&str, &str)]) -> String {
        filled(self.get(name), values)
    }
}

/// A pattern with its gaps filled, see [`Vocabulary::with`].
pub(super) fn filled(pattern: &str, values: &[(&str, &str)]) -> String {
    let value = |wanted: &str| values.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| *value);
    let mut rest = pattern;
    let mut text = String::new();
    while let Some((before, (gap, after))) =
        rest.split_once('{').and_then(|(before, from)| Some((before, from.split_once('}')?)))
    {
        text.push_str(before);
        text.push_str(match gap.split_once('?') {
            None => value(gap),
            Some((number, forms)) => {
                let (one, many) = forms.split_once(':').unwrap_or((forms, forms));
                if value(number) == "1" { one } else { many }
            }
        });
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn gaps(text: &str) -> BTreeSet<&str> {
        let gaps = text.split('{').skip(1).filter_map(|from| from.split_once('}')).map(|(gap, _)| gap);
        gaps.map(|gap| gap.split_once('?').map_or(gap, |(number, _)| number)).collect()
    }

    #[test]
    fn both_languages_have_the_same_words_with_the_same_gaps() {
        let (english, german) = (Vocabulary::of(Language::En), Vocabulary::of(Language::De));
        assert!(english.0.keys().eq(german.0.keys()));
        for (name, text) in &english.0 {
            assert_eq!(gaps(text), gaps(german.get(name)), "{name}");
        }
    }

    #[test]
    fn a_value_with_braces_fills_one_gap_only() {
        assert_eq!(filled("{a} and {b}", &[("a", "{b}"), ("b", "x")]), "{b} and x");
    }

    #[test]
    fn the_form_of_a_word_follows_the_number() {
        for (number, expect) in [("0", "0 hosts"), ("1", "1 host"), ("2", "2 hosts"), ("11", "11 hosts")] {
            assert_eq!(filled("{n} {n?host:hosts}", &[("n", number)]), expect);
        }
    }
}
