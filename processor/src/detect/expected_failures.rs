//! What is believed of a fleet's rate of newly failing hosts, before its own history tells.
//!
//! Most fleets are well kept; some fail at one scan in thirty and nobody minds. Which one this is, its first hours do
//! not say, so the belief is a mixture of both, and the fleet's own history weighs them: after some hundred quiet
//! quarter hours a badly kept fleet is out of the question, and a cluster needs no more than in any other. Until then
//! it must be improbable in either. No hour is named at which a fleet stops being young.

use super::config::DetectorConfig;
use super::stats::{gamma_poisson_tail, ln_gamma_poisson};

/// After so much chance to fail a badly kept fleet has begun to show.
pub(super) const TELLING_CHANCE: f64 = 100.0;
/// In a badly kept fleet, 3 hosts newly fail in 100 active quarter hours.
const BADLY_KEPT: (f64, f64) = (3.0, TELLING_CHANCE);

/// How many newly failing hosts there were for how much chance to fail: active quarter hours, or attempts.
#[derive(Clone, Copy)]
pub(super) struct Rate {
    pub(super) hosts: u64,
    pub(super) chance: f64,
}

/// What the belief says of a number of hosts.
#[derive(Clone, Copy)]
pub(super) struct Prediction {
    pub(super) expected_hosts: f64,
    /// Probability of so many or more.
    pub(super) p_value: f64,
    /// The same if the fleet is a well-kept one.
    pub(super) p_well_kept: f64,
}

impl Prediction {
    /// The one by which what is seen is less of a wonder.
    pub(super) fn or(self, other: Prediction) -> Prediction {
        Prediction {
            expected_hosts: self.expected_hosts.max(other.expected_hosts),
            p_value: self.p_value.max(other.p_value),
            p_well_kept: self.p_well_kept.max(other.p_well_kept),
        }
    }
}

/// What `history` lets expect of `seen`.
pub(super) fn predict(seen: Rate, history: Rate, config: &DetectorConfig) -> Prediction {
    let well_kept = (config.prior_hosts, config.prior_active_quarter_hours);
    // A host that failed had a chance to, whatever the books say.
    let before = history.chance.max(history.hosts as f64);
    let likelihood = |(events, exposure)| ln_gamma_poisson(history.hosts, events, exposure, before);
    let odds = config.badly_kept_share / (1.0 - config.badly_kept_share)
        * libm::exp(likelihood(BADLY_KEPT) - likelihood(well_kept));
    let badly_kept_share = odds / (1.0 + odds);
    let mix = |well: f64, badly: f64| well * (1.0 - badly_kept_share) + badly * badly_kept_share;
    let tail = |(events, exposure): (f64, f64)| {
        gamma_poisson_tail(seen.hosts, events + history.hosts as f64, exposure + history.chance, seen.chance)
    };
    let expected =
        |(events, exposure): (f64, f64)| (events + history.hosts as f64) * seen.chance / (exposure + history.chance);
    let p_well_kept = tail(well_kept);
    Prediction {
        expected_hosts: mix(expected(well_kept), expected(BADLY_KEPT)),
        p_value: mix(p_well_kept, tail(BADLY_KEPT)),
        p_well_kept,
    }
}
