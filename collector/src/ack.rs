//! The acknowledged prefix of one file.
//!
//! Deliveries are reported in any order, but a position may only move past lines that are all in the log: otherwise a
//! crash would lose the one line that was still on its way.

use std::collections::VecDeque;

use crate::sink::Ticket;

/// Lines of one file that were sent and are not part of the acknowledged prefix yet. `T` is the progress that the
/// prefix makes with a line.
#[derive(Debug)]
pub(crate) struct Acks<T> {
    sent: VecDeque<UnacknowledgedLine<T>>,
}

#[derive(Debug)]
struct UnacknowledgedLine<T> {
    ticket: Ticket,
    delivered: bool,
    line: T,
}

impl<T> Default for Acks<T> {
    fn default() -> Acks<T> {
        Acks { sent: VecDeque::new() }
    }
}

impl<T> Acks<T> {
    /// Notes that a line was sent. The tickets of one file must increase.
    pub(crate) fn sent(&mut self, ticket: Ticket, line: T) {
        debug_assert!(self.sent.back().is_none_or(|last| last.ticket < ticket), "tickets of a file only grow");
        self.sent.push_back(UnacknowledgedLine { ticket, delivered: false, line });
    }

    /// Notes that a line is in the log. [`Acks::pop`] then returns the lines that join the prefix.
    pub(crate) fn delivered(&mut self, ticket: Ticket) {
        // Nearly always the first line is delivered first, so it is tried before a search.
        if let Some(first) = self.sent.front_mut().filter(|first| first.ticket == ticket) {
            first.delivered = true;
        } else if let Ok(index) = self.sent.binary_search_by_key(&ticket, |sent| sent.ticket) {
            self.sent[index].delivered = true;
        }
    }

    /// Returns the next line that joins the acknowledged prefix.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let line = self.sent.pop_front_if(|first| first.delivered)?.line;
        if self.sent.is_empty() {
            // A quiet file keeps no memory, since there may be thousands of quiet files.
            self.sent = VecDeque::new();
        }
        Some(line)
    }

    /// True when all sent lines are acknowledged.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends lines 1, 2, 3, 4, reports `deliveries` and expects the lines that join the prefix after each delivery.
    #[track_caller]
    fn check(deliveries: &[Ticket], expect: &[&[u64]]) {
        let mut acks = Acks::default();
        (1..=4).for_each(|ticket| acks.sent(ticket, ticket));
        let got: Vec<Vec<u64>> = deliveries
            .iter()
            .map(|&ticket| {
                acks.delivered(ticket);
                std::iter::from_fn(|| acks.pop()).collect()
            })
            .collect();
        assert_eq!(got, expect);
    }

    #[test]
    fn only_a_contiguous_prefix_is_acknowledged() {
        check(&[1, 2, 3, 4], &[&[1], &[2], &[3], &[4]]);
        check(&[2, 4, 1, 3], &[&[], &[], &[1, 2], &[3, 4]]);
        check(&[4, 3, 2], &[&[], &[], &[]]);
    }

    #[test]
    fn reports_that_come_twice_or_from_nowhere_change_nothing() {
        check(&[1, 1, 9, 2], &[&[1], &[], &[], &[2]]);
    }
}
