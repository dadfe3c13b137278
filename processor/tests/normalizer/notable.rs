//! `events = "notable"`: which lines are events, by the rule of `schemas/EVENTS.md`; signals do not change.

use wulog_processor::machine::{Machine, Output};
use wulog_processor::normalize::{Events, Normalizer, NormalizerConfig};
use wulog_schemas::topic::Topic;

use super::feed::Feed;

fn feed(events: Events) -> Feed {
    let config = NormalizerConfig { events, ..NormalizerConfig::default() };
    Feed { normalizer: Normalizer::new(&config, 3, 12), ..Feed::catching_up() }
}

/// The messages of `lines` that are events.
#[track_caller]
fn check(lines: &[(&str, bool)]) {
    for (line, notable) in lines {
        let mut feed = feed(Events::Notable);
        feed.lines(&format!("2017-03-28\t19:06:44:000\t 952\t5b4\t{line}"));
        assert_eq!(!feed.events().is_empty(), *notable, "{line}");
    }
}

#[test]
fn failures_levels_and_codes_of_trust() {
    check(&[
        ("DnldMgr\tDownload job failed, error = 0x80240022", true),
        ("AU\tWARNING: no network", true),
        ("Handler\tFATAL: it broke", true),
        (
            "Report\tWER Report sent: 7.5.7601.17514 0x800b0109 8468427E-6555-E8D9-5360-9CBC1D52A0BB Download 101 Managed",
            true,
        ),
        (
            "Report\tWER Report sent: 7.5.7601.17514 0x80240022 8468427E-6555-E8D9-5360-9CBC1D52A0BB Download 101 Managed",
            false,
        ),
        ("Report\tCWERReporter finishing event handling. (00000000)", false),
        ("AU\tAU setting next detection timeout to 2017-03-29 10:00:00", false),
        ("Agent\t  * WSUS server: http://wsus-1.corp.example:8530", false),
    ]);
}

#[test]
fn reports_verdicts_starts_and_ends() {
    check(&[
        (
            "Report\tREPORT EVENT: {8D0F95E6-747D-2045-A407-E096678415C8}\t2017-03-28 19:06:40:200+0200\t1\t147\t101\t{00000000-0000-0000-0000-000000000000}\t0\t0\tAutomaticUpdates\tSuccess\tSoftware Synchronization\tWindows Update Client successfully detected 0 updates.",
            true,
        ),
        ("Misc\tValidating signature for C:\\Windows\\wuident.cab:", false),
        ("Misc\t Microsoft signed: Yes", true),
        ("Service\t** START **  Service: Service startup", true),
        ("Service\t** END **  Service: Service exit [Exit code = 0x240001]", true),
        ("Agent\t** START **  Agent: Finding updates [CallerId = AutomaticUpdates]", true),
        ("Agent\t**  END  **  Agent: Finding updates [CallerId = AutomaticUpdates]", true),
        ("Agent\t** START **  Agent: Downloading updates [CallerId = AutomaticUpdates]", true),
        ("Agent\t** START **  Agent: Installing updates [CallerId = AutomaticUpdates]", true),
        ("Agent\t*************", false),
    ]);
}

#[test]
fn lines_with_losses_are_notable() {
    let mut feed = feed(Events::Notable);
    feed.line_at("a", 0, 10);
    assert_eq!(feed.events().len(), 0);
    feed.line_at("b", 0, 10); // another line at the same place: rewound
    feed.record(b"k", None, b"no line".to_vec());
    let events = feed.events();
    let kinds: Vec<_> = events.iter().map(|event| event["event"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["event", "pipeline_error"]);
    assert_eq!(events[0]["wu"]["flags"][0], "rewound");
}

#[test]
fn signals_are_the_same_and_events_are_some_of_all() {
    let run = |events| {
        let mut feed = feed(events);
        feed.lines(super::attempts::LUP);
        feed.heartbeat(true);
        for log in super::feed::corpus() {
            feed.lines(&log);
            feed.tick(400_000);
        }
        let snapshot = feed.normalizer.snapshot();
        let (events, signals): (Vec<Output>, Vec<Output>) =
            feed.outputs.into_iter().partition(|output| output.topic == Topic::Events);
        (events, signals, snapshot)
    };
    let (all, signals, state) = run(Events::All);
    let (notable, same_signals, same_state) = run(Events::Notable);
    assert!(signals.len() > 40, "{} signals", signals.len());
    assert_eq!(signals, same_signals);
    assert_eq!(state, same_state);
    let mut rest = all.iter();
    assert!(notable.iter().all(|event| rest.any(|other| other == event)), "notable events are those of all, in order");
    assert!((all.len() / 10..all.len() / 2).contains(&notable.len()), "{} of {}", notable.len(), all.len());
}
