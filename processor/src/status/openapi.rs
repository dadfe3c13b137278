//! `/api/v1/openapi.json`: the description of the API, written by hand, with the schema of alerts in it.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::api;

const DESCRIPTION: &str = include_str!("openapi.json");
const ALERT: &str = include_str!("../../../schemas/json/alert.schema.json");

/// The description as OpenAPI 3.1. The definitions of the alert's schema become schemas of the description, under
/// `alert.NAME`.
///
/// # Panics
/// Never: both files are JSON, and a test reads them.
#[must_use]
pub fn openapi() -> Value {
    let mut description: Value = serde_json::from_str(DESCRIPTION).expect("openapi.json is JSON; a test reads it");
    let moved = ALERT.replace("\"#/$defs/", "\"#/components/schemas/alert.");
    let mut alert: Value = serde_json::from_str(&moved).expect("the schema of alerts is JSON; a test reads it");
    let definitions = alert.as_object_mut().and_then(|alert| alert.remove("$defs"));
    if let Some(object) = alert.as_object_mut() {
        object.remove("$schema");
        object.remove("$id");
    }
    let schemas = &mut description["components"]["schemas"];
    for (name, definition) in definitions.as_ref().and_then(Value::as_object).into_iter().flatten() {
        schemas[format!("alert.{name}")] = definition.clone();
    }
    schemas["Alert"] = alert;
    description["info"]["version"] = Value::from(env!("CARGO_PKG_VERSION"));
    description
}

pub(super) async fn answer() -> Response {
    api::answer(StatusCode::OK, &openapi())
}
