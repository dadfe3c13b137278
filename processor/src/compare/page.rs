//! A comparison as one page that opens offline and prints.

use super::Comparison;
use super::view::View;
use crate::html;

const TEMPLATE: &str = include_str!("compare.html");

/// The comparison as HTML without script, style sheet or picture from elsewhere.
///
/// # Errors
/// When the template has a fault.
pub fn html(comparison: &Comparison) -> Result<String, minijinja::Error> {
    html::render("compare.html", TEMPLATE, &View::of(comparison))
}
