//! The Alertmanager channel with a real Alertmanager, whose notifications are counted at a receiver: one page for each
//! incident and for each raised severity, over restarts of both.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use wulog_schemas::alert::{Level, Transition};
use wulog_tests::alerts::{Desk, document};
use wulog_tests::kafka::{Skip, or_skip};
use wulog_tests::process::{Running, eventually};
use wulog_tests::receiver::{Answer, Receiver, get};

const LIMIT: Duration = Duration::from_secs(60);
/// Longer than group_interval and two intervals of sending again: a notification that has not come by then will not
/// come.
const QUIET: Duration = Duration::from_secs(6);
const PROGRAM: &str = "/usr/bin/prometheus-alertmanager";

fn found() -> Result<(), Skip> {
    if Path::new(PROGRAM).exists() {
        return Ok(());
    }
    Err(Skip::NoPackage("prometheus-alertmanager"))
}

struct Bench {
    port: u16,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(receiver: &Receiver) -> Bench {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "route:\n  receiver: hook\n  group_by: ['wulog_id']\n  group_wait: 100ms\n  group_interval: 1s\n  repeat_interval: 24h\n\
             receivers:\n  - name: hook\n    webhook_configs:\n      - url: {}\n        send_resolved: true\n",
            receiver.url()
        );
        std::fs::write(folder.path().join("am.yml"), config).unwrap();
        Bench { port, folder }
    }

    fn start(&self) -> Running {
        let (config, data) = (self.folder.path().join("am.yml"), self.folder.path().join("data"));
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.path={}", data.display()),
            format!("--web.listen-address=127.0.0.1:{}", self.port),
            "--cluster.listen-address=".to_owned(),
        ];
        let mut running = Running::start_program(Path::new(PROGRAM), &arguments);
        let port = self.port;
        running.until("Alertmanager", LIMIT, |_| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        running
    }

    /// The alerts that have not ended: incident and severity.
    fn alerts(&self) -> Vec<(String, String)> {
        let answer = get(self.port, "/api/v2/alerts");
        // The headers before the body are not JSON, and the body may come in one chunk.
        let body =
            answer.split_once('[').zip(answer.rsplit_once(']')).map(|((head, _), (rest, _))| &rest[head.len()..]);
        let body = body.map(|body| format!("{body}]")).unwrap_or_default();
        let alerts: Vec<serde_json::Value> =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        let label = |alert: &serde_json::Value, name: &str| alert["labels"][name].as_str().unwrap().to_owned();
        let mut held: Vec<_> =
            alerts.iter().map(|alert| (label(alert, "wulog_id"), label(alert, "severity"))).collect();
        held.sort();
        held
    }
}

/// An alert that Alertmanager holds, as [`Bench::alerts`] lists it.
fn held(id: &str, level: &str) -> (String, String) {
    (id.to_owned(), level.to_owned())
}

/// Notifications with a firing alert, as (incident, firing severities), in order.
fn pages(receiver: &Receiver) -> Vec<(String, Vec<String>)> {
    let of = |request: &wulog_tests::receiver::Request| {
        let body = request.json();
        let firing: Vec<String> = body["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|alert| alert["status"] == "firing")
            .map(|alert| alert["labels"]["severity"].as_str().unwrap().to_owned())
            .collect();
        (body["groupLabels"]["wulog_id"].as_str().unwrap().to_owned(), firing)
    };
    receiver.requests().iter().map(of).filter(|(_, firing)| !firing.is_empty()).collect()
}

fn resolved(receiver: &Receiver, id: &str) -> bool {
    let last = receiver.requests().into_iter().rfind(|request| request.json()["groupLabels"]["wulog_id"] == id);
    last.is_some_and(|request| request.json()["status"] == "resolved")
}

#[test]
fn one_page_for_each_incident_and_each_raise_over_restarts() {
    let name = "one_page_for_each_incident_and_each_raise_over_restarts";
    if or_skip(name, found()).is_none() {
        return;
    }
    let receiver = Receiver::start(|_| Answer::Status(200, ""));
    let bench = Bench::new(&receiver);
    let desk = Desk::new(&format!(
        "[[channels]]\nname = \"am\"\nkind = \"alertmanager\"\nurl = \"http://127.0.0.1:{}\"\nresend_secs = 2\n",
        bench.port
    ));
    let mut alertmanager = bench.start();
    let mut wulog = desk.start(1);
    let (one, two) =
        (document(1, 1, Transition::Opened, Level::Medium).id, document(2, 1, Transition::Opened, Level::High).id);
    let page = |id: &str, level: &str| (id.to_owned(), vec![level.to_owned()]);

    desk.append(&[document(1, 1, Transition::Opened, Level::Medium)]);
    eventually("the first page", LIMIT, || pages(&receiver).len() == 1);
    desk.append(&[document(1, 2, Transition::Growing, Level::Medium)]);
    std::thread::sleep(QUIET);
    assert_eq!(pages(&receiver), [page(&one, "medium")], "growth does not page");

    desk.append(&[document(1, 3, Transition::Growing, Level::High)]);
    eventually("a page for the raise", LIMIT, || pages(&receiver).len() == 2);
    desk.append(&[document(2, 1, Transition::Opened, Level::High)]);
    eventually("a page for the second incident", LIMIT, || pages(&receiver).len() == 3);
    let expected = vec![page(&one, "medium"), page(&one, "high"), page(&two, "high")];
    assert_eq!(pages(&receiver), expected, "a raise ends the alert of the lower severity");

    assert_eq!(bench.alerts(), [held(&one, "high"), held(&two, "high")], "the label set of medium has ended");

    // A restarted Alertmanager has lost its alerts and kept its log of notifications, which it writes at a stop; wulog
    // sends the open alerts again.
    alertmanager.terminate().expect_success();
    wulog.kill9();
    alertmanager = bench.start();
    assert_eq!(bench.alerts(), [], "it has forgotten them");
    wulog = desk.start(1);
    eventually("both alerts again", LIMIT, || bench.alerts().len() == 2);
    alertmanager.terminate().expect_success();
    alertmanager = bench.start();
    eventually("both alerts again, without a restart of wulog", LIMIT, || bench.alerts().len() == 2);
    std::thread::sleep(QUIET);
    wulog.kill9();
    wulog = desk.start(1);
    std::thread::sleep(QUIET);
    assert_eq!(pages(&receiver), expected, "a restart of either pages nobody");
    assert!(!resolved(&receiver, &one) && !resolved(&receiver, &two), "both are still open");

    // Both are down: a change is reported when both are back.
    alertmanager.terminate().expect_success();
    wulog.kill9();
    desk.append(&[
        document(1, 4, Transition::Growing, Level::Critical),
        document(2, 2, Transition::Resolved, Level::High),
    ]);
    let wulog = desk.start(1);
    let alertmanager = bench.start();
    eventually("the raise and the end", LIMIT, || pages(&receiver).len() == 4 && resolved(&receiver, &two));
    desk.append(&[document(1, 5, Transition::Resolved, Level::Critical)]);
    eventually("the end of the first", LIMIT, || resolved(&receiver, &one));
    desk.append(&[document(1, 6, Transition::Reopened, Level::High)]);
    eventually("a page for the reopened one", LIMIT, || pages(&receiver).len() == 5);
    std::thread::sleep(QUIET);
    let more = [page(&one, "critical"), page(&one, "high")];
    assert_eq!(pages(&receiver), [expected, more.to_vec()].concat());
    wulog.terminate().expect_success();
    drop(alertmanager);
}
