//! A set of files that the configuration names, and how they are read.

use std::collections::BTreeMap;
use std::path::Path;

use regex::Regex;
use wulog_schemas::raw::Source;

use wulog_files::Fence;
use wulog_lines::EncodingChoice;

/// A set of files.
#[derive(Clone, Debug)]
pub struct Input {
    /// Globs.
    pub paths: Vec<String>,
    /// Which log the files are; `None` detects the log by the file's name.
    pub source: Option<Source>,
    /// The encoding of the files.
    pub encoding: EncodingChoice,
    /// Takes the host from the path (group `host`); `None` means the collector's own host.
    pub host_pattern: Option<Regex>,
    /// True when links may lead out of the folder of `paths`. Otherwise files behind such links are not read, since the
    /// owner of a folder there could make the collector ship any file that the collector may read.
    pub follow_links_outside: bool,
    /// IANA time zone of gathered hosts.
    pub time_zone: Option<String>,
    /// Labels of gathered hosts, beside those of the collector's own host.
    pub labels: BTreeMap<String, String>,
}

impl Input {
    /// Returns an input with all defaults for one glob: the collector's own host; encoding and source are detected.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Input {
        Input {
            paths: vec![path.into()],
            source: None,
            encoding: EncodingChoice::Auto,
            host_pattern: None,
            follow_links_outside: false,
            time_zone: None,
            labels: BTreeMap::new(),
        }
    }

    /// Returns the fence of the files that one of the paths names.
    #[must_use]
    pub fn fence(&self, path: &str) -> Fence {
        let fence = match (self.follow_links_outside, Path::new(path).exists()) {
            (true, _) => Fence::none(),
            // An existing file is taken literally, since its name may contain wildcard characters.
            (false, true) => Fence::of_file(Path::new(path)),
            (false, false) => Fence::of_glob(path),
        };
        fence.of_input(&self.paths)
    }

    /// Returns which log a file of this input is.
    #[must_use]
    pub fn source_of(&self, path: &Path) -> Source {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        self.source.unwrap_or_else(|| Source::of_file_name(&name))
    }
}
