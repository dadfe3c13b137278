//! `/hosts` and `/hosts/NAME`: hosts that match a text, and all facts that the Detector has about one host.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde::Serialize;
use wulog_schemas::hresult::lookup;

use super::Status;
use super::filter::parameter;
use super::layout::{NavPlace, Page, number, shown, time, wrong};
use crate::postmortem::{dimension_in_words, path_segment};
use crate::question::{
    Answer, HOST_STATES, HostCertificates, HostDetails, HostFiles, HostList, HostRow, HostSearch, NoAnswer, Question,
};
use crate::report::capitalized;

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

/// The matching hosts.
pub(super) async fn search(status: &Status, search: HostSearch) -> Result<HostList, NoAnswer> {
    match status.asker.ask(Question::Hosts(search)).await? {
        Answer::Hosts(hosts) => Ok(hosts),
        _ => Err(NoAnswer::Busy),
    }
}

/// A host with all facts of its page.
#[derive(Serialize)]
pub(super) struct HostPage {
    /// The facts of the Detector.
    #[serde(flatten)]
    details: HostDetails,
    /// The facts of the Normalizer of the host's partition; `None` where this process does not have the partition.
    files: Option<HostFiles>,
    /// The reason for which `files` is `None`.
    files_unknown: Option<String>,
}

/// The hosts of a name.
pub(super) async fn named(status: &Status, name: String) -> Result<Vec<HostPage>, NoAnswer> {
    let details = match status.asker.ask(Question::Host(name)).await? {
        Answer::Host(hosts) => hosts,
        _ => return Err(NoAnswer::Busy),
    };
    let mut hosts = Vec::with_capacity(details.len());
    for details in details {
        let (files, files_unknown) = match files_of(status, &details.row.id).await {
            Ok(files) => (Some(files), None),
            Err(why) => (None, Some(why)),
        };
        hosts.push(HostPage { details, files, files_unknown });
    }
    Ok(hosts)
}

/// The files of the host with this id, or the reason for which they are not known.
async fn files_of(status: &Status, id: &str) -> Result<HostFiles, String> {
    let elsewhere = "No record of this host is known to the Normalizers of this process. With several processors, another \
                     one may read the host's partition: see the page of the pipeline, and open the status page there.";
    let asker = status.file_asker.as_ref().ok_or_else(|| elsewhere.to_owned())?;
    match asker.ask(Question::Files(id.to_owned())).await {
        Ok(Answer::Files(files)) => Ok(files),
        Ok(_) | Err(NoAnswer::Elsewhere) => Err(elsewhere.to_owned()),
        Err(NoAnswer::Busy) => Err("The Normalizers of this process are busy; ask again in some seconds.".to_owned()),
        Err(NoAnswer::TooMany) => Err("Too many questions in this second; ask again in a second.".to_owned()),
    }
}

pub(super) async fn list(State(status): State<Arc<Status>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let wanted = match search_of(&query) {
        Ok(wanted) => wanted,
        Err(why) => return wrong(StatusCode::BAD_REQUEST, NavPlace::Hosts, "Unknown state", &why, &status),
    };
    let found = search(&status, wanted.clone()).await;
    let page = Page {
        place: NavPlace::Hosts,
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
            return wrong(StatusCode::SERVICE_UNAVAILABLE, NavPlace::Hosts, "No answer", &why, &status);
        }
    };
    if found.is_empty() {
        let why = format!("The Detector knows no host {name:?}. It forgets hosts that were silent for long.");
        return wrong(StatusCode::NOT_FOUND, NavPlace::Hosts, "Unknown host", &why, &status);
    }
    let page = Page {
        place: NavPlace::Hosts,
        title: found[0].details.row.name.clone(),
        fixed: html! {},
        live: html! {
            @if found.len() > 1 { p.problem { (found.len()) " machines have this name, each with an id of its own." } }
            @for host in &found { (details(host)) }
        },
        json: format!("/api/v1/hosts/{}", path_segment(&name)),
    };
    page.answer(&status)
}

fn details(known: &HostPage) -> Markup {
    let host = &known.details;
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
                    @for fact in &host.facts { tr { th scope="row" { (shown(&capitalized(&dimension_in_words(&fact.dimension)))) } td { (shown(&fact.value)) } } }
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
            h2 { "Log files" }
            @match (&known.files, &known.files_unknown) {
                (Some(files), _) => (files_read(files)),
                (None, why) => p { (shown(why.as_deref().unwrap_or_default())) },
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

fn files_read(known: &HostFiles) -> Markup {
    html! {
        @match &known.collector {
            Some(collector) => p {
                "The collector said at " (time(collector.at)) ": "
                @if collector.caught_up { strong { "everything is shipped" } } @else { strong { (number(collector.lag_bytes)) " bytes are not shipped yet" } }
                " of " (number(collector.files)) @if collector.files == 1 { " file" } @else { " files" }
                @if collector.losses > 0 { "; lines may have been missed " (number(collector.losses)) " times, when a file was replaced before it was read" }
                "."
            },
            None => p.soft { "The collector has not spoken since this process began to read; it does so every quarter of an hour." },
        }
        @if !known.files.is_empty() {
            div.scroll tabindex="0" role="region" aria-label="Log files" {
                table.wide {
                    thead { tr { @for name in ["File", "Newest line", "Bytes read", "Bytes to read"] { th scope="col" { (name) } } } }
                    tbody { @for file in &known.files {
                        tr {
                            th scope="row" { (shown(&file.file)) @if file.losses.unwrap_or(0) > 0 { br; span.soft { "lines may have been missed" } } }
                            td.time { @if let Some(at) = file.newest { (time(at)) } @else { "-" } }
                            td.number { (number(file.read_bytes)) }
                            td.number { @if let Some(bytes) = file.lag_bytes { (number(bytes)) } @else { "not known" } }
                        }
                    } }
                }
            }
            p.soft { "Bytes are counted as text in UTF-8, from where reading began or the file was replaced." }
        }
        @if known.unlisted > 0 { p.soft { (number(known.unlisted)) " more files are not listed." } }
    }
}

fn certificates(inventory: &HostCertificates) -> Markup {
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
