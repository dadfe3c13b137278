//! What a consumer makes of records: a line whose identity is known is a repeat.

use std::collections::BTreeMap;

use wulog_collector::sink::RawRecord;
use wulog_schemas::raw::Kind;

/// One line, once.
pub(crate) struct Taken {
    pub(crate) file: String,
    pub(crate) epoch: String,
    pub(crate) text: String,
}

/// The lines that are no repeats, in their order.
#[derive(Default)]
pub(crate) struct Downstream {
    taken: usize,
    lines: Vec<Taken>,
    /// End and text of what was taken, by file, epoch and offset.
    known: BTreeMap<(String, String, u64), (u64, String)>,
}

impl Downstream {
    /// All lines so far, when these records have arrived.
    pub(crate) fn lines(&mut self, records: &[RawRecord]) -> Result<&[Taken], String> {
        for record in &records[self.taken..] {
            self.taken += 1;
            if record.header.kind == Kind::Line {
                self.take(record)?;
            }
        }
        Ok(&self.lines)
    }

    fn take(&mut self, record: &RawRecord) -> Result<(), String> {
        let header = &record.header;
        let text = String::from_utf8(record.value.clone()).map_err(|error| error.to_string())?;
        if header.end - header.offset != text.len() as u64 + 1 {
            return Err(format!("{text:?} is {} to {}", header.offset, header.end));
        }
        let key = (header.file.clone(), header.epoch.clone(), header.offset);
        match self.known.get(&key) {
            Some((_, known)) if *known == text => return Ok(()),
            Some((_, known)) => return Err(format!("{text:?} stands where {known:?} stood")),
            None => {}
        }
        let of_epoch = |(file, epoch, _): &(String, String, u64)| (file, epoch) == (&header.file, &header.epoch);
        let before = self.known.range(..&key).next_back().filter(|(key, _)| of_epoch(key));
        let after = self.known.range(&key..).next().filter(|(key, _)| of_epoch(key));
        let overlaps = before.is_some_and(|(_, (end, _))| *end > header.offset)
            || after.is_some_and(|((_, _, offset), _)| *offset < header.end);
        if overlaps {
            return Err(format!("{text:?} overlaps other lines of its epoch"));
        }
        self.known.insert(key, (header.end, text.clone()));
        self.lines.push(Taken { file: header.file.clone(), epoch: header.epoch.clone(), text });
        Ok(())
    }
}
