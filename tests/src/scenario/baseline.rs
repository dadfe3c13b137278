//! Two simple rules for comparison, as many organizations run them.

use std::collections::{BTreeMap, VecDeque};

use super::time::{DAY, HOUR};
use super::world::Failure;

/// Hosts within an hour at which the first rule fires.
const HOSTS: usize = 5;
/// Failures within an hour that the second rule requires, and the multiple of the mean hour.
const SPIKE: (usize, usize) = (5, 3);

/// The times at which a rule begins to fire. A rule ends after an hour without firing.
pub(super) type Episodes = Vec<i64>;

/// At least five distinct hosts within an hour.
#[must_use]
pub(super) fn five_hosts_in_an_hour(failures: &[Failure]) -> Episodes {
    let mut window: VecDeque<Failure> = VecDeque::new();
    let mut hosts: BTreeMap<u32, usize> = BTreeMap::new();
    episodes(failures, |failure| {
        window.push_back(*failure);
        *hosts.entry(failure.host).or_default() += 1;
        while let Some(first) = window.front().filter(|first| first.arrives <= failure.arrives - HOUR).copied() {
            window.pop_front();
            if let Some(count) = hosts.get_mut(&first.host) {
                *count -= 1;
                if *count == 0 {
                    hosts.remove(&first.host);
                }
            }
        }
        hosts.len() >= HOSTS
    })
}

/// At least five failures within an hour, and three times as many as in the mean hour of the day before.
#[must_use]
pub(super) fn spike(failures: &[Failure]) -> Episodes {
    let (mut hour, mut day): (VecDeque<i64>, VecDeque<i64>) = Default::default();
    episodes(failures, |failure| {
        hour.push_back(failure.arrives);
        while let Some(first) = hour.front().copied().filter(|first| *first <= failure.arrives - HOUR) {
            day.push_back(first);
            hour.pop_front();
        }
        while day.front().is_some_and(|first| *first <= failure.arrives - HOUR - DAY) {
            day.pop_front();
        }
        hour.len() >= SPIKE.0 && hour.len() * 24 >= SPIKE.1 * day.len()
    })
}

fn episodes(failures: &[Failure], mut fires: impl FnMut(&Failure) -> bool) -> Episodes {
    let (mut begun, mut last_fired) = (Vec::new(), i64::MIN);
    for failure in failures {
        if fires(failure) {
            if failure.arrives > last_fired.saturating_add(HOUR) {
                begun.push(failure.arrives);
            }
            last_fired = failure.arrives;
        }
    }
    begun
}
