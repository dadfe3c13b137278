//! Settings in TOML: [`Secret`]s that no message shows, and errors that name line and key.

mod secret;
mod toml_place;

pub use secret::{FORMS, Origin, Secret, readable_by_all, schema_of_forms};
pub use toml_place::{key_at, line_at, place_of, toml_error};
