//! Faults around a running `standalone`: it continues, and its status page names the fault.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use wulog_tests::fleet::{Cause, DAY_MS, Fleet, FleetSpec, HOUR_MS};
use wulog_tests::process::{Running, eventually};
use wulog_tests::receiver::get;

const LIMIT: Duration = Duration::from_secs(60);
const LIFE_MS: i64 = DAY_MS + 12 * HOUR_MS;

struct Site {
    folder: tempfile::TempDir,
    port: u16,
    fleet: Fleet,
}

impl Site {
    /// A fleet that has lived for [`LIFE_MS`] until now, and its logs of the first day, after which an outbreak begins.
    fn new() -> Site {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let start_ms = i64::try_from(now.as_millis()).unwrap() - LIFE_MS;
        let mut spec = FleetSpec::new(31, 40).starting(start_ms).with_outbreak(0, DAY_MS, Cause::UntrustedRoot);
        for site in spec.wsus.iter_mut().flat_map(|wsus| &mut wsus.sites) {
            (site.zone, site.utc_minutes) = ("Etc/UTC".to_owned(), 0);
        }
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut site = Site { folder, port, fleet: Fleet::new(spec) };
        std::fs::create_dir(site.path("logs")).unwrap();
        site.live_until(DAY_MS);
        site
    }

    fn live_until(&mut self, ms: i64) {
        let (logs, end_ms) = (self.path("logs"), self.fleet.spec().start_ms + ms);
        self.fleet.write_until(&logs, end_ms).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, more_config: &str, alerts_out: &Path) -> Running {
        let config = self.path("config.toml");
        std::fs::write(&config, format!("[http]\nlisten = \"127.0.0.1:{}\"\n{more_config}", self.port)).unwrap();
        let (logs, db) = (self.path("logs"), self.path("wulog.db"));
        let paths = [("--logs", &*logs), ("--db", &*db), ("--config", &*config), ("--alerts-out", alerts_out)];
        let arguments = paths.iter().flat_map(|(name, path)| [*name, path.to_str().unwrap()]);
        let arguments: Vec<&str> = ["standalone", "--utc-offset=+00:00"].into_iter().chain(arguments).collect();
        let running = Running::start("wulog-processor", &arguments);
        eventually("readiness", LIMIT, || self.is_ready());
        running
    }

    fn is_ready(&self) -> bool {
        get(self.port, "/readyz").starts_with("HTTP/1.1 200")
    }

    /// Whether the status page names a problem with these words.
    fn has_problem(&self, words: &str) -> bool {
        let answer = get(self.port, "/api/v1/status");
        answer.contains("\"ok\":false") && answer.contains(words)
    }
}

fn alerts_in(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn a_share_that_is_away_is_told_until_it_is_back() {
    let site = Site::new();
    let running = site.start("", &site.path("alerts.jsonl"));
    eventually("hosts", LIMIT, || get(site.port, "/api/v1/status").contains("\"hosts\":40,"));
    // An unmounted share is an empty folder.
    std::fs::rename(site.path("logs"), site.path("away")).unwrap();
    std::fs::create_dir(site.path("logs")).unwrap();
    eventually("a word on the share", LIMIT, || !site.is_ready() && site.has_problem("is the share mounted?"));
    std::fs::remove_dir(site.path("logs")).unwrap();
    std::fs::rename(site.path("away"), site.path("logs")).unwrap();
    eventually("readiness again", LIMIT, || site.is_ready() && !site.has_problem("share"));
    running.terminate().expect_success();
}

#[test]
fn an_inventory_that_was_emptied_leaves_out_nobody() {
    let mut site = Site::new();
    let names: String = site.fleet.hosts().map(|host| format!("{}\n", host.name)).collect();
    std::fs::write(site.path("hosts.txt"), &names).unwrap();
    let alerts = site.path("alerts.jsonl");
    let running = site.start("[normalizer]\ninventory = \"hosts.txt\"\n", &alerts);
    std::fs::write(site.path("hosts.txt"), "").unwrap();
    eventually("a word on the inventory", LIMIT, || site.has_problem("names no host"));
    site.live_until(LIFE_MS);
    eventually("an alert", LIMIT, || alerts_in(&alerts) > 0);
    std::fs::write(site.path("hosts.txt"), &names).unwrap();
    eventually("no word any more", LIMIT, || !site.has_problem("names no host"));
    running.terminate().expect_success();
}

#[test]
fn alerts_that_cannot_be_written_wait_for_their_file() {
    let mut site = Site::new();
    let alerts = site.path("alerts.jsonl");
    // A device without space.
    std::os::unix::fs::symlink("/dev/full", &alerts).unwrap();
    let running = site.start("", &alerts);
    site.live_until(DAY_MS + 6 * HOUR_MS);
    eventually("a word on the file", LIMIT, || site.has_problem("Alerts cannot be written"));
    std::fs::remove_file(&alerts).unwrap();
    eventually("the alerts", LIMIT, || alerts_in(&alerts) > 0 && !site.has_problem("Alerts cannot be written"));
    running.terminate().expect_success();
    let first = std::fs::read_to_string(&alerts).unwrap();
    assert!(first.lines().next().unwrap().contains("\"seq\":1,"), "no alert is missing: {first}");
}

#[test]
fn a_file_of_alerts_that_is_moved_away_is_recreated() {
    let mut site = Site::new();
    let alerts = site.path("alerts.jsonl");
    let running = site.start("", &alerts);
    std::fs::rename(&alerts, site.path("alerts.jsonl.1")).unwrap();
    site.live_until(LIFE_MS);
    eventually("alerts", LIMIT, || alerts_in(&alerts) > 0);
    running.terminate().expect_success();
    assert_eq!(alerts_in(&site.path("alerts.jsonl.1")), 0);
}
