//! The identity of a simulated host: the facts that stay the same over its life.

use super::random::Random;
use super::spec::{Audience, FleetSpec, Site, Update};

/// A simulated host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name, lower case.
    pub name: String,
    /// Its site.
    pub site: Site,
    /// Its WSUS server, as an index into [`FleetSpec::wsus`].
    pub wsus: usize,
    /// The URL of that server.
    pub wsus_url: String,
    /// The WSUS target group that its policy names.
    pub target_group: String,
    /// The host's Windows version.
    pub system: &'static System,
    /// The host's fault, if any.
    pub habit: Habit,
    /// Its certificate problem, where it has one, is in TrustedPublisher only.
    pub(super) publisher_only: bool,
}

/// A version of Windows: the form of its log, and the versions that it logs.
#[derive(Debug, PartialEq, Eq)]
pub struct System {
    /// Form of the log.
    pub form: Form,
    /// Version of the Windows Update client.
    pub client_build: &'static str,
    /// Version of Windows, as the client writes it.
    pub os_build: &'static str,
    /// `OS Product Type`: 1 is a workstation edition, 7 a server.
    pub(super) product_type: &'static str,
    /// Servers are seldom restarted.
    pub(super) server: bool,
}

/// The form of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Windows 7: tabs, hex thread ids, `[CallerId = X]`.
    Legacy7,
    /// Windows 8.1 and Server 2012 R2: the same with `EP` lines and `[CallerId = X  Id = N]`.
    Legacy81,
    /// Windows 10 before 1703, Server 2016: blanks, decimal ids, failures as `failed, hr = CODE`.
    Modern1607,
    /// Later versions: failures as `*FAILED* [CODE]`.
    Modern,
}

impl Form {
    /// Whether the form is one of the live text forms before Windows 10.
    #[must_use]
    pub const fn is_legacy(self) -> bool {
        matches!(self, Form::Legacy7 | Form::Legacy81)
    }
}

/// The fault of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// No fault.
    Healthy,
    /// Its trust in the first third-party update of the catalogue has always failed.
    Chronic,
    /// It retries an install that fails with 0x80070643 (the installer's own failure) all day.
    LoopsInstall,
    /// It retries a download that fails with 0x800b0100 (no signature) all day.
    LoopsSignature,
}

/// The mix of a company that is late with its upgrades.
const SYSTEMS: [System; 8] = [
    system(Form::Legacy7, "7.6.7601.23453", "6.1.7601.1.0.65792", false),
    system(Form::Legacy7, "7.6.7601.24436", "6.1.7601.1.0.65792", false),
    system(Form::Legacy81, "7.9.9600.19915", "6.3.9600.0.0.256", false),
    system(Form::Legacy81, "7.9.9600.20337", "6.3.9600.0.0.272", true),
    system(Form::Modern1607, "10.0.14393.5427", "10.0.14393.5427", true),
    system(Form::Modern, "10.0.17763.3532", "10.0.17763.3650", true),
    system(Form::Modern, "10.0.19041.2193", "10.0.19044.2251", false),
    system(Form::Modern, "10.0.22621.755", "10.0.22621.819", false),
];

const fn system(form: Form, client_build: &'static str, os_build: &'static str, server: bool) -> System {
    System { form, client_build, os_build, product_type: if server { "0x00000007" } else { "0x00000001" }, server }
}

impl Host {
    /// The fleet's host number `index`: sites in turn, other facts by chance.
    pub(super) fn new(spec: &FleetSpec, index: usize) -> Host {
        let mut random = Random::stream(spec.seed, "host", index as u64);
        let wsus = index % spec.wsus.len();
        let server = &spec.wsus[wsus];
        let site = server.sites[index / spec.wsus.len() % server.sites.len()].clone();
        let system = random.pick(&SYSTEMS);
        let role = if system.server { "srv" } else { "pc" };
        let groups: &[&str] =
            if system.server { &["Servers", "Domain Controllers"] } else { &["Workstations", "Pilot"] };
        Host {
            name: format!("{}-{role}-{index:04}", site.name),
            wsus,
            wsus_url: server.url.clone(),
            target_group: (*random.pick(groups)).to_owned(),
            system,
            habit: habit(spec, index),
            publisher_only: random.percent(30),
            site,
        }
    }

    /// Whether an update is for this host.
    pub(super) fn wants(&self, update: &Update) -> bool {
        match update.audience {
            Audience::Everyone => true,
            Audience::Legacy => self.system.form.is_legacy(),
            Audience::Modern => !self.system.form.is_legacy(),
        }
    }
}

/// Troubled hosts are spread over the fleet from its end, so that they don't share a server.
fn habit(spec: &FleetSpec, index: usize) -> Habit {
    let from_end = spec.hosts - 1 - index;
    if from_end < spec.chronic_hosts {
        return Habit::Chronic;
    }
    match from_end - spec.chronic_hosts {
        0 if spec.looping_hosts >= 1 => Habit::LoopsInstall,
        1 if spec.looping_hosts >= 2 => Habit::LoopsSignature,
        _ => Habit::Healthy,
    }
}
