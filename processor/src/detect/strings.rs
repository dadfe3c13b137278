//! Strings by number: a million hosts share a few thousand dimension values, updates and callers.
//!
//! A string that nothing refers to any more is forgotten when the memory budget asks for it ([`Strings::keep`]), and
//! its number is given to another string. Otherwise made-up names would fill the table for good, and the next real
//! update would be called `(other)`.

use serde::{Deserialize, Serialize};

use super::number_index::{NumberIndex, hash};

/// The number of a string; equal strings have equal numbers.
pub(super) type StringId = u32;

/// The text that stands for every string beyond the limit.
const OTHER: &str = "(other)";

/// Estimated memory of a string without its bytes: its place in the list, in the lookup and among the attempts, with
/// room to grow.
const STRING_BYTES: u64 = 112;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Vec<Option<Box<str>>>")]
#[serde(into = "Vec<Option<Box<str>>>")]
pub(super) struct Strings {
    /// By number; `None` is a number that no string has.
    texts: Vec<Option<Box<str>>>,
    lookup: NumberIndex,
    /// Numbers that no string has, the least last. The order is not in a snapshot, so it must follow from `texts`.
    free: Vec<StringId>,
    /// Bytes of all texts.
    bytes: u64,
}

impl From<Vec<Option<Box<str>>>> for Strings {
    fn from(texts: Vec<Option<Box<str>>>) -> Strings {
        let mut strings = Strings { texts, lookup: NumberIndex::default(), free: Vec::new(), bytes: 0 };
        for (id, text) in (0..).zip(&strings.texts) {
            match text {
                None => strings.free.push(id),
                Some(text) => {
                    strings.bytes += text.len() as u64;
                    strings.lookup.insert(id, |number| hash_of(&strings.texts, number));
                }
            }
        }
        strings.free.reverse();
        strings
    }
}

impl From<Strings> for Vec<Option<Box<str>>> {
    fn from(strings: Strings) -> Vec<Option<Box<str>>> {
        strings.texts
    }
}

fn hash_of(texts: &[Option<Box<str>>], number: StringId) -> u64 {
    hash(texts[number as usize].as_deref().unwrap_or_default())
}

impl Strings {
    pub(super) fn new() -> Strings {
        Strings::from(vec![Some(OTHER.into())])
    }

    /// Number of strings.
    pub(super) fn len(&self) -> usize {
        self.texts.len() - self.free.len()
    }

    /// Estimated memory of the strings.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.texts.len() as u64 * STRING_BYTES
    }

    /// All numbers are below this one.
    pub(super) fn numbers(&self) -> usize {
        self.texts.len()
    }

    /// Forgets all strings but those whose numbers are marked in `used`, and returns the numbers of the forgotten ones.
    pub(super) fn keep(&mut self, used: &[bool]) -> Vec<StringId> {
        let mut forgotten = Vec::new();
        for id in 1..StringId::try_from(self.texts.len()).unwrap_or(StringId::MAX) {
            if used.get(id as usize).is_some_and(|used| *used) {
                continue;
            }
            if let Some(text) = &self.texts[id as usize] {
                self.lookup.remove(hash(&**text), id);
                self.bytes -= text.len() as u64;
                self.texts[id as usize] = None;
                forgotten.push(id);
            }
        }
        while self.texts.last().is_some_and(Option::is_none) {
            self.texts.pop();
        }
        self.texts.shrink_to_fit();
        self.free = (0..).zip(&self.texts).filter(|(_, text)| text.is_none()).map(|(id, _)| id).collect();
        self.free.reverse();
        forgotten
    }

    /// The number of `text`, cut to `bytes_max`; number 0, `(other)`, when there are `count_max` strings already.
    pub(super) fn id(&mut self, text: &str, count_max: usize, bytes_max: usize) -> StringId {
        let text = cut(text, bytes_max);
        match self.find(text) {
            Some(id) => id,
            None if self.len() >= count_max => 0,
            None => self.add(text.into()),
        }
    }

    fn add(&mut self, text: Box<str>) -> StringId {
        self.bytes += text.len() as u64;
        let id = match self.free.pop() {
            Some(id) => {
                self.texts[id as usize] = Some(text);
                id
            }
            None => {
                let Ok(id) = StringId::try_from(self.texts.len()) else { return 0 };
                self.texts.push(Some(text));
                id
            }
        };
        let texts = &self.texts;
        self.lookup.insert(id, |number| hash_of(texts, number));
        id
    }

    pub(super) fn find(&self, text: &str) -> Option<StringId> {
        self.lookup.find(hash(text), |number| self.texts[number as usize].as_deref() == Some(text))
    }

    pub(super) fn text(&self, id: StringId) -> &str {
        self.texts.get(id as usize).and_then(Option::as_deref).unwrap_or(OTHER)
    }
}

/// `text` cut to at most `bytes_max`, between characters.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max { text } else { &text[..text.floor_char_boundary(bytes_max)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_string_gives_its_number_to_another() {
        let mut strings = Strings::new();
        let [a, b, c] = ["a", "b", "c"].map(|text| strings.id(text, 4, 10));
        assert_eq!((a, b, c, strings.id("d", 4, 10)), (1, 2, 3, 0), "the fourth is one too many");
        assert_eq!(strings.keep(&[false, false, true, false]), [a, c]);
        assert_eq!((strings.text(a), strings.text(b), strings.find("a"), strings.len()), (OTHER, "b", None, 2));
        let mut restored = Strings::from(Vec::from(strings.clone()));
        for strings in [&mut strings, &mut restored] {
            assert_eq!(["d", "e"].map(|text| strings.id(text, 4, 10)), [1, 3], "the least number first");
            assert_eq!(
                (strings.find("b"), strings.find("e"), strings.bytes()),
                (Some(b), Some(3), 10 + 4 * STRING_BYTES)
            );
        }
    }
}
