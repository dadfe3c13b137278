//! Channels of `standalone`: every transition arrives, with its key, for any behaviour of the endpoint and any number
//! of kills of the processor.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wulog_schemas::alert::{Level, Transition};
use wulog_tests::alerts::{Desk, document};
use wulog_tests::process::{Running, eventually};
use wulog_tests::receiver::{Answer, Receiver, Request, get};

const LIMIT: Duration = Duration::from_secs(60);
/// Duration of the hostile test; `WULOG_HOSTILE_SECS` sets it.
const HOSTILE_SECS: u64 = 20;
/// Seconds of draining for each second of the test: an endpoint that answers every second request badly accepts a
/// document in two seconds, while two or three are written in each second.
const DRAIN_FACTOR: u64 = 9;

fn well(_: &Request) -> Answer {
    Answer::Status(204, "")
}

fn keys(receiver: &Receiver, taken_only: bool) -> Vec<String> {
    let requests = receiver.requests();
    let wanted = requests.iter().filter(|request| request.taken || !taken_only);
    wanted.map(|request| request.header("idempotency-key").to_owned()).collect()
}

fn webhook(name: &str, receiver: &Receiver, more: &str) -> String {
    format!("[[channels]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{}\"\n{more}\n", receiver.url())
}

#[test]
fn a_webhook_gets_each_transition_once_with_its_key() {
    let (plain, events) = (Receiver::start(well), Receiver::start(well));
    let signed = "hmac_key = \"0123456789abcdef\"\nheaders = { \"x-team\" = \"soc\" }";
    let config = webhook("plain", &plain, signed) + &webhook("events", &events, "cloudevents = true");
    let desk = Desk::new(&config);
    let running = desk.start(2);
    let alerts = [
        document(1, 1, Transition::Opened, Level::Medium),
        document(2, 1, Transition::Opened, Level::High),
        document(1, 2, Transition::Growing, Level::High),
    ];
    desk.append(&alerts);
    let expected = ["wu-0000000000000001/1", "wu-0000000000000002/1", "wu-0000000000000001/2"];
    eventually("three deliveries to each", LIMIT, || keys(&plain, true).len() >= 3 && keys(&events, true).len() >= 3);
    running.terminate().expect_success();
    // A restart repeats nothing.
    let again = desk.start(2);
    desk.append(&[document(2, 2, Transition::Resolved, Level::High)]);
    eventually("a fourth delivery", LIMIT, || keys(&plain, true).len() >= 4 && keys(&events, true).len() >= 4);
    again.terminate().expect_success();
    for receiver in [&plain, &events] {
        let keys = keys(receiver, true);
        assert_eq!(keys[..3], expected);
        assert_eq!(keys[3..], ["wu-0000000000000002/2"]);
    }
    let first = &plain.requests()[0];
    assert_eq!(first.json(), serde_json::to_value(&alerts[0]).unwrap());
    assert_eq!((first.header("x-team"), first.header("content-type")), ("soc", "application/json"));
    assert!(first.header("webhook-signature").starts_with("v1,"), "{first:?}");
    assert_eq!(first.header("webhook-id"), expected[0]);
    let event = events.requests()[0].json();
    assert_eq!((&event["specversion"], &event["id"]), (&"1.0".into(), &expected[0].into()));
    assert_eq!((&event["type"], &event["data"]), (&"wulog.alert.opened".into(), &first.json()));
}

#[test]
fn a_dead_endpoint_delays_no_other_and_a_refused_document_is_parked() {
    let dead = Receiver::start(|_| Answer::Status(503, "retry-after: 1\r\n"));
    let strict = Receiver::start(|request| {
        let refused = request.header("idempotency-key").ends_with("2/1");
        if refused { Answer::Status(422, "") } else { Answer::Status(200, "") }
    });
    let desk = Desk::new(&(webhook("dead", &dead, "") + &webhook("strict", &strict, "")));
    let running = desk.start(2);
    desk.append(&[1, 2, 3].map(|number| document(number, 1, Transition::Opened, Level::Medium)));
    eventually("the healthy channel", Duration::from_secs(10), || keys(&strict, true).len() >= 2);
    assert_eq!(keys(&strict, false).len(), 3, "the refused document is sent once");
    eventually("a second attempt", LIMIT, || keys(&dead, false).len() >= 2);
    assert!(keys(&dead, false).iter().all(|key| key == "wu-0000000000000001/1"), "its order is kept");
    let status = desk.channels(&["status"]);
    status.expect_success();
    assert!(
        status.stdout.contains("dead (journal)\n  last delivery  none yet\n  backlog        3"),
        "{}",
        status.stdout
    );
    let parked = "parked         wu-0000000000000002/1";
    assert!(status.stdout.contains(parked) && status.stdout.contains("422"), "{}", status.stdout);
    let skipped = desk.channels(&["skip", "strict", "wu-0000000000000002/1"]);
    skipped.expect_success();
    assert!(!desk.channels(&["status"]).stdout.contains(parked));
    running.terminate().expect_success();
}

#[test]
fn a_refused_credential_parks_nothing_and_a_new_one_is_read_from_its_file() {
    let receiver = Receiver::start(|request| {
        let is_new = request.header("authorization") == "Bearer new";
        Answer::Status(if is_new { 204 } else { 401 }, "")
    });
    let desk = Desk::new("");
    let token = desk.path("token");
    std::fs::write(&token, "old\n").unwrap();
    desk.configure(&webhook("hook", &receiver, &format!("bearer_token = {{ file = '{}' }}", token.display())));
    let running = desk.start(1);
    desk.append(&[1, 2].map(|number| document(number, 1, Transition::Opened, Level::Medium)));
    eventually("a second attempt", LIMIT, || keys(&receiver, false).len() >= 2);
    assert!(keys(&receiver, false).iter().all(|key| key == "wu-0000000000000001/1"), "its order is kept");
    let status = desk.channels(&["status"]).stdout;
    assert!(status.contains("backlog        2") && !status.contains("parked"), "{status}");
    std::fs::write(&token, "new\n").unwrap();
    eventually("both alerts", LIMIT, || keys(&receiver, true).len() == 2);
    assert_eq!(keys(&receiver, true), ["wu-0000000000000001/1", "wu-0000000000000002/1"]);
    running.terminate().expect_success();
}

#[test]
fn parked_alerts_are_a_problem_until_they_are_given_up_also_after_a_restart() {
    let strict = Receiver::start(|_| Answer::Status(422, ""));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let desk = Desk::new(&format!("[http]\nlisten = \"127.0.0.1:{port}\"\n{}", webhook("strict", &strict, "")));
    let running = desk.start(1);
    desk.append(&[document(1, 1, Transition::Opened, Level::Medium)]);
    let figure = |count: u32| {
        let line = format!("wulog_processor_channel_parked_now{{channel=\"strict\"}} {count}\n");
        get(port, "/metrics").contains(&line)
    };
    eventually("the figure", LIMIT, || figure(1));
    running.terminate().expect_success();
    let again = desk.start(1);
    eventually("the figure after a restart", LIMIT, || figure(1));
    let problem = "has set aside 1 alert that its endpoint refused";
    let (status, page) = (get(port, "/api/v1/status"), get(port, "/"));
    assert!(status.contains(problem) && status.contains("\"ok\":false"), "{status}");
    assert!(page.contains(problem), "{page}");
    again.terminate().expect_success();
    desk.channels(&["skip", "strict", "wu-0000000000000001/1"]).expect_success();
    let last = desk.start(1);
    eventually("no parked alert", LIMIT, || figure(0));
    last.terminate().expect_success();
}

#[test]
fn a_test_message_is_marked_and_its_failure_is_told() {
    let receiver = Receiver::start(well);
    let desk = Desk::new(&(webhook("hook", &receiver, "") + &webhook("gone", &receiver, "timeout_secs = 2")));
    let gone = desk.config();
    let text = std::fs::read_to_string(&gone).unwrap();
    let last = text.rfind("/hook").unwrap();
    std::fs::write(&gone, format!("{}:1{}", &text[..last].rsplit_once(':').unwrap().0, &text[last..])).unwrap();
    let running = desk.start(2);
    let sent = desk.channels(&["test", "hook"]);
    sent.expect_success();
    assert!(sent.stdout.contains("delivered, answer: 204"), "{}", sent.stdout);
    assert!(receiver.requests()[0].json()["summary"].as_str().unwrap().starts_with("TEST "));
    let failed = desk.channels(&["test", "gone"]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.stderr.contains("refused") && failed.stderr.contains("127.0.0.1:1"), "{}", failed.stderr);
    running.terminate().expect_success();
}

/// A random number generator: the same sequence for the same seed.
fn next(state: &AtomicU64) -> u64 {
    let mut x = state.load(Ordering::Relaxed);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    state.store(x, Ordering::Relaxed);
    x
}

/// An endpoint that answers badly more often than well.
fn hostile(dice: &AtomicU64) -> Answer {
    match next(dice) % 10 {
        0 | 1 => Answer::Status(500, ""),
        2 => Answer::Status(429, "retry-after: 0\r\n"),
        3 => Answer::HalfClose,
        4 => Answer::Hang(Duration::from_millis(1500)),
        _ => Answer::Status(200, ""),
    }
}

#[test]
fn every_transition_arrives_over_a_hostile_endpoint_and_kills() {
    let secs = std::env::var("WULOG_HOSTILE_SECS").map_or(HOSTILE_SECS, |value| value.parse().unwrap());
    let dice = Arc::new(AtomicU64::new(0x5eed_1234_5678_9abc));
    let answers = Arc::clone(&dice);
    let receiver = Receiver::start(move |_| hostile(&answers));
    let desk = Desk::new(&webhook("hook", &receiver, "timeout_secs = 1"));
    let until = Instant::now() + Duration::from_secs(secs);
    let mut written: Vec<String> = Vec::new();
    let mut seqs: BTreeMap<u32, u32> = BTreeMap::new();
    let mut kills = 0;
    let mut running: Option<Running> = None;
    while Instant::now() < until {
        let process = running.take().unwrap_or_else(|| desk.start(1));
        for _ in 0..1 + next(&dice) % 4 {
            let number = u32::try_from(next(&dice) % 3).unwrap();
            let seq = seqs.entry(number).or_insert(0);
            *seq += 1;
            let transition = if *seq == 1 { Transition::Opened } else { Transition::Growing };
            let alert = document(number, *seq, transition, Level::Medium);
            written.push(format!("{}/{}", alert.id, alert.seq));
            desk.append(&[alert]);
        }
        std::thread::sleep(Duration::from_millis(next(&dice) % 1500));
        if next(&dice).is_multiple_of(2) {
            process.kill9();
            kills += 1;
        } else {
            running = Some(process);
        }
    }
    let process = running.take().unwrap_or_else(|| desk.start(1));
    let arrived = || keys(&receiver, true).into_iter().collect::<BTreeSet<_>>();
    eventually("every transition", Duration::from_secs(DRAIN_FACTOR * secs), || arrived().len() >= written.len());
    process.terminate().expect_success();
    assert_eq!(arrived(), written.iter().cloned().collect(), "nothing is lost and nothing is made up");
    let mut first_taken: Vec<String> = Vec::new();
    for key in keys(&receiver, true) {
        if !first_taken.contains(&key) {
            first_taken.push(key);
        }
    }
    assert_eq!(first_taken, written, "the order is kept");
    // A duplicate of an accepted document comes from a kill between the answer and the commit, at most one for each
    // kill.
    let repeated = keys(&receiver, true).len() - written.len();
    let lost_answers = receiver.requests().iter().filter(|request| !request.taken).count();
    println!("{} transitions, {kills} kills, {lost_answers} bad answers, {repeated} repeated", written.len());
    assert!(repeated <= kills, "{repeated} repeated after {kills} kills");
    for request in receiver.requests() {
        let body = request.json();
        let key = format!("{}/{}", body["id"].as_str().unwrap(), body["seq"]);
        assert_eq!(request.header("idempotency-key"), key, "a repeat carries the same key");
    }
}
