//! Bytes -> raw records, written as a log is: so every log is an input, and what a fuzzer makes of it is a log again.
//!
//! A line that begins with one of these control characters is no line of the log but an instruction, and the bytes
//! after it are its argument; numbers are little-endian and as long as they stand there.
//!
//! ```text
//! 01 heartbeat; the argument is its JSON, or a number: 1 caught up, 2 and more a time zone
//! 02 tick, so many milliseconds later         03 log time is the number from here on
//! 04 an earlier record again, so far back     05 a record whose header is the argument
//! 06 the record key from here on              07 offset and end of the next line, half of the bytes each
//! 08 the file from here on, in a new epoch    0e UTC offset of the collector, in minutes
//! ```

use wulog_schemas::raw::{Heartbeat, Kind, RawHeader, VERSION};

/// 2030-01-01: later than the lines of all logs that are known.
const LOG_TIME: i64 = 1_893_456_000_000;

/// Of all kinds: whole hours, half hours, and changes of both directions.
const ZONES: [&str; 4] = ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"];

/// How many events a record must become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expect {
    /// A line that is new.
    One,
    /// The record just before, a line, once more.
    None,
    /// Anything else.
    AtMostOne,
}

/// One raw record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) timestamp_ms: i64,
    pub(super) key: Vec<u8>,
    pub(super) header: Option<Vec<u8>>,
    pub(super) value: Vec<u8>,
    pub(super) expect: Expect,
}

impl Record {
    /// A tick at a log time.
    pub(super) fn tick(timestamp_ms: i64) -> Record {
        let header = Some(RawHeader::tick().to_bytes());
        Record { timestamp_ms, key: b"tick/3".to_vec(), header, value: Vec::new(), expect: Expect::AtMostOne }
    }
}

/// What the instructions so far have set.
pub(super) struct Stream {
    sent: Vec<Record>,
    log_time: i64,
    key: Vec<u8>,
    file: String,
    epoch: u64,
    /// After every line of the epoch, so a line here is new.
    next_offset: u64,
    place: Option<(u64, u64)>,
    utc: Option<i32>,
}

impl Stream {
    pub(super) fn new() -> Stream {
        Stream {
            sent: Vec::new(),
            log_time: LOG_TIME,
            key: b"04a7c795a928a5d09b0cbad5910a34d5".to_vec(),
            file: r"C:\Windows\WindowsUpdate.log".to_owned(),
            epoch: 1,
            next_offset: 0,
            place: None,
            utc: None,
        }
    }

    /// The record that a line stands for, where it stands for one.
    pub(super) fn next(&mut self, line: &[u8]) -> Option<Record> {
        let (instruction, argument) = line.split_first().map_or((0, line), |(first, rest)| (*first, rest));
        let record = match instruction {
            0x01 => self.heartbeat(argument),
            0x02 => {
                self.log_time = self.log_time.saturating_add(number(argument) & 0xffff_ffff);
                self.record(Some(RawHeader::tick().to_bytes()), b"")
            }
            0x03 => {
                self.log_time = number(argument);
                return None;
            }
            0x04 => self.again(argument)?,
            0x05 => self.record((!argument.is_empty()).then(|| argument.to_vec()), b"a value"),
            0x06 => {
                self.key = argument.to_vec();
                self.new_epoch();
                return None;
            }
            0x07 => {
                let (offset, end) = argument.split_at(argument.len() / 2);
                self.place = Some((number(offset).cast_unsigned(), number(end).cast_unsigned()));
                return None;
            }
            0x08 => {
                self.file = String::from_utf8_lossy(argument).into_owned();
                self.new_epoch();
                return None;
            }
            0x0e => {
                self.utc = i32::try_from(number(argument)).ok();
                return None;
            }
            _ => self.line(line),
        };
        self.sent.push(record.clone());
        Some(record)
    }

    fn line(&mut self, line: &[u8]) -> Record {
        let new = (self.next_offset, self.next_offset + line.len() as u64 + 1); // + 1 for the line ending
        let (offset, end) = self.place.take().unwrap_or(new);
        let header = RawHeader {
            file: self.file.clone(),
            epoch: format!("{:016x}", self.epoch),
            offset,
            end,
            hash: format!("{:08x}", crc32fast::hash(line)),
            read: self.log_time,
            utc: self.utc,
            ..header(Kind::Line)
        };
        let has_key = (1..=256).contains(&self.key.len()) && std::str::from_utf8(&self.key).is_ok();
        let expect = if has_key && (offset, end) == new { Expect::One } else { Expect::AtMostOne };
        self.next_offset = self.next_offset.max(end);
        if self.next_offset > u64::MAX / 2 {
            self.new_epoch();
        }
        Record { expect, ..self.record(Some(header.to_bytes()), line) }
    }

    fn heartbeat(&mut self, argument: &[u8]) -> Record {
        let header = header(Kind::Heartbeat).to_bytes();
        if argument.starts_with(b"{") {
            return self.record(Some(header), argument);
        }
        let number = number(argument);
        let zone = usize::try_from(number / 2).ok().and_then(|at| ZONES.get(at.checked_sub(1)?));
        let beat = Heartbeat {
            time_zone: zone.map(|zone| (*zone).to_owned()),
            caught_up: number & 1 == 1,
            ..Heartbeat::default()
        };
        self.record(Some(header), &serde_json::to_vec(&beat).expect("a heartbeat is JSON"))
    }

    /// Kafka gives it a new offset and its own time.
    fn again(&self, argument: &[u8]) -> Option<Record> {
        let back = usize::try_from(number(argument)).ok()? % self.sent.len().max(1);
        let record = self.sent.get(self.sent.len().checked_sub(back + 1)?)?.clone();
        let expect = if back == 0 && record.expect != Expect::AtMostOne { Expect::None } else { Expect::AtMostOne };
        Some(Record { expect, ..record })
    }

    fn record(&self, header: Option<Vec<u8>>, value: &[u8]) -> Record {
        let (timestamp_ms, key, expect) = (self.log_time, self.key.clone(), Expect::AtMostOne);
        Record { timestamp_ms, key, header, value: value.to_vec(), expect }
    }

    fn new_epoch(&mut self) {
        self.epoch += 1;
        self.next_offset = 0;
    }
}

fn header(kind: Kind) -> RawHeader {
    RawHeader { v: VERSION, kind, host: "pc-0042".to_owned(), ..RawHeader::default() }
}

/// The first eight bytes as a number.
fn number(bytes: &[u8]) -> i64 {
    bytes.iter().take(8).rev().fold(0, |value, byte| value << 8 | i64::from(*byte))
}
