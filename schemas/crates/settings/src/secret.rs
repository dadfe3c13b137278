//! Secrets of a configuration: finds them where they are kept, and keeps them out of messages.
//!
//! A secret stands in the configuration itself, in an environment variable (`{ env = "NAME" }`) or in a file
//! (`{ file = "PATH" }`, which systemd's `LoadCredential` and Kubernetes fill). Both binaries use this module, so both
//! take the same forms and hide the same values.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

use wulog_files::open_regular;

/// The forms that a secret may have, for messages.
pub const FORMS: &str = "text, { env = \"NAME\" } or { file = \"PATH\" }";
/// Longest content of a secret's file. A PEM file with a chain of certificates has about 8 KiB.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// A password, token or address that nobody may read in a message. [`fmt::Debug`] shows `***`.
///
/// In TOML it is a text, `{ env = "NAME" }` or `{ file = "PATH" }`; the last two are looked up when the configuration
/// is read.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    value: String,
    origin: SecretOrigin,
}

/// Where a secret was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretOrigin {
    /// In the configuration itself.
    Inline,
    /// In an environment variable of this name.
    Env(String),
    /// In this file.
    File(PathBuf),
}

impl Secret {
    /// Returns a secret whose value stands in the configuration itself.
    #[must_use]
    pub fn inline(value: impl Into<String>) -> Secret {
        Secret { value: value.into(), origin: SecretOrigin::Inline }
    }

    /// Looks up a value that is kept elsewhere: `kind` is `env` or `file`.
    ///
    /// # Errors
    /// The message names the variable or the file, and never the value.
    pub fn look_up(kind: &str, name: &str) -> Result<Secret, String> {
        match kind {
            "env" => {
                let value = std::env::var(name).map_err(|error| match error {
                    std::env::VarError::NotPresent => format!("environment variable {name} is not set"),
                    std::env::VarError::NotUnicode(_) => format!("environment variable {name} is not UTF-8"),
                })?;
                Ok(Secret { value, origin: SecretOrigin::Env(name.to_owned()) })
            }
            "file" => {
                let value = read(Path::new(name)).map_err(|error| format!("cannot read {name}: {error}"))?;
                Ok(Secret { value, origin: SecretOrigin::File(name.into()) })
            }
            other => Err(format!("{other:?} is unknown: expected {FORMS}")),
        }
    }

    /// Returns the value for the library that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// Returns where the secret was found.
    #[must_use]
    pub fn origin(&self) -> &SecretOrigin {
        &self.origin
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        deserializer.deserialize_any(SecretForm)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema_of_forms(&json!("string"))
    }
}

/// Returns the JSON Schema of a value that stands in the configuration as one of these types, or is kept in a file or
/// in the environment.
#[must_use]
pub fn schema_of_forms(types: &Value) -> Schema {
    let elsewhere = |place: &str| {
        json_schema!({
            "type": "object",
            "properties": { place: { "type": "string" } },
            "required": [place],
            "additionalProperties": false
        })
    };
    json_schema!({
        "description": "The value itself, `{ file = \"PATH\" }`, or `{ env = \"NAME\" }`.",
        "anyOf": [{ "type": types }, elsewhere("file"), elsewhere("env")]
    })
}

/// Deserializes the three forms of a secret. Its errors name no value, unlike serde's.
struct SecretForm;

impl<'de> de::Visitor<'de> for SecretForm {
    type Value = Secret;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(FORMS)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::inline(text))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom(format!("a number is no secret: expected {FORMS}")))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom(format!("a number is no secret: expected {FORMS}")))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let kind: String = map.next_key()?.ok_or_else(|| de::Error::custom(format!("expected {FORMS}")))?;
        // Checked before the value is read: an unknown key may hold the secret itself.
        if kind != "env" && kind != "file" {
            return Err(de::Error::custom(format!("{kind:?} is unknown: expected {FORMS}")));
        }
        let name: String = map.next_value()?;
        if map.next_key::<String>()?.is_some() {
            return Err(de::Error::custom(format!("one key is expected: {FORMS}")));
        }
        Secret::look_up(&kind, &name).map_err(de::Error::custom)
    }
}

/// Returns one sentence for each file that holds a secret and can be read by every user: the configuration itself where
/// a secret stands in it, and the files that secrets are read from.
#[must_use]
pub fn readable_by_all(config: &Path, origins: &[(String, SecretOrigin)]) -> Vec<String> {
    let mut found = Vec::new();
    for (key, origin) in origins {
        let path = match origin {
            SecretOrigin::Inline => config,
            SecretOrigin::File(path) => path,
            SecretOrigin::Env(_) => continue,
        };
        if world_readable(path) {
            let path = path.display();
            found.push(format!("{path}: every user may read {key} in it; run `chmod 640 {path}`"));
        }
    }
    found
}

#[cfg(unix)]
fn world_readable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

/// Always false, since Windows has no such mode bit. The installer restricts the folder of the configuration by an
/// access list.
#[cfg(not(unix))]
fn world_readable(_: &Path) -> bool {
    false
}

/// Returns the content of a secret's file without the line ending that editors and `echo` add.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open_regular(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err(io::Error::other("it is empty"));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toml_place::toml_error;

    #[derive(Debug, Deserialize)]
    struct Holder {
        #[allow(dead_code)] // seen by Debug
        token: Secret,
    }

    fn parse(token: &str) -> Result<Secret, String> {
        let text = format!("token = {token}");
        let holder: Holder = toml::from_str(&text).map_err(|error| toml_error(&text, &error).1)?;
        assert!(!format!("{holder:?}").contains("hunter2"));
        Ok(holder.token)
    }

    #[test]
    fn the_three_forms_of_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "hunter2\r\n").unwrap();
        assert_eq!(parse("'hunter2'").unwrap(), Secret::inline("hunter2"));
        let secret = parse(&format!("{{ file = '{}' }}", file.display())).unwrap();
        assert_eq!((secret.expose(), secret.origin()), ("hunter2", &SecretOrigin::File(file)));
        let secret = parse("{ env = 'CARGO_PKG_NAME' }").unwrap();
        assert_eq!(
            (secret.expose(), secret.origin()),
            ("wulog-settings", &SecretOrigin::Env("CARGO_PKG_NAME".to_owned()))
        );
    }

    #[test]
    fn an_error_shows_no_secret() {
        for (token, part) in [
            ("{ vault = 'hunter2' }", "{ env"),
            ("['hunter2']", "{ env"),
            ("{ file = '/nowhere/pw', x = 'hunter2' }", "one key"),
            ("{ file = '/nowhere/pw' }", "/nowhere/pw"),
            ("{ file = '/' }", "regular file"),
            ("{ file = ['hunter2'] }", "expected a string"),
            ("{}", "{ env"),
            ("77", "{ env"),
            ("'hunter2", "column"),
            ("hunter2", "column"),
        ] {
            let error = parse(token).unwrap_err();
            assert!(error.contains(part) && !error.contains("hunter2") && !error.contains("77"), "{token}: {error}");
        }
        let text = "kafka = 'hunter2'";
        let error = toml::from_str::<std::collections::BTreeMap<String, Vec<u8>>>(text).unwrap_err();
        let (line, said) = toml_error(text, &error);
        assert!(line == 1 && said.contains("invalid type: string, expected") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    #[cfg(unix)]
    fn a_file_that_every_user_may_read_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (config, token) = (folder.path().join("c.toml"), folder.path().join("token"));
        let check = |mode: u32, expect: &[&str]| {
            for path in [&config, &token] {
                std::fs::write(path, "x").unwrap();
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            let origins = [
                ("kafka.a".to_owned(), SecretOrigin::Inline),
                ("kafka.b".to_owned(), SecretOrigin::File(token.clone())),
                ("kafka.c".to_owned(), SecretOrigin::Env("X".to_owned())),
            ];
            let found = readable_by_all(&config, &origins);
            assert_eq!(found.len(), expect.len(), "{found:?}");
            assert!(found.iter().zip(expect).all(|(found, part)| found.contains(part)), "{found:?}");
        };
        check(0o644, &["c.toml: every user may read kafka.a", "token: every user may read kafka.b"]);
        check(0o640, &[]);
    }
}
