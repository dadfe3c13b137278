//! Faults at a user's site: each leads to an exit code and a message that names the place and the remedy, or to a
//! stated retry, and nothing is lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use wulog_tests::documents::{expect_same, originals, written};
use wulog_tests::fleet::{DAY_MS, Fleet, FleetSpec};
use wulog_tests::kafka::{self, KafkaTestbed};
use wulog_tests::process::{self, Ended, Running};

const PROCESSOR: &str = "wulog-processor";
const COLLECTOR: &str = "wulog-collector";

/// Nothing listens there.
const NO_BROKER: &str = "[kafka]\n'bootstrap.servers' = '127.0.0.1:1'\n";

/// A folder with files that a user may configure by mistake. `DIR` in texts stands for it.
struct Site(TempDir);

impl Site {
    fn new() -> Site {
        let site = Site(tempfile::tempdir().unwrap());
        for folder in ["folder", "no-logs", "host-folders/PC-1"] {
            fs::create_dir_all(site.path(folder)).unwrap();
        }
        fs::write(site.path("text.txt"), "This is no log of wulog, and no configuration either.\n").unwrap();
        fs::write(site.path("one.log"), "Report\tone line\n").unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn fill(&self, text: &str) -> String {
        text.replace("DIR", self.0.path().to_str().unwrap())
    }

    fn run(&self, binary: &str, command: &str) -> Ended {
        process::run(binary, &self.arguments(command))
    }

    fn start(&self, binary: &str, command: &str) -> Running {
        Running::start(binary, &self.arguments(command))
    }

    fn arguments(&self, command: &str) -> Vec<String> {
        command.split(' ').map(|word| self.fill(word)).collect()
    }

    /// Runs a command, which must end with `code` and say every one of `parts`.
    #[track_caller]
    fn check(&self, binary: &str, command: &str, code: i32, parts: &[&str]) -> Ended {
        let ended = self.run(binary, command);
        expect(&ended, &format!("{binary} {command}"), code, parts, |part| self.fill(part));
        ended
    }

    /// The same with a configuration of this text, which is called `c.toml` in messages.
    #[track_caller]
    fn check_config(&self, binary: &str, command: &str, text: &str, code: i32, parts: &[&str]) {
        fs::write(self.path("c.toml"), self.fill(text)).unwrap();
        self.check(binary, &format!("{command} --config DIR/c.toml"), code, parts);
    }
}

#[track_caller]
fn expect(ended: &Ended, what: &str, code: i32, parts: &[&str], fill: impl Fn(&str) -> String) {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, Some(code), "{what}: {said}");
    for part in parts {
        assert!(said.contains(&fill(part)), "{what}: does not say {part:?}: {said}");
    }
    assert!(!said.contains("panicked") && !said.contains('\u{1b}'), "{what}: {said}");
}

#[test]
fn a_wrong_configuration_of_the_processor() {
    let site = Site::new();
    let broker = |rest: &str| format!("{NO_BROKER}{rest}");
    for command in ["check-config", "run", "topics create", "replay"] {
        let check = |text: &str, parts: &[&str]| site.check_config(PROCESSOR, command, text, 2, parts);
        check("not toml [", &["DIR/c.toml:1:", "expected `=`"]);
        check(&broker("[detector]\nalfa = 1\n"), &["DIR/c.toml:4:", "unknown field `alfa`", "alpha"]);
        check("topic_prefix = 3\n", &["DIR/c.toml:1: column 16:", "expected a string"]);
        check("[kafka]\n", &["DIR/c.toml", "bootstrap.servers"]);
        check(&broker("'no.such.property' = 1\n"), &["DIR/c.toml", "no.such.property"]);
        check(&broker("[normalizer]\ntime_zone = 'Mars/Olympus'\n"), &["DIR/c.toml:4:", "Mars/Olympus", "IANA"]);
        check(&broker("[normalizer]\nformat = 'cef'\n"), &["DIR/c.toml:4:", "`cef`", "`otlp`"]);
        check(&broker("[normalizer]\nevents = 'some'\n"), &["DIR/c.toml:4:", "`some`", "`notable`"]);
        let cannot_read = |name: &str| {
            let command = format!("{command} --config DIR/{name}");
            site.check(PROCESSOR, &command, 2, &[&format!("DIR/{name}"), "cannot be read"]);
        };
        cannot_read("missing.toml");
        cannot_read("folder");
    }
    site.check_config(PROCESSOR, "check-config", NO_BROKER, 0, &["valid"]);
}

#[test]
fn a_wrong_configuration_of_standalone() {
    let site = Site::new();
    let channel =
        |rest: &str| format!("[[channels]]\nname = 'a'\nkind = 'webhook'\nurl = 'http://127.0.0.1:1'\n{rest}");
    for command in ["check-config --standalone", "standalone --logs DIR"] {
        let check = |text: &str, parts: &[&str]| site.check_config(PROCESSOR, command, text, 2, parts);
        check("[kafka]\n", &["DIR/c.toml:1:", "unknown field `kafka`"]);
        check("[detector]\nalfa = 1\n", &["DIR/c.toml:2:", "unknown field `alfa`", "alpha"]);
        check("\n[http]\nlisten = 'here'\n", &["DIR/c.toml:3: column 10:", "socket address"]);
        check(&channel("severity = 'high'\n"), &["DIR/c.toml:5:", "unknown field `severity`", "min_severity"]);
        check(&channel("min_severity = 'huge'\n"), &["DIR/c.toml:5:", "`huge`", "`critical`"]);
        check(&channel("preset = 'pager'\n"), &["DIR/c.toml:5:", "preset", "pagerduty"]);
        check(&channel("preset = 'pagerduty'\n"), &["DIR/c.toml:", "values", "routing_key"]);
        check(&channel("timeout_secs = 900\n"), &["DIR/c.toml:5:", "timeout_secs", "120"]);
        check(&channel("to = ['soc@corp.example']\n"), &["DIR/c.toml:5:", "to"]);
        check(&(channel("") + &channel("")), &["DIR/c.toml:6:", "name", "two channels"]);
    }
    let address = |url: &str| format!("[[channels]]\nname = 'a'\nkind = 'webhook'\nurl = '{url}'\n");
    fs::write(site.path("secret.bom"), "\u{feff}token\n").unwrap();
    fs::write(site.path("secret.two"), "one\ntwo\n").unwrap();
    for command in ["check-config --standalone", "standalone --logs DIR"] {
        let check = |text: &str, parts: &[&str]| site.check_config(PROCESSOR, command, text, 2, parts);
        check(&address("http://"), &["DIR/c.toml:4: url: not an address"]);
        check(&address("http://exa mple/ x"), &["DIR/c.toml:4: url: not an address"]);
        check(&address("http://a:99999/"), &["DIR/c.toml:4: url: its port"]);
        check(&channel("proxy = 'socks5://127.0.0.1:1080'\n"), &["DIR/c.toml:5: proxy: not an HTTP proxy", "SOCKS"]);
        check(&channel("proxy = 'nonsense'\n"), &["DIR/c.toml:5: proxy: not an HTTP proxy"]);
        check(&channel("hmac_key = 'short'\n"), &["DIR/c.toml:5: hmac_key: shorter than 16"]);
        check(&channel("headers = { x = \"a\\r\\nb: c\" }\n"), &["DIR/c.toml:5: headers:", "characters"]);
        check(&channel("headers = { content-length = '5' }\n"), &["DIR/c.toml:5: headers:", "HTTP client itself"]);
        check(
            &channel("bearer_token = { file = 'DIR/secret.bom' }\n"),
            &["DIR/c.toml:5: bearer_token: has characters"],
        );
        check(
            &channel("bearer_token = { file = 'DIR/secret.two' }\n"),
            &["DIR/c.toml:5: bearer_token: has characters"],
        );
        check(&channel("labels = { 'label.site' = [] }\n"), &["DIR/c.toml:5: labels:", "nothing would be sent"]);
        check(&channel("families = []\n"), &["DIR/c.toml:5: families:"]);
    }
    // Faults of a start or of every alert.
    let check = |text: &str, parts: &[&str]| site.check_config(PROCESSOR, "check-config --standalone", text, 2, parts);
    check(&channel("ca_file = 'DIR/none.pem'\n"), &["DIR/c.toml:5: channel a: ca_file:", "none.pem"]);
    check(&channel("ca_file = 'DIR/one.log'\n"), &["DIR/c.toml:5: channel a: ca_file:", "no PEM certificate"]);
    let template = "template = 'DIR/body.json'\n";
    for wrong in ["{\"a\": {{ b }} }", "{\"a\": \"{b", "", "not json", "{\"s\": \"{{ summary }}\"}"] {
        fs::write(site.path("body.json"), wrong).unwrap();
        check(&channel(template), &["DIR/c.toml:5: channel a: template:", "DIR/body.json"]);
    }
    fs::write(site.path("body.json"), "{\"s\": \"{summary}\"}").unwrap();
    let constant = ["channel a: its template makes the same text of every alert", "valid"];
    site.check_config(PROCESSOR, "check-config --standalone", &channel(template), 0, &constant);
    fs::write(site.path("body.json"), "{\"s\": {{ summary }}}").unwrap();
    site.check_config(PROCESSOR, "check-config --standalone", &channel(template), 0, &["valid"]);
    site.check_config(
        PROCESSOR,
        "check-config --standalone",
        &channel("\n[http]\nlisten = '127.0.0.1:0'\n"),
        0,
        &["valid"],
    );
    site.check_config(PROCESSOR, "check-config --standalone", "", 0, &["valid"]);
}

#[test]
fn a_wrong_configuration_of_the_collector() {
    let site = Site::new();
    let with = |rest: &str| format!("state_dir = 'DIR/state'\n{NO_BROKER}{rest}[[input]]\npaths = ['DIR/one.log']\n");
    for command in ["check-config", "run", "test"] {
        let check = |text: &str, parts: &[&str]| site.check_config(COLLECTOR, command, text, 2, parts);
        check("not toml [", &["DIR/c.toml:1:", "expected `=`"]);
        check(&format!("stat = 1\n{}", with("")), &["DIR/c.toml:1:", "unknown field `stat`", "state_dir"]);
        check(&format!("topic_prefix = 3\n{}", with("")), &["DIR/c.toml:1: column 16:", "string"]);
        check("state_dir = 'DIR/state'\n[[input]]\npaths = ['DIR/one.log']\n", &["DIR/c.toml", "bootstrap.servers"]);
        check(&with("'no.such.property' = 1\n"), &["DIR/c.toml", "no.such.property"]);
        check(&format!("{}time_zone = 'Mars'\n", with("")), &["DIR/c.toml:6:", "Mars", "IANA"]);
        check(&format!("{}host_pattern = '('\n", with("")), &["DIR/c.toml:6:", "host_pattern"]);
        check(&format!("{}host_pattern = '.*'\n", with("")), &["DIR/c.toml:6:", "(?P<host>"]);
        check(&format!("state_dir = 'DIR/state'\n{NO_BROKER}"), &["DIR/c.toml", "nothing to read", "[[input]]"]);
        let cannot_read = |name: &str| {
            let command = format!("{command} --config DIR/{name}");
            site.check(COLLECTOR, &command, 2, &[&format!("DIR/{name}"), "cannot be read"]);
        };
        cannot_read("missing.toml");
        cannot_read("folder");
    }
    site.check_config(COLLECTOR, "check-config", &with(""), 0, &["valid"]);
}

#[test]
fn inputs_that_name_no_readable_file() {
    let site = Site::new();
    // Root can read a file of any mode, but not a link to itself.
    #[cfg(unix)]
    std::os::unix::fs::symlink(site.path("loop.log"), site.path("loop.log")).unwrap();
    let input =
        |path: &str| format!("state_dir = 'DIR/state'\n{NO_BROKER}[[input]]\npaths = ['DIR/{path}', 'DIR/one.log']\n");
    let check = |path: &str, parts: &[&str]| site.check_config(COLLECTOR, "check-config", &input(path), 3, parts);
    check("folder", &["DIR/folder", "directory", "*.log"]);
    check("none/*.log", &["DIR/none/*.log", "no file matches"]);
    #[cfg(unix)]
    check("loop.log", &["DIR/loop.log", "cannot be read"]);

    // Running it reports the fault too, and continues.
    let paths = if cfg!(unix) { "folder', 'DIR/none/*.log', 'DIR/loop.log" } else { "folder', 'DIR/none/*.log" };
    fs::write(site.path("c.toml"), site.fill(&input(paths))).unwrap();
    let mut running = site.start(COLLECTOR, "run --config DIR/c.toml");
    let parts: &[&str] =
        if cfg!(unix) { &["DIR/folder", "DIR/none/", "DIR/loop.log"] } else { &["DIR/folder", "DIR/none/"] };
    running.until("a word on each path", Duration::from_secs(10), |running| {
        let said = running.stderr();
        parts.iter().all(|part| said.contains(&site.fill(part)))
    });
    expect(&running.terminate(), "collector", 0, &["stopped"], |part| site.fill(part));
}

#[test]
fn files_that_are_not_logs_are_refused() {
    let site = Site::new();
    let parsed = site.check(
        PROCESSOR,
        "parse DIR/missing.log DIR/one.log DIR/folder",
        1,
        &["DIR/missing.log: ", "DIR/folder: ", "folder, where a log file was expected", "2 of 3 files"],
    );
    assert_eq!(parsed.stdout.lines().count(), 1, "the file between them is read: {}", parsed.stdout);
    site.check(PROCESSOR, "replay --logs DIR/no-logs", 1, &["DIR/no-logs", "no log there", "/HOST/*.log"]);
    site.check(PROCESSOR, "replay --logs DIR/host-folders", 1, &["DIR/host-folders", "no log there"]);
    site.check(PROCESSOR, "replay --logs DIR/missing", 1, &["DIR/missing: "]);
    site.check(PROCESSOR, "replay --logs DIR/one.log", 1, &["DIR/one.log: "]);
    site.check(PROCESSOR, "replay --db DIR/missing.db", 1, &["DIR/missing.db: no file", "standalone --db"]);
    site.check(PROCESSOR, "replay --db DIR/folder", 1, &["DIR/folder: no file", "standalone --db"]);
    site.check(PROCESSOR, "replay --db DIR/text.txt", 1, &["DIR/text.txt: not the SQLite file of standalone"]);
    site.check(PROCESSOR, "standalone --logs DIR/missing --db DIR/a.db", 1, &["DIR/missing: not a folder"]);
    site.check(PROCESSOR, "standalone --logs DIR/one.log --db DIR/a.db", 1, &["DIR/one.log: not a folder"]);
    site.check(PROCESSOR, "standalone --logs DIR/folder --db DIR/none/a.db", 1, &["DIR/none/a.db: cannot be opened"]);
    site.check(PROCESSOR, "standalone --logs DIR/folder --db DIR/folder", 1, &["DIR/folder: cannot be opened"]);
    site.check(
        PROCESSOR,
        "standalone --logs DIR/folder --db DIR/text.txt",
        1,
        &["DIR/text.txt: not the SQLite file of standalone"],
    );
    let out = "standalone --logs DIR/folder --db DIR/b.db --alerts-out DIR/none/a.jsonl";
    site.check(PROCESSOR, out, 1, &["DIR/none/a.jsonl: cannot be written"]);
    site.check(PROCESSOR, "parse DIR/one.log --time-zone Mars/Olympus", 2, &["Mars/Olympus", "IANA"]);
    site.check(PROCESSOR, "parse DIR/one.log --utc-offset 2h", 2, &["2h"]);
    site.check(PROCESSOR, "parse", 2, &["FILE"]);
}

#[test]
fn no_broker_answers() {
    let site = Site::new();
    let collector = format!("state_dir = 'DIR/state'\n{NO_BROKER}[[input]]\npaths = ['DIR/one.log']\n");
    fs::write(site.path("collector.toml"), site.fill(&collector)).unwrap();
    fs::write(site.path("processor.toml"), NO_BROKER).unwrap();
    let mut processor = site.start(PROCESSOR, "run --config DIR/processor.toml");
    let mut collector = site.start(COLLECTOR, "run --config DIR/collector.toml");

    let says = ["no broker of 127.0.0.1:1 answers"];
    for what in ["create", "check"] {
        site.check(PROCESSOR, &format!("topics {what} --config DIR/processor.toml"), 1, &says);
    }
    site.check(PROCESSOR, "replay --config DIR/processor.toml", 1, &["127.0.0.1:1"]);
    site.check(COLLECTOR, "test --config DIR/collector.toml", 1, &says);

    // A program without an end of its own keeps trying.
    for running in [&mut processor, &mut collector] {
        running.until("the broker's name", Duration::from_secs(15), |running| running.stderr().contains(says[0]));
    }
    for running in [processor, collector] {
        expect(&running.terminate(), "SIGTERM", 0, &says, str::to_owned);
    }
}

/// Writes both configurations: `p.toml` and `col.toml`.
fn on_kafka(broker: &KafkaTestbed, site: &Site, prefix: &str, partitions: i32) {
    let kafka = format!("topic_prefix = '{prefix}'\n[kafka]\n'bootstrap.servers' = '{}'\n", broker.bootstrap());
    fs::write(site.path("p.toml"), format!("{kafka}[topics]\nraw_partitions = {partitions}\n")).unwrap();
    let collector = format!("state_dir = 'DIR/state'\n{kafka}[[input]]\npaths = ['DIR/one.log']\n");
    fs::write(site.path("col.toml"), site.fill(&collector)).unwrap();
}

#[test]
fn topics_with_wrong_settings_are_named() {
    let name = "topics_with_wrong_settings_are_named";
    let Some(broker) = kafka::or_skip(name, kafka::shared()) else { return };
    let site = Site::new();
    let prefix = kafka::unique_prefix("bad");
    let (raw, make) = (format!("{prefix}.raw"), "wulog-processor topics create");
    on_kafka(broker, &site, &prefix, 3);
    for command in ["run --config DIR/p.toml", "topics check --config DIR/p.toml"] {
        site.check(PROCESSOR, command, 1, &[&raw, "missing", make, &format!("{prefix}.alerts")]);
    }
    for command in ["run --config DIR/col.toml", "test --config DIR/col.toml"] {
        site.check(COLLECTOR, command, 1, &[&raw, "does not exist", make]);
    }
    site.check(PROCESSOR, "replay --config DIR/p.toml", 1, &[&raw, make]);
    site.check(PROCESSOR, "topics create --config DIR/p.toml", 0, &[&raw, "created, 3 partition"]);
    site.check(PROCESSOR, "topics create --config DIR/p.toml", 0, &[&raw, "exists"]);
    site.check(PROCESSOR, "topics check --config DIR/p.toml", 0, &["valid"]);
    site.check(COLLECTOR, "test --config DIR/col.toml", 0, &[&raw, "3 partitions"]);

    on_kafka(broker, &site, &prefix, 4);
    for command in ["run --config DIR/p.toml", "topics check --config DIR/p.toml"] {
        site.check(PROCESSOR, command, 1, &[&raw, "has 3 partitions", "says 4", "raw_partitions"]);
    }
}

#[test]
fn a_log_that_may_not_grow_goes_on_once_it_may() {
    let site = Site::new();
    let logs = site.path("logs");
    let mut fleet = Fleet::new(FleetSpec::new(31, 8));
    fleet.write_until(&logs, fleet.spec().start_ms + 3 * DAY_MS).unwrap();
    let mut running = site.start(PROCESSOR, "standalone --logs DIR/logs --db DIR/a.db --size-max-mib 1");
    let parts = ["DIR/a.db: no room", "nothing is lost", "free space", "raise the size limit"];
    running.until("a word on the full file", Duration::from_secs(30), |running| {
        let said = running.stderr();
        parts.iter().all(|part| said.contains(&site.fill(part)))
    });
    let events_then = events(&site.path("a.db")).len();
    expect(&running.terminate(), "standalone on a full file", 0, &[], str::to_owned);

    let lines: usize = written(&logs).values().map(Vec::len).sum();
    assert!(events_then < lines, "everything fitted: {lines} lines");
    let mut running = site.start(PROCESSOR, "standalone --logs DIR/logs --db DIR/a.db");
    running.until("an event for each line", Duration::from_secs(60), |_| events(&site.path("a.db")).len() >= lines);
    expect(&running.terminate(), "standalone", 0, &[], str::to_owned);
    let events = events(&site.path("a.db"));
    expect_same(&originals(events.iter().map(String::as_bytes)), &written(&logs));
}

fn events(db: &Path) -> Vec<String> {
    let connection = Connection::open(db).unwrap();
    connection.busy_timeout(Duration::from_secs(30)).unwrap();
    let mut statement = connection.prepare("SELECT value FROM record WHERE topic = 'events' ORDER BY offset").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}
