//! The usual servers and updates of a fleet.

use super::random::Random;
use super::spec::{Audience, DAY_MS, HOUR_MS, Publisher, Site, Update, WsusSpec};

/// How many days of updates a catalogue holds.
const DAYS: i64 = 60;

/// Five servers with two sites each.
pub(super) fn wsus() -> Vec<WsusSpec> {
    let servers: [(&str, &str, i32, char, [&str; 2]); 5] = [
        ("wsus-ber", "Europe/Berlin", 60, '.', ["ber", "muc"]),
        ("wsus-lon", "Europe/London", 0, '/', ["lon", "edi"]),
        ("wsus-chi", "America/Chicago", -360, '/', ["chi", "hou"]),
        ("wsus-ams", "Europe/Amsterdam", 60, '-', ["ams", "rtm"]),
        ("wsus-tyo", "Asia/Tokyo", 540, '/', ["tyo", "osa"]),
    ];
    servers
        .into_iter()
        .map(|(name, zone, utc_minutes, date_separator, sites)| WsusSpec {
            url: format!("http://{name}.corp.example:8530"),
            sites: sites
                .into_iter()
                .map(|site| Site { name: site.to_owned(), zone: zone.to_owned(), utc_minutes, date_separator })
                .collect(),
        })
        .collect()
}

/// Defender definitions every day, Microsoft's patches every fourth Tuesday or so, a third-party update every third day.
pub(super) fn updates(seed: u64, start_ms: i64) -> Vec<Update> {
    let mut all = Vec::new();
    let mut add = |title: String, published_ms: i64, publisher: Publisher, audience: Audience| {
        let mut random = Random::stream(seed, "update", all.len() as u64);
        let revision = u32::try_from(200 + random.below(5)).expect("a small number");
        all.push(Update { id: random.guid(), revision, title, published_ms, publisher, audience });
    };
    for day in 0..DAYS {
        let morning_ms = start_ms + day * DAY_MS;
        if day % 3 == 0 {
            // The first update is published at the start: chronic hosts fail at it.
            let name = THIRD_PARTY[usize::try_from(day / 3).expect("days count up") % THIRD_PARTY.len()];
            add(name.to_owned(), morning_ms, Publisher::ThirdParty, Audience::Everyone);
        }
        add(
            format!(
                "Security Intelligence Update for Microsoft Defender Antivirus - KB2267602 (Version 1.379.{}.0)",
                100 + day * 13
            ),
            morning_ms + 6 * HOUR_MS,
            Publisher::Microsoft,
            Audience::Modern,
        );
        if day % 28 == 1 {
            let tuesday_ms = morning_ms + 18 * HOUR_MS;
            let month = day / 28;
            add(
                format!("Security Monthly Quality Rollup for x64-based Systems (KB{})", 5_020_000 + month * 1_013),
                tuesday_ms,
                Publisher::Microsoft,
                Audience::Legacy,
            );
            add(
                format!("Cumulative Update for x64-based Systems (KB{})", 5_019_959 + month * 1_087),
                tuesday_ms,
                Publisher::Microsoft,
                Audience::Modern,
            );
            add(
                format!("Windows Malicious Software Removal Tool x64 - v5.{} (KB890830)", 107 + month),
                tuesday_ms,
                Publisher::Microsoft,
                Audience::Everyone,
            );
        }
    }
    all
}

/// The update of an outbreak, published at its onset.
pub(super) fn outbreak_update(seed: u64, published_ms: i64) -> Update {
    Update {
        id: Random::stream(seed, "outbreak update", 0).guid(),
        revision: 1,
        title: "Contoso VPN Client 4.2.1 (x64)".to_owned(),
        published_ms,
        publisher: Publisher::ThirdParty,
        audience: Audience::Everyone,
    }
}

/// Products that people publish through WSUS; the versions are invented.
const THIRD_PARTY: [&str; 5] = [
    "Mozilla Firefox 107.0 (x64 en-US)",
    "7-Zip 22.01 (MSI-x64)",
    "Notepad++ 8.4.7 (x64)",
    "VLC media player 3.0.18 (x64)",
    "PuTTY 0.78.0.0 (x64)",
];
