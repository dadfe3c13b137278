//! `/api/v1/`: every page as JSON. `openapi.json` describes the answers.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use wulog_schemas::alert::{Alert, IncidentKind, Level, UtcTime};
use wulog_schemas::visible::visible_json;

use super::filter::{Filter, title};
use super::incidents::IncidentDocuments;
use super::{Status, certificates as certificates_page, hosts as hosts_page, incident as incident_page, table};
use crate::question::{MemberHost, NoAnswer};

/// Hosts in the answer about an incident; the CSV file has all of them.
const MEMBERS_SHOWN: usize = 1_000;

/// An incident in a list, and a row of the CSV file.
#[derive(Serialize)]
pub(super) struct Summary {
    pub(super) id: String,
    pub(super) kind: IncidentKind,
    pub(super) state: &'static str,
    pub(super) severity: Level,
    pub(super) family: &'static str,
    pub(super) title: String,
    pub(super) affected: u64,
    pub(super) active: u64,
    pub(super) share_of_active: f64,
    pub(super) recovered: u64,
    pub(super) onset: UtcTime,
    pub(super) opened: UtcTime,
    pub(super) updated: UtcTime,
    pub(super) resolved: Option<UtcTime>,
    pub(super) cause: Option<String>,
    pub(super) summary: String,
}

#[derive(Serialize)]
struct Point {
    seq: u32,
    transition: String,
    time: UtcTime,
    affected: u64,
    recovered: u64,
}

#[derive(Serialize)]
struct MemberRow {
    name: String,
    first_failure: UtcTime,
    code: String,
    subject: String,
    title: String,
    recovered: bool,
    recovered_at: Option<UtcTime>,
    raw_partition: i32,
    raw_offset: i64,
}

#[derive(Serialize)]
struct IncidentAnswer<'a> {
    incident: &'a Alert,
    documents: Vec<Point>,
    /// `None` where this process does not know single hosts; `hosts_unknown` says why.
    hosts: Option<Vec<MemberRow>>,
    hosts_unknown: Option<String>,
}

/// The incident as a row.
pub(super) fn summary(known: &IncidentDocuments) -> Summary {
    let alert = &known.newest;
    Summary {
        id: alert.id.clone(),
        kind: alert.kind,
        state: table::state(alert.state),
        severity: alert.severity.level,
        family: alert.family.as_str(),
        title: title(alert).into_owned(),
        affected: alert.hosts.affected,
        active: alert.hosts.active,
        share_of_active: alert.hosts.share_of_active,
        recovered: alert.hosts.recovered,
        onset: alert.time.onset,
        opened: alert.time.opened,
        updated: alert.time.updated,
        resolved: alert.time.resolved,
        cause: table::cause(alert),
        summary: alert.summary.clone(),
    }
}

/// A value as JSON without invisible characters.
pub(super) fn answer(code: StatusCode, value: &impl Serialize) -> Response {
    let Ok(text) = serde_json::to_string(value) else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made; please report this\n")
            .into_response();
    };
    let kind = HeaderValue::from_static("application/json");
    (code, [(header::CONTENT_TYPE, kind)], visible_json(&text).into_owned()).into_response()
}

pub(super) fn error(code: StatusCode, why: &str) -> Response {
    answer(code, &json!({ "error": why }))
}

fn unanswered(status: &Status, why: NoAnswer) -> Response {
    let code = if why == NoAnswer::TooMany { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::SERVICE_UNAVAILABLE };
    let seconds = HeaderValue::from_static(if why == NoAnswer::TooMany { "1" } else { "5" });
    let mut response = error(code, &status.why_unanswered(why));
    response.headers_mut().insert(HeaderName::from_static("retry-after"), seconds);
    response
}

pub(super) async fn status(State(status): State<Arc<Status>>) -> Response {
    let fleet = status.fleet().await;
    let incidents = status.incidents();
    let (open, problems) = (incidents.open(), status.problems());
    let value = json!({
        "version": status.version(),
        "wulog": env!("CARGO_PKG_VERSION"),
        "instance": status.instance,
        "ok": open.is_empty() && problems.is_empty(),
        "problems": problems,
        "incidents_open": open.len(),
        "worst_severity": open.first().map(|known| known.newest.severity.level),
        "incidents_known": incidents.len(),
        "incidents_forgotten": incidents.forgotten(),
        "documents_unreadable": incidents.unreadable(),
        "fleet": fleet.as_ref().ok(),
        "fleet_unknown": fleet.as_ref().err().map(|why| status.why_unanswered(*why)),
    });
    answer(StatusCode::OK, &value)
}

pub(super) async fn incidents(State(status): State<Arc<Status>>, RawQuery(query): RawQuery) -> Response {
    let filter = match Filter::of_query(&query.unwrap_or_default()) {
        Ok(filter) => filter,
        Err(why) => return error(StatusCode::BAD_REQUEST, &why),
    };
    let incidents = status.incidents();
    let (total, rows) = filter.rows(&incidents);
    let rows: Vec<Summary> = rows.into_iter().map(summary).collect();
    answer(StatusCode::OK, &json!({ "version": status.version(), "total": total, "incidents": rows }))
}

pub(super) async fn incident(State(status): State<Arc<Status>>, Path(id): Path<String>) -> Response {
    let unknown = || error(StatusCode::NOT_FOUND, &format!("no incident {id:?} is in the memory of this process"));
    if status.incidents().get(&id).is_none() {
        return unknown();
    }
    let members = incident_page::members(&status, &id).await;
    let Some(known) = status.incidents().get(&id).cloned() else { return unknown() };
    let hosts_unknown = match &members {
        Ok(Some(_)) => None,
        Ok(None) => Some("the Detector has forgotten this incident; wulog-processor report has its hosts".to_owned()),
        Err(why) => Some(status.why_unanswered(*why)),
    };
    let points = known.points().map(|alert| Point {
        seq: alert.seq,
        transition: alert.transition.to_string(),
        time: alert.time.updated,
        affected: alert.hosts.affected,
        recovered: alert.hosts.recovered,
    });
    let value = IncidentAnswer {
        incident: &known.newest,
        documents: points.collect(),
        hosts: members.ok().flatten().map(|members| members.into_iter().take(MEMBERS_SHOWN).map(member).collect()),
        hosts_unknown,
    };
    answer(StatusCode::OK, &value)
}

fn member(member: MemberHost) -> MemberRow {
    MemberRow {
        name: member.name,
        first_failure: UtcTime(member.first_failure),
        code: member.code,
        subject: member.subject,
        title: member.title,
        recovered: member.recovered,
        recovered_at: member.recovered_at.map(UtcTime),
        raw_partition: member.raw.0,
        raw_offset: member.raw.1,
    }
}

pub(super) async fn hosts(State(status): State<Arc<Status>>, RawQuery(query): RawQuery) -> Response {
    let search = match hosts_page::search_of(&query.unwrap_or_default()) {
        Ok(search) => search,
        Err(why) => return error(StatusCode::BAD_REQUEST, &why),
    };
    match hosts_page::search(&status, search).await {
        Ok(found) => answer(StatusCode::OK, &found),
        Err(why) => unanswered(&status, why),
    }
}

pub(super) async fn host(State(status): State<Arc<Status>>, Path(name): Path<String>) -> Response {
    match hosts_page::named(&status, name.clone()).await {
        Ok(found) if found.is_empty() => error(StatusCode::NOT_FOUND, &format!("the Detector knows no host {name:?}")),
        Ok(found) => answer(StatusCode::OK, &json!({ "hosts": found })),
        Err(why) => unanswered(&status, why),
    }
}

pub(super) async fn certificates(State(status): State<Arc<Status>>) -> Response {
    match certificates_page::list(&status).await {
        Ok(found) => answer(StatusCode::OK, &found),
        Err(why) => unanswered(&status, why),
    }
}

pub(super) async fn pipeline(State(status): State<Arc<Status>>) -> Response {
    answer(StatusCode::OK, &json!({ "problems": status.problems(), "pipeline": status.pipeline() }))
}
