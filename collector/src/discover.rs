//! Finds the files of the inputs. The globs are searched periodically, since file events get lost under load and shares
//! have no file events.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use tracing::warn;
use wulog_files::{Fence, shown};
use wulog_lines::EncodingChoice;
use wulog_schemas::raw::Source;

use crate::input::Input;
use crate::search::{Unsearchable, search};

/// The pause lasts at least so many times as long as the search, so searching takes at most 1/50 of the time.
const SCAN_SHARE: u32 = 50;

/// A file that no tail follows yet.
#[derive(Clone, Debug)]
pub(crate) struct Discovered {
    /// The path of the file.
    pub path: PathBuf,
    /// The index of the input that names the file, from 0.
    pub input: usize,
    /// The name of the host, from the path; `None` means the collector's own host.
    pub host: Option<String>,
    /// The parent of the host's folder, where the name of a folder is the host's name.
    pub hosts_folder: Option<String>,
    /// Which log the file is.
    pub source: Source,
    /// The encoding of the file.
    pub encoding: EncodingChoice,
    /// The folder in which the real path of the file must lie; see [`Fence`].
    pub fence: Fence,
    /// Time zone of a gathered host.
    pub time_zone: Option<String>,
    /// Labels of a gathered host.
    pub labels: BTreeMap<String, String>,
}

/// Searches the inputs' globs.
#[derive(Debug)]
pub(crate) struct Discovery {
    inputs: Vec<Input>,
    interval: Duration,
    /// Warnings that were logged, so that each is logged once.
    said: HashSet<String>,
}

impl Discovery {
    /// Returns a search of these inputs, with at least `interval` between two searches.
    #[must_use]
    pub(crate) fn new(inputs: Vec<Input>, interval: Duration) -> Discovery {
        Discovery { inputs, interval, said: HashSet::new() }
    }

    /// True when some input belongs to the collector's own host.
    #[must_use]
    pub(crate) fn reads_own_host(&self) -> bool {
        self.inputs.iter().any(|input| input.host_pattern.is_none())
    }

    /// The first path or glob of each input.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.inputs.iter().map(|input| input.paths.first().cloned().unwrap_or_default())
    }

    /// The inputs.
    #[must_use]
    pub(crate) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Returns host and path of a file that lies beside the logs of an input; `None` where the path names no host.
    pub(crate) fn beside(&mut self, input: usize, path: PathBuf) -> Option<Discovered> {
        discovered((input, self.inputs.get(input)?), path, &Fence::none(), &mut self.said)
    }

    /// Returns how long to wait after a search that took `took`.
    #[must_use]
    pub(crate) fn pause_after(&self, took: Duration) -> Duration {
        self.interval.max(took * SCAN_SHARE)
    }

    /// Returns the files that are not `known`, in the order of inputs and names.
    pub(crate) fn scan(&mut self, known: &HashMap<PathBuf, usize>) -> Vec<Discovered> {
        let mut found: Vec<Discovered> = Vec::new();
        let mut taken = HashSet::new();
        for (index, input) in self.inputs.iter().enumerate() {
            for pattern in &input.paths {
                let before = (found.len(), self.said.len());
                let mut any = false;
                let fence = input.fence(pattern);
                for path in matches(pattern, &fence, &mut self.said) {
                    any = true;
                    if !known.contains_key(&path) && taken.insert(path.clone()) {
                        found.extend(discovered((index, input), path, &fence, &mut self.said));
                    }
                }
                if any {
                    self.said.remove(pattern);
                } else if before.1 == self.said.len() && self.said.insert(pattern.clone()) {
                    warn!(pattern, "no file matches; files that appear later are found");
                }
            }
        }
        found
    }
}

/// Returns the files that match. A folder is left out unless the input names it without wildcards; the tail of such a
/// folder then logs a warning.
fn matches(pattern: &str, fence: &Fence, said: &mut HashSet<String>) -> Vec<PathBuf> {
    let literal = PathBuf::from(pattern);
    if literal.exists() {
        return vec![literal];
    }
    let mut paths = Vec::new();
    for entry in search(pattern, fence).into_iter().flatten() {
        match entry {
            Ok(path) => paths.push(path),
            Err(Unsearchable { folder, error }) => {
                if said.insert(shown(&folder).into_owned()) {
                    warn!(path = %folder.display(), %error, "folder cannot be searched; allow the collector to read it");
                }
            }
        }
    }
    paths
}

fn discovered(
    (index, input): (usize, &Input),
    path: PathBuf,
    fence: &Fence,
    said: &mut HashSet<String>,
) -> Option<Discovered> {
    let name = shown(&path).into_owned();
    let host = match &input.host_pattern {
        None => None,
        Some(pattern) => match pattern.captures(&name).and_then(|captures| captures.name("host")) {
            Some(host) => Some(host.range()),
            None => {
                if said.insert(name.clone()) {
                    warn!(path = %path.display(), %pattern, "host_pattern does not match; the file is not read");
                }
                return None;
            }
        },
    };
    let is_slash = |c: Option<char>| c.is_none_or(|c| matches!(c, '/' | '\\'));
    let hosts_folder = host.clone().and_then(|host| {
        let (before, after) = (&name[..host.start], &name[host.end..]);
        let is_folder = is_slash(before.chars().next_back()) && !after.is_empty() && is_slash(after.chars().next());
        is_folder.then(|| before.to_owned())
    });
    Some(Discovered {
        hosts_folder,
        input: index,
        source: input.source_of(&path),
        path,
        host: host.map(|host| name[host].to_owned()),
        encoding: input.encoding,
        fence: fence.clone(),
        time_zone: input.time_zone.clone(),
        labels: input.labels.clone(),
    })
}
