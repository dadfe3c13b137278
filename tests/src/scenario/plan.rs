//! What happens to a fleet: faults with their ground truth, noise, and the ways in which facts arrive crooked.

use wulog_schemas::hresult::Family;

use super::population::Host;
use super::time::{DAY, HOUR, START};

/// Everything that makes one run, apart from its seed and its size.
pub(super) struct Plan {
    /// The run ends here.
    pub end: i64,
    /// What goes wrong; each is one incident.
    pub faults: Vec<Fault>,
    /// Chance that an attempt fails by itself. It succeeds at the next scan in three cases of four.
    pub noise: f64,
    /// One host in so many has failed at third-party updates since long before the run; 0 is none.
    pub chronic_one_in: u32,
    /// All hosts are on round the clock, as servers are.
    pub always_on: bool,
    /// Hosts that retry one failing update all day.
    pub looping: u32,
    /// Every signal arrives so many times.
    pub copies: u32,
    /// Each scan sends the failures of the last week again, as a file that is generated anew does.
    pub stale: bool,
    /// One host in so many has a clock that is off by so much.
    pub skew: Option<(u32, i64)>,
    /// One host in so many has another name from this time on.
    pub renamed: Option<(u32, i64)>,
    /// One host in so many is installed anew at this time: the same name, another id.
    pub reimaged: Option<(u32, i64)>,
    /// Hosts that nobody knows fail once in this hour.
    pub forged: Option<(u32, i64)>,
    /// One host in so many is offline between these times; what it logged arrives then.
    pub away: Option<(u32, i64, i64)>,
    /// wulog is installed at this time: what was before is known only as what still fails.
    pub installed: Option<i64>,
    /// From this time on nobody says anything; only ticks come.
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

/// Since when a host has the fault, where it has it.
type Who = Box<dyn Fn(&Host) -> Option<i64> + Send + Sync>;

/// One thing that goes wrong.
pub(super) struct Fault {
    /// From when a host is affected, if it is.
    pub who: Who,
    /// Dimensions and values that name the cause; the first common factor should be one of them. Empty where the
    /// failing update itself is the answer.
    pub cause: Vec<(&'static str, String)>,
    /// What fails.
    pub at: At,
    /// Families and codes, dealt to hosts in turn.
    pub codes: &'static [(Family, &'static str)],
    /// From when the update of [`At::Update`] is there.
    pub published: i64,
    /// From when attempts succeed again.
    pub fixed: i64,
    /// After so many failures a host is never heard of again.
    pub silent_after: Option<u32>,
    /// An affected host tries again so soon, while it is on.
    pub retry: Option<i64>,
}

/// What a fault makes fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// A new update that everybody gets.
    Update,
    /// A new update that only the affected get.
    OwnUpdate,
    /// The monthly patches of a Patch Tuesday.
    Monthly,
    /// Third-party updates that were good before, checked again.
    Published,
    /// The scan itself, at the TLS connection to the server of this name.
    Server(&'static str),
}

impl Fault {
    /// A fault of a new update for everybody, never mended within the run.
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

    /// Names a value that is the cause.
    #[must_use]
    pub(super) fn because(mut self, dimension: &'static str, value: impl Into<String>) -> Fault {
        self.cause.push((dimension, value.into()));
        self
    }

    /// Says what fails.
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

    /// Ends it.
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

/// When faults of a run begin: on the ninth or tenth day, at an hour that the seed decides.
#[must_use]
pub(super) fn onset(seed: u64) -> i64 {
    START + 8 * DAY + i64::try_from(seed * 7 % 36).expect("a small number") * HOUR
}
