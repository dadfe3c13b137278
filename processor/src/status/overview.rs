//! `/`: problems, open incidents, the fleet, and the history of incidents.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use wulog_schemas::alert::Alert;
use wulog_schemas::hresult::Family;

use super::filter::{Filter, ROWS_MAX, STATES, title};
use super::incidents::{IncidentDocuments, IncidentIndex};
use super::layout::{NavPlace, Page, csv as csv_answer, number, shown, span, time, wrong};
use super::table::{cause, curve, level, state};
use super::{Status, api};
use crate::postmortem::percent;
use crate::postmortem::spreadsheet::{BYTE_ORDER_MARK, row};
use crate::question::{FleetState, HOST_STATES, NoAnswer};

/// Open incidents that are shown as cards; the table has the others.
const CARDS_MAX: usize = 20;

pub(super) async fn page(State(status): State<Arc<Status>>, RawQuery(query): RawQuery) -> Response {
    let filter = match Filter::of_query(&query.unwrap_or_default()) {
        Ok(filter) => filter,
        Err(why) => return wrong(StatusCode::BAD_REQUEST, NavPlace::Incidents, "Unknown filter", &why, &status),
    };
    let fleet = status.fleet().await;
    let incidents = status.incidents();
    let page = Page {
        place: NavPlace::Incidents,
        title: "Is anything wrong?".to_owned(),
        fixed: html! {},
        live: html! {
            (verdict(&status, &incidents))
            (open_incidents(&incidents))
            (fleet_part(&status, &fleet))
            (history(&incidents, &filter))
        },
        json: address("/api/v1/incidents", &filter),
    };
    page.answer(&status)
}

/// `/incidents.csv`: exactly the rows of the table.
pub(super) async fn csv(State(status): State<Arc<Status>>, RawQuery(query): RawQuery) -> Response {
    let filter = match Filter::of_query(&query.unwrap_or_default()) {
        Ok(filter) => filter,
        Err(why) => return (StatusCode::BAD_REQUEST, why + "\n").into_response(),
    };
    let incidents = status.incidents();
    let (_, rows) = filter.rows(&incidents);
    let mut text = BYTE_ORDER_MARK.to_owned();
    let head = [
        "id",
        "state",
        "severity",
        "family",
        "what_fails",
        "affected",
        "active",
        "recovered",
        "onset",
        "opened",
        "resolved",
        "cause",
        "summary",
    ];
    row(&mut text, head.iter().map(|name| (*name).to_owned()));
    for known in rows {
        let found = api::summary(known);
        let cells = [
            found.id,
            found.state.to_owned(),
            found.severity.to_string(),
            found.family.to_owned(),
            found.title,
            found.affected.to_string(),
            found.active.to_string(),
            found.recovered.to_string(),
            found.onset.to_string(),
            found.opened.to_string(),
            found.resolved.map(|time| time.to_string()).unwrap_or_default(),
            found.cause.unwrap_or_default(),
            found.summary,
        ];
        row(&mut text, cells.into_iter());
    }
    csv_answer("incidents.csv", text.into_bytes())
}

fn address(path: &str, filter: &Filter) -> String {
    let query = filter.query();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

fn verdict(status: &Status, incidents: &IncidentIndex) -> Markup {
    let problems = status.problems();
    let (open, warnings): (Vec<&IncidentDocuments>, Vec<&IncidentDocuments>) =
        incidents.open().into_iter().partition(|known| known.newest.kind.is_failures());
    let affected: u64 = open.iter().map(|known| known.newest.hosts.affected).sum();
    html! {
        section.verdict aria-label="Verdict" {
            @if open.is_empty() {
                p class={"answer " (if problems.is_empty() && warnings.is_empty() { "good" } else { "unsure" })} {
                    @if problems.is_empty() && warnings.is_empty() { "No incident is open." }
                    @else if problems.is_empty() { "No host is known to fail." }
                    @else { "No incident is known to be open." }
                }
            } @else {
                p.answer.bad {
                    @if open.len() == 1 { "One incident is open" } @else { (open.len()) " incidents are open" }
                    ": " (number(affected)) @if affected == 1 { " host fails" } @else { " hosts are affected" } "."
                }
            }
            @match warnings.len() {
                0 => {},
                1 => p.problem { "A warning is open: hosts will fail unless somebody acts." },
                count => p.problem { (count) " warnings are open: hosts will fail unless somebody acts." },
            }
            @for problem in &problems { p.problem { (shown(problem)) } }
        }
    }
}

fn open_incidents(incidents: &IncidentIndex) -> Markup {
    let open = incidents.open();
    html! {
        @if !open.is_empty() {
            section {
                h2 id="open" { "Open incidents, the worst first" }
                ul.cards { @for known in open.iter().take(CARDS_MAX) { li { (card(known)) } } }
                @if open.len() > CARDS_MAX {
                    p.soft { (open.len() - CARDS_MAX) " more are in the " a href="/?state=open#history" { "table" } "." }
                }
            }
        }
    }
}

fn card(known: &IncidentDocuments) -> Markup {
    let alert = &known.newest;
    let counted = if alert.kind.is_failures() { " active hosts" } else { " hosts with an inventory" };
    html! {
        article.card {
            div.words {
                h3 { a href={"/incidents/" (alert.id)} { (shown(&title(alert))) } " " (level(alert.severity.level)) }
                p {
                    strong { (number(alert.hosts.affected)) " of " (number(alert.hosts.active)) (counted) }
                    " (" (percent(alert.hosts.share_of_active)) ")"
                    @if alert.hosts.recovered > 0 { ", " (number(alert.hosts.recovered)) " recovered" }
                    @if let Some(code) = alert.codes.first() { " · " code { (shown(&code.code)) } " " (shown(code.symbol.as_deref().unwrap_or(""))) }
                }
                p { @match cause(alert) {
                    Some(cause) => { span.soft { "Cause: " } (cause) (counts(alert)) },
                    None => span.soft { "No cause is known: affected hosts share nothing that healthy ones do not." },
                } }
                p.soft {
                    "Since " (time(alert.time.onset.0)) " (" (span(alert.time.updated.0 - alert.time.onset.0)) " until the newest document)"
                    @if alert.handling.acknowledged.is_some() { " · acknowledged" }
                }
            }
            figure { (curve(known)) figcaption { "affected" @if alert.hosts.recovered > 0 { ", recovered (dashed)" } } }
        }
    }
}

/// How clearly the cause distinguishes affected from healthy hosts.
fn counts(alert: &Alert) -> Markup {
    html! {
        @if !alert.kind.is_failures() {
            // A warning does not compare hosts.
        } @else if let Some(found) = alert.certificates.first() {
            ", on " (found.affected_hosts) " of " (found.affected_known) " affected and " (found.healthy_hosts) " of "
            (found.healthy_known) " healthy hosts with an inventory"
        } @else if let Some(factor) = alert.common_factors.first() {
            ", of " (percent(factor.coverage)) " of the affected and " (percent(factor.in_healthy)) " of the healthy hosts"
        }
    }
}

fn fleet_part(status: &Status, fleet: &Result<FleetState, NoAnswer>) -> Markup {
    html! {
        section {
            h2 id="fleet" { "The fleet" }
            @match fleet {
                Ok(fleet) => {
                    ul.figures {
                        (figure("hosts", fleet.hosts, ""))
                        (figure("failing", fleet.failing, "failing"))
                        @for name in HOST_STATES.into_iter().rev() {
                            (figure(name, fleet.by_state.get(name).copied().unwrap_or(0), name))
                        }
                    }
                    @if fleet.log_time > 0 { p.soft { "At log time " (time(fleet.log_time)) "." } }
                },
                Err(why) => p.problem { (shown(&status.why_unanswered(*why))) },
            }
        }
    }
}

fn figure(name: &str, count: u64, state: &str) -> Markup {
    let href = if state.is_empty() { "/hosts".to_owned() } else { format!("/hosts?state={state}") };
    html! { li { a href=(href) { strong { (number(count)) } " " (name) } } }
}

fn history(incidents: &IncidentIndex, filter: &Filter) -> Markup {
    let (total, rows) = filter.rows(incidents);
    html! {
        section {
            h2 id="history" { "History of incidents" }
            (form(filter))
            p.soft {
                "Shown: " (rows.len()) " of " (total) ". "
                @if total > ROWS_MAX { "Narrow the filter to see the others. " }
                @if incidents.forgotten() > 0 { (incidents.forgotten()) " older ones are no longer in memory; wulog-processor alerts list --all has them. " }
                @if incidents.unreadable() > 0 { (incidents.unreadable()) " records are no document that this version can read. " }
                a href=(address("/incidents.csv", filter)) { "These rows as CSV" }
            }
            @if !rows.is_empty() {
                div.scroll tabindex="0" role="region" aria-labelledby="history" {
                    table.wide {
                        thead { tr {
                            @for name in ["Fails", "State", "Severity", "Hosts", "Onset", "Cause"] { th scope="col" { (name) } }
                        } }
                        tbody { @for known in rows { (history_row(known)) } }
                    }
                }
            }
        }
    }
}

fn history_row(known: &IncidentDocuments) -> Markup {
    let alert = &known.newest;
    html! {
        tr {
            th scope="row" { a href={"/incidents/" (alert.id)} { (shown(&title(alert))) } br; span.soft { (alert.family) } }
            td { (state(alert.state)) }
            td { (level(alert.severity.level)) }
            td.number { (number(alert.hosts.affected)) " of " (number(alert.hosts.active)) }
            td.time { (time(alert.time.onset.0)) }
            td { (cause(alert).unwrap_or_else(|| "-".to_owned())) }
        }
    }
}

fn form(filter: &Filter) -> Markup {
    html! {
        form.filter action="/#history" method="get" role="search" aria-label="Filter the history" {
            label { "State" select name="state" {
                option value="" { "all" }
                @for (name, value) in STATES { option value=(name) selected[filter.state == Some(value)] { (name) } }
            } }
            label { "Family" select name="family" {
                option value="" { "all" }
                @for family in Family::ALL { option value=(family) selected[filter.family == Some(family)] { (family) } }
            } }
            label { "Server" input name="server" value=(filter.server) maxlength="200" autocomplete="off"; }
            label { "Text" input name="text" value=(filter.text) maxlength="200" autocomplete="off"; }
            button type="submit" { "Filter" }
        }
    }
}
