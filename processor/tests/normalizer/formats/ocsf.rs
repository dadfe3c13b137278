//! OCSF 1.8.0. Classes, activities, captions and types below are copied from its published schema.

use serde::Deserialize;
use serde_json::{Value, json};
use wulog_processor::format::Format;

use super::super::feed::{Feed, KEY};
use super::{BANNER, FATAL, PLAIN, REPORT_FAILED, REPORT_INSTALLED, SEND_FAILED, UNTRUSTED, WARNING, expect, last};

const FORMAT: Format = Format::Ocsf;

/// An OCSF document as a type: required attributes are not optional, and an unknown name is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "that a document fits the type is what is tested")]
struct Document {
    class_uid: u32,
    class_name: String,
    category_uid: u32,
    category_name: String,
    activity_id: u32,
    activity_name: String,
    type_uid: u64,
    type_name: String,
    time: i64,
    time_dt: Option<String>,
    start_time: Option<i64>,
    start_time_dt: Option<String>,
    timezone_offset: Option<i32>,
    severity_id: u32,
    severity: String,
    status_id: u32,
    status: String,
    status_code: Option<String>,
    status_detail: Option<String>,
    message: String,
    raw_data: Option<String>,
    raw_data_hash: Option<Fingerprint>,
    metadata: Metadata,
    device: Option<Device>,
    actor: Option<Actor>,
    app: Option<Product>,
    unmapped: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "see above")]
struct Metadata {
    version: String,
    product: Product,
    profiles: Vec<String>,
    loggers: Vec<Logger>,
    labels: Option<Vec<String>>,
    tags: Option<Vec<Tag>>,
    uid: String,
    sequence: Option<u64>,
    event_code: Option<String>,
    log_name: Option<String>,
    log_source: Option<String>,
    log_provider: Option<String>,
    log_level: Option<String>,
    logged_time: i64,
    original_time: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "see above")]
struct Product {
    name: Option<String>,
    uid: Option<String>,
    vendor_name: Option<String>,
    version: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "see above")]
struct Logger {
    name: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "see above")]
struct Tag {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "see above")]
struct Fingerprint {
    algorithm_id: u32,
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "see above")]
struct Device {
    type_id: u32,
    r#type: String,
    uid: String,
    hostname: Option<String>,
    name: Option<String>,
    vendor_name: Option<String>,
    model: Option<String>,
    os: Os,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "see above")]
struct Os {
    name: String,
    type_id: u32,
    r#type: String,
    version: Option<String>,
    build: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "see above")]
struct Actor {
    process: Option<Process>,
    app_name: Option<String>,
    user: Option<User>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "see above")]
struct User {
    uid: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "see above")]
struct Process {
    pid: u32,
    ptid: Option<u32>,
    name: Option<String>,
    path: Option<String>,
}

/// A class: uid, caption, category, caption of the category, activities.
type Class = (u32, &'static str, u32, &'static str, &'static [(u32, &'static str)]);

const CLASSES: [Class; 3] = [
    (
        6002,
        "Application Lifecycle",
        6,
        "Application Activity",
        &[
            (0, "Unknown"),
            (1, "Install"),
            (2, "Remove"),
            (3, "Start"),
            (4, "Stop"),
            (5, "Restart"),
            (6, "Enable"),
            (7, "Disable"),
            (8, "Update"),
            (99, "Other"),
        ],
    ),
    (
        6008,
        "Application Error",
        6,
        "Application Activity",
        &[(0, "Unknown"), (1, "General Error"), (2, "Translation Error"), (99, "Other")],
    ),
    (0, "Base Event", 0, "Uncategorized", &[(0, "Unknown"), (99, "Other")]),
];

const SEVERITIES: [&str; 7] = ["Unknown", "Informational", "Low", "Medium", "High", "Critical", "Fatal"];

const STATUSES: [&str; 3] = ["Unknown", "Success", "Failure"];

/// Checks that a document follows its class, and that each number has its caption.
#[track_caller]
pub(super) fn check(value: &Value) {
    let document = Document::deserialize(value).unwrap_or_else(|error| panic!("{error} in {value}"));
    let (uid, name, category, category_name, activities) =
        CLASSES.into_iter().find(|class| class.0 == document.class_uid).expect("a class");
    assert_eq!((document.class_name.as_str(), document.category_uid), (name, category), "{value}");
    assert_eq!(document.category_name, category_name);
    let (activity, caption) =
        activities.iter().find(|activity| activity.0 == document.activity_id).expect("an activity of the class");
    assert!(*activity == 99 || document.activity_name == *caption, "{value}");
    assert_eq!(document.type_uid, u64::from(uid * 100 + activity));
    assert_eq!(document.type_name, format!("{name}: {caption}"));
    assert_eq!(SEVERITIES.get(document.severity_id as usize), Some(&document.severity.as_str()));
    assert_eq!(STATUSES.get(document.status_id as usize), Some(&document.status.as_str()));
    assert_eq!(document.app.is_some(), uid == 6002, "the class of 6002 requires app, the others have none: {value}");
    for product in [Some(&document.metadata.product), document.app.as_ref()].into_iter().flatten() {
        assert!(product.name.is_some() || product.uid.is_some(), "a product has a name or an id: {value}");
    }
    if let Some(device) = document.device {
        assert_eq!((device.type_id, device.r#type.as_str()), (0, "Unknown"));
        assert_eq!((device.os.type_id, device.os.r#type.as_str()), (100, "Windows"));
    }
    if let Some(actor) = document.actor {
        assert!(actor.process.is_some() || actor.app_name.is_some() || actor.user.is_some(), "{value}");
    }
    assert!(document.timezone_offset.is_none_or(|minutes| (-1080..=1080).contains(&minutes)));
    assert_eq!(document.metadata.version, "1.8.0");
}

#[test]
fn every_line_is_a_document_of_its_class() {
    for (ecs, document) in super::converted(FORMAT) {
        check(&document);
        expect(
            &document,
            &[
                ("/metadata/uid", ecs["event"]["id"].clone()),
                ("/raw_data", ecs["event"]["original"].clone()),
                ("/unmapped/wu", ecs["wu"].clone()),
            ],
        );
    }
}

#[test]
fn a_named_update_is_an_application_with_a_lifecycle() {
    expect(
        &last(FORMAT, REPORT_FAILED),
        &[
            ("/class_uid", json!(6002)),
            ("/activity_id", json!(8)),
            ("/type_uid", json!(600_208)),
            ("/time", json!(1_305_438_427_169_i64)), // 07:47:07:169+0200
            ("/time_dt", json!("2011-05-15T05:47:07.169Z")),
            ("/timezone_offset", json!(120)),
            ("/severity", json!("Medium")),
            ("/status", json!("Failure")),
            ("/status_code", json!("0x800b0109")),
            ("/status_detail", json!("CERT_E_UNTRUSTEDROOT: chain ends in a root that is not trusted")),
            ("/raw_data", json!(REPORT_FAILED)),
            ("/app/uid", json!("8468427e-6555-e8d9-5360-9cbc1d52a0bb")),
            ("/actor/app_name", json!("AutomaticUpdatesWuApp")),
            ("/actor/process/pid", json!(952)),
            ("/actor/process/ptid", json!(0x5b4)),
            ("/device/uid", json!(KEY)),
            ("/device/hostname", json!("pc-0042")),
            ("/metadata/event_code", json!("161")),
            ("/metadata/original_time", json!("2011-05-15 07:47:07:169+0200")),
            ("/metadata/log_provider", json!("Report")),
            ("/metadata/log_name", json!("WindowsUpdate.log")),
            ("/metadata/log_source", json!(r"C:\Windows\WindowsUpdate.log")),
            ("/metadata/labels", json!(["cert-trust"])),
            ("/metadata/tags", json!([{"name": "site", "value": "hamburg"}])),
            ("/metadata/sequence", json!(0)),
            ("/unmapped/event/action", json!("download-failed")),
            ("/unmapped/wu/raw/partition", json!(3)),
            ("/unmapped/wu/raw/offset", json!(1)), // the heartbeat came first
        ],
    );
    expect(
        &last(FORMAT, REPORT_INSTALLED),
        &[
            ("/type_name", json!("Application Lifecycle: Install")),
            ("/status", json!("Success")),
            ("/status_code", Value::Null),
            ("/severity", json!("Informational")),
            ("/app/name", json!("Security Intelligence Update - KB2267602 (Version 1.381.1819.0)")),
            ("/timezone_offset", json!(-300)),
        ],
    );
}

#[test]
fn an_error_without_an_update_is_an_application_error() {
    expect(
        &last(FORMAT, SEND_FAILED),
        &[
            ("/class_uid", json!(6008)),
            ("/type_name", json!("Application Error: General Error")),
            ("/time", json!(1_677_709_141_814_i64)),
            ("/time_dt", json!("2023-03-01T22:19:01.814360600Z")),
            ("/metadata/original_time", json!("2023/03/01 22:19:01.8143606")),
            ("/metadata/product/name", json!("Windows Update Agent")),
            ("/actor/process/ptid", json!(14968)),
            ("/status_code", json!("0x80072f8f")),
            ("/app", Value::Null),
        ],
    );
    expect(
        &last(FORMAT, UNTRUSTED),
        &[
            ("/class_uid", json!(6008)),
            ("/metadata/log_level", json!("WARNING")),
            ("/unmapped/file/path", json!("C:\\Windows\\SoftwareDistribution\\Download\\a\\b.cab")),
            ("/unmapped/file/code_signature/trusted", json!(false)),
        ],
    );
}

#[test]
fn severity_is_of_level_and_outcome() {
    for (line, severity) in
        [(PLAIN, "Informational"), (WARNING, "Low"), (UNTRUSTED, "Medium"), (SEND_FAILED, "Medium"), (FATAL, "High")]
    {
        expect(&last(FORMAT, line), &[("/severity", json!(severity))]);
    }
}

#[test]
fn any_other_line_is_a_base_event_that_names_its_action() {
    expect(
        &last(FORMAT, BANNER),
        &[
            ("/type_uid", json!(99)),
            ("/activity_name", json!("logging-initialized")),
            ("/status", json!("Unknown")),
            ("/timezone_offset", json!(-210)),
            ("/metadata/product/version", json!("7.3.7600.16385")),
            ("/metadata/original_time", json!("2017-03-28\t19:06:43:471")),
        ],
    );
    let continued = format!("{PLAIN}\nmore of it");
    expect(
        &last(FORMAT, &continued),
        &[("/activity_name", json!("continuation")), ("/metadata/original_time", Value::Null)],
    );
}

#[test]
fn the_build_of_the_system_is_told() {
    let os = "2017-03-28\t19:06:43:471\t 952\t5b4\tMisc\t  OS Version = 6.1.7601.1.0.65792";
    expect(
        &last(FORMAT, &format!("{os}\n{PLAIN}")),
        &[("/device/os/version", json!("6.1.7601")), ("/device/os/build", json!("7601"))],
    );
}

#[test]
fn a_record_that_is_not_a_line_is_a_translation_error() {
    let mut feed = Feed::live();
    feed.record(b"k", None, b"x\xff".to_vec());
    let ecs = serde_json::to_vec(&feed.events().pop().unwrap()).unwrap();
    let document: Value = serde_json::from_slice(&wulog_processor::format::from_ecs(FORMAT, ecs.into())).unwrap();
    check(&document);
    expect(
        &document,
        &[
            ("/type_name", json!("Application Error: Translation Error")),
            ("/metadata/product/name", json!("wulog")),
            ("/raw_data", json!("x\u{fffd}")),
            ("/device", Value::Null),
        ],
    );
}
