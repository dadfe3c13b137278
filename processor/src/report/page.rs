//! Text of lines of a given width, for terminals.

/// Width of the labels in front of facts.
const LABEL: usize = 10;

/// Text that grows by lines of at most a given width.
pub(crate) struct TextPage {
    pub(crate) text: String,
    width: usize,
    /// The printed form of a letter: texts of logs are foreign, and may hold control characters.
    letter: fn(char) -> char,
}

impl TextPage {
    /// An empty page whose lines have at most `width` columns.
    pub(crate) fn new(width: usize, letter: fn(char) -> char) -> TextPage {
        TextPage { text: String::new(), width, letter }
    }

    pub(crate) fn blank(&mut self) {
        self.text.push('\n');
    }

    pub(crate) fn rule(&mut self, with: char) {
        self.line(&with.to_string().repeat(self.width));
    }

    pub(crate) fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    pub(crate) fn fact(&mut self, label: &str, text: &str) {
        self.wrapped(&format!("{label:LABEL$} "), text);
    }

    /// `text` behind `lead`, with the further lines indented by as much.
    pub(crate) fn wrapped(&mut self, lead: &str, text: &str) {
        let mut line = lead.to_owned();
        let mut empty = true;
        for word in text.split_whitespace() {
            let word: String = word.chars().map(self.letter).collect();
            if !empty && columns(&line) + 1 + columns(&word) > self.width {
                self.line(&line);
                line = " ".repeat(columns(lead));
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(&word);
            empty = false;
        }
        self.line(&line);
    }

    /// Writes a command on a line of its own; `note` follows on the same line if there is room. A longer command
    /// continues behind a backslash, before an option if there is one.
    pub(crate) fn command(&mut self, command: &str, note: &str) {
        let command: String = command.chars().map(self.letter).collect();
        let mut line = format!("     > {}", command.split(' ').next().unwrap_or_default());
        let mut words = command.split(' ').skip(1).peekable();
        while let Some(word) = words.next() {
            // An option stays with its value.
            let value = words.next_if(|next| word.starts_with("--") && !next.starts_with("--"));
            let part = value.map_or_else(|| word.to_owned(), |value| format!("{word} {value}"));
            let tail = if words.peek().is_some() { 2 } else { 0 }; // " \\"
            if line.len() + 1 + part.len() + tail > self.width {
                self.line(&format!("{line} \\"));
                line = format!("           {part}");
            } else {
                line.push(' ');
                line.push_str(&part);
            }
        }
        if note.is_empty() || line.len() + note.len() <= self.width {
            self.line(&format!("{line}{note}"));
        } else {
            self.line(&line);
            self.wrapped("       ", note);
        }
    }

    /// Writes a command for a Windows console on a line of its own. The command is never broken, since no character
    /// continues a line in both cmd and PowerShell; `note` follows on the same line if there is room.
    pub(crate) fn windows_command(&mut self, command: &str, note: &str) {
        let command: String = command.chars().map(self.letter).collect();
        let line = format!("     > {command}");
        if note.is_empty() || columns(&line) + columns(note) <= self.width {
            self.line(&format!("{line}{note}"));
        } else {
            self.line(&line);
            self.wrapped("       ", note);
        }
    }
}

/// Columns that a text takes in a terminal: letters of East Asian scripts take two.
fn columns(text: &str) -> usize {
    /// Hangul Jamo, the first script with wide letters.
    const FIRST_WIDE: char = '\u{1100}';
    text.chars().map(|letter| if letter < FIRST_WIDE { 1 } else { 2 }).sum()
}

/// Host names and labels are foreign text: nothing but printable ASCII reaches the terminal.
pub(crate) fn ascii(letter: char) -> char {
    if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' }
}

/// Letters and digits of every script, the punctuation of their languages, and printable ASCII: titles of updates are in
/// the language of the host. Everything else, control and direction characters above all, becomes a question mark.
pub(crate) fn letters(letter: char) -> char {
    // Dashes and quotation marks, the ellipsis, and the guillemets; the block of punctuation also has invisible
    // characters, which are left out.
    let is_punctuation = matches!(letter, '\u{2010}'..='\u{2027}' | '\u{ab}' | '\u{bb}' | '\u{ae}' | '\u{2122}');
    if letter.is_alphanumeric() || letter == '\u{a0}' || is_punctuation { letter } else { ascii(letter) }
}
