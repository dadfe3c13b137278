//! The operator's patterns: their effect on a line's document and on its host's attempts.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wulog_processor::config::{Config, check_examples, read_patterns};
use wulog_processor::machine::Machine;
use wulog_processor::normalize::{Normalizer, NormalizerConfig, Patterns};

use super::feed::{Feed, apply};

const BROKER: &str = "[kafka]\n\"bootstrap.servers\" = \"x:1\"\n";

fn config_of(patterns: &str) -> NormalizerConfig {
    let patterns = patterns.replace("[[patterns]]", "[[normalizer.patterns]]");
    Config::parse("p.toml", &format!("{BROKER}{patterns}")).expect("these patterns are right").normalizer
}

fn live(config: &NormalizerConfig) -> Feed {
    let mut feed = Feed::catching_up();
    feed.normalizer = Normalizer::new(config, 3, 12);
    feed.heartbeat(true);
    feed
}

const REDIRECT: &str =
    "2023/03/01 22:19:01.8143606 19924 14968 Misc            redirected to http://proxy7.corp.example/block?a=1";
const ABORTED: &str = "2023/03/01 22:19:01.8143606 19924 14968 Misc            *FAILED* [80072EFE] Send request";
const UNTRUSTED: &str =
    "2011-11-03\t10:22:46:797\t1036\t74c\tDnldMgr\tWARNING: File failed postprocessing, error = 800b0109";
const SUCCEEDED: &str = "2023/03/01 22:19:05.0000000 19924 14968 DownloadManager updateId = 8468427E-6555-E8D9-5360-9CBC1D52A0BB.201, DownloadResult: DownloadSucceeded";

const UPDATE: &str = "update:8468427e-6555-e8d9-5360-9cbc1d52a0bb";

const PROXY: &str = "[[patterns]]\nname = 'proxy'\nregex = 'redirected to http://(?<proxy>[^/]+)/(?<page>\\w*)'\n";

fn check(patterns: &str, lines: &str, document: &[(&str, Value)], verdicts: &[&str]) {
    let mut feed = live(&config_of(patterns));
    feed.lines(lines);
    feed.tick(10 * 60_000);
    let event = feed.events().remove(0);
    for (path, value) in document {
        let found = event.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&Value::Null);
        assert_eq!(found, value, "{path} of {lines} by {patterns}\n{event}");
    }
    assert_eq!(feed.verdicts(), verdicts, "{lines} by {patterns}");
}

#[test]
fn captures_are_labels_and_names_stand_in_the_document() {
    let of_captures = [
        ("wu.pattern", json!(["proxy"])),
        ("labels", json!({"site": "hamburg", "proxy": "proxy7.corp.example", "page": "block"})),
        ("event.outcome", json!("unknown")),
        ("event.action", json!("log")),
        ("event.severity", Value::Null),
        ("wu.family", Value::Null),
        ("tags", Value::Null),
    ];
    check(PROXY, REDIRECT, &of_captures, &[]);
    // An empty capture gives no label, and a capture does not replace a label of the collector.
    let empty = REDIRECT.replace("block", "");
    check(PROXY, &empty, &[("labels", json!({"site": "hamburg", "proxy": "proxy7.corp.example"}))], &[]);
    let site = PROXY.replace("?<proxy>", "?<site>");
    check(&site, REDIRECT, &[("labels", json!({"site": "hamburg", "page": "block"}))], &[]);
    let long = REDIRECT.replace("block", &"é".repeat(200));
    check(PROXY, &long, &[("labels.page", json!("é".repeat(128)))], &[]);
    check(PROXY, ABORTED, &[("wu.pattern", Value::Null), ("labels", json!({"site": "hamburg"}))], &[]);
}

#[test]
fn of_several_patterns_the_first_decides_and_the_highest_severity_holds() {
    let more = "severity = 'low'\n[[patterns]]\nname = 'b'\nregex = '(?<page>proxy7)'\nseverity = 'critical'\n\
                family = 'chain'\ncode = '0x800b010a'\n\
                [[patterns]]\nname = 'c'\nregex = 'corp'\nfamily = 'tls'\ncode = '0x80072f8f'\nseverity = 'high'\n";
    let expect = [
        ("wu.pattern", json!(["proxy", "b", "c"])),
        ("event.severity", json!(4)),
        ("labels.page", json!("block")),
        ("wu.family", json!("chain")),
        ("event.code", json!("0x800b010a")),
    ];
    check(&format!("{PROXY}{more}"), REDIRECT, &expect, &["failure server:proxy7.corp.example 0x800b010a"]);
    for (level, number) in [("low", 1), ("medium", 2), ("high", 3), ("critical", 4)] {
        let severity = format!("{PROXY}severity = '{level}'\n");
        check(&severity, REDIRECT, &[("event.severity", json!(number))], &[]);
    }
}

#[test]
fn components_narrow_a_pattern() {
    for (components, matches) in [("'Misc'", true), ("'agent', 'MISC'", true), ("'Agent'", false)] {
        let expect = if matches { json!(["proxy"]) } else { Value::Null };
        check(&format!("{PROXY}components = [{components}]\n"), REDIRECT, &[("wu.pattern", expect)], &[]);
    }
    check(&format!("{PROXY}components = ['Misc']\n"), "redirected to http://p/x", &[("wu.pattern", Value::Null)], &[]);
}

#[test]
fn a_family_makes_the_line_a_failure() {
    let tls = format!("{PROXY}family = 'tls'\ncode = '0x80072f8f'\n");
    let document = [
        ("event.outcome", json!("failure")),
        ("event.action", json!("operation-failed")),
        ("event.code", json!("0x80072f8f")),
        ("error.code", json!("0x80072f8f")),
        ("wu.family", json!("tls")),
        ("tags", json!(["cert-trust"])),
    ];
    let failed = "failure server:proxy7.corp.example 0x80072f8f";
    check(&tls, REDIRECT, &document, &[failed]);
    // The line's own code takes precedence over the pattern's.
    let aborted = "[[patterns]]\nname = 'a'\nregex = 'Send request'\nfamily = 'tls'\ncode = '0x80072f8f'\n";
    let own = [("event.code", json!("0x80072efe")), ("wu.family", json!("tls"))];
    check(aborted, ABORTED, &own, &["failure unknown 0x80072efe"]);
    // So does a captured code, which gives no label; if the capture holds no failure code and there is no other, the
    // line is not a failure.
    let captured = "[[patterns]]\nname = 'a'\nregex = 'ends in (?<code>\\w+)'\nfamily = 'revocation'\n";
    let line = "2023/03/01 22:19:01.8143606 19924 14968 Misc            trust check ends in x80092013";
    let is_none = [("wu.family", Value::Null), ("event.outcome", json!("unknown")), ("wu.pattern", json!(["a"]))];
    check(captured, line, &is_none, &[]);
    let found = [("error.code", json!("0x80092013")), ("labels", json!({"site": "hamburg"}))];
    check(&captured.replace("in (", "in x("), line, &found, &["failure unknown 0x80092013"]);
}

#[test]
fn counts_says_when_a_failure_counts() {
    let counts = |counts: &str| format!("{PROXY}family = 'tls'\ncode = '0x80072f8f'\ncounts = '{counts}'\n");
    let failed = "failure server:proxy7.corp.example 0x80072f8f";
    let recovered = format!("{REDIRECT}\n{SUCCEEDED}");
    let success = format!("success {UPDATE}");
    check(&counts("provisional"), REDIRECT, &[("event.outcome", json!("failure"))], &[failed]);
    check(&counts("provisional"), &recovered, &[], &[&success]);
    check(&counts("definite"), &recovered, &[], &[failed, &success]);
    let tagged = [("wu.family", json!("tls")), ("event.outcome", json!("unknown"))];
    check(&counts("never"), REDIRECT, &tagged, &[]);
    // A line that would count by itself does not count if a pattern calls it harmless.
    let harmless = "[[patterns]]\nname = 'h'\nregex = '800b0109'\ncounts = 'never'\n";
    check(harmless, UNTRUSTED, &[("wu.family", json!("untrusted_root"))], &[]);
    let other = harmless.replace("800b0109", "800b0101");
    check(&other, UNTRUSTED, &[], &["failure unknown 0x800b0109"]);
    // If the client reported that it gave up, the failure counts.
    let softer = "[[patterns]]\nname = 's'\nregex = '800b0109'\nfamily = 'untrusted_root'\ncode = '0x800b0109'\ncounts = 'provisional'\n";
    let mut feed = live(&config_of(softer));
    feed.lines(UNTRUSTED);
    feed.tick(20_000);
    assert_eq!(feed.attempts().len(), 1);
}

fn busy(config: &NormalizerConfig) -> Feed {
    let mut feed = live(config);
    feed.lines(&[REDIRECT, ABORTED, UNTRUSTED, SUCCEEDED, REDIRECT].join("\n"));
    feed.lines(super::attempts::LUP);
    feed.tick(10 * 60_000);
    feed
}

#[test]
fn a_restart_anywhere_changes_nothing() {
    let config = config_of(&format!("{PROXY}family = 'tls'\ncode = '0x80072f8f'\ncounts = 'provisional'\n"));
    let feed = busy(&config);
    for split in 0..=feed.records.len() {
        let mut outputs = Vec::new();
        let mut normalizer = Normalizer::new(&config, 3, 12);
        for (offset, record) in feed.records.iter().enumerate() {
            if offset == split {
                normalizer = Normalizer::restore(&config.clone(), 3, 12, &normalizer.snapshot()).unwrap();
            }
            apply(&mut normalizer, record, offset, &mut outputs);
        }
        assert_eq!(outputs, feed.outputs, "split at {split}");
    }
}

#[test]
fn patterns_that_match_nothing_change_no_byte() {
    let none = busy(&NormalizerConfig::default());
    let other = busy(&config_of("[[patterns]]\nname = 'a'\nregex = 'no line says this'\n"));
    assert_eq!(none.outputs, other.outputs);
    assert!(none.events().iter().all(|event| event["wu"].get("pattern").is_none()));
}

#[test]
fn a_fault_is_named_with_its_place() {
    let second = |rest: &str| format!("[[patterns]]\nname = 'a'\nregex = 'x'\n\n[[patterns]]\nname = 'b'\n{rest}\n");
    let many: String = (0..257).map(|at| format!("[[patterns]]\nname = 'p{at}'\nregex = 'x{at}'\n")).collect();
    let captures: String = (0..17).map(|at| format!("(?<c{at}>x)")).collect();
    let cases = [
        // Line 8: two patterns stand before the broken one.
        (second("regex = 'a(b'"), vec!["p.toml:7: ", "pattern \"b\"", "    a(b\n     ^", "unclosed group"]),
        (second("regex = 'x(?<Proxy>y)'"), vec!["p.toml:7: ", "pattern \"b\"", "\"Proxy\"", "label"]),
        (second("regex = 'x(?<a.b>y)'"), vec!["p.toml:7: ", "\"a.b\"", "label"]),
        (second("regex = 'x*'"), vec!["p.toml:7: ", "pattern \"b\"", "empty text"]),
        (second("regex = '(\\w{300}){90}'"), vec!["p.toml:7: ", "pattern \"b\"", "memory"]),
        (second(&format!("regex = '{}'", "x".repeat(4097))), vec!["p.toml:7: ", "4097 bytes"]),
        (second(&format!("regex = '{captures}'")), vec!["p.toml:7: ", "17 named captures"]),
        (second("regex = 'y'\nfamily = 'tsl'"), vec!["p.toml:10: ", "tsl", "untrusted_root"]),
        (second("regex = 'y'\nfamily = 'tls'"), vec!["p.toml:7: ", "pattern \"b\"", "code = \"0x...\""]),
        (second("regex = 'y'\nfamily = 'tls'\ncode = '0x0'"), vec!["p.toml:7: ", "HRESULT of a failure"]),
        (second("regex = 'y'\ncode = '0x80072f8f'"), vec!["p.toml:7: ", "no family"]),
        (second("regex = 'y'\ncounts = 'definite'"), vec!["p.toml:7: ", "no family"]),
        (second("regex = 'y'\nseverity = 'urgent'"), vec!["p.toml:10: ", "urgent", "critical"]),
        (second("regexp = 'y'"), vec!["p.toml:9: ", "unknown field `regexp`"]),
        (second(""), vec!["p.toml:7: ", "missing field `regex`"]),
        ("[[patterns]]\nname = 'a b'\nregex = 'x'\n".to_owned(), vec!["p.toml:3: ", "pattern \"a b\""]),
        (second("regex = 'y'").replace("'b'", "'a'"), vec!["p.toml:", "pattern \"a\"", "twice"]),
        (many, vec!["257 patterns"]),
    ];
    for (patterns, parts) in cases {
        let text = format!("{BROKER}{}", patterns.replace("[[patterns]]", "[[normalizer.patterns]]"));
        let error = Config::parse("p.toml", &text).expect_err("these patterns are wrong").to_string();
        for part in parts {
            assert!(error.contains(part), "{error}\ndoes not say {part:?}");
        }
    }
}

#[test]
fn examples_are_tested_by_check_config() {
    let of = |rest: &str| config_of(&format!("{PROXY}components = ['misc']\n{rest}\n")).patterns.wrong_examples();
    let none: [&str; 0] = [];
    assert_eq!(of(&format!("examples = ['{REDIRECT}']\ncounterexamples = ['{ABORTED}']")), none);
    let cases = [
        (format!("examples = ['{ABORTED}']"), "does not match its example"),
        (format!("examples = ['{}']", REDIRECT.replace("Misc", "Agent")), "component Agent"),
        (format!("counterexamples = ['{REDIRECT}']"), "matches its counterexample"),
    ];
    for (rest, part) in cases {
        let wrong = of(&rest);
        assert_eq!(wrong.len(), 1, "{rest}");
        assert!(wrong[0].contains(part) && wrong[0].contains("pattern \"proxy\""), "{wrong:?}");
    }
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config").join(name)
}

#[test]
fn the_patterns_that_are_shipped_hold() {
    let patterns = read_patterns(Patterns::default(), &[shipped("patterns.example.toml")]).unwrap();
    assert_eq!(patterns.wrong_examples(), Vec::<String>::new());
    assert!(patterns.names().count() >= 5 && patterns.examples() >= patterns.names().count());
}

#[test]
fn pattern_files_stand_beside_the_configuration_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(shipped("patterns.example.toml"), folder.path().join("patterns.toml")).unwrap();
    let shipped = std::fs::read_to_string(shipped("processor.toml")).unwrap();
    let path = folder.path().join("processor.toml");
    let named = shipped.replace("# pattern_files", "pattern_files");
    std::fs::write(&path, format!("{named}\n[[normalizer.patterns]]\nname = 'inline'\nregex = 'x'\n")).unwrap();
    let config = Config::read(&path).unwrap();
    let names: Vec<&str> = config.normalizer.patterns.names().collect();
    assert_eq!(names[..2], ["inline", "proxy-block-page"]);
    check_examples(&config.normalizer, &path).unwrap();
    std::fs::write(folder.path().join("patterns.toml"), "[[patterns]]\nname = 'a'\nregex = '('\n").unwrap();
    let error = Config::read(&path).unwrap_err().to_string();
    assert!(error.contains("patterns.toml:1: "), "{error}");
    std::fs::write(folder.path().join("patterns.toml"), "[[patterns]]\nname = 'a'\nregex = 'b'\nexamples = ['c']\n")
        .unwrap();
    let error = check_examples(&Config::read(&path).unwrap().normalizer, &path).unwrap_err().to_string();
    assert!(error.contains("processor.toml") && error.contains("\"c\""), "{error}");
}
