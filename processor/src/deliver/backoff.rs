//! The pause before a failed delivery is tried again.

use std::time::Duration;

/// First and longest pause. The longest is short enough that a repaired endpoint is noticed within a minute.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// Longest pause that an endpoint may ask for with `Retry-After`.
const ASKED_MAX: Duration = Duration::from_secs(3600);

/// Doubles the pause at each failure.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Forgets the failures: a delivery succeeded, or the next document begins.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after a further failure. `asked` is the pause that the endpoint asked for, `random` lies in 0..1: half
    /// of the pause is jitter, so that many senders do not return at the same moment.
    pub(super) fn pause(&mut self, asked: Option<Duration>, random: f64) -> Duration {
        let doubled = PAUSE.0 * 2u32.pow(self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let pause = doubled.min(PAUSE.1).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        pause.max(asked.unwrap_or_default().min(ASKED_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_an_endpoint_may_ask_for_more() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..10).map(|_| backoff.pause(None, 1.0).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
        assert_eq!(backoff.pause(None, 0.0).as_secs(), 30);
        assert_eq!(backoff.pause(Some(Duration::from_secs(90)), 1.0).as_secs(), 90);
        assert_eq!(backoff.pause(Some(Duration::from_secs(86_400)), 1.0), ASKED_MAX);
        backoff.reset();
        assert_eq!(backoff.pause(None, 0.0).as_millis(), 250);
    }
}
