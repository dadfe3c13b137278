//! Exactly once, step by step: a processor is killed -9 at each step of its transaction, and processors join and leave;
//! every line is one event, and the alerts are those of an undisturbed processor.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use wulog_collector::kafka::KafkaSink;
use wulog_schemas::topic::Topic;
use wulog_tests::fleet::{Cause, DAY_MS, Fleet, FleetSpec, HOUR_MS, Layout};
use wulog_tests::kafka::proxy::{Moment, Proxy, api};
use wulog_tests::kafka::{self, KafkaTestbed};
use wulog_tests::line::{Incident, incidents};
use wulog_tests::process::Running;
use wulog_tests::rig::Rig;
use wulog_tests::tenant::{Tenant, raw_position};

/// A quiet day, then an outbreak. One zone for all sites keeps the lines as they are in files.
fn fleet(seed: u64, hosts: usize) -> Fleet {
    let mut spec = FleetSpec::new(seed, hosts).with_outbreak(1, DAY_MS, Cause::UntrustedRoot);
    spec.layout = Layout::Sites;
    Fleet::new(spec)
}

fn rig(broker: &KafkaTestbed, folder: &Path, prefix: &str, fleet: Fleet) -> Rig {
    let properties = [("bootstrap.servers", broker.bootstrap()), ("linger.ms", "2")];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Rig::new(fleet, folder, Arc::new(AtomicI64::new(0)), |_| Ok(Box::new(KafkaSink::new(&properties, prefix)?)))
        .unwrap()
}

fn incidents_of(alerts: &[Vec<u8>]) -> Vec<Incident> {
    incidents(alerts.iter().map(Vec::as_slice))
}

/// Expects that each line is one event, and that the alerts are those of the signals, byte for byte, and those of the
/// lines.
fn expect_exactly_once(tenant: &Tenant<'_>, lines: u64) -> Vec<Incident> {
    let events = tenant.settled(lines);
    let positions: BTreeSet<(i64, i64)> = events.iter().map(|event| raw_position(event)).collect();
    assert_eq!((events.len() as u64, positions.len() as u64), (lines, lines), "events, and lines that they are about");
    let alerts = tenant.values(Topic::Alerts);
    assert!(alerts == tenant.replay("signals"), "from signals the documents are byte-identical");
    incidents_of(&alerts)
}

#[test]
fn killed_at_each_step_of_a_transaction() {
    let name = "killed_at_each_step_of_a_transaction";
    let Some(broker) = kafka::or_skip(name, kafka::shared()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let prefix = kafka::unique_prefix("steps");
    let tenant = Tenant::new(broker, folder.path(), &prefix);
    let proxy = Proxy::before(broker.bootstrap());
    let config = tenant.config("one", &proxy.bootstrap());

    let fleet = fleet(31, 60);
    let truth = fleet.truth().unwrap().clone();
    let end_ms = fleet.spec().start_ms + DAY_MS * 2;
    let mut rig = rig(broker, folder.path(), &prefix, fleet);
    let mut lines = 0;
    while rig.fleet().now_ms() < end_ms {
        lines += rig.step(rig.fleet().now_ms() + HOUR_MS * 2).unwrap();
    }
    rig.finish().unwrap();

    let steps = [
        ("records on their way", Moment::Asked(api::PRODUCE)),
        ("after produce", Moment::Done(api::PRODUCE)),
        ("after send_offsets", Moment::Done(api::TXN_OFFSET_COMMIT)),
        ("commit on its way", Moment::Asked(api::END_TXN)),
        ("inside commit", Moment::Done(api::END_TXN)),
        ("after commit", Moment::Heard(api::END_TXN)),
    ];
    let mut seen = vec![tenant.values(Topic::Events).len()];
    for (step, moment) in steps {
        let running = tenant.start(&config);
        // Some transactions pass before, so that each life makes progress.
        proxy.arm(running.pid(), moment, 4);
        let began = Instant::now();
        while !proxy.has_sprung() {
            assert!(began.elapsed() < Duration::from_secs(60), "{step}: never came: {}", running.stderr());
            std::thread::sleep(Duration::from_millis(5));
        }
        running.until_gone();
        seen.push(tenant.values(Topic::Events).len());
    }
    let middle = seen.iter().filter(|events| **events > 0 && (**events as u64) < lines).count();
    assert!(middle >= 4, "the kills came when all was done: {seen:?} of {lines}");

    let running = tenant.start(&config);
    let found = expect_exactly_once(&tenant, lines);
    drop(running);
    assert_eq!(incidents_of(&tenant.replay("raw")), found, "as if nothing had happened");
    let list = tenant.alerts_list();
    assert!(list.lines().count() == 3 && list.contains("untrusted_root") && list.ends_with("1 open\n"), "{list}");
    let [incident] = found.as_slice() else { panic!("expected one incident, got {found:#?}") };
    let strangers: Vec<&String> = incident.hosts.iter().filter(|host| !truth.hosts.contains_key(*host)).collect();
    assert!(strangers.is_empty() && incident.hosts.len() >= 3, "{incident:#?}");
}

/// The result of a fleet, with the given number of processors at each stage of the work.
fn with_processors(broker: &KafkaTestbed, seed: u64, stages: &[usize]) -> Vec<Incident> {
    let folder = tempfile::tempdir().unwrap();
    let prefix = kafka::unique_prefix("many");
    let tenant = Tenant::new(broker, folder.path(), &prefix);
    let fleet = fleet(seed, 50);
    let end_ms = fleet.spec().start_ms + DAY_MS * 5 / 2;
    let mut rig = rig(broker, folder.path(), &prefix, fleet);
    let mut lines = 0;
    while rig.fleet().now_ms() < end_ms {
        lines += rig.step(rig.fleet().now_ms() + HOUR_MS).unwrap();
    }
    rig.finish().unwrap();

    let mut running: Vec<Running> = Vec::new();
    let mut started = 0;
    for (stage, &count) in stages.iter().enumerate() {
        while running.len() > count {
            // The oldest processor leaves, by turns in good order and by a crash.
            let leaving = running.remove(0);
            if stage % 2 == 0 { leaving.kill9() } else { assert_eq!(leaving.terminate().code, Some(0)) }
        }
        while running.len() < count {
            let config = tenant.config(&format!("p{started}"), broker.bootstrap());
            started += 1;
            running.push(tenant.start(&config));
        }
        let until = lines * (stage as u64 + 1) / stages.len() as u64;
        let began = Instant::now();
        while (tenant.values(Topic::Events).len() as u64) < until {
            let say = || running.iter().map(Running::stderr).collect::<Vec<_>>().join("\n---\n");
            assert!(began.elapsed() < Duration::from_secs(90), "stage {stage}: no {until} events:\n{}", say());
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    expect_exactly_once(&tenant, lines)
}

#[test]
fn one_two_and_four_processors_give_the_same_alerts() {
    let name = "one_two_and_four_processors_give_the_same_alerts";
    let Some(broker) = kafka::or_skip(name, kafka::shared()) else { return };
    let one = with_processors(broker, 32, &[1]);
    assert_eq!(one.len(), 1, "{one:#?}");
    assert_eq!(with_processors(broker, 32, &[2, 4, 3, 1, 4]), one);
}
