//! The parts of a foreign fleet: sites, kinds of Windows, updates.

use super::chance::Chance;

/// A place with a time zone and a WSUS server.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) code: &'static str,
    pub(super) utc_minutes: i64,
    pub(super) server: &'static str,
    pub(super) weight: usize,
}

const fn site(code: &'static str, utc_minutes: i64, server: &'static str, weight: usize) -> Site {
    Site { code, utc_minutes, server, weight }
}

/// Sites; small fleets have only the first two.
pub(super) static SITES: [Site; 6] = [
    site("ABZ", 60, "patch-north", 24),
    site("ATL", -300, "patch-south", 24),
    site("BLR", 330, "patch-east", 16),
    site("OSA", 540, "patch-west", 12),
    site("BGO", 120, "patch-north", 12),
    site("YVR", -420, "patch-west", 12),
];

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Tabs, written by the client itself (up to Windows 8.1).
    Legacy,
    /// Blanks, decoded by `Get-WindowsUpdateLog` (from Windows 10 on).
    Modern,
}

/// A version of Windows.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) form: Form,
    pub(super) os: &'static str,
    /// Builds of the client, the usual one first.
    pub(super) builds: &'static [&'static str],
    /// Weight today, and in 2019.
    weights: (usize, usize),
}

const fn kind(form: Form, os: &'static str, builds: &'static [&'static str], today: usize, in_2019: usize) -> Kind {
    Kind { form, os, builds, weights: (today, in_2019) }
}

/// Build of Windows 7's client that knows SHA-2, and one that does not.
pub(super) const SHA2_BUILD: &str = "7.6.7601.24436";
pub(super) const NO_SHA2_BUILD: &str = "7.6.7601.19161";

/// Kinds of Windows; Windows 7 comes first.
pub(super) static KINDS: [Kind; 7] = [
    kind(Form::Legacy, "6.1.7601.1.0.65792", &[SHA2_BUILD, SHA2_BUILD, NO_SHA2_BUILD], 10, 40),
    kind(Form::Legacy, "6.3.9600.0.0.65792", &["7.9.9600.18970", "7.9.9600.18838"], 14, 14),
    kind(Form::Modern, "10.0.14393.6897", &["10.0.14393.6890"], 8, 16),
    kind(Form::Modern, "10.0.17763.5696", &["10.0.17763.5696", "10.0.17763.5458"], 16, 15),
    kind(Form::Modern, "10.0.18362.418", &["10.0.18362.387"], 0, 15),
    kind(Form::Modern, "10.0.19045.4291", &["10.0.19041.4291", "10.0.19041.3996"], 32, 0),
    kind(Form::Modern, "10.0.22631.3447", &["10.0.22621.3447", "1023.1020.2192.0"], 20, 0),
];

/// A golden image that only [`super::Scenario::SlowImage`] deploys.
pub(super) static IMAGE: Kind = kind(Form::Modern, "10.0.17763.1935", &["10.0.17763.1911"], 0, 0);

pub(super) fn pick_kind(chance: &mut Chance, is_2019: bool) -> &'static Kind {
    let weights: Vec<usize> = KINDS.iter().map(|kind| if is_2019 { kind.weights.1 } else { kind.weights.0 }).collect();
    &KINDS[chance.weighted(&weights)]
}

/// Builds whose hosts fail four times as often by chance, in a fleet with more noise than usual.
pub(super) const NOISY_BUILDS: [&str; 2] = [NO_SHA2_BUILD, "10.0.17763.5458"];

/// An update as the logs name it.
#[derive(Clone, Debug)]
pub(super) struct Update {
    pub(super) id: String,
    pub(super) revision: u32,
    pub(super) title: &'static str,
    pub(super) is_third_party: bool,
    /// Path of its content below the Windows folder.
    pub(super) content: String,
}

impl Update {
    pub(super) fn microsoft(chance: &mut Chance, title: &'static str) -> Update {
        Update { revision: 200, is_third_party: false, ..Update::third_party(chance, title) }
    }

    pub(super) fn third_party(chance: &mut Chance, title: &'static str) -> Update {
        let content = format!("SoftwareDistribution\\Download\\{}\\{}", chance.hex(32), chance.hex(40));
        Update { id: chance.guid(), revision: 1, title, is_third_party: true, content }
    }
}
