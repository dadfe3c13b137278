//! A second fleet with ground truth, which shares no code and no wording with [`crate::fleet`] or the detector.
//!
//! ```text
//! Spec -> Plan (sites, updates, who is odd, causes) -> life of each Client -> operations -> lines, reports -> files
//!                                                                        \-> Truth: who failed first, and when
//! ```
//!
//! The detector's authors wrote the first generator, so both may be wrong in the same places. This one follows published
//! log excerpts; hosts differ in form, zone, clock and in which of the two logs they have.

mod catalog;
mod chance;
mod client;
mod operations;
mod legacy;
mod modern;
mod plan;
mod scenarios;
mod life;

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use plan::Plan;

const HOUR_MS: i64 = 3_600_000;
const WINDOWS_UPDATE: &str = "9482F4B4-E343-43B6-B170-9A65BC822C77";

/// CERT_E_UNTRUSTEDROOT in the legacy client's log, and the code of the Windows 10 client for it.
const LEGACY_UNTRUSTED: u32 = 0x800b_0109;
const MODERN_UNTRUSTED: u32 = 0x8024_b303;

/// Duration of a cause in a fleet that is repaired.
const REPAIR_MS: i64 = 26 * HOUR_MS;

const fn days(count: i64) -> i64 {
    count * 24 * HOUR_MS
}

/// The events of a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Only the usual events: single failures, chronic hosts, a looping host.
    Quiet,
    /// One WSUS server's publishing certificate was not deployed.
    WsusCertMissing,
    /// One WSUS server's publishing certificate expired.
    ExpiredSigner,
    /// One missing certificate shows as three codes.
    CodeMix,
    /// Systems with an old build do not know SHA-2.
    Sha2Gap,
    /// A proxy opens TLS at one site, which uses Windows Update itself.
    TlsProxySite,
    /// Two servers, two families, within two hours.
    TwoCausesAtOnce,
    /// A server's certificate, and a badly trusted update elsewhere, of one family.
    TwoCausesOneFamily,
    /// A server's certificate in a fleet of a few hosts.
    SmallFleet,
    /// A network outage.
    DecoyNetwork,
    /// Clocks that are wrong by days or years, each by its own amount.
    DecoyClockSkew,
    /// Twenty hosts of one image fail, three a day.
    SlowImage,
}

impl Scenario {
    fn is_2019(self) -> bool {
        self == Scenario::Sha2Gap
    }
}

/// The specification of a fleet: the same value gives the same bytes.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Seed of all random choices.
    pub seed: u64,
    /// Number of hosts.
    pub hosts: usize,
    /// Length of the logs.
    pub days: i64,
    /// The scenario.
    pub scenario: Scenario,
    /// Chronic hosts, failing scans and failures by chance, in per cent of the usual number. With a value other than
    /// 100, two old builds are noisier still.
    pub noise_percent: u32,
    /// Share of Windows 10 and 11 hosts that have a `ReportingEvents.log` only.
    pub reports_only_percent: u32,
    /// Whether every cause ends 26 h after its onset.
    pub repaired: bool,
}

impl Spec {
    /// A fleet with the usual noise and a length that fits the scenario.
    #[must_use]
    pub fn new(scenario: Scenario, hosts: usize, seed: u64) -> Spec {
        let days = if scenario == Scenario::SlowImage { 17 } else { 9 };
        Spec { seed, hosts, days, scenario, noise_percent: 100, reports_only_percent: 6, repaired: false }
    }

    /// The fleet whose causes end, with four days for recovery.
    #[must_use]
    pub fn repaired(self) -> Spec {
        Spec { days: self.days + 4, repaired: true, ..self }
    }
}

/// The real causes of a fleet.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Root causes at which a host failed.
    pub causes: Vec<TrueCause>,
}

/// One root cause.
#[derive(Clone, Debug)]
pub struct TrueCause {
    /// Name of the cause, for people.
    pub name: &'static str,
    /// Families to which its codes may belong.
    pub families: &'static [&'static str],
    /// Codes that its failures end with, `0x%08x`.
    pub codes: Vec<String>,
    /// Time from which hosts can fail, milliseconds since 1970 UTC.
    pub onset_ms: i64,
    /// Texts of which the first factor's value must contain one, in lower case.
    pub factors: Vec<String>,
    /// Ids of the failing updates, in lower case; empty where scans fail.
    pub updates: Vec<String>,
    /// Each affected host with its first failure.
    pub hosts: BTreeMap<String, i64>,
}

/// Writes `FOLDER/HOST/*.log` for each host, and returns the real causes.
///
/// # Errors
/// If a file cannot be written.
pub fn write(spec: &Spec, folder: &Path) -> io::Result<Truth> {
    let mut plan = Plan::new(spec);
    for mut client in std::mem::take(&mut plan.clients) {
        plan.live(&mut client);
        let host = folder.join(&client.name);
        fs::create_dir_all(&host)?;
        if client.has_log {
            fs::write(host.join("WindowsUpdate.log"), &client.log)?;
        }
        if client.has_reports {
            let units = std::iter::once(0xfeff).chain(client.reports.encode_utf16());
            let bytes: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
            fs::write(host.join("ReportingEvents.log"), bytes)?;
        }
    }
    Ok(plan.truth())
}
