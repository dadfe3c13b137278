//! Finds the outcome that words state: whole words such as `succeeded` and `failed`, with their negation and their
//! number.
//!
//! ```text
//! Update was successfully downloaded          success
//! Update was not successfully downloaded      failure
//! Unsuccessfully finished                     failure
//! (succeeded = 0, failed = 1)                 failure
//! Jobs = 2, Succeeded = 2                     success
//! 3 updates installed, 0 failed               neither
//! ```

/// The outcome that the words of a text state. A word `failed` alone is weak: many steps fail on the way to a success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeWords {
    /// A word states a success.
    pub succeeded: bool,
    /// A single word states a failure.
    pub failed: bool,
    /// The text denies a success or counts failures: the outcome is a failure.
    pub denied: bool,
}

/// Most words from a negation to the word that it negates: `was not yet successfully downloaded`.
const NEGATION_WORDS_MAX: usize = 3;

/// Words that negate a word after them.
static NEGATIONS: [&str; 16] = [
    "not", "never", "no", "without", "cannot", "can't", "didn't", "wasn't", "isn't", "couldn't", "neither", "nor",
    "unable", "nicht", "pas", "kein",
];

/// The meaning of one word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WordOutcome {
    Success,
    /// A word that denies a success: `Unsuccessfully`.
    Denial,
    Failure,
}

/// Finds the outcome words of `text`.
pub(super) fn find(text: &str) -> OutcomeWords {
    let mut found = OutcomeWords::default();
    let (mut jobs, mut counted) = (None, None);
    let mut before = [""; NEGATION_WORDS_MAX];
    // `None of the 12 updates succeeded`: such a negation reaches over any number of words.
    let mut all_negated = false;
    for (start, word) in words(text) {
        let rest = &text[start + word.len()..];
        if word.eq_ignore_ascii_case("jobs") {
            jobs = count_behind(rest);
        }
        if let Some(kind) = kind(word) {
            let number = count_behind(rest).or_else(|| count_before(&before));
            let negated = all_negated
                || before.iter().any(|word| NEGATIONS.iter().any(|no| word.eq_ignore_ascii_case(no)))
                || behind_negation(rest);
            if kind == WordOutcome::Success && number.is_some() {
                counted = number;
            }
            match (kind, number) {
                // `succeeded with errors = 0` counts another result.
                (WordOutcome::Success, _) if rest.trim_start().starts_with("with errors") => {}
                (WordOutcome::Success, Some(0)) | (WordOutcome::Failure, Some(0)) => {}
                (WordOutcome::Success, _) if negated => found.denied = true,
                (WordOutcome::Success, _) => found.succeeded = true,
                (WordOutcome::Denial, _) => found.denied |= !negated,
                (WordOutcome::Failure, Some(_)) => found.denied = true,
                (WordOutcome::Failure, None) => found.failed |= !negated,
            }
        }
        all_negated |= negates_all(before[NEGATION_WORDS_MAX - 1], word);
        before.rotate_left(1);
        before[NEGATION_WORDS_MAX - 1] = word;
        if rest.starts_with([',', ';', '.', ':', ')', '(']) {
            before = [""; NEGATION_WORDS_MAX];
            all_negated = false;
        }
    }
    if matches!((jobs, counted), (Some(jobs), Some(counted)) if counted < jobs) {
        found.succeeded = false;
    }
    if found.denied {
        found.succeeded = false;
    }
    found
}

fn kind(word: &str) -> Option<WordOutcome> {
    static WORDS: [(&str, WordOutcome); 19] = [
        ("succeeded", WordOutcome::Success),
        ("succeeds", WordOutcome::Success),
        ("successfully", WordOutcome::Success),
        ("downloadsucceeded", WordOutcome::Success),
        ("erfolgreich", WordOutcome::Success),
        ("réussi", WordOutcome::Success),
        ("réussie", WordOutcome::Success),
        ("unsuccessfully", WordOutcome::Denial),
        ("unsuccessful", WordOutcome::Denial),
        ("erfolglos", WordOutcome::Denial),
        ("failed", WordOutcome::Failure),
        ("failures", WordOutcome::Failure),
        ("fails", WordOutcome::Failure),
        ("fehlgeschlagen", WordOutcome::Failure),
        ("fehlgeschlagene", WordOutcome::Failure),
        ("échoué", WordOutcome::Failure),
        ("échouée", WordOutcome::Failure),
        ("échouées", WordOutcome::Failure),
        ("échec", WordOutcome::Failure),
    ];
    // All known words have 5 to 17 bytes, which rejects most words.
    if !(5..=17).contains(&word.len()) {
        return None;
    }
    // The name of a function, `SendRequestSucceeded`, is a word of its own.
    let is = |known: &str| {
        if word.is_ascii() { word.eq_ignore_ascii_case(known) } else { word.to_lowercase() == known }
    };
    WORDS.iter().find(|(known, _)| known.len() == word.len() && is(known)).map(|(_, kind)| *kind)
}

/// True for two words that negate their whole clause: `none of the updates`, `not all updates`.
fn negates_all(before: &str, word: &str) -> bool {
    [("none", "of"), ("not", "all"), ("keines", "der"), ("nicht", "alle"), ("aucune", "des")]
        .into_iter()
        .any(|(first, second)| before.eq_ignore_ascii_case(first) && word.eq_ignore_ascii_case(second))
}

/// Returns the words of a text and their positions.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '\'' || c == '’';
    text.split(move |c: char| !is_part(c))
        .filter(|word| !word.is_empty())
        .map(|word| (word.as_ptr().addr() - text.as_ptr().addr(), word))
}

/// Returns the number in ` = 2` or `: 2`.
fn count_behind(rest: &str) -> Option<u32> {
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':'])?.trim_start();
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let ends = value.as_bytes().get(digits).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    value[..digits].parse().ok().filter(|_| ends)
}

/// Returns the number in `0 failed`, `no updates failed`, `3 updates succeeded`.
fn count_before(before: &[&str; NEGATION_WORDS_MAX]) -> Option<u32> {
    let [third, second, first] = before;
    let number = |word: &str| {
        if ["no", "none", "keine", "aucune"].iter().any(|none| word.eq_ignore_ascii_case(none)) {
            return Some(0);
        }
        word.parse().ok()
    };
    // `2 of 3 succeeded` counts as 0, since not all succeeded.
    if second.eq_ignore_ascii_case("of") {
        return number(third).map(|part| if number(first) == Some(part) { part } else { 0 });
    }
    const THINGS: [&str; 7] = ["updates", "update", "jobs", "files", "items", "downloads", "installations"];
    number(first)
        .or_else(|| THINGS.iter().any(|thing| first.eq_ignore_ascii_case(thing)).then(|| number(second)).flatten())
}

/// True where the next word negates: `completed: successfully = false`.
fn behind_negation(rest: &str) -> bool {
    let rest = rest.trim_start().trim_start_matches(['=', ':']).trim_start();
    ["false", "False", "FALSE"].into_iter().any(|word| rest.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_whole_words_with_negation_and_number() {
        const NOTHING: OutcomeWords = OutcomeWords { succeeded: false, failed: false, denied: false };
        const SUCCESS: OutcomeWords = OutcomeWords { succeeded: true, ..NOTHING };
        const FAILED: OutcomeWords = OutcomeWords { failed: true, ..NOTHING };
        const DENIED: OutcomeWords = OutcomeWords { denied: true, ..NOTHING };
        let cases = [
            ("Update was successfully downloaded", SUCCESS),
            ("DO job {G} completed successfully", SUCCESS),
            ("Update was not successfully downloaded", DENIED),
            ("Update was not yet successfully downloaded", DENIED),
            ("Unsuccessfully finished the job", DENIED),
            ("None of the 12 updates succeeded", DENIED),
            ("Not all of the selected updates were successfully installed", DENIED),
            ("None of the updates failed", NOTHING),
            ("None of the updates is new, the scan succeeded", SUCCESS),
            ("not unsuccessfully", NOTHING),
            ("The download was unsuccessful", DENIED),
            ("(succeeded = 0, succeeded with errors = 0, failed = 1, unaccounted = 0)", DENIED),
            ("(succeeded = 1, succeeded with errors = 0, failed = 0, unaccounted = 0)", SUCCESS),
            ("succeeded = 0, failed = 0", NOTHING),
            ("succeeded: 1, failed: 1", DENIED),
            ("Jobs = 2, Succeeded = 2, ClientId = x", SUCCESS),
            ("Jobs = 2, Succeeded = 1, ClientId = x", NOTHING),
            ("3 updates installed, 0 failed", NOTHING),
            ("3 succeeded, 1 failed", DENIED),
            ("3 succeeded, no updates failed", SUCCESS),
            ("0 of 3 succeeded", NOTHING),
            ("2 of 3 succeeded", NOTHING),
            ("3 of 3 succeeded", SUCCESS),
            ("BITS job {G} failed, updateId = {G}.1", FAILED),
            ("BITS job {G} has not failed", NOTHING),
            ("did not succeed", NOTHING),
            ("installed without failures", NOTHING),
            ("SendRequestSucceeded", NOTHING),
            ("Das Update wurde erfolgreich installiert", SUCCESS),
            ("Das Update wurde nicht erfolgreich installiert", DENIED),
            ("Die Installation ist fehlgeschlagen", FAILED),
            ("L'installation a échoué", FAILED),
            ("L'installation n'a pas réussi", DENIED),
            ("Der Download blieb erfolglos", DENIED),
            ("", NOTHING),
        ];
        for (text, expect) in cases {
            assert_eq!(find(text), expect, "{text}");
        }
    }
}
