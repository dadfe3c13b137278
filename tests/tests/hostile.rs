//! Hostile neighbours on the embedded log, in one simulation with a random seed: a peer that writes anything into raw,
//! signals, alerts and state, a clock that steps, bit rot in stored rows, and killed processes.
//!
//! In spite of them, every honest line becomes an event, the honest outbreak raises its alert, and no shell gives up.
//! The peer does not use the names of honest hosts: a principal with this right can report them as healthy, so topics
//! have ACLs.
//!
//! The test runs for `WULOG_HOSTILE_SECS` (15 by default). Each round has a seed, which is printed: the first is random
//! or `WULOG_HOSTILE_FROM`, the next ones follow it. `WULOG_HOSTILE_SEED` repeats one round.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use wulog_processor::detect::{Detector, DetectorConfig};
use wulog_processor::log::LogError;
use wulog_processor::log::embedded::{self, EmbeddedConfig, EmbeddedLog};
use wulog_processor::machine::Machine;
use wulog_processor::normalize::{Normalizer, NormalizerConfig, NormalizerLimits};
use wulog_processor::shell::{Shell, ShellConfig};
use wulog_schemas::alert::Alert;
use wulog_schemas::raw::{Kind, RawHeader, VERSION};
use wulog_schemas::topic::Topic;
use wulog_service::Clock;

#[allow(dead_code, reason = "the tests of the processor use more of it")]
#[path = "../../processor/tests/hostile/fleet.rs"]
mod fleet;

use fleet::{DAY, FAILING, HOUR, MINUTE, Raw, START, UPDATE, outbreak_ms, records};

/// SplitMix64: the seed decides the random numbers of a round.
struct Luck(u64);

impl Luck {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = *self.of(&[0, 1, 20, 400, 5_000, 70_000]);
        let unit = *self.of(&[
            &b"\x01"[..],
            b"\"",
            b"\\",
            b"{\"v\":1,",
            b"\xff",
            b"\xc2\x9b",
            b"WARNING: 0x800b0109 \t",
            b"0",
        ]);
        unit.iter().copied().cycle().take(length).collect()
    }
}

struct World {
    config: EmbeddedConfig,
    connection: Connection,
    luck: Luck,
    clock: Arc<AtomicI64>,
}

impl World {
    fn new(folder: &Path, seed: u64) -> World {
        let config = EmbeddedConfig { retention_days: 36_500, ..EmbeddedConfig::at(&folder.join("wulog.db")) };
        let connection = embedded::open(&config).unwrap();
        World { config, connection, luck: Luck(seed), clock: Arc::new(AtomicI64::new(START)) }
    }

    fn shell<M: Machine>(&self, input: Topic, config: M::Config) -> Shell<M> {
        let log = EmbeddedLog::open(&self.config, M::NAME, input).unwrap();
        let shell = ShellConfig {
            batch_records_max: 200,
            snapshot_after_records: 100,
            clock: Clock::Simulated(Arc::clone(&self.clock)),
            ..ShellConfig::default()
        };
        Shell::new(shell, config, Box::new(log))
    }

    /// Appends a row like any user of SQL: without a checksum, and with any types.
    fn append(&self, topic: &str, timestamp_ms: i64, key: &[u8], header: Option<&[u8]>, value: &[u8]) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let next: i64 = self
            .connection
            .query_row(
                "SELECT coalesce(max(next), 0) FROM topic_end WHERE topic = ?1 AND partition = 0",
                [topic],
                |row| row.get(0),
            )
            .unwrap();
        let insert = "INSERT INTO record (topic, partition, offset, timestamp_ms, key, header, value) VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6)";
        self.connection
            .execute(insert, params![topic, next, timestamp_ms, text(key), header.map(text), text(value)])
            .unwrap();
        self.connection
            .execute("INSERT OR REPLACE INTO topic_end VALUES (?1, 0, ?2)", params![topic, next + 1])
            .unwrap();
    }

    fn any_time(&mut self, now: i64) -> i64 {
        let far = [
            now,
            now + DAY,
            now + 30 * DAY,
            now - 30 * DAY,
            4_070_908_800_000,
            253_402_300_799_000,
            -11_644_473_600_000,
            i64::MAX,
            i64::MIN,
        ];
        *self.luck.of(&far)
    }

    /// One attack of a peer with the right to write.
    fn attack(&mut self, now: i64) {
        let (time, value) = (self.any_time(now), self.luck.bytes());
        match self.luck.below(9) {
            0 => self.append("raw", time, &self.luck_key(), None, &value),
            1 => {
                let header = self.forged_header();
                self.append("raw", time, &self.luck_key(), Some(&header.to_bytes()), &value);
            }
            2 => {
                // The place of an honest host's lines, near the end of all offsets; the epoch is known.
                let honest = records()
                    .into_iter()
                    .find(|record| record.value.first() == Some(&b'{') && record.value.len() > 90)
                    .unwrap();
                let mut header: RawHeader = serde_json::from_slice(honest.header.as_ref().unwrap()).unwrap();
                header.offset = (1 << 62) + self.luck.below(1 << 40);
                header.end = header.offset + 100;
                self.append("raw", now, &honest.key, Some(&header.to_bytes()), b"forged");
            }
            3 => self.append("signals", time, b"x", None, &value),
            4 => {
                let partitions = *self.luck.of(&[1, 0, -1, 12, 99_999, i64::MAX]);
                let tick = format!(
                    "{{\"v\":1,\"log_time\":{time},\"raw\":{{\"partition\":{},\"offset\":0}},\"kind\":\"tick\",\"partitions\":{partitions}}}",
                    self.luck.below(40)
                );
                self.append("signals", now, b"tick", None, tick.as_bytes());
            }
            5 => self.append("alerts", time, b"wu-forged", None, &value),
            6 => {
                let key = format!(
                    "{}/0/{}/{}/{}",
                    self.luck.of(&["normalizer", "detector"]),
                    self.luck.below(6),
                    self.luck.below(2),
                    self.luck.of(&["manifest", "0", "1"])
                );
                self.connection
                    .execute("INSERT OR REPLACE INTO state VALUES (0, ?1, ?2)", params![key, value])
                    .unwrap();
            }
            7 => {
                // A row with other column types.
                self.append("signals", now, b"", None, b"");
                self.connection.execute("UPDATE record SET value = x'00ff', key = 7 WHERE topic = 'signals' AND key = '' AND value = ''", []).unwrap();
            }
            _ => self.rot(),
        }
    }

    fn luck_key(&self) -> Vec<u8> {
        vec![b'f'; 32]
    }

    fn forged_header(&mut self) -> RawHeader {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        RawHeader {
            v: VERSION,
            kind: *self.luck.of(&[Kind::Line, Kind::Heartbeat, Kind::Tick]),
            host: text(self.luck.bytes()),
            file: text(self.luck.bytes()),
            epoch: text(self.luck.bytes()),
            offset: self.luck.next(),
            end: self.luck.next(),
            ..RawHeader::default()
        }
    }

    /// Flips a bit of a stored row: of snapshots, and of records that were read already.
    fn rot(&mut self) {
        let bit = 1_u8 << self.luck.below(8);
        let at = self.luck.next();
        let turn = |mut bytes: Vec<u8>| {
            if !bytes.is_empty() {
                let at = at as usize % bytes.len();
                bytes[at] ^= bit;
            }
            bytes
        };
        let luck = (at >> 1) as i64;
        let snapshot =
            "SELECT rowid, value FROM state ORDER BY rowid LIMIT 1 OFFSET ?1 % max(1, (SELECT count(*) FROM state))";
        let found =
            self.connection.query_row(snapshot, [luck], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)));
        if let Ok((id, value)) = found {
            self.connection.execute("UPDATE state SET value = ?2 WHERE rowid = ?1", params![id, turn(value)]).unwrap();
        }
        // This test compares events, so only the checksum of one event is changed.
        let events = "SELECT max(rowid) FROM record WHERE topic = 'events'";
        let last: Option<i64> = self.connection.query_row(events, [], |row| row.get(0)).unwrap();
        if let Some(last) = last {
            let of_event = "UPDATE record SET crc = crc + 1 WHERE topic = 'events' AND rowid = ?1";
            self.connection.execute(of_event, [1 + luck % last]).unwrap();
        }
    }
}

/// Steps until all is read. A shell may ask for another call, but must not give up.
fn to_end<M: Machine>(shell: &mut Shell<M>, seed: u64) {
    for _ in 0..100_000 {
        match shell.step(Duration::ZERO) {
            Ok(step) if step.at_end => return,
            Ok(_) | Err(LogError::Retry(_)) => {}
            Err(fatal) => panic!("seed {seed}: the {} gave up: {fatal}", M::NAME),
        }
    }
    panic!("seed {seed}: the {} does not come to an end", M::NAME);
}

fn round(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), seed);
    let limits = NormalizerLimits { memory_mib_max: 32, ..NormalizerLimits::default() };
    let normalizer_config = NormalizerConfig { limits, ..NormalizerConfig::default() };
    let honest: Vec<Raw> = records();
    let mut normalizer = world.shell::<Normalizer>(Topic::Raw, normalizer_config.clone());
    let mut detector = world.shell::<Detector>(Topic::Signals, DetectorConfig::default());
    // Time, size and duration of the step of the clock that stamps records.
    let step_at = outbreak_ms() - 2 * HOUR + (world.luck.below(240) as i64) * MINUTE;
    let step = *world.luck.of(&[0, DAY, 30 * DAY, -30 * DAY, 365 * DAY]);
    let lasts = *world.luck.of(&[12_000, 10 * MINUTE, HOUR]);
    for (at, record) in honest.iter().enumerate() {
        let now = record.timestamp_ms;
        let wrong = (step_at..step_at + lasts).contains(&now);
        let stamped = if wrong { now + step } else { now };
        world.clock.store(stamped, Ordering::Release);
        world.append("raw", stamped, &record.key, record.header.as_deref(), &record.value);
        while world.luck.one_in(3) {
            world.attack(now);
        }
        if at % 25 == 0 || world.luck.one_in(40) {
            to_end(&mut normalizer, seed);
            to_end(&mut detector, seed);
        }
        if world.luck.one_in(60) {
            normalizer = world.shell::<Normalizer>(Topic::Raw, normalizer_config.clone());
        }
        if world.luck.one_in(60) {
            detector = world.shell::<Detector>(Topic::Signals, DetectorConfig::default());
        }
    }
    to_end(&mut normalizer, seed);
    to_end(&mut detector, seed);
    expect_honest(&world, &honest, seed);
}

fn expect_honest(world: &World, honest: &[Raw], seed: u64) {
    let values = |topic: &str| -> Vec<String> {
        let mut statement =
            world.connection.prepare("SELECT value FROM record WHERE topic = ?1 ORDER BY offset").unwrap();
        statement.query_map([topic], |row| row.get(0)).unwrap().filter_map(Result::ok).collect()
    };
    let events: BTreeSet<(String, String)> = values("events")
        .iter()
        .map(|event| {
            serde_json::from_str::<serde_json::Value>(event).unwrap_or_else(|e| panic!("seed {seed}: {e}: {event}"))
        })
        .map(|event| {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            (text(&event["host"]["name"]), text(&event["event"]["original"]))
        })
        .collect();
    for record in honest {
        let header: RawHeader = serde_json::from_slice(record.header.as_ref().unwrap()).unwrap();
        if header.kind == Kind::Line {
            let line = (header.host, String::from_utf8(record.value.clone()).unwrap());
            assert!(events.contains(&line), "seed {seed}: no event for {line:?}");
        }
    }
    let alerts: Vec<Alert> = values("alerts").iter().filter_map(|alert| serde_json::from_str(alert).ok()).collect();
    let about = alerts.iter().filter(|alert| alert.subjects.iter().any(|count| count.subject.ends_with(UPDATE)));
    let hosts = about.map(|alert| alert.hosts.affected).max();
    assert!(hosts.unwrap_or(0) >= u64::from(FAILING) * 9 / 10, "seed {seed}: {hosts:?} of {FAILING} hosts are told of");
}

#[test]
fn hostile_neighbours_lose_no_line_and_no_alert() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("WULOG_HOSTILE_SEED") {
        return round(seed);
    }
    let until = Instant::now() + Duration::from_secs(number("WULOG_HOSTILE_SECS").unwrap_or(15));
    let random = || u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos());
    let mut seed = number("WULOG_HOSTILE_FROM").unwrap_or_else(random);
    while Instant::now() < until {
        println!("seed {seed}");
        round(seed);
        seed += 1;
    }
}
