//! Strings by number: a million hosts share a few thousand dimension values, updates and callers.

use serde::{Deserialize, Serialize};

use super::lookup::{Lookup, hash_text};

/// The number of a string; equal strings have equal numbers.
pub(super) type StringId = u32;

/// What every string beyond the limit is called.
const OTHER: &str = "(other)";

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Vec<Box<str>>")]
#[serde(into = "Vec<Box<str>>")]
pub(super) struct Strings {
    texts: Vec<Box<str>>,
    lookup: Lookup,
}

impl From<Vec<Box<str>>> for Strings {
    fn from(texts: Vec<Box<str>>) -> Strings {
        let mut strings = Strings { texts: Vec::with_capacity(texts.len()), lookup: Lookup::default() };
        for text in texts {
            strings.push(text);
        }
        strings
    }
}

impl From<Strings> for Vec<Box<str>> {
    fn from(strings: Strings) -> Vec<Box<str>> {
        strings.texts
    }
}

impl Strings {
    pub(super) fn new() -> Strings {
        Strings::from(vec![OTHER.into()])
    }

    /// The number of `text`, cut to `bytes_max`; number 0, `(other)`, when there are `count_max` others already.
    pub(super) fn id(&mut self, text: &str, count_max: usize, bytes_max: usize) -> StringId {
        let text = cut(text, bytes_max);
        match self.find(text) {
            Some(id) => id,
            None if self.texts.len() >= count_max => 0,
            None => self.push(text.into()),
        }
    }

    fn push(&mut self, text: Box<str>) -> StringId {
        let Ok(id) = StringId::try_from(self.texts.len()) else { return 0 };
        self.texts.push(text);
        let texts = &self.texts;
        self.lookup.insert(id, |number| hash_text(&texts[number as usize]));
        id
    }

    pub(super) fn find(&self, text: &str) -> Option<StringId> {
        self.lookup.find(hash_text(text), |number| *self.texts[number as usize] == *text)
    }

    pub(super) fn text(&self, id: StringId) -> &str {
        self.texts.get(id as usize).map_or(OTHER, |text| text)
    }
}

/// `text` cut to at most `bytes_max`, between characters.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max { text } else { &text[..text.floor_char_boundary(bytes_max)] }
}
