//! The combined meaning of the patterns that match a line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use wulog_schemas::alert::Level;
use wulog_schemas::hresult::{self, Family, parse_hresult};

use super::pattern::{Counts, Pattern};
use crate::normalize::limit::cut;
use crate::normalize::trust_failure::TrustFailure;
use crate::parse::Entry;

/// Most labels that patterns add to one line.
const LABELS_MAX: usize = 32;

/// The patterns that match one line. Where patterns disagree, the first in the configuration wins; of severities, the
/// highest.
#[derive(Clone, Debug, PartialEq)]
pub struct Match<'a> {
    names: Vec<&'a str>,
    labels: BTreeMap<&'a str, &'a str>,
    level: Option<Level>,
    verdict: Option<PatternVerdict>,
}

/// The verdict of the first pattern with a family or `counts` about certificate trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PatternVerdict {
    Failure { family: Family, code: u32, definite: bool },
    Harmless { family: Option<Family> },
}

impl<'a> Match<'a> {
    pub(super) fn of(
        patterns: impl Iterator<Item = &'a Pattern>,
        line: &'a str,
        entry: &Entry<'_>,
        value_bytes_max: usize,
    ) -> Option<Match<'a>> {
        let mut all = Match { names: Vec::new(), labels: BTreeMap::new(), level: None, verdict: None };
        for pattern in patterns {
            let (labels, code) = pattern.captures(line);
            for (name, value) in labels {
                if all.labels.len() < LABELS_MAX {
                    all.labels.entry(name).or_insert(cut(value, value_bytes_max));
                }
            }
            all.names.push(&pattern.config.name);
            all.level = all.level.max(pattern.config.severity);
            all.verdict = all.verdict.or_else(|| verdict(pattern, entry, code));
        }
        (!all.names.is_empty()).then_some(all)
    }

    /// Names of the patterns.
    #[must_use]
    pub fn names(&self) -> &[&'a str] {
        &self.names
    }

    /// `event.severity`.
    pub(in crate::normalize) fn severity(&self) -> Option<u8> {
        self.level.map(number)
    }

    /// Returns the labels of an event: the labels of its host and the captured ones. A host's own label is not
    /// overwritten.
    pub(in crate::normalize) fn beside<'b>(
        &self,
        of_host: &'b BTreeMap<String, String>,
    ) -> Cow<'b, BTreeMap<String, String>> {
        let mut labels = Cow::Borrowed(of_host);
        for (name, value) in self.labels.iter().filter(|(name, _)| !of_host.contains_key(**name)) {
            labels.to_mut().insert((*name).to_owned(), (*value).to_owned());
        }
        labels
    }

    /// Returns the trust failure of a line; `own` is the failure without patterns.
    pub(in crate::normalize) fn trust(&self, own: Option<TrustFailure>) -> Option<TrustFailure> {
        match self.verdict {
            Some(PatternVerdict::Failure { family, code, definite }) => {
                // A line in which the client gave up stays definite, whatever the pattern says.
                let definite = definite || own.is_some_and(|own| own.definite);
                Some(TrustFailure { code, family, definite })
            }
            Some(PatternVerdict::Harmless { .. }) => None,
            None => own,
        }
    }

    /// Returns the code of the failure, where the patterns call the line a failure.
    pub(in crate::normalize) fn failure(&self) -> Option<u32> {
        match self.verdict {
            Some(PatternVerdict::Failure { code, .. }) => Some(code),
            _ => None,
        }
    }

    /// Returns the family that the patterns name.
    pub(in crate::normalize) fn family(&self) -> Option<Family> {
        match self.verdict? {
            PatternVerdict::Failure { family, .. } => Some(family),
            PatternVerdict::Harmless { family } => family,
        }
    }
}

/// `proxy-block proxy="proxy7" severity=2 tls 0x80072f8f definite`, for the test mode.
impl fmt::Display for Match<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(","))?;
        for (name, value) in &self.labels {
            write!(f, " {name}={value:?}")?;
        }
        if let Some(level) = self.level {
            write!(f, " severity={}", number(level))?;
        }
        match self.verdict {
            Some(PatternVerdict::Failure { family, code, definite }) => {
                let counts = if definite { "definite" } else { "provisional" };
                write!(f, " {family} {} {counts}", hresult::display(code))
            }
            Some(PatternVerdict::Harmless { family: Some(family) }) => write!(f, " {family} never counts"),
            Some(PatternVerdict::Harmless { family: None }) => f.write_str(" never counts"),
            None => Ok(()),
        }
    }
}

/// `None` where the pattern has neither family nor `counts`, or no code was found, since a failure without a code could
/// not be explained.
fn verdict(pattern: &Pattern, entry: &Entry<'_>, captured: Option<&str>) -> Option<PatternVerdict> {
    let family = pattern.config.family;
    if pattern.config.counts == Some(Counts::Never) {
        return Some(PatternVerdict::Harmless { family });
    }
    let captured = captured.and_then(parse_hresult).filter(|code| hresult::is_failure(*code));
    let code = entry.hresult.filter(|_| entry.is_failure()).or(captured).or(pattern.code)?;
    Some(PatternVerdict::Failure {
        family: family?,
        code,
        definite: pattern.config.counts != Some(Counts::Provisional),
    })
}

const fn number(level: Level) -> u8 {
    match level {
        Level::Low => 1,
        Level::Medium => 2,
        Level::High => 3,
        Level::Critical => 4,
    }
}
