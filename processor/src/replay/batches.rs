//! Items that one thread sends another in batches, taken one at a time.

use std::sync::mpsc::Receiver;
use std::vec::IntoIter;

/// The receiving side. The items end when the sender is gone.
pub(super) struct Batches<T> {
    receiver: Receiver<Vec<T>>,
    batch: IntoIter<T>,
}

impl<T> Batches<T> {
    pub(super) fn of(receiver: Receiver<Vec<T>>) -> Batches<T> {
        Batches { receiver, batch: Vec::new().into_iter() }
    }
}

impl<T> Iterator for Batches<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            if let Some(item) = self.batch.next() {
                return Some(item);
            }
            self.batch = self.receiver.recv().ok()?.into_iter();
        }
    }
}
