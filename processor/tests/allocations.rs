//! Lines without new facts allocate nothing, neither for their document nor before it.

// A counting global allocator can only be written with unsafe; it passes every call on unchanged.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use wulog_processor::machine::{InRecord, Machine, Output};
use wulog_processor::normalize::{Normalizer, NormalizerConfig};
use wulog_schemas::raw::{Heartbeat, Kind, RawHeader, VERSION};
use wulog_schemas::topic::Topic;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.realloc(memory, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// 2030-01-01: later than every line.
const LOG_TIME: i64 = 1_893_456_000_000;

/// Hosts and their Normalizer; outputs are dropped after each line, as the shell drops them after each batch.
struct Feed {
    normalizer: Normalizer,
    out: Vec<Output>,
}

impl Feed {
    fn new() -> Feed {
        let mut normalizer = Normalizer::new(&NormalizerConfig::default(), 0, 1);
        let header = RawHeader { v: VERSION, kind: Kind::Heartbeat, host: "pc".to_owned(), ..RawHeader::default() };
        let labels = [("site".to_owned(), "hamburg".to_owned())].into();
        let beat = Heartbeat { caught_up: true, labels, ..Heartbeat::default() };
        let value = serde_json::to_vec(&beat).expect("a heartbeat is plain data");
        let header = header.to_bytes();
        let record = |value| InRecord {
            partition: 0,
            offset: 0,
            timestamp_ms: LOG_TIME,
            key: b"04a7c795a928a5d09b0cbad5910a34d5",
            header: Some(&header),
            value,
        };
        normalizer.apply(&record(&value), &mut Vec::new());
        Feed { normalizer, out: Vec::with_capacity(8) }
    }

    /// Allocations of one line whose only output is an event.
    fn allocations(&mut self, line: &str, offset: &mut u64) -> Option<usize> {
        let end = *offset + line.len() as u64 + 1;
        let header = RawHeader {
            v: VERSION,
            host: "pc".to_owned(),
            file: r"C:\Windows\WindowsUpdate.log".to_owned(),
            epoch: "9f2c61d0a4e7b511".to_owned(),
            offset: *offset,
            end,
            hash: format!("{:08x}", crc32fast::hash(line.as_bytes())),
            read: LOG_TIME,
            utc: Some(60),
            ..RawHeader::default()
        };
        let header = header.to_bytes();
        *offset = end;
        let record = InRecord {
            partition: 0,
            offset: i64::try_from(*offset).expect("logs are short"),
            timestamp_ms: LOG_TIME,
            key: b"04a7c795a928a5d09b0cbad5910a34d5",
            header: Some(&header),
            value: line.as_bytes(),
        };
        self.out.clear();
        let before = ALLOCATIONS.get();
        self.normalizer.apply(&record, &mut self.out);
        let allocations = ALLOCATIONS.get() - before;
        matches!(self.out[..], [Output { topic: Topic::Events, .. }]).then_some(allocations)
    }
}

#[test]
fn a_line_that_says_nothing_new_allocates_nothing() {
    for line in [
        "2017-03-28\t19:07:00:000\t 952\t5b4\tAU\tTriggering AU detection through DetectNow API",
        "2023/03/01 22:19:01.4037009 19924 14968 SLS             Making request with URL and waiting",
        "2018-11-18 05:06:42.6402602 2024  4948  Shared          Effective power state: AC",
        "            a continuation with \"quotes\" and a C:\\path",
    ] {
        let mut feed = Feed::new();
        let mut offset = 0;
        // More lines than the remembered hashes, and than the shared memory of documents holds.
        for _ in 0..200 {
            feed.allocations(line, &mut offset);
        }
        for _ in 0..1000 {
            assert_eq!(feed.allocations(line, &mut offset), Some(0), "{line}");
        }
    }
}

/// Lines of real logs, read for the second time: some open an operation, name another update or end a scan.
#[test]
fn lines_of_the_corpus_allocate_little() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus");
    let (mut lines, mut allocations, mut without) = (0, 0, 0);
    for case in std::fs::read_dir(corpus).unwrap() {
        let Ok(text) = std::fs::read(case.unwrap().path().join("in.log")) else { continue };
        let text = String::from_utf8_lossy(&text);
        let mut feed = Feed::new();
        let mut offset = 0;
        for line in text.lines() {
            feed.allocations(line, &mut offset);
        }
        for found in text.lines().filter_map(|line| feed.allocations(line, &mut offset)) {
            lines += 1;
            allocations += found;
            without += usize::from(found == 0);
        }
    }
    assert!(lines > 400, "{lines} lines");
    let average = allocations as f64 / lines as f64;
    println!("{lines} lines, {average:.2} allocations each, {without} without any");
    // The average was 2.2 before the corpus had lines that other programs wrapped, which are restored with ten
    // allocations each.
    assert!(average < 2.5, "{average:.2} allocations for each of {lines} lines");
}
