//! The status page of `standalone` over a small outbreak: pages, JSON, CSV and events agree with the log; foreign text
//! does not act in them; only permitted readers see them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use wulog_lines::EncodingChoice;
use wulog_processor::config::StandaloneConfig;
use wulog_processor::log::embedded::{EmbeddedConfig, EmbeddedLog};
use wulog_processor::log::{Log, Write};
use wulog_processor::shell::ShellConfig;
use wulog_processor::standalone::Standalone;
use wulog_processor::status::openapi;
use wulog_schemas::alert::{Alert, UtcTime};
use wulog_schemas::handling::{Order, OrderKind, Scope};
use wulog_schemas::raw::{FileStatus, Heartbeat, Kind, RawHeader};
use wulog_schemas::signal::{Fact, Outcome, RawPosition, Signal, VERSION};
use wulog_schemas::topic::Topic;

mod outbreak;

use outbreak::{FLEET, HOSTILE, HOUR, REPAIRED, SHA1, START, STRICKEN, outbreak, repair, repaired_at};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const LIMIT: Duration = Duration::from_secs(60);

/// `standalone` in this process, over a log that holds the signals.
struct Bench {
    _folder: tempfile::TempDir,
    port: u16,
    stop: CancellationToken,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
    log: EmbeddedConfig,
}

/// An answer.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Bench {
    fn start(http: &str) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("logs")).unwrap();
        std::fs::write(path("token"), TOKEN).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let token = path("token").display().to_string();
        let http = http.replace("PORT", &port.to_string()).replace("TOKEN_FILE", &format!("token_file = '{token}'"));
        std::fs::write(path("s.toml"), http).unwrap();
        let config = StandaloneConfig::read(&path("s.toml")).unwrap();
        let log = EmbeddedConfig::at(&path("wulog.db"));
        append(&log, outbreak());
        append_line(&log);
        let standalone = Standalone {
            logs: path("logs"),
            encoding: EncodingChoice::default(),
            log: log.clone(),
            alerts_out: None,
            normalizer: config.normalizer,
            detector: config.detector,
            shell: ShellConfig::default(),
            channels: config.channels,
            http: config.http,
        };
        let stop = CancellationToken::new();
        let inner = stop.clone();
        let thread = Some(std::thread::spawn(move || standalone.run(&inner)));
        Bench { _folder: folder, port, stop, thread, log }
    }

    /// The outbreak on loopback, once the page shows its incident.
    fn with_incident() -> (Bench, String) {
        let bench = Bench::start("[http]\nlisten = '127.0.0.1:PORT'\n");
        let mut id = String::new();
        eventually("an incident", || {
            let Some(found) = bench.ask("/api/v1/incidents", &[]) else { return false };
            let found: Value = serde_json::from_str(&found.body).unwrap();
            id = found["incidents"][0]["id"].as_str().unwrap_or_default().to_owned();
            !id.is_empty() && found["incidents"][0]["affected"] == STRICKEN
        });
        (bench, id)
    }

    fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Option<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let host = if headers.iter().any(|(name, _)| *name == "host") { "" } else { "host: localhost\r\n" };
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        write!(stream, "GET {path} HTTP/1.1\r\n{host}{headers}connection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Some(Answer { status, headers, body: body.to_owned() })
    }

    fn get(&self, path: &str) -> Answer {
        let mut answer = None;
        // The rate of questions is bounded, and a test asks faster than a person.
        eventually(path, || {
            answer = self.ask(path, &[]).filter(|answer| !answer.body.contains("too many questions"));
            answer.is_some()
        });
        answer.unwrap()
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.headers["content-type"], "application/json", "{path}");
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {}", answer.body))
    }

    fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8", "{path}");
        answer.body
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// The raw record of the first failure; a log line may hold any text.
fn append_line(log: &EmbeddedConfig) {
    let mut sink = EmbeddedLog::open(log, "test", Topic::Raw).unwrap();
    let offsets = outbreak().into_iter().find_map(|signal| match signal.fact {
        Fact::Attempt(attempt) if attempt.outcome == Outcome::Failure => Some(signal.raw.offset),
        _ => None,
    });
    let line = |offset: i64| Write {
        topic: Topic::Raw,
        partition: 0,
        timestamp_ms: START,
        key: "host".into(),
        header: None,
        value: Some(format!("line {offset} </pre><b>\u{202e}").into()),
    };
    let writes: Vec<Write> = (0..=offsets.unwrap()).map(line).collect();
    sink.commit(&writes, &BTreeMap::new()).unwrap();
}

fn append(log: &EmbeddedConfig, signals: Vec<Signal>) {
    let writes: Vec<Write> = signals
        .into_iter()
        .map(|signal| Write {
            topic: Topic::Signals,
            partition: 0,
            timestamp_ms: signal.log_time,
            key: "host".into(),
            header: None,
            value: Some(serde_json::to_vec(&signal).unwrap().into()),
        })
        .collect();
    let mut log = EmbeddedLog::open(log, "test", Topic::Signals).unwrap();
    log.commit(&writes, &BTreeMap::new()).unwrap();
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < until, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn expect(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "{text:?} is not in the page:\n{page}");
    }
}

#[test]
fn the_pages_say_what_the_log_holds() {
    let (bench, id) = Bench::with_incident();
    let overview = bench.page("/");
    expect(
        &overview,
        &["One incident is open: 8 hosts are affected.", "<strong>8 of 40 active hosts</strong>", "0x800b0109"],
    );
    expect(
        &overview,
        &[&format!("href=\"/incidents/{id}\""), "VideoTool &lt;3.2&gt; (KB9990001)", "<polyline class=\"total\""],
    );
    expect(&overview, &["<strong>40</strong> hosts", "<strong>8</strong> failing", "<strong>40</strong> active"]);

    let incident = bench.page(&format!("/incidents/{id}"));
    expect(
        &incident,
        &["What affected hosts share", "wsus-2.corp.example:8530", "CERT_E_UNTRUSTEDROOT", "&#x2f;hosts&#x2f;pc-07"],
    );
    expect(&incident, &["First failures of 8 hosts over time"]);
    assert!(!incident.contains("newest success"), "nobody has recovered");
    // A page does not wait for raw lines; the next load shows them.
    eventually("the raw line of the first failure", || {
        bench.page(&format!("/incidents/{id}")).contains("&lt;&#x2f;pre&gt;")
    });

    let found = bench.json("/api/v1/hosts?q=wsus-2");
    assert_eq!(found["total"], STRICKEN);
    for (query, hosts) in [
        ("pc-1", 10),
        ("PC-07", 1),
        ("KB9990001", STRICKEN),
        ("8468427e-6555", STRICKEN),
        ("0x800B0109", STRICKEN),
        ("800b0109", STRICKEN),
        ("e6b62c60+8d120418", FLEET - STRICKEN),
        ("nobody", 0),
        ("", FLEET),
    ] {
        assert_eq!(bench.json(&format!("/api/v1/hosts?q={query}"))["total"], hosts, "{query}");
    }
    assert_eq!(bench.json("/api/v1/hosts?state=failing")["total"], STRICKEN);
    assert_eq!(bench.json("/api/v1/hosts?state=silent")["total"], 0);
    assert_eq!(bench.get("/api/v1/hosts?state=sick").status, 400);

    let host = bench.page("/hosts/pc-07");
    expect(&host, &["CERT_E_UNTRUSTEDROOT", "update:8468427e", "2019-11-13 02:07", &id, "sends no inventory"]);
    let healthy = bench.page("/hosts/pc-08");
    expect(&healthy, &["Nothing fails", "CN=Example &lt;Publishing&gt;", SHA1, "TrustedPublisher"]);
    assert_eq!(bench.get("/hosts/nobody").status, 404);

    expect(&bench.page("/certificates"), &["CN=Example &lt;Publishing&gt;", "TrustedPublisher: 32", "2020-01-10"]);
    expect(&bench.page("/pipeline"), &["detector 0", "normalizer 0", "No channel is configured"]);
    assert_eq!(bench.get("/incidents/wu-0").status, 404);
}

#[test]
fn an_incident_says_when_each_host_recovered() {
    let (bench, id) = Bench::with_incident();
    // The Detector keeps the newest successes of a host, so the repair must be among them.
    append(&bench.log, repair().into_iter().filter(|signal| signal.log_time < START + 56 * HOUR).collect());
    let address = format!("/api/v1/incidents/{id}");
    eventually("the repair", || bench.json(&address)["hosts"][REPAIRED - 1]["recovered"] == true);
    let hosts = bench.json(&address)["hosts"].clone();
    for number in 0..STRICKEN {
        let expect = (number < REPAIRED).then(|| UtcTime(repaired_at(number)).to_string());
        let host = &hosts[number];
        assert_eq!(host["recovered"], number < REPAIRED, "{host}");
        assert_eq!(host["recovered_at"].as_str().map(str::to_owned), expect, "{host}");
    }
    let page = bench.page(&format!("/incidents/{id}"));
    expect(&page, &["2019-11-13 04:06:00", "newest success", "<polyline class=\"recovered\""]);
}

#[test]
fn a_host_says_which_files_are_read_and_how_far() {
    let (bench, _) = Bench::with_incident();
    let unknown = bench.json("/api/v1/hosts/pc-07");
    assert!(unknown["hosts"][0]["files"].is_null());
    expect(unknown["hosts"][0]["files_unknown"].as_str().unwrap(), &["No record of this host"]);
    expect(&bench.page("/hosts/pc-07"), &["No record of this host"]);

    const FILE: &str = "C:\\Windows\\<b>WindowsUpdate.log";
    let line = "2019-11-13\t02:07:00:000\t1234\t5678\tAgent\t*************\n";
    let text = line.trim_end();
    let header = RawHeader {
        v: 1,
        host: "pc-07".to_owned(),
        file: FILE.to_owned(),
        epoch: "9f2c61d0a4e7b511".to_owned(),
        end: line.len() as u64,
        hash: "1c291ca3".to_owned(),
        utc: Some(0),
        ..RawHeader::default()
    };
    let file = |file: &str, lag_bytes: u64, losses: u64| FileStatus {
        file: file.to_owned(),
        lag_bytes,
        losses,
        ..FileStatus::default()
    };
    let beat = Heartbeat {
        files: vec![file(FILE, 1_234, 2), file("D:\\new.log", 99, 0), file("D:\\idle.log", 0, 0)],
        ..Heartbeat::default()
    };
    let of_host = RawHeader { v: 1, kind: Kind::Heartbeat, host: "pc-07".to_owned(), ..RawHeader::default() };
    let write = |header: &RawHeader, value: Vec<u8>| Write {
        topic: Topic::Raw,
        partition: 0,
        timestamp_ms: START + 51 * HOUR,
        key: format!("{:032x}", 7).as_str().into(),
        header: Some(header.to_bytes()),
        value: Some(value.into()),
    };
    let mut log = EmbeddedLog::open(&bench.log, "test", Topic::Raw).unwrap();
    log.commit(&[write(&header, text.into())], &BTreeMap::new()).unwrap();
    let files = || bench.json("/api/v1/hosts/pc-07")["hosts"][0]["files"].clone();
    eventually("the line", || files()["files"][0]["read_bytes"] == line.len());
    assert!(files()["collector"].is_null() && files()["files"][0]["lag_bytes"].is_null(), "no heartbeat came");

    log.commit(&[write(&of_host, serde_json::to_vec(&beat).unwrap())], &BTreeMap::new()).unwrap();
    eventually("the heartbeat", || files()["collector"].is_object());
    let known = files();
    assert_eq!(known["collector"]["lag_bytes"], 1_234 + 99);
    assert_eq!(
        (&known["collector"]["files"], &known["collector"]["caught_up"]),
        (&Value::from(3), &Value::from(false))
    );
    let of_file = |name: &str| {
        let files = known["files"].as_array().unwrap();
        files.iter().find(|file| file["file"] == name).cloned().unwrap_or_else(|| panic!("{name}: {files:?}"))
    };
    let newest = UtcTime(of_file(FILE)["newest"].as_i64().unwrap()).to_string();
    assert_eq!(newest, "2019-11-13T02:07:00.000Z");
    assert_eq!((&of_file(FILE)["lag_bytes"], &of_file(FILE)["losses"]), (&Value::from(1_234), &Value::from(2)));
    assert_eq!((&of_file("D:\\new.log")["lag_bytes"], &of_file("D:\\new.log")["read_bytes"]), (&99.into(), &0.into()));
    let page = bench.page("/hosts/pc-07");
    expect(
        &page,
        &["1\u{a0}333 bytes", "&lt;b&gt;WindowsUpdate.log", "2019-11-13 02:07", "lines may have been missed"],
    );
}

#[test]
fn the_table_and_its_csv_file_have_the_same_rows() {
    let (bench, id) = Bench::with_incident();
    for (query, rows) in [
        ("", 1),
        ("state=open", 1),
        ("state=resolved", 0),
        ("family=untrusted_root&server=WSUS-2", 1),
        ("family=tls", 0),
        ("server=wsus-1", 0),
        ("text=kb9990001", 1),
        ("text=pc-07", 1),
        ("text=pc-39", 0),
    ] {
        let csv = bench.get(&format!("/incidents.csv?{query}"));
        assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
        assert_eq!(csv.body.lines().count(), 1 + rows, "{query}: {}", csv.body);
        assert!(csv.body.starts_with("\u{feff}id,state,"));
        assert_eq!(bench.json(&format!("/api/v1/incidents?{query}"))["total"], rows, "{query}");
        let page = bench.page(&format!("/?{query}"));
        let table = page.split("id=\"history\"").nth(1).unwrap();
        assert_eq!(table.matches(&format!("/incidents/{id}")).count(), rows, "{query}");
        assert!(page.contains(&format!("Shown: {rows} of {rows}.")), "{query}");
    }
    for path in ["/", "/incidents.csv", "/api/v1/incidents"] {
        assert_eq!(bench.get(&format!("{path}?state=bad")).status, 400, "{path}");
    }
}

#[test]
fn foreign_text_does_not_act_in_pages() {
    let (bench, id) = Bench::with_incident();
    let hostile = "/hosts/%3Dcmd%7C%27%20%2FC%20calc%27%21A0%3Cscript%3Ealert%281%29%3C%2Fscript%3E%E2%80%AE%22x";
    let found = bench.page("/hosts?state=failing");
    expect(&found, &[&format!("href=\"{hostile}\""), "&lt;script&gt;"]);
    let text = "/?text=%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    let paths =
        ["/", text, "/hosts?q=%22%3E%3Cscript%3E", hostile, "/hosts/%22%3E%3Cscript%3E", "/certificates", "/pipeline"];
    let incident = format!("/incidents/{id}");
    eventually("the raw line", || bench.page(&incident).contains("&lt;&#x2f;pre&gt;"));
    for path in paths.into_iter().chain([incident.as_str()]) {
        let answer = bench.get(path);
        let body = answer.body.replace("<script src=\"/status.js\" defer></script>", "");
        for forbidden in [
            "<script",
            "</pre><b>",
            "<3.2>",
            "<Publishing>",
            "\u{202e}",
            "style=",
            "onclick",
            "http://",
            "https://",
            "javascript:",
        ] {
            assert!(!body.contains(forbidden), "{forbidden:?} is in {path}:\n{body}");
        }
        let policy = &answer.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
    }
    assert!(!bench.get("/api/v1/hosts").body.contains('\u{202e}'));
    assert_eq!(bench.json("/api/v1/hosts?state=failing")["hosts"][0]["name"], HOSTILE, "JSON keeps the meaning");
    let csv = bench.get(&format!("/incidents/{id}/hosts.csv")).body;
    assert_eq!(csv.lines().count(), 1 + STRICKEN);
    assert!(csv.lines().nth(1).unwrap().starts_with("\"'=cmd|"), "a formula is inert: {csv}");
    assert!(!csv.contains('\u{202e}'));
}

#[test]
fn the_description_of_the_api_names_every_path_and_fits_every_answer() {
    let (bench, id) = Bench::with_incident();
    let description = openapi();
    assert_eq!(bench.json("/api/v1/openapi.json"), description);
    let paths: BTreeSet<&str> = description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let routed = include_str!("../src/status/mod.rs").split(".route(\"").skip(1);
    let routed: BTreeSet<&str> =
        routed.filter_map(|from| from.split('"').next()).filter(|path| path.starts_with("/api/")).collect();
    assert_eq!(paths, routed, "left: described; right: routed");
    let answers = [
        ("/api/v1/status", "/api/v1/status".to_owned(), 200),
        ("/api/v1/incidents", "/api/v1/incidents".to_owned(), 200),
        ("/api/v1/incidents", "/api/v1/incidents?state=bad".to_owned(), 400),
        ("/api/v1/incidents/{id}", format!("/api/v1/incidents/{id}"), 200),
        ("/api/v1/incidents/{id}", "/api/v1/incidents/none".to_owned(), 404),
        ("/api/v1/hosts", "/api/v1/hosts?q=pc".to_owned(), 200),
        ("/api/v1/hosts", "/api/v1/hosts?state=bad".to_owned(), 400),
        ("/api/v1/hosts/{name}", "/api/v1/hosts/pc-01".to_owned(), 200),
        ("/api/v1/hosts/{name}", "/api/v1/hosts/pc-30".to_owned(), 200),
        ("/api/v1/hosts/{name}", "/api/v1/hosts/none".to_owned(), 404),
        ("/api/v1/certificates", "/api/v1/certificates".to_owned(), 200),
        ("/api/v1/pipeline", "/api/v1/pipeline".to_owned(), 200),
        ("/api/v1/openapi.json", "/api/v1/openapi.json".to_owned(), 200),
    ];
    for (path, address, status) in &answers {
        let answer = bench.get(address);
        assert_eq!(answer.status, *status, "{address}: {}", answer.body);
        let value: Value = serde_json::from_str(&answer.body).unwrap();
        let mut schema =
            description["paths"][path]["get"]["responses"][status.to_string()]["content"]["application/json"]["schema"]
                .clone();
        assert!(schema.is_object(), "{address}: {status} is not described");
        schema["components"] = description["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let wrong: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{address}: {wrong:#?}");
    }
    let tried: BTreeSet<&str> = answers.iter().map(|(path, ..)| *path).chain(["/api/v1/events"]).collect();
    assert_eq!(tried, paths, "each path is tried here");

    let incident = bench.json(&format!("/api/v1/incidents/{id}"));
    let alert: Alert = serde_json::from_value(incident["incident"].clone()).unwrap();
    assert_eq!(alert.hosts.affected, STRICKEN as u64);
    assert_eq!(incident["hosts"].as_array().unwrap().len(), STRICKEN);
    assert_eq!(incident["hosts"][7]["name"], "pc-07");
}

#[test]
fn events_tell_of_changes_and_streams_are_bounded() {
    let (bench, id) = Bench::with_incident();
    let open = || {
        let mut stream = TcpStream::connect(("127.0.0.1", bench.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut first = [0; 4096];
        let mut head = String::new();
        while !head.contains("data: ") && !head.contains("too many streams") {
            let length = stream.read(&mut first).unwrap();
            assert!(length > 0, "closed after {head}");
            head.push_str(&String::from_utf8_lossy(&first[..length]));
        }
        (stream, head)
    };
    let (mut stream, head) = open();
    expect(&head, &["200 OK", "text/event-stream", "event: version"]);
    let version = |text: &str| -> u64 {
        let data = text.rsplit("data: ").next().unwrap();
        data.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    // A note of an operator leads to a document, and so to an event.
    let at = START + 52 * HOUR;
    let order = Order {
        action: OrderKind::Note,
        scope: Scope { incident: Some(id), ..Scope::default() },
        by: "anna".to_owned(),
        until: None,
        why: "the GPO is linked".to_owned(),
    };
    let fact = Fact::Handling(order);
    append(&bench.log, vec![Signal { v: VERSION, log_time: at, raw: RawPosition { partition: -1, offset: 0 }, fact }]);
    let before = version(&head);
    let mut news = String::new();
    let until = Instant::now() + LIMIT;
    while !news.contains("data: ") {
        assert!(Instant::now() < until, "no news: {news}");
        let mut part = [0; 4096];
        let length = stream.read(&mut part).unwrap();
        news.push_str(&String::from_utf8_lossy(&part[..length]));
    }
    assert!(version(&news) > before, "{news} after {before}");
    let streams: Vec<_> = (0..32).map(|_| open()).collect();
    assert!(streams.iter().any(|(_, head)| head.contains("503")), "33 streams are one too many");
    assert!(bench.get("/readyz").status == 200, "streams keep nobody out");
}

#[test]
fn beyond_loopback_the_page_needs_a_token_and_figures_do_not() {
    let open = Bench::start("[http]\nlisten = '0.0.0.0:PORT'\nallow_remote = true\n");
    eventually("an answer", || open.ask("/healthz", &[]).is_some_and(|answer| answer.status == 200));
    assert_eq!(open.get("/").status, 403);
    assert_eq!(open.get("/metrics").status, 200);
    drop(open);

    let bench = Bench::start("[http]\nlisten = '0.0.0.0:PORT'\nallow_remote = true\nTOKEN_FILE\n");
    eventually("an answer", || bench.ask("/healthz", &[]).is_some_and(|answer| answer.status == 200));
    let bearer = format!("Bearer {TOKEN}");
    for path in
        ["/", "/hosts", "/status.css", "/incidents.csv", "/api/v1/status", "/api/v1/events", "/api/v1/openapi.json"]
    {
        let refused = bench.get(path);
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.headers["www-authenticate"].starts_with("Basic "), "{path}");
        assert_eq!(bench.ask(path, &[("authorization", "Bearer wrong")]).unwrap().status, 401, "{path}");
        if path != "/api/v1/events" {
            assert_eq!(bench.ask(path, &[("authorization", &bearer)]).unwrap().status, 200, "{path}");
        }
    }
    for path in ["/metrics", "/healthz"] {
        assert_eq!(bench.get(path).status, 200, "{path}");
    }
    drop(bench);

    let loopback = Bench::start("[http]\nlisten = '127.0.0.1:PORT'\n");
    eventually("an answer", || loopback.ask("/healthz", &[]).is_some_and(|answer| answer.status == 200));
    assert_eq!(loopback.ask("/", &[("host", "rebound.example")]).unwrap().status, 421);
    assert_eq!(loopback.ask("/", &[("host", "127.0.0.1:1")]).unwrap().status, 200);
    assert_eq!(loopback.ask("/metrics", &[("host", "prometheus")]).unwrap().status, 200);
}

#[test]
fn a_weak_token_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("s.toml");
    let check = |token: &str, said: &str| {
        std::fs::write(folder.path().join("token"), token).unwrap();
        let path = folder.path().join("token");
        std::fs::write(&config, format!("[http]\nlisten = '127.0.0.1:1'\ntoken_file = '{}'\n", path.display()))
            .unwrap();
        let error = StandaloneConfig::read(Path::new(&config)).unwrap_err().to_string();
        assert!(error.contains("s.toml:3: ") && error.contains(said), "{error}");
    };
    check("short", "less than 16 bytes");
    check("with blanks between its words", "no blanks");
    check("", "it is empty");
}
