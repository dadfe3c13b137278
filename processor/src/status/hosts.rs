//! `/hosts` and `/hosts/NAME`: hosts that a text fits, and everything that the Detector knows of one.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use wulog_schemas::hresult::lookup;

use super::Status;
use super::filter::parameter;
use super::layout::{Page, Place, number, shown, time, wrong};
use crate::postmortem::path_segment;
use crate::question::{
    Answer, HOST_STATES, HostDetails, HostInventory, HostList, HostRow, HostSearch, NoAnswer, Question,
};

/// Certificates of a host that its page shows.
const CERTIFICATES_SHOWN: usize = 300;

/// The search of the parameters `q` and `state`.
///
/// # Errors
/// Where the state is unknown.
pub(super) fn search_of(query: &str) -> Result<HostSearch, String> {
    let search = HostSearch { text: parameter(query, "q"), state: parameter(query, "state") };
    let is_known = search.state.is_empty() || search.state == "failing" || HOST_STATES.contains(&&*search.state);
    let known = || HOST_STATES.join(", ");
    if is_known { Ok(search) } else { Err(format!("state = {:?} is unknown: use failing, {}", search.state, known())) }
}

/// Hosts that fit.
pub(super) async fn search(status: &Status, search: HostSearch) -> Result<HostList, NoAnswer> {
    match status.asker.ask(Question::Hosts(search)).await? {
        Answer::Hosts(hosts) => Ok(hosts),
        _ => Err(NoAnswer::Busy),
    }
}

/// The hosts of a name.
pub(super) async fn named(status: &Status, name: String) -> Result<Vec<HostDetails>, NoAnswer> {
    match status.asker.ask(Question::Host(name)).await? {
        Answer::Host(hosts) => Ok(hosts),
        _ => Err(NoAnswer::Busy),
    }
}

pub(super) async fn list(State(status): State<Arc<Status>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let wanted = match search_of(&query) {
        Ok(wanted) => wanted,
        Err(why) => return wrong(StatusCode::BAD_REQUEST, Place::Hosts, "Unknown state", &why, &status),
    };
    let found = search(&status, wanted.clone()).await;
    let page = Page {
        place: Place::Hosts,
        title: "Hosts".to_owned(),
        fixed: form(&wanted),
        live: match &found {
            Ok(found) => table(found),
            Err(why) => html! { p.problem { (shown(&status.why_unanswered(*why))) } },
        },
        json: if query.is_empty() { "/api/v1/hosts".to_owned() } else { format!("/api/v1/hosts?{query}") },
    };
    page.answer(&status)
}

fn form(wanted: &HostSearch) -> Markup {
    html! {
        form.filter action="/hosts" method="get" role="search" aria-label="Search hosts" {
            label.long { "Host, update, KB, server, code or thumbprint"
                input type="search" name="q" value=(wanted.text) maxlength="200" autocomplete="off";
            }
            label { "State" select name="state" {
                option value="" { "all" }
                @for state in ["failing"].into_iter().chain(HOST_STATES) { option value=(state) selected[wanted.state == state] { (state) } }
            } }
            button type="submit" { "Search" }
        }
    }
}

fn table(found: &HostList) -> Markup {
    html! {
        p.soft {
            "Shown: " (found.hosts.len()) " of " (number(found.total)) ", failing hosts first. "
            @if found.total > found.hosts.len() as u64 { "Narrow the search to see the others." }
        }
        @if !found.hosts.is_empty() {
            div.scroll tabindex="0" role="region" aria-label="Hosts" {
                table.wide {
                    thead { tr { @for name in ["Host", "State", "Fails at", "Failing since", "Last heard"] { th scope="col" { (name) } } } }
                    tbody { @for host in &found.hosts { (host_row(host)) } }
                }
            }
        }
    }
}

fn host_row(host: &HostRow) -> Markup {
    html! {
        tr {
            th scope="row" { a href={"/hosts/" (path_segment(&host.name))} { (shown(&host.name)) } }
            td { (host.state) }
            td.number { @if host.failing > 0 { (host.failing) } @else { "-" } }
            td.time { @if let Some(since) = host.failing_since { (time(since)) } @else { "-" } }
            td.time { (time(host.heard)) }
        }
    }
}

pub(super) async fn page(State(status): State<Arc<Status>>, Path(name): Path<String>) -> Response {
    let found = match named(&status, name.clone()).await {
        Ok(found) => found,
        Err(why) => {
            let why = status.why_unanswered(why);
            return wrong(StatusCode::SERVICE_UNAVAILABLE, Place::Hosts, "No answer", &why, &status);
        }
    };
    if found.is_empty() {
        let why = format!("The Detector knows no host {name:?}. It forgets hosts that were silent for long.");
        return wrong(StatusCode::NOT_FOUND, Place::Hosts, "Unknown host", &why, &status);
    }
    let page = Page {
        place: Place::Hosts,
        title: found[0].row.name.clone(),
        fixed: html! {},
        live: html! {
            @if found.len() > 1 { p.problem { (found.len()) " machines have this name, each with an id of its own." } }
            @for host in &found { (details(host)) }
        },
        json: format!("/api/v1/hosts/{}", path_segment(&name)),
    };
    page.answer(&status)
}

fn details(host: &HostDetails) -> Markup {
    html! {
        section {
            h2 { "Facts" }
            table {
                tbody {
                    tr { th scope="row" { "State" } td { (host.row.state) @if host.row.failing > 0 { ", failing" } } }
                    tr { th scope="row" { "Last scan" } td {
                        @match &host.last_scan {
                            Some(scan) => { (time(scan.time)) @if !scan.server.is_empty() { " at " (shown(&scan.server)) } @if scan.succeeded { ", succeeded" } @else { ", " strong { "failed" } } },
                            None => "not recorded",
                        }
                        br; span.soft { "A scan is recorded when it fails, and when it first succeeds afterwards. \"Last active\" counts every scan." }
                    } }
                    tr { th scope="row" { "Last active" } td { @if let Some(at) = host.last_active { (time(at)) } @else { "never" } } }
                    tr { th scope="row" { "Last heard" } td { (time(host.row.heard)) ", known since " (time(host.first_heard)) } }
                    tr { th scope="row" { "Host id" } td { code { (shown(&host.row.id)) } } }
                    @for fact in &host.facts { tr { th scope="row" { (shown(&fact.dimension)) } td { (shown(&fact.value)) } } }
                    @if !host.incidents.is_empty() {
                        tr { th scope="row" { "Open incidents" } td { @for id in &host.incidents { a href={"/incidents/" (id)} { (id) } " " } } }
                    }
                }
            }
        }
        section {
            h2 { "What fails" }
            @if host.failures.is_empty() { p { "Nothing fails for a reason of certificate trust." } } @else {
                div.scroll tabindex="0" role="region" aria-label="Failures" {
                    table.wide {
                        thead { tr { @for name in ["Fails at", "Since", "Last failure", "Code", "Family"] { th scope="col" { (name) } } } }
                        tbody { @for failure in &host.failures {
                            tr {
                                th scope="row" { (shown(failure.title.as_deref().unwrap_or(&failure.subject))) @if failure.title.is_some() { br; span.soft { (shown(&failure.subject)) } } }
                                td.time { (time(failure.since)) }
                                td.time { (time(failure.last)) }
                                td { @match &failure.code { Some(code) => { code { (shown(code)) } " " (symbol(code)) }, None => "-" } }
                                td { (failure.family) @if failure.chronic { br; span.soft { "chronic: it failed before it could count as new" } } }
                            }
                        } }
                    }
                }
            }
        }
        section {
            h2 { "What succeeded" }
            @if host.successes.is_empty() { p { "No success is recorded." } } @else {
                ul { @for success in &host.successes { li { (time(success.time)) " " (shown(success.title.as_deref().unwrap_or(&success.subject))) } } }
            }
        }
        section {
            h2 { "Certificates" }
            @match &host.inventory {
                Some(inventory) => (certificates(inventory)),
                None => p { "The host sends no inventory of its certificates." },
            }
        }
    }
}

fn symbol(code: &str) -> &'static str {
    let value = code.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok());
    value.and_then(lookup).map_or("", |entry| entry.symbol)
}

fn certificates(inventory: &HostInventory) -> Markup {
    html! {
        p.soft {
            "Stores that were read completely: "
            @if inventory.complete_stores.is_empty() { "none" } @else { (inventory.complete_stores.join(", ")) }
            ". Policy AcceptTrustedPublisherCerts: "
            @match inventory.accept_trusted_publisher_certs { Some(true) => "on", Some(false) => "off", None => "not known" } "."
        }
        div.scroll tabindex="0" role="region" aria-label="Certificates" {
            table.wide {
                thead { tr { @for name in ["Certificate", "Store", "Valid until", "Thumbprint (SHA-1)"] { th scope="col" { (name) } } } }
                tbody { @for found in inventory.certificates.iter().take(CERTIFICATES_SHOWN) {
                    tr {
                        th scope="row" { (shown(&found.subject)) }
                        td { (found.store) }
                        td.time { @if let Some(end) = found.not_after { (time(end)) } @else { "-" } }
                        td { a href={"/hosts?q=" (path_segment(&found.sha1))} { code { (shown(&found.sha1)) } } }
                    }
                } }
            }
        }
        @if inventory.certificates.len() > CERTIFICATES_SHOWN {
            p.soft { (inventory.certificates.len() - CERTIFICATES_SHOWN) " more are in the JSON of this page." }
        }
    }
}
