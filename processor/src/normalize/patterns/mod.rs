//! Line -> match of the operator's own patterns: labels, a severity, a failure of certificate trust.
//!
//! ```text
//! [[normalizer.patterns]]  -> Pattern (checked, its own Regex) \
//!                                                               RegexSet -> line -> the few that match -> Match
//! ```
//!
//! A pattern is matched against the whole line as it stands in the log, columns included, since an operator pastes such
//! lines. One pass of one [`RegexSet`] finds the matching patterns in time linear in the line; only these run their own
//! regex again, for its captures. Without patterns a line costs one check of an `Option`.
//!
//! All patterns are compiled and checked when the configuration is read, so a machine cannot fail on one.

mod matched;
mod pattern;

use std::collections::BTreeSet;
use std::sync::Arc;

use regex::{RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

pub use matched::Match;
pub use pattern::{Counts, PatternConfig};

use crate::parse::{Entry, parse};
use pattern::Pattern;

/// Most patterns: each matching pattern costs a second search of the line, and its name stands in the document.
const PATTERNS_MAX: usize = 256;

/// Memory for the compiled program of all patterns together; the regex crate's default for a single one is 10 MiB.
const SET_BYTES_MAX: usize = 16 << 20;

/// Memory for cached states of the set; where they do not fit, matching continues without the cache, slower.
const SET_STATES_BYTES_MAX: usize = 8 << 20;

/// The operator's patterns, in the order of the configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Pattern>", into = "Vec<PatternConfig>")]
pub struct Patterns(Option<Arc<PatternSet>>);

#[derive(Debug)]
struct PatternSet {
    regexes: RegexSet,
    patterns: Vec<Pattern>,
}

impl Patterns {
    /// Returns the patterns of several sources as one list.
    ///
    /// # Errors
    /// When a name is a duplicate, or the patterns together are too many or too large.
    pub fn join(parts: impl IntoIterator<Item = Patterns>) -> Result<Patterns, String> {
        parts.into_iter().flat_map(|part| part.all().to_vec()).collect::<Vec<Pattern>>().try_into()
    }

    /// Returns the names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all().iter().map(|pattern| pattern.config.name.as_str())
    }

    /// Returns the match of a raw line; label values are cut at `value_bytes_max`.
    #[must_use]
    pub fn explain<'a>(&'a self, line: &'a str, value_bytes_max: usize) -> Option<Match<'a>> {
        self.find(line, &parse(line), value_bytes_max)
    }

    /// Returns the match of a line that is parsed already.
    pub(super) fn find<'a>(&'a self, line: &'a str, entry: &Entry<'_>, value_bytes_max: usize) -> Option<Match<'a>> {
        let set = self.0.as_deref()?;
        // The fast check for lines without a match, which are most: it stops at the first pattern that matches.
        if !set.regexes.is_match(line) {
            return None;
        }
        let hits = set.regexes.matches(line).into_iter().map(|at| &set.patterns[at]);
        Match::of(hits.filter(|pattern| pattern.takes_component(entry.component)), line, entry, value_bytes_max)
    }

    /// Returns the violations of the patterns' own examples: each example must match its pattern, each counterexample
    /// must not.
    #[must_use]
    pub fn wrong_examples(&self) -> Vec<String> {
        self.all().iter().flat_map(Pattern::wrong_examples).collect()
    }

    /// Returns the number of examples and counterexamples.
    #[must_use]
    pub fn examples(&self) -> usize {
        self.all().iter().map(|it| it.config.examples.len() + it.config.counterexamples.len()).sum()
    }

    fn all(&self) -> &[Pattern] {
        self.0.as_deref().map_or(&[], |set| &set.patterns)
    }
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Patterns) -> bool {
        self.all().iter().map(|it| &it.config).eq(other.all().iter().map(|it| &it.config))
    }
}

impl TryFrom<Vec<Pattern>> for Patterns {
    type Error = String;

    fn try_from(patterns: Vec<Pattern>) -> Result<Patterns, String> {
        if patterns.is_empty() {
            return Ok(Patterns(None));
        }
        if patterns.len() > PATTERNS_MAX {
            return Err(format!("{} patterns are more than {PATTERNS_MAX}; join some with `|`", patterns.len()));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = patterns.iter().find(|pattern| !names.insert(&pattern.config.name)) {
            return Err(format!("pattern {:?}: the name stands twice; name each once", twice.config.name));
        }
        let regexes = RegexSetBuilder::new(patterns.iter().map(|pattern| &pattern.config.regex))
            .size_limit(SET_BYTES_MAX)
            .dfa_size_limit(SET_STATES_BYTES_MAX)
            .build()
            .map_err(|_| format!("all patterns together need more than {SET_BYTES_MAX} bytes; make them simpler"))?;
        Ok(Patterns(Some(Arc::new(PatternSet { regexes, patterns }))))
    }
}

impl From<Patterns> for Vec<PatternConfig> {
    fn from(patterns: Patterns) -> Vec<PatternConfig> {
        patterns.all().iter().map(|pattern| pattern.config.clone()).collect()
    }
}
