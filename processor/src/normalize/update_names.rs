//! Titles and KBs of updates, as lines of any host of the partition told them.
//!
//! Few lines that fail name more of an update than its id. The id is the same on all hosts, so what one host's log says of
//! it names it everywhere. The first line that says it counts: then the name does not change while an incident lasts, and
//! one host cannot rename an update for the others later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::thread::cut;

/// What an update is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Name {
    /// `VideoTool 3.2 (KB9990001)`
    pub(super) title: Option<String>,
    /// `KB9990001`
    pub(super) kb: Option<String>,
    /// True where one line says both id and name; else the name stood on the line above, which may mean another update.
    is_certain: bool,
    /// Number of the entry, by which the oldest is forgotten.
    number: u64,
}

/// Names by update id, lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Titles {
    by_update: BTreeMap<String, Name>,
    next: u64,
}

/// A name as lines tell it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub(super) title: Option<&'a str>,
    pub(super) kb: Option<&'a str>,
    /// See [`Name::is_certain`].
    pub(super) is_certain: bool,
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Updates; beyond it the sixteenth that was told first is forgotten.
    pub(super) updates: usize,
    /// Bytes of a title.
    pub(super) bytes: usize,
}

impl Titles {
    /// The name of an update.
    pub(super) fn of(&self, update: &str) -> Option<&Name> {
        self.by_update.get(update)
    }

    /// Takes the name that a line tells.
    pub(super) fn tell(&mut self, update: &str, told: Told<'_>, bounds: Bounds) {
        if told.title.is_none() && told.kb.is_none() {
            return;
        }
        if !self.by_update.contains_key(update) {
            self.forget_oldest(bounds.updates);
            let name = Name { number: self.next, is_certain: told.is_certain, ..Name::default() };
            self.next += 1;
            self.by_update.insert(update.to_owned(), name);
        }
        let Some(name) = self.by_update.get_mut(update) else { return };
        if told.is_certain && !name.is_certain {
            // What stood on the line above was a guess.
            *name = Name { number: name.number, is_certain: true, ..Name::default() };
        } else if name.is_certain && !told.is_certain && name.title.is_some() {
            return;
        }
        let bounded = |text: &str| cut(text, bounds.bytes).to_owned();
        name.title = name.title.take().or_else(|| told.title.map(bounded));
        name.kb = name.kb.take().or_else(|| told.kb.map(|kb| bounded(kb).to_ascii_uppercase()));
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

    const BOUNDS: Bounds = Bounds { updates: 32, bytes: 20 };

    fn told<'a>(title: Option<&'a str>, kb: Option<&'a str>, is_certain: bool) -> Told<'a> {
        Told { title, kb, is_certain }
    }

    #[test]
    fn the_first_name_stays_unless_it_was_a_guess() {
        let mut titles = Titles::default();
        titles.tell("a", told(None, None, true), BOUNDS);
        assert_eq!(titles.of("a"), None);
        titles.tell("a", told(Some("Guess"), Some("kb1"), false), BOUNDS);
        titles.tell("a", told(Some("VideoTool 3.2 (KB9990001)"), Some("kb9990001"), true), BOUNDS);
        titles.tell("a", told(Some("Other"), Some("KB2"), true), BOUNDS);
        titles.tell("a", told(Some("Other"), Some("KB2"), false), BOUNDS);
        let name = titles.of("a").expect("it was told");
        assert_eq!((name.title.as_deref(), name.kb.as_deref()), (Some("VideoTool 3.2 (KB999"), Some("KB9990001")));
    }

    #[test]
    fn a_name_that_lacks_its_kb_takes_it_later() {
        let mut titles = Titles::default();
        titles.tell("a", told(None, Some("KB1"), true), BOUNDS);
        titles.tell("a", told(Some("Reader"), None, true), BOUNDS);
        let name = titles.of("a").expect("it was told");
        assert_eq!((name.title.as_deref(), name.kb.as_deref()), (Some("Reader"), Some("KB1")));
    }

    #[test]
    fn the_names_that_were_told_first_are_forgotten() {
        let mut titles = Titles::default();
        for number in 0..100 {
            titles.tell(&format!("{number:03}"), told(Some("x"), None, true), BOUNDS);
            assert!(titles.by_update.len() <= BOUNDS.updates);
        }
        assert!(titles.of("099").is_some() && titles.of("000").is_none());
    }
}
