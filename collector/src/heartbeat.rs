//! Decides when a host sends a heartbeat.
//!
//! A heartbeat is due before the first line of the host, so that time zone and labels are known when the line is
//! parsed; when the host has caught up; when the host has been behind for [`BEHIND_MS`]; and every 15 minutes. A host
//! that falls behind sends no heartbeat at once: each line makes its host behind for a moment, so each line would cost
//! two heartbeats.

use std::cmp::Reverse;

use wulog_schemas::raw::{FileStatus, Unlisted};

/// How often a host sends a heartbeat.
pub(crate) const EVERY_MS: i64 = 15 * 60 * 1000;

/// How long a host must be behind before a heartbeat reports that it is behind.
pub(crate) const BEHIND_MS: i64 = 60 * 1000;

/// Bound of the list of files in bytes of JSON: some 800 files. A topic that takes the longest lines
/// ([`wulog_lines::LINE_BYTES_MAX`], up to three times as long once decoded) takes heartbeats of this size too.
pub(crate) const FILES_BYTES_MAX: usize = 128 * 1024;

/// Returns as many files as fit into `bytes_max`, and the sums of the files that do not fit. Files that lag most are
/// listed first, then files with losses.
#[must_use]
pub(crate) fn listed(mut files: Vec<FileStatus>, bytes_max: usize) -> (Vec<FileStatus>, Option<Unlisted>) {
    let sizes = |files: &[FileStatus]| -> Vec<usize> { files.iter().map(json_bytes).collect() };
    if sizes(&files).iter().sum::<usize>() <= bytes_max {
        return (files, None);
    }
    files.sort_by(|a, b| (Reverse((a.lag_bytes, a.losses)), &a.file).cmp(&(Reverse((b.lag_bytes, b.losses)), &b.file)));
    let mut left = bytes_max;
    let fits = |bytes: &usize| left.checked_sub(*bytes).map(|rest| left = rest).is_some();
    let kept = sizes(&files).iter().copied().take_while(fits).count();
    let rest = files.split_off(kept);
    let sum = |figure: fn(&FileStatus) -> u64| rest.iter().map(figure).sum();
    let unlisted =
        Unlisted { files: rest.len() as u64, lag_bytes: sum(|file| file.lag_bytes), losses: sum(|file| file.losses) };
    (files, Some(unlisted))
}

/// Returns the bytes of a status as JSON, + 1 for the comma behind it.
fn json_bytes(file: &FileStatus) -> usize {
    1 + serde_json::to_vec(file).expect("a status holds only strings and numbers").len()
}

/// The state of one host's last heartbeat, and its time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pulse {
    said: Option<(bool, i64)>,
    behind_since_ms: Option<i64>,
}

impl Pulse {
    /// Returns whether the due heartbeat reports that the host has caught up; `None` where no heartbeat is due.
    pub(crate) fn due(&mut self, now_ms: i64, caught_up: bool) -> Option<bool> {
        let since = (!caught_up).then(|| self.behind_since_ms.unwrap_or(now_ms));
        self.behind_since_ms = since;
        let news = match self.said {
            None => true,
            Some((false, _)) => caught_up,
            Some((true, _)) => since.is_some_and(|since| now_ms - since >= BEHIND_MS),
        };
        let again = self.said.is_some_and(|(_, when_ms)| now_ms - when_ms >= EVERY_MS);
        if !news && !again {
            return None;
        }
        // A periodic heartbeat repeats the last reported state: the present state may hold for a moment only.
        let says = if news { caught_up } else { self.said.is_some_and(|(said, _)| said) };
        self.said = Some((says, now_ms));
        Some(says)
    }

    /// True once a heartbeat was due.
    #[must_use]
    pub(crate) fn has_spoken(&self) -> bool {
        self.said.is_some()
    }

    /// True when the last heartbeat reports that the host has caught up.
    #[must_use]
    pub(crate) fn says_caught_up(&self) -> bool {
        self.said.is_some_and(|(said, _)| said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at `(second, caught up)` in turn; expects the due heartbeats as `(second, caught up)`.
    #[track_caller]
    fn check(looks: &[(i64, bool)], expect: &[(i64, bool)]) {
        let mut pulse = Pulse::default();
        let said: Vec<(i64, bool)> = looks
            .iter()
            .filter_map(|&(second, caught_up)| Some((second, pulse.due(second * 1000, caught_up)?)))
            .collect();
        assert_eq!(said, expect);
    }

    fn file(name: &str, lag_bytes: u64, losses: u64) -> FileStatus {
        FileStatus { file: name.to_owned(), epoch: "00".to_owned(), acked: 1, lag_bytes, losses }
    }

    /// Lists these files with room for `room` of them; expects the names that are listed, and the sums of the rest.
    #[track_caller]
    fn check_listed(files: &[(&str, u64, u64)], room: usize, names: &str, unlisted: Option<(u64, u64, u64)>) {
        let files: Vec<FileStatus> = files.iter().map(|&(name, lag, losses)| file(name, lag, losses)).collect();
        // {"file":"a","epoch":"00","acked":1,"lag_bytes":0,"losses":0} and a comma
        let (listed, rest) = listed(files, 62 * room);
        assert_eq!(listed.iter().map(|file| file.file.as_str()).collect::<String>(), names);
        let rest = rest.map(|Unlisted { files, lag_bytes, losses }| (files, lag_bytes, losses));
        assert_eq!(rest, unlisted);
    }

    #[test]
    fn the_files_that_lag_most_are_listed_and_the_sums_are_whole() {
        let files = [("a", 0, 0), ("b", 2, 1), ("c", 0, 3), ("d", 9, 0), ("e", 0, 0)];
        check_listed(&files, 5, "abcde", None);
        check_listed(&files, 4, "dbca", Some((1, 0, 0)));
        check_listed(&files, 2, "db", Some((3, 0, 3)));
        check_listed(&files, 1, "d", Some((4, 2, 4)));
        check_listed(&files, 0, "", Some((5, 11, 4)));
        check_listed(&[], 0, "", None);
    }

    #[test]
    fn a_host_speaks_before_its_first_line_and_when_it_has_caught_up() {
        check(&[(0, false), (0, false), (1, true), (2, true)], &[(0, false), (1, true)]);
        check(&[(0, true), (1, true)], &[(0, true)]);
    }

    #[test]
    fn a_line_on_its_way_is_no_news() {
        check(&[(0, true), (10, false), (11, true), (80, false), (81, true)], &[(0, true)]);
    }

    #[test]
    fn falling_behind_is_news_after_a_minute() {
        check(&[(0, true), (10, false), (69, false), (70, false), (71, true)], &[(0, true), (70, false), (71, true)]);
    }

    #[test]
    fn a_quiet_host_speaks_every_15_minutes() {
        check(
            &[(0, true), (899, true), (900, true), (1799, true), (1800, true)],
            &[(0, true), (900, true), (1800, true)],
        );
        check(&[(0, true), (900, false)], &[(0, true), (900, true)]);
        check(&[(0, false), (900, false)], &[(0, false), (900, false)]);
    }
}
