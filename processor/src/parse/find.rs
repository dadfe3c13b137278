//! The search for a short text in a line.

/// Returns the position of `part` in `text`.
///
/// `str::find` and `memmem` prepare each search, which takes longer than the search of a line. This function examines
/// each place of the first byte of `part`, so that byte must be rare in lines.
pub(crate) fn find(text: &str, part: &str) -> Option<usize> {
    let (bytes, part) = (text.as_bytes(), part.as_bytes());
    let first = *part.first()?;
    memchr::memchr_iter(first, bytes).find(|at| bytes[*at..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_the_standard_library_finds() {
        for (text, part) in
            [("", "a"), ("a", "a"), ("ab:ab://x", "://"), ("é://", "://"), ("::/:/", "://"), ("aab", "ab")]
        {
            assert_eq!(find(text, part), text.find(part), "{text}");
        }
    }
}
