//! The specification of a fleet, as plain data that a test may change before it builds the fleet.

use wulog_schemas::hresult::Family;

use super::catalog;

/// One hour in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;
/// One day in milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// Monday 2022-11-14T00:00:00Z: Windows 7 to 11 were all in use, and no zone below changes its clock for months.
pub const DEFAULT_START_MS: i64 = 1_668_384_000_000;

/// The whole description of a fleet: the same value gives the same bytes.
#[derive(Clone, Debug)]
pub struct FleetSpec {
    /// Seed of every choice.
    pub seed: u64,
    /// How many hosts.
    pub hosts: usize,
    /// When the hosts' lives begin, milliseconds since 1970 UTC.
    pub start_ms: i64,
    /// The WSUS servers, at least one with at least one site; hosts are dealt to them in turn.
    pub wsus: Vec<WsusSpec>,
    /// The published updates.
    pub updates: Vec<Update>,
    /// Hosts that have failed trust at an older update since their first scan.
    pub chronic_hosts: usize,
    /// Hosts that retry one failing install all day: the first for a reason other than trust, the second with
    /// 0x800b0100.
    pub looping_hosts: usize,
    /// The one outbreak of the fleet, if any.
    pub outbreak: Option<Outbreak>,
    /// The path of a host's log under a folder.
    pub layout: Layout,
}

impl FleetSpec {
    /// A quiet fleet with the usual catalogue of updates for 60 days.
    #[must_use]
    pub fn new(seed: u64, hosts: usize) -> FleetSpec {
        FleetSpec {
            seed,
            hosts,
            start_ms: DEFAULT_START_MS,
            wsus: catalog::wsus(),
            updates: catalog::updates(seed, DEFAULT_START_MS),
            chronic_hosts: if hosts >= 100 { 2 } else { 0 },
            looping_hosts: if hosts >= 50 { 2 } else { 0 },
            outbreak: None,
            layout: Layout::Hosts,
        }
    }

    /// The same fleet with another start; its updates are published relative to it.
    #[must_use]
    pub fn starting(mut self, start_ms: i64) -> FleetSpec {
        self.start_ms = start_ms;
        self.updates = catalog::updates(self.seed, start_ms);
        self
    }

    /// The same fleet, in which the hosts of `wsus[server]` stop trusting a third-party update that is published
    /// `after_ms` after the start; or stop trusting the server itself ([`Cause::Site`]).
    #[must_use]
    pub fn with_outbreak(mut self, server: usize, after_ms: i64, cause: Cause) -> FleetSpec {
        if cause == Cause::Site {
            for wsus in &mut self.wsus {
                wsus.url = wsus.url.replace("http://", "https://").replace(":8530", ":8531");
            }
        }
        self.outbreak = Some(Outbreak {
            wsus: server,
            onset_ms: self.start_ms + after_ms,
            end_ms: None,
            update: catalog::outbreak_update(self.seed, self.start_ms + after_ms),
            cause,
        });
        self
    }
}

/// A WSUS server and the sites that it serves.
#[derive(Clone, Debug)]
pub struct WsusSpec {
    /// Its URL as clients are configured with it, without a slash at the end.
    pub url: String,
    /// Its sites.
    pub sites: Vec<Site>,
}

/// A place with hosts.
#[derive(Clone, Debug)]
pub struct Site {
    /// Short name: folder in [`Layout::Sites`], prefix of host names.
    pub name: String,
    /// IANA name of its time zone.
    pub zone: String,
    /// Minutes east of UTC. Fixed: the fleet knows no daylight saving.
    pub utc_minutes: i32,
    /// The character of the culture between year, month and day; Windows 10 and later write it into every line.
    pub date_separator: char,
}

/// One update.
#[derive(Clone, Debug)]
pub struct Update {
    /// Its id, in capitals without braces.
    pub id: String,
    /// Its revision.
    pub revision: u32,
    /// Its title, with the KB number in it where it has one.
    pub title: String,
    /// Time from which hosts find the update, milliseconds since 1970 UTC.
    pub published_ms: i64,
    /// The publisher.
    pub publisher: Publisher,
    /// The hosts of the update.
    pub audience: Audience,
}

/// The signer of an update's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// Microsoft.
    Microsoft,
    /// The owner of the WSUS server, with the publishing certificate that its clients have to trust.
    ThirdParty,
}

/// The hosts of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All hosts.
    Everyone,
    /// Hosts that write the legacy form.
    Legacy,
    /// Hosts that write the Windows 10 form.
    Modern,
}

/// A publishing certificate that the hosts of one WSUS server don't trust.
#[derive(Clone, Debug)]
pub struct Outbreak {
    /// The server, as an index into [`FleetSpec::wsus`].
    pub wsus: usize,
    /// Time from which its hosts fail, milliseconds since 1970 UTC.
    pub onset_ms: i64,
    /// Time from which later attempts succeed again, if any.
    pub end_ms: Option<i64>,
    /// The update. The hosts of the other servers install it without trouble.
    pub update: Update,
    /// The fault of the certificate.
    pub cause: Cause,
}

/// The fault of a publishing certificate, which decides the codes in the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Cause {
    /// The certificate is not in Trusted Root or Trusted Publishers. Legacy hosts write 800b0109 or 800b0004, newer
    /// ones 8024B303.
    UntrustedRoot,
    /// The intermediate certificate is missing: 800b010a.
    Chain,
    /// The certificate has expired and the files carry no timestamp: 800b0101.
    Expired,
    /// The certificate was revoked: 800b010c.
    Revoked,
    /// The certificate was put into Disallowed: 800b0111.
    Distrusted,
    /// Not the publishing certificate, but the TLS certificate of the WSUS site is not trusted: scans end with 80072f8f.
    Site,
}

impl Cause {
    /// The family of the hosts' codes.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Cause::UntrustedRoot => Family::UntrustedRoot,
            Cause::Chain => Family::Chain,
            Cause::Expired => Family::Expired,
            Cause::Revoked => Family::Revocation,
            Cause::Distrusted => Family::Distrust,
            Cause::Site => Family::Tls,
        }
    }

    /// The code of a failed check of the certificate chain.
    pub(super) const fn chain_code(self) -> u32 {
        match self {
            Cause::UntrustedRoot => 0x800b_0109,
            Cause::Chain => 0x800b_010a,
            Cause::Expired => 0x800b_0101,
            Cause::Revoked => 0x800b_010c,
            Cause::Distrusted => 0x800b_0111,
            Cause::Site => 0x8007_2f8f,
        }
    }

    /// The code at the end of a legacy host's download. `publisher_only` hosts have the certificate in Root but not in
    /// TrustedPublisher.
    pub(super) const fn legacy_code(self, publisher_only: bool) -> u32 {
        match self {
            Cause::UntrustedRoot if publisher_only => 0x800b_0004,
            other => other.chain_code(),
        }
    }

    /// The code at the end of a Windows 10 host's download.
    pub(super) const fn modern_code(self) -> u32 {
        match self {
            Cause::UntrustedRoot => 0x8024_b303,
            other => other.chain_code(),
        }
    }
}

/// The path of a host's log under a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `HOST/WindowsUpdate.log`.
    Hosts,
    /// `SITE/HOST/WindowsUpdate.log`.
    Sites,
}
