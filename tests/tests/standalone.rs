//! `wulog-processor standalone` as an admin runs it: on gathered logs, stopped, killed and started again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags};
use wulog_schemas::alert::Alert;
use wulog_tests::documents::{expect_same, expect_valid, is_attempt, originals, schema, written};
use wulog_tests::fleet::{Cause, DAY_MS, DEFAULT_START_MS, Fleet, FleetSpec, HOUR_MS, LOG_NAME};
use wulog_tests::line::incidents;
use wulog_tests::process::{Running, run};

/// Some thirty thousand lines on loaded cores.
const LIMIT: Duration = Duration::from_secs(60);

struct Bench {
    folder: tempfile::TempDir,
    fleet: Fleet,
}

impl Bench {
    /// A fleet that has lived for `days` until now, with an outbreak that began twelve hours ago. Sites in UTC, since
    /// files alone don't name their zone.
    fn new(seed: u64, hosts: usize, days: i64) -> Bench {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Bench::until(i64::try_from(now.as_millis()).unwrap(), seed, hosts, days)
    }

    /// The same fleet with another end than now.
    fn until(now_ms: i64, seed: u64, hosts: usize, days: i64) -> Bench {
        let spec = FleetSpec::new(seed, hosts).starting(now_ms - days * DAY_MS);
        let mut spec = spec.with_outbreak(0, days * DAY_MS - 12 * HOUR_MS, Cause::UntrustedRoot);
        for site in spec.wsus.iter_mut().flat_map(|wsus| &mut wsus.sites) {
            (site.zone, site.utc_minutes) = ("Etc/UTC".to_owned(), 0);
        }
        let bench = Bench { folder: tempfile::tempdir().unwrap(), fleet: Fleet::new(spec) };
        std::fs::create_dir(bench.logs()).unwrap();
        bench.with_lines_until(now_ms)
    }

    fn with_lines_until(mut self, until_ms: i64) -> Bench {
        self.fleet.write_until(&self.logs(), until_ms).unwrap();
        self
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("wulog.db")
    }

    fn alerts_file(&self) -> PathBuf {
        self.folder.path().join("alerts.jsonl")
    }

    fn start(&self) -> Running {
        self.start_with(&[])
    }

    fn start_with(&self, more: &[String]) -> Running {
        let path = |path: PathBuf| path.to_str().unwrap().to_owned();
        let arguments = [
            "standalone".to_owned(),
            "--logs".to_owned(),
            path(self.logs()),
            "--db".to_owned(),
            path(self.db()),
            "--alerts-out".to_owned(),
            path(self.alerts_file()),
            "--utc-offset=+00:00".to_owned(),
        ];
        Running::start("wulog-processor", &[&arguments, more].concat())
    }

    fn lines(&self) -> usize {
        written(&self.logs()).values().map(Vec::len).sum()
    }

    fn alerts(&self) -> Vec<Alert> {
        let text = std::fs::read_to_string(self.alerts_file()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn until_all_are_events(&self, running: &mut Running) {
        let lines = self.lines();
        running.until("an event for each line", LIMIT, |_| lines_told(&self.db()) >= lines);
    }

    fn expect_each_line_once(&self) {
        let events = values(&self.db(), "events");
        expect_same(&originals(events.iter().map(String::as_bytes)), &written(&self.logs()));
    }
}

/// Number of events of lines; attempts concern several lines.
fn lines_told(db: &Path) -> usize {
    values(db, "events").iter().filter(|event| !is_attempt(event.as_bytes())).count()
}

/// Reads the file like an admin, without writing; a missing table is not an error.
fn look<T>(db: &Path, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Option<T> {
    let connection = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    connection.busy_timeout(LIMIT).unwrap();
    question(&connection).ok()
}

fn count(db: &Path, topic: &str) -> usize {
    let rows = |db: &Connection| {
        db.query_row("SELECT count(*) FROM record WHERE topic = ?1", [topic], |row| row.get::<_, i64>(0))
    };
    look(db, rows).map_or(0, |rows| usize::try_from(rows).unwrap())
}

fn values(db: &Path, topic: &str) -> Vec<String> {
    look(db, |db| {
        let mut statement = db.prepare("SELECT value FROM record WHERE topic = ?1 ORDER BY partition, offset")?;
        statement.query_map([topic], |row| row.get(0))?.collect()
    })
    .unwrap_or_default()
}

#[test]
fn an_install_in_the_middle_of_an_outbreak() {
    let bench = Bench::new(21, 40, 3);
    let truth = bench.fleet.truth().unwrap().clone();
    let mut running = bench.start();
    running.until("an alert in the file", LIMIT, |_| !bench.alerts().is_empty());
    bench.until_all_are_events(&mut running);
    let first = bench.alerts().remove(0);
    running.until("the alert on standard output", LIMIT, |running| running.stdout().contains(&first.id));
    assert!(running.stdout().contains("wulog-processor replay --db "), "{}", running.stdout());
    running.terminate().expect_success();
    bench.expect_each_line_once();

    let alerts = bench.alerts();
    let last = alerts.last().unwrap();
    assert!(alerts.iter().all(|alert| alert.id == last.id), "one incident: {alerts:#?}");
    assert_eq!(last.family.as_str(), truth.family.as_str());
    let cause = last.common_factors.first().map(|factor| (factor.dimension.as_str(), factor.value.as_str()));
    // The first document may be of three hosts, too few for a cause; but it never names a wrong one.
    let wsus = ("wsus", truth.wsus.trim_start_matches("http://"));
    assert!(cause.is_none_or(|cause| cause == wsus), "{cause:?} is not {wsus:?}");
    assert!(last.hosts.names.iter().all(|host| truth.hosts.contains_key(host)), "{:?}", last.hosts.names);
    let schema = schema("alert");
    let text = std::fs::read_to_string(bench.alerts_file()).unwrap();
    text.lines().for_each(|alert| expect_valid(&schema, alert.as_bytes()));
    assert_eq!(text.lines().collect::<Vec<_>>(), values(&bench.db(), "alerts"), "the file holds the alerts, each once");

    // After a restart it continues: no document is repeated, and new lines are processed.
    let (alerts_before, hosts) = (alerts.len(), bench.fleet.hosts().len());
    let bench = append_to_each(bench, "2011-05-15\t07:47:07:169\t1132\t1a4\tAU\tAU initiates service shutdown\r\n");
    let mut running = bench.start();
    bench.until_all_are_events(&mut running);
    let ended = running.terminate();
    ended.expect_success();
    bench.expect_each_line_once();
    assert!(hosts > 0 && bench.alerts().len() == alerts_before, "{:#?}", bench.alerts());
    assert!(!ended.stdout.contains(&last.id), "printed twice:\n{}", ended.stdout);
    rules_are_compared_with_what_hosts_report(&bench);
}

fn rules_are_compared_with_what_hosts_report(bench: &Bench) {
    let config = bench.folder.path().join("rules.toml");
    let rule = |name: &str, by: &str| {
        format!("[[detector.rules]]\nname = '{name}'\nwithin_secs = 600\nmin_hosts = 3\nby = '{by}'\n")
    };
    std::fs::write(&config, rule("server", "wsus") + &rule("floor", "label.floor")).unwrap();
    let db = bench.db();
    let arguments =
        ["check-config", "--standalone", "--config", config.to_str().unwrap(), "--db", db.to_str().unwrap()];
    let checked = run("wulog-processor", &arguments);
    assert_eq!((checked.code, checked.stderr.lines().count()), (Some(0), 1), "{}", checked.stderr);
    let parts = ["\"floor\" cannot fire", "label.floor", "hosts report", "wsus"];
    assert!(parts.iter().all(|part| checked.stderr.contains(part)), "{}", checked.stderr);
}

fn append_to_each(bench: Bench, line: &str) -> Bench {
    for host in bench.fleet.hosts() {
        let path = bench.logs().join(&host.name).join(LOG_NAME);
        OpenOptions::new().append(true).open(path).unwrap().write_all(line.as_bytes()).unwrap();
    }
    bench
}

#[test]
fn a_killed_standalone_neither_loses_nor_repeats() {
    let bench = Bench::new(22, 120, 3);
    let lines = bench.lines();
    let mut in_the_middle = 0;
    for part in 1..=4 {
        let mut running = bench.start();
        running.until("some events more", LIMIT, |_| count(&bench.db(), "events") >= lines * part / 8);
        running.kill9();
        in_the_middle += usize::from(count(&bench.db(), "events") < lines);
    }
    assert!(in_the_middle >= 2, "it was done before the second kill: give it more lines");
    let mut running = bench.start();
    bench.until_all_are_events(&mut running);
    running.until("an alert", LIMIT, |_| count(&bench.db(), "alerts") > 0);
    running.terminate().expect_success();
    bench.expect_each_line_once();
    let incidents: std::collections::BTreeSet<String> = bench.alerts().into_iter().map(|alert| alert.id).collect();
    assert_eq!(incidents.len(), 1);
}

/// For a live run, an outbreak of years ago is history, and so it is for a replay of that run's records. At its own
/// time it is an incident.
#[test]
fn logs_of_years_ago_are_history() {
    let bench = Bench::until(DEFAULT_START_MS, 23, 40, 3);
    let mut running = bench.start();
    bench.until_all_are_events(&mut running);
    let settled = || count(&bench.db(), "signals");
    running.until("signals", LIMIT, |_| settled() > 0);
    let ended = running.terminate();
    assert_eq!((ended.code, bench.alerts().len()), (Some(0), 0), "{}", ended.stderr);

    let alerts = |from: &str, path: &Path| {
        let ended = run("wulog-processor", &["replay", from, path.to_str().unwrap(), "--alerts-out", "-"]);
        ended.expect_success();
        incidents(ended.stdout.lines().map(str::as_bytes))
    };
    assert_eq!(alerts("--db", &bench.db()), []);
    let at_the_time = alerts("--logs", &bench.logs());
    assert_eq!(at_the_time.len(), 1);
    let truth = bench.fleet.truth().unwrap();
    assert!(at_the_time[0].hosts.iter().all(|host| truth.hosts.contains_key(host)), "{at_the_time:#?}");
}

/// Hosts that are missing in the inventory give events and no alert.
#[test]
fn hosts_that_are_not_in_the_inventory_raise_no_alert() {
    let bench = Bench::new(21, 40, 3);
    let inventory = bench.folder.path().join("hosts.txt");
    std::fs::write(&inventory, "somebody-else\n").unwrap();
    let more = ["--inventory".to_owned(), inventory.display().to_string()];
    let mut running = bench.start_with(&more);
    bench.until_all_are_events(&mut running);
    let ended = running.terminate();
    ended.expect_success();
    assert!(ended.stderr.contains("not in the inventory"), "{}", ended.stderr);
    assert_eq!(count(&bench.db(), "alerts"), 0);
    // The same fleet without the inventory, to show that there is an alert.
    let open = Bench::new(21, 40, 3);
    let mut running = open.start();
    running.until("an alert", LIMIT, |_| count(&open.db(), "alerts") > 0);
    running.terminate().expect_success();
    std::fs::remove_file(&inventory).unwrap();
    let refused = bench.start_with(&more).ended_within(LIMIT);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("hosts.txt: the inventory of hosts cannot be read"), "{}", refused.stderr);
}
