//! The reference of the configuration is generated from the types that read it, and the examples follow their schemas.
//!
//! `WULOG_BLESS=1 cargo test --release --workspace --test configuration` rewrites reference and schemas.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use wulog_tests::root;

/// The configurations: name of the binary, schema, and the examples in the folder `deploy`.
fn all() -> [(&'static str, Value, &'static [&'static str]); 2] {
    let collector = ["config/collector.toml", "config/collector-share.toml", "windows/collector.toml"].as_slice();
    let processor = ["config/processor.toml", "config/channels.toml"].as_slice();
    [
        ("wulog-collector", wulog_collector::config::schema().to_value(), collector),
        ("wulog-processor", wulog_processor::config::schema().to_value(), processor),
    ]
}

/// Writes the reference of one schema: a section for each table, a row for each key.
struct Reference<'a> {
    definitions: &'a Value,
    out: String,
    /// Titles and schemas of the tables that are still to be written.
    tables: Vec<(String, &'a Value)>,
}

impl<'a> Reference<'a> {
    fn of(schema: &'a Value, name: &str) -> String {
        let definitions = &schema["$defs"];
        let mut reference = Reference { definitions, out: format!("\n## {name}\n"), tables: Vec::new() };
        reference.table("", schema);
        while !reference.tables.is_empty() {
            let (title, table) = reference.tables.remove(0);
            writeln!(reference.out, "\n### `{title}`").unwrap();
            reference.table(&title, table);
        }
        reference.out
    }

    fn table(&mut self, title: &str, table: &'a Value) {
        let described = table.get("description").and_then(Value::as_str).unwrap_or_default();
        if !title.is_empty() && !described.is_empty() {
            writeln!(self.out, "\n{}", wrapped(described)).unwrap();
        }
        let properties = table["properties"].as_object().unwrap();
        let required: Vec<&str> =
            table["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        self.out += "\n| key | value | default | purpose |\n|---|---|---|---|\n";
        let path = title.trim_matches(['[', ']']);
        for (key, property) in properties {
            let purpose = property.get("description").and_then(Value::as_str);
            let purpose = purpose.unwrap_or_else(|| panic!("the key {key} of {title} has no description"));
            let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let default = match property.get("default") {
                _ if required.contains(&key.as_str()) => "required".to_owned(),
                Some(Value::Null | Value::Object(_)) | None => String::new(),
                Some(Value::Array(list)) if list.is_empty() => String::new(),
                Some(value) => format!("`{value}`"),
            };
            let value = self.value(&full, property);
            let (purpose, value) = (one_line(purpose).replace('|', "\\|"), value.replace('|', "\\|"));
            writeln!(self.out, "| `{key}` | {value} | {default} | {purpose} |").unwrap();
        }
    }

    /// The possible values of a key. A nested table is noted, and written later.
    fn value(&mut self, path: &str, schema: &'a Value) -> String {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let name = name.trim_start_matches("#/$defs/");
            if name == "Secret" {
                return "secret".to_owned();
            }
            if name == "KafkaValue" {
                return "value or secret".to_owned();
            }
            return self.value(path, &self.definitions[name]);
        }
        for union in ["anyOf", "oneOf"] {
            let Some(parts) = schema.get(union).and_then(Value::as_array) else { continue };
            let mut words: Vec<String> = Vec::new();
            for part in parts.iter().filter(|part| part["type"] != "null") {
                let word = self.value(path, part);
                if !words.contains(&word) {
                    words.push(word);
                }
            }
            return words.join(", ");
        }
        if let Some(value) = schema.get("const") {
            return format!("`{value}`");
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            let words: Vec<String> = values.iter().filter(|value| !value.is_null()).map(|v| format!("`{v}`")).collect();
            return words.join(", ");
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
            _ => panic!("{path}: the schema names no type: {schema}"),
        };
        match types.as_slice() {
            ["object"] if schema.get("properties").is_some() => {
                self.tables.push((format!("[{path}]"), schema));
                format!("table `[{path}]`")
            }
            ["object"] => format!("table of {}s by name", self.value(path, &schema["additionalProperties"])),
            ["array"] => {
                let before = self.tables.len();
                let of = self.value(path, &schema["items"]);
                if self.tables.len() == before {
                    return format!("list of {of}");
                }
                let title = format!("[[{path}]]");
                self.tables[before].0.clone_from(&title);
                format!("tables `{title}`")
            }
            ["boolean"] => "`true` or `false`".to_owned(),
            ["integer"] => "integer".to_owned(),
            [other] => (*other).to_owned(),
            _ => panic!("{path}: several types: {schema}"),
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// The text in lines that are no longer than the documents' lines may be.
fn wrapped(text: &str) -> String {
    const LINE_MAX: usize = 118;
    let (mut out, mut width) = (String::new(), 0);
    for word in text.split_whitespace() {
        let wanted = width + 1 + word.chars().count();
        let separator = if out.is_empty() {
            ""
        } else if wanted > LINE_MAX {
            "\n"
        } else {
            " "
        };
        width = if separator == " " { wanted } else { word.chars().count() };
        out = out + separator + word;
    }
    out
}

#[track_caller]
fn check_written(path: &Path, now: &str) {
    if std::env::var_os("WULOG_BLESS").is_some() {
        std::fs::write(path, now).unwrap();
    }
    let then = std::fs::read_to_string(path).unwrap_or_default();
    assert!(now == then, "{}: is not made from the types: run with WULOG_BLESS=1 and read the diff", path.display());
}

#[test]
fn the_reference_says_what_the_types_say() {
    let mut page = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let begin = page.find("\n## wulog-collector").unwrap_or(page.len());
    page.truncate(begin);
    for (name, schema, _) in all() {
        page += &Reference::of(&schema, name);
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        check_written(&root().join(format!("deploy/config/{name}.schema.json")), &text);
    }
    check_written(&root().join("docs/configuration.md"), &page);
}

#[test]
fn the_examples_follow_the_schemas() {
    for (name, schema, examples) in all() {
        let validator = jsonschema::validator_for(&schema).unwrap();
        for example in examples {
            let text = std::fs::read_to_string(root().join("deploy").join(example)).unwrap();
            let value: Value = toml::from_str(&text).unwrap_or_else(|error| panic!("{example}: {error}"));
            let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{name}, {example}: {errors:?}");
        }
    }
    let (_, schema, _) = &all()[1];
    let validator = jsonschema::validator_for(schema).unwrap();
    for wrong in ["topic_prefx = 'a'", "[detector]\nalpha = 'much'", "[[channels]]\nname = 'a'\nkind = 'pigeon'"] {
        let value: Value = toml::from_str(wrong).unwrap();
        assert!(!validator.is_valid(&value), "{wrong}");
    }
}
