//! The 17 public incidents of `scenarios/incidents.tsv` as plans.

use wulog_schemas::hresult::Family;

use super::Scenario;
use super::plan::{At, Fault, Plan, onset};
use super::population::{Host, wsus_server};
use super::time::{DAY, HOUR, MINUTE, PATCH_TUESDAY, START};

const UNTRUSTED: &[(Family, &str)] = &[(Family::UntrustedRoot, "0x800b0109")];
pub(super) const THREE_CODES: &[(Family, &str)] = &[
    (Family::UntrustedRoot, "0x800b0109"),
    (Family::UntrustedRoot, "0x8024b303"),
    (Family::UntrustedRoot, "0x800b0004"),
];
const CHAIN_MOSTLY: &[(Family, &str)] =
    &[(Family::Chain, "0x800b010a"), (Family::Chain, "0x800b010a"), (Family::UntrustedRoot, "0x800b0109")];
const MIXED: &[(Family, &str)] = &[(Family::UntrustedRoot, "0x800b0109"), (Family::Signature, "0x80096010")];
const WEAK_KEY: &[(Family, &str)] = &[(Family::UntrustedRoot, "0x800b0109"), (Family::Chain, "0x800b010a")];
const CLOCK: &[(Family, &str)] = &[(Family::Tls, "0x80072f8f"), (Family::Expired, "0x800b0101")];
/// 80092004 has no family of its own, since healthy clients log it; an operator's pattern assigns one where the check
/// of a file ends with this code.
const NOT_FOUND: &[(Family, &str)] = &[(Family::Signature, "0x80092004")];
const TLS: &[(Family, &str)] = &[(Family::Tls, "0x80072f8f")];
const POLICY: &[(Family, &str)] = &[(Family::Policy, "0x80092026")];
const EXPIRED: &[(Family, &str)] = &[(Family::Expired, "0x800b0101")];
const NO_SIGNATURE: &[(Family, &str)] = &[(Family::Signature, "0x800b0100")];

/// The server whose hosts are a fifth of the fleet.
pub(super) const FIFTH: u8 = 2;

pub(super) fn on_wsus(number: u8) -> impl Fn(&Host) -> bool {
    move |host| host.wsus == number
}

/// Client of Windows 7 and 2008 R2 before the SHA-2 updates.
const WITHOUT_SHA2: &str = "7.6.7601.23806";

fn without_sha2(host: &Host) -> bool {
    host.system.client_build == WITHOUT_SHA2
}

fn windows_7(host: &Host) -> bool {
    host.system.os_build.starts_with("6.1") || host.system.os_build.starts_with("6.0")
}

fn ring_onset(host: &Host, onset: i64) -> i64 {
    match host.ring {
        "pilot" => onset,
        "early" => onset + DAY,
        _ => onset + 2 * DAY,
    }
}

fn plan(fault: Fault) -> Plan {
    Plan { faults: vec![fault], ..Plan::default() }
}

fn quiet() -> Plan {
    Plan::default()
}

/// The incidents in the order of the table.
#[must_use]
pub(super) fn incidents() -> Vec<Scenario> {
    vec![
        Scenario::found("S01", |seed, _| {
            plan(Fault::new(onset(seed), UNTRUSTED, on_wsus(FIFTH)).because("wsus", wsus_server(FIFTH)))
        }),
        Scenario::found("S02", |seed, _| {
            let fault = Fault::new(onset(seed), CHAIN_MOSTLY, |host| host.proxy == "strict");
            plan(fault.because("label.proxy", "strict").fixed(onset(seed) + 2 * DAY))
        }),
        Scenario::found("S03", |seed, _| {
            let fault = Fault::new(onset(seed), UNTRUSTED, |host| host.system.os_build == "6.3.9600");
            let fault = fault.because("os_build", "6.3.9600");
            plan(fault.because("client_build", "7.9.9600.19340"))
        }),
        Scenario::found("S04", |seed, _| {
            plan(Fault::new(onset(seed), MIXED, on_wsus(FIFTH)).because("wsus", wsus_server(FIFTH)))
        }),
        Scenario::found("S05", |seed, _| {
            let at = onset(seed);
            let fault = Fault::new(at - DAY, WEAK_KEY, on_wsus(0)).at(At::Published);
            let fault = fault.from(move |host| (host.wsus == 0).then(|| ring_onset(host, at)));
            let fault = fault.because("wsus", wsus_server(0));
            Plan { end: START + 14 * DAY, ..plan(fault) }
        }),
        Scenario::quiet("S06", |_, _| quiet()),
        Scenario::found("S07", |_, _| {
            let fault = Fault::new(PATCH_TUESDAY, NOT_FOUND, without_sha2).at(At::Monthly);
            plan(fault.because("client_build", WITHOUT_SHA2))
        }),
        Scenario::found("S08", |_, _| {
            let fault = Fault::new(PATCH_TUESDAY, UNTRUSTED, windows_7);
            let fault = fault.because("os_build", "6.1.7601").because("form", "legacy");
            let fault = fault.because("client_build", "7.6.7601.24436");
            plan(fault.because(
                "update",
                super::life::Subject::Update(super::life::update_of_fault(0)).text()[7..].to_owned(),
            ))
        }),
        Scenario::found("S09", |seed, _| {
            let fault = Fault::new(onset(seed), TLS, without_sha2).at(At::Server("fe2.update.microsoft.com"));
            let fault = fault.because("client_build", WITHOUT_SHA2);
            let fault = fault.because("server", "fe2.update.microsoft.com");
            plan(Fault { silent_after: Some(2), ..fault })
        }),
        Scenario::quiet("S10", |_, _| quiet()),
        Scenario::found("S11", |_, _| {
            let fault = Fault::new(PATCH_TUESDAY, TLS, |_| false).at(At::Server("wsus"));
            let fault = fault.from(|host| (host.proxy == "user").then(|| ring_onset(host, PATCH_TUESDAY)));
            Plan { end: START + 14 * DAY, ..plan(fault.because("label.proxy", "user").because("server", "wsus")) }
        }),
        Scenario::found("S12", |seed, _| {
            let fault = Fault::new(onset(seed), POLICY, |host| host.room == "room-1");
            plan(Fault { retry: Some(10 * MINUTE), ..fault.because("label.room", "room-1") })
        }),
        Scenario::found("S13", |seed, _| {
            plan(Fault::new(onset(seed), THREE_CODES, on_wsus(FIFTH)).because("wsus", wsus_server(FIFTH)))
        }),
        Scenario::found("S14", |seed, _| {
            let fault = Fault::new(onset(seed), EXPIRED, on_wsus(1)).at(At::Published);
            plan(fault.because("wsus", wsus_server(1)))
        }),
        Scenario::found("S15", |seed, _| {
            let fault = Fault::new(onset(seed), TLS, |host| host.site() == "ber");
            let fault = fault.at(At::Server("fe3.delivery.mp.microsoft.com")).because("label.site", "ber");
            plan(fault.because("server", "fe3.delivery.mp.microsoft.com"))
        }),
        Scenario::found("S16", |seed, _| {
            let at = onset(seed) + 3 * HOUR;
            plan(Fault::new(at, NO_SIGNATURE, on_wsus(3)).because("wsus", wsus_server(3)))
        }),
        Scenario::quiet("S17", |_, _| {
            // Every hundredth host, each from a day of its own on; their clocks are years behind.
            let own_day = |host: &Host| START + i64::from(host.index / 100 * 7 % 12) * DAY;
            let fault = Fault::new(START, CLOCK, |_| false).at(At::Server("fe2.update.microsoft.com"));
            let fault = fault.from(move |host| (host.index % 100 == 2).then(|| own_day(host)));
            Plan { skew: Some((100, -9 * 365 * DAY)), ..plan(fault) }
        }),
    ]
}
