//! Rules that replace parts of a line before it is shipped, such as user names that must not leave the host.
//!
//! Offset, end and hash belong to the line as it stands in the file. So a changed rule does not change a line's
//! identity, and two lines that differ only in replaced parts stay different.

use std::borrow::Cow;

use regex::bytes::Regex;

/// One rule: each match of `regex` is replaced by `replace`.
#[derive(Clone, Debug)]
pub struct RedactRule {
    /// The pattern.
    pub regex: Regex,
    /// The replacement; `$name` and `${1}` stand for the text of a group.
    pub replace: String,
}

/// Returns a line after all rules. Each rule takes the result of the rule before.
#[must_use]
pub fn redact<'a>(rules: &[RedactRule], line: &'a [u8]) -> Cow<'a, [u8]> {
    rules.iter().fold(Cow::Borrowed(line), |line, rule| match rule.regex.replace_all(&line, rule.replace.as_bytes()) {
        Cow::Borrowed(_) => line,
        Cow::Owned(changed) => Cow::Owned(changed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rules: &[(&str, &str)], line: &str, expect: &str) {
        let rule = |&(regex, replace): &(&str, &str)| RedactRule {
            regex: Regex::new(regex).expect("the test says so"),
            replace: replace.to_owned(),
        };
        let rules: Vec<RedactRule> = rules.iter().map(rule).collect();
        assert_eq!(String::from_utf8_lossy(&redact(&rules, line.as_bytes())), expect);
    }

    #[test]
    fn what_matches_is_replaced() {
        check(&[], "as it is", "as it is");
        check(
            &[(r"(?i)(\\users\\)[^\\]+", "$1***")],
            r"C:\Users\Ann\x C:\Users\Bob\y",
            r"C:\Users\***\x C:\Users\***\y",
        );
        check(&[("a", "b"), ("b", "c")], "ab", "cc");
        check(&[("b", "c"), ("a", "b")], "ab", "bc");
        check(&[("proxy-[0-9]+", "")], "via proxy-17:80", "via :80");
    }

    #[test]
    fn bytes_that_are_no_text_stay() {
        let rules = [RedactRule { regex: Regex::new("b").expect("a letter"), replace: "x".to_owned() }];
        assert_eq!(&*redact(&rules, b"\xFFab"), b"\xFFax");
    }
}
