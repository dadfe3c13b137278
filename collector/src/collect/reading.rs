//! Reads chunks of the followed files, and hands their lines to the shipper.

use std::sync::Arc;
use std::time::Instant;

use wulog_schemas::raw::RawHeader;

use super::Collector;
use crate::certificates::due::Inventories;
use crate::progress::Pass;
use crate::record::{ChunkOrigin, LinePlace};
use crate::redact::redact;
use crate::ship::RecordOwner;
use crate::tail::{Chunk, ReadLine, Tail};

/// How much of one file is read before the next file is read.
const CHUNK_BYTES: usize = 256 * 1024;

/// How many handles of quiet files stay open.
const HANDLES_MAX: usize = 256;

impl Collector {
    /// Reads one chunk of each file that has unread bytes. Returns whether any chunk was read.
    pub(super) fn read_round(&mut self, now_ms: i64, pass: &mut Pass) -> bool {
        let (mut lines, mut any) = (Vec::new(), false);
        let mut open = self.tails.iter().filter(|tail| tail.holds_handle()).count();
        for index in 0..self.tails.len() {
            let tail = &mut self.tails[index];
            if !tail.can_read() || !self.hosts.has_spoken(tail.host) {
                continue;
            }
            // A chunk must hold a line of the greatest length with its ending.
            let chunk_min = self.reading.line_bytes_max + 64;
            if self.shipper.room() < chunk_min.min(CHUNK_BYTES) {
                break;
            }
            // / 8, since short lines take many times their bytes while they are on their way.
            let mut chunk = (self.shipper.room() / 8).min(CHUNK_BYTES);
            if let Some(pace) = &mut self.pace {
                match pace.allowance(Instant::now()) {
                    0 => break,
                    allowance => chunk = chunk.min(allowance),
                }
            }
            let chunk = Chunk { bytes: chunk.max(chunk_min), lines: self.shipper.room_lines() };
            let held = tail.holds_handle();
            let bytes = tail.read(&mut self.buffer, chunk, &mut lines);
            if open >= HANDLES_MAX {
                tail.close_idle();
            }
            open = open + usize::from(tail.holds_handle()) - usize::from(held);
            any |= !lines.is_empty() || (bytes > 0 && tail.can_read());
            if let Some(pace) = &mut self.pace {
                pace.take(bytes);
            }
            if !lines.is_empty() {
                let path = tail.entry.path.clone();
                self.store.journal_sent(&path, tail.mark_sent());
            }
            pass.bytes_read += bytes as u64;
            pass.lines_sent += lines.len() as u64;
            if lines.is_empty() {
                continue;
            }
            let origin = self.origin(index, now_ms);
            // Lines of the own host's log name the files that its update client did not trust.
            let is_own = self.hosts.is_own(self.tails[index].host);
            let mut failed_files = self.inventories.as_mut().filter(|_| is_own).and_then(Inventories::failed_files);
            for ReadLine { value, lossy, truncated, offset, end, gain } in lines.drain(..) {
                pass.truncated += u64::from(truncated);
                if let Some(failed_files) = &mut failed_files {
                    failed_files.note(&value, now_ms);
                }
                let value = redact(&self.redact, &value);
                let place = LinePlace { offset, end, crc: gain.mark.crc, lossy, truncated };
                let ticket = self.shipper.submit(origin.line(place, &value), RecordOwner::Line(index));
                self.tails[index].sent(ticket, gain);
            }
        }
        any
    }

    /// Returns the header that all lines of one chunk share.
    fn origin(&self, tail: usize, now_ms: i64) -> Arc<ChunkOrigin> {
        let tail = &self.tails[tail];
        let (label, epoch) = tail.read_as();
        let header = RawHeader {
            file: label.to_owned(),
            source: tail.source,
            epoch: epoch.to_owned(),
            ..self.hosts.header(tail.host, now_ms)
        };
        ChunkOrigin::new(self.hosts.id(tail.host), header)
    }

    pub(super) fn limit_handles(&mut self) {
        let open = self.tails.iter().filter(|tail| tail.holds_handle()).count();
        if open > HANDLES_MAX {
            self.tails.iter_mut().for_each(Tail::close_idle);
        }
    }
}
