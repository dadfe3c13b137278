//! The collector on real files, into a sink in memory that can refuse, reorder, fail and recover. Each case is one thing
//! that happens; `model/` has what comes of all of them in any order.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod bench;

use std::collections::BTreeMap;
#[cfg(not(windows))]
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use bench::{Bench, LOG, Mood, append, log, replace, utf16};
use wulog_collector::Config;
use wulog_collector::config::Input;
#[cfg(not(windows))]
use wulog_collector::sink::RawRecord;
use wulog_schemas::host::HostId;
use wulog_schemas::raw::{Heartbeat, Kind, Source};

#[test]
fn lines_are_shipped_with_their_identity() {
    let mut bench = Bench::new();
    bench.write(log("one zwö"));
    bench.pump();
    bench.expect("one zwö");
    let lines = bench.lines();
    let header = &lines[1].header;
    // "one" and its ending are 4, "zwö" is 4 bytes and its ending 1.
    assert_eq!((header.offset, header.end), (4, 9));
    // The CRC-32 of "zwö" in UTF-8, from Python's binascii.
    assert_eq!(header.hash, "b6ad7305");
    assert_eq!((header.host.as_str(), header.source, header.read), ("pc-1", Source::WindowsUpdate, 1_573_745_640_000));
    assert_eq!(header.file, bench.file(LOG).display().to_string());
    assert_eq!(lines[1].host_id, HostId::from_key("id-1"));
    assert_eq!(header.epoch.len(), 16);
}

#[test]
fn a_growing_file_is_followed() {
    let mut bench = Bench::new();
    for (index, word) in "a b c d e f g h i j k l m".split(' ').enumerate() {
        bench.append(log(word));
        assert_eq!(bench.pump().files, 1, "{index}");
    }
    bench.expect("a b c d e f g h i j k l m");
    assert_eq!(bench.epochs().len(), 1);
}

#[test]
fn a_half_written_line_waits_for_its_ending() {
    let mut bench = Bench::new();
    bench.write("a\r\nhal");
    bench.pump();
    bench.expect("a");
    bench.append("f\r");
    bench.pump();
    bench.expect("a");
    bench.append("\nb\r\n");
    bench.pump();
    bench.expect("a half b");
}

#[test]
fn a_last_line_without_ending_is_sent_when_the_file_is_quiet() {
    let mut bench = Bench::new();
    bench.write("a\r\nlast");
    bench.pump();
    bench.wait_secs(29);
    bench.pump();
    bench.expect("a");
    bench.wait_secs(1);
    bench.pump();
    bench.expect("a last");
    bench.append("\r\nb\r\n");
    bench.pump();
    bench.crash();
    bench.append(log("c"));
    bench.pump();
    let mut texts = bench.texts();
    texts.dedup();
    assert!(texts.ends_with(&["b".to_owned(), "c".to_owned()]) && !texts.contains(&String::new()), "{texts:?}");
    assert_eq!(bench.epochs().len(), 1);
}

#[test]
fn utf_16_with_a_mark_is_read() {
    let mut bench = Bench::new();
    let mut content = vec![0xFF, 0xFE];
    content.extend(utf16("Prüfung\r\nzwei\r\n"));
    fs::write(bench.file("ReportingEvents.log"), &content).unwrap();
    bench.pump();
    append(&bench.file("ReportingEvents.log"), utf16("drei\r\n"));
    bench.pump();
    bench.expect("Prüfung zwei drei");
    assert_eq!(bench.lines()[2].header.source, Source::ReportingEvents);
    // "Prüfung" is 8 bytes of UTF-8.
    assert_eq!(bench.lines()[1].header.offset, 9);
}

#[test]
fn bytes_that_are_no_text_are_marked_and_shipped() {
    let mut bench = Bench::new();
    bench.write(b"a\xFFb\r\nc\r\n");
    bench.pump();
    bench.expect("a\u{FFFD}b c");
    assert_eq!(bench.lines().iter().map(|line| line.header.lossy).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn an_endless_line_is_cut_and_marked() {
    let mut bench = Bench::with(|config| config.limits.line_bytes_max = 1024);
    bench.write(format!("{}\r\nb\r\n", "x".repeat(700_000)));
    bench.pump();
    bench.expect(&format!("{} b", "x".repeat(1024)));
    assert!(bench.lines()[0].header.truncated && !bench.lines()[1].header.truncated);
    bench.append(log("c"));
    bench.pump();
    assert_eq!(bench.texts()[2], "c");
    assert_eq!(bench.epochs().len(), 1);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut bench = Bench::new();
    bench.write(log("a b c"));
    bench.pump();
    bench.collector.take().unwrap().drain(Duration::from_secs(1)).unwrap();
    bench.append(log("d e"));
    bench.pump();
    bench.expect("a b c d e");
    assert_eq!(bench.epochs().len(), 1);
}

#[test]
fn after_a_crash_lines_repeat_under_the_same_identity() {
    let mut bench = Bench::new();
    bench.write(log("a b c"));
    bench.pump();
    bench.crash();
    bench.append(log("d"));
    bench.pump();
    let mut by_identity: BTreeMap<(String, u64), Vec<u8>> = BTreeMap::new();
    for line in bench.lines() {
        let value = by_identity.entry((line.header.epoch, line.header.offset)).or_insert_with(|| line.value.clone());
        assert_eq!(*value, line.value);
    }
    assert_eq!(by_identity.into_values().collect::<Vec<_>>(), [b"a", b"b", b"c", b"d"]);
}

#[test]
fn lines_written_while_the_broker_is_away_and_the_collector_restarts_arrive() {
    let mut bench = Bench::new();
    bench.write(log("a"));
    bench.pump();
    bench.mood(Mood::Away);
    bench.append(log("b c"));
    assert!(!bench.pass().caught_up);
    let drained = bench.collector.take().unwrap().drain(Duration::ZERO).unwrap();
    assert_eq!(drained.in_flight, 2);
    bench.append(log("d"));
    assert!(!bench.pass().caught_up);
    bench.mood(Mood::Takes);
    bench.pump();
    bench.expect("a b c d");
}

#[test]
fn whatever_the_sink_does_every_line_arrives_in_the_end() {
    for mood in [Mood::Silent, Mood::FullAfter(2), Mood::Away, Mood::Fails, Mood::Backwards] {
        let mut bench = Bench::new();
        bench.mood(mood);
        bench.write(log("a b c d e"));
        for _ in 0..3 {
            bench.pass();
        }
        bench.mood(Mood::Takes);
        bench.pump();
        bench.expect("a b c d e");
    }
}

#[test]
fn a_record_that_can_never_be_taken_is_counted_and_passed() {
    let mut bench = Bench::new();
    bench.mood(Mood::Rejects(b'b'));
    bench.write(log("a b c"));
    assert_eq!(bench.pump().rejected, 1);
    bench.expect("a c");
}

#[test]
fn a_sink_that_needs_a_person_stops_the_collector() {
    let mut bench = Bench::new();
    bench.mood(Mood::Broken);
    bench.write(log("a"));
    assert_eq!(bench.try_pass().unwrap_err().to_string(), "topic wulog.raw is missing");
}

#[test]
fn reading_stops_when_too_much_is_on_its_way() {
    let mut bench = Bench::with(|config| {
        config.limits.line_bytes_max = 1024;
        config.limits.bytes_in_flight = 64 * 1024;
    });
    bench.mood(Mood::Silent);
    for _ in 0..10_001 {
        bench.append("x".repeat(98) + "\r\n");
    }
    for _ in 0..5 {
        bench.pass();
    }
    let in_flight = bench.pass().in_flight;
    // 400 bytes a record; a chunk as large as the room may be read in one go.
    assert!((64..=900).contains(&in_flight), "{in_flight}");
    bench.mood(Mood::Takes);
    bench.pump();
    assert_eq!(bench.lines().len(), 10_001);
}

#[test]
fn a_file_cut_off_at_its_head_goes_on() {
    let mut bench = Bench::new();
    bench.write(log("a b c d e f g h i j k l"));
    bench.pump();
    bench.write(log("g h i j k l m n"));
    bench.pump();
    bench.expect("a b c d e f g h i j k l m n");
    assert_eq!(bench.epochs().len(), 1);
    assert_eq!(bench.lines()[13].header.offset, 26);
}

#[test]
fn a_file_regenerated_with_an_overlap_goes_on() {
    for restart in [false, true] {
        let mut bench = Bench::new();
        bench.write(log("a b c d e f g h i j k l"));
        bench.pump();
        if restart {
            bench.collector.take().unwrap().drain(Duration::ZERO).unwrap();
        }
        // Longer, other line endings, other encoding.
        let mut content = vec![0xFF, 0xFE];
        content.extend(utf16("x\ny\nz\na\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\n"));
        fs::write(bench.file("new"), content).unwrap();
        replace(&bench.file("new"), &bench.file(LOG));
        bench.pump();
        bench.expect("a b c d e f g h i j k l m n");
        assert_eq!(bench.epochs().len(), 1);
        bench.append(utf16("o\n"));
        bench.pump();
        bench.expect("a b c d e f g h i j k l m n o");
    }
}

#[test]
fn a_truncated_file_begins_a_new_epoch() {
    let mut bench = Bench::new();
    bench.write(log("a b c d"));
    bench.pump();
    bench.write("");
    bench.pump();
    bench.append(log("e f"));
    bench.pump();
    bench.expect("a b c d e f");
    assert_eq!(bench.epochs().len(), 2);
    assert_eq!(bench.lines()[4].header.offset, 0);
}

#[test]
fn a_file_rewritten_in_place_with_the_same_size_is_noticed() {
    let mut bench = Bench::new();
    bench.write(log("a b c d"));
    bench.pump();
    bench.write(log("e f g h"));
    bench.pump();
    bench.expect("a b c d e f g h");
}

#[test]
fn a_rotated_file_is_read_to_its_end() {
    let mut bench = Bench::new();
    bench.write(log("a b"));
    bench.pump();
    bench.append(log("c") + "half");
    fs::rename(bench.file(LOG), bench.file("WindowsUpdate.log.1")).unwrap();
    bench.write(log("d"));
    bench.pump();
    bench.expect("a b c half d");
    assert_eq!(bench.epochs().len(), 2);
}

#[test]
fn a_rotated_file_is_read_to_its_end_whenever_its_handle_was_last_used() {
    let mut bench = Bench::new();
    bench.write(log("a"));
    bench.pump();
    // A handle that was not read for more than 30 s is closed by the next look, which here finds a rotation.
    bench.wait_secs(30);
    bench.pump();
    bench.append(log("b"));
    fs::rename(bench.file(LOG), bench.file("WindowsUpdate.log.1")).unwrap();
    bench.write("c\r\nhal");
    bench.wait_secs(1);
    bench.pump();
    bench.expect("a b c");
    bench.append("f\r\n");
    bench.pump();
    bench.expect("a b c half");
}

#[test]
fn lines_that_a_rotated_file_gains_during_an_outage_arrive() {
    let mut bench = Bench::with(|config| {
        config.limits.line_bytes_max = 1024;
        config.limits.bytes_in_flight = 64 * 1024;
    });
    bench.write(log("a"));
    bench.pump();
    bench.mood(Mood::Silent);
    bench.append(log("b"));
    let rotated = bench.file("WindowsUpdate.log.1");
    fs::rename(bench.file(LOG), &rotated).unwrap();
    bench.pass();
    // Another file takes all the room before the writer of the log is told to reopen it.
    append(&bench.file("other.log"), "x\r\n".repeat(1000));
    for _ in 0..5 {
        bench.pass();
    }
    append(&rotated, log("c"));
    bench.write(log("d"));
    bench.pass();
    bench.mood(Mood::Takes);
    bench.pump();
    let texts: Vec<String> = bench.texts().into_iter().filter(|text| text != "x").collect();
    assert_eq!(texts, ["a", "b", "c", "d"]);
}

#[test]
fn a_file_that_is_new_at_its_path_is_not_quiet() {
    let mut bench = Bench::new();
    bench.write(log("a"));
    bench.pump();
    bench.wait_secs(31);
    bench.pump();
    fs::remove_file(bench.file(LOG)).unwrap();
    bench.pump();
    bench.write("b\r\nhal");
    bench.pump();
    bench.expect("a b");
    bench.append("f\r\n");
    bench.pump();
    bench.expect("a b half");
}

#[test]
fn a_rotated_file_that_an_input_names_too_is_not_read_twice() {
    for restart in [false, true] {
        let mut bench = Bench::new();
        bench.write(log("a b"));
        bench.pump();
        if restart {
            bench.collector.take().unwrap().drain(Duration::ZERO).unwrap();
        }
        fs::rename(bench.file(LOG), bench.file("old.log")).unwrap();
        append(&bench.file("old.log"), log("c"));
        bench.write(log("d"));
        bench.pump();
        bench.pump();
        let mut texts = bench.texts();
        texts.sort();
        assert_eq!(texts, ["a", "b", "c", "d"]);
        append(&bench.file("old.log"), log("e"));
        bench.pump();
        let last = bench.lines().pop().unwrap();
        assert_eq!((last.value.as_slice(), last.header.offset), (&b"e"[..], 6));
        assert_eq!(last.header.file, bench.file(LOG).display().to_string());
    }
}

#[test]
fn the_line_checking_write_access_does_not_repeat_the_file() {
    for restart in [false, true] {
        let mut bench = Bench::new();
        bench.write(log("a b c d e f g h i"));
        bench.pump();
        for more in ["j", "j k"] {
            bench.write("Checking-write-access\r\n");
            bench.pump();
            if restart {
                bench.collector.take().unwrap().drain(Duration::ZERO).unwrap();
            }
            bench.write(log(&format!("a b c d e f g h i {more}")));
            bench.pump();
        }
        bench.expect("a b c d e f g h i Checking-write-access j k");
        assert_eq!(bench.epochs().len(), 3);
        assert_eq!(bench.epochs()[0], bench.epochs()[2]);
    }
}

#[test]
fn a_new_epoch_is_on_disk_before_its_first_line_leaves() {
    let mut bench = Bench::new();
    bench.write(log("a b"));
    bench.mood(Mood::Silent);
    bench.pass();
    let epoch = bench.sink.0.lock().unwrap().waiting.last().unwrap().1.header.epoch.clone();
    bench.crash();
    let (_, entries) = wulog_collector::checkpoint::read(&bench.config.state_dir);
    assert_eq!(entries[0].cursor.epoch, epoch);
    bench.mood(Mood::Takes);
    bench.pump();
    assert_eq!(bench.epochs(), [epoch]);
}

#[test]
fn a_file_that_vanishes_and_comes_back_goes_on() {
    let mut bench = Bench::new();
    bench.write(log("a b c"));
    bench.pump();
    let away = bench.dir.path().join("away");
    fs::rename(bench.dir.path().join("logs"), &away).unwrap();
    bench.pump();
    append(&away.join(LOG), log("d"));
    fs::rename(&away, bench.dir.path().join("logs")).unwrap();
    bench.pump();
    bench.expect("a b c d");
    assert_eq!(bench.epochs().len(), 1);
}

#[test]
fn a_folder_in_place_of_a_file_stops_no_other() {
    let mut bench = Bench::new();
    let folder = bench.file("folder.log");
    fs::create_dir(&folder).unwrap();
    bench.config.inputs.push(Input::new(folder.display().to_string()));
    bench.config.inputs.push(Input::new(bench.file("missing").display().to_string()));
    bench.write(log("a"));
    bench.pump();
    bench.expect("a");
    fs::remove_dir(&folder).unwrap();
    fs::write(&folder, log("b")).unwrap();
    bench.pump();
    bench.expect("a b");
}

#[test]
fn gathered_logs_belong_to_the_hosts_of_their_folders() {
    let mut bench = Bench::new();
    let root = bench.dir.path().join("srv");
    bench.config = Config::gathered(&root, &bench.config.state_dir);
    bench.config.inputs[0].time_zone = Some("Europe/Berlin".to_owned());
    for host in ["PC-A", "PC-B"] {
        fs::create_dir_all(root.join(host)).unwrap();
        fs::write(root.join(host).join(LOG), log(host)).unwrap();
    }
    assert_eq!(bench.pump().hosts, 2);
    let mut lines = bench.lines();
    lines.sort_by(|a, b| a.value.cmp(&b.value));
    assert_eq!(lines[0].host_id, HostId::of_gathered("pc-a"));
    assert_eq!((lines[1].header.host.as_str(), lines[1].header.utc), ("pc-b", None));
    let first = &bench.records()[0];
    let heartbeat: Heartbeat = serde_json::from_slice(&first.value).unwrap();
    assert_eq!((heartbeat.time_zone.as_deref(), heartbeat.caught_up), (Some("Europe/Berlin"), false));
}

/// A folder `pc-a ` beside `PC-A` is no way to write lines of that host, neither now nor after a restart, at which the new
/// folder would come first in the order of names.
#[test]
#[cfg(not(windows))]
fn folders_alike_but_for_case_or_blanks_are_hosts_of_their_own() {
    let mut bench = Bench::new();
    let root = bench.dir.path().join("srv");
    bench.config = Config::gathered(&root, &bench.config.state_dir);
    let write = |folder: &str, text: &str| {
        fs::create_dir_all(root.join(folder)).unwrap();
        fs::write(root.join(folder).join(LOG), log(text)).unwrap();
    };
    write("PC-A", "real");
    assert_eq!(bench.pump().hosts, 1);
    write(" pc-a", "blank");
    write("pc-A", "case");
    // Gathered elsewhere, in another spelling: the same host.
    write("other/pc-a", "elsewhere");
    bench.config.inputs.push(Input {
        host_pattern: bench.config.inputs[0].host_pattern.clone(),
        ..Input::new(root.join("other/*/*.log").display().to_string())
    });
    bench.stop(std::time::Duration::ZERO);
    assert_eq!(bench.pump().hosts, 3);
    for (folder, more) in [("PC-A", "real2"), (" pc-a", "blank2"), ("pc-A", "case2")] {
        let path = root.join(folder).join(LOG);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, before + &log(more)).unwrap();
    }
    bench.stop(std::time::Duration::ZERO);
    bench.pump();
    let mut hosts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in bench.lines() {
        let text = String::from_utf8(line.value.clone()).unwrap();
        hosts.entry(line.host_id.to_string()).or_default().insert(text);
    }
    let of = |id: HostId| Vec::from_iter(hosts[id.as_str()].iter().map(String::as_str));
    assert_eq!(of(HostId::of_gathered("pc-a")), ["elsewhere", "real", "real2"]);
    assert_eq!(hosts.len(), 3, "{hosts:?}");
    let names: BTreeSet<String> = bench.lines().iter().map(|line| line.header.host.clone()).collect();
    assert_eq!(Vec::from_iter(names), ["pc-a", "pc-a (folder \" pc-a\")", "pc-a (folder \"pc-A\")"]);
}

#[test]
fn heartbeats_come_first_at_catching_up_and_every_15_minutes() {
    let mut bench = Bench::new();
    bench.write(log("a"));
    bench.pump();
    bench.append(log("b"));
    bench.pump();
    bench.wait_secs(900);
    bench.pump();
    let kinds: String = bench
        .records()
        .iter()
        .map(|record| match record.header.kind {
            Kind::Line => 'l',
            _ if serde_json::from_slice::<Heartbeat>(&record.value).unwrap().caught_up => 'H',
            _ => 'h',
        })
        .collect();
    assert_eq!(kinds, "hlHlH");
}

/// Names of files and folders are bytes: on a share that Windows' code page wrote to, and not only there.
#[test]
#[cfg(target_os = "linux")]
fn names_that_are_no_unicode_are_followed_over_restarts_and_rotations() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let mut bench = Bench::new();
    let root = bench.dir.path().join("srv");
    bench.config = Config::gathered(&root, &bench.config.state_dir);
    bench.config.limits.poll_interval_ms = 10;
    // Two folders that look the same where bytes that cannot be read are replaced.
    let [munich, meissen] = [b"M\xFCnchen", b"M\xE4nchen"].map(|name| root.join(OsStr::from_bytes(name)));
    let plain = root.join("pc-1");
    let log = OsStr::from_bytes(b"Windows\xFFUpdate.log");
    for (number, folder) in [&munich, &meissen, &plain].into_iter().enumerate() {
        fs::create_dir_all(folder).unwrap();
        append(&folder.join(log), format!("{number}a\n{number}b\n"));
    }
    bench.pump();
    // The journal is all that knows of these.
    bench.mood(Mood::Silent);
    append(&munich.join(log), "0c\n");
    bench.pass();
    bench.crash();
    bench.mood(Mood::Takes);
    append(&munich.join(log), "0d\n");
    bench.pump();
    bench.stop(Duration::ZERO);
    append(&munich.join(log), "0e\n");
    fs::rename(munich.join(log), munich.join(OsStr::from_bytes(b"Windows\xFFUpdate.log.1"))).unwrap();
    append(&munich.join(log), "0f\n");
    bench.pump();

    // What a crash repeats has the identity that it had.
    let identity = |line: RawRecord| (line.header.file, line.header.epoch, line.header.offset, line.value);
    let lines: BTreeSet<_> = bench.lines().into_iter().map(identity).collect();
    let mut texts: Vec<Vec<u8>> = lines.into_iter().map(|(.., text)| text).collect();
    texts.sort();
    assert_eq!(texts, ["0a", "0b", "0c", "0d", "0e", "0f", "1a", "1b", "2a", "2b"].map(|text| text.as_bytes()));
    let places: BTreeSet<(String, String)> =
        bench.lines().into_iter().map(|line| (line.header.host, line.header.file)).collect();
    let place = |host: &str, folder: &str| {
        (host.to_owned(), root.join(folder).join("Windows%FFUpdate.log").display().to_string())
    };
    let expect = [place("m%fcnchen", "M%FCnchen"), place("m%e4nchen", "M%E4nchen"), place("pc-1", "pc-1")];
    assert_eq!(places, expect.into());
    bench.stop(Duration::ZERO);
    let (_, entries) = wulog_collector::checkpoint::read(&bench.config.state_dir);
    assert!(entries.iter().any(|entry| entry.path == munich.join(log)), "{entries:?}");
}

/// The heartbeats that arrived, in order.
fn heartbeats(bench: &Bench) -> Vec<(usize, Heartbeat)> {
    let beats = bench.records().into_iter().filter(|record| record.header.kind == Kind::Heartbeat);
    beats.map(|record| (record.value.len(), serde_json::from_slice(&record.value).unwrap())).collect()
}

#[test]
#[cfg(not(windows))] // Wine takes up to 6 ms for a look at one file
fn a_heartbeat_of_many_files_lists_those_that_lag_most() {
    const FILES: usize = 1500;
    let mut bench = Bench::new();
    let name = |number: usize| bench.file(&format!("{number}.log"));
    let names: Vec<_> = (0..FILES).map(name).collect();
    names.iter().for_each(|name| fs::write(name, "a\n").unwrap());
    bench.pump();
    // Two fall behind.
    bench.mood(Mood::Silent);
    append(&names[FILES - 1], "bcd\n");
    append(&names[7], "ef\n");
    bench.pass();
    bench.wait_secs(61);
    bench.pass();
    bench.mood(Mood::Takes);
    bench.pump();
    let beats = heartbeats(&bench);
    assert_eq!(beats.iter().map(|(_, beat)| beat.caught_up).collect::<Vec<_>>(), [false, true, false, true]);
    for (bytes, beat) in &beats {
        // The list and what is around it; Kafka takes 1 MB unless told otherwise.
        assert!(*bytes < 128 * 1024 + 512, "{bytes}");
        assert_eq!(beat.files.len() as u64 + beat.unlisted.unwrap().files, FILES as u64);
    }
    let (_, behind) = &beats[2];
    let first: Vec<(&str, u64)> =
        behind.files.iter().take(3).map(|file| (file.file.as_str(), file.lag_bytes)).collect();
    let shown: Vec<&str> = [&names[FILES - 1], &names[7], &names[0]].map(|name| name.to_str().unwrap()).to_vec();
    assert_eq!(first, [(shown[0], 4), (shown[1], 3), (shown[2], 0)]);
    assert_eq!(behind.unlisted.unwrap().lag_bytes, 0);
}

#[test]
fn an_outage_gathers_no_heartbeats() {
    let mut bench = Bench::new();
    bench.write(log("a"));
    bench.pump();
    let before = heartbeats(&bench).len();
    bench.mood(Mood::Silent);
    for _ in 0..100 {
        bench.wait_secs(900);
        bench.pass();
    }
    assert_eq!(bench.pass().in_flight, 1);
    bench.mood(Mood::Takes);
    bench.pump();
    // What was due then, and that all is well now.
    assert!(heartbeats(&bench).len() - before <= 2);
}

#[test]
#[cfg(not(windows))] // as above
fn thousands_of_hosts_speak_within_the_budget_and_before_their_first_line() {
    const HOSTS: usize = 1000;
    const BUDGET: usize = 256 * 1024;
    let mut bench = Bench::new();
    let root = bench.dir.path().join("srv");
    bench.config = Config::gathered(&root, &bench.config.state_dir);
    bench.config.limits.poll_interval_ms = 10;
    bench.config.limits.bytes_in_flight = BUDGET;
    let host = |name: &str| {
        fs::create_dir_all(root.join(name)).unwrap();
        fs::write(root.join(name).join(LOG), "a\n").unwrap();
    };
    (1..HOSTS).for_each(|number| host(&format!("pc-{number}")));
    let size = |record: &RawRecord| 2 * (record.value.len() + record.header.to_bytes().len());
    for turn in 0..2 {
        bench.mood(Mood::Silent);
        for _ in 0..5 {
            bench.pass();
        }
        let held: usize = bench.sink.0.lock().unwrap().waiting.iter().map(|(_, record)| size(record)).sum();
        assert!((BUDGET / 10..BUDGET).contains(&held), "{held} bytes");
        bench.mood(Mood::Takes);
        // Long passes, in which room comes back while files wait to be read.
        while !bench.collector.as_mut().unwrap().pass(Duration::from_secs(5)).unwrap().caught_up {}
        if turn == 0 {
            // All are to speak again when one comes that is new.
            bench.wait_secs(900);
            host("pc-new");
        }
    }
    let mut spoken = BTreeSet::new();
    for record in bench.records() {
        let first = spoken.insert(record.host_id.as_str().to_owned());
        assert_eq!(first, record.header.kind == Kind::Heartbeat && first, "{record:?}");
    }
    assert_eq!((spoken.len(), bench.lines().len()), (HOSTS, HOSTS));
}
