//! Following files that others hold, rename, delete and lock. What is appended, truncated, trimmed and regenerated is in
//! `tests/collect.rs`, which runs on Windows too.

use std::fs;
use std::os::windows::fs::OpenOptionsExt;

use windows_sys::Win32::Storage::FileSystem::{FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE};

use crate::bench::{Bench, LOG, append};

const SHARE_ALL: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

#[test]
fn a_file_that_its_writer_keeps_open_is_read() {
    for share in [FILE_SHARE_READ, SHARE_ALL] {
        let mut bench = Bench::new();
        let writer = append(&bench.file(LOG), "a b", share);
        bench.expect("a b", 1);
        drop(writer);
        append(&bench.file(LOG), "c", share);
        bench.expect("a b c", 1);
    }
}

#[test]
fn a_file_that_is_locked_for_a_while_is_read_later_and_stops_no_other() {
    let mut bench = Bench::new();
    let writer = append(&bench.file("a.log"), "locked", 0);
    append(&bench.file("b.log"), "free", SHARE_ALL);
    bench.expect("free", 1);
    drop(writer);
    bench.expect("free locked", 2);
}

#[test]
fn a_file_is_renamed_while_we_have_it_open() {
    let mut bench = Bench::new();
    append(&bench.file(LOG), "a b", SHARE_ALL);
    bench.expect("a b", 1);
    append(&bench.file(LOG), "c", SHARE_ALL);
    fs::rename(bench.file(LOG), bench.file("WindowsUpdate.log.1")).unwrap();
    append(&bench.file(LOG), "d", SHARE_ALL);
    bench.expect("a b c d", 2);
}

#[test]
fn a_file_is_known_by_its_id_under_another_name() {
    for restart in [false, true] {
        let mut bench = Bench::new();
        append(&bench.file(LOG), "a b", SHARE_ALL);
        bench.expect("a b", 1);
        if restart {
            bench.stop();
        }
        fs::rename(bench.file(LOG), bench.file("old.log")).unwrap();
        append(&bench.file("old.log"), "c", SHARE_ALL);
        bench.expect("a b c", 1);
        append(&bench.file("old.log"), "d", SHARE_ALL);
        bench.expect("a b c d", 1);
    }
}

#[test]
fn a_file_deleted_while_we_have_it_open_is_read_to_its_end() {
    let mut bench = Bench::new();
    append(&bench.file(LOG), "a b", SHARE_ALL);
    bench.expect("a b", 1);
    append(&bench.file(LOG), "c", SHARE_ALL);
    fs::remove_file(bench.file(LOG)).unwrap();
    bench.expect("a b c", 1);
    bench.stop();
    assert!(!bench.file(LOG).exists());
    append(&bench.file(LOG), "d", SHARE_ALL);
    bench.expect("a b c d", 2);
}

/// On Windows the name is refused until we let go; Wine gives the deleted file once more, so there this shows little.
#[test]
fn the_name_of_a_deleted_file_is_free_while_the_broker_is_away() {
    let mut bench = Bench::new();
    append(&bench.file(LOG), "a b", SHARE_ALL);
    bench.expect("a b", 1);
    bench.silent(true);
    append(&bench.file(LOG), "c", SHARE_ALL);
    fs::remove_file(bench.file(LOG)).unwrap();
    bench.pass();
    bench.pass();
    append(&bench.file(LOG), "d", SHARE_ALL);
    bench.pass();
    bench.silent(false);
    bench.expect_lines("a b c d");
}

#[test]
fn a_writer_may_ask_for_the_file_for_itself_between_two_reads() {
    let mut bench = Bench::new();
    append(&bench.file(LOG), "a", SHARE_ALL);
    bench.expect("a", 1);
    bench.stop();
    // Locked at the start of the collector, and looked at all the same.
    let alone = fs::OpenOptions::new().write(true).share_mode(0).open(bench.file(LOG)).unwrap();
    bench.pass();
    bench.pass();
    drop(alone);
    append(&bench.file(LOG), "b", SHARE_ALL);
    bench.expect("a b", 1);
}

#[test]
fn a_path_of_more_than_260_characters_is_followed() {
    let mut bench = Bench::with(r"*\*\*\*.log");
    let folder = (0..3).fold(bench.dir.path().join("logs"), |folder, _| folder.join("f".repeat(100)));
    fs::create_dir_all(&folder).unwrap();
    assert!(folder.as_os_str().len() > 300);
    append(&folder.join(LOG), "a b", SHARE_ALL);
    bench.expect("a b", 1);
    append(&folder.join(LOG), "c", SHARE_ALL);
    bench.expect("a b c", 1);
}

#[test]
fn names_match_in_any_case() {
    let mut bench = Bench::with("WINDOWS*.LOG");
    append(&bench.file(LOG), "a", SHARE_ALL);
    bench.expect("a", 1);
}

#[test]
fn utf_16_grows_by_half_characters() {
    let mut bench = Bench::new();
    let all: Vec<u8> = "\u{FEFF}zwölf\r\ndreizehn\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for upto in [1, 5, 9, 16, 17, 18, 31, all.len()] {
        fs::write(bench.file(LOG), &all[..upto]).unwrap();
        bench.pump();
    }
    bench.expect("zwölf dreizehn", 1);
}
