//! The progress of a replay, on the standard error of a person at a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::log::{LogError, Record};

/// Minimum interval of updates.
const EVERY: Duration = Duration::from_secs(1);

/// Counter of finished work: offsets of a log, or bytes of files.
pub type WorkCounter = Arc<AtomicU64>;

/// Clears the line.
const CLEAR: &[u8] = b"\r\x1b[K";

/// Whether a line stands on standard error. A process has one standard error, so this is global.
static IS_SHOWN: AtomicBool = AtomicBool::new(false);

/// Clears the progress before a line of the log is written, which would otherwise begin behind it. Stands before the
/// layer that writes.
#[derive(Clone, Copy, Debug)]
pub struct BeforeLogLines;

impl<S: Subscriber> Layer<S> for BeforeLogLines {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        if IS_SHOWN.swap(false, Ordering::Relaxed) {
            let _ = io::stderr().write_all(CLEAR);
        }
    }
}

/// One line that is overwritten as the replay goes on.
pub struct Progress {
    out: Box<dyn Write>,
    /// All the work, in the unit of `done`.
    expected: u64,
    done: WorkCounter,
    began: Instant,
    shown: Option<Instant>,
}

impl Progress {
    /// The progress of work that is counted in `done`; `None` where standard error is not a terminal.
    #[must_use]
    pub fn on_terminal(expected: u64, done: &WorkCounter) -> Option<Progress> {
        io::stderr().is_terminal().then(|| Progress::to(Box::new(io::stderr()), expected, done, Instant::now()))
    }

    fn to(out: Box<dyn Write>, expected: u64, done: &WorkCounter, began: Instant) -> Progress {
        Progress { out, expected, done: Arc::clone(done), began, shown: None }
    }

    /// Updates the line if a second has passed since the last update.
    pub(super) fn tell(&mut self, records: u64, now: Instant) {
        if now.duration_since(self.shown.unwrap_or(self.began)) < EVERY {
            return;
        }
        self.shown = Some(now);
        let text = line(self.done.load(Ordering::Relaxed), self.expected, records, now.duration_since(self.began));
        // A lost terminal does not stop the replay.
        let _ = write!(self.out, "\r{text}\x1b[K").and_then(|()| self.out.flush());
        IS_SHOWN.store(true, Ordering::Relaxed);
    }

    /// Clears the line.
    pub(super) fn end(&mut self) {
        if self.shown.take().is_some() {
            let _ = self.out.write_all(CLEAR).and_then(|()| self.out.flush());
            IS_SHOWN.store(false, Ordering::Relaxed);
        }
    }
}

/// `42 %, 1234567 records, 56000 records/s, 3 min left`.
fn line(done: u64, expected: u64, records: u64, elapsed: Duration) -> String {
    let secs = elapsed.as_secs_f64().max(0.001);
    let speed = records as f64 / secs;
    let counted = format!("{records} records, {speed:.0} records/s");
    if expected == 0 || done == 0 {
        return counted;
    }
    let share = (done as f64 / expected as f64).min(1.0);
    let left_secs = secs / share - secs;
    let left = match left_secs {
        ..90.0 => format!("{left_secs:.0} s"),
        90.0..5_400.0 => format!("{:.0} min", left_secs / 60.0),
        _ => format!("{:.1} h", left_secs / 3_600.0),
    };
    format!("{:.0} %, {counted}, {left} left", (share * 100.0).floor())
}

/// The records of one partition, counted as they are read; the first record has the offset `first` or a later one.
pub fn counted<I>(first: i64, done: &WorkCounter, records: I) -> impl Iterator<Item = Result<Record, LogError>> + use<I>
where
    I: Iterator<Item = Result<Record, LogError>>,
{
    let (done, mut next) = (Arc::clone(done), first);
    records.inspect(move |record| {
        if let Ok(record) = record {
            let after = record.offset + 1; // + 1, since `next` names the next record
            done.fetch_add(u64::try_from(after - next).unwrap_or(0), Ordering::Relaxed);
            next = next.max(after);
        }
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// A terminal that keeps its output.
    #[derive(Clone, Default)]
    struct Screen(Rc<RefCell<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn share_speed_and_the_time_that_is_left() {
        for (done, expected, records, secs, shown) in [
            (25, 100, 500, 10, "25 %, 500 records, 50 records/s, 30 s left"),
            (1, 100, 10, 60, "1 %, 10 records, 0 records/s, 1.6 h left"),
            (999, 1000, 999, 10, "99 %, 999 records, 100 records/s, 0 s left"),
            (10, 100, 100, 60, "10 %, 100 records, 2 records/s, 9 min left"),
            (120, 100, 100, 10, "100 %, 100 records, 10 records/s, 0 s left"),
            (0, 100, 7, 7, "7 records, 1 records/s"),
            (5, 0, 7, 7, "7 records, 1 records/s"),
        ] {
            assert_eq!(line(done, expected, records, Duration::from_secs(secs)), shown, "{done}/{expected}");
        }
    }

    #[test]
    fn progress_is_updated_once_a_second_and_cleared() {
        let (screen, done, began) = (Screen::default(), WorkCounter::default(), Instant::now());
        let mut progress = Progress::to(Box::new(screen.clone()), 100, &done, began);
        done.store(50, Ordering::Relaxed);
        let mut lines = Vec::new();
        for ms in [0, 999, 1_000, 1_500, 1_999, 2_000] {
            progress.tell(10, began + Duration::from_millis(ms));
            lines.push(screen.0.borrow().iter().filter(|&&byte| byte == b'\r').count());
        }
        assert_eq!(lines, [0, 0, 1, 1, 1, 2]);
        progress.end();
        assert!(screen.0.borrow().ends_with(b"\r\x1b[K"));
        let said = screen.0.borrow().len();
        progress.end();
        assert_eq!(screen.0.borrow().len(), said, "an empty line is taken away once");
    }

    #[test]
    fn deleted_offsets_count_as_done() {
        let done = WorkCounter::default();
        let records = [7, 8, 12].map(|offset| Ok(Record { offset, ..Record::default() }));
        assert_eq!(counted(5, &done, records.into_iter()).count(), 3);
        assert_eq!(done.load(Ordering::Relaxed), 8);
    }
}
