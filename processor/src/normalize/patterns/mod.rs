//! Line -> what the operator's own patterns say of it: labels, a severity, a failure of certificate trust.
//!
//! ```text
//! [[normalizer.patterns]]  -> Pattern (checked, its own Regex) \
//!                                                               RegexSet -> line -> the few that match -> Match
//! ```
//!
//! A pattern is matched against the whole line as it stands in the log, columns included, since that is what an
//! operator has at hand and pastes. One pass of one [`RegexSet`] tells which patterns match, in time linear in the
//! line; only those run their own regex again, for its captures. Without patterns a line costs one look at an `Option`.
//!
//! Everything is compiled and checked when the configuration is read, so a machine that has one cannot fail on it.

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

/// Each pattern that matches costs a second look at the line, and its name stands in the document.
const PATTERNS_MAX: usize = 256;

/// Memory for the program of all patterns together; the regex crate's own bound for one, and some.
const SET_BYTES_MAX: usize = 16 << 20;

/// Memory for the states that the set keeps while it runs; when they do not fit it goes on without them, slower.
const SET_STATES_BYTES_MAX: usize = 8 << 20;

/// The operator's patterns, in the order of the configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Pattern>", into = "Vec<PatternConfig>")]
pub struct Patterns(Option<Arc<Set>>);

#[derive(Debug)]
struct Set {
    regexes: RegexSet,
    patterns: Vec<Pattern>,
}

impl Patterns {
    /// The patterns of several places as one list.
    ///
    /// # Errors
    /// When a name stands twice, or all are too many or too large together.
    pub fn join(parts: impl IntoIterator<Item = Patterns>) -> Result<Patterns, String> {
        parts.into_iter().flat_map(|part| part.all().to_vec()).collect::<Vec<Pattern>>().try_into()
    }

    /// Names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all().iter().map(|pattern| pattern.config.name.as_str())
    }

    /// What the patterns say of a raw line; label values are cut at `value_bytes_max`.
    #[must_use]
    pub fn explain<'a>(&'a self, line: &'a str, value_bytes_max: usize) -> Option<Match<'a>> {
        self.find(line, &parse(line), value_bytes_max)
    }

    /// The same, where the line is parsed already.
    pub(super) fn find<'a>(&'a self, line: &'a str, entry: &Entry<'_>, value_bytes_max: usize) -> Option<Match<'a>> {
        let set = self.0.as_deref()?;
        // Most lines match nothing, which this says fastest: it needs not to go on to the end for the other patterns.
        if !set.regexes.is_match(line) {
            return None;
        }
        let hits = set.regexes.matches(line).into_iter().map(|at| &set.patterns[at]);
        Match::of(hits.filter(|pattern| pattern.takes_component(entry.component)), line, entry, value_bytes_max)
    }

    /// What is wrong by the patterns' own examples: each must match its pattern, each counterexample must not.
    #[must_use]
    pub fn wrong_examples(&self) -> Vec<String> {
        self.all().iter().flat_map(Pattern::wrong_examples).collect()
    }

    /// How many examples and counterexamples there are.
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
        Ok(Patterns(Some(Arc::new(Set { regexes, patterns }))))
    }
}

impl From<Patterns> for Vec<PatternConfig> {
    fn from(patterns: Patterns) -> Vec<PatternConfig> {
        patterns.all().iter().map(|pattern| pattern.config.clone()).collect()
    }
}
