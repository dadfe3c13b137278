//! One fleet, shipped in three ways: gathered and replayed, as a backlog followed by a live outbreak, and live
//! throughout. All three give the same incidents, opened within minutes of each other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use wulog_collector::kafka::KafkaSink;
use wulog_schemas::alert::{Alert, Transition};
use wulog_schemas::topic::Topic;
use wulog_tests::documents::is_attempt;
use wulog_tests::fleet::{Cause, DAY_MS, Fleet, FleetSpec, HOUR_MS, Layout, Truth};
use wulog_tests::kafka::{self, KafkaTestbed, TopicRecord};
use wulog_tests::line::{Incident, incidents, processor};
use wulog_tests::process::{Running, eventually, run};
use wulog_tests::rig::Rig;

const HOSTS: usize = 100;
/// Steps in which a live fleet is shipped.
const STEP_MS: i64 = 20 * 60 * 1000;
/// Quiet days before the outbreak: the backlog.
const PEACE_MS: i64 = 2 * DAY_MS;
/// Time after the last compared failure: a document names every host that failed four hours before it, and the next
/// document may come a step later.
const TOLD_MS: i64 = 5 * HOUR_MS;
/// Timeout for the processor to handle the lines of one step.
const HANDLED_MAX: Duration = Duration::from_secs(120);
/// Maximum difference of the openings of one incident: two steps, and the minutes that a backlog takes.
const APART_MAX_MS: i64 = 40 * 60 * 1000;

fn fleet() -> Fleet {
    let mut spec = FleetSpec::new(31, HOSTS).with_outbreak(1, PEACE_MS, Cause::UntrustedRoot);
    spec.layout = Layout::Sites;
    // One zone for all sites, since gathered files do not say it.
    for site in spec.wsus.iter_mut().flat_map(|wsus| &mut wsus.sites) {
        (site.zone, site.utc_minutes) = ("Europe/Berlin".to_owned(), 60);
    }
    Fleet::new(spec)
}

/// Event time of the last failure that is compared.
fn compared_ms(fleet: &Fleet) -> i64 {
    fleet.spec().start_ms + PEACE_MS + DAY_MS
}

/// The incidents of one way of shipping.
#[derive(Debug)]
struct Heard {
    incidents: Vec<Incident>,
    /// Log time at which each incident opened, in the order of opening.
    opened_ms: Vec<i64>,
}

impl Heard {
    fn of(documents: &[Vec<u8>]) -> Heard {
        let alerts = documents.iter().map(|document| serde_json::from_slice::<Alert>(document).unwrap());
        let opened = alerts.filter(|alert| alert.transition == Transition::Opened);
        Heard {
            incidents: incidents(documents.iter().map(Vec::as_slice)),
            opened_ms: opened.map(|alert| alert.time.opened.0).collect(),
        }
    }

    /// Checks the incident against the truth, and leaves out hosts that failed so late that a document need not name
    /// them.
    fn expect(&mut self, truth: &Truth, compared_ms: i64) {
        let [incident] = self.incidents.as_mut_slice() else {
            panic!("expected one incident, got {:#?}", self.incidents)
        };
        assert_eq!(incident.family, truth.family.as_str());
        let wsus = truth.wsus.trim_start_matches("http://").to_owned();
        assert_eq!(incident.cause, Some(("wsus".to_owned(), wsus)));
        let failed: BTreeSet<String> = truth.hosts.keys().cloned().collect();
        assert!(incident.hosts.is_subset(&failed), "strangers: {:?}", incident.hosts.difference(&failed));
        incident.hosts.retain(|host| truth.hosts[host] <= compared_ms);
        assert_eq!(self.opened_ms.len(), 1);
    }
}

fn configuration(broker: &KafkaTestbed, folder: &Path, prefix: &str) -> PathBuf {
    let path = folder.join("processor.toml");
    let mut text = format!("topic_prefix = \"{prefix}\"\ninstance = \"one\"\n[kafka]\n");
    writeln!(text, "\"bootstrap.servers\" = \"{}\"", broker.bootstrap()).unwrap();
    text.push_str("[topics]\nsimulated = true\n[processor]\ntick_after_idle_secs = 0\n");
    std::fs::write(&path, text).unwrap();
    processor(&["topics", "create", "--config", path.to_str().unwrap()]);
    path
}

/// Ships the fleet's life up to `first_ms` at once, and the rest live, while a processor runs. Returns the folder of
/// the logs and the final contents of the alerts topic.
fn shipped(broker: &KafkaTestbed, folder: &Path, first_ms: i64) -> Heard {
    let prefix = kafka::unique_prefix("shipping");
    let config = configuration(broker, folder, &prefix);
    let config = config.to_str().unwrap();
    let fleet = fleet();
    let (start_ms, end_ms) = (fleet.spec().start_ms, compared_ms(&fleet) + TOLD_MS);
    let properties = [("bootstrap.servers", broker.bootstrap()), ("linger.ms", "2")];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut rig =
        Rig::new(fleet, folder, Arc::new(AtomicI64::new(0)), |_| Ok(Box::new(KafkaSink::new(&properties, &prefix)?)))
            .unwrap();
    let running = Running::start("wulog-processor", &["run", "--config", config]);
    // A step of simulated time takes milliseconds. From the outbreak on, the processor handles a step before the next one
    // begins, as it does in 20 minutes of real time: otherwise one partition's lines are steps ahead of another's, and the
    // incident opens as many steps later.
    let lag = broker.lag(&format!("{prefix}-normalizer"), &Topic::Raw.name(&prefix));
    let handled = || eventually("the step's lines are events", HANDLED_MAX, || lag.records() == 0);
    let mut lines = rig.step(start_ms + first_ms).unwrap();
    handled();
    while rig.fleet().now_ms() < end_ms {
        lines += rig.step(rig.fleet().now_ms() + STEP_MS).unwrap();
        if rig.fleet().now_ms() > start_ms + PEACE_MS - HOUR_MS {
            handled();
        }
    }
    rig.finish().unwrap();

    // The run is done when each line is an event, the alerts are those of the signals, and nothing is added any more.
    let events = Topic::Events.name(&prefix);
    let is_line = |record: &TopicRecord| record.value.as_deref().is_some_and(|event| !is_attempt(event));
    let began = Instant::now();
    while (broker.read_topic(&events).iter().filter(|record| is_line(record)).count() as u64) < lines {
        assert!(began.elapsed() < Duration::from_secs(120), "not all of {lines} lines are events");
    }
    let names = [Topic::Raw, Topic::Signals, Topic::Alerts].map(|topic| topic.name(&prefix));
    let sizes = || names.each_ref().map(|name| broker.read_topic(name).len());
    let alerts = loop {
        let before = sizes();
        std::thread::sleep(Duration::from_secs(3));
        let wanted = processor(&["replay", "--config", config, "--stage", "signals", "--alerts-out", "-"]);
        let there: Vec<Vec<u8>> = broker.read_topic(&names[2]).into_iter().filter_map(|record| record.value).collect();
        if there == wanted && before == sizes() && before[1] > 0 {
            break there;
        }
        let late = || not_as_wanted(&there, &wanted);
        assert!(began.elapsed() < Duration::from_secs(120), "{before:?} records then, {:?} now; {}", sizes(), late());
    };
    drop(running);
    rules_are_compared_with_what_hosts_report(Path::new(config));
    the_report_knows_each_host(config, &folder.join("report"), alerts.last().unwrap());
    Heard::of(&alerts)
}

/// The first difference between the alerts of the topic and those of a replay of the signals, for the message of a
/// failure.
fn not_as_wanted(there: &[Vec<u8>], wanted: &[Vec<u8>]) -> String {
    let first = there.iter().zip(wanted).position(|(there, wanted)| there != wanted);
    let text =
        |documents: &[Vec<u8>], at: usize| documents.get(at).map(|json| String::from_utf8_lossy(json).into_owned());
    let at = first.unwrap_or_else(|| there.len().min(wanted.len()));
    format!(
        "{} alerts, {} wanted; the first that differs is number {at}:\nthere  {:?}\nwanted {:?}",
        there.len(),
        wanted.len(),
        text(there, at),
        text(wanted, at)
    )
}

/// The report from Kafka has a row for each host that the newest document names, and the raw lines of its evidence.
fn the_report_knows_each_host(config: &str, out: &Path, newest: &[u8]) {
    let alert: Alert = serde_json::from_slice(newest).unwrap();
    processor(&["report", &alert.id, "--config", config, "--out", out.to_str().unwrap()]);
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert_eq!(serde_json::from_str::<Alert>(&read("alert.json")).unwrap(), alert);
    let table = read("hosts.csv");
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|row| row.split(',').collect()).collect();
    let hosts: BTreeSet<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(hosts, alert.hosts.names.iter().map(String::as_str).collect());
    for exemplar in &alert.evidence.exemplars {
        let row = rows.iter().find(|row| row[0] == exemplar.host).unwrap();
        assert_eq!((row[1], row[2]), (exemplar.time.to_string().as_str(), exemplar.code.as_str()), "{row:?}");
    }
    let page = read("report.html");
    let evidence = page.split("<h2>Evidence</h2>").nth(1).unwrap().split("</section>").next().unwrap();
    assert_eq!(evidence.matches("<pre>").count(), alert.evidence.exemplars.len());
}

fn rules_are_compared_with_what_hosts_report(config: &Path) {
    let text = std::fs::read_to_string(config).unwrap();
    let rules = config.with_file_name("rules.toml");
    let rule =
        |by: &str| format!("[[detector.rules]]\nname = 'by {by}'\nwithin_secs = 600\nmin_hosts = 3\nby = '{by}'\n");
    std::fs::write(&rules, text + &rule("wsus") + &rule("label.floor")).unwrap();
    let checked = run("wulog-processor", &["check-config", "--config", rules.to_str().unwrap()]);
    assert_eq!((checked.code, checked.stderr.lines().count()), (Some(0), 1), "{}", checked.stderr);
    assert!(checked.stderr.contains("\"by label.floor\" cannot fire"), "{}", checked.stderr);
}

#[test]
fn gathered_as_a_backlog_and_as_it_is_written() {
    let name = "gathered_as_a_backlog_and_as_it_is_written";
    let Some(broker) = kafka::or_skip(name, kafka::shared()) else { return };
    let (truth, compared_ms) = (fleet().truth().unwrap().clone(), compared_ms(&fleet()));

    let folder = tempfile::tempdir().unwrap();
    let mut as_written = shipped(broker, folder.path(), STEP_MS);
    as_written.expect(&truth, compared_ms);

    // A first installation: all lines of the hosts are shipped at once, and an hour later the outbreak begins.
    let other = tempfile::tempdir().unwrap();
    let mut backlog = shipped(broker, other.path(), PEACE_MS - HOUR_MS);
    backlog.expect(&truth, compared_ms);

    let gathered = folder.path().join("gathered");
    let fleet = fleet();
    for host in fleet.hosts() {
        std::fs::create_dir_all(gathered.join(&host.name)).unwrap();
        let log = fleet.log_path(&folder.path().join("logs"), host);
        std::fs::copy(log, gathered.join(&host.name).join("WindowsUpdate.log")).unwrap();
    }
    let arguments =
        ["replay", "--logs", gathered.to_str().unwrap(), "--time-zone", "Europe/Berlin", "--alerts-out", "-"];
    let mut replayed = Heard::of(&processor(&arguments));
    replayed.expect(&truth, compared_ms);

    assert_eq!(backlog.incidents, as_written.incidents, "the backlog against what came as it was written");
    assert_eq!(replayed.incidents, as_written.incidents, "the replay against what came as it was written");
    for (way, heard) in [("backlog", &backlog), ("replay", &replayed)] {
        let apart = heard.opened_ms[0] - as_written.opened_ms[0];
        println!("{way}: opened {} s after what came as it was written", apart / 1000);
        assert!(apart.abs() <= APART_MAX_MS, "{way}: opened {} s apart", apart / 1000);
    }
}
