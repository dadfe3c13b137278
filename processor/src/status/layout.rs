//! The frame of every page: head, navigation, the part that is replaced after a change, and the shared pieces.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, html};
use wulog_schemas::visible::visible;

use super::Status;
use crate::postmortem::STYLE;

const STATUS_STYLE: &str = include_str!("status.css");
const SCRIPT: &str = include_str!("status.js");
const CSV: &str = "text/csv; charset=utf-8";

/// A page's place in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NavPlace {
    Incidents,
    Hosts,
    Certificates,
    Pipeline,
}

const PLACES: [(NavPlace, &str, &str); 4] = [
    (NavPlace::Incidents, "/", "Incidents"),
    (NavPlace::Hosts, "/hosts", "Hosts"),
    (NavPlace::Certificates, "/certificates", "Certificates"),
    (NavPlace::Pipeline, "/pipeline", "Pipeline"),
];

/// A page: `fixed` stays while the page is open, the script replaces `live` after a change.
pub(super) struct Page {
    pub(super) place: NavPlace,
    pub(super) title: String,
    /// Content between the heading and the live part; forms stand here, so that no typed text is lost.
    pub(super) fixed: Markup,
    pub(super) live: Markup,
    /// Address of the page's JSON answer.
    pub(super) json: String,
}

impl Page {
    /// The page as an answer.
    pub(super) fn answer(self, status: &Status) -> Response {
        self.answer_as(StatusCode::OK, status)
    }

    /// The page as an answer with another status.
    pub(super) fn answer_as(self, code: StatusCode, status: &Status) -> Response {
        let title = shown(&self.title);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " - wulog" }
                    link rel="stylesheet" href="/status.css";
                    link rel="icon" href="data:,";
                    script src="/status.js" defer {}
                }
                body data-version=(status.version()) {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        p.brand { "wulog" @if !status.instance.is_empty() { " " span.soft { (shown(&status.instance)) } } }
                        nav aria-label="Pages" {
                            ul {
                                @for (place, href, name) in PLACES {
                                    li { a href=(href) aria-current=[(place == self.place).then_some("page")] { (name) } }
                                }
                            }
                        }
                    }
                    main id="main" tabindex="-1" {
                        h1 { (title) }
                        (self.fixed)
                        div id="live" { (self.live) }
                    }
                    footer {
                        p.soft {
                            "wulog " (env!("CARGO_PKG_VERSION")) " · read-only · times are in UTC · "
                            a href=(self.json) { "this page as JSON" } " · "
                            a href="/api/v1/openapi.json" { "API" }
                        }
                        p.soft id="news" role="status" aria-live="polite" {}
                    }
                }
            }
        };
        (code, [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], page.into_string())
            .into_response()
    }
}

/// A page that explains an invalid address.
pub(super) fn wrong(code: StatusCode, place: NavPlace, title: &str, why: &str, status: &Status) -> Response {
    let page = Page {
        place,
        title: title.to_owned(),
        fixed: html! {},
        live: html! { p.problem { (shown(why)) } },
        json: "/api/v1/status".to_owned(),
    };
    page.answer_as(code, status)
}

/// A CSV file.
pub(super) fn csv(name: &str, text: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, CSV), (header::CONTENT_DISPOSITION, disposition.as_str())], text).into_response()
}

/// `/status.css`: the report's style sheet and the additions of the pages.
pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], [STYLE, STATUS_STYLE].concat()).into_response()
}

/// `/status.js`.
pub(super) async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

/// A text with invisible characters made visible; maud escapes the others.
pub(super) fn shown(text: &str) -> String {
    visible(text).into_owned()
}

/// `2023-03-01 22:19` in UTC, for people and for machines.
pub(super) fn time(ms: i64) -> Markup {
    let time: DateTime<Utc> = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    html! { time datetime=(time.format("%Y-%m-%dT%H:%M:%SZ")) { (time.format("%Y-%m-%d %H:%M")) } }
}

/// A length of time in its largest unit.
pub(super) fn span(ms: i64) -> String {
    let secs = ms.max(0) / 1000;
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "min")] {
        if secs >= 2 * unit {
            return format!("{} {name}", secs / unit);
        }
    }
    format!("{secs} s")
}

/// A number with blanks between thousands.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!(["1", "20", "1\u{a0}000", "1\u{a0}234\u{a0}567"], [1, 20, 1_000, 1_234_567].map(number));
        assert_eq!(
            ["5 s", "119 s", "2 min", "47 h", "2 d"],
            [5, 119, 120, 47 * 3600, 48 * 3600].map(|s| span(s * 1000))
        );
        assert_eq!(
            time(1_573_430_400_000).into_string(),
            "<time datetime=\"2019-11-11T00:00:00Z\">2019-11-11 00:00</time>"
        );
    }
}
