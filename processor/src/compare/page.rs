//! A comparison as one page that opens offline and prints.

use super::RunComparison;
use super::view::View;
use crate::html::{self, OfflinePage};
use crate::postmortem::STYLE;

const TEMPLATE: &str = include_str!("compare.html");
/// Styles that the page needs in addition to the style sheet of reports.
const OWN_STYLE: &str = include_str!("compare.css");

/// The comparison as HTML without script, style sheet or picture from elsewhere.
///
/// # Errors
/// When the template has a fault.
pub(crate) fn html(comparison: &RunComparison) -> Result<String, minijinja::Error> {
    let view = View::of(comparison);
    let body = html::render("compare.html", TEMPLATE, &view)?;
    let title = format!("{} and {} compared", view.runs[0], view.runs[1]);
    OfflinePage { lang: "en", title: &title, style: &format!("{STYLE}{OWN_STYLE}"), body: &body }.html()
}
