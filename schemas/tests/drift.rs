//! The JSON Schemas in `schemas/json/` are those of the Rust types, and the examples are valid.
//!
//! `WULOG_BLESS=1 cargo test --release --workspace --test drift` rewrites the schema files after a change of a type.

use std::fs;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};
use wulog_schemas::{alert, certificate, event, raw, signal};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// `schemas/examples/NAME.json` holds the examples of `NAME`, as one JSON array.
fn examples(name: &str) -> Vec<Value> {
    let path = folder("examples").join(format!("{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn schema<T: JsonSchema>(name: &str) -> (String, Value) {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<T>();
    schema.insert("$id".to_owned(), json!(format!("https://wulog.example/schemas/{name}.schema.json")));
    schema.insert("examples".to_owned(), Value::Array(examples(name)));
    (name.to_owned(), schema.to_value())
}

fn all() -> Vec<(String, Value)> {
    vec![
        schema::<raw::RawHeader>("raw"),
        schema::<raw::Heartbeat>("heartbeat"),
        schema::<certificate::Inventory>("certificates"),
        schema::<event::Event<'_>>("event"),
        schema::<signal::Signal>("signal"),
        schema::<alert::Alert>("alert"),
    ]
}

#[test]
fn types_and_schemas_agree() {
    for (name, schema) in all() {
        let path = folder("json").join(format!("{name}.schema.json"));
        let now = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        if std::env::var_os("WULOG_BLESS").is_some() {
            fs::write(&path, &now).expect("schemas/json is writable");
        }
        let then = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            now == then,
            "{} is not the schema of its type: run with WULOG_BLESS=1 and read the diff",
            path.display()
        );
    }
}

#[test]
fn examples_are_valid() {
    for (name, schema) in all() {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let validator = jsonschema::validator_for(&schema).expect("a valid JSON Schema");
        let examples = examples(&name);
        assert!(!examples.is_empty(), "{name} has no example");
        for example in examples {
            let errors: Vec<String> = validator.iter_errors(&example).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{name}: {errors:?} in {example}");
        }
    }
}
