//! The operator's rules: exact counts in any window, in addition to the statistics, without second incidents.

use wulog_processor::detect::{DetectorConfig, Rule};
use wulog_schemas::alert::{Alert, Level, Method, Transition};
use wulog_schemas::hresult::Family;

use crate::incidents::outbreak;
use crate::world::{DAY, HOUR, MINUTE, START, THIRD_PARTY, World, alerts_with, wsus_of};

const AT: i64 = START + 3 * DAY;

/// Rules as an operator writes them; the statistics open no incident here.
fn rules_alone(toml: &str) -> DetectorConfig {
    #[derive(serde::Deserialize)]
    struct Section {
        rules: Vec<Rule>,
    }
    let section: Section = toml::from_str(toml).expect("the rules are TOML");
    let config = DetectorConfig { rules: section.rules, min_hosts: 1_000_000, ..DetectorConfig::default() };
    config.check().expect("the rules can be used");
    config
}

/// The alerts of a fleet of 100, in which hosts fail at these minutes, each at an update of its own.
fn alerts_of(config: &DetectorConfig, failures: &[(u32, i64)]) -> Vec<Alert> {
    let mut world = World::new(100, 40);
    world.live(START, AT + 2 * DAY, |_, _, _| {});
    for (index, minute) in failures {
        world.fail(*index, AT + minute * MINUTE, &format!("update:{index}"));
    }
    alerts_with(config, &world.records())
}

fn check(toml: &str, failures: &[(u32, i64)], expect: usize) {
    let alerts = alerts_of(&rules_alone(toml), failures);
    let opened = alerts.iter().filter(|alert| alert.transition == Transition::Opened).count();
    assert_eq!(opened, expect, "{toml}: {failures:?}");
}

const FIVE: &str = "[[rules]]\nname = 'five'\nmin_hosts = 5\nwithin_secs = 3600\n";

#[test]
fn a_rule_fires_at_its_number_of_distinct_hosts_within_its_time() {
    check(FIVE, &[(0, 0), (1, 10), (2, 20), (3, 30), (4, 59)], 1);
    // The window of an hour begins at any minute.
    check(FIVE, &[(0, 37), (1, 50), (2, 65), (3, 80), (4, 96)], 1);
    check(FIVE, &[(0, 0), (1, 10), (2, 20), (3, 30), (4, 60)], 0);
    // A host counts once.
    check(FIVE, &[(0, 0), (0, 10), (0, 20), (3, 30), (4, 40), (5, 50)], 0);
    check("[[rules]]\nname = 'tls'\nfamilies = ['tls']\nmin_hosts = 2\nwithin_secs = 3600\n", &[(0, 0), (1, 1)], 0);
}

#[test]
fn a_rule_can_require_a_share_of_its_hosts() {
    // Of 100 hosts a quarter has WSUS 1: 3 of 25 are 12 %, 3 of 100 are 3 %.
    let day = "within_secs = 86400\n";
    let failures = [(1, 0), (5, 100), (9, 200)];
    check(&format!("[[rules]]\nname = 'all'\nmin_share = 0.1\n{day}"), &failures, 0);
    let wsus = "where = { wsus = 'wsus1.corp.example:8530' }\n";
    check(&format!("[[rules]]\nname = 'one'\nmin_share = 0.1\n{day}{wsus}"), &failures, 1);
    check(&format!("[[rules]]\nname = 'one'\nmin_share = 0.13\n{day}{wsus}"), &failures, 0);
    check(&format!("[[rules]]\nname = 'one'\nmin_share = 0.1\n{day}{wsus}"), &[(0, 0), (2, 1), (3, 2)], 0);
}

#[test]
fn each_value_of_a_dimension_for_itself() {
    let by = "[[rules]]\nname = 'per server'\nby = 'wsus'\nmin_hosts = 3\nwithin_secs = 3600\n";
    check(by, &[(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)], 0);
    check(by, &[(1, 0), (2, 1), (5, 2), (6, 3), (9, 4)], 1);
    let by_update = "[[rules]]\nname = 'per update'\nby = 'update'\nmin_hosts = 2\nwithin_secs = 3600\n";
    check(by_update, &[(0, 0), (1, 1), (2, 2)], 0);
}

/// The statistics open the incident; the rule that the same hosts meet later raises it and opens no second one.
#[test]
fn a_rule_raises_an_incident_that_is_open() {
    let toml = "[[rules]]\nname = 'twenty'\nmin_hosts = 20\nwithin_secs = 86400\nseverity = 'critical'\n";
    let config = DetectorConfig { min_hosts: 3, ..rules_alone(toml) };
    let world = outbreak(200, 41, |index| wsus_of(index) == 1, i64::MAX, AT + 2 * DAY);
    let alerts = alerts_with(&config, &world.records());
    assert!(alerts.iter().all(|alert| alert.id == alerts[0].id));
    assert_ne!(alerts[0].detection.method, Method::Rule);
    assert!(alerts[0].detection.rules_met.is_empty());
    let raised = alerts.iter().find(|alert| alert.detection.rules_met == ["twenty"]).unwrap();
    assert_eq!((raised.hosts.affected, raised.severity.level), (20, Level::Critical), "at once, and exactly then");
    assert!(raised.severity.reasons.iter().any(|reason| reason.contains("twenty")));
    assert_eq!(alerts.iter().filter(|alert| alert.transition == Transition::Opened).count(), 1);
}

/// A host that fails at a subject of the rule alone joins no incident but meets the rule.
#[test]
fn a_rule_counts_hosts_whatever_they_fail_at() {
    let mut world = World::new(100, 42);
    world.live(START, AT + DAY, |_, _, _| {});
    for index in 0..4 {
        world.attempt(index, AT + i64::from(index) * HOUR, THIRD_PARTY, Some((Family::Tls, "0x80072f8f", AT)));
    }
    let toml = "[[rules]]\nname = 'any'\nmin_hosts = 4\nwithin_secs = 86400\nseverity = 'low'\n";
    let alerts = alerts_with(&rules_alone(toml), &world.records());
    assert_eq!(alerts[0].detection.rule.as_deref(), Some("any"));
    assert_eq!(alerts[0].hosts.affected, 4);
}
