//! Exact tails of the negative binomial and hypergeometric distributions.
//!
//! The tails are computed with `libm` alone, so that every platform computes the same bits: an alert is a function of
//! the signals. Crates for statistics call the logarithm of the platform.

use libm::{exp, lgamma, log};

/// The smallest probability that is ever stated.
pub const P_MIN: f64 = 1e-300;

/// Probability of `seen` or more newly failing hosts in `exposure`, when `events` were seen in `history` of the same
/// unit before: the predictive tail of a Poisson rate with a gamma prior (a negative binomial distribution).
///
/// `events` and `history` include the prior, so both are above 0.
#[must_use]
pub fn gamma_poisson_tail(seen: u64, events: f64, history: f64, exposure: f64) -> f64 {
    if seen == 0 || exposure <= 0.0 {
        return if seen == 0 { 1.0 } else { P_MIN };
    }
    let q = exposure / (history + exposure);
    let ln_start = events * log(history / (history + exposure));
    let term = |k: u64| {
        let k = k as f64;
        exp(lgamma(events + k) - lgamma(events) - lgamma(k + 1.0) + ln_start + k * log(q))
    };
    let mean = events * exposure / history;
    if (seen as f64) <= mean {
        // Below the mean the sum of the lower terms is the shorter one, and a tail near 1 needs no digits.
        return bounded(1.0 - sum_terms(term(0), seen, |k| (events + k as f64) / (k as f64 + 1.0) * q));
    }
    let ratio = |i: u64| {
        let k = (seen + i) as f64;
        (events + k) / (k + 1.0) * q
    };
    bounded(sum_terms(term(seen), TERMS_MAX, ratio))
}

/// The natural logarithm of the probability of exactly `seen` newly failing hosts in `exposure`, by the same
/// distribution as [`gamma_poisson_tail`]: the likelihood of the prior.
#[must_use]
pub fn ln_gamma_poisson(seen: u64, events: f64, history: f64, exposure: f64) -> f64 {
    if seen == 0 {
        return events * log(history / (history + exposure));
    }
    let k = seen as f64;
    let (ln_stay, ln_go) = (log(history / (history + exposure)), log(exposure / (history + exposure)));
    lgamma(events + k) - lgamma(events) - lgamma(k + 1.0) + events * ln_stay + k * ln_go
}

/// The p-value of two independent p-values together: Fisher's method for two.
#[must_use]
pub fn both(p: f64, q: f64) -> f64 {
    let product = (p * q).clamp(P_MIN, 1.0);
    bounded(product * (1.0 - log(product)))
}

/// Probability that of `affected` hosts drawn from `all` at least `both` are among the `with` that have a value: the
/// one-sided exact test of Fisher.
#[must_use]
pub fn hypergeometric_tail(both: u64, affected: u64, with: u64, all: u64) -> f64 {
    bounded(exp(ln_hypergeometric_tail(both, affected, with, all)))
}

/// The natural logarithm of [`hypergeometric_tail`], also below [`P_MIN`]: in a large fleet two factors may both have
/// smaller p-values than that and still differ widely.
#[must_use]
pub fn ln_hypergeometric_tail(both: u64, affected: u64, with: u64, all: u64) -> f64 {
    if affected > all || with > all || both > affected.min(with) {
        return log(P_MIN);
    }
    let least = (affected + with).saturating_sub(all);
    if both <= least {
        return 0.0;
    }
    let ln_choose = |n: u64, k: u64| lgamma(n as f64 + 1.0) - lgamma(k as f64 + 1.0) - lgamma((n - k) as f64 + 1.0);
    let first = ln_choose(with, both) + ln_choose(all - with, affected - both) - ln_choose(all, affected);
    let ratio = |i: u64| {
        let k = both + i;
        let left = (with - k) as f64 * (affected - k) as f64;
        // The divisor is all - with - affected + k + 1, in an order that never goes below zero.
        left / ((k + 1) as f64 * (all + k + 1 - with - affected) as f64)
    };
    (first + log(sum_terms(1.0, affected.min(with) - both + 1, ratio))).min(0.0)
}

/// Rounds to three significant digits, as documents show numbers. The way through text makes the printed number short.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    if value.is_finite() { format!("{value:.2e}").parse().unwrap_or(value) } else { 0.0 }
}

/// Terms after which a sum stops: a tail that needs more terms is not improbable.
const TERMS_MAX: u64 = 100_000;

fn sum_terms(first: f64, count: u64, ratio: impl Fn(u64) -> f64) -> f64 {
    let (mut term, mut sum) = (first, 0.0);
    for i in 0..count.min(TERMS_MAX) {
        sum += term;
        let step = ratio(i);
        term *= step;
        if step < 1.0 && term < sum * 1e-17 {
            break;
        }
    }
    sum
}

fn bounded(p: f64) -> f64 {
    p.clamp(P_MIN, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expect` as computed with exact fractions (Python's `fractions` and `decimal`, 60 digits).
    fn check(found: f64, expect: f64) {
        let error = (found / expect - 1.0).abs();
        assert!(error < 1e-9, "found {found:e}, expected {expect:e}");
    }

    #[test]
    fn predictive_tails() {
        check(gamma_poisson_tail(0, 1.0, 1000.0, 17.0), 1.0);
        check(gamma_poisson_tail(3, 1.0, 1000.0, 17.0), 4.670720778149e-06);
        check(gamma_poisson_tail(4, 1.0, 1000.0, 100.0), 6.830134553651e-05);
        check(gamma_poisson_tail(63, 1.0, 1000.0, 10000.0), 2.467520872632e-03);
        check(gamma_poisson_tail(1, 2.0, 50.0, 50.0), 0.75);
        check(gamma_poisson_tail(5, 36.0, 71000.0, 417.0), 3.766516317504e-06);
        check(gamma_poisson_tail(50, 2.5, 2000.0, 400.0), 2.612819224344e-37);
        check(gamma_poisson_tail(2, 10.0, 100.0, 100.0), 0.994140625);
    }

    #[test]
    fn exact_tests() {
        check(hypergeometric_tail(4, 4, 49, 196), 3.553393350947e-03);
        check(hypergeometric_tail(50, 50, 50, 200), 2.203330485108e-48);
        check(hypergeometric_tail(3, 5, 5, 10), 0.5);
        check(hypergeometric_tail(0, 5, 5, 10), 1.0);
        check(hypergeometric_tail(40, 50, 1000, 5000), 7.385607191603e-20);
        check(hypergeometric_tail(8, 10, 9, 12), 4.545454545455e-01);
        check(hypergeometric_tail(2, 3, 4, 5), 1.0);
    }

    /// `expect` is the logarithm of the same sum in exact fractions.
    #[test]
    fn logarithms_go_on_where_probabilities_end() {
        // All 3000 affected of 6000 have a value that nobody else has: 1 / (6000 choose 3000).
        let expect: f64 = (1..=3000_u32).map(|k| (f64::from(k) / f64::from(3000 + k)).ln()).sum();
        check(ln_hypergeometric_tail(3000, 3000, 3000, 6000), expect);
        assert!(expect < -4000.0);
    }

    #[test]
    fn nothing_is_stated_below_the_least() {
        assert_eq!(hypergeometric_tail(5000, 5000, 5000, 50_000), P_MIN);
        assert_eq!(gamma_poisson_tail(5000, 1.0, 1e6, 1.0), P_MIN);
    }

    #[test]
    fn three_significant_digits() {
        let cases = [
            (0.0, 0.0),
            (1.0, 1.0),
            (0.234375, 0.234),
            (4.2667, 4.27),
            (3.553e-3, 3.55e-3),
            (123_456.0, 123_000.0),
            (2.203e-48, 2.2e-48),
        ];
        for (value, expect) in cases {
            assert_eq!(rounded(value), expect, "{value}");
        }
    }
}
