//! The lines of a trust check.

use super::facts::{Facts, Trust, bounded};
use super::words::Words;

/// Adds the verdict of `body` and the checked file.
pub(super) fn trust<'a>(body: &'a str, facts: &mut Facts<'a>) {
    let (verdict, path) = if let Some(rest) = body.strip_prefix("Validating signature for ") {
        let path = rest.split_once(" with dwProvFlags").map_or(rest, |(path, _)| path);
        (Trust::Checking, path.trim_end_matches([':', ' ']))
    } else if let Some(rest) = body.strip_prefix("Digital Signatures on file ") {
        (Trust::Failed, rest.split_once(" are not trusted").map_or("", |(path, _)| path))
    } else if let Some(answer) = body.strip_prefix("Microsoft signed:") {
        // A third-party file is not signed by Microsoft and may be trusted all the same.
        (if is(answer, "Yes") { Trust::Trusted } else { Trust::Unknown }, "")
    } else if let Some(answer) = body.strip_prefix("Trusted Publisher:") {
        let no = if is(answer, "No") { Trust::Untrusted } else { Trust::Unknown };
        (if is(answer, "Yes") { Trust::Trusted } else { no }, "")
    } else if facts.words.any(Words::VERIFYING_TRUST) {
        let path = body.split_once("when verifying trust for ").map_or("", |(_, path)| path.trim());
        (Trust::Failed, path)
    } else if facts.words.any(Words::POSTPROCESSING) {
        (Trust::Rejected, "")
    } else if facts.words.any(Words::INNER_CAB) {
        (Trust::Unknown, "")
    } else {
        return;
    };
    facts.trust = Some(verdict);
    facts.path = bounded(path);
}

fn is(answer: &str, word: &str) -> bool {
    answer.split([' ', '.', ',']).find(|part| !part.is_empty()) == Some(word)
}
