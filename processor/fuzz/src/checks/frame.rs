//! Any bytes are a file: decoder and framer of the collector.
//!
//! Four bytes say how it is read (two sizes of chunks, the encoding, the longest line), the rest is the file.

use crate::product::encoding::EncodingChoice;
use crate::product::frame::{Frame, Framer, FramerStep};

/// What a collector's configuration may say.
const CHOICES: [&str; 8] =
    ["auto", "utf-8", "utf-16le", "utf-16be", "windows-1252", "windows-1251", "shift_jis", "gb18030"];

/// One line as it came out.
#[derive(Debug, PartialEq)]
struct Line {
    content: Vec<u8>,
    text: Vec<u8>,
    lossy: bool,
    truncated: bool,
    line_bytes: u64,
}

/// However the file is cut into chunks its lines are the same, and they are the file, byte for byte.
pub fn check(bytes: &[u8]) {
    let [odd, even, choice, limit, file @ ..] = bytes else { return };
    let choice = EncodingChoice::parse(CHOICES[usize::from(*choice) % CHOICES.len()]).expect("a known name");
    let limit = 1 + 4 * usize::from(*limit);
    let (whole, mark_bytes) = read(file, choice, limit, [file.len().max(1); 2]);
    let (chunked, _) = read(file, choice, limit, [usize::from(*odd) + 1, usize::from(*even) + 1]);
    assert_eq!(whole, chunked, "lines differ by chunks");

    let mut rest = &file[mark_bytes..];
    for line in whole {
        let (this, after) = rest.split_at(usize::try_from(line.line_bytes).expect("a line of this file"));
        rest = after;
        // Zero bytes before a line are skipped where there are many.
        let zeros = this.iter().take_while(|byte| **byte == 0).count();
        let ending = this
            .strip_prefix(&line.content[..])
            .or_else(|| (0..=zeros).find_map(|zeros| this[zeros..].strip_prefix(&line.content[..])));
        let ending = ending.expect("a line begins with its content");
        let endings: [&[u8]; 7] = [b"", b"\n", b"\r\n", b"\n\0", b"\r\0\n\0", b"\0\n", b"\0\r\0\n"];
        // Zero bytes divide what a crash left of a line from the record behind them.
        let run = ending.strip_prefix(b"\r").unwrap_or(ending);
        let divides = run.len() >= 8 && run.iter().all(|byte| *byte == 0);
        assert!(line.truncated || divides || endings.contains(&ending), "{ending:?} was lost after {:?}", line.content);
        assert!(std::str::from_utf8(&line.text).is_ok(), "a line is no text");
        assert!(line.lossy || !line.text.contains(&b'\n'), "a newline is left in {:?}", line.text);
    }
    assert!(rest.is_empty(), "{rest:?} was lost");
}

/// The lines of a file that comes in chunks of these sizes in turn, and the bytes of its mark.
fn read(file: &[u8], choice: EncodingChoice, limit: usize, chunks: [usize; 2]) -> (Vec<Line>, usize) {
    let (mut lines, mut framer) = (Vec::new(), None);
    let (mut at, mut end, mut mark_bytes) = (0, 0, 0);
    for size in chunks.into_iter().cycle() {
        end = file.len().min(end + size);
        if framer.is_none() {
            // A file that ends before it can be told is taken for UTF-8, as a replay does.
            let utf8 = EncodingChoice::parse("utf-8").and_then(|utf8| utf8.sniff(b"..."));
            let known = choice.sniff(&file[..end]).or(utf8.filter(|_| end == file.len()));
            if let Some((encoding, mark)) = known {
                mark_bytes = usize::try_from(mark).expect("a mark has three bytes");
                at = mark_bytes;
                framer = Some(Framer::new(encoding, limit));
            }
        }
        if let Some(framer) = &mut framer {
            loop {
                match framer.step(&file[at..end]) {
                    FramerStep::Line(frame) => {
                        at += frame.taken;
                        lines.push(line(&frame));
                    }
                    FramerStep::Wait { taken } => {
                        at += taken;
                        break;
                    }
                }
            }
        }
        if end == file.len() {
            break;
        }
    }
    if let Some(framer) = &mut framer
        && let Some(frame) = framer.finish(&file[at..])
    {
        lines.push(line(&frame));
    }
    (lines, mark_bytes)
}

fn line(frame: &Frame<'_>) -> Line {
    let text = frame.text();
    Line {
        content: frame.content.to_vec(),
        text: text.bytes.into_owned(),
        lossy: text.lossy,
        truncated: frame.truncated,
        line_bytes: frame.line_bytes,
    }
}
