//! Hand-written documents of two runs.

use wulog_schemas::alert::UtcTime;

use super::view::span;
use super::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// 2023-03-01 00:00:00 UTC.
const DAY: i64 = 1_677_628_800_000;
const ALL: Openings = Openings { from_ms: DAY, to_ms: DAY + 24 * HOUR };

/// An incident that opened so long after [`DAY`], half an hour after its onset, and ended two hours later.
fn alert(id: &str, opened: i64, hosts: &[&str]) -> Alert {
    let text = include_str!("../../../schemas/examples/alert.json");
    let mut alert: Alert = serde_json::from_str::<Vec<Alert>>(text).unwrap().remove(0);
    alert.id = id.to_owned();
    alert.time.onset = UtcTime(DAY + opened - HOUR / 2);
    alert.time.opened = UtcTime(DAY + opened);
    alert.time.updated = UtcTime(DAY + opened + 2 * HOUR);
    alert.hosts.names = hosts.iter().map(|&host| host.to_owned()).collect();
    alert.hosts.affected = hosts.len() as u64;
    alert.hosts.names_complete = true;
    alert.severity.level = Level::Medium;
    alert
}

fn run(name: &str, alerts: impl IntoIterator<Item = Alert>) -> ComparedRun {
    let mut run = ComparedRun::called(name);
    alerts.into_iter().for_each(|alert| run.take(&alert));
    run
}

fn compared(
    live: impl IntoIterator<Item = Alert>,
    again: impl IntoIterator<Item = Alert>,
    openings: Openings,
) -> RunComparison {
    RunComparison::of(&run("the live run", live), &run("the replay", again), openings)
}

#[test]
fn the_same_documents_do_not_differ() {
    let documents = || [alert("wu-a", HOUR, &["pc-1", "pc-2"]), alert("wu-b", 5 * HOUR, &["pc-3"])];
    let found = compared(documents(), documents(), ALL);
    assert!(found.is_same());
    assert_eq!((found.same, found.counted, found.outside), (2, [2, 2], [0, 0]));
    assert!(text(&found).starts_with("No difference: 2 incidents are the same"), "{}", text(&found));
}

#[test]
fn an_incident_of_one_run_is_told() {
    let both = || alert("wu-a", HOUR, &["pc-1", "pc-2"]);
    let (old, new) = (alert("wu-b", 2 * HOUR, &["pc-3"]), alert("wu-c", 3 * HOUR, &["pc-4"]));
    let found = compared([both(), old], [both(), new], ALL);
    assert_eq!(found.same, 1);
    let ids = |alone: &[Alone]| alone.iter().map(|alone| alone.incident.id.clone()).collect::<Vec<_>>();
    assert_eq!((ids(&found.only_live), ids(&found.only_again)), (vec!["wu-b".to_owned()], vec!["wu-c".to_owned()]));
    let text = text(&found);
    for part in
        ["1 incident is the same, 0 differ, 1 only in the live run, 1 only in the replay.", "ONLY IN THE LIVE RUN"]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn every_fact_that_changed_is_told() {
    let live = alert("wu-a", HOUR, &["pc-1", "pc-2"]);
    let mut again = alert("wu-a", 3 * HOUR + 5 * MINUTE, &["pc-2", "pc-3", "pc-4"]);
    again.severity.level = Level::High;
    again.common_factors.clear();
    again.state = State::Resolved;
    let found = compared([live], [again], ALL);
    let [pair] = &found.different[..] else { panic!("{found:#?}") };
    assert_eq!((pair.matched, pair.later_ms()), (Matched::Id, 2 * HOUR + 5 * MINUTE));
    let names = HostsInOneRun { gained: vec!["pc-3".to_owned(), "pc-4".to_owned()], lost: vec!["pc-1".to_owned()] };
    assert_eq!(pair.names(), Some(names));
    let text = text(&found);
    for part in ["2 h 5 min later", "2 gained, 1 lost", "gained: pc-3, pc-4", "lost: pc-1", "higher", "resolved"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert_eq!(text.matches("changed").count(), 2, "factor and state: {text}");
    let earlier = compared([alert("wu-a", 2 * HOUR, &["pc-1"])], [alert("wu-a", HOUR, &["pc-1"])], ALL);
    assert!(super::text(&earlier).contains("1 h earlier"));
}

/// (live host names, names in the replay, whether family and time are the same, whether the two are one incident)
#[test]
fn incidents_with_other_ids_are_matched_by_family_time_and_hosts() {
    type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str], fn(&mut Alert), bool);
    let other_family = |alert: &mut Alert| {
        let family = Family::ALL.into_iter().find(|family| !alert.families.contains(family) && *family != alert.family);
        alert.family = family.unwrap();
        alert.families = vec![alert.family];
    };
    let after = |alert: &mut Alert| {
        for time in [&mut alert.time.onset, &mut alert.time.opened, &mut alert.time.updated] {
            time.0 += 6 * HOUR;
        }
    };
    let cases: [Case<'_>; 6] = [
        ("the same hosts", &["a", "b"], &["a", "b"], |_| {}, true),
        ("half of the smaller", &["a", "b", "c", "d"], &["d", "e"], |_| {}, true),
        ("less than half", &["a", "b", "c"], &["c", "d", "e"], |_| {}, false),
        ("no name known", &[], &[], |_| {}, false),
        ("another family", &["a", "b"], &["a", "b"], other_family, false),
        ("hours after the end", &["a", "b"], &["a", "b"], after, false),
    ];
    for (what, live, again, change, is_one) in cases {
        let mut again = alert("wu-new", HOUR, again);
        change(&mut again);
        let found = compared([alert("wu-old", HOUR, live)], [again], ALL);
        assert_eq!(found.only_live.is_empty() && found.only_again.is_empty(), is_one, "{what}: {found:#?}");
    }
}

#[test]
fn an_incident_is_in_one_pair_and_the_best_comes_first() {
    let live = [alert("wu-1", HOUR, &["a", "b", "c", "d"])];
    let again = [alert("wu-2", HOUR, &["a"]), alert("wu-3", HOUR, &["b", "c", "d"])];
    let found = compared(live, again, ALL);
    let [pair] = &found.different[..] else { panic!("{found:#?}") };
    assert_eq!((pair.again.id.as_str(), pair.matched), ("wu-3", Matched::Hosts(3)));
    let [alone] = &found.only_again[..] else { panic!("{found:#?}") };
    assert_eq!((alone.incident.id.as_str(), &alone.shares), ("wu-2", &Some(("wu-1".to_owned(), 1))));
}

#[test]
fn an_id_comes_before_hosts() {
    let live = [alert("wu-1", HOUR, &["a", "b"]), alert("wu-2", HOUR, &["c", "d"])];
    let again = [alert("wu-1", HOUR, &["c", "d"]), alert("wu-3", HOUR, &["a", "b"])];
    let found = compared(live, again, ALL);
    assert_eq!(found.different.len(), 1);
    assert_eq!(found.different[0].matched, Matched::Id);
    assert_eq!((found.only_live.len(), found.only_again.len()), (1, 1));
}

#[test]
fn only_openings_in_the_range_count_and_the_rest_is_counted() {
    let range = Openings { from_ms: DAY + 2 * HOUR, to_ms: DAY + 4 * HOUR };
    let before = || alert("wu-before", HOUR, &["a"]);
    let live = [before(), alert("wu-first", 2 * HOUR, &["b"]), alert("wu-last", 4 * HOUR, &["c"])];
    let again = [before(), alert("wu-after", 4 * HOUR + 1, &["d"])];
    let found = compared(live, again, range);
    assert_eq!((found.same, found.only_live.len(), found.only_again.len()), (0, 2, 0));
    assert_eq!((found.counted, found.outside), ([2, 0], [1, 2]));
    assert!(text(&found).contains("the replay: 0 incidents compared, 2 outside the range"), "{}", text(&found));
    // The partner outside the range still counts: no incident is missing.
    let found = compared([alert("wu-a", HOUR, &["a"])], [alert("wu-a", 3 * HOUR, &["a"])], range);
    assert_eq!((found.different.len(), found.only_live.len(), found.only_again.len()), (1, 0, 0));
}

#[test]
fn the_newest_document_counts_and_one_of_status_does_not() {
    let mut newer = alert("wu-a", HOUR, &["a", "b"]);
    newer.seq = 2;
    let mut status = alert("wu-a", HOUR, &["a", "b", "c"]);
    (status.seq, status.transition) = (3, Transition::Status);
    let found = compared([newer.clone()], [newer, alert("wu-a", HOUR, &["a"]), status], ALL);
    assert!(found.is_same(), "{found:#?}");
}

#[test]
fn where_names_are_cut_numbers_are_compared() {
    let mut live = alert("wu-a", HOUR, &["a", "b"]);
    (live.hosts.names_complete, live.hosts.affected) = (false, 1_500);
    let mut again = live.clone();
    again.hosts.affected = 1_200;
    again.hosts.names = vec!["a".to_owned(), "z".to_owned()];
    let found = compared([live], [again], ALL);
    let text = text(&found);
    assert!(text.contains("300 lost") && text.contains("some hosts only") && !text.contains("gained"), "{text}");
}

#[test]
fn names_are_bounded() {
    let names: Vec<String> = (0..25).map(|number| format!("pc-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = compared([alert("wu-a", HOUR, &["pc-00"])], [alert("wu-a", HOUR, &names)], ALL);
    let text = text(&found);
    assert!(text.contains("24 gained") && text.contains("pc-20 and 4 more") && !text.contains("pc-21"), "{text}");
}

#[test]
fn foreign_text_does_not_act_on_the_terminal_or_in_the_page() {
    let hostile = "<script>alert(1)</script>\u{202e}\u{1b}[2J\"x";
    let mut again = alert("wu-a", HOUR, &["a", hostile]);
    again.summary = hostile.to_owned();
    let found = compared([alert("wu-a", HOUR, &["a"]), alert("wu-b", HOUR, &[hostile])], [again], ALL);
    let (text, page) = (text(&found), html(&found).unwrap());
    for (what, shown) in [("text", &text), ("page", &page)] {
        assert!(!shown.contains('\u{202e}') && !shown.contains('\u{1b}'), "{what}: {shown}");
        assert!(shown.contains("alert(1)"), "{what} has the name");
    }
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""));
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside} is in the page");
    }
}

#[test]
fn the_page_shows_both_runs_side_by_side() {
    let found = compared([alert("wu-a", HOUR, &["a"])], [alert("wu-a", 2 * HOUR, &["a", "b"])], ALL);
    let page = html(&found).unwrap();
    for part in [
        "<td>2023-03-01 01:00:00 UTC</td><td>2023-03-01 02:00:00 UTC</td><td class=\"change\">1 h later</td>",
        "<td>1</td><td>2</td><td class=\"change\">1 gained</td>",
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
}

#[test]
fn a_length_of_time_has_its_two_largest_units() {
    for (ms, expected) in [
        (1, "1 ms"),
        (-1_000, "1 s"),
        (61_000, "1 min 1 s"),
        (HOUR, "1 h"),
        (26 * HOUR + 5_000, "1 d 2 h"),
        (24 * HOUR + 5 * MINUTE, "1 d 5 min"),
    ] {
        assert_eq!(span(ms), expected, "{ms}");
    }
}
