//! The checkpoint while others read its files, as virus scanners and backups do.

use std::fs;
use std::os::windows::fs::OpenOptionsExt;
use std::time::Duration;

use windows_sys::Win32::Storage::FileSystem::FILE_SHARE_READ;
use wulog_collector::checkpoint::{CheckpointStore, FileEntry, read};

#[test]
fn positions_are_kept_when_somebody_reads_the_old_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = CheckpointStore::open(dir.path()).unwrap();
    let entry = FileEntry::default();
    store.save(&[&entry]).unwrap();
    store.save(&[&entry]).unwrap();
    let reader =
        fs::OpenOptions::new().read(true).share_mode(FILE_SHARE_READ).open(dir.path().join("checkpoint.1")).unwrap();
    let gone = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(reader);
    });
    store.save(&[&entry]).unwrap();
    assert_eq!(read(dir.path()).0, 3);
    gone.join().unwrap();
}
