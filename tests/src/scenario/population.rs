//! The hosts of a fleet with their dimensions, and the times at which each is switched on.
//!
//! Servers, sites and rings are assigned by position, so that a fleet of 20 has each of them; the other facts are
//! random. Small fleets begin like large ones.

use std::collections::BTreeMap;

use wulog_schemas::host::HostId;

use super::time::{DAY, HOUR, MINUTE, START};
use crate::fleet::random::Random;

/// WSUS servers of 20 hosts in turn: shares of 30, 25, 20, 15 and 10 %.
const WSUS: [u8; 20] = [0, 1, 2, 3, 0, 1, 2, 4, 0, 1, 3, 0, 1, 2, 0, 3, 1, 4, 2, 0];
/// Name and UTC offset in hours of the sites, two a WSUS server.
const SITES: [(&str, i64); 10] = [
    ("ber", 1),
    ("muc", 1),
    ("lon", 0),
    ("edi", 0),
    ("ams", 1),
    ("rtm", 1),
    ("chi", -6),
    ("hou", -6),
    ("tyo", 9),
    ("osa", 9),
];
/// Rings of 20 hosts: 5 % pilot, 15 % early, the rest broad.
const RINGS: [&str; 20] = [
    "broad", "broad", "early", "broad", "broad", "broad", "broad", "early", "broad", "pilot", "broad", "broad",
    "broad", "early", "broad", "broad", "broad", "broad", "broad", "broad",
];
/// Hosts that stand in one room.
const ROOM_HOSTS: u32 = 12;

/// A version of Windows: the facts of its client, and its share in 100 hosts.
#[derive(Debug)]
pub(super) struct System {
    /// Version of Windows.
    pub os_build: &'static str,
    /// Version of the Windows Update client.
    pub client_build: &'static str,
    /// `legacy` or `etw`.
    pub form: &'static str,
    /// Servers are always on.
    pub server: bool,
    share: u64,
}

const fn system(os_build: &'static str, client_build: &'static str, form: &'static str, share: u64) -> System {
    System { os_build, client_build, form, server: false, share }
}

const fn server(os_build: &'static str, client_build: &'static str, form: &'static str, share: u64) -> System {
    System { os_build, client_build, form, server: true, share }
}

/// The mix of the autumn of 2019.
static SYSTEMS: [System; 9] = [
    system("6.1.7601", "7.6.7601.24436", "legacy", 14),
    system("6.1.7601", "7.6.7601.23806", "legacy", 10),
    server("6.1.7601", "7.6.7601.24436", "legacy", 5),
    server("6.0.6003", "7.6.7600.256", "legacy", 3),
    server("6.3.9600", "7.9.9600.19340", "legacy", 8),
    server("10.0.14393.3326", "10.0.14393.3326", "etw", 10),
    system("10.0.17763.864", "10.0.17763.831", "etw", 15),
    system("10.0.18362.476", "10.0.18362.449", "etw", 25),
    system("10.0.18363.476", "10.0.18362.449", "etw", 10),
];

/// A host.
#[derive(Debug)]
pub(super) struct Host {
    /// Its number in the fleet.
    pub index: u32,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its WSUS server, 0 to 4.
    pub wsus: u8,
    site: u8,
    /// Its version of Windows.
    pub system: &'static System,
    /// `pilot`, `early` or `broad`.
    pub ring: &'static str,
    /// `direct`, `strict` (reaches nothing but Microsoft's update servers) or `user` (set for users only).
    pub proxy: &'static str,
    /// Its room: 12 hosts share a room.
    pub room: String,
    /// Always switched on.
    always_on: bool,
    /// Sometimes away for whole weeks.
    laptop: bool,
    morning_ms: i64,
    seed: u64,
}

impl Host {
    fn new(seed: u64, index: u32, always_on: bool) -> Host {
        let mut random = Random::stream(seed, "scenario host", u64::from(index));
        let wsus = WSUS[index as usize % WSUS.len()];
        let site = wsus * 2 + u8::from(random.percent(40));
        let system = pick_system(&mut random);
        let role = if system.server { "srv" } else { "pc" };
        let name = format!("{}-{role}-{index:05}", SITES[usize::from(site)].0);
        Host {
            index,
            id: HostId::of_gathered(&name).as_str().to_owned(),
            name,
            wsus,
            site,
            system,
            // 7 and 20 are coprime, so ring and server are independent.
            ring: RINGS[(index / 20 * 7 + index) as usize % RINGS.len()],
            proxy: match random.below(20) {
                0..6 => "strict",
                6..9 => "user",
                _ => "direct",
            },
            room: format!("room-{}", index / ROOM_HOSTS),
            always_on: always_on || system.server,
            laptop: !system.server && random.percent(20),
            morning_ms: random.within(0..30 * MINUTE),
            seed,
        }
    }

    /// `HOST:PORT` of its WSUS server.
    #[must_use]
    pub(super) fn wsus_server(&self) -> String {
        wsus_server(self.wsus)
    }

    /// Short name of its site.
    #[must_use]
    pub(super) fn site(&self) -> &'static str {
        SITES[usize::from(self.site)].0
    }

    /// UTC offset of its site.
    #[must_use]
    pub(super) fn utc_hours(&self) -> i64 {
        SITES[usize::from(self.site)].1
    }

    /// All known dimensions of the host.
    #[must_use]
    pub(super) fn dimensions(&self) -> BTreeMap<String, String> {
        let groups = if self.system.server { "Servers" } else { "Workstations" };
        [
            ("wsus", self.wsus_server()),
            ("os_build", self.system.os_build.to_owned()),
            ("client_build", self.system.client_build.to_owned()),
            ("form", self.system.form.to_owned()),
            ("target_group", groups.to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .chain(self.labels())
        .collect()
    }

    /// The labels of its collector, as dimensions `label.NAME`.
    pub(super) fn labels(&self) -> impl Iterator<Item = (String, String)> {
        [("site", self.site()), ("ring", self.ring), ("proxy", self.proxy), ("room", self.room.as_str())]
            .map(|(name, value)| (format!("label.{name}"), value.to_owned()))
            .into_iter()
    }

    /// The next time at which the host is on, at `from` or later. Servers are always on, and so are all hosts where the
    /// plan says so; other hosts are on on workdays from 8:00 to 17:30 of their site, laptops not in every week.
    #[must_use]
    pub(super) fn next_on(&self, from: i64) -> i64 {
        if self.always_on {
            return from;
        }
        let zone_ms = self.utc_hours() * HOUR;
        let local = from + zone_ms;
        let (mut day, in_day) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let (on, off) = (8 * HOUR + self.morning_ms, 17 * HOUR + 30 * MINUTE);
        if self.works(day) && (on..off).contains(&in_day) {
            return from;
        }
        if in_day >= off {
            day += 1;
        }
        while !self.works(day) {
            day += 1;
        }
        (day * DAY + on - zone_ms).max(from)
    }

    fn works(&self, day: i64) -> bool {
        let since_monday = day - START.div_euclid(DAY);
        let (week, weekday) = (since_monday.div_euclid(7), since_monday.rem_euclid(7));
        weekday < 5 && !(self.laptop && self.is_away(week))
    }

    fn is_away(&self, week: i64) -> bool {
        let at = (week.unsigned_abs() << 32) | u64::from(self.index);
        Random::stream(self.seed, "holiday", at).percent(15)
    }
}

fn pick_system(random: &mut Random) -> &'static System {
    let mut at = random.below(100);
    for system in &SYSTEMS {
        if at < system.share {
            return system;
        }
        at -= system.share;
    }
    &SYSTEMS[0]
}

/// `HOST:PORT` of a WSUS server.
#[must_use]
pub(super) fn wsus_server(number: u8) -> String {
    format!("wsus-{}.corp.example:8530", SITES[usize::from(number) * 2].0)
}

/// The hosts of a fleet.
#[must_use]
pub(super) fn hosts(seed: u64, count: u32, always_on: bool) -> Vec<Host> {
    (0..count).map(|index| Host::new(seed, index, always_on)).collect()
}
