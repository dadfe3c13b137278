//! Pages for browsers: templates that escape every value, and data whose invisible characters are made visible.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;
use serde_json::Value;
use wulog_schemas::visible::visible;

const OFFLINE_PAGE: &str = include_str!("html/page.html");

/// Fills a template with data.
///
/// # Errors
/// If the template has a fault, or names a value that the data does not have.
pub(crate) fn render(name: &str, template: &str, page: &impl Serialize) -> Result<String, minijinja::Error> {
    fill(name, template, &data(page)?)
}

/// The data of a page, with invisible characters made visible.
///
/// # Errors
/// If the data cannot be written as JSON.
pub(crate) fn data(page: &impl Serialize) -> Result<Value, minijinja::Error> {
    let mut data = serde_json::to_value(page)
        .map_err(|error| minijinja::Error::new(minijinja::ErrorKind::BadSerialization, error.to_string()))?;
    make_visible(&mut data);
    Ok(data)
}

/// Fills a template with data from [`data`].
///
/// # Errors
/// If the template has a fault, or names a value that the data does not have.
pub(crate) fn fill(name: &str, template: &str, data: &Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template(name, template)?;
    environment.get_template(name)?.render(Serde(data))
}

/// A page that opens offline: without script, style sheet or picture from elsewhere.
#[derive(Serialize)]
pub(crate) struct OfflinePage<'a> {
    /// Language of the text: `en`, `de`.
    pub(crate) lang: &'a str,
    pub(crate) title: &'a str,
    /// Style sheet.
    pub(crate) style: &'a str,
    /// Content as HTML, in which every value is escaped.
    pub(crate) body: &'a str,
}

impl OfflinePage<'_> {
    /// The page as HTML.
    ///
    /// # Errors
    /// When the template has a fault.
    pub(crate) fn html(&self) -> Result<String, minijinja::Error> {
        let mut data = serde_json::to_value(self).expect("a page is plain data");
        make_visible(&mut data["title"]);
        fill("page.html", OFFLINE_PAGE, &data)
    }
}

/// A host name may hold characters that reverse the order of a text.
fn make_visible(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let std::borrow::Cow::Owned(seen) = visible(text) {
                *text = seen;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_visible),
        Value::Object(fields) => fields.values_mut().for_each(make_visible),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
