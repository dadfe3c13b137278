//! The text of a configuration file, and errors that name the file, the line and the key.

use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::toml_place::{key_at, line_at, place_of, toml_error};

/// Why a configuration cannot be used. No message shows a line of the file, in which a password may stand.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {why}; {}", hint(.why.kind()))]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        why: io::Error,
    },
    /// The text is no TOML, or a key or value is invalid.
    #[error("{path}:{line}: {why}")]
    InvalidLine {
        /// The file.
        path: String,
        /// Line in the file, from 1.
        line: usize,
        /// The fault, and what to write instead.
        why: String,
    },
    /// A required key is missing, or values contradict each other, so no line is at fault.
    #[error("{path}: {why}")]
    Invalid {
        /// The file.
        path: String,
        /// The fault, and what to write instead.
        why: String,
    },
}

/// Returns the advice for a file that cannot be read.
fn hint(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "is the path right?",
        io::ErrorKind::PermissionDenied => "give this user the right to read it",
        io::ErrorKind::IsADirectory => "name the file in this folder",
        io::ErrorKind::InvalidData => "a configuration is TOML in UTF-8",
        _ => "is the path right, and may this user read it?",
    }
}

/// The program that a configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `wulog-collector`.
    Collector,
    /// `wulog-processor run`, and all commands that work on Kafka.
    Processor,
    /// `wulog-processor standalone`, which takes a part of the tables of `run`.
    Standalone,
}

impl Program {
    /// The other programs, with tables and keys at the top of their configurations that this program does not have.
    const fn foreign_keys(self) -> &'static [(&'static str, &'static [&'static str])] {
        const COLLECTOR: (&str, &[&str]) =
            ("wulog-collector", &["input", "state_dir", "redact", "get_windows_update_log"]);
        match self {
            Program::Collector => {
                &[("wulog-processor", &["normalizer", "detector", "channels", "processor", "topics"])]
            }
            Program::Processor => &[COLLECTOR],
            Program::Standalone => {
                &[COLLECTOR, ("wulog-processor run, which has [kafka]", &["kafka", "topics", "processor", "instance"])]
            }
        }
    }
}

/// Reads the text of a configuration file.
///
/// # Errors
/// [`ConfigError::Unreadable`].
pub fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|why| ConfigError::Unreadable { path: path.display().to_string(), why })
}

/// The text of a configuration file, and the path that messages name.
#[derive(Clone, Copy, Debug)]
pub struct ConfigText<'a> {
    /// The path of the file.
    pub path: &'a str,
    /// The whole text of the file.
    pub text: &'a str,
}

impl ConfigText<'_> {
    /// The configuration of `program` as it is written.
    ///
    /// # Errors
    /// [`ConfigError::InvalidLine`] for the first key or value that `T` does not take.
    pub fn parse<T: DeserializeOwned>(self, program: Program) -> Result<T, ConfigError> {
        toml::from_str(self.text).map_err(|error| {
            let (line, mut why) = toml_error(self.text, &error);
            let is_written = |key: &&str| place_of(self.text, &[key]).is_some();
            let foreign = program.foreign_keys().iter().find(|(_, keys)| keys.iter().any(is_written));
            if self.text.trim_start().starts_with('{') {
                "this is JSON, and a configuration is TOML".clone_into(&mut why);
            } else if let Some((other, _)) = foreign {
                why = format!("{why}; this looks like a configuration of {other}");
            }
            ConfigError::InvalidLine { path: self.path.to_owned(), line, why }
        })
    }

    /// The error for the value at this byte of the text. The message names the key of the value.
    pub fn error_at(self, byte: usize, why: impl Into<String>) -> ConfigError {
        let (line, mut why) = (line_at(self.text, byte), why.into());
        if let Some(key) = key_at(self.text, byte).filter(|key| !why.starts_with(key)) {
            why = format!("{key}: {why}");
        }
        ConfigError::InvalidLine { path: self.path.to_owned(), line, why }
    }

    /// The error for a key, on the line of the key. A part of the key is a name, or an index (from 0) of an array. Where
    /// the key is not written, the line is that of the table that lacks it. `why` names the key.
    pub fn error_at_key(self, key: &[&str], why: impl Into<String>) -> ConfigError {
        let (path, why) = (self.path.to_owned(), why.into());
        match place_of(self.text, key) {
            Some(byte) => ConfigError::InvalidLine { path, line: line_at(self.text, byte), why },
            None => ConfigError::Invalid { path, why },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Detector {
        #[expect(dead_code, reason = "only errors are looked at")]
        detector: Option<toml::Table>,
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let config = ConfigText { path: "p.toml", text };
        let error = config.parse::<Detector>(Program::Processor).unwrap_err().to_string();
        for part in expected {
            assert!(error.contains(part), "{error:?} does not say {part:?}");
        }
    }

    #[test]
    fn a_file_of_another_kind_is_recognized() {
        check("\n{ \"detector\": {} }", &["p.toml:2: ", "JSON", "TOML"]);
        check("[[input]]\npaths = []\n", &["p.toml:1: column 3: unknown field `input`", "wulog-collector"]);
        check("state_dir = 'x'", &["wulog-collector"]);
        let of_run = ConfigText { path: "p.toml", text: "[kafka]\n" };
        let error = of_run.parse::<Detector>(Program::Standalone).unwrap_err().to_string();
        assert!(error.contains("wulog-processor run"), "{error}");
        let mistyped = "[detektor]\n";
        let error = ConfigText { path: "p.toml", text: mistyped }.parse::<Detector>(Program::Processor).unwrap_err();
        assert!(!error.to_string().contains("looks like"), "{error}");
    }

    #[test]
    fn a_key_that_is_not_written_has_no_line() {
        let config = ConfigText { path: "p.toml", text: "[a]\nb = 1\n" };
        assert_eq!(config.error_at_key(&["a", "b"], "wrong").to_string(), "p.toml:2: wrong");
        assert_eq!(config.error_at_key(&["a", "c"], "wrong").to_string(), "p.toml:1: wrong");
        assert_eq!(config.error_at_key(&["z"], "wrong").to_string(), "p.toml: wrong");
    }
}
