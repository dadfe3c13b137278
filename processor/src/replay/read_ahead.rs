//! Lines of many files in the order of their positions, read and decoded ahead on several threads.
//!
//! Each thread owns a share of the files and returns their lines in order. Merging the outputs of the threads merges
//! the files: the order depends neither on the distribution of files nor on the speed of threads.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use super::ReplayError;
use super::batches::Batches;
use super::cursor::FileCursor;
use super::files::FileLine;
use super::stages::cores;

/// Number of lines in a batch.
const BATCH_LINES: usize = 256;

/// Bytes at which a batch is complete: lines may be long.
const BATCH_BYTES: usize = 256 * 1024;

/// Number of batches that a thread reads ahead.
const BATCHES_AHEAD: usize = 2;

/// A line with its position, and the number of its file.
struct PlacedLine {
    place: i64,
    file: usize,
    line: FileLine,
}

type Batch = Vec<Result<PlacedLine, ReplayError>>;

/// The lines of all files: by position, then by the number of the file; lines of one file in their order.
pub(super) struct LinesInOrder {
    readers: Vec<LineReceiver>,
    /// The next line of each thread that has one: position, file, thread.
    order: BinaryHeap<Reverse<(i64, usize, usize)>>,
    /// The error that replaces the next line.
    error: Option<ReplayError>,
}

/// The receiving side of a thread's lines.
struct LineReceiver {
    lines: Batches<Result<PlacedLine, ReplayError>>,
    next: Option<PlacedLine>,
}

impl LinesInOrder {
    /// Starts to read the files.
    ///
    /// # Errors
    /// If the beginning of a file cannot be read.
    pub(super) fn open(files: Vec<FileCursor>) -> Result<LinesInOrder, ReplayError> {
        LinesInOrder::open_on(cores(), files)
    }

    /// Starts to read the files on the given number of threads.
    fn open_on(threads: usize, files: Vec<FileCursor>) -> Result<LinesInOrder, ReplayError> {
        let count = files.len().min(threads);
        let mut shares: Vec<Vec<(usize, FileCursor)>> = (0..count).map(|_| Vec::new()).collect();
        files.into_iter().enumerate().for_each(|(file, cursor)| shares[file % count].push((file, cursor)));
        let readers = shares.into_iter().map(LineReceiver::start).collect();
        let mut lines = LinesInOrder { readers, order: BinaryHeap::new(), error: None };
        (0..count).for_each(|reader| lines.advance(reader));
        lines.error.take().map_or(Ok(lines), Err)
    }

    /// Position and file of the next line; `None` behind the last one.
    ///
    /// # Errors
    /// If the line cannot be read.
    pub(super) fn peek(&mut self) -> Result<Option<(i64, usize)>, ReplayError> {
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(self.order.peek().map(|Reverse((place, file, _))| (*place, *file))),
        }
    }

    /// The line that [`LinesInOrder::peek`] announced.
    pub(super) fn next(&mut self) -> Option<FileLine> {
        let Reverse((_, _, reader)) = self.order.pop()?;
        let next = self.readers[reader].next.take();
        self.advance(reader);
        next.map(|placed| placed.line)
    }

    /// Adds the next line of a thread to the order.
    fn advance(&mut self, reader: usize) {
        match self.readers[reader].lines.next() {
            Some(Ok(next)) => {
                self.order.push(Reverse((next.place, next.file, reader)));
                self.readers[reader].next = Some(next);
            }
            Some(Err(error)) => self.error = Some(error),
            None => {}
        }
    }
}

impl LineReceiver {
    /// Starts a thread that reads the files, until they end or the receiver is gone.
    fn start(files: Vec<(usize, FileCursor)>) -> LineReceiver {
        let (sender, batches) = sync_channel(BATCHES_AHEAD);
        thread::spawn(move || read(files, &sender));
        LineReceiver { lines: Batches::of(batches), next: None }
    }
}

/// Sends the lines of the files in order, up to the first error.
fn read(files: Vec<(usize, FileCursor)>, sender: &SyncSender<Batch>) {
    let mut batch = Batch::new();
    if let Err(error) = read_lines(files, sender, &mut batch) {
        batch.push(Err(error));
    }
    // The receiver may be gone.
    let _ = sender.send(batch);
}

/// Fills `batch` with the lines of the files in order, and sends each complete batch.
fn read_lines(
    mut files: Vec<(usize, FileCursor)>,
    sender: &SyncSender<Batch>,
    batch: &mut Batch,
) -> Result<(), ReplayError> {
    let mut order = BinaryHeap::new();
    for (at, (file, cursor)) in files.iter_mut().enumerate() {
        order.extend(cursor.place()?.map(|place| Reverse((place, *file, at))));
    }
    let mut bytes = 0;
    while let Some(mut first) = order.peek_mut() {
        let Reverse((place, file, at)) = *first;
        let cursor = &mut files[at].1;
        if let Some(line) = cursor.take() {
            bytes += line.text.len();
            batch.push(Ok(PlacedLine { place, file, line }));
        }
        match cursor.place()? {
            Some(place) => first.0.0 = place,
            None => drop(PeekMut::pop(first)),
        }
        if batch.len() >= BATCH_LINES || bytes >= BATCH_BYTES {
            bytes = 0;
            if sender.send(std::mem::take(batch)).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use wulog_lines::EncodingChoice;

    use super::*;
    use crate::normalize::{FileClock, NormalizerConfig};
    use crate::replay::files::FileLines;

    fn cursors(paths: &[PathBuf]) -> Vec<FileCursor> {
        let config = NormalizerConfig::default();
        let lines = |path: &PathBuf| FileLines::new(path, "pc-1", EncodingChoice::Auto);
        paths.iter().map(|path| FileCursor::new(lines(path), FileClock::new(&config, None), false)).collect()
    }

    /// The lines of the files, read on this many threads, and the error that ends them.
    fn read_on(threads: usize, paths: &[PathBuf]) -> (Vec<(i64, usize, String)>, Option<String>) {
        let mut lines = LinesInOrder::open_on(threads, cursors(paths)).unwrap();
        let mut found = Vec::new();
        loop {
            match lines.peek() {
                Ok(Some((place, file))) => found.push((place, file, lines.next().unwrap().text)),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error.to_string())),
            }
        }
    }

    /// Seven files, whose minutes meet often; each holds more lines than a batch.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let line = |file: usize, at: usize| {
            let minute = at * (file + 1) / 3;
            let (hour, minute) = (minute / 60, minute % 60);
            format!("2023-03-01\t{hour:02}:{minute:02}:00:000\t 912\t8f8\tAgent\tfile {file} line {at}\n")
        };
        let write = |file: usize| {
            let path = folder.join(format!("{file}.log"));
            std::fs::write(&path, (0..400).map(|at| line(file, at)).collect::<String>()).unwrap();
            path
        };
        (0..7).map(write).collect()
    }

    #[test]
    fn the_order_is_that_of_places_and_files_on_any_number_of_threads() {
        let folder = tempfile::tempdir().unwrap();
        let paths = files(folder.path());
        let (alone, error) = read_on(1, &paths);
        assert_eq!((alone.len(), error), (7 * 400, None));
        assert!(alone.is_sorted_by_key(|(place, file, _)| (*place, *file)));
        for threads in [2, 3, 16] {
            assert!(read_on(threads, &paths) == (alone.clone(), None), "on {threads} threads");
        }
    }

    #[test]
    fn a_file_that_goes_away_is_an_error_behind_the_lines_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("WindowsUpdate.log");
        let line = |at: usize| format!("2023-03-01\t22:{:02}:01:000\t 912\t8f8\tAgent\tline {at}\n", at % 60);
        // More lines than a thread reads ahead.
        std::fs::write(&path, (0..200_000).map(line).collect::<String>()).unwrap();
        let mut lines = LinesInOrder::open_on(2, cursors(std::slice::from_ref(&path))).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut count = 0;
        let error = loop {
            match lines.peek() {
                Ok(Some(_)) => count += usize::from(lines.next().is_some()),
                Ok(None) => panic!("the file seems to have ended"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(count > 0 && error.contains("WindowsUpdate.log"), "{count} lines, then {error}");
    }
}
