//! The embedded log refuses a file that is not its own, leaves the file unchanged, and names the file and the remedy.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use rusqlite::Connection;
use wulog_processor::log::LogError;
use wulog_processor::log::embedded::{self, EmbeddedConfig, Lock};

/// Expects that opening the file fails with these words and its name, and leaves its bytes unchanged.
#[track_caller]
fn expect_refused(path: &Path, words: &[&str]) {
    let before = std::fs::read(path).unwrap();
    let Err(LogError::Fatal(said)) = embedded::open(&EmbeddedConfig::at(path)) else {
        panic!("{} is opened", path.display());
    };
    for word in words.iter().copied().chain([path.to_str().unwrap()]) {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
    assert!(std::fs::read(path).unwrap() == before, "the file was changed");
}

/// A log with some hundred records, closed.
fn log_at(path: &Path) {
    let connection = embedded::open(&EmbeddedConfig::at(path)).unwrap();
    for offset in 0..500 {
        let insert =
            "INSERT INTO record (topic, partition, offset, timestamp_ms, key, value) VALUES ('raw', 0, ?1, 0, 'a', ?2)";
        connection.execute(insert, (offset, "x".repeat(300))).unwrap();
    }
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wulog.db");
    log_at(&path);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    expect_refused(&path, &["version 99", "use the wulog that made it", "move it away"]);
}

#[test]
fn a_database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("places.sqlite");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE bookmark (url TEXT)").unwrap();
    expect_refused(&path, &["another program's database", "name another file"]);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letter.txt");
    std::fs::write(&path, "Dear all, ".repeat(1000)).unwrap();
    expect_refused(&path, &["not the SQLite file of standalone", "move it away"]);
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (victim, link) = (folder.path().join("victim.db"), folder.path().join("wulog.db"));
    log_at(&victim);
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    expect_refused(&link, &["symbolic link", "Name the file itself"]);
    let said = Lock::take(&link).unwrap_err().to_string();
    assert!(said.contains("symbolic link") && said.contains(link.to_str().unwrap()), "{said}");
    // A dangling link creates no file at its target.
    let dangling = folder.path().join("dangling.db");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &dangling).unwrap();
    assert!(embedded::open(&EmbeddedConfig::at(&dangling)).is_err() && Lock::take(&dangling).is_err());
    assert!(!folder.path().join("nowhere").exists());
}

#[cfg(unix)]
#[test]
fn the_file_and_those_beside_it_are_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wulog.db");
    let connection = embedded::open(&EmbeddedConfig::at(&path)).unwrap();
    for beside in ["", "-wal", "-shm"] {
        let path = folder.path().join(format!("wulog.db{beside}"));
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    drop(connection);
    // A file of an earlier version has the umask's mode; the process that locks it removes the rights of others.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _lock = Lock::take(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
}

/// A page of the table is overwritten, as a bad disk does.
#[test]
fn a_rotten_page_is_named_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wulog.db");
    log_at(&path);
    let mut bytes = std::fs::read(&path).unwrap();
    let pages = bytes.len() / 4096;
    // The first page holds the tables' definitions: the file opens, but reading it fails.
    bytes[4096..(pages - 1) * 4096].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let said = match embedded::EmbeddedLog::open(&EmbeddedConfig::at(&path), "sum", wulog_schemas::topic::Topic::Raw) {
        Err(error) => error.to_string(),
        Ok(mut log) => wulog_processor::log::Log::oldest(&mut log, 0).unwrap_err().to_string(),
    };
    for word in [path.to_str().unwrap(), "damaged", "check the disk", "move the file away"] {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}
