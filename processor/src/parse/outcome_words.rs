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

/// Words of a clause that are kept: `0 out of 3 updates were installed successfully`.
const CLAUSE_WORDS_MAX: usize = 7;

/// Words that negate a word after them, beside those that end in `n't`.
static NEGATIONS: [&str; 19] = [
    "not", "never", "no", "without", "cannot", "neither", "nor", "unable", "nicht", "nie", "niemals", "kein", "keine",
    "keinen", "keiner", "pas", "jamais", "aucun", "aucune",
];

/// True for a word that negates a word after it: `not`, `couldn't`, with either apostrophe.
fn negates(word: &str) -> bool {
    let end = word.strip_suffix('t').and_then(|word| word.strip_suffix(['\'', '’']));
    end.is_some_and(|verb| verb.ends_with(['n', 'N'])) || NEGATIONS.iter().any(|no| word.eq_ignore_ascii_case(no))
}

/// The meaning of one word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WordOutcome {
    Success,
    /// A word that states a success only where it is negated: `Installation not successful`, but not `the last
    /// successful scan`.
    Attribute,
    /// A word that denies a success: `Unsuccessfully`.
    Denial,
    Failure,
}

/// Finds the outcome words of `text`.
pub(super) fn find(text: &str) -> OutcomeWords {
    let mut found = OutcomeWords::default();
    let (mut jobs, mut counted) = (None, None);
    let mut before = [""; CLAUSE_WORDS_MAX];
    // `None of the 12 updates succeeded`: such a negation reaches over any number of words.
    let mut all_negated = false;
    for (start, word) in words(text) {
        let rest = &text[start + word.len()..];
        if word.eq_ignore_ascii_case("jobs") {
            jobs = count_behind(rest);
        }
        if let Some(kind) = kind(word) {
            let number = count_behind(rest).or_else(|| count_before(&before, kind));
            let negated = all_negated
                || before[CLAUSE_WORDS_MAX - NEGATION_WORDS_MAX..].iter().any(|word| negates(word))
                || behind_negation(rest);
            if kind == WordOutcome::Success && number.is_some() {
                counted = number;
            }
            match (kind, number) {
                // `succeeded with errors = 0` counts another result.
                (WordOutcome::Success, _) if rest.trim_start().starts_with("with errors") => {}
                (WordOutcome::Success, Some(0)) | (WordOutcome::Failure, Some(0)) => {}
                (WordOutcome::Success | WordOutcome::Attribute, _) if negated => found.denied = true,
                (WordOutcome::Attribute, _) => {}
                (WordOutcome::Success, _) => found.succeeded = true,
                (WordOutcome::Denial, _) => found.denied |= !negated,
                (WordOutcome::Failure, Some(_)) => found.denied = true,
                (WordOutcome::Failure, None) => found.failed |= !negated,
            }
        }
        all_negated |= negates_all(before[CLAUSE_WORDS_MAX - 1], word);
        before.rotate_left(1);
        before[CLAUSE_WORDS_MAX - 1] = word;
        if rest.starts_with('/') && word.bytes().all(|byte| byte.is_ascii_digit()) {
            // `0/3 updates` is `0 of 3 updates`.
            before.rotate_left(1);
            before[CLAUSE_WORDS_MAX - 1] = "of";
        }
        if rest.starts_with([',', ';', '.', ':', ')', '(']) {
            before = [""; CLAUSE_WORDS_MAX];
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
    static WORDS: [(&str, WordOutcome); 20] = [
        ("successful", WordOutcome::Attribute),
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

/// Returns the number in `0 failed`, `no updates failed`, `3 updates succeeded`, `2 of 3 updates were installed
/// successfully`. Of a part of several, a success counts as 0 unless all succeeded.
fn count_before(before: &[&str; CLAUSE_WORDS_MAX], kind: WordOutcome) -> Option<u32> {
    /// Words between a number and its outcome.
    const BETWEEN: [&str; 16] = [
        "updates",
        "update",
        "jobs",
        "files",
        "items",
        "downloads",
        "installations",
        "installed",
        "downloaded",
        "were",
        "was",
        "wurden",
        "wurde",
        "have",
        "been",
        "mises",
    ];
    const NONE: [&str; 8] = ["no", "none", "zero", "kein", "keine", "keinen", "aucun", "aucune"];
    let is = |word: &str, of: &[&str]| of.iter().any(|known| word.eq_ignore_ascii_case(known));
    let number = |word: &str| if is(word, &NONE) { Some(0) } else { word.parse().ok() };
    let mut words = before.iter().rev().copied().skip_while(|word| is(word, &BETWEEN));
    let total = number(words.next()?)?;
    let part = match words.next() {
        Some(of) if is(of, &["of", "von", "sur"]) => {
            words.next().and_then(|word| if is(word, &["out"]) { words.next() } else { Some(word) }).and_then(number)
        }
        _ => None,
    };
    match part {
        Some(part) if kind == WordOutcome::Success && part < total => Some(0),
        part => part.or(Some(total)),
    }
}

/// True where the next word negates: `completed: successfully = false`, `Succeeded: No`.
fn behind_negation(rest: &str) -> bool {
    let Some(value) = rest.trim_start().strip_prefix(['=', ':']) else {
        return words(rest).next().is_some_and(|(_, word)| word.eq_ignore_ascii_case("false"));
    };
    let word = words(value).next().map_or("", |(_, word)| word);
    ["false", "no", "nein", "non"].into_iter().any(|no| word.eq_ignore_ascii_case(no))
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
            ("0 of 3 updates succeeded", NOTHING),
            ("0 out of 3 updates installed successfully", NOTHING),
            ("0/3 updates succeeded", NOTHING),
            ("Installed 0 of 5 updates successfully", NOTHING),
            ("0 von 3 Updates erfolgreich", NOTHING),
            ("2 of 3 updates succeeded", NOTHING),
            ("3 of 3 updates succeeded", SUCCESS),
            ("2 of 3 updates failed", DENIED),
            ("0 of 3 updates failed", NOTHING),
            ("Zero updates succeeded", NOTHING),
            ("3 updates were installed successfully", SUCCESS),
            ("Succeeded: No", DENIED),
            ("Succeeded = false", DENIED),
            ("Succeeded: Notepad", SUCCESS),
            ("Die Updates wurden nie erfolgreich installiert", DENIED),
            ("The update couldn’t be installed successfully", DENIED),
            ("The update hasn't been installed successfully", DENIED),
            ("keine Updates erfolgreich installiert", NOTHING),
            ("Installation not successful", DENIED),
            ("Installation was unsuccessful", DENIED),
            ("The last successful scan was yesterday", NOTHING),
            ("Installation fehlgeschlagen: 0x80070643", FAILED),
            ("", NOTHING),
        ];
        for (text, expect) in cases {
            assert_eq!(find(text), expect, "{text}");
        }
    }
}
