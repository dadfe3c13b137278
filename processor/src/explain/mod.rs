//! `explain`: what the log of one host tells, in plain words, on one screen.
//!
//! Reads the lines through the same machines that run live, and says what is wrong, since when, whether it is a matter of
//! certificate trust and what to check. For the one log that an administrator has on the desk; `replay` compares hosts.

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

/// What is wrong with a host, as far as its log tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing fails.
    Healthy,
    /// Something fails.
    Failing,
    /// The log tells nothing about Windows Update.
    Unreadable,
}

/// The logs of one host, explained.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What is wrong.
    pub verdict: Verdict,
    /// The page for a person, with a line ending at its end.
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
    // A stream is read once, so only files are looked at before.
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
    // Events are read back here, so they have the format of the contract, and none is missing. Attempts come as signals.
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
