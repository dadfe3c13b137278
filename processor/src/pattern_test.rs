//! `test-patterns`: the matches of the operator's patterns in lines, and the check of their examples.

use std::io::{self, BufRead, Write};
use std::path::Path;

use anyhow::{Context, bail};
use wulog_lines::EncodingChoice;

use crate::normalize::Patterns;
use crate::replay::files::FileLines;

/// A test run of patterns.
pub(crate) struct PatternTest<'a, W> {
    patterns: &'a Patterns,
    value_bytes_max: usize,
    /// Number of lines that each pattern matched, in the order of patterns.
    hits: Vec<u64>,
    lines: u64,
    out: W,
}

impl<'a, W: Write> PatternTest<'a, W> {
    /// A test run that writes to `out`; label values are cut at `value_bytes_max`, as in events.
    pub(crate) fn new(patterns: &'a Patterns, value_bytes_max: usize, out: W) -> Self {
        PatternTest { patterns, value_bytes_max, hits: vec![0; patterns.names().count()], lines: 0, out }
    }

    /// Tests each line of a log of any encoding, or of standard input as UTF-8 for `-`.
    ///
    /// # Errors
    /// If the file cannot be read or the output not written.
    pub(crate) fn log(&mut self, path: &Path) -> anyhow::Result<()> {
        let name = path.display().to_string();
        if path == Path::new("-") {
            for (at, line) in io::stdin().lock().split(b'\n').enumerate() {
                let line = line.context("standard input cannot be read")?;
                self.line("stdin", at + 1, String::from_utf8_lossy(&line).trim_end_matches('\r'))?;
            }
            return Ok(());
        }
        for (at, line) in FileLines::new(path, "", EncodingChoice::Auto).enumerate() {
            let line = line.with_context(|| format!("{name}: cannot be read"))?;
            self.line(&name, at + 1, &line.text)?;
        }
        Ok(())
    }

    /// Tests one line.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub(crate) fn line(&mut self, name: &str, number: usize, line: &str) -> io::Result<()> {
        self.lines += 1;
        let Some(matched) = self.patterns.explain(line, self.value_bytes_max) else {
            return Ok(());
        };
        for (hits, pattern) in self.hits.iter_mut().zip(self.patterns.names()) {
            *hits += u64::from(matched.names().contains(&pattern));
        }
        writeln!(self.out, "{name}:{number}: {matched}\n    {line}")
    }

    /// Writes the number of matches of each pattern, and the faults of examples.
    ///
    /// # Errors
    /// If the output cannot be written, or an example does not match.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        if self.lines > 0 {
            let width = self.patterns.names().map(str::len).max().unwrap_or(0);
            writeln!(self.out, "of {} lines matched", self.lines)?;
            for (hits, name) in self.hits.iter().zip(self.patterns.names()) {
                writeln!(self.out, "  {name:width$} {hits}{}", if *hits == 0 { "  (nothing)" } else { "" })?;
            }
        }
        let wrong = self.patterns.wrong_examples();
        if !wrong.is_empty() {
            self.out.flush()?;
            bail!("{} of {} examples do not hold:\n  {}", wrong.len(), self.patterns.examples(), wrong.join("\n  "));
        }
        writeln!(self.out, "{} patterns, {} examples: valid", self.hits.len(), self.patterns.examples())?;
        self.out.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// The lines `one two` and `two three` under these patterns, and the result of the test run.
    fn check(patterns: &str, output: &str, failure: Option<&str>) {
        let text = format!("[kafka]\n\"bootstrap.servers\" = \"x:1\"\n{patterns}");
        let patterns = Config::parse("p.toml", &text).unwrap().normalizer.patterns;
        let mut out = Vec::new();
        let mut test = PatternTest::new(&patterns, 256, &mut out);
        test.line("a.log", 1, "one two").unwrap();
        test.line("a.log", 2, "two three").unwrap();
        let ended = test.finish().map_err(|error| error.to_string());
        assert_eq!(String::from_utf8(out).unwrap(), output);
        assert_eq!(ended.err().as_deref(), failure);
    }

    const TWO: &str = "[[normalizer.patterns]]\nname = 'two'\nregex = '(?<before>\\w+) two'\nseverity = 'high'\n";
    const SIX: &str = "[[normalizer.patterns]]\nname = 'six'\nregex = 'six'\nexamples = ['seven']\n";

    #[test]
    fn lines_counts_and_examples() {
        let hits =
            "a.log:1: two before=\"one\" severity=3\n    one two\nof 2 lines matched\n  two 1\n  six 0  (nothing)\n";
        let wrong = "1 of 1 examples do not hold:\n  pattern \"six\": does not match its example \"seven\"";
        check(&format!("{TWO}{SIX}"), hits, Some(wrong));
        let valid = format!("{hits}2 patterns, 1 examples: valid\n");
        check(&format!("{TWO}{}", SIX.replace("seven", "sixth")), &valid, None);
        check("", "of 2 lines matched\n0 patterns, 0 examples: valid\n", None);
    }
}
