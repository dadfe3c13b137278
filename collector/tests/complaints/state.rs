//! Complaints about positions: damaged, lost, written too often.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::bench::{Bench, log};

fn slots(bench: &Bench) -> Vec<PathBuf> {
    ["checkpoint.0", "checkpoint.1"].iter().map(|slot| bench.config.state_dir.join(slot)).collect()
}

/// The slot that was written last, by the generation in its head.
fn newest(bench: &Bench) -> PathBuf {
    let generation = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok())
    };
    slots(bench).into_iter().max_by_key(generation).unwrap()
}

#[test]
fn corrupt_positions_never_stop_the_start() {
    let junk: [&[u8]; 5] =
        [b"", b"\xFF\xFE\0", b"wulog-checkpoint-1 ", b"wulog-checkpoint-1 9 00000000\n[]", &[0; 4096]];
    for junk in junk {
        let mut bench = Bench::new();
        bench.write(log("a b"));
        bench.pump();
        bench.stop(Duration::ZERO);
        slots(&bench).iter().for_each(|slot| fs::write(slot, junk).unwrap());
        fs::write(bench.config.state_dir.join("journal"), junk).unwrap();
        bench.append(log("c"));
        bench.pump();
        // Sent again, under a new epoch: nothing is known any more.
        bench.expect("a b a b c");
    }
}

#[test]
fn the_other_generation_is_used() {
    let torn = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    let gone = |path: &PathBuf| fs::remove_file(path).unwrap();
    let flipped = |path: &PathBuf| {
        let mut bytes = fs::read(path).unwrap();
        let last = bytes.len() - 10;
        bytes[last] ^= 4;
        fs::write(path, bytes).unwrap();
    };
    for damage in [torn as fn(&PathBuf), gone, flipped] {
        let mut bench = Bench::new();
        bench.write(log("a b"));
        bench.pump();
        bench.stop(Duration::ZERO);
        bench.append(log("c"));
        bench.pump();
        bench.stop(Duration::ZERO);
        damage(&newest(&bench));
        bench.append(log("d"));
        bench.pump();
        // What is sent again is known by its identity.
        let mut lines: Vec<_> =
            bench.lines().into_iter().map(|line| (line.header.epoch, line.header.offset, line.value)).collect();
        lines.sort();
        lines.dedup();
        let values: Vec<Vec<u8>> = lines.into_iter().map(|(_, _, value)| value).collect();
        assert_eq!(values, [b"a", b"b", b"c", b"d"]);
    }
}

#[test]
fn positions_are_written_once_a_second() {
    let mut bench = Bench::new();
    bench.write(log("a"));
    bench.pump();
    let generation = || wulog_collector::checkpoint::read(&bench.config.state_dir).0;
    let (before, started) = (generation(), std::time::Instant::now());
    let mut passes = 0_u32;
    while started.elapsed() < Duration::from_millis(500) {
        bench.append(log("x"));
        bench.collector.as_mut().unwrap().pass(Duration::from_millis(5)).unwrap();
        passes += 1;
    }
    let generation = wulog_collector::checkpoint::read(&bench.config.state_dir).0;
    let allowed = 1 + started.elapsed().as_secs();
    assert!(generation - before <= allowed, "{} checkpoints in {passes} passes", generation - before);
    // And none while nothing happens.
    bench.pump();
    bench.collector.as_mut().unwrap().checkpoint().unwrap();
    let before = wulog_collector::checkpoint::read(&bench.config.state_dir).0;
    for _ in 0..20 {
        bench.pump();
    }
    assert_eq!(wulog_collector::checkpoint::read(&bench.config.state_dir).0, before);
}
