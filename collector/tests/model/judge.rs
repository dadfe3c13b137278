//! What arrived, against what was written.

/// A line that a writer wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) text: String,
    /// False where it was gone from every file before it could be read: it may arrive, and need not.
    pub(crate) owed: bool,
    /// Seen to have arrived.
    pub(crate) arrived: bool,
}

/// Whether `arrived` is `written` in order, each line at most once, and at least those that are owed.
///
/// A line that is not owed may also arrive late: a version that the collector never saw under the log's name is found by
/// the name that the rotation gave it, when the log is missed.
pub(crate) fn judge(written: &[Written], arrived: &[&str]) -> Result<(), String> {
    in_order(written, arrived).or_else(|reason| {
        let is_unique = |text: &str| written.iter().filter(|other| other.text == text).count() == 1;
        let is_late = |line: &&Written| {
            !line.owed && is_unique(&line.text) && arrived.iter().filter(|arrived| **arrived == line.text).count() == 1
        };
        let late: Vec<&str> = written.iter().filter(is_late).map(|line| &*line.text).collect();
        let rest: Vec<Written> = written.iter().filter(|line| !is_late(line)).cloned().collect();
        let punctual: Vec<&str> = arrived.iter().filter(|line| !late.contains(line)).copied().collect();
        if in_order(&rest, &punctual).is_ok() || without_late_twins(&rest, &punctual) { Ok(()) } else { Err(reason) }
    })
}

/// Whether some lines that are not owed and have a duplicate arrived late, and the rest arrived in order.
///
/// Which of the duplicates was late is tried: a sequence writes few of them.
fn without_late_twins(written: &[Written], arrived: &[&str]) -> bool {
    for (at, line) in written.iter().enumerate().filter(|(_, line)| !line.owed) {
        let rest = [&written[..at], &written[at + 1..]].concat();
        for (index, _) in arrived.iter().enumerate().filter(|(_, arrived)| **arrived == line.text) {
            let punctual = [&arrived[..index], &arrived[index + 1..]].concat();
            if in_order(&rest, &punctual).is_ok() || without_late_twins(&rest, &punctual) {
                return true;
            }
        }
    }
    false
}

/// Some lines are equal, so which one arrived is only known in the end: `reach[at]` is whether the lines up to here can
/// be the first `at` of those written.
fn in_order(written: &[Written], arrived: &[&str]) -> Result<(), String> {
    let skip = |reach: &mut [bool]| {
        for (at, line) in written.iter().enumerate() {
            reach[at + 1] |= reach[at] && !line.owed;
        }
    };
    let mut reach = vec![false; written.len() + 1];
    reach[0] = true;
    skip(&mut reach);
    for (index, line) in arrived.iter().enumerate() {
        let mut next = vec![false; written.len() + 1];
        for (at, known) in written.iter().enumerate() {
            next[at + 1] = reach[at] && known.text == *line;
        }
        skip(&mut next);
        if !next.contains(&true) {
            return Err(format!(
                "line {index} that arrived is {line:?}, which was not next\n{}",
                shown(written, arrived)
            ));
        }
        reach = next;
    }
    if reach[written.len()] { Ok(()) } else { Err(format!("lines are missing\n{}", shown(written, arrived))) }
}

/// The same, but all may be missing.
pub(crate) fn none_owed(written: &[Written]) -> Vec<Written> {
    written.iter().map(|line| Written { owed: false, ..line.clone() }).collect()
}

/// Whether `arrived` is `written` in any order, each line at most once, and at least those that are owed.
pub(crate) fn judge_unordered(written: &[Written], arrived: &[&str]) -> Result<(), String> {
    for line in written {
        let same = || written.iter().filter(|other| other.text == line.text);
        let (most, least) = (same().count(), same().filter(|other| other.owed).count());
        let count = arrived.iter().filter(|other| **other == line.text).count();
        if !(least..=most).contains(&count) {
            let reason = format!("{:?} arrived {count} times, not {least} to {most}", line.text);
            return Err(format!("{reason}\n{}", shown(written, arrived)));
        }
    }
    Ok(())
}

fn shown(written: &[Written], arrived: &[&str]) -> String {
    let name = |line: &str| line.rsplit(' ').next().unwrap_or_default().to_owned();
    let written: Vec<String> = written
        .iter()
        .map(|line| if line.owed { name(&line.text) } else { format!("({})", name(&line.text)) })
        .collect();
    let arrived: Vec<String> = arrived.iter().map(|line| name(line)).collect();
    format!("written (in parentheses: need not arrive): {}\narrived: {}", written.join(" "), arrived.join(" "))
}

#[test]
fn the_judge_is_strict() {
    let check = |written: &str, arrived: &str, good: bool| {
        let written: Vec<Written> = written
            .split_whitespace()
            .map(|word| Written {
                text: word.trim_matches(['(', ')']).to_owned(),
                owed: !word.starts_with('('),
                arrived: false,
            })
            .collect();
        let arrived: Vec<&str> = arrived.split_whitespace().collect();
        assert_eq!(judge(&written, &arrived).is_ok(), good, "{written:?} {arrived:?}");
    };
    check("a b c", "a b c", true);
    check("a b c", "a c", false);
    check("a b c", "a b b c", false);
    check("a b c", "b a c", false);
    check("a b c", "a b c d", false);
    check("a b c", "a b", false);
    check("a (b) c", "a c", true);
    check("a (b) c", "a b c", true);
    check("a (b)", "a b b", false);
    check("a (b) c", "a c b", true);
    check("a (b) c", "a c b b", false);
    check("a (b) c d", "a d b c", false);
    check("a (b) (*) c *", "a c * b *", true);
    check("a (b) (*) c *", "a c * b * *", false);
    check("a (b) (*) c *", "a * b", false);
    check("* (a) * b *", "* * b *", true);
    check("(*) a * b", "* a * b", true);
    check("(*) a * b", "a * b", true);
    check("(*) a * b", "* a b", false);
}
