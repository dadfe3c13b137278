//! Words that decide the kind of a line, at any place in the line: one pass finds all of them.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Match, MatchKind, packed};

/// The set of known words in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words(u32);

impl Words {
    pub(crate) const URL: Words = Words(1);
    pub(crate) const LOGGING_INITIALIZED: Words = Words(1 << 1);
    pub(crate) const POSTPROCESSING: Words = Words(1 << 2);
    pub(crate) const VERIFYING_TRUST: Words = Words(1 << 3);
    pub(crate) const INNER_CAB: Words = Words(1 << 4);
    pub(crate) const SUCCEEDED: Words = Words(1 << 5);
    pub(crate) const RESULT_FAILED: Words = Words(1 << 6);
    pub(crate) const FAILED: Words = Words(1 << 7);
    pub(crate) const EXIT_CODE: Words = Words(1 << 8);
    pub(crate) const RETURNED_CODE: Words = Words(1 << 9);
    pub(crate) const SCAN_FAILED: Words = Words(1 << 10);
    pub(crate) const SEARCH_RESULT: Words = Words(1 << 11);
    pub(crate) const DOWNLOAD_FAILED: Words = Words(1 << 12);
    pub(crate) const DOWNLOAD_SUCCEEDED: Words = Words(1 << 13);
    pub(crate) const TRANSFER_JOB: Words = Words(1 << 14);
    pub(crate) const COMPLETED: Words = Words(1 << 15);
    pub(crate) const INSTALL_ENDED: Words = Words(1 << 16);
    pub(crate) const SELF_UPDATE: Words = Words(1 << 17);
    pub(crate) const REQUEST: Words = Words(1 << 18);
    pub(crate) const REDIRECTION: Words = Words(1 << 19);
    pub(crate) const HTTP_STATUS: Words = Words(1 << 20);
    pub(crate) const SID: Words = Words(1 << 21);
    pub(crate) const CORRELATION: Words = Words(1 << 22);
    pub(crate) const SLS: Words = Words(1 << 23);
    pub(crate) const ALREADY_DOWNLOADED: Words = Words(1 << 24);
    pub(crate) const APPLICABILITY: Words = Words(1 << 25);

    /// Returns the known words in `text`. Of overlapping words, the leftmost one counts, and of these the longest.
    pub(crate) fn of(text: &str) -> Words {
        let add = |all: Words, found: Match| all.or(SPELLINGS[found.pattern().as_usize()].1);
        let WordSearch { vectors, steps } = &*SEARCH;
        let Some(vectors) = vectors else { return steps.find_iter(text).fold(Words::default(), add) };
        let mut padded = [0; PADDED_BYTES];
        match (text.len(), vectors.minimum_len()) {
            (len, least) if len >= least => vectors.find_iter(text).fold(Words::default(), add),
            (len, least) if least <= PADDED_BYTES => {
                padded[..len].copy_from_slice(text.as_bytes());
                vectors.find_iter(&padded[..least]).fold(Words::default(), add)
            }
            _ => steps.find_iter(text).fold(Words::default(), add),
        }
    }

    /// True where the set contains any of `words`.
    pub(crate) const fn any(self, words: Words) -> bool {
        self.0 & words.0 != 0
    }

    /// Returns the union of both sets.
    pub(crate) const fn or(self, words: Words) -> Words {
        Words(self.0 | words.0)
    }
}

/// Length to which shorter texts are padded with zeros, which no word contains, since the vector search needs this
/// length. Searched byte after byte, a short text took 730 instructions.
const PADDED_BYTES: usize = 64;

/// No word is shorter than four bytes: the search compares as many bytes at once as the shortest word has, and with
/// three bytes it stopped at twice as many places without a word. `://` and `cV:` are found together with the keys, in
/// [`super::pairs`].
///
/// A word that may begin a sentence is listed without its first letter, unless the rest would then match inside of
/// another word. [`super::outcome_words`] decides whether a word of success or failure is a whole word, and what its
/// context means.
const SPELLINGS: [(&str, Words); 63] = [
    ("Logging initialized", Words::LOGGING_INITIALIZED),
    ("failed postprocessing", Words::POSTPROCESSING),
    ("failed post processing", Words::POSTPROCESSING),
    ("when verifying trust for ", Words::VERIFYING_TRUST),
    ("not contain correct inner CAB", Words::INNER_CAB),
    ("ucceeded", Words::SUCCEEDED),
    ("ucceeds", Words::SUCCEEDED),
    ("uccessful", Words::SUCCEEDED),
    ("Result = Failed", Words::RESULT_FAILED),
    ("ailed", Words::FAILED),
    ("rfolgreich", Words::SUCCEEDED),
    ("rfolglos", Words::SUCCEEDED),
    ("\u{e9}ussi", Words::SUCCEEDED),
    ("ehlgeschlagen", Words::FAILED),
    ("chou\u{e9}", Words::FAILED),
    ("Exit code", Words::EXIT_CODE),
    ("exit code", Words::EXIT_CODE),
    ("returned 0x", Words::RETURNED_CODE),
    ("failed Searching for update", Words::SCAN_FAILED),
    ("earch callback failed", Words::SCAN_FAILED),
    ("Failed to find updates", Words::SCAN_FAILED),
    ("failed to find updates", Words::SCAN_FAILED),
    ("Failed to synchronize", Words::SCAN_FAILED),
    ("failed to synchronize", Words::SCAN_FAILED),
    ("Skipping scan", Words::SCAN_FAILED),
    ("to search result", Words::SEARCH_RESULT),
    ("ownload failed", Words::DOWNLOAD_FAILED),
    ("Failed to download", Words::DOWNLOAD_FAILED),
    ("failed to download", Words::DOWNLOAD_FAILED),
    ("while downloading update", Words::DOWNLOAD_FAILED),
    ("DownloadSucceeded", Words::DOWNLOAD_SUCCEEDED.or(Words::SUCCEEDED)),
    ("BITS job", Words::TRANSFER_JOB),
    ("DO job", Words::TRANSFER_JOB),
    ("completed successfully", Words::COMPLETED.or(Words::SUCCEEDED)),
    ("Completed install of", Words::INSTALL_ENDED),
    ("Completed uninstall of", Words::INSTALL_ENDED),
    ("nstall completed", Words::INSTALL_ENDED),
    ("nstall call complete", Words::INSTALL_ENDED),
    ("Install of setup package", Words::INSTALL_ENDED),
    ("Install failed", Words::INSTALL_ENDED.or(Words::FAILED)),
    ("nstallation fehlgeschlagen", Words::INSTALL_ENDED.or(Words::FAILED)),
    ("nstallation ist fehlgeschlagen", Words::INSTALL_ENDED.or(Words::FAILED)),
    ("nstallation a \u{e9}chou\u{e9}", Words::INSTALL_ENDED.or(Words::FAILED)),
    ("SelfUpdate", Words::SELF_UPDATE),
    ("self-update", Words::SELF_UPDATE),
    ("WinHttp:", Words::REQUEST),
    ("end request", Words::REQUEST),
    ("SendRequest", Words::REQUEST),
    ("Send failed", Words::REQUEST.or(Words::FAILED)),
    ("Web service call", Words::REQUEST),
    ("ibrary download error", Words::REQUEST),
    ("aking request", Words::REQUEST),
    ("DownloadFileInternal", Words::REQUEST),
    ("Got WSUS ", Words::REQUEST),
    (" redir ", Words::REDIRECTION),
    ("tatus code", Words::HTTP_STATUS),
    ("HTTP/1.", Words::HTTP_STATUS),
    ("/SLS/", Words::SLS),
    ("already downloaded and are valid", Words::ALREADY_DOWNLOADED),
    ("valuat", Words::APPLICABILITY),
    ("pplicab", Words::APPLICABILITY),
    ("upersed", Words::APPLICABILITY),
    ("S-1-", Words::SID),
];

/// The prepared search for the spellings.
struct WordSearch {
    /// Compares sixteen bytes at once, where the machine can.
    vectors: Option<packed::Searcher>,
    /// Compares byte after byte.
    steps: AhoCorasick,
}

static SEARCH: LazyLock<WordSearch> = LazyLock::new(|| {
    let spellings = SPELLINGS.map(|(text, _)| text);
    let vectors =
        packed::Config::new().match_kind(packed::MatchKind::LeftmostLongest).builder().extend(spellings).build();
    let steps = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::DFA))
        // Without a prefilter, since its first bytes occur in nearly every line.
        .prefilter(false)
        .build(spellings)
        .expect("a few short words make a small automaton");
    WordSearch { vectors, steps }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_found() {
        for (text, words) in SPELLINGS {
            assert_eq!(Words::of(text), words, "{text}");
            assert_eq!(Words::of(&format!("WARNING: é f{text} 0x80070057, x")), words, "{text}");
            // Both searches find the same words.
            let long = format!("{0} {text}{0}", "x".repeat(64));
            assert_eq!(Words::of(&long), words, "{text}");
        }
        assert!(SPELLINGS.iter().all(|(text, _)| text.len() >= 4), "a shorter word makes the search for all slower");
        assert_eq!(Words::of("Network state: Connected"), Words::default());
        assert!(Words::of("DnldMgr WARNING: BITS job {G} failed, hr = 0x80190194").any(Words::FAILED));
    }
}
