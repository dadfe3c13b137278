//! The log files of one host, as `parse` and `explain` take them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::NormalizerArgs;
use crate::replay::files::STANDARD_INPUT;
use crate::replay::logs::HostLog;

#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// Log files of one host: WindowsUpdate.log, ReportingEvents.log or WUAHandler.log of any age and encoding; - is
    /// standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Name of the host that wrote the logs.
    #[arg(long, value_name = "NAME")]
    pub(super) host: Option<String>,
    #[command(flatten)]
    pub(super) normalizer: NormalizerArgs,
}

impl FileArgs {
    /// The files, each with its host.
    pub(super) fn logs(&self) -> Vec<HostLog> {
        let host = self.host.as_deref().unwrap_or("localhost");
        self.files.iter().map(|path| HostLog::new(host, path.clone())).collect()
    }

    /// Warns where the files look like those of several hosts. With --host there is no warning.
    pub(super) fn warn_of_folders(&self) {
        let folders = folders(&self.files);
        if folders.len() > 1 && self.host.is_none() {
            warn(&format!(
                "the logs of {} folders are taken for those of one host: name it with --host, or compare hosts with \
                 `replay --logs DIR`, which takes each folder DIR/HOST for a host",
                folders.len()
            ));
        }
    }
}

/// The folders of the files.
fn folders(files: &[PathBuf]) -> BTreeSet<&Path> {
    files.iter().filter(|path| path.as_path() != Path::new(STANDARD_INPUT)).filter_map(|path| path.parent()).collect()
}

/// Warns the person at the terminal.
pub(super) fn warn(text: &str) {
    eprintln!("wulog-processor: WARN {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_is_in_no_folder() {
        let files = ["a/WindowsUpdate.log", "a/ReportingEvents.log", "-", "b/WindowsUpdate.log"].map(PathBuf::from);
        assert_eq!(folders(&files), BTreeSet::from([Path::new("a"), Path::new("b")]));
        assert_eq!(folders(&["-".into(), "WindowsUpdate.log".into()]).len(), 1);
    }
}
