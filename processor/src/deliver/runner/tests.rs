//! The loop of a channel over a queue in memory and a channel that does as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wulog_schemas::alert::{Level, Transition};
use wulog_service::Rounds;

use super::work::LateDocument;
use super::*;
use crate::deliver::backlog::Item;
use crate::deliver::channel::{Channel, DeliveryOutcome, MissingRecipient};
use crate::deliver::config::{RawChannel, check_all};
use crate::deliver::sample::sample;
use crate::deliver::set_aside::{self, LATE, PARKED, RECIPIENT, SetAside};
use crate::deliver::settings::ChannelConfig;
use crate::log::alert_queue::{AlertQueue, ChannelPosition, PolledAlerts};
use crate::log::{LogError, Record};
use crate::metrics::Metrics;

/// The durable part of a log.
#[derive(Default)]
struct Kept {
    records: Vec<Record>,
    notes: BTreeMap<String, Vec<u8>>,
    position: Option<ChannelPosition>,
}

type Shared = Arc<Mutex<Kept>>;

struct InMemory {
    kept: Shared,
    next: Option<i64>,
}

impl InMemory {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AlertQueue for InMemory {
    fn poll(&mut self, room: usize, _wait: Duration) -> Result<PolledAlerts, LogError> {
        let Some(next) = self.next else {
            self.next = Some(0);
            return Ok(PolledAlerts { owned: Some(true), records: Vec::new() });
        };
        let records: Vec<Record> =
            self.kept().records.iter().filter(|record| record.offset >= next).take(room).cloned().collect();
        self.next = records.last().map_or(Some(next), |last| Some(last.offset + 1)); // + 1: the next record
        Ok(PolledAlerts { owned: None, records })
    }

    fn start_at(&mut self, next: i64) -> Result<(), LogError> {
        self.next = Some(next);
        Ok(())
    }

    fn committed(&mut self) -> Result<Option<ChannelPosition>, LogError> {
        Ok(self.kept().position.clone())
    }

    fn commit(&mut self, position: &ChannelPosition) -> Result<(), LogError> {
        self.kept().position = Some(position.clone());
        Ok(())
    }

    fn read_all(&mut self, each: &mut dyn FnMut(Record)) -> Result<i64, LogError> {
        let records = self.kept().records.clone();
        let end = i64::try_from(records.len()).unwrap();
        records.into_iter().for_each(each);
        Ok(end)
    }

    fn notes(&mut self) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
        Ok(self.kept().notes.clone())
    }

    fn note(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), LogError> {
        let mut kept = self.kept();
        match value {
            Some(value) => drop(kept.notes.insert(key.to_owned(), value.to_vec())),
            None => drop(kept.notes.remove(key)),
        }
        Ok(())
    }
}

/// Answers each document as a function says; `only` holds the recipients to which a document is restricted.
struct Told<F> {
    answer: F,
    only: BTreeMap<String, Vec<String>>,
}

impl<F: FnMut(&Item, Option<&[String]>) -> DeliveryOutcome + Send> Channel for Told<F> {
    fn deliver(&mut self, item: &Item, _now_ms: i64) -> DeliveryOutcome {
        (self.answer)(item, self.only.get(&item.key()).map(Vec::as_slice))
    }

    fn renew(&mut self, _config: &ChannelConfig) -> Result<(), String> {
        Ok(())
    }

    fn send_only_to(&mut self, key: &str, recipients: &[String]) {
        self.only.insert(key.to_owned(), recipients.to_vec());
    }
}

/// A log whose position is 0 and which has documents of these incidents.
fn log(ids: &[&str]) -> Shared {
    let record = |(offset, id): (usize, &&str)| Record {
        partition: 0,
        offset: i64::try_from(offset).unwrap(),
        timestamp_ms: 0,
        key: id.as_bytes().to_vec(),
        header: None,
        value: serde_json::to_vec(&sample(id, 1, Transition::Opened, Level::High)).unwrap(),
    };
    let records = ids.iter().enumerate().map(record).collect();
    Arc::new(Mutex::new(Kept {
        records,
        notes: BTreeMap::new(),
        position: Some(ChannelPosition { next: 0, last: None }),
    }))
}

fn runner(
    kept: &Shared,
    metrics: &Metrics,
    answer: impl FnMut(&Item, Option<&[String]>) -> DeliveryOutcome + Send + 'static,
) -> Runner {
    #[derive(serde::Deserialize)]
    struct File {
        channels: Vec<RawChannel>,
    }
    let file: File =
        toml::from_str("[[channels]]\nname = \"a\"\nkind = \"syslog\"\nserver = \"x\"\ntls = \"none\"\n").unwrap();
    let config = check_all(&file.channels, "proc-1").unwrap().remove(0);
    let queue = Box::new(InMemory { kept: Arc::clone(kept), next: None });
    let mut runner = Runner::new(&config, queue, metrics.of_channel("a"), Rounds::unwatched()).unwrap();
    runner.channel = Box::new(Told { answer, only: BTreeMap::new() });
    runner
}

/// Runs the loop this many times, without the pauses after failures.
fn turn(runner: &mut Runner, rounds: usize) {
    for _ in 0..rounds {
        runner.step().unwrap();
        if let Some(work) = &mut runner.work {
            work.again_at = Instant::now();
        }
    }
}

fn notes(kept: &Shared, prefix: &str) -> Vec<SetAside> {
    set_aside::among(&kept.lock().unwrap_or_else(PoisonError::into_inner).notes, prefix)
}

fn position(kept: &Shared) -> i64 {
    kept.lock().unwrap_or_else(PoisonError::into_inner).position.as_ref().unwrap().next
}

fn taken() -> DeliveryOutcome {
    DeliveryOutcome::Delivered("ok".to_owned())
}

#[test]
fn a_document_at_which_the_channel_panics_is_parked_and_the_next_goes_out() {
    let (kept, metrics) = (log(&["a", "b"]), Metrics::new());
    let mut attempts = 0;
    let mut runner = runner(&kept, &metrics, move |item, _| {
        assert!(item.alert.id != "a", "the proxy broke");
        attempts += 1;
        assert_eq!(attempts, 1);
        taken()
    });
    turn(&mut runner, 4);
    assert_eq!((position(&kept), notes(&kept, PARKED).len()), (0, 0), "it is tried again first");
    turn(&mut runner, 20);
    let parked = notes(&kept, PARKED);
    assert_eq!(parked.len(), 1);
    assert!(parked[0].id == "a" && parked[0].reason.contains("the proxy broke"), "{parked:?}");
    assert_eq!(position(&kept), 2);
    assert_eq!(metrics.channels()[0].parked_now, Some(1));
}

#[test]
fn a_panic_of_the_loop_itself_does_not_end_the_thread() {
    let (kept, metrics) = (log(&["a"]), Metrics::new());
    let mut runner = runner(&kept, &metrics, |_, _| taken());
    let fine =
        std::mem::replace(&mut runner.queue, Box::new(Broken(3, InMemory { kept: Arc::clone(&kept), next: None })));
    drop(fine);
    let stop = CancellationToken::new();
    let watch = (stop.clone(), Arc::clone(&kept));
    let watcher = std::thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(30);
        while position(&watch.1) < 1 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        watch.0.cancel();
    });
    assert!(runner.run(&stop).is_ok());
    watcher.join().unwrap();
    assert_eq!(position(&kept), 1);
}

/// A queue that panics at its first polls.
struct Broken(u32, InMemory);

impl AlertQueue for Broken {
    fn poll(&mut self, room: usize, wait: Duration) -> Result<PolledAlerts, LogError> {
        self.0 = self.0.saturating_sub(1);
        assert!(self.0 == 0, "a broken queue");
        self.1.poll(room, wait)
    }

    fn start_at(&mut self, next: i64) -> Result<(), LogError> {
        self.1.start_at(next)
    }

    fn committed(&mut self) -> Result<Option<ChannelPosition>, LogError> {
        self.1.committed()
    }

    fn commit(&mut self, position: &ChannelPosition) -> Result<(), LogError> {
        self.1.commit(position)
    }

    fn read_all(&mut self, each: &mut dyn FnMut(Record)) -> Result<i64, LogError> {
        self.1.read_all(each)
    }

    fn notes(&mut self) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
        self.1.notes()
    }

    fn note(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), LogError> {
        self.1.note(key, value)
    }
}

#[test]
fn an_endpoint_that_refuses_everything_parks_nothing() {
    let (kept, metrics) = (log(&["a", "b"]), Metrics::new());
    let mut runner = runner(&kept, &metrics, |_, _| DeliveryOutcome::Barred("401".to_owned()));
    runner.barred_patience = Duration::ZERO;
    turn(&mut runner, 50);
    assert_eq!((position(&kept), notes(&kept, PARKED).len()), (0, 0));
    assert_eq!(metrics.channels()[0].parked_now, Some(0));
}

#[test]
fn a_document_that_alone_is_refused_for_long_is_parked() {
    let (kept, metrics) = (log(&["a", "b", "c"]), Metrics::new());
    let answer = |item: &Item, _: Option<&[String]>| {
        if item.alert.id == "a" { DeliveryOutcome::Barred("403".to_owned()) } else { taken() }
    };
    let mut patient = runner(&kept, &metrics, answer);
    turn(&mut patient, 20);
    assert_eq!((position(&kept), notes(&kept, PARKED).len()), (0, 0), "an hour has not passed");
    patient.barred_patience = Duration::ZERO;
    turn(&mut patient, 5);
    assert_eq!((position(&kept), notes(&kept, PARKED).len()), (3, 1));
    // The stored notes count after a restart.
    let metrics = Metrics::new();
    turn(&mut runner(&kept, &metrics, answer), 3);
    assert_eq!(metrics.channels()[0].parked_now, Some(1));
}

#[test]
fn one_recipient_delays_no_other_and_is_tried_again_after_a_restart() {
    let (kept, metrics) = (log(&["a", "b"]), Metrics::new());
    let lacking =
        |recipient: &str, again| MissingRecipient { recipient: recipient.to_owned(), why: "no".to_owned(), again };
    let mut first = runner(&kept, &metrics, move |item, only| {
        assert_eq!(only, None);
        if item.alert.id == "b" {
            return taken();
        }
        let lacking = vec![lacking("late@x", Some(Duration::ZERO)), lacking("gone@x", None)];
        DeliveryOutcome::Partly { answer: Some("ok".to_owned()), lacking }
    });
    turn(&mut first, 2);
    let refused = || notes(&kept, RECIPIENT).len();
    assert_eq!((position(&kept), notes(&kept, PARKED).len(), refused()), (1, 0, 1));
    turn(&mut first, 3);
    assert_eq!((position(&kept), refused()), (2, 0), "everybody has got the second document");
    let late = notes(&kept, LATE);
    assert_eq!(late.len(), 1);
    assert_eq!(late[0].recipients, ["late@x"]);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&asked);
    let mut second = runner(&kept, &metrics, move |item, only| {
        let only = only.map(<[String]>::to_vec);
        record.lock().unwrap_or_else(PoisonError::into_inner).push((item.alert.id.clone(), only));
        taken()
    });
    turn(&mut second, 3);
    assert_eq!(notes(&kept, LATE).len(), 1, "its minute has not passed");
    second.work.as_mut().unwrap().late.iter_mut().for_each(LateDocument::make_due);
    turn(&mut second, 3);
    assert!(notes(&kept, LATE).is_empty());
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(asked, [("a".to_owned(), Some(vec!["late@x".to_owned()]))]);
}
