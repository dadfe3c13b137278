//! Presets of webhooks: their requests follow the documentation of the endpoints, for any names of hosts and causes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use jsonschema::Validator;
use serde_json::Value;
use wulog_schemas::alert::{Alert, Level, Transition};
use wulog_tests::alerts::{Desk, document};
use wulog_tests::kafka::{Skip, or_skip};
use wulog_tests::receiver::{Answer, Receiver, Request};

const LIMIT: Duration = Duration::from_secs(60);

/// A preset, further lines of its channel, and the maximum size of a body at its endpoint.
const PRESETS: [(&str, &str, usize); 6] = [
    ("teams", "", 28 * 1024),
    ("pagerduty", "values = { routing_key = \"0123456789abcdef0123456789abcdef\" }", 512 * 1024),
    ("slack", "", 1024 * 1024),
    ("servicenow", "", 1024 * 1024),
    ("thehive", "", 1024 * 1024),
    ("ntfy", "values = { topic = \"wulog_alerts\" }", 1024 * 1024),
];

/// Names as an attacker chooses them.
fn hostile_names() -> Vec<String> {
    let controls: String = ('\0'..='\u{9f}').filter(|c| c.is_control()).collect();
    vec![
        "WS-1\", \"event_action\": \"resolve\", \"severity\": \"9".to_owned(),
        "{{ values.routing_key }}{% raw %}".to_owned(),
        "<!channel> <https://evil.example|here> & &lt;".to_owned(),
        "[here](https://evil.example) **bold** _x_ `code` \\".to_owned(),
        "```\n# not in the block\n```".to_owned(),
        format!("\u{202e}\u{feff}{controls}\u{2028}\u{ffff}"),
        "\u{10ffff}😀".repeat(1250),
        "<".repeat(10_000),
        "\"\\".repeat(5_000),
        "x".repeat(10_000),
        String::new(),
    ]
}

fn hostile(number: u32, name: &str) -> [Alert; 3] {
    let of = |seq, transition, level| {
        let mut alert = document(number, seq, transition, level);
        alert.summary = format!("{name} and 3 others");
        alert.hosts.names = vec![name.to_owned(); 60];
        alert.common_factors.iter_mut().for_each(|factor| name.clone_into(&mut factor.value));
        alert.remediation.iter_mut().for_each(|step| step.check = format!("look at {name}"));
        alert
    };
    [
        of(1, Transition::Opened, Level::Low),
        of(2, Transition::Growing, Level::Critical),
        of(3, Transition::Resolved, Level::High),
    ]
}

fn schema(preset: &str) -> Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("presets/{preset}.schema.json"));
    let schema: Value = serde_json::from_reader(File::open(path).unwrap()).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

/// Rules that a schema cannot express.
fn check_further(preset: &str, body: &Value) {
    match preset {
        "servicenow" => {
            let details = body["records"][0]["additional_info"].as_str().unwrap();
            assert!(serde_json::from_str::<Value>(details).unwrap().is_object(), "{details}");
        }
        // ntfy turns a longer message into an attachment, which a phone does not show.
        "ntfy" => assert!(body["message"].as_str().unwrap().len() <= 4096),
        "thehive" => assert_eq!(body["description"].as_str().unwrap().matches("```").count(), 2, "the block is left"),
        "teams" => {
            let body = body["attachments"][0]["content"]["body"].to_string();
            assert!(!body.contains("[here](") || body.contains("\\\\[here\\\\]("), "a link of the attacker: {body}");
        }
        _ => {}
    }
}

fn sent(preset: &str, receiver: &Receiver) -> Vec<Request> {
    let (validator, bytes_max) = (schema(preset), PRESETS.iter().find(|(name, ..)| *name == preset).unwrap().2);
    let requests = receiver.requests();
    for request in &requests {
        let key = request.header("idempotency-key");
        assert!(request.body.len() <= bytes_max, "{preset} {key}: {} bytes", request.body.len());
        let body = request.json();
        let wrong: Vec<String> =
            validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{preset} {key}: {wrong:#?}");
        check_further(preset, &body);
    }
    requests
}

#[test]
fn requests_of_presets_follow_the_documentation_of_their_endpoints() {
    let receivers: Vec<Receiver> = PRESETS.iter().map(|_| Receiver::start(|_| Answer::Status(200, ""))).collect();
    let channel = |((name, more, _), receiver): (&(&str, &str, usize), &Receiver)| {
        format!(
            "[[channels]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{}\"\npreset = \"{name}\"\n\
             delivery = \"journal\"\nlink = \"https://desk.example/incidents/{{id}}\"\n{more}\n",
            receiver.url()
        )
    };
    let desk = Desk::new(&PRESETS.iter().zip(&receivers).map(channel).collect::<String>());
    let running = desk.start(PRESETS.len());
    let alerts: Vec<Alert> = (1..).zip(hostile_names()).flat_map(|(number, name)| hostile(number, &name)).collect();
    desk.append(&alerts);
    let all = || receivers.iter().all(|receiver| receiver.requests().len() >= alerts.len());
    running_until(&desk, all);
    running.terminate().expect_success();
    for ((preset, ..), receiver) in PRESETS.iter().zip(&receivers) {
        let requests = sent(preset, receiver);
        assert_eq!(requests.len(), alerts.len(), "{preset}");
        println!("{preset}: {} bodies, the largest {} bytes", requests.len(), largest(&requests));
        if *preset == "teams" {
            cards_are_parsed_by_their_publisher(&requests);
        }
    }
}

/// Waits until `all` holds. A failure prints the status of the channels, which has the reason of a parked body.
fn running_until(desk: &Desk, all: impl Fn() -> bool) {
    let until = std::time::Instant::now() + LIMIT;
    while !all() && std::time::Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(all(), "{}", desk.channels(&["status"]).stdout);
}

fn largest(requests: &[Request]) -> usize {
    requests.iter().map(|request| request.body.len()).max().unwrap_or_default()
}

/// Microsoft's own library parses each card without a finding.
fn cards_are_parsed_by_their_publisher(requests: &[Request]) {
    let library = library();
    let found = if library.is_dir() { Ok(()) } else { Err(Skip::NoNpmPackage("adaptivecards")) };
    if or_skip("cards_are_parsed_by_their_publisher", found).is_none() {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("presets/cards.js");
    let mut node = Command::new("node")
        .args([&script, &library])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is where npm is");
    let cards: String =
        requests.iter().map(|request| format!("{}\n", request.json()["attachments"][0]["content"])).collect();
    node.stdin.take().unwrap().write_all(cards.as_bytes()).unwrap();
    let ended = node.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
}

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/adaptivecards/node_modules/adaptivecards")
}
