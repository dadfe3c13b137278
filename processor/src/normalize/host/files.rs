//! The files of a host for the status page: how far they are read, and how far the collector is behind.

use wulog_schemas::raw::Heartbeat;

use super::{Host, RecordContext};
use crate::normalize::limit;
use crate::question::{CollectorState, FILES_MAX, HostFile, HostFiles};

/// How many files with a lag are kept for each host.
const LAGGING_MAX: usize = 20;

/// The state of files in the newest heartbeat. Not part of snapshots, since no output depends on it: a restarted
/// processor waits for the next heartbeat, at most a quarter of an hour.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shipped {
    state: CollectorState,
    /// Path, lag and losses of the files with a lag or losses. Nearly all hosts have none, so a fleet costs little.
    lagging: Vec<(Box<str>, u64, u64)>,
    /// Whether the heartbeat names all files.
    is_whole: bool,
}

impl Shipped {
    pub(super) fn of(beat: &Heartbeat, scope: RecordContext<'_>) -> Shipped {
        let unlisted = beat.unlisted.unwrap_or_default();
        let sum = |of: fn(&wulog_schemas::raw::FileStatus) -> u64, rest: u64| {
            beat.files.iter().map(of).fold(rest, u64::saturating_add)
        };
        let state = CollectorState {
            at: scope.at.log_time,
            caught_up: beat.caught_up,
            files: unlisted.files.saturating_add(beat.files.len() as u64),
            lag_bytes: sum(|file| file.lag_bytes, unlisted.lag_bytes),
            losses: sum(|file| file.losses, unlisted.losses),
        };
        let is_lagging = |file: &&wulog_schemas::raw::FileStatus| file.lag_bytes > 0 || file.losses > 0;
        let lagging = beat.files.iter().filter(is_lagging);
        let is_whole = beat.unlisted.is_none() && lagging.clone().count() <= LAGGING_MAX;
        let lagging = lagging
            .take(LAGGING_MAX)
            .map(|file| (limit::path(&file.file, &scope.config.limits).into(), file.lag_bytes, file.losses))
            .collect();
        Shipped { state, lagging, is_whole }
    }

    /// Returns lag and losses of a file; `None` where the heartbeat does not name the file.
    fn of_file(&self, path: &str) -> Option<(u64, u64)> {
        match self.lagging.iter().find(|(known, ..)| **known == *path) {
            Some((_, lag_bytes, losses)) => Some((*lag_bytes, *losses)),
            None => self.is_whole.then_some((0, 0)),
        }
    }
}

impl Host {
    /// Returns the known files of the host.
    pub(in crate::normalize) fn files_read(&self) -> HostFiles {
        let mut files: Vec<HostFile> = self
            .files
            .iter()
            .map(|(path, file)| {
                let said = self.shipped.as_ref().and_then(|shipped| shipped.of_file(path));
                HostFile {
                    file: path.to_owned(),
                    newest: (file.newest > i64::MIN).then_some(file.newest),
                    read_bytes: file.read_bytes(),
                    lag_bytes: said.map(|(lag_bytes, _)| lag_bytes),
                    losses: said.map(|(_, losses)| losses),
                }
            })
            .collect();
        // Files of the heartbeat of which the Normalizer holds no state.
        let unread = self.shipped.iter().flat_map(|shipped| &shipped.lagging);
        let unread = unread.filter(|(path, ..)| self.files.place(path).is_err());
        files.extend(unread.map(|(path, lag_bytes, losses)| HostFile {
            file: path.to_string(),
            lag_bytes: Some(*lag_bytes),
            losses: Some(*losses),
            ..HostFile::default()
        }));
        files.sort_by(|a, b| (b.newest, &a.file).cmp(&(a.newest, &b.file)));
        let unlisted = files.len().saturating_sub(FILES_MAX) as u64;
        files.truncate(FILES_MAX);
        HostFiles { files, unlisted, collector: self.shipped.as_ref().map(|shipped| shipped.state.clone()) }
    }
}
