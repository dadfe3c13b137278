//! Sequences that once failed, as short as they get.

use super::deed::{Deed, Encoding, How, Setting};
use super::sequences::run;

const NAMED: Setting = Setting { rotated_are_named: true };
const UNNAMED: Setting = Setting { rotated_are_named: false };

#[track_caller]
fn check(setting: Setting, deeds: &[Deed]) {
    run(setting, deeds).unwrap_or_else(|reason| panic!("{reason}"));
}

fn append(log: usize, lines: usize) -> Deed {
    Deed::Append { log, lines, part: None }
}

fn regenerate(log: usize, older: usize, check: Option<bool>) -> Deed {
    Deed::Regenerate { log, older, how: How::InPlace, encoding: Encoding::Utf8, check }
}

#[test]
fn a_rotation_while_no_collector_runs() {
    let crash = Deed::Crash { arrived: 0 };
    check(UNNAMED, &[append(1, 1), Deed::Pass, append(1, 1), Deed::Rotate { log: 1 }, Deed::Checkpoint, crash]);
    check(UNNAMED, &[append(1, 1), Deed::Pass, crash, append(1, 1), Deed::Rotate { log: 1 }]);
}

#[test]
fn a_rotation_before_anything_was_read() {
    let half = Deed::Append { log: 0, lines: 1, part: Some(0) };
    check(UNNAMED, &[half, Deed::Pass, Deed::Rotate { log: 0 }, append(0, 1)]);
}

#[test]
fn a_crash_and_a_cut_in_the_same_second() {
    let cut = Deed::CutHead { log: 0, keep: 7, how: How::InPlace };
    let crash = Deed::Crash { arrived: 0 };
    check(UNNAMED, &[append(0, 2), Deed::Pass, append(0, 9), Deed::Pass, crash, cut]);
    check(UNNAMED, &[append(0, 2), Deed::Pass, crash, regenerate(0, 0, Some(true))]);
}

#[test]
fn a_cut_that_leaves_one_known_line() {
    let cut = Deed::CutHead { log: 1, keep: 7, how: How::InPlace };
    check(UNNAMED, &[append(1, 2), Deed::Pass, append(1, 6), cut]);
}

#[test]
fn a_file_that_is_rotated_right_after_it_was_written_again() {
    check(UNNAMED, &[append(1, 1), Deed::Pass, regenerate(1, 0, Some(true)), Deed::Rotate { log: 1 }]);
    check(NAMED, &[append(1, 1), Deed::Pass, regenerate(1, 0, Some(true)), Deed::Rotate { log: 1 }]);
}

#[test]
fn a_copy_is_no_new_file() {
    check(NAMED, &[append(1, 1), Deed::Pass, Deed::CopyTruncate { log: 1 }, Deed::Delete { log: 0 }]);
    let crash = Deed::Crash { arrived: 0 };
    check(
        NAMED,
        &[
            append(1, 1),
            Deed::Pass,
            crash,
            Deed::CopyTruncate { log: 1 },
            Deed::Pass,
            crash,
            append(1, 1),
            Deed::Rotate { log: 1 },
        ],
    );
}

#[test]
fn a_rotated_file_and_a_file_with_its_lines() {
    check(NAMED, &[append(0, 1), Deed::Pass, Deed::Rotate { log: 0 }, append(0, 1), regenerate(0, 1, None)]);
    let last = Deed::Rotate { log: 1 };
    check(NAMED, &[append(1, 1), Deed::Pass, last, append(1, 2), Deed::Pump, regenerate(1, 1, None), last]);
}

#[test]
fn a_rotation_is_taken_over_once() {
    let replace = Deed::Replace { log: 1, lines: 1, how: How::InPlace };
    check(NAMED, &[append(1, 1), Deed::Pass, Deed::Stop, replace, Deed::Rotate { log: 1 }, Deed::Pass]);
}

#[test]
fn a_share_that_goes_away_while_a_file_is_written_again() {
    let away = Deed::Share { there: false };
    for _ in 0..10 {
        check(UNNAMED, &[append(1, 1), regenerate(1, 0, Some(true)), Deed::Pass, away, Deed::Pass]);
    }
}

#[test]
fn a_half_written_line_on_a_share_that_goes_away() {
    let half = Deed::Append { log: 0, lines: 1, part: Some(2) };
    check(UNNAMED, &[append(0, 1), Deed::Pass, half, Deed::Share { there: false }, Deed::Pass]);
}

#[test]
fn a_log_with_lines_of_the_rotated_one_takes_its_place() {
    let regenerate = Deed::Regenerate { log: 1, older: 1, how: How::Rename, encoding: Encoding::Utf8, check: None };
    let rotate = Deed::Rotate { log: 1 };
    // Once in twenty it is looked at in between.
    for _ in 0..20 {
        check(NAMED, &[append(1, 1), Deed::Pass, rotate, append(1, 1), Deed::Pump, regenerate, rotate]);
    }
}
