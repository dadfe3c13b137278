//! The inputs that fuzzing kept, run with a stable compiler; `fuzz/run.sh` finds more.

use std::path::Path;

/// Names that the checks use; `fuzz/src/lib.rs` has the same.
mod product {
    pub(crate) use wulog_lines::{encoding, frame};
    pub(crate) use wulog_processor::{machine, normalize, parse};
}

#[path = "../fuzz/src/checks/mod.rs"]
#[allow(unreachable_pub, reason = "a library's module, to its other user")]
mod checks;

/// The inputs of a file, one a line; backslashes, and bytes other than printable ASCII, are written as `\xNN`.
fn inputs(file: &Path) -> Vec<Vec<u8>> {
    let Ok(text) = std::fs::read_to_string(file) else { return Vec::new() };
    let byte = |digits: &str| u8::from_str_radix(digits, 16).expect("two hex digits after \\x");
    let unescaped = |line: &str| {
        let mut parts = line.split("\\x");
        let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
        for part in parts {
            bytes.push(byte(&part[..2]));
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        }
        bytes
    };
    text.lines().map(unescaped).collect()
}

/// Runs the kept inputs of a target through its check; a panic names the input.
#[track_caller]
fn check_kept(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let kept = inputs(&folder.join(format!("corpus/{target}.txt")));
    assert!(kept.len() > 100, "only {} kept inputs of {target}", kept.len());
    for input in kept.into_iter().chain(inputs(&folder.join(format!("crashes/{target}.txt")))) {
        if std::panic::catch_unwind(|| check(&input)).is_err() {
            panic!("{target} fails on b\"{}\"", input.escape_ascii());
        }
    }
}

#[test]
fn any_bytes_are_a_line() {
    check_kept("parse", checks::parse::check);
}

#[test]
fn any_bytes_are_a_report() {
    check_kept("report", checks::report::check);
}

#[test]
fn any_text_may_hold_a_code() {
    check_kept("hresult", checks::hresult::check);
}

#[test]
fn any_records_are_taken() {
    check_kept("normalize", checks::normalize::check);
}

#[test]
fn any_bytes_are_a_file() {
    check_kept("frame", checks::frame::check);
}
