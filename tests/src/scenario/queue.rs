//! Items on their way, by the time of their arrival; items of equal time in the order of sending.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<Item<T>>>,
    sent: u64,
}

struct Item<T> {
    arrives: i64,
    number: u64,
    what: T,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Queue<T> {
        Queue { heap: BinaryHeap::new(), sent: 0 }
    }

    pub(super) fn push(&mut self, arrives: i64, what: T) {
        self.heap.push(Reverse(Item { arrives, number: self.sent, what }));
        self.sent += 1;
    }

    /// The next item that arrives before `time`.
    pub(super) fn pop_until(&mut self, time: i64) -> Option<(i64, T)> {
        if self.heap.peek().is_none_or(|Reverse(item)| item.arrives >= time) {
            return None;
        }
        self.heap.pop().map(|Reverse(item)| (item.arrives, item.what))
    }
}

impl<T> Item<T> {
    fn key(&self) -> (i64, u64) {
        (self.arrives, self.number)
    }
}

impl<T> PartialEq for Item<T> {
    fn eq(&self, other: &Item<T>) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Item<T> {}

impl<T> PartialOrd for Item<T> {
    fn partial_cmp(&self, other: &Item<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Item<T> {
    fn cmp(&self, other: &Item<T>) -> Ordering {
        self.key().cmp(&other.key())
    }
}
