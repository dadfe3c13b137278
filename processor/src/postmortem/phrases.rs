//! Sentences of the Detector in the language of the report.
//!
//! An alert holds its steps, fixes and reasons as English sentences, without a field that identifies the sentence.
//! `words/phrases.json` has a German sentence for each of them, with the same gaps. A sentence of another version of
//! wulog may be missing there; such a sentence stays in English, and the report says so.

use std::collections::BTreeMap;

use super::words::filled;

const GERMAN: &str = include_str!("words/phrases.json");

/// English patterns with their German ones; the patterns with most letters first, so that the closest one is found.
#[derive(Debug)]
pub(super) struct Phrases(Vec<(String, String)>);

impl Phrases {
    /// The sentences that this version of the Detector writes.
    pub(super) fn german() -> Phrases {
        let phrases: BTreeMap<String, String> =
            serde_json::from_str(GERMAN).expect("the phrases are JSON; a test reads them");
        let mut phrases: Vec<(String, String)> = phrases.into_iter().collect();
        phrases.sort_by_key(|(english, _)| std::cmp::Reverse(letters(english)));
        Phrases(phrases)
    }

    /// Both patterns of a sentence, and the texts in its gaps; `None` where no pattern matches.
    pub(super) fn find<'a>(&'a self, sentence: &'a str) -> Option<Phrase<'a>> {
        self.0
            .iter()
            .find_map(|(english, german)| gaps_of(english, sentence).map(|gaps| Phrase { english, german, gaps }))
    }
}

/// A sentence with a known pattern.
pub(super) struct Phrase<'a> {
    english: &'a str,
    german: &'a str,
    /// Name and text of each gap.
    pub(super) gaps: Vec<(&'a str, &'a str)>,
}

impl Phrase<'_> {
    /// The sentence with other texts in its gaps.
    pub(super) fn with(&self, is_german: bool, texts: &[String]) -> String {
        let pattern = if is_german { self.german } else { self.english };
        let values: Vec<(&str, &str)> =
            self.gaps.iter().zip(texts).map(|((name, _), text)| (*name, text.as_str())).collect();
        filled(pattern, &values)
    }
}

/// Letters of a pattern outside of its gaps.
fn letters(pattern: &str) -> usize {
    let mut is_gap = false;
    pattern
        .chars()
        .filter(|letter| {
            match letter {
                '{' => is_gap = true,
                '}' => is_gap = false,
                _ => return !is_gap,
            }
            false
        })
        .count()
}

/// Name and text of each gap of `pattern` in `sentence`; `None` where the sentence does not match.
fn gaps_of<'a>(pattern: &'a str, sentence: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let split = |text: &'a str| text.split_once('{').map_or((text, None), |(before, from)| (before, Some(from)));
    let (begin, mut pattern) = split(pattern);
    let mut sentence = sentence.strip_prefix(begin)?;
    let mut gaps = Vec::new();
    while let Some(from) = pattern {
        let (name, after) = from.split_once('}')?;
        let (literal, next) = split(after);
        let (text, rest) = match next {
            None => (sentence.strip_suffix(literal)?, ""),
            Some(_) => sentence.split_once(literal)?,
        };
        if text.is_empty() {
            return None;
        }
        gaps.push((name, text));
        (sentence, pattern) = (rest, next);
    }
    sentence.is_empty().then_some(gaps)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use wulog_schemas::alert::{Cause, Step};
    use wulog_schemas::hresult::Family;

    use super::*;
    use crate::detect::remedy::{Builds, RemedyFacts, UpdateSigner, steps};

    #[test]
    fn a_sentence_is_known_by_its_words() {
        let phrases = Phrases::german();
        let said = |sentence: &str| {
            phrases.find(sentence).map(|phrase| {
                let texts: Vec<String> = phrase.gaps.iter().map(|(_, text)| (*text).to_owned()).collect();
                (phrase.with(false, &texts), phrase.with(true, &texts))
            })
        };
        for (english, german) in [
            ("the WSUS server (wsus-2:8530)", "der WSUS-Server (wsus-2:8530)"),
            ("CN=A (thumbprint 00, valid until 2027-01-01)", "CN=A (Fingerabdruck 00, g\u{fc}ltig bis 2027-01-01)"),
            ("it goes on as wu-1", "es geht weiter als wu-1"),
        ] {
            assert_eq!(said(english), Some((english.to_owned(), german.to_owned())));
        }
        assert_eq!(said("a sentence of another version"), None);
        assert_eq!(said("the WSUS server ()"), None, "a gap is never empty");
    }

    #[test]
    fn both_languages_have_the_same_gaps() {
        let gaps = |text: &str| -> BTreeSet<String> {
            text.split('{').skip(1).filter_map(|from| from.split_once('}')).map(|(gap, _)| gap.to_owned()).collect()
        };
        for (english, german) in &Phrases::german().0 {
            assert_eq!(gaps(english), gaps(german), "{english}");
        }
    }

    #[test]
    fn every_step_of_every_cause_is_known() {
        let phrases = Phrases::german();
        let codes = [
            "0x80072f06",
            "0x80072f05",
            "0x80072f18",
            "0x80072f7d",
            "0x80072f8f",
            "0x80092010",
            "0x8024b303",
            "0x800b0109",
        ];
        let causes = [None, Some(Cause::UpdateSignature), Some(Cause::WsusTls), Some(Cause::MicrosoftTls)];
        let wsus = [None, Some("wsus-2:8530")];
        let mut sentences = BTreeSet::new();
        for (cause, family) in causes.into_iter().flat_map(|cause| Family::ALL.map(|family| (cause, family))) {
            let cases = codes.iter().flat_map(|code| wsus.map(|wsus| ([*code], wsus)));
            let signers = [UpdateSigner::Organization, UpdateSigner::Driver, UpdateSigner::Microsoft];
            for (codes, wsus, signer) in cases.flat_map(|(code, wsus)| signers.map(|signer| (code, wsus, signer))) {
                for is_accepted_elsewhere in [false, true] {
                    let trouble = RemedyFacts {
                        cause,
                        family,
                        families: &BTreeSet::from([family]),
                        codes: &codes,
                        wsus,
                        server: wsus,
                        signer,
                        builds: &Builds::default(),
                        is_accepted_elsewhere,
                        affected: "an affected host",
                    };
                    let of = |step: Step| [Some(step.check), step.on].into_iter().flatten();
                    sentences.extend(steps(&trouble).into_iter().flat_map(of));
                }
            }
        }
        assert!(sentences.len() > 40, "{}", sentences.len());
        let unknown: Vec<&String> = sentences.iter().filter(|sentence| phrases.find(sentence).is_none()).collect();
        assert!(unknown.is_empty(), "no German for {unknown:#?}");
    }
}
