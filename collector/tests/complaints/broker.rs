//! Complaints about what happens while the broker is slow, away or wrong.

use std::time::{Duration, Instant};

use crate::bench::{Bench, Mood, log};

/// The acknowledged logical offset that the checkpoint has of the one file.
fn acknowledged(bench: &mut Bench) -> u64 {
    bench.collector.as_mut().unwrap().checkpoint().unwrap();
    let (_, entries) = wulog_collector::checkpoint::read(&bench.config.state_dir);
    entries[0].cursor.logical
}

#[test]
fn positions_move_only_with_deliveries() {
    for mood in [Mood::Away, Mood::Silent, Mood::Fails] {
        let mut bench = Bench::new();
        bench.write(log("a b"));
        bench.pump();
        assert_eq!(acknowledged(&mut bench), 4);
        bench.mood(mood);
        bench.append(log("c d"));
        for _ in 0..5 {
            bench.pass();
        }
        assert_eq!(acknowledged(&mut bench), 4, "{mood:?}");
        bench.mood(Mood::Takes);
        bench.pump();
        assert_eq!(acknowledged(&mut bench), 8, "{mood:?}");
    }
}

#[test]
fn an_outage_of_days_loses_nothing() {
    let mut bench = Bench::new();
    bench.write(log("a"));
    bench.pump();
    bench.mood(Mood::Away);
    let hours: Vec<String> = (100..196).map(|hour| hour.to_string()).collect();
    for hour in &hours {
        bench.append(log(hour));
        bench.pass();
        bench.wait_secs(3600);
    }
    bench.mood(Mood::Takes);
    bench.pump();
    bench.expect(&format!("a {}", hours.join(" ")));
}

#[test]
fn lines_arrive_in_order_whatever_the_broker_does() {
    for mood in [Mood::Silent, Mood::FullAfter(2), Mood::Away, Mood::Fails, Mood::Backwards] {
        let mut bench = Bench::new();
        let mut all = Vec::new();
        for turn in 0..8 {
            bench.mood(if turn % 2 == 0 { Mood::Takes } else { mood });
            let lines: Vec<String> = (0..5).map(|line| format!("{turn}-{line}")).collect();
            bench.append(log(&lines.join(" ")));
            all.extend(lines);
            bench.pass();
        }
        bench.mood(Mood::Takes);
        bench.pump();
        bench.expect(&all.join(" "));
    }
}

#[test]
fn a_stop_keeps_the_acknowledged_prefix_and_sends_the_rest_later() {
    let mut bench = Bench::new();
    bench.write(log("a b"));
    bench.pump();
    bench.mood(Mood::Silent);
    bench.append(log("c d"));
    bench.pass();
    bench.stop(Duration::from_millis(50));
    let (_, entries) = wulog_collector::checkpoint::read(&bench.config.state_dir);
    assert_eq!(entries[0].cursor.logical, 4);
    bench.mood(Mood::Takes);
    bench.append(log("e"));
    bench.pump();
    bench.expect("a b c d e");
    assert_eq!(bench.epochs().len(), 1);
}

#[test]
fn a_stop_ends_within_its_grace() {
    for mood in [Mood::Silent, Mood::Away, Mood::Fails] {
        let mut bench = Bench::new();
        bench.mood(mood);
        bench.write(log("a b c"));
        bench.pass();
        let started = Instant::now();
        let drained = bench.collector.take().unwrap().drain(Duration::from_millis(200)).unwrap();
        assert!(drained.in_flight > 0);
        assert!(started.elapsed() < Duration::from_secs(2), "{mood:?}: {:?}", started.elapsed());
    }
}

#[test]
fn tries_are_few_while_the_broker_is_away() {
    for mood in [Mood::Away, Mood::Fails] {
        let mut bench = Bench::new();
        bench.mood(mood);
        bench.write(log("a"));
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(800) {
            bench.pass();
        }
        // A backoff from 50 ms that doubles: at 0, 50, 150, 350, 750 ms; of the line and of a heartbeat.
        let tries = bench.sink.0.lock().unwrap().tries;
        assert!((2..=12).contains(&tries), "{mood:?}: {tries}");
    }
}
