//! What the owner of a folder in a share, and another user of the machine, may try: files that never end, links to what
//! only the collector may read, names that forge log lines.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod agent;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agent::{Bench, Running, names};

const SECRET: &str = "hunter2";

/// A collector of `share/*/*.log`, with an honest host, and with a secret beside the share.
fn bench(input: &str) -> Bench {
    let bench = Bench::new("");
    let at = bench.dir.path();
    fs::create_dir_all(at.join("share/HONEST")).unwrap();
    fs::create_dir(at.join("private")).unwrap();
    fs::write(at.join("private/secret.log"), format!("{SECRET}\n")).unwrap();
    let pattern = r"host_pattern = '(?P<host>[^/]+)/[^/]+$'";
    bench.configure(&format!("[[input]]\npaths = ['{}/share/*/*.log']\n{pattern}\n{input}\n", at.display()));
    bench
}

/// A path in the folder of a host, which is made.
fn file(bench: &Bench, host: &str, name: &str) -> PathBuf {
    let folder = bench.dir.path().join("share").join(host);
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

fn write(bench: &Bench, line: &str) {
    let path = file(bench, "HONEST", "WindowsUpdate.log");
    let mut log = OpenOptions::new().create(true).append(true).open(path).unwrap();
    log.write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[track_caller]
fn arrives(bench: &Bench, running: &Running, line: &str) {
    running.until(line, || bench.shipped().iter().any(|shipped| shipped.text == line));
}

fn leaks(bench: &Bench) -> bool {
    bench.shipped().iter().any(|shipped| shipped.text.contains(SECRET))
}

#[test]
fn a_host_with_a_fifo_devices_and_links_stops_no_other_host_and_learns_nothing() {
    let bench = bench("");
    let secret = bench.dir.path().join("private/secret.log");
    assert!(
        std::process::Command::new("mkfifo").arg(file(&bench, "FIFO", "WindowsUpdate.log")).status().unwrap().success()
    );
    symlink("/dev/zero", file(&bench, "ZERO", "a.log")).unwrap();
    symlink("/proc/kmsg", file(&bench, "KMSG", "a.log")).unwrap();
    symlink(&secret, file(&bench, "LINK", "absolute.log")).unwrap();
    symlink("../../private/secret.log", file(&bench, "LINK", "relative.log")).unwrap();
    symlink(bench.dir.path().join("private"), bench.dir.path().join("share/FOLDER")).unwrap();
    write(&bench, "first");
    let running = bench.start();
    arrives(&bench, &running, "first");
    // Some looks later all goes on, and each complaint was made once.
    std::thread::sleep(Duration::from_secs(2));
    write(&bench, "second");
    arrives(&bench, &running, "second");
    assert!(!leaks(&bench));
    let said = running.stderr();
    for (name, part) in [
        ("FIFO/WindowsUpdate.log", "not a regular file"),
        ("ZERO/a.log", "not a regular file"),
        ("KMSG/a.log", "is not read"),
        ("LINK/absolute.log", "follow_links_outside"),
        ("LINK/relative.log", "follow_links_outside"),
    ] {
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(name)).collect();
        assert!(lines.len() == 1 && lines[0].contains(part), "{name}: {lines:?}\n{said}");
    }
    assert!(!said.contains("private/secret"), "where a link leads is nobody's business: {said}");
    running.terminate();
}

#[test]
fn links_are_followed_where_the_configuration_allows_it() {
    let bench = bench("follow_links_outside = true");
    symlink("../../private/secret.log", file(&bench, "LINK", "a.log")).unwrap();
    symlink(bench.dir.path().join("private"), bench.dir.path().join("share/FOLDER")).unwrap();
    let running = bench.start();
    running.until("both are read", || bench.shipped().iter().filter(|line| line.text == SECRET).count() == 2);
    running.terminate();
}

/// Between looking at a name and opening it the owner exchanges what it stands for, as fast as possible.
#[test]
fn a_link_that_is_exchanged_all_the_time_gives_nothing_away() {
    let bench = bench("[limits]\npoll_interval_ms = 10\nrescan_interval_ms = 10");
    let (log, spare) = (file(&bench, "RACE", "a.log"), file(&bench, "RACE", "spare"));
    let running = bench.start();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0u32;
            while !stop.load(Ordering::Relaxed) {
                turn += 1;
                if turn.is_multiple_of(2) {
                    symlink("../../private/secret.log", &spare).unwrap();
                } else {
                    fs::write(&spare, format!("honest {turn}\n")).unwrap();
                }
                fs::rename(&spare, &log).unwrap();
            }
        });
        for turn in 0..20 {
            std::thread::sleep(Duration::from_millis(100));
            write(&bench, &format!("turn {turn}"));
        }
        arrives(&bench, &running, "turn 19");
        stop.store(true, Ordering::Relaxed);
    });
    assert!(!leaks(&bench));
    running.terminate();
}

#[test]
fn a_search_through_links_that_lead_up_ends() {
    let bench = bench("");
    bench.configure(&format!(
        "[[input]]\npaths = ['{}/share/**/*.log']\nhost_pattern = '(?P<host>[^/]+)/[^/]+$'\n",
        bench.dir.path().display()
    ));
    // Two links in each folder would double the work forty times.
    for name in ["up", "again"] {
        symlink("..", file(&bench, "LOOP", name)).unwrap();
    }
    write(&bench, "a line");
    let running = bench.start();
    arrives(&bench, &running, "a line");
    running.terminate();
}

#[test]
fn the_state_directory_is_for_this_user_alone_whatever_the_umask() {
    let mut bench = bench("");
    bench.under = ["sh", "-c", "umask 000; exec \"$0\" \"$@\""].map(str::to_owned).to_vec();
    write(&bench, "a line");
    let running = bench.start();
    arrives(&bench, &running, "a line");
    running.terminate();
    let state = bench.dir.path().join("state");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    let files = names(&state);
    assert!(files.contains(&"lock".to_owned()) && files.iter().any(|name| name.starts_with("checkpoint")), "{files:?}");
    for name in files {
        assert_eq!(mode(&state.join(&name)), 0o600, "{name}");
    }
}

/// Whoever could once write the state directory cannot have the collector overwrite a file of the system.
#[test]
fn links_in_the_state_directory_are_not_followed() {
    let bench = bench("");
    let (state, victim) = (bench.dir.path().join("state"), bench.dir.path().join("victim"));
    fs::create_dir(&state).unwrap();
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, state.join("checkpoint.new")).unwrap();
    symlink(&victim, state.join("journal")).unwrap();
    write(&bench, "a line");
    let running = bench.start();
    arrives(&bench, &running, "a line");
    running.terminate();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    fs::remove_file(state.join("lock")).unwrap();
    symlink(&victim, state.join("lock")).unwrap();
    bench.run(&["run"]).expect(1, &["state_dir"]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a_folder_name_cannot_forge_a_line_of_the_log() {
    let bench = bench("");
    let name = "PC\n2026-01-01T00:00:00Z ERROR wulog: forged \u{1b}[2J\u{9b}1m\u{202e}";
    symlink("../../private/secret.log", file(&bench, name, "a.log")).unwrap();
    fs::write(file(&bench, name, "b.log"), "a line\n").unwrap();
    let running = bench.start();
    arrives(&bench, &running, "a line");
    running.until("it complains", || running.stderr().contains("follow_links_outside"));
    let said = running.stderr();
    assert!(!said.lines().any(|line| line.starts_with("2026-01-01")), "{said}");
    assert!(said.contains("forged \\u{1b}[2J\\u{9b}1m\\u{202e}"), "{said}");
    running.terminate();
    for command in ["check-config", "cursor"] {
        let arguments = if command == "cursor" { vec!["cursor", "show"] } else { vec![command] };
        let said = bench.run(&arguments).stdout;
        assert!(said.contains("forged") && !said.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{said:?}");
    }
}
