//! A folder of logs, their writers, a collector and its broker.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wulog_collector::config::Input;
use wulog_collector::{Collector, Config, Pass};
use wulog_service::Clock;

use super::deed::{Deed, Encoding, How, LOGS, Setting};
use super::downstream::Downstream;
use super::judge::{Written, judge, judge_unordered, none_owed};
use super::sink::{ModelSink, Mood};

const CHECKING: &str = "Checking write access";
const BANNER: &str = "*************";
/// Long enough for the longest backoff of a sender.
const PATIENCE: Duration = Duration::from_secs(20);
const PASS_WAIT: Duration = Duration::from_millis(4);

pub(crate) struct World {
    dir: TempDir,
    setting: Setting,
    config: Config,
    sink: ModelSink,
    downstream: Downstream,
    collector: Option<Collector>,
    logs: [Log; LOGS],
    share_there: bool,
}

/// One log, as its writer knows it.
#[derive(Default)]
struct Log {
    written: Vec<Written>,
    /// Which of them the file holds, in order; `None` where there is no file.
    file: Option<Vec<usize>>,
    /// Bytes of the last line that are still to be written.
    rest: Vec<u8>,
    encoding: Option<Encoding>,
    /// Some pass saw the file, so that it is known under another name too.
    seen: bool,
    /// What the rotated file holds, and whether it can be read.
    rotated: Vec<usize>,
    rotated_readable: bool,
    /// It is a copy, and no collector has caught up since it was made.
    copy_is_new: bool,
    /// A checkpoint holds the end of the copy and a position in the log behind it.
    copy_is_kept: bool,
}

impl Log {
    /// A checkpoint was written.
    fn keep_copy(&mut self) {
        let has_position = self.file.iter().flatten().any(|&line| self.written[line].arrived);
        self.copy_is_kept |= !self.copy_is_new && has_position;
    }
}

impl World {
    pub(crate) fn new(setting: Setting) -> World {
        // Nothing here is about disks: in memory, where there is a place for files in memory.
        let memory = PathBuf::from("/dev/shm");
        let dir = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
        fs::create_dir(dir.path().join("logs")).unwrap();
        let mut config = Config::gathered(dir.path(), &dir.path().join("state"));
        let named = if setting.rotated_are_named { "*" } else { "" };
        config.inputs = vec![Input::new(format!("{}/logs/*.log{named}", dir.path().display()))];
        config.host.name = Some("pc-1".to_owned());
        config.host.id = Some("id-1".to_owned());
        // How long a rewritten file must be still.
        config.limits.poll_interval_ms = 1;
        World {
            dir,
            setting,
            config,
            sink: ModelSink::default(),
            downstream: Downstream::default(),
            collector: None,
            logs: Default::default(),
            share_there: true,
        }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join(if self.share_there { "logs" } else { "away" })
    }

    fn path(&self, log: usize) -> PathBuf {
        self.folder().join(format!("log-{log}.log"))
    }

    fn rotated_path(&self, log: usize) -> PathBuf {
        self.folder().join(format!("log-{log}.log.1"))
    }

    pub(crate) fn apply(&mut self, deed: &Deed) -> Result<(), String> {
        match *deed {
            Deed::Append { log, lines, part } => self.append(log, lines, part),
            Deed::CutHead { log, keep, how } => {
                if let Some(held) = self.whole(log) {
                    let kept = held[held.len().saturating_sub(keep)..].to_vec();
                    let encoding = self.logs[log].encoding.unwrap_or(Encoding::Utf8);
                    self.rewrite(log, kept, how, encoding);
                }
            }
            Deed::Regenerate { log, older, how, encoding, check } => {
                self.regenerate(log, older, how, encoding, check)?
            }
            Deed::Truncate { log } => {
                if self.whole(log).is_some() {
                    fs::write(self.path(log), "").unwrap();
                    self.holds(log, Some(Vec::new()));
                    self.logs[log].encoding = None;
                }
            }
            Deed::Replace { log, lines, how } => {
                if self.whole(log).is_some() {
                    let fresh = self.compose(log, 0, lines);
                    self.rewrite(log, fresh, how, Encoding::Utf8);
                }
            }
            Deed::Rotate { log } => self.rotate(log),
            Deed::CopyTruncate { log } => self.copy_truncate(log),
            Deed::Delete { log } => {
                if self.whole(log).is_some() {
                    fs::remove_file(self.path(log)).unwrap();
                    self.holds(log, None);
                }
            }
            Deed::Share { there } => {
                let from = self.folder();
                self.share_there = there;
                fs::rename(from, self.folder()).unwrap();
            }
            Deed::Pass => drop(self.pass()?),
            Deed::Pump => self.pump()?,
            Deed::Checkpoint => {
                if let Some(collector) = &mut self.collector {
                    collector.checkpoint().unwrap();
                    self.logs.iter_mut().for_each(Log::keep_copy);
                }
            }
            Deed::Crash { arrived } => self.crash(arrived),
            Deed::Stop => {
                if let Some(collector) = self.collector.take() {
                    collector.drain(Duration::ZERO).unwrap();
                    self.logs.iter_mut().for_each(Log::keep_copy);
                }
                self.crash(0);
            }
            Deed::Broker(mood) => self.sink.0.lock().unwrap().mood = mood,
        }
        Ok(())
    }

    /// The end: everything works again, and all that is owed must be there.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        self.apply(&Deed::Share { there: true })?;
        for log in 0..LOGS {
            if self.whole(log).is_none() {
                // A rotated log is found by the one that takes its place.
                self.append(log, 1, None);
            }
        }
        self.sink.0.lock().unwrap().mood = Mood::Takes;
        self.pump()?;
        // What waited for another file to be finished.
        self.pump()?;
        self.judge(true)
    }

    // What writers do.

    /// Lines of a log, after so many in its file: most have a time and a number, some are the same each time, as banners are.
    fn compose(&mut self, log: usize, held: usize, lines: usize) -> Vec<usize> {
        let written = &mut self.logs[log].written;
        let first = written.len();
        for number in first..first + lines {
            // Not among the first: two files that begin with the same banner cannot be told apart by the banner.
            let banner = number % 5 == 3 && held + number - first >= 2;
            let text = match banner {
                true => BANNER.to_owned(),
                false => format!("2023-03-01\t22:19:01:814\t1132\t1a4\tAgent\tPr\u{fc}fung {log}/{number}"),
            };
            written.push(Written { text, owed: true, arrived: false });
        }
        (first..first + lines).collect()
    }

    fn append(&mut self, log: usize, lines: usize, part: Option<usize>) {
        self.whole(log);
        if self.logs[log].file.is_none() {
            (self.logs[log].encoding, self.logs[log].seen) = (None, false);
        }
        let held = self.logs[log].file.as_ref().map_or(0, Vec::len);
        let fresh = self.compose(log, held, lines);
        let begins = fs::metadata(self.path(log)).map_or(0, |found| found.len()) == 0;
        let state = &mut self.logs[log];
        let encoding = *state.encoding.get_or_insert(Encoding::Utf8);
        let mut bytes = if begins { encoding.mark().to_vec() } else { Vec::new() };
        for &line in &fresh {
            let before = bytes.len();
            bytes.extend(encoding.bytes(&format!("{}\r\n", state.written[line].text)));
            if let Some(part) = part.filter(|_| line + 1 == state.written.len()) {
                let kept = before + (bytes.len() - before) * part / 100;
                state.rest = bytes.split_off(kept);
            }
        }
        state.file.get_or_insert_default().extend(fresh);
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.path(log)).unwrap();
        file.write_all(&bytes).unwrap();
    }

    /// Ends a half-written line; gives what the file holds.
    fn whole(&mut self, log: usize) -> Option<Vec<usize>> {
        let rest = std::mem::take(&mut self.logs[log].rest);
        if !rest.is_empty() {
            fs::OpenOptions::new().append(true).open(self.path(log)).unwrap().write_all(&rest).unwrap();
        }
        self.logs[log].file.clone()
    }

    /// Writes the file again. It does not begin with a banner, by which its place could not be told.
    fn rewrite(&mut self, log: usize, mut lines: Vec<usize>, how: How, encoding: Encoding) {
        let state = &mut self.logs[log];
        lines.drain(..lines.iter().take_while(|&&line| state.written[line].text == BANNER).count());
        let text: String = lines.iter().map(|&line| format!("{}\r\n", state.written[line].text)).collect();
        let content = [encoding.mark(), &encoding.bytes(&text)].concat();
        state.encoding = Some(encoding);
        self.put(log, &content, how);
        self.holds(log, Some(lines));
    }

    fn put(&mut self, log: usize, content: &[u8], how: How) {
        let path = self.path(log);
        match how {
            How::InPlace => fs::write(path, content).unwrap(),
            How::Over => {
                let mut file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).unwrap();
                file.write_all(content).unwrap();
                file.set_len(content.len() as u64).unwrap();
            }
            How::Rename => {
                self.logs[log].seen = false;
                let unfinished = self.folder().join("unfinished");
                fs::write(&unfinished, content).unwrap();
                fs::rename(unfinished, path).unwrap();
            }
        }
    }

    fn regenerate(
        &mut self,
        log: usize,
        older: usize,
        how: How,
        encoding: Encoding,
        check: Option<bool>,
    ) -> Result<(), String> {
        let Some(held) = self.whole(log) else { return Ok(()) };
        let first = held.first().copied().unwrap_or(self.logs[log].written.len());
        // Up to one that no collector ever saw: it would be new, and stand before lines that are known.
        // And what no collector saw in a rotated file is not in two files.
        let state = &self.logs[log];
        let is_old = |line: &usize| {
            let written = &state.written[*line];
            // Nor is a log copied, truncated and filled again with the same lines and more, all between two looks: a copy
            // that ends before the known position of its log cannot be told from a file of its own. A collector that crashed
            // before it kept a position behind the copy knows no more than one that did not look.
            let in_rotated = state.rotated.contains(line);
            written.owed && (!in_rotated || (written.arrived && !state.copy_is_new))
        };
        let mut lines: Vec<usize> = (0..first).rev().take(older).take_while(is_old).collect();
        lines.reverse();
        lines.extend(held);
        if let Some(looked_at) = check {
            // Nothing is gone for good: the next step writes it again, unless a crash comes between, which it does not.
            self.put(log, format!("{CHECKING}\r\n").as_bytes(), How::InPlace);
            if looked_at {
                self.step();
            }
        }
        self.rewrite(log, lines, how, encoding);
        Ok(())
    }

    fn rotate(&mut self, log: usize) {
        let Some(held) = self.whole(log) else { return };
        fs::rename(self.path(log), self.rotated_path(log)).unwrap();
        let readable = self.setting.rotated_are_named || self.logs[log].seen;
        self.rotates_to(log, held, readable);
        self.holds(log, None);
    }

    fn copy_truncate(&mut self, log: usize) {
        let Some(held) = self.whole(log) else { return };
        // A new file id, as a copy has.
        let _ = fs::remove_file(self.rotated_path(log));
        fs::copy(self.path(log), self.rotated_path(log)).unwrap();
        fs::write(self.path(log), "").unwrap();
        let readable = self.setting.rotated_are_named;
        self.rotates_to(log, held, readable);
        (self.logs[log].copy_is_new, self.logs[log].copy_is_kept) = (true, false);
        self.holds(log, Some(Vec::new()));
        self.logs[log].encoding = None;
    }

    // What the model knows of it.

    fn rotates_to(&mut self, log: usize, lines: Vec<usize>, readable: bool) {
        let before = std::mem::replace(&mut self.logs[log].rotated, lines);
        self.logs[log].rotated_readable = readable;
        (self.logs[log].copy_is_new, self.logs[log].copy_is_kept) = (false, true);
        self.gone(log, &before);
    }

    fn holds(&mut self, log: usize, lines: Option<Vec<usize>>) {
        let before = std::mem::replace(&mut self.logs[log].file, lines);
        self.gone(log, &before.unwrap_or_default());
    }

    /// Lines are gone from a file. Those that are nowhere else need not arrive, unless they have
    /// arrived.
    fn gone(&mut self, log: usize, lines: &[usize]) {
        let state = &mut self.logs[log];
        for &line in lines {
            let in_file = state.file.iter().flatten().any(|&held| held == line);
            let in_rotated = state.rotated_readable && state.rotated.contains(&line);
            if !state.written[line].arrived && !in_file && !in_rotated {
                state.written[line].owed = false;
            }
        }
    }

    // The collector.

    fn step(&mut self) -> Pass {
        let collector = self.collector.get_or_insert_with(|| {
            let clock = Clock::Simulated(Arc::new(AtomicI64::new(1_677_709_141_000)));
            Collector::new(self.config.clone(), Box::new(self.sink.clone()), clock).unwrap()
        });
        collector.rescan();
        let pass = collector.pass(PASS_WAIT).unwrap();
        if self.share_there {
            self.logs.iter_mut().for_each(|log| log.seen = log.file.is_some());
        }
        pass
    }

    fn pass(&mut self) -> Result<Pass, String> {
        let pass = self.step();
        if pass.caught_up && self.share_there {
            self.logs.iter_mut().for_each(|log| log.copy_is_new = false);
            self.judge(false)?;
        }
        Ok(pass)
    }

    fn pump(&mut self) -> Result<(), String> {
        let works = matches!(self.sink.0.lock().unwrap().mood, Mood::Takes | Mood::FullAfter(_) | Mood::Backwards);
        let until = Instant::now() + PATIENCE;
        for turn in 0.. {
            let pass = self.pass()?;
            if pass.caught_up || (!works && turn == 3) {
                break;
            }
            if Instant::now() > until {
                return Err(format!("never caught up: {pass:?}"));
            }
        }
        Ok(())
    }

    fn crash(&mut self, arrived: usize) {
        if self.collector.take().is_some() || arrived == 0 {
            self.sink.0.lock().unwrap().crash(arrived);
        }
        // The next collector knows the end of the copy, but at most the first line of the log behind it: see `regenerate`.
        self.logs.iter_mut().for_each(|log| log.copy_is_new |= !log.copy_is_kept && !log.rotated.is_empty());
    }

    // The verdict.

    /// What arrived is what was written. All that is owed must be there at the end; before, what the files hold now, up
    /// to a half-written line.
    fn judge(&mut self, at_end: bool) -> Result<(), String> {
        let topic = self.sink.0.lock().unwrap();
        let lines = self.downstream.lines(&topic.records)?;
        for (index, log) in self.logs.iter_mut().enumerate() {
            let name = format!("log-{index}.log");
            let ours = || lines.iter().filter(|line| line.file.contains(&name) && line.text != CHECKING);
            let of = |epoch: Option<&String>| -> Vec<&str> {
                let lines = ours().filter(|line| epoch.is_none_or(|epoch| line.epoch == *epoch));
                lines.map(|line| line.text.as_str()).collect()
            };
            let mut held = log.file.clone().unwrap_or_default();
            if !log.rest.is_empty() {
                held.pop();
            }
            let mut expected = log.written.clone();
            for (line, written) in expected.iter_mut().enumerate() {
                written.owed &= at_end || written.arrived || held.contains(&line);
            }
            let verdict = if self.setting.rotated_are_named {
                // Two files are read side by side, each in its order.
                let epochs: BTreeSet<&String> = ours().map(|line| &line.epoch).collect();
                epochs
                    .into_iter()
                    .try_for_each(|epoch| judge(&none_owed(&expected), &of(Some(epoch))))
                    .and_then(|()| judge_unordered(&expected, &of(None)))
            } else {
                judge(&expected, &of(None))
            };
            verdict.map_err(|reason| format!("{name}: {reason}"))?;
            held.iter().for_each(|&line| log.written[line].arrived |= log.written[line].owed);
        }
        Ok(())
    }
}

impl Encoding {
    fn mark(self) -> &'static [u8] {
        match self {
            Encoding::Utf8 => b"",
            Encoding::Utf8Bom => b"\xEF\xBB\xBF",
            Encoding::Utf16Le => b"\xFF\xFE",
        }
    }

    fn bytes(self, text: &str) -> Vec<u8> {
        match self {
            Encoding::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            _ => text.as_bytes().to_vec(),
        }
    }
}
