//! `/certificates`: certificates that are missing or expire, and the certificates of the fleet.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::Status;
use super::layout::{NavPlace, Page, number, shown, span, time};
use crate::postmortem::path_segment;
use crate::question::{Answer, FleetCertificate, FleetCertificates, NoAnswer, Question};

/// A certificate that ends within this time is marked: enough time to issue and deliver another.
const SOON_MS: i64 = 30 * 24 * 3600 * 1000;

/// The fleet's certificates.
pub(super) async fn list(status: &Status) -> Result<FleetCertificates, NoAnswer> {
    match status.asker.ask(Question::Certificates).await? {
        Answer::Certificates(list) => Ok(list),
        _ => Err(NoAnswer::Busy),
    }
}

pub(super) async fn page(State(status): State<Arc<Status>>) -> Response {
    let found = list(&status).await;
    let page = Page {
        place: NavPlace::Certificates,
        title: "Certificates".to_owned(),
        fixed: html! {},
        live: html! {
            (blamed(&status))
            @match &found {
                Ok(found) => (table(found)),
                Err(why) => p.problem { (shown(&status.why_unanswered(*why))) },
            }
        },
        json: "/api/v1/certificates".to_owned(),
    };
    page.answer(&status)
}

/// Certificates that open incidents name as the cause.
fn blamed(status: &Status) -> Markup {
    let incidents = status.incidents();
    let findings: Vec<_> = incidents
        .open()
        .into_iter()
        .flat_map(|known| known.newest.certificates.iter().map(|finding| (known.newest.id.clone(), finding)))
        .collect();
    html! {
        section {
            h2 id="blamed" { "Named as the cause of an open incident" }
            @if findings.is_empty() { p { "None." } }
            @for (id, finding) in findings {
                div.card {
                    div.words {
                        p { (shown(&finding.says)) }
                        p { strong { "Fix: " } (shown(&finding.fix)) }
                        p.soft { a href={"/incidents/" (id)} { (id) } }
                    }
                }
            }
        }
    }
}

fn table(found: &FleetCertificates) -> Markup {
    html! {
        section {
            h2 id="stores" { "In the stores of the fleet" }
            @if found.certificates.is_empty() {
                p { "No host sends an inventory of its certificates. Turn it on with [certificates] in the collector's configuration." }
            } @else {
                p.soft {
                    (found.certificates.len()) " of " (number(found.total)) " certificates, by the end of their validity, from "
                    (number(found.hosts_with_inventory)) " hosts with an inventory."
                }
                div.scroll tabindex="0" role="region" aria-labelledby="stores" {
                    table.wide {
                        thead { tr { @for name in ["Certificate", "Valid until", "Hosts", "Thumbprint (SHA-1)"] { th scope="col" { (name) } } } }
                        tbody { @for certificate in &found.certificates { (row(certificate, found.log_time)) } }
                    }
                }
            }
        }
    }
}

fn row(found: &FleetCertificate, now: i64) -> Markup {
    html! {
        tr {
            th scope="row" { (shown(&found.subject)) @if !found.issuer.is_empty() { br; span.soft { "issued by " (shown(&found.issuer)) } } }
            td.time {
                @match found.not_after {
                    Some(end) if end < now => { (time(end)) br; span.level.high { "expired" } },
                    Some(end) if end < now.saturating_add(SOON_MS) => { (time(end)) br; span.level.medium { "in " (span(end - now)) } },
                    Some(end) => (time(end)),
                    None => "-",
                }
            }
            td { @for (store, hosts) in &found.hosts_by_store { (store) ": " (number(*hosts)) br; } }
            td { a href={"/hosts?q=" (path_segment(&found.sha1))} { code { (shown(&found.sha1)) } } }
        }
    }
}
