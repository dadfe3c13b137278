//! The section `limits` of the configuration, and the parts that enforce it: bytes read in a second, the pause between
//! two looks at the files, and the priority of the process. Other modules enforce the bounds of memory and of lines.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bounds of memory, lines and times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory for lines that are read and not acknowledged, in all queues together; then reading stops, since the file is
    /// the buffer. Beside it the process takes some 10 MB.
    pub bytes_in_flight: usize,
    /// Bytes of files that are read in a second, on average; 0 means as many as the machine and Kafka take.
    pub bytes_per_second: u64,
    /// How the operating system ranks the collector; `below-normal` lets others go first.
    pub priority: Priority,
    /// The producer is recreated after so many seconds without an acknowledgement while lines are on their way.
    pub no_ack_rebuild_secs: u64,
    /// Bytes of one line in the file; what is longer is cut and marked. The longest real lines (driver lists, XML) have
    /// about 10 KiB, and three times 64 KiB, the worst that decoding makes of it, still fits Kafka's 1 MB message.
    pub line_bytes_max: usize,
    /// How often files are looked at when nothing happens.
    pub poll_interval_ms: u64,
    /// How often, at most, paths are searched for new files.
    pub rescan_interval_ms: u64,
    /// After how long without a change a last line without ending is taken as complete.
    pub final_line_quiet_secs: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            bytes_in_flight: 8 * 1024 * 1024,
            bytes_per_second: 0,
            priority: Priority::Normal,
            no_ack_rebuild_secs: 300,
            line_bytes_max: wulog_lines::LINE_BYTES_MAX,
            poll_interval_ms: 250,
            rescan_interval_ms: 1000,
            final_line_quiet_secs: 30,
        }
    }
}

/// A bucket of bytes that fills with time and holds at most the bytes of one second. A read may overdraw the bucket;
/// the next read then waits until the bucket is positive again, so the average rate holds for reads of any size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenBucket {
    bytes_per_second: u64,
    tokens: i64,
    filled: Option<Instant>,
}

/// How the operating system ranks the collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// As it was started.
    #[default]
    Normal,
    /// Others go first.
    BelowNormal,
}

impl TokenBucket {
    /// Returns a full bucket.
    #[must_use]
    pub fn new(bytes_per_second: u64) -> TokenBucket {
        TokenBucket { bytes_per_second, tokens: clamped(bytes_per_second), filled: None }
    }

    /// Returns how many bytes may be read at `now`; 0 means that the caller must wait.
    pub fn allowance(&mut self, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(*self.filled.get_or_insert(now)).min(Duration::from_secs(3600));
        let gained = elapsed.as_millis().saturating_mul(u128::from(self.bytes_per_second)) / 1000;
        // `filled` moves only when a byte is gained; otherwise frequent calls would round each short interval down to 0
        // bytes.
        if gained > 0 {
            self.filled = Some(now);
            let gained = i64::try_from(gained).unwrap_or(i64::MAX);
            self.tokens = self.tokens.saturating_add(gained).min(clamped(self.bytes_per_second));
        }
        usize::try_from(self.tokens).unwrap_or(0)
    }

    /// Subtracts bytes that were read.
    pub fn take(&mut self, bytes: usize) {
        self.tokens = self.tokens.saturating_sub(clamped(bytes as u64));
    }
}

/// Returns how long to pause after a look at all files that found nothing new and took `look`. A look at ten thousand
/// files takes some 20 ms; four looks a second would use a tenth of a core. `look` excludes time that is spent waiting
/// for Kafka or a disk.
#[must_use]
pub fn idle_pause(poll_interval: Duration, look: Duration) -> Duration {
    /// The pause lasts at least so many times as long as the look, so looks take at most 1 % of a core.
    const LOOK_SHARE: u32 = 100;
    /// Longest pause, so that new lines on a slow share do not wait longer.
    const PAUSE_MAX: Duration = Duration::from_secs(10);
    (look * LOOK_SHARE).min(PAUSE_MAX).max(poll_interval.saturating_sub(look))
}

fn clamped(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Sets the priority of this thread and of the threads that it starts later. Call it before any thread is started.
///
/// # Errors
/// When the system refuses it.
#[cfg(unix)]
pub fn apply(priority: Priority) -> std::io::Result<()> {
    /// Between normal and idle, as Windows' below-normal class: on a busy CPU, Linux gives a process of nice 5 about a
    /// third of the time of a process of nice 0.
    const NICE: i32 = 5;
    if priority == Priority::BelowNormal {
        rustix::process::nice(NICE)?;
    }
    Ok(())
}

/// Sets the priority of the process.
///
/// # Errors
/// When the system refuses it.
#[cfg(windows)]
#[allow(unsafe_code)] // two calls that no crate wraps
pub fn apply(priority: Priority) -> std::io::Result<()> {
    use windows_sys::Win32::System::Threading::{BELOW_NORMAL_PRIORITY_CLASS, GetCurrentProcess, SetPriorityClass};
    if priority == Priority::Normal {
        return Ok(());
    }
    // SAFETY: both functions take and return plain values; the pseudo handle of this process needs no closing.
    let done = unsafe { SetPriorityClass(GetCurrentProcess(), BELOW_NORMAL_PRIORITY_CLASS) };
    if done == 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `(at ms, bytes)` from a bucket of 1000 bytes a second; expects the allowance before each read. A read
    /// takes place only where its allowance is positive.
    #[track_caller]
    fn check(reads: &[(u64, usize)], expect: &[usize]) {
        let (start, mut bucket) = (Instant::now(), TokenBucket::new(1000));
        let mut allowed = Vec::new();
        for &(at_ms, bytes) in reads {
            let allowance = bucket.allowance(start + Duration::from_millis(at_ms));
            allowed.push(allowance);
            if allowance > 0 {
                bucket.take(bytes);
            }
        }
        assert_eq!(allowed, expect);
    }

    #[test]
    fn many_files_are_looked_at_less_often() {
        let check = |took_ms, expect_ms| {
            let pause = idle_pause(Duration::from_millis(250), Duration::from_millis(took_ms));
            assert_eq!(pause, Duration::from_millis(expect_ms));
        };
        check(0, 250);
        check(1, 249);
        check(20, 2000);
        check(5000, 10_000);
    }

    #[test]
    fn a_bucket_holds_one_second() {
        check(&[(0, 0), (5000, 1000), (5000, 0), (5100, 0)], &[1000, 1000, 0, 100]);
    }

    #[test]
    fn what_is_overdrawn_is_paid_back() {
        check(&[(0, 3000), (1000, 1), (2000, 1), (2500, 1)], &[1000, 0, 0, 500]);
    }

    #[test]
    fn no_time_is_lost_between_looks() {
        let (start, mut bucket) = (Instant::now(), TokenBucket::new(10));
        bucket.allowance(start);
        bucket.take(10);
        let last = (1..=2000).map(|ms| bucket.allowance(start + Duration::from_millis(ms))).last();
        assert_eq!(last, Some(10));
    }
}
