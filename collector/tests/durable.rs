//! That a checkpoint is on disk before anything rests on it, as the kernel sees it: the system calls, by `strace`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod agent;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use agent::{Bench, PATIENCE};

/// What matters of a system call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    /// A file or folder is on disk.
    Synced(String),
    /// Names from and to.
    Renamed(String, String),
    /// Something with the line in it leaves for Kafka.
    Sent,
}

const LINE: &str = "a line to look for";

/// Whether there is `strace` and it may trace; says so where not, and fails with `CI=true`.
fn can_trace() -> bool {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    let can = tried.is_ok_and(|status| status.success());
    if !can {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "strace is missing, and with CI=true it may not be");
        std::io::stderr().write_all(b"SKIPPED durable: strace is missing, or may not trace\n").unwrap();
    }
    can
}

/// The calls that succeeded, in the order in which they returned; what is sent, when it is.
fn calls(trace: &str, folder: &Path) -> Vec<Call> {
    let name = |path: &str| Path::new(path).strip_prefix(folder).ok().map(|path| path.display().to_string());
    let mut unfinished = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (process, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if call.contains(LINE) {
            calls.push(Call::Sent);
            continue;
        }
        if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
            unfinished.insert(process, begun.to_owned());
            continue;
        }
        let whole = match call.strip_prefix("<... ").and_then(|call| call.split_once(" resumed>")) {
            Some((_, end)) => unfinished.remove(process).unwrap_or_default() + end,
            None => call.to_owned(),
        };
        if !whole.ends_with("= 0") {
            continue;
        }
        if whole.starts_with("fsync(") || whole.starts_with("fdatasync(") {
            let path = whole.split_once('<').unwrap().1.split_once('>').unwrap().0;
            calls.extend(name(path).map(Call::Synced));
        } else if whole.starts_with("rename") {
            let paths: Vec<&str> = whole.split('"').skip(1).step_by(2).collect();
            calls.extend(name(paths[0]).zip(name(paths[1])).map(|(from, to)| Call::Renamed(from, to)));
        }
    }
    calls
}

#[test]
fn a_checkpoint_is_on_disk_before_its_name_and_the_first_line_leaves_after_it() {
    if !can_trace() {
        return;
    }
    let mut bench = Bench::new("'compression.type' = 'none'");
    let trace = bench.dir.path().join("trace");
    // -D: the collector is our child, and strace watches from aside. -y: with the names of open files.
    let options = ["strace", "-D", "-f", "-q", "-y", "-s", "4096", "-o", trace.to_str().unwrap()];
    let calls_traced = "trace=fsync,fdatasync,rename,renameat,renameat2,sendmsg,sendto";
    bench.under = options.iter().copied().chain(["-e", calls_traced]).map(str::to_owned).collect();
    fs::write(bench.log("WindowsUpdate.log"), format!("{LINE}\n")).unwrap();
    let running = bench.start();
    running.until("the line is in the topic", || bench.shipped().len() == 1);
    let pid = format!("{} ", running.pid());
    running.terminate();
    let text = || fs::read_to_string(&trace).unwrap();
    let stopped = Instant::now();
    // Short process ids are padded.
    while !text().lines().any(|line| line.starts_with(&pid) && line.ends_with(" +++ exited with 0 +++")) {
        assert!(stopped.elapsed() < PATIENCE, "the trace has no end");
        std::thread::sleep(Duration::from_millis(20));
    }
    let calls = calls(&text(), bench.dir.path());

    let synced = |name: &str| Call::Synced(name.to_owned());
    let renamed = |slot: &str| Call::Renamed("state/checkpoint.new".to_owned(), format!("state/{slot}"));
    let whole = |slot| [synced("state/checkpoint.new"), renamed(slot), synced("state")];
    // The folder itself is new. Then the epoch, before its first line; the position, when it is known to have arrived.
    let begin: Vec<Call> = [synced("")].into_iter().chain(whole("checkpoint.1")).chain([Call::Sent]).collect();
    assert!(calls.starts_with(&begin), "{calls:#?}");
    let rest: Vec<Call> = calls[begin.len()..].iter().filter(|call| **call != Call::Sent).cloned().collect();
    let (last, others) = rest.as_chunks::<3>();
    assert!(!last.is_empty() && others.is_empty(), "{rest:#?}");
    for (turn, checkpoint) in last.iter().enumerate() {
        assert_eq!(*checkpoint, whole(["checkpoint.0", "checkpoint.1"][turn % 2]), "{rest:#?}");
    }
    bench.under = Vec::new();
    let kept = format!("acknowledged up to offset {}", LINE.len() + 1);
    bench.run(&["cursor", "show"]).expect(0, &[&kept]);
}
