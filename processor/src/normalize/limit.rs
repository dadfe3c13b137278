//! Bounds on the texts of a record: its header, the labels of its host, and any value that is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wulog_schemas::host::hex_digest;
use wulog_schemas::raw::{Heartbeat, LineHash, RawHeaderRef};

use super::config::NormalizerLimits;

/// Longest epoch; wulog's collector writes 16 digits.
const EPOCH_BYTES_MAX: usize = 64;

/// Longest hash; wulog's collector writes 8 digits.
const HASH_BYTES_MAX: usize = 64;

/// Digits of the digest that keeps two cut texts apart.
const DIGEST_DIGITS: usize = 16;

/// Cuts texts of a header that are longer than those of wulog's collector. File and epoch identify the line, so a
/// digest of the whole text replaces their cut end, and two long paths stay different.
pub(super) fn header(header: &mut RawHeaderRef<'_>, limits: &NormalizerLimits) {
    let name_bytes_max = limits.value_bytes_max;
    if header.host.len() > name_bytes_max {
        header.host = Cow::Owned(cut(&header.host, name_bytes_max).to_owned());
    }
    if let LineHash::Text(text) = &mut header.hash
        && text.len() > HASH_BYTES_MAX
    {
        *text = Cow::Owned(cut(text, HASH_BYTES_MAX).to_owned());
    }
    identity(&mut header.file, limits.path_bytes_max.max(EPOCH_BYTES_MAX));
    identity(&mut header.epoch, EPOCH_BYTES_MAX);
}

/// Returns a path, cut like the paths of [`header`].
pub(super) fn path<'a>(path: &'a str, limits: &NormalizerLimits) -> Cow<'a, str> {
    let mut path = Cow::Borrowed(path);
    identity(&mut path, limits.path_bytes_max.max(EPOCH_BYTES_MAX));
    path
}

fn identity(text: &mut Cow<'_, str>, bytes_max: usize) {
    if text.len() > bytes_max {
        let digest = &hex_digest(&[text])[..DIGEST_DIGITS];
        *text = Cow::Owned(format!("{}~{digest}", cut(text, bytes_max - DIGEST_DIGITS - 1)));
    }
}

/// Returns the longest prefix of at most `bytes_max` bytes that ends at a character.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max { text } else { &text[..text.floor_char_boundary(bytes_max)] }
}

/// The label names of all hosts of the partition, each with the host that had the name first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LabelNames {
    names: BTreeMap<String, String>,
    /// Number of labels dropped because their names exceeded a bound.
    dropped: u64,
}

impl LabelNames {
    /// Returns the heartbeat without labels whose names exceed a bound: on all names, or on the names that this host
    /// had first.
    pub(super) fn admit(&mut self, mut beat: Heartbeat, host: &str, limits: &NormalizerLimits) -> Heartbeat {
        beat.labels.retain(|name, _| {
            let name = cut(name, limits.value_bytes_max);
            if self.names.contains_key(name) {
                return true;
            }
            let own = self.names.values().filter(|bringer| *bringer == host).count();
            let admitted = self.names.len() < limits.label_names_max && own < limits.labels_per_host_max;
            if admitted {
                self.names.insert(name.to_owned(), host.to_owned());
            } else {
                self.dropped = self.dropped.saturating_add(1);
            }
            admitted
        });
        beat
    }

    /// Number of labels dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_any_length_is_cut_and_its_file_stays_itself() {
        let limits = NormalizerLimits::default();
        let long = |end: &str| Cow::Owned("x".repeat(100_000) + end);
        let bounded = |file: &str| {
            let mut bounded = RawHeaderRef {
                host: long(""),
                file: long(file),
                epoch: long(""),
                hash: LineHash::Text(long("")),
                ..RawHeaderRef::default()
            };
            header(&mut bounded, &limits);
            bounded
        };
        let (one, other) = (bounded("1"), bounded("2"));
        assert_ne!(one.file, other.file);
        assert_eq!(one, bounded("1"));
        assert_eq!((one.host.len(), one.file.len(), one.epoch.len(), one.hash.to_string().len()), (256, 1024, 64, 64));
    }

    #[test]
    fn one_host_does_not_make_a_field_of_each_heartbeat() {
        let (mut names, limits) = (LabelNames::default(), NormalizerLimits::default());
        let beat = |labels: std::ops::Range<u32>| Heartbeat {
            labels: labels.map(|number| (format!("l{number}"), "x".to_owned())).collect(),
            ..Heartbeat::default()
        };
        for round in 0..500 {
            names.admit(beat(round * 32..round * 32 + 32), "loud", &limits);
        }
        assert_eq!(names.names.len(), limits.labels_per_host_max);
        assert_eq!(names.dropped(), 499 * 32);
        assert_eq!(names.admit(beat(100_000..100_004), "quiet", &limits).labels.len(), 4);
        assert_eq!(names.admit(beat(0..4), "quiet", &limits).labels.len(), 4);
    }
}
