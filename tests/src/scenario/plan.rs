//! The plan of a fleet: faults with their ground truth, noise, and the ways in which records arrive late or wrong.

use wulog_schemas::hresult::Family;

use super::population::Host;
use super::time::{DAY, HOUR, START};

/// The parameters of one run, apart from its seed and its size.
pub(super) struct Plan {
    /// The run ends here.
    pub end: i64,
    /// The faults; each is one incident.
    pub faults: Vec<Fault>,
    /// Probability that an attempt fails by itself. It succeeds at the next scan in three cases of four.
    pub noise: f64,
    /// One host in this many has failed at third-party updates since long before the run; 0 means no host.
    pub chronic_one_in: u32,
    /// All hosts are on round the clock, as servers are.
    pub always_on: bool,
    /// Hosts that retry one failing update all day.
    pub looping: u32,
    /// Number of times that every signal arrives.
    pub copies: u32,
    /// Each scan sends the failures of the last week again, like a regenerated file.
    pub stale: bool,
    /// One host in this many has a clock with this error.
    pub skew: Option<(u32, i64)>,
    /// One host in this many has another name from this time on.
    pub renamed: Option<(u32, i64)>,
    /// One host in this many is reinstalled at this time: the same name, another id.
    pub reimaged: Option<(u32, i64)>,
    /// Number of unknown hosts that fail once in this hour, and the hour.
    pub forged: Option<(u32, i64)>,
    /// One host in this many is offline between these times; its lines arrive at the end.
    pub away: Option<(u32, i64, i64)>,
    /// wulog is installed at this time: of the time before, only lasting failures are known.
    pub installed: Option<i64>,
    /// From this time on no host sends anything; only ticks come.
    pub silent_from: Option<i64>,
}

impl Default for Plan {
    /// Eleven days of a fleet with its usual noise.
    fn default() -> Plan {
        Plan {
            end: START + 12 * DAY,
            faults: Vec::new(),
            noise: 0.0004,
            chronic_one_in: 250,
            always_on: false,
            looping: 1,
            copies: 1,
            stale: false,
            skew: None,
            renamed: None,
            reimaged: None,
            forged: None,
            away: None,
            installed: None,
            silent_from: None,
        }
    }
}

/// The time from which a host has the fault; `None` for an unaffected host.
type Who = Box<dyn Fn(&Host) -> Option<i64> + Send + Sync>;

/// One fault.
pub(super) struct Fault {
    /// The time from which a host is affected.
    pub who: Who,
    /// Dimensions and values that name the cause; the first common factor should be one of them. Empty where the
    /// failing update itself is the answer.
    pub cause: Vec<(&'static str, String)>,
    /// The subject that fails.
    pub at: At,
    /// Families and codes, assigned to hosts in turn.
    pub codes: &'static [(Family, &'static str)],
    /// Time from which the update of [`At::Update`] is available.
    pub published: i64,
    /// Time from which attempts succeed again.
    pub fixed: i64,
    /// Number of failures after which an affected host falls silent.
    pub silent_after: Option<u32>,
    /// Interval at which an affected host tries again, while it is on.
    pub retry: Option<i64>,
}

/// The subject that a fault makes fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// A new update for all hosts.
    Update,
    /// A new update for affected hosts only.
    OwnUpdate,
    /// The monthly patches of a Patch Tuesday.
    Monthly,
    /// Third-party updates that were valid before, checked again.
    Published,
    /// The scan itself, at the TLS connection to the server of this name.
    Server(&'static str),
}

impl Fault {
    /// A fault of a new update for all hosts, never fixed within the run.
    pub(super) fn new(
        published: i64,
        codes: &'static [(Family, &'static str)],
        who: impl Fn(&Host) -> bool + Send + Sync + 'static,
    ) -> Fault {
        Fault {
            who: Box::new(move |host| who(host).then_some(published)),
            cause: Vec::new(),
            at: At::Update,
            codes,
            published,
            fixed: i64::MAX,
            silent_after: None,
            retry: None,
        }
    }

    /// Adds a value that is the cause.
    #[must_use]
    pub(super) fn because(mut self, dimension: &'static str, value: impl Into<String>) -> Fault {
        self.cause.push((dimension, value.into()));
        self
    }

    /// Sets the subject that fails.
    #[must_use]
    pub(super) fn at(mut self, at: At) -> Fault {
        self.at = at;
        self
    }

    /// Gives each affected host an onset of its own.
    #[must_use]
    pub(super) fn from(mut self, who: impl Fn(&Host) -> Option<i64> + Send + Sync + 'static) -> Fault {
        self.who = Box::new(who);
        self
    }

    /// Sets the time of the fix.
    #[must_use]
    pub(super) fn fixed(mut self, at: i64) -> Fault {
        self.fixed = at;
        self
    }

    /// The code of a host.
    #[must_use]
    pub(super) fn code(&self, host: &Host) -> (Family, &'static str) {
        self.codes[(host.index / 3) as usize % self.codes.len()]
    }
}

/// Onset of the faults of a run: on the ninth or tenth day, at an hour that the seed decides.
#[must_use]
pub(super) fn onset(seed: u64) -> i64 {
    START + 8 * DAY + i64::try_from(seed * 7 % 36).expect("a small number") * HOUR
}
