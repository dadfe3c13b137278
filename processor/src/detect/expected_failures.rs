//! The expected number of newly failing hosts, from a prior and the fleet's own history.
//!
//! Most fleets are well kept; in some, one scan in thirty fails and nobody minds. The first hours of a fleet do not
//! show its kind, so the prior is a mixture of a well-kept and a badly kept fleet, and the likelihood of the fleet's
//! own history weighs the two. After some hundred quiet quarter hours the weight of the badly kept fleet is negligible.
//! Until then a cluster must be improbable under both. So no learning period of a fixed length is necessary.

use super::config::DetectorConfig;
use super::stats::{gamma_poisson_tail, ln_gamma_poisson};

/// Chances to fail (active quarter hours, or attempts) after which the history tells a badly kept fleet from a
/// well-kept one.
pub(super) const TELLING_CHANCE: f64 = 100.0;
/// Prior of a badly kept fleet: 3 newly failing hosts in 100 chances to fail.
const BADLY_KEPT: (f64, f64) = (3.0, TELLING_CHANCE);

/// Newly failing hosts, and their chances to fail: active quarter hours, or attempts.
#[derive(Clone, Copy)]
pub(super) struct Rate {
    pub(super) hosts: u64,
    pub(super) chance: f64,
}

/// The expectation for a number of hosts, and the p-values of that number.
#[derive(Clone, Copy)]
pub(super) struct Prediction {
    pub(super) expected_hosts: f64,
    /// Probability of at least the observed number.
    pub(super) p_value: f64,
    /// This probability under the assumption of a well-kept fleet.
    pub(super) p_well_kept: f64,
}

impl Prediction {
    /// Takes the larger expectation and the larger p-values.
    pub(super) fn or(self, other: Prediction) -> Prediction {
        Prediction {
            expected_hosts: self.expected_hosts.max(other.expected_hosts),
            p_value: self.p_value.max(other.p_value),
            p_well_kept: self.p_well_kept.max(other.p_well_kept),
        }
    }
}

/// The prediction for `seen`, given `history`.
pub(super) fn predict(seen: Rate, history: Rate, config: &DetectorConfig) -> Prediction {
    let well_kept = (config.prior_hosts, config.prior_active_quarter_hours);
    // Each host that failed had a chance to fail, even where none was counted.
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
