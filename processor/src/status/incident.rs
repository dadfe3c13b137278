//! `/incidents/ID`: the report of an incident, live.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono_tz::Tz;
use maud::{PreEscaped, html};

use super::Status;
use super::filter::title;
use super::layout::{NavPlace, Page, csv as csv_answer, shown, time, wrong};
use super::table::{level, state};
use crate::language::Language;
use crate::postmortem::{ReportData, Style, spreadsheet};
use crate::question::{Answer, MemberHost, NoAnswer, Question};

const STYLE: Style = Style { language: Language::En, zone: Tz::UTC };

/// The affected hosts as the Detector knows them; `None` where it has forgotten the incident.
pub(super) async fn members(status: &Status, id: &str) -> Result<Option<Vec<MemberHost>>, NoAnswer> {
    match status.asker.ask(Question::Members(id.to_owned())).await? {
        Answer::Members(members) => Ok(members),
        _ => Err(NoAnswer::Busy),
    }
}

fn unknown(status: &Status, id: &str) -> Response {
    let why = format!(
        "No incident {id:?} is in the memory of this process. wulog-processor alerts list --all names all of them."
    );
    wrong(StatusCode::NOT_FOUND, NavPlace::Incidents, "Unknown incident", &why, status)
}

pub(super) async fn page(State(status): State<Arc<Status>>, Path(id): Path<String>) -> Response {
    // The incident is looked up before the question, so that made-up ids cause no question.
    if status.incidents().get(&id).is_none() {
        return unknown(&status, &id);
    }
    let members = members(&status, &id).await;
    let Some(known) = status.incidents().get(&id).cloned() else { return unknown(&status, &id) };
    let alert = &known.newest;
    let why = members.as_ref().err().map(|why| status.why_unanswered(*why));
    let has_hosts = matches!(members, Ok(Some(_)));
    let incident = ReportData::of_documents(known.documents())
        .with_members(members.ok().flatten())
        .with_lines(status.evidence(alert));
    let Ok(sections) = incident.sections(STYLE) else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made; please report this\n").into_response();
    };
    let page = Page {
        place: NavPlace::Incidents,
        title: title(alert).into_owned(),
        fixed: html! {},
        live: html! {
            p {
                (level(alert.severity.level)) " " strong { (state(alert.state)) } " · "
                span.soft { code { (alert.id) } " · document " (alert.seq) ", " (alert.transition) " at " (time(alert.time.updated.0)) }
            }
            @if let Some(into) = &alert.related.merged_into { p { "It goes on as " a href={"/incidents/" (into)} { (into) } "." } }
            @if let Some(why) = why { p.problem { (shown(&why)) } }
            @if has_hosts { p { a href={"/incidents/" (alert.id) "/hosts.csv"} { "Affected hosts as CSV" } } }
            (PreEscaped(sections))
        },
        json: format!("/api/v1/incidents/{id}"),
    };
    page.answer(&status)
}

/// `/incidents/ID/hosts.csv`.
pub(super) async fn csv(State(status): State<Arc<Status>>, Path(id): Path<String>) -> Response {
    if status.incidents().get(&id).is_none() {
        return unknown(&status, &id);
    }
    match members(&status, &id).await {
        Ok(Some(members)) => {
            let hosts: Vec<_> = members.into_iter().map(Into::into).collect();
            csv_answer("hosts.csv", spreadsheet::csv(&hosts))
        }
        Ok(None) => {
            let why = "The Detector has forgotten this incident. wulog-processor report has its hosts.";
            wrong(StatusCode::NOT_FOUND, NavPlace::Incidents, "No hosts", why, &status)
        }
        Err(why) => {
            let why = status.why_unanswered(why);
            wrong(StatusCode::SERVICE_UNAVAILABLE, NavPlace::Incidents, "No answer", &why, &status)
        }
    }
}
