//! Reading signals without copying them.
//!
//! A detector that loads a month of signals, or replays them, spends most of its time on reading. So a signal in the
//! order and spelling of our own writer is read field by field, and its texts borrow from the record. Any other signal
//! is read by [`Signal::from_bytes`](super::Signal::from_bytes), so this module does not decide which signals are
//! valid.
//!
//! serde with borrowed texts would be shorter and slower. Per signal of a mixed stream, in CPU time of one run: 230 ns
//! here, 590 ns by a struct with `#[serde(borrow)]` from text that was checked as UTF-8, 900 ns by the same struct from
//! bytes, and 800 ns by the owned [`Signal`].

use super::{
    Attempt, CertificateFacts, ConfigChange, Fact, Failing, HostFacts, HostRef, Order, Outcome, RawPosition, ScanDone,
    Signal, Tick, Unreadable,
};
use crate::hresult::Family;

/// A signal with borrowed texts.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalRef<'a> {
    /// See [`Signal::log_time`].
    pub log_time: i64,
    /// See [`Signal::raw`].
    pub raw: RawPosition,
    /// The fact.
    pub fact: FactRef<'a>,
}

/// A host with borrowed texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRefRef<'a> {
    /// See [`HostRef::id`].
    pub id: &'a str,
    /// See [`HostRef::name`].
    pub name: &'a str,
}

/// A fact with borrowed texts; see [`Fact`].
#[derive(Clone, Debug, PartialEq)]
pub enum FactRef<'a> {
    /// See [`HostFacts`].
    HostFacts {
        /// The host.
        host: HostRefRef<'a>,
        /// Dimensions and values, in the order of their names.
        dimensions: Vec<(&'a str, &'a str)>,
        /// See [`HostFacts::failing`].
        failing: Vec<FailingRef<'a>>,
        /// See [`HostFacts::last_event_time`].
        last_event_time: Option<i64>,
        /// See [`HostFacts::caught_up`].
        caught_up: bool,
        /// See [`HostFacts::unreadable`].
        unreadable: Option<UnreadableRef<'a>>,
    },
    /// See [`Attempt`].
    Attempt {
        /// The host.
        host: HostRefRef<'a>,
        /// See [`Attempt::subject`].
        subject: &'a str,
        /// See [`Attempt::outcome`].
        outcome: Outcome,
        /// See [`Attempt::family`].
        family: Option<Family>,
        /// See [`Attempt::code`].
        code: Option<&'a str>,
        /// See [`Attempt::operation`].
        operation: &'a str,
        /// Dimensions and values, in the order of their names.
        dimensions: Vec<(&'a str, &'a str)>,
        /// See [`Attempt::event_time`].
        event_time: i64,
        /// See [`Attempt::since`].
        since: i64,
        /// See [`Attempt::late`].
        late: bool,
    },
    /// See [`ScanDone`].
    ScanDone {
        /// The host.
        host: HostRefRef<'a>,
        /// See [`ScanDone::outcome`].
        outcome: Outcome,
        /// See [`ScanDone::event_time`].
        event_time: i64,
        /// See [`ScanDone::subject`].
        subject: Option<&'a str>,
    },
    /// See [`Tick`].
    Tick(Tick),
    /// See [`ConfigChange`].
    Config(&'a ConfigChange),
    /// See [`Order`].
    Handling(&'a Order),
    /// See [`CertificateFacts`].
    Certificates(&'a CertificateFacts),
}

/// A failing subject with borrowed texts; see [`Failing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailingRef<'a> {
    /// See [`Failing::subject`].
    pub subject: &'a str,
    /// See [`Failing::family`].
    pub family: Family,
    /// See [`Failing::code`].
    pub code: &'a str,
    /// See [`Failing::since`].
    pub since: i64,
}

/// A borrowed [`Unreadable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadableRef<'a> {
    /// See [`Unreadable::since`].
    pub since: i64,
    /// See [`Unreadable::reason`].
    pub reason: &'a str,
}

impl<'a> From<&'a Unreadable> for UnreadableRef<'a> {
    fn from(unreadable: &'a Unreadable) -> UnreadableRef<'a> {
        UnreadableRef { since: unreadable.since, reason: &unreadable.reason }
    }
}

impl<'a> From<&'a HostRef> for HostRefRef<'a> {
    fn from(host: &'a HostRef) -> HostRefRef<'a> {
        HostRefRef { id: &host.id, name: &host.name }
    }
}

impl<'a> From<&'a Failing> for FailingRef<'a> {
    fn from(failing: &'a Failing) -> FailingRef<'a> {
        FailingRef { subject: &failing.subject, family: failing.family, code: &failing.code, since: failing.since }
    }
}

impl<'a> From<&'a Signal> for SignalRef<'a> {
    fn from(signal: &'a Signal) -> SignalRef<'a> {
        let fact = match &signal.fact {
            Fact::HostFacts(facts) => of_host_facts(facts),
            Fact::Attempt(attempt) => of_attempt(attempt),
            Fact::ScanDone(ScanDone { host, outcome, event_time, subject }) => FactRef::ScanDone {
                host: host.into(),
                outcome: *outcome,
                event_time: *event_time,
                subject: subject.as_deref(),
            },
            Fact::Tick(tick) => FactRef::Tick(*tick),
            Fact::Config(change) => FactRef::Config(change),
            Fact::Handling(order) => FactRef::Handling(order),
            Fact::Certificates(facts) => FactRef::Certificates(facts),
        };
        SignalRef { log_time: signal.log_time, raw: signal.raw, fact }
    }
}

fn of_host_facts(facts: &HostFacts) -> FactRef<'_> {
    FactRef::HostFacts {
        host: (&facts.host).into(),
        dimensions: facts.dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        failing: facts.failing.iter().map(FailingRef::from).collect(),
        last_event_time: facts.last_event_time,
        caught_up: facts.caught_up,
        unreadable: facts.unreadable.as_ref().map(UnreadableRef::from),
    }
}

fn of_attempt(attempt: &Attempt) -> FactRef<'_> {
    FactRef::Attempt {
        host: (&attempt.host).into(),
        subject: &attempt.subject,
        outcome: attempt.outcome,
        family: attempt.family,
        code: attempt.code.as_deref(),
        operation: &attempt.operation,
        dimensions: attempt.dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        event_time: attempt.event_time,
        since: attempt.since,
        late: attempt.late,
    }
}

impl<'a> SignalRef<'a> {
    /// Parses the signal if every byte is as our own writer writes it.
    #[must_use]
    pub fn as_written(bytes: &'a [u8]) -> Option<SignalRef<'a>> {
        let mut cursor = SignalRest { rest: std::str::from_utf8(bytes).ok()? };
        let version = cursor.number("{\"v\":")?;
        u8::try_from(version).ok()?;
        let log_time = cursor.number(",\"log_time\":")?;
        let partition = i32::try_from(cursor.number(",\"raw\":{\"partition\":")?).ok()?;
        let raw = RawPosition { partition, offset: cursor.number(",\"offset\":")? };
        let fact = match cursor.string("},\"kind\":\"")? {
            "host_facts" => cursor.host_facts()?,
            "attempt" => cursor.attempt()?,
            "scan_done" => cursor.scan_done()?,
            "tick" => FactRef::Tick(Tick { partitions: i32::try_from(cursor.number(",\"partitions\":")?).ok()? }),
            _ => return None,
        };
        (cursor.rest == "}").then_some(SignalRef { log_time, raw, fact })
    }
}

/// The unread rest of a signal.
struct SignalRest<'a> {
    rest: &'a str,
}

impl<'a> SignalRest<'a> {
    /// Skips `text` if the rest begins with it.
    #[inline]
    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// The string behind `name`, which includes the opening quote, if the string has no escapes.
    #[inline]
    fn string(&mut self, name: &str) -> Option<&'a str> {
        self.rest = self.rest.strip_prefix(name)?;
        self.until_quote()
    }

    /// The text up to the next quote; skips the quote.
    #[inline]
    fn until_quote(&mut self) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let at = special(bytes)?;
        if bytes[at] != b'"' {
            return None;
        }
        let text = &self.rest[..at];
        self.rest = &self.rest[at + 1..]; // + 1 for the quote
        Some(text)
    }

    /// The whole number behind `name`.
    #[inline]
    fn number(&mut self, name: &str) -> Option<i64> {
        self.rest = self.rest.strip_prefix(name)?;
        let negative = self.take("-");
        let bytes = self.rest.as_bytes();
        let mut value = 0_i64;
        let mut count = 0;
        while let Some(digit) = bytes.get(count).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit <= 9) {
            value = value.checked_mul(10)?.checked_add(i64::from(digit))?;
            count += 1;
        }
        // A JSON number does not begin with a zero, and serde does not read `-0` as a whole number.
        if count == 0 || (bytes[0] == b'0' && (count > 1 || negative)) {
            return None;
        }
        self.rest = &self.rest[count..];
        Some(if negative { -value } else { value })
    }

    fn boolean(&mut self, name: &str) -> Option<bool> {
        self.rest = self.rest.strip_prefix(name)?;
        if self.take("true") { Some(true) } else { self.take("false").then_some(false) }
    }

    fn host(&mut self) -> Option<HostRefRef<'a>> {
        let id = self.string(",\"host\":{\"id\":\"")?;
        let name = self.string(",\"name\":\"")?;
        self.take("}").then_some(HostRefRef { id, name })
    }

    /// The members of an object of strings, behind its opening brace. Their names must ascend, as in our map: otherwise
    /// the last of equal names would count.
    fn pairs(&mut self) -> Option<Vec<(&'a str, &'a str)>> {
        if self.take("}") {
            return Some(Vec::new());
        }
        let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(8);
        loop {
            let name = self.string("\"")?;
            if pairs.last().is_some_and(|(before, _)| *before >= name) {
                return None;
            }
            pairs.push((name, self.string(":\"")?));
            if self.take("}") {
                return Some(pairs);
            }
            self.rest = self.rest.strip_prefix(',')?;
        }
    }

    fn host_facts(&mut self) -> Option<FactRef<'a>> {
        let host = self.host()?;
        let dimensions = self.take(",\"dimensions\":{").then(|| self.pairs())??;
        let mut failing = Vec::new();
        if self.take(",\"failing\":[") {
            loop {
                let subject = self.string("{\"subject\":\"")?;
                let family = family(self.string(",\"family\":\"")?)?;
                let code = self.string(",\"code\":\"")?;
                failing.push(FailingRef { subject, family, code, since: self.number(",\"since\":")? });
                self.rest = self.rest.strip_prefix('}')?;
                if self.take("]") {
                    break;
                }
                self.rest = self.rest.strip_prefix(',')?;
            }
        }
        let dated = self.rest.starts_with(",\"last_event_time\":");
        let last_event_time = if dated { Some(self.number(",\"last_event_time\":")?) } else { None };
        let caught_up = self.boolean(",\"caught_up\":")?;
        let unreadable = if self.rest.starts_with(",\"unreadable\":") { Some(self.unreadable()?) } else { None };
        Some(FactRef::HostFacts { host, dimensions, failing, last_event_time, caught_up, unreadable })
    }

    fn unreadable(&mut self) -> Option<UnreadableRef<'a>> {
        let since = self.number(",\"unreadable\":{\"since\":")?;
        let reason = self.string(",\"reason\":\"")?;
        self.take("}").then_some(UnreadableRef { since, reason })
    }

    fn attempt(&mut self) -> Option<FactRef<'a>> {
        let host = self.host()?;
        let subject = self.string(",\"subject\":\"")?;
        let outcome = outcome(self.string(",\"outcome\":\"")?)?;
        let family = if self.take(",\"family\":\"") { Some(family(self.until_quote()?)?) } else { None };
        let code = if self.take(",\"code\":\"") { Some(self.until_quote()?) } else { None };
        let operation = self.string(",\"operation\":\"")?;
        let dimensions = if self.take(",\"dimensions\":{") { self.pairs()? } else { Vec::new() };
        let event_time = self.number(",\"event_time\":")?;
        let since = self.number(",\"since\":")?;
        let late = self.take(",\"late\":true");
        Some(FactRef::Attempt { host, subject, outcome, family, code, operation, dimensions, event_time, since, late })
    }

    fn scan_done(&mut self) -> Option<FactRef<'a>> {
        let host = self.host()?;
        let outcome = outcome(self.string(",\"outcome\":\"")?)?;
        let event_time = self.number(",\"event_time\":")?;
        let named = self.rest.starts_with(",\"subject\":");
        let subject = if named { Some(self.string(",\"subject\":\"")?) } else { None };
        Some(FactRef::ScanDone { host, outcome, event_time, subject })
    }
}

/// Position of the first quote, backslash or control character; the loop compares eight bytes at once.
#[inline]
fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The lowest high bit that is set marks the first byte below `least`; higher bits may be wrong.
    let below = |word: u64, least: u8| word.wrapping_sub(ONES * u64::from(least)) & !word & HIGH;
    let mut chunks = bytes.chunks_exact(8);
    let mut passed = 0;
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().ok()?);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = quote | backslash | below(word, 0x20);
        if found != 0 {
            return Some(passed + found.trailing_zeros() as usize / 8);
        }
        passed += 8;
    }
    let is_special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
    chunks.remainder().iter().position(is_special).map(|at| passed + at)
}

fn outcome(text: &str) -> Option<Outcome> {
    match text {
        "success" => Some(Outcome::Success),
        "failure" => Some(Outcome::Failure),
        _ => None,
    }
}

fn family(text: &str) -> Option<Family> {
    Family::ALL.into_iter().find(|family| family.as_str() == text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::VERSION;
    use super::*;

    fn signals() -> Vec<Signal> {
        let host = || HostRef { id: "04a7c795a928a5d09b0cbad5910a34d5".to_owned(), name: "pc-ü".to_owned() };
        let dimensions =
            || BTreeMap::from([("kb", "KB1"), ("title", "Reader")].map(|(n, v)| (n.to_owned(), v.to_owned())));
        let failing = || Failing {
            subject: "file:a".to_owned(),
            family: Family::Expired,
            code: "0x800b0101".to_owned(),
            since: -3,
        };
        let facts = HostFacts {
            host: host(),
            dimensions: dimensions(),
            failing: vec![failing(), failing()],
            last_event_time: Some(5),
            caught_up: true,
            unreadable: Some(Unreadable { since: 6, reason: "undecoded".to_owned() }),
        };
        let attempt = Attempt {
            host: host(),
            subject: "update:x".to_owned(),
            outcome: Outcome::Failure,
            family: Some(Family::UntrustedRoot),
            code: Some("0x800b0109".to_owned()),
            operation: "download".to_owned(),
            dimensions: dimensions(),
            event_time: 1_573_745_640_120,
            since: 7,
            late: true,
        };
        let plain = Attempt { outcome: Outcome::Success, family: None, code: None, late: false, ..attempt.clone() };
        let facts_alone = HostFacts {
            failing: Vec::new(),
            last_event_time: None,
            caught_up: false,
            unreadable: None,
            ..facts.clone()
        };
        let scan = ScanDone { host: host(), outcome: Outcome::Success, event_time: 9, subject: None };
        let named = ScanDone { subject: Some("server:wsus:8531".to_owned()), ..scan.clone() };
        let facts = [
            Fact::HostFacts(facts),
            Fact::HostFacts(HostFacts { dimensions: BTreeMap::new(), ..facts_alone }),
            Fact::Attempt(Attempt { dimensions: BTreeMap::new(), ..plain }),
            Fact::Attempt(attempt),
            Fact::ScanDone(scan),
            Fact::ScanDone(named),
            Fact::Tick(Tick { partitions: 12 }),
        ];
        let raw = RawPosition { partition: 3, offset: 81_723 };
        facts.map(|fact| Signal { v: VERSION, log_time: 1_573_745_640_121, raw, fact }).into()
    }

    #[test]
    fn our_own_bytes_are_read_without_serde() {
        for signal in signals() {
            let bytes = serde_json::to_vec(&signal).unwrap();
            assert_eq!(SignalRef::as_written(&bytes), Some(SignalRef::from(&signal)));
        }
    }

    /// Every signal that differs by a byte is read like serde reads it, or left to serde.
    #[test]
    fn any_other_bytes_are_left_to_serde() {
        let mut quick = 0;
        for signal in signals() {
            let text = serde_json::to_string(&signal).unwrap();
            for at in (0..text.len()).filter(|at| text.is_char_boundary(*at) && text.is_char_boundary(at + 1)) {
                for with in ["", "0", "00", "9", "-", "\"", "\\", "\\\\", "\t", "é", " ", ",", "}", "null", "true"] {
                    let changed = format!("{}{with}{}", &text[..at], &text[at + 1..]);
                    let Some(seen) = SignalRef::as_written(changed.as_bytes()) else { continue };
                    let expect = Signal::from_bytes(changed.as_bytes()).unwrap_or_else(|e| panic!("{changed}: {e}"));
                    assert_eq!(seen, SignalRef::from(&expect), "{changed}");
                    quick += 1;
                }
            }
        }
        assert!(quick > 1000, "changed names and digits are as we write them");
    }

    #[test]
    fn special_bytes_are_found_at_any_place() {
        for place in 0..20 {
            for byte in 0..=255_u8 {
                let mut bytes = *b"plain text that goes on";
                bytes[place] = byte;
                let expect = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
                assert_eq!(special(&bytes), expect, "{byte} at {place}");
            }
        }
    }

    #[test]
    fn names_that_stand_twice_are_left_to_serde() {
        let text = serde_json::to_string(&signals()[0]).unwrap();
        for (name, is_quick) in [("title", true), ("kb", false), ("a", false)] {
            let changed = text.replace("\"title\"", &format!("\"{name}\""));
            assert_eq!(SignalRef::as_written(changed.as_bytes()).is_some(), is_quick, "{name}");
        }
    }
}
