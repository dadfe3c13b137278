//! Compares the dimensions that rules and channels name with the dimensions that hosts have reported.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::deliver::ChannelConfig;
use crate::detect::{Detector, DetectorConfig, is_subject, unreported};
use crate::log::{LogError, Record};
use crate::machine::Machine;

/// A log of many days is not read to its end: hosts report their dimensions every day.
const READ_MAX: Duration = Duration::from_secs(30);

/// Whether a rule or a channel looks at a dimension that hosts report.
pub(crate) fn is_needed(config: &DetectorConfig, channels: &[ChannelConfig]) -> bool {
    !unreported(config, &BTreeSet::new()).is_empty() || !unmatched(channels, &BTreeSet::new()).is_empty()
}

/// The labels of channels that no host has reported, with the name of the channel.
fn unmatched<'a>(channels: &'a [ChannelConfig], reported: &BTreeSet<&str>) -> Vec<(&'a str, &'a str)> {
    let labels =
        channels.iter().flat_map(|channel| channel.wants.labels.keys().map(|label| (&*channel.name, &**label)));
    labels.filter(|(_, label)| !is_subject(label) && !reported.contains(label)).collect()
}

/// Warns of rules that cannot fire, and of channels that cannot send, with the hosts that the log knows. They are no error:
/// such a host may come.
pub(crate) fn compare(
    config: &DetectorConfig,
    channels: &[ChannelConfig],
    signals: Result<impl Iterator<Item = Result<Record, LogError>>, LogError>,
) {
    let mut detector = Detector::new(&DetectorConfig::default(), 0, 1);
    let read = signals.and_then(|signals| read(signals, &mut detector));
    let reported = detector.reported_dimensions();
    match read {
        Err(error) => {
            eprintln!(
                "wulog-processor: the dimensions of rules were not compared with those that hosts report: {error}"
            );
        }
        Ok(()) if reported.is_empty() => {
            eprintln!(
                "wulog-processor: no host has reported anything yet, so the dimensions of rules were not compared"
            );
        }
        Ok(()) => {
            let listed = Vec::from_iter(reported.iter().copied()).join(", ");
            for (rule, dimension) in unreported(config, &reported) {
                eprintln!(
                    "wulog-processor: detector.rules: rule {:?} cannot fire: no host has reported the dimension \
                     {dimension}; hosts report {listed}",
                    rule.name
                );
            }
            for (channel, label) in unmatched(channels, &reported) {
                eprintln!(
                    "wulog-processor: channel {channel} can send nothing: no host has reported the label {label}; hosts report \
                     {listed}"
                );
            }
        }
    }
}

fn read(signals: impl Iterator<Item = Result<Record, LogError>>, detector: &mut Detector) -> Result<(), LogError> {
    let (began, mut out) = (Instant::now(), Vec::new());
    for record in signals {
        detector.apply(&record?.as_input(), &mut out);
        out.clear();
        if began.elapsed() > READ_MAX {
            break;
        }
    }
    Ok(())
}
