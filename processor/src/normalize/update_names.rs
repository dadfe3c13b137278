//! Titles and KBs of updates, learned from the lines of all hosts of the partition.
//!
//! Few failing lines name more of an update than its id. The id is the same on all hosts, so a name in one host's log
//! names the update everywhere. The first line with a name counts, so that the name does not change while an incident
//! lasts, and no host can rename an update for other hosts later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::NormalizerLimits;
use super::limit::cut;
use super::spelling::lower;
use super::thread::Thread;
use crate::parse::Entry;

/// Title and KB of an update.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UpdateName {
    /// `VideoTool 3.2 (KB9990001)`
    pub(super) title: Option<String>,
    /// `KB9990001`
    pub(super) kb: Option<String>,
    /// True where one line has both id and name; otherwise the name stood on the line above, which may belong to
    /// another update.
    is_certain: bool,
    /// Number of the entry, by which the oldest is forgotten.
    number: u64,
}

/// Names by update id, lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UpdateNames {
    by_update: BTreeMap<String, UpdateName>,
    next: u64,
}

/// A name that was found in one line or in two consecutive lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundName<'a> {
    pub(super) title: Option<&'a str>,
    pub(super) kb: Option<&'a str>,
    /// See [`UpdateName::is_certain`].
    pub(super) is_certain: bool,
}

/// Bounds on the names that are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameBounds {
    /// Updates; beyond this number the oldest sixteenth is forgotten.
    pub(super) updates: usize,
    /// Bytes of a title.
    pub(super) bytes: usize,
}

impl UpdateNames {
    /// The name of an update.
    pub(super) fn of(&self, update: &str) -> Option<&UpdateName> {
        self.by_update.get(update)
    }

    /// Learns the name of an update.
    pub(super) fn learn(&mut self, update: &str, found: FoundName<'_>, bounds: NameBounds) {
        if found.title.is_none() && found.kb.is_none() {
            return;
        }
        if !self.by_update.contains_key(update) {
            self.forget_oldest(bounds.updates);
            let name = UpdateName { number: self.next, is_certain: found.is_certain, ..UpdateName::default() };
            self.next += 1;
            self.by_update.insert(update.to_owned(), name);
        }
        let Some(name) = self.by_update.get_mut(update) else { return };
        if found.is_certain && !name.is_certain {
            // The name on the line above was a guess.
            *name = UpdateName { number: name.number, is_certain: true, ..UpdateName::default() };
        } else if name.is_certain && !found.is_certain && name.title.is_some() {
            return;
        }
        let bounded = |text: &str| cut(text, bounds.bytes).to_owned();
        name.title = name.title.take().or_else(|| found.title.map(bounded));
        name.kb = name.kb.take().or_else(|| found.kb.map(|kb| bounded(kb).to_ascii_uppercase()));
    }

    /// Learns the title and KB of the update that a line names, from this line or from the line above on its thread.
    pub(super) fn learn_from(&mut self, entry: &Entry<'_>, thread: &mut Thread, limits: &NormalizerLimits) {
        let facts = &entry.facts;
        let Some(update) = facts.update else { return };
        let bounds = NameBounds { updates: limits.updates_named_max, bytes: limits.value_bytes_max };
        if facts.title.is_some() || facts.kb.is_some() {
            self.learn(&lower(update), FoundName { title: facts.title, kb: facts.kb, is_certain: true }, bounds);
        } else if let Some((title, kb)) = thread.take_title(entry) {
            self.learn(&lower(update), FoundName { title: Some(title), kb, is_certain: false }, bounds);
        }
    }

    fn forget_oldest(&mut self, updates_max: usize) {
        if self.by_update.len() < updates_max.max(1) {
            return;
        }
        let mut numbers: Vec<u64> = self.by_update.values().map(|name| name.number).collect();
        numbers.sort_unstable();
        let newest_forgotten = numbers[updates_max / 16];
        self.by_update.retain(|_, name| name.number > newest_forgotten);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: NameBounds = NameBounds { updates: 32, bytes: 20 };

    fn found<'a>(title: Option<&'a str>, kb: Option<&'a str>, is_certain: bool) -> FoundName<'a> {
        FoundName { title, kb, is_certain }
    }

    #[test]
    fn the_first_name_stays_unless_it_was_a_guess() {
        let mut names = UpdateNames::default();
        names.learn("a", found(None, None, true), BOUNDS);
        assert_eq!(names.of("a"), None);
        names.learn("a", found(Some("Guess"), Some("kb1"), false), BOUNDS);
        names.learn("a", found(Some("VideoTool 3.2 (KB9990001)"), Some("kb9990001"), true), BOUNDS);
        names.learn("a", found(Some("Other"), Some("KB2"), true), BOUNDS);
        names.learn("a", found(Some("Other"), Some("KB2"), false), BOUNDS);
        let name = names.of("a").expect("it was told");
        assert_eq!((name.title.as_deref(), name.kb.as_deref()), (Some("VideoTool 3.2 (KB999"), Some("KB9990001")));
    }

    #[test]
    fn a_name_that_lacks_its_kb_takes_it_later() {
        let mut names = UpdateNames::default();
        names.learn("a", found(None, Some("KB1"), true), BOUNDS);
        names.learn("a", found(Some("Reader"), None, true), BOUNDS);
        let name = names.of("a").expect("it was told");
        assert_eq!((name.title.as_deref(), name.kb.as_deref()), (Some("Reader"), Some("KB1")));
    }

    #[test]
    fn the_oldest_names_are_forgotten() {
        let mut names = UpdateNames::default();
        for number in 0..100 {
            names.learn(&format!("{number:03}"), found(Some("x"), None, true), BOUNDS);
            assert!(names.by_update.len() <= BOUNDS.updates);
        }
        assert!(names.of("099").is_some() && names.of("000").is_none());
    }
}
