//! The generation of cached fragments that is valid for a host: the host's side of the fragment cache.

use std::cell::Cell;

/// Generation of the cached fragments that are valid for this host; 0 after any change of the host.
///
/// Generations are counted by the one [`FragmentCache`](super::fragment_cache::FragmentCache) of the Normalizer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct FragmentGeneration(Cell<u64>);

impl FragmentGeneration {
    /// Makes all cached fragments invalid for this host, since its name, dimensions or labels have changed.
    pub(super) fn invalidate(&self) {
        self.0.set(0);
    }

    /// True where the fragments of that generation are valid for this host. No fragments have generation 0.
    pub(super) fn is(&self, generation: u64) -> bool {
        generation > 0 && self.0.get() == generation
    }

    /// Makes the fragments of that generation the valid ones for this host.
    pub(super) fn set(&self, generation: u64) {
        self.0.set(generation);
    }
}
