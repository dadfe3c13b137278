//! Complaints about files: which are read, from where, and how often.

use std::fs;

use wulog_collector::config::Input;

use crate::bench::{Bench, LOG, Mood, append, log, utf16};

/// All lines that arrived, sorted, each once: order between files is nobody's promise.
#[track_caller]
fn expect_any_order(bench: &Bench, lines: &str) {
    let mut got = bench.texts();
    got.sort();
    assert_eq!(got, lines.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn files_with_the_same_head_are_all_read() {
    let head = log(&"Logging-initialized-(build:10.0.19041.1,tz:+0100) ".repeat(30));
    let mut bench = Bench::new();
    for name in ["a.log", "b.log", "c.log"] {
        fs::write(bench.file(name), format!("{head}{}", log(name))).unwrap();
    }
    bench.pump();
    assert_eq!(bench.texts().len(), 3 * 31);
    // One that comes later, too.
    fs::write(bench.file("d.log"), format!("{head}{}", log("d.log"))).unwrap();
    bench.pump();
    assert_eq!(bench.texts().len(), 4 * 31);
    assert_eq!(bench.epochs().len(), 4);
}

#[test]
fn a_file_of_a_few_bytes_is_read() {
    for content in ["a", "a\n", "ab", "abc\r\n"] {
        let mut bench = Bench::new();
        bench.write(content);
        bench.pump();
        bench.wait_secs(30);
        bench.pump();
        bench.expect(content);
    }
}

#[test]
fn a_file_id_that_is_used_again_proves_nothing() {
    let mut bench = Bench::new();
    bench.write(log("a b c"));
    bench.pump();
    bench.stop(std::time::Duration::ZERO);
    // In place, so that the id is the same; longer, so that the old position lies within.
    bench.write(log("n o p q r s t"));
    bench.pump();
    bench.expect("a b c n o p q r s t");
    assert_eq!(bench.epochs().len(), 2);
}

#[test]
fn a_truncation_is_noticed_at_any_size() {
    for new in ["n", "n o p", "n o p q r s t u v"] {
        let mut bench = Bench::new();
        bench.write(log("a b c"));
        bench.pump();
        bench.write(log(new));
        bench.pump();
        bench.expect(&format!("a b c {new}"));
    }
}

#[test]
fn copytruncate_neither_repeats_nor_stalls() {
    let line = |number: usize| format!("2023/03/01-22:19:01.8143606-19924-14968-Agent-{number}");
    let lines = |from: usize, to: usize| (from..to).map(line).collect::<Vec<_>>().join(" ");
    for named in [true, false] {
        let mut bench = Bench::new();
        if named {
            bench.config.inputs.push(Input::new(bench.file("*.1").display().to_string()));
        }
        bench.write(log(&lines(10, 14)));
        bench.pump();
        // Not read before the copy is made; the copy has it.
        bench.append(log(&lines(14, 16)));
        fs::copy(bench.file(LOG), bench.file("WindowsUpdate.log.1")).unwrap();
        bench.write("");
        bench.pump();
        bench.append(log(&lines(16, 19)));
        bench.pump();
        let expect = if named { lines(10, 19) } else { format!("{} {}", lines(10, 14), lines(16, 19)) };
        expect_any_order(&bench, &expect);
    }
}

#[test]
fn rotations_while_no_broker_is_there_lose_nothing() {
    let mut bench = Bench::new();
    bench.write(log("a b"));
    bench.pump();
    bench.mood(Mood::Away);
    for (number, lines) in ["c d", "e f", "g h", "i j"].into_iter().enumerate() {
        bench.append(log(lines));
        bench.pass();
        fs::rename(bench.file(LOG), bench.file(&format!("WindowsUpdate.log.{number}"))).unwrap();
        bench.pass();
    }
    bench.append(log("k"));
    bench.pass();
    bench.mood(Mood::Takes);
    bench.pump();
    bench.expect("a b c d e f g h i j k");
}

#[test]
fn a_chain_of_rotated_files_is_read_once() {
    let mut bench = Bench::new();
    bench.config.inputs.push(Input::new(bench.file("*.log.*").display().to_string()));
    let name = |number: usize| format!("WindowsUpdate.log.{number}");
    for turn in 0..6 {
        bench.append(log(&format!("{turn}a {turn}b")));
        bench.pump();
        for number in (1..4).rev() {
            if bench.file(&name(number)).exists() {
                fs::rename(bench.file(&name(number)), bench.file(&name(number + 1))).unwrap();
            }
        }
        fs::rename(bench.file(LOG), bench.file(&name(1))).unwrap();
        bench.pump();
    }
    expect_any_order(&bench, "0a 0b 1a 1b 2a 2b 3a 3b 4a 4b 5a 5b");
}

#[test]
fn a_compressed_file_is_not_read_as_lines() {
    // printf 'a\nb\n' | gzip -n
    const GZIP: &[u8] =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\xe4\x4a\xe2\x02\x00\x5c\xe6\x03\x0a\x04\x00\x00\x00";
    let mut bench = Bench::new();
    bench.config.inputs.push(Input::new(bench.file("*.gz").display().to_string()));
    bench.write(log("a b"));
    bench.pump();
    // As logrotate does: renamed, then compressed into a new file.
    fs::rename(bench.file(LOG), bench.file("old")).unwrap();
    fs::write(bench.file("WindowsUpdate.log.1.gz"), GZIP).unwrap();
    fs::remove_file(bench.file("old")).unwrap();
    bench.write(log("c"));
    bench.pump();
    bench.wait_secs(60);
    bench.pump();
    bench.expect("a b c");
}

#[test]
#[cfg(target_os = "linux")]
fn handles_of_quiet_files_are_closed() {
    let mut bench = Bench::new();
    bench.write(log("a b"));
    bench.pump();
    bench.append(log("c"));
    bench.pump();
    assert_eq!(open_logs(&bench), 1);
    bench.wait_secs(31);
    bench.pump();
    assert_eq!(open_logs(&bench), 0);
    bench.append(log("d"));
    bench.pump();
    bench.expect("a b c d");
}

/// How many handles of log files this process holds.
#[cfg(target_os = "linux")]
fn open_logs(bench: &Bench) -> usize {
    let folder = bench.dir.path().join("logs");
    let handles = fs::read_dir("/proc/self/fd").unwrap().flatten();
    handles.filter(|handle| fs::read_link(handle.path()).is_ok_and(|path| path.starts_with(&folder))).count()
}

#[test]
#[cfg(target_os = "linux")]
fn ten_thousand_files_need_few_handles() {
    const FILES: usize = 10_000;
    let mut bench = Bench::new();
    for number in 0..FILES {
        fs::write(bench.file(&format!("{number}.log")), format!("first-{number}\r\n")).unwrap();
    }
    bench.pump();
    assert_eq!(bench.texts().len(), FILES);
    assert!(open_logs(&bench) <= 256, "{} handles", open_logs(&bench));
    for number in (0..FILES).step_by(100) {
        append(&bench.file(&format!("{number}.log")), "second\r\n");
    }
    bench.pump();
    assert_eq!(bench.texts().len(), FILES + FILES / 100);
    bench.wait_secs(31);
    bench.pump();
    assert_eq!(open_logs(&bench), 0);
}

#[test]
fn utf_16_is_text_after_a_restart_too() {
    for (mark, bytes) in [([0xFF, 0xFE], utf16 as fn(&str) -> Vec<u8>), ([0xFE, 0xFF], utf16_be)] {
        let mut bench = Bench::new();
        bench.write([&mark[..], &bytes("Prüfung\r\nਊ\r\n")].concat());
        bench.pump();
        bench.stop(std::time::Duration::ZERO);
        // Half a unit of the next line.
        let next = bytes("größer\r\n");
        bench.append(&next[..3]);
        bench.pump();
        bench.stop(std::time::Duration::ZERO);
        bench.append(&next[3..]);
        bench.pump();
        bench.expect("Prüfung ਊ größer");
        assert!(bench.lines().iter().all(|line| !line.header.lossy));
    }
}

fn utf16_be(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

#[test]
fn a_byte_order_mark_is_no_text() {
    let mut bench = Bench::new();
    bench.write([b"\xEF\xBB\xBF".as_slice(), log("a b").as_bytes()].concat());
    bench.pump();
    bench.expect("a b");
    assert_eq!(bench.lines()[0].header.offset, 0);
}

#[test]
#[cfg(target_os = "linux")]
fn an_unreadable_file_is_tried_again_and_stops_no_other() {
    let mut bench = Bench::new();
    // Whoever runs this test, root too: a link to itself cannot be looked at, a process's memory not read.
    std::os::unix::fs::symlink(bench.file("loop.log"), bench.file("loop.log")).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", bench.file("memory.log")).unwrap();
    bench.config.inputs.push(Input::new(bench.file("loop.log").display().to_string()));
    bench.write(log("a"));
    bench.pump();
    bench.expect("a");
    for name in ["loop.log", "memory.log"] {
        fs::remove_file(bench.file(name)).unwrap();
        fs::write(bench.file(name), log(name)).unwrap();
    }
    bench.pump();
    expect_any_order(&bench, "a loop.log memory.log");
}

#[test]
fn a_share_that_comes_back_goes_on() {
    for restart in [false, true] {
        let mut bench = Bench::new();
        bench.write(log("a b") + "half");
        bench.pump();
        let away = bench.dir.path().join("away");
        fs::rename(bench.dir.path().join("logs"), &away).unwrap();
        bench.pump();
        bench.wait_secs(3600);
        bench.pump();
        if restart {
            bench.stop(std::time::Duration::ZERO);
        }
        append(&away.join(LOG), " ended\r\n");
        fs::rename(&away, bench.dir.path().join("logs")).unwrap();
        bench.pump();
        bench.append(log("c"));
        bench.pump();
        assert_eq!(bench.texts(), ["a", "b", "half ended", "c"]);
        assert_eq!(bench.epochs().len(), 1);
    }
}

/// Between two looks the log is renamed, rewritten, and renamed again: the version in the middle was lost.
#[test]
fn a_log_that_is_renamed_before_it_was_seen_is_read_under_its_new_name() {
    for (first, second) in
        [("WindowsUpdate.log.1", "WindowsUpdate.log.2"), ("WindowsUpdate-2.log", "WindowsUpdate-1.log")]
    {
        let mut bench = Bench::new();
        bench.config.inputs = vec![Input::new(bench.file(LOG).display().to_string())];
        // An older one, which nobody asked for.
        fs::write(bench.file("WindowsUpdate.log.0"), log("old")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        bench.write(log("a b"));
        bench.pump();
        bench.append(log("c"));
        fs::rename(bench.file(LOG), bench.file(second)).unwrap();
        bench.write(log("d e"));
        fs::rename(bench.file(LOG), bench.file(first)).unwrap();
        bench.write(log("f"));
        bench.pump();
        bench.expect("a b c d e f");
        // And no part of it a second time.
        bench.append(log("g"));
        bench.pump();
        bench.stop(std::time::Duration::ZERO);
        bench.pump();
        bench.expect("a b c d e f g");
        assert_eq!(bench.epochs().len(), 3);
    }
}

/// The oldest log is deleted at a rotation, and the next new file gets its id: it was taken for the version that had been
/// read under that id, and its lines were lost.
#[test]
fn a_log_that_was_never_seen_is_read_though_it_has_the_id_of_an_earlier_one() {
    let mut bench = Bench::new();
    bench.config.inputs = vec![Input::new(bench.file(LOG).display().to_string())];
    bench.write(log("a b"));
    bench.pump();
    fs::rename(bench.file(LOG), bench.file("WindowsUpdate.log.1")).unwrap();
    bench.write(log("c"));
    bench.pump();
    bench.append(log("d"));
    fs::rename(bench.file(LOG), bench.file("WindowsUpdate.log.2")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    // An overwritten file keeps its id on every file system.
    fs::write(bench.file("WindowsUpdate.log.1"), log("e f")).unwrap();
    bench.write(log("g"));
    bench.pump();
    bench.expect("a b c d e f g");
    bench.stop(std::time::Duration::ZERO);
    bench.pump();
    bench.expect("a b c d e f g");
}

/// A log that gets a new name at each rotation, and is deleted after a while, was looked for for ever.
#[test]
fn files_that_are_gone_are_given_up() {
    let mut bench = Bench::new();
    let mut expect = Vec::new();
    for turn in 0..60 {
        bench.write(log(&format!("a{turn} b{turn}")));
        bench.pump();
        fs::rename(bench.file(LOG), bench.file(&format!("WindowsUpdate-{turn:02}.log"))).unwrap();
        let _ = fs::remove_file(bench.file(&format!("WindowsUpdate-{:02}.log", turn - 2)));
        bench.wait_secs(61);
        bench.write(log(&format!("x{turn}")));
        let pass = bench.pump();
        assert!(pass.files <= 8, "{} files at turn {turn}", pass.files);
        expect.extend([format!("a{turn}"), format!("b{turn}"), format!("x{turn}")]);
    }
    let mut texts = bench.texts();
    texts.sort();
    expect.sort();
    assert_eq!(texts, expect);
    bench.stop(std::time::Duration::ZERO);
    let (_, entries) = wulog_collector::checkpoint::read(&bench.config.state_dir);
    assert!(entries.len() <= 24, "{} positions are kept", entries.len());
}

/// An empty folder is where a share was mounted, rather than a rotation.
#[test]
fn a_share_that_comes_back_empty_first_goes_on() {
    let mut bench = Bench::new();
    bench.write(log("a b"));
    bench.pump();
    fs::rename(bench.file(LOG), bench.dir.path().join("away")).unwrap();
    for _ in 0..3 {
        bench.pump();
        bench.wait_secs(3600);
    }
    fs::rename(bench.dir.path().join("away"), bench.file(LOG)).unwrap();
    bench.append(log("c"));
    bench.pump();
    bench.expect("a b c");
    assert_eq!(bench.epochs().len(), 1);
}
