//! Strings by number: a million hosts share a few thousand dimension values, updates and callers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The number of a string; equal strings have equal numbers.
pub(super) type StringId = u32;

/// What every string beyond the limit is called.
const OTHER: &str = "(other)";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Strings {
    ids: BTreeMap<String, StringId>,
    texts: Vec<String>,
}

impl Strings {
    pub(super) fn new() -> Strings {
        Strings { ids: BTreeMap::from([(OTHER.to_owned(), 0)]), texts: vec![OTHER.to_owned()] }
    }

    /// The number of `text`, cut to `bytes_max`; number 0, `(other)`, when there are `count_max` others already.
    pub(super) fn id(&mut self, text: &str, count_max: usize, bytes_max: usize) -> StringId {
        let text = cut(text, bytes_max);
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        if self.texts.len() >= count_max {
            return 0;
        }
        let id = StringId::try_from(self.texts.len()).unwrap_or(0);
        self.ids.insert(text.to_owned(), id);
        self.texts.push(text.to_owned());
        id
    }

    pub(super) fn find(&self, text: &str) -> Option<StringId> {
        self.ids.get(text).copied()
    }

    pub(super) fn text(&self, id: StringId) -> &str {
        self.texts.get(id as usize).map_or(OTHER, String::as_str)
    }
}

/// `text` cut to at most `bytes_max`, between characters.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
