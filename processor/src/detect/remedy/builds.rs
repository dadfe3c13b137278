//! Builds of Windows on the hosts that fail: a step for one Windows alone is of use where hosts have this Windows.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use wulog_schemas::alert::Step;

use super::signature::SHA2_UPDATES;
use super::tls::{CIPHER_SUITES, DEFAULT_PROTOCOLS};

/// Commands for one Windows alone, with its builds.
const OF_ONE_WINDOWS: [(&str, RangeInclusive<u32>); 3] = [
    // Windows Vista and Server 2008 (6000) to Windows 7 and Server 2008 R2 with SP1 (7601).
    (SHA2_UPDATES, 6000..=7601),
    // Windows 7 and Server 2008 R2 (7600) to Server 2012 (9200).
    (DEFAULT_PROTOCOLS, 7600..=9200),
    // `Get-TlsCipherSuite` came with the first Windows 10.
    (CIPHER_SUITES, 10_240..=u32::MAX),
];

/// Hosts by build of Windows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builds {
    hosts: BTreeMap<u32, u64>,
    unknown: u64,
}

impl Builds {
    /// Counts hosts by a version of their Windows, or of its update client, which has the same build: `10.0.17763.1192`
    /// and `7.6.7601.23806` have the builds 17763 and 7601.
    pub(crate) fn of<'a>(versions: impl IntoIterator<Item = Option<&'a str>>) -> Builds {
        let mut builds = Builds::default();
        for version in versions {
            match version.and_then(|version| version.split('.').nth(2)?.parse().ok()) {
                Some(build) => *builds.hosts.entry(build).or_default() += 1,
                None => builds.unknown += 1,
            }
        }
        builds
    }

    /// Takes the Windows that titles of updates name where no version is known: a host is offered the updates of its
    /// own Windows alone.
    pub(crate) fn or_of_titles<'a>(self, titles: impl IntoIterator<Item = &'a str>) -> Builds {
        if !self.hosts.is_empty() {
            return self;
        }
        let mut builds = Builds::default();
        for title in titles {
            match build_of_title(title) {
                Some(build) => *builds.hosts.entry(build).or_default() += 1,
                None => builds.unknown += 1,
            }
        }
        builds
    }

    /// Leaves out the steps for a Windows that no host has, and puts the steps for a Windows that few hosts have last.
    pub(super) fn sort(&self, steps: &mut Vec<Step>) {
        let known: u64 = self.hosts.values().sum();
        if known == 0 {
            return;
        }
        let hosts_of = |step: &Step| {
            let command = step.command.as_deref()?;
            let (_, builds) = OF_ONE_WINDOWS.iter().find(|(of_one, _)| *of_one == command)?;
            Some(self.hosts.range(builds.clone()).map(|(_, hosts)| hosts).sum::<u64>())
        };
        steps.retain(|step| hosts_of(step) != Some(0) || self.unknown > 0);
        // Half of the hosts: below it, most of them have no use for the step. The sort keeps the order of all others.
        steps.sort_by_key(|step| hosts_of(step).is_some_and(|hosts| 2 * hosts < known));
    }
}

/// The first build of the oldest Windows that a title names.
fn build_of_title(title: &str) -> Option<u32> {
    /// Words of Microsoft's titles, the longer ones before those that they begin with.
    const BUILDS: [(&str, u32); 13] = [
        ("server 2008 r2", 7600),
        ("server 2008", 6001),
        ("windows 7", 7600),
        ("server 2012 r2", 9600),
        ("server 2012", 9200),
        ("windows 8.1", 9600),
        ("windows 10", 10_240),
        ("server 2016", 14_393),
        ("server 2019", 17_763),
        ("server 2022", 20_348),
        ("windows 11", 22_000),
        ("server 2025", 26_100),
        // Titles of Windows Server 2022 and later name its version alone: `Microsoft server operating system version
        // 21H2`.
        ("microsoft server operating system", 20_348),
    ];
    let title = title.to_lowercase();
    BUILDS.iter().find(|(words, _)| title.contains(words)).map(|(_, build)| *build)
}
