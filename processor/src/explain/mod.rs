//! `explain`: describes the log of one host in plain words, on one screen.
//!
//! Runs the lines through the same machines that run live, and says what is wrong, since when, whether certificate
//! trust is the reason, and what to check. Made for the single log that an administrator has at hand; `replay` compares
//! hosts.

mod advice;
mod failed_step;
mod failure;
mod page;
mod story;
mod windows;

use std::io::ErrorKind;

use wulog_lines::EncodingChoice;

use crate::detect::DetectorConfig;
use crate::format::Format;
use crate::normalize::{Events, NormalizerConfig};
use crate::pipeline::Pipeline;
use crate::replay::ReplayError;
use crate::replay::logs::{HostLog, Merge, refuse_binary};
use story::Story;

pub use page::Sheet;

/// The verdict about a host, from its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No operation fails.
    Healthy,
    /// An operation fails.
    Failing,
    /// The log says nothing about Windows Update.
    Unreadable,
}

/// The explanation of one host's logs.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The verdict.
    pub verdict: Verdict,
    /// The page for a person, ending with a line ending.
    pub text: String,
}

/// Explains the logs of one host.
///
/// # Errors
/// When a file cannot be read.
pub fn explain(
    logs: &[HostLog],
    encoding: EncodingChoice,
    config: &NormalizerConfig,
    sheet: &Sheet,
) -> Result<Explanation, ReplayError> {
    // A stream can be read only once, so only files are checked before.
    let (files, mut texts): (Vec<HostLog>, Vec<HostLog>) = logs.iter().cloned().partition(|log| log.path.is_file());
    let outcome = refuse_binary(files, encoding).and_then(|(files, refused)| {
        texts.extend(files);
        story(&texts, encoding, config).map(|story| (story, refused))
    });
    match outcome {
        Ok((story, refused)) => Ok(page::explanation(&story, &refused, sheet)),
        Err(ReplayError::File { path, why }) if why.kind() == ErrorKind::InvalidData => {
            Ok(page::of_binary(&format!("{path}: {why}"), sheet))
        }
        Err(error) => Err(error),
    }
}

fn story(logs: &[HostLog], encoding: EncodingChoice, config: &NormalizerConfig) -> Result<Story, ReplayError> {
    // Events are parsed again here, so they need the format of the contract, and none may be missing. Attempts come as
    // signals.
    let config = NormalizerConfig { format: Format::Ecs, events: Events::All, attempts: false, ..config.clone() };
    let mut pipeline = Pipeline::new(&config, &DetectorConfig::default(), 1);
    let mut story = Story::default();
    let mut outputs = Vec::new();
    for record in Merge::open(logs, encoding, &config)? {
        pipeline.apply(&record?.as_input(), &mut outputs);
        story.take(&outputs);
        outputs.clear();
    }
    Ok(story)
}
