//! An event as nested JSON, read and built by dotted paths such as `process.thread.id`.

use serde_json::{Map, Value};
use wulog_schemas::event::Event;

/// A JSON object.
pub(super) type Object = Map<String, Value>;

/// The event as its ECS document.
pub(super) fn of(event: &Event<'_>) -> Object {
    match serde_json::to_value(event) {
        Ok(Value::Object(fields)) => fields,
        _ => unreachable!("an event is an object of strings, numbers and string maps"),
    }
}

/// What stands at a path.
pub(super) fn get<'a>(fields: &'a Object, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        Some((name, rest)) => get(fields.get(name)?.as_object()?, rest),
        None => fields.get(path),
    }
}

/// Puts a value at a path, with the objects above it.
pub(super) fn put(fields: &mut Object, path: &str, value: impl Into<Value>) {
    match path.split_once('.') {
        Some((name, rest)) => {
            let inner = fields.entry(name).or_insert_with(|| Value::Object(Object::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
        None => {
            fields.insert(path.to_owned(), value.into());
        }
    }
}

/// All that stands at none of `paths`, nested and in order as before; objects that are left empty go.
pub(super) fn without(fields: Object, paths: &[&str]) -> Object {
    let is_named = |name: &str| paths.contains(&name);
    let mut left = Object::new();
    for (name, value) in fields {
        if is_named(&name) {
            continue;
        }
        let inner: Vec<&str> =
            paths.iter().filter_map(|path| path.strip_prefix(name.as_str())?.strip_prefix('.')).collect();
        match value {
            Value::Object(object) if !inner.is_empty() => {
                let object = without(object, &inner);
                if !object.is_empty() {
                    left.insert(name, Value::Object(object));
                }
            }
            value => {
                left.insert(name, value);
            }
        }
    }
    left
}

/// Every value that is no object, with its path, in order.
pub(super) fn leaves(fields: Object) -> Vec<(String, Value)> {
    let mut leaves = Vec::new();
    for (name, value) in fields {
        match value {
            Value::Object(inner) => {
                leaves.extend(self::leaves(inner).into_iter().map(|(path, value)| (format!("{name}.{path}"), value)));
            }
            value => leaves.push((name, value)),
        }
    }
    leaves
}

/// The last part of a path of any system.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn a_path_is_read_put_and_left_out() {
        let fields = object(json!({"a": {"b": {"c": 1}, "d": 2}, "e": [3]}));
        assert_eq!(get(&fields, "a.b.c"), Some(&json!(1)));
        assert_eq!(get(&fields, "a.x.c"), None);
        assert_eq!(get(&fields, "e.x"), None);
        let mut built = Object::new();
        put(&mut built, "a.b.c", 1);
        put(&mut built, "a.d", 2);
        put(&mut built, "e", json!([3]));
        assert_eq!(built, fields);
        assert_eq!(without(fields.clone(), &["a.b.c", "e"]), object(json!({"a": {"d": 2}})));
        assert_eq!(without(fields.clone(), &["a.b", "a.d"]), object(json!({"e": [3]})));
        let names: Vec<String> = leaves(fields).into_iter().map(|(path, _)| path).collect();
        assert_eq!(names, ["a.b.c", "a.d", "e"]);
    }
}
