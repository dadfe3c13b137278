//! Output of `certutil -store STORE` -> certificates, whatever the language of the Windows that wrote it.
//!
//! `certutil` translates its labels, so no label is read here. What every language has in common is the structure: a
//! header of equals signs with a number, a serial number in hex digits, the issuer's distinguished name, two dates, the
//! subject's distinguished name, and thumbprints behind `(sha1)` and `(sha256)`. `certutil -v` adds object identifiers.
//!
//! A store is read completely only if the output ends with the line `CertUtil: -store ...`: a file that is cut short
//! must not turn into certificates that are missing. Certificate revocation lists and trust lists stand in the same
//! output; they have no serial number before an issuer and are no certificates.
//!
//! Dates are written in the order of the user's region. One order is sought that fits all dates of a host's outputs;
//! where no order fits all, each output is judged alone. Where several orders fit, a clock of 12 hours decides for the
//! month first, a clock of 24 hours for the day first.

use chrono::NaiveDate;
use wulog_schemas::certificate::Certificate;

/// The header of an entry begins and ends with at least so many equals signs.
const BAR_MIN: usize = 4;

/// `ERROR_FILE_NOT_FOUND` as an HRESULT: `certutil` was asked for a store that does not exist, so the store holds nothing.
const NO_SUCH_STORE: &str = "0x80070002";

/// Attributes of distinguished names, as Windows abbreviates them in every language.
const ATTRIBUTES: [&str; 18] = [
    "CN",
    "O",
    "OU",
    "C",
    "L",
    "S",
    "ST",
    "E",
    "DC",
    "T",
    "G",
    "I",
    "SN",
    "SERIALNUMBER",
    "STREET",
    "UID",
    "POSTALCODE",
    "DESCRIPTION",
];

/// The subject follows the second date after at most so many lines that are not empty: `certutil -v` writes a label first.
const SUBJECT_WITHIN_LINES: usize = 2;

const OID_CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
const OID_ANY_USAGE: &str = "2.5.29.37.0";
const OID_ENHANCED_KEY_USAGE: &str = "2.5.29.37";

/// The certificates in an output of `certutil -store`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// The certificates, in the order of the output.
    pub(super) certificates: Vec<Certificate>,
    /// Why the output does not show the whole store; `None` where it does.
    pub(super) incomplete: Option<String>,
}

/// A parsed output; the order of day and month in its dates is still open.
#[derive(Debug)]
pub(super) struct CertutilOutput {
    entries: Vec<CertutilEntry>,
    /// The last line, where the output has one.
    end: Option<String>,
}

/// Parses an output of `certutil -store`. Any text is accepted.
pub(super) fn read(text: &str) -> CertutilOutput {
    let mut entries: Vec<CertutilEntry> = Vec::new();
    let mut end = None;
    for line in text.lines().map(str::trim_end) {
        if let Some(title) = header(line) {
            entries.push(CertutilEntry::new(title));
        } else if line.starts_with("CertUtil: -") {
            end = Some(line);
        } else if let Some(entry) = entries.last_mut() {
            entry.line(line);
        }
    }
    // The last entry of an output without an end may be cut, so that the thumbprint of a key would pass for the
    // thumbprint of the certificate.
    if end.is_none() {
        entries.pop();
    }
    CertutilOutput { entries, end: end.map(str::to_owned) }
}

/// Returns the order of the dates in all outputs of one host, which has one region: a store of few certificates may
/// have dates that fit several orders. `None` where no order fits all dates.
pub(super) fn common_order<'a>(outputs: impl Iterator<Item = &'a CertutilOutput> + Clone) -> Option<DateOrder> {
    DateOrder::of_all(outputs.flat_map(CertutilOutput::dates))
}

impl CertutilOutput {
    fn dates(&self) -> impl Iterator<Item = &RawDate> + Clone {
        self.entries.iter().flat_map(|entry| &entry.dates)
    }

    /// Returns the order of the dates, judged by this output alone.
    pub(super) fn order(&self) -> DateOrder {
        DateOrder::of_all(self.dates()).unwrap_or(DateOrder::likely(self.dates()))
    }

    /// Returns the certificates of the output, with dates in this order.
    pub(super) fn listing(self, order: DateOrder) -> Listing {
        let unreadable = self.entries.iter().filter(|entry| entry.is_unreadable()).count();
        let certificates = self.entries.into_iter().filter_map(|entry| entry.certificate(order)).collect();
        let end = self.end.as_deref();
        let incomplete = match end.map(|line| (line, error_code(line))) {
            None => Some("the output ends before its last line".to_owned()),
            Some((_, None)) | Some((_, Some(NO_SUCH_STORE))) if unreadable > 0 => {
                Some(format!("{unreadable} entries cannot be read"))
            }
            Some((_, None)) | Some((_, Some(NO_SUCH_STORE))) => None,
            Some((line, Some(_))) => Some(line.to_owned()),
        };
        Listing { certificates, incomplete }
    }
}

/// Returns the text between the bars of an entry's header.
fn header(line: &str) -> Option<&str> {
    let title = line.trim_start_matches('=');
    let bar = line.len() - title.len();
    let title_only = title.trim_end_matches('=');
    (bar >= BAR_MIN && title.len() - title_only.len() >= BAR_MIN).then_some(title_only.trim())
}

/// Returns the HRESULT in a line.
fn error_code(line: &str) -> Option<&str> {
    let at = line.find("0x8")?;
    let code = line.get(at..at + 10)?;
    code[2..].bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(code)
}

/// One entry of an output, as far as it was read.
#[derive(Debug, Default)]
struct CertutilEntry {
    /// A revocation list or a trust list by its title. Some languages translate the title; then the structure decides.
    is_list: bool,
    serial: String,
    issuer: String,
    subject: String,
    dates: Vec<RawDate>,
    sha1: Option<String>,
    sha256: Option<String>,
    algorithm: Option<String>,
    key_bits: Option<u32>,
    /// Whether the extension for enhanced key usage was seen, and whether it names code signing.
    has_usage: bool,
    signs_code: bool,
    /// The name whose attributes the previous line held.
    open: Option<DirectoryName>,
    lines_since_dates: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DirectoryName {
    Issuer,
    Subject,
    Other,
}

impl CertutilEntry {
    fn new(title: &str) -> CertutilEntry {
        CertutilEntry { is_list: title.starts_with("CRL") || title.starts_with("CTL"), ..CertutilEntry::default() }
    }

    fn line(&mut self, line: &str) {
        let text = line.trim_start();
        if text.is_empty() {
            self.open = None;
            return;
        }
        if self.dates.len() >= 2 {
            self.lines_since_dates += 1;
        }
        let is_indented = text.len() < line.len();
        let value = value_of(text);
        let name = if is_name(text) { Some(text) } else { value.filter(|value| is_name(value)) };
        if let Some(name) = name {
            self.name(name);
            return;
        }
        self.open = None;
        // Hashes of names are indented.
        if is_indented {
            self.usage(text);
        } else if let Some(hash) = digits_after(text, "(sha1)", 40) {
            // `certutil -v` writes hashes of keys first and the hash of the certificate last.
            self.sha1 = Some(hash);
            self.sha256 = None;
        } else if let Some(hash) = digits_after(text, "(sha256)", 64) {
            self.sha256 = Some(hash).filter(|_| self.sha1.is_some());
        }
        let Some(value) = value else { return };
        if self.dates.len() < 2
            && !self.issuer.is_empty()
            && let Some(date) = RawDate::parse(value)
        {
            self.dates.push(date);
        } else if self.issuer.is_empty() && !is_indented {
            if let Some(serial) = serial(value) {
                self.serial = serial;
            }
        } else if self.issuer.is_empty() && self.algorithm.is_none() {
            self.algorithm = oid(value).map(str::to_owned);
        } else if !self.subject.is_empty() && !is_indented && self.key_bits.is_none() {
            self.key_bits = key_bits(value);
        }
    }

    fn name(&mut self, text: &str) {
        let name = match self.open {
            Some(open) => open,
            None if self.issuer.is_empty() => DirectoryName::Issuer,
            None if self.subject.is_empty()
                && self.dates.len() >= 2
                && self.lines_since_dates <= SUBJECT_WITHIN_LINES =>
            {
                DirectoryName::Subject
            }
            None => DirectoryName::Other,
        };
        self.open = Some(name);
        let into = match name {
            DirectoryName::Issuer => &mut self.issuer,
            DirectoryName::Subject => &mut self.subject,
            DirectoryName::Other => return,
        };
        if !into.is_empty() {
            into.push_str(", ");
        }
        into.push_str(text);
    }

    fn usage(&mut self, text: &str) {
        self.has_usage |= text.starts_with(&format!("{OID_ENHANCED_KEY_USAGE}:"));
        let names = |oid: &str| {
            text.match_indices(oid).any(|(at, _)| {
                let after = text.as_bytes().get(at + oid.len());
                after.is_none_or(|byte| !byte.is_ascii_digit() && *byte != b'.')
            })
        };
        self.signs_code |= names(OID_CODE_SIGNING) || names(OID_ANY_USAGE);
    }

    fn is_whole(&self) -> bool {
        !self.is_list && !self.serial.is_empty() && !self.issuer.is_empty() && self.sha1.is_some()
    }

    /// Whether the entry may be a certificate that could not be parsed.
    fn is_unreadable(&self) -> bool {
        let is_empty = self.sha1.is_none() && self.dates.is_empty() && self.serial.is_empty();
        !self.is_list && !self.is_whole() && !is_empty
    }

    fn certificate(self, order: DateOrder) -> Option<Certificate> {
        if !self.is_whole() {
            return None;
        }
        let date = |place: usize| self.dates.get(place).and_then(|date: &RawDate| date.millis(order));
        Some(Certificate {
            not_before: date(0),
            not_after: date(1),
            sha1: self.sha1.unwrap_or_default(),
            sha256: self.sha256,
            subject: self.subject,
            issuer: self.issuer,
            serial: self.serial,
            code_signing: self.has_usage.then_some(self.signs_code),
            signature_algorithm: self.algorithm,
            key_bits: self.key_bits,
            origin: None,
        })
    }
}

/// Blanks, the no-break space of French, and the characters that a wrong code page makes of it.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{a0}' | '\u{202f}' | '\u{fffd}')
}

/// Returns the text after the first colon, an ASCII or a full-width one.
fn value_of(text: &str) -> Option<&str> {
    let (_, value) = text.split_once([':', '\u{ff1a}'])?;
    let value = value.trim_matches(is_blank);
    (!value.is_empty()).then_some(value)
}

/// Whether a text begins like a distinguished name.
fn is_name(text: &str) -> bool {
    let Some((attribute, _)) = text.split_once('=') else { return false };
    let is_oid = |text: &str| text.contains('.') && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    ATTRIBUTES.iter().any(|known| known.eq_ignore_ascii_case(attribute))
        || is_oid(attribute.strip_prefix("OID.").unwrap_or(attribute))
}

/// The `count` hex digits behind a mark, in lower case; nothing but digits, blanks and a colon may stand there.
fn digits_after(text: &str, mark: &str, count: usize) -> Option<String> {
    let (_, rest) = text.rsplit_once(mark)?;
    let digits: String = rest.chars().filter(|character| !is_blank(*character)).collect();
    let digits = digits.trim_start_matches([':', '\u{ff1a}']).to_ascii_lowercase();
    (digits.len() == count && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

/// Returns a serial number: whole bytes in hex digits, so the version `3` is not a serial number.
fn serial(value: &str) -> Option<String> {
    let digits: String = value.chars().filter(|character| !is_blank(*character)).collect();
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hex && !digits.is_empty() && digits.len().is_multiple_of(2)).then(|| digits.to_ascii_lowercase())
}

/// The object identifier that a value begins with.
fn oid(value: &str) -> Option<&str> {
    let oid = value.split(is_blank).next()?;
    let arcs = || oid.split('.');
    let is_oid = arcs().all(|arc| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()));
    (is_oid && arcs().count() >= 4).then_some(oid)
}

/// `2048 bits`, in the words of any language.
fn key_bits(value: &str) -> Option<u32> {
    let (number, unit) = value.split_once(is_blank)?;
    let bits = number.parse().ok().filter(|bits| (128..=65_536).contains(bits))?;
    (!unit.is_empty() && !unit.contains(|character: char| character.is_ascii_digit())).then_some(bits)
}

/// A date as it was written: three numbers of the day and two or three of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RawDate {
    day: [u32; 3],
    /// Whether the first of the three numbers was written with four digits.
    begins_with_year: bool,
    has_dots: bool,
    clock: (u32, u32, u32),
    half: Option<ClockHalf>,
}

/// Half of the day on a clock of 12 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClockHalf {
    Morning,
    Afternoon,
}

/// The order of day, month and year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DateOrder {
    YearMonthDay,
    DayMonthYear,
    MonthDayYear,
}

impl RawDate {
    fn parse(value: &str) -> Option<RawDate> {
        let mut numbers: Vec<(u32, usize)> = Vec::with_capacity(6);
        let mut letters = String::new();
        let mut separators = String::new();
        let mut digits = String::new();
        for character in value.chars().chain([' ']) {
            if character.is_ascii_digit() {
                digits.push(character);
                continue;
            }
            if !digits.is_empty() {
                if numbers.len() == 6 || digits.len() > 4 {
                    return None;
                }
                numbers.push((digits.parse().ok()?, digits.len()));
                digits.clear();
            }
            if character.is_alphabetic() {
                letters.push(character);
            } else if numbers.len() == 1 {
                separators.push(character);
            }
        }
        if !(5..=6).contains(&numbers.len()) || !separators.contains(['/', '.', '-']) {
            return None;
        }
        let number = |place: usize| numbers.get(place).map_or(0, |(number, _)| *number);
        let clock = (number(3), number(4), number(5));
        if clock.0 > 23 || clock.1 > 59 || clock.2 > 59 {
            return None;
        }
        Some(RawDate {
            day: [number(0), number(1), number(2)],
            begins_with_year: numbers[0].1 == 4,
            has_dots: separators.contains('.'),
            clock,
            half: half(&letters),
        })
    }

    fn millis(&self, order: DateOrder) -> Option<i64> {
        let [a, b, c] = self.day;
        let (year, month, day) = match order {
            DateOrder::YearMonthDay => (a, b, c),
            DateOrder::DayMonthYear => (c, b, a),
            DateOrder::MonthDayYear => (c, a, b),
        };
        // The Thai calendar counts from 543 years earlier. A year of two digits is in the range of years in which
        // certificates are used.
        let year = match year {
            0..=69 => year + 2000,
            70..=99 => year + 1900,
            2400..=2700 => year - 543,
            other => other,
        };
        let hour = match (self.half, self.clock.0) {
            (Some(ClockHalf::Morning), 12) => 0,
            (Some(ClockHalf::Afternoon), hour) if hour < 12 => hour + 12,
            (_, hour) => hour,
        };
        // Years of other calendars are refused, since every certificate would be invalid in them.
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
        let time = date.and_hms_opt(hour, self.clock.1, self.clock.2)?;
        (1950..=9999).contains(&year).then(|| time.and_utc().timestamp_millis())
    }
}

impl DateOrder {
    /// Returns the likeliest order that fits all dates.
    fn of_all<'a>(dates: impl Iterator<Item = &'a RawDate> + Clone) -> Option<DateOrder> {
        use DateOrder::{DayMonthYear, MonthDayYear, YearMonthDay};
        let fits = |order: &DateOrder| dates.clone().all(|date| date.millis(*order).is_some());
        [DateOrder::likely(dates.clone()), DayMonthYear, MonthDayYear, YearMonthDay].into_iter().find(fits)
    }

    fn likely<'a>(dates: impl Iterator<Item = &'a RawDate> + Clone) -> DateOrder {
        if dates.clone().any(|date| date.begins_with_year) {
            return DateOrder::YearMonthDay;
        }
        match dates.clone().next() {
            Some(date) if date.half.is_some() && !date.has_dots => DateOrder::MonthDayYear,
            _ => DateOrder::DayMonthYear,
        }
    }
}

/// Returns the half of the day that the letters beside a time name.
fn half(letters: &str) -> Option<ClockHalf> {
    let letters = letters.to_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| letters == *word);
    if is(&["pm", "下午", "午後", "오후", "μμ", "م", "ch"]) {
        Some(ClockHalf::Afternoon)
    } else if is(&["am", "上午", "午前", "오전", "πμ", "ص", "sa"]) {
        Some(ClockHalf::Morning)
    } else {
        None
    }
}
