//! Snapshots in `wulog.state`: chunks of at most 512 KiB, two slots, the manifest last.
//!
//! A snapshot needs no transaction: it names its input offset, and its manifest, which is written after all chunks, has
//! their number and their hash. While one slot is overwritten, the other stays complete.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wulog_schemas::host::hex_digest_bytes;
use wulog_schemas::topic::Topic;

use crate::log::Write;

/// Largest value of one state record; brokers take 1 MiB by default.
const CHUNK_BYTES_MAX: usize = 512 * 1024;

/// The last record of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    /// The input offset: the machine has applied every record below it.
    offset: i64,
    chunks: usize,
    sha256: String,
}

/// A complete snapshot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The next input offset of the machine in the snapshot.
    pub offset: i64,
    /// The slot of the snapshot.
    pub slot: u8,
    /// The bytes of [`crate::machine::Machine::snapshot`].
    pub bytes: Vec<u8>,
}

/// The owner of snapshots: a machine by name, the format of its bytes, an input partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotOwner {
    /// [`crate::machine::Machine::NAME`].
    pub machine: &'static str,
    /// [`crate::machine::Machine::FORMAT`].
    pub format: u32,
    /// The input partition.
    pub partition: i32,
}

impl SnapshotOwner {
    fn key(self, slot: u8, part: &str) -> String {
        format!("{}/{}/{}/{slot}/{part}", self.machine, self.partition, self.format)
    }

    /// The records of a snapshot in the order in which they must be written, each small enough for one record.
    #[must_use]
    pub(crate) fn encode(self, snapshot: Snapshot, timestamp_ms: i64) -> Vec<Write> {
        let sha256 = hex_digest_bytes(&snapshot.bytes);
        // Slices of one piece of memory: a large fleet's snapshot is not held twice.
        let bytes = Bytes::from(snapshot.bytes);
        let chunk = |from: usize| bytes.slice(from..bytes.len().min(from + CHUNK_BYTES_MAX));
        let chunks: Vec<Bytes> = (0..bytes.len()).step_by(CHUNK_BYTES_MAX).map(chunk).collect();
        let manifest = Manifest { offset: snapshot.offset, chunks: chunks.len(), sha256 };
        let manifest = serde_json::to_vec(&manifest).expect("a manifest holds only numbers and a digest");
        let write = |part: &str, value: Bytes| Write {
            topic: Topic::State,
            partition: self.partition,
            timestamp_ms,
            key: self.key(snapshot.slot, part).into(),
            header: None,
            value: Some(value),
        };
        let mut writes: Vec<Write> =
            chunks.into_iter().enumerate().map(|(number, chunk)| write(&number.to_string(), chunk)).collect();
        writes.push(write("manifest", manifest.into()));
        writes
    }

    /// The complete snapshots among the state records of this partition, newest first.
    #[must_use]
    pub(crate) fn decode(self, state: &BTreeMap<String, Vec<u8>>) -> Vec<Snapshot> {
        let mut found: Vec<Snapshot> = [0, 1].into_iter().filter_map(|slot| self.decode_slot(state, slot)).collect();
        found.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.offset));
        found
    }

    fn decode_slot(self, state: &BTreeMap<String, Vec<u8>>, slot: u8) -> Option<Snapshot> {
        let manifest = state.get(&self.key(slot, "manifest"))?;
        let found = self.decode_parts(state, slot, manifest);
        if found.is_none() {
            // This happens also if the process ended while it wrote a newer snapshot; the other slot is complete then.
            tracing::warn!(
                machine = self.machine,
                partition = self.partition,
                slot,
                "a snapshot is damaged or unfinished; the other one is used, or the records are read again"
            );
        }
        found
    }

    fn decode_parts(self, state: &BTreeMap<String, Vec<u8>>, slot: u8, manifest: &[u8]) -> Option<Snapshot> {
        let manifest: Manifest = serde_json::from_slice(manifest).ok()?;
        let mut bytes = Vec::new();
        for number in 0..manifest.chunks {
            bytes.extend_from_slice(state.get(&self.key(slot, &number.to_string()))?);
        }
        // Chunks of an unfinished newer snapshot may stand here already: then the digest differs.
        (hex_digest_bytes(&bytes) == manifest.sha256).then_some(Snapshot { offset: manifest.offset, slot, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: SnapshotOwner = SnapshotOwner { machine: "normalizer", format: 1, partition: 3 };

    fn store(state: &mut BTreeMap<String, Vec<u8>>, writes: Vec<Write>) {
        state.extend(writes.into_iter().map(|write| (write.key.to_string(), write.value.unwrap().to_vec())));
    }

    fn snapshot(offset: i64, slot: u8, fill: u8) -> Snapshot {
        Snapshot { offset, slot, bytes: vec![fill; CHUNK_BYTES_MAX + 7] }
    }

    #[test]
    fn the_newest_whole_snapshot_wins() {
        let mut state = BTreeMap::new();
        store(&mut state, OWNER.encode(snapshot(10, 0, 1), 0));
        store(&mut state, OWNER.encode(snapshot(20, 1, 2), 0));
        let offsets: Vec<i64> = OWNER.decode(&state).iter().map(|found| found.offset).collect();
        assert_eq!(offsets, [20, 10]);
        assert_eq!(OWNER.decode(&state)[0], snapshot(20, 1, 2));
    }

    #[test]
    fn an_unfinished_snapshot_leaves_the_other_slot() {
        let mut state = BTreeMap::new();
        store(&mut state, OWNER.encode(snapshot(10, 0, 1), 0));
        store(&mut state, OWNER.encode(snapshot(20, 1, 2), 0));
        let mut writes = OWNER.encode(snapshot(30, 0, 3), 0);
        writes.pop(); // killed before the manifest
        store(&mut state, writes);
        let offsets: Vec<i64> = OWNER.decode(&state).iter().map(|found| found.offset).collect();
        assert_eq!(offsets, [20]);
    }

    #[test]
    fn an_empty_state_and_another_format_are_not_taken() {
        let mut state = BTreeMap::new();
        store(&mut state, OWNER.encode(Snapshot { offset: 5, slot: 0, bytes: Vec::new() }, 0));
        assert_eq!(OWNER.decode(&state).len(), 1);
        assert!(SnapshotOwner { format: 2, ..OWNER }.decode(&state).is_empty());
    }
}
