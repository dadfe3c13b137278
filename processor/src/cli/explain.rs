//! `explain`: what the log of one host tells, in plain words.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::files::FileArgs;
use crate::explain::{Explanation, Sheet, Verdict, explain};
use crate::replay::ReplayError;
use crate::replay::files::STANDARD_INPUT;

/// A terminal of the usual size.
const WIDTH: usize = 80;
const LINES: usize = 24;

/// The exit codes are the contract of scripts: 0 is healthy.
const EXIT_FAILING: u8 = 1;
pub(super) const EXIT_UNREADABLE: u8 = 2;

/// A log that is missing or cannot be read. Its exit code is that of an unreadable log.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct UnreadableLog(ReplayError);

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    files: FileArgs,
    /// Show all steps, also where they do not fit on one screen.
    #[arg(long)]
    all_steps: bool,
}

impl ExplainArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        self.files.warn_of_folders();
        let names: Vec<String> = self.files.files.iter().map(|path| name(path)).collect();
        let sheet = Sheet {
            host: self.files.host.clone().unwrap_or_else(|| names[0].clone()),
            files: names,
            width: WIDTH,
            lines: if self.all_steps { usize::MAX } else { LINES },
        };
        let config = self.files.normalizer.config()?;
        let Explanation { verdict, text } =
            explain(&self.files.logs(), self.files.normalizer.encoding, &config, &sheet).map_err(UnreadableLog)?;
        match io::stdout().write_all(text.as_bytes()) {
            // `wulog-processor explain F | head` is no failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
        Ok(match verdict {
            Verdict::Healthy => ExitCode::SUCCESS,
            Verdict::Failing => ExitCode::from(EXIT_FAILING),
            Verdict::Unreadable => ExitCode::from(EXIT_UNREADABLE),
        })
    }
}

/// How a page names a file.
fn name(path: &Path) -> String {
    if path == Path::new(STANDARD_INPUT) {
        return "standard input".to_owned();
    }
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
