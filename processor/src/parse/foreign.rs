//! Lines of other programs' logs, recognized by their form.
//!
//! ```text
//! cbs, dism, setupact   2023-03-14 03:11:45, Error                 CBS    Failed to resolve package ...
//! setupact              [02/24/2023 07:07.05.259] WudfCoInstaller: Final status: ...
//! mpsigstub             Start time: 2023-08-15 04:11:37Z
//! iis                   #Software: Microsoft Internet Information Services 10.0
//!                       2024-03-07 00:00:05 10.0.0.5 POST /ClientWebService/client.asmx - 8530 - 10.0.0.31 ...
//! wsus_server           2024-03-07 05:10:11.123 UTC TAB Error TAB WsusService.11 TAB Class.Method TAB ...
//! delivery_optimization 2022-02-09T00:03:16.9641605Z  AC8 4618     Info {CBackgroundCopyJob::Resume} ...
//! publishing_tool       24.01.2023 12:47:26 TAB Failed to sign package; error was: 2149122451
//! ```
//!
//! An administrator who gathers `*.log` gathers these logs too. Their failures are not failures of the Windows Update
//! client, so a line of such a form never counts; the event names the form and has the time of the line. A dated line
//! of a form that is not listed here is [`Form::Text`] with its time. Logs of Configuration Manager are read in
//! [`super::cmtrace`].

use wulog_schemas::event::Form;

use super::find::find;
use super::line_columns::{Columns, trim};
use super::other_time::{clock_fraction, day_first, iso, month_first};
use super::time::{LocalTime, TakenTime, take};

/// Severity words of Windows Setup and of the servicing stack.
const LEVELS: [&str; 6] = ["Info", "Warning", "Error", "Perf", "Verbose", "Fatal"];

/// Returns the columns of a line with a date and time, and without process and thread id after them.
pub(super) fn dated<'a>(taken: &TakenTime<'a>) -> Columns<'a> {
    let TakenTime { time, rest, .. } = *taken;
    servicing(time, rest)
        .or_else(|| wsus_server(time, rest))
        .or_else(|| web_request(time, rest))
        .unwrap_or_else(|| other(time, rest))
}

/// Splits a line that does not begin with a date in the form of Windows Update.
pub(super) fn undated(line: &str) -> Option<Columns<'_>> {
    let line = line.trim_start();
    let first = *line.as_bytes().first()?;
    match first {
        b'#' => w3c_header(line),
        b'[' => bracketed(line),
        b'0'..=b'9' => iso_dated(line).or_else(|| culture_dated(line)),
        b'S' | b'E' => defender(line).or_else(|| undated_server(line)),
        b'W' | b'I' | b'w' => undated_server(line),
        _ => None,
    }
    .or_else(|| names_publisher(line).then(|| columns(Form::PublishingTool, None, None, line)))
}

/// Returns the form of a line in a file of another form, where the component column is no proof: CBS.log has lines of
/// other components too.
#[must_use]
pub fn in_file_of(line: Form, file: Form) -> Form {
    match (line, file) {
        (Form::SetupAct | Form::Cbs | Form::Dism, Form::Cbs | Form::Dism | Form::SetupAct) => file,
        (Form::Text | Form::Message, file) if file.is_foreign() => file,
        _ => line,
    }
}

fn columns<'a>(form: Form, time: Option<LocalTime>, component: Option<&'a str>, message: &'a str) -> Columns<'a> {
    Columns { form, time, pid: None, tid: None, component, level: None, message: trim(message) }
}

/// `2023-02-24 07:12:34, Error      [0x0808fe] MIG    Plugin ...`
fn servicing(time: LocalTime, rest: &str) -> Option<Columns<'_>> {
    let rest = rest.strip_prefix(',')?.trim_start();
    let level = LEVELS.into_iter().find(|level| rest.starts_with(level))?;
    let rest = rest[level.len()..].strip_prefix([' ', '\t'])?.trim_start();
    let rest = match rest.strip_prefix("[0x").and_then(|rest| rest.split_once(']')) {
        Some((code, rest)) if code.bytes().all(|byte| byte.is_ascii_hexdigit()) => rest.trim_start(),
        _ => rest,
    };
    let end = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let is_column = end > 0 && (end == rest.len() || rest.as_bytes()[end] == b' ' || rest.as_bytes()[end] == b'\t');
    let (component, message) = if is_column { (Some(&rest[..end]), &rest[end..]) } else { (None, rest) };
    let form = match component {
        Some("CBS" | "CSI" | "DPX") => Form::Cbs,
        Some("DISM") => Form::Dism,
        _ => Form::SetupAct,
    };
    Some(columns(form, Some(time), component, message))
}

/// `.123 UTC TAB Error TAB WsusService.11 TAB CabUtilities.CheckCertificateSignature TAB ...`
fn wsus_server(time: LocalTime, rest: &str) -> Option<Columns<'_>> {
    let (nanos, rest) = clock_fraction(rest)?;
    let rest = rest.trim_start_matches(' ').strip_prefix("UTC")?;
    if !rest.starts_with(['\t', ' ']) {
        return None;
    }
    let time = LocalTime { nanos, offset_min: Some(0), ..time };
    let mut fields = rest.trim_start().splitn(4, '\t');
    let (component, message) = match (fields.next(), fields.next(), fields.next(), fields.next()) {
        (Some(_), Some(_), Some(component), Some(message)) => (Some(component.trim()), message),
        _ => (None, rest),
    };
    Some(columns(Form::WsusServer, Some(time), component.filter(|name| !name.is_empty()), message))
}

/// Splits `Warning WsusService.11 ContentSyncAgent.ProcessQueue ...`: a line of the WSUS server whose time a copy lost.
fn undated_server(line: &str) -> Option<Columns<'_>> {
    let level = LEVELS.into_iter().find_map(|level| line.strip_prefix(level)?.strip_prefix([' ', '\t']));
    let (process, rest) = level.unwrap_or(line).trim_start().split_once([' ', '\t'])?;
    let (name, thread) = process.split_once('.')?;
    let fits = matches!(name, "WsusService" | "w3wp" | "WsusUtil") && thread.bytes().all(|byte| byte.is_ascii_digit());
    let (component, message) = rest.trim_start().split_once([' ', '\t']).filter(|_| fits)?;
    Some(columns(Form::WsusServer, None, Some(component), message))
}

/// ` 10.0.0.5 POST /ClientWebService/client.asmx - 8530 ...`, ` W3SVC1 WSUS01 10.0.0.5 GET /...`, ` GET /...`: W3C logs are in
/// UTC.
fn web_request(time: LocalTime, rest: &str) -> Option<Columns<'_>> {
    const METHODS: [&str; 8] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PROPFIND", "CONNECT"];
    let mut words = rest.split_ascii_whitespace();
    let first = words.next()?;
    let fits =
        is_address(first) || first.starts_with("W3SVC") || METHODS.contains(&first) && words.next()?.starts_with('/');
    let time = LocalTime { offset_min: Some(0), ..time };
    fits.then(|| columns(Form::Iis, Some(time), None, rest))
}

/// True for an address of IPv4 or IPv6.
fn is_address(word: &str) -> bool {
    word.parse::<std::net::IpAddr>().is_ok()
}

/// `#Software: Microsoft Internet Information Services 10.0`, `#Fields: date time s-ip cs-method ...`
fn w3c_header(line: &str) -> Option<Columns<'_>> {
    let is_web = match line.split_once(": ")? {
        ("#Software", software) => software.contains("Internet Information") || software.contains("HTTP API"),
        ("#Fields", fields) => fields.contains("cs-") || fields.contains("s-ip") || fields.contains("c-ip"),
        _ => false,
    };
    is_web.then(|| columns(Form::Iis, None, None, line))
}

/// `[02/24/2023 07:07.05.259] WudfCoInstaller: ...`, or any other program's date in brackets.
fn bracketed(line: &str) -> Option<Columns<'_>> {
    let inner = line.strip_prefix('[')?;
    if let Some((time, rest)) = month_first(inner) {
        return Some(columns(Form::SetupAct, Some(time), None, rest.strip_prefix(']')?));
    }
    let (time, rest) = match take(inner) {
        Some(taken) => (taken.time, taken.rest),
        None => iso(inner).or_else(|| day_first(inner))?,
    };
    let (nanos, rest) = clock_fraction(rest).unwrap_or((time.nanos, rest));
    let end = rest.find(']').filter(|end| *end <= ZONE_BYTES_MAX)?;
    Some(columns(Form::Text, Some(LocalTime { nanos, ..time }), None, &rest[end + 1..]))
}

/// Longest text between the time and the closing bracket: a zone.
const ZONE_BYTES_MAX: usize = 8;

/// Splits a line with a `T` between date and time. Delivery Optimization writes hexadecimal ids, a level and a function
/// after it.
fn iso_dated(line: &str) -> Option<Columns<'_>> {
    let (time, rest) = iso(line)?;
    let mut words = rest.split_ascii_whitespace();
    let mut id = || u32::from_str_radix(words.next().filter(|word| word.len() <= 8)?, 16).ok();
    let ids = id().zip(id());
    let level = words.next().is_some_and(|word| LEVELS.contains(&word) || word == "Warn");
    let function = words.next().is_some_and(|word| word.starts_with('{'));
    match ids.filter(|_| level && function) {
        Some((pid, tid)) => {
            let message = &rest[rest.find('{').unwrap_or_default()..];
            let columns = columns(Form::DeliveryOptimization, Some(time), None, message);
            Some(Columns { pid: Some(pid), tid: Some(tid), ..columns })
        }
        None => Some(columns(Form::Text, Some(time), None, rest)),
    }
}

/// Splits `24.01.2023 12:47:26 TAB text`: some programs write dates in the form of their user's culture. Publishing
/// tools end the column with a tab.
fn culture_dated(line: &str) -> Option<Columns<'_>> {
    let (time, rest) = day_first(line)?;
    let form = if rest.starts_with('\t') || names_publisher(rest) { Form::PublishingTool } else { Form::Text };
    Some(columns(form, time.is_plausible().then_some(time), None, rest))
}

/// True where a line names a program that publishes updates.
fn names_publisher(line: &str) -> bool {
    const NAMES: [&str; 4] =
        ["Wsus_Package_Publisher", "Wsus Package Publisher", "LocalUpdatePublisher", "Local Update Publisher"];
    // One search for the common part of all names rejects nearly every line.
    find(line, "Publisher").is_some() && NAMES.into_iter().any(|name| line.contains(name))
}

/// `Start time: 2023-08-15 04:11:37Z`, `End time: ...`
fn defender(line: &str) -> Option<Columns<'_>> {
    let rest = line.strip_prefix("Start time: ").or_else(|| line.strip_prefix("End time: "))?;
    let taken = take(rest)?;
    let is_utc = taken.rest.trim_end() == "Z";
    let offset_min = if is_utc { Some(0) } else { taken.time.offset_min };
    (is_utc || taken.rest.trim().is_empty())
        .then(|| columns(Form::MpSigStub, Some(LocalTime { offset_min, ..taken.time }), None, line))
}

/// Returns the columns of a dated line of an unknown form: only its time is read.
fn other(time: LocalTime, rest: &str) -> Columns<'_> {
    let (nanos, rest) = clock_fraction(rest).unwrap_or((time.nanos, rest));
    let rest = rest.trim_start_matches(' ');
    let (offset_min, rest) = match rest.strip_prefix("UTC").or_else(|| rest.strip_prefix('Z')) {
        Some(rest) if !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) => (Some(0), rest),
        _ => (time.offset_min, rest),
    };
    columns(Form::Text, Some(LocalTime { nanos, offset_min, ..time }), None, rest.trim_start_matches([',', ';']))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    /// Form, seconds since 1970 as written, offset, component and message of a line.
    fn check(line: &str, expect: (Form, Option<i64>, Option<i32>, Option<&str>, &str)) {
        let entry = parse(line);
        let found = (
            entry.form,
            entry.time.map(|time| time.secs),
            entry.time.and_then(|time| time.offset_min),
            entry.component,
            entry.message,
        );
        assert_eq!(found, expect, "{line}");
    }

    /// The expected seconds are those of `date -u -d ... +%s`.
    #[test]
    fn forms_times_and_components() {
        use Form::*;
        check(
            "2023-03-14 03:11:45, Error                 CBS    Failed to resolve package [HRESULT = 0x800f0831 - X]",
            (Cbs, Some(1_678_763_505), None, Some("CBS"), "Failed to resolve package [HRESULT = 0x800f0831 - X]"),
        );
        check(
            "2023-03-14 03:11:46, Info                  CSI    00000008 Manifest",
            (Cbs, Some(1_678_763_506), None, Some("CSI"), "00000008 Manifest"),
        );
        check(
            "2023-03-14 03:11:46, Info                  DISM   DISM.EXE: Image session",
            (Dism, Some(1_678_763_506), None, Some("DISM"), "DISM.EXE: Image session"),
        );
        check(
            "2023-02-24 07:12:34, Error      [0x0808fe] MIG    Plugin {5}: x",
            (SetupAct, Some(1_677_222_754), None, Some("MIG"), "Plugin {5}: x"),
        );
        check(
            "[02/24/2023 07:07.05.259] WudfCoInstaller: Final status: error(0)",
            (SetupAct, Some(1_677_222_425), None, None, "WudfCoInstaller: Final status: error(0)"),
        );
        check(
            "Start time: 2023-08-15 04:11:37Z",
            (MpSigStub, Some(1_692_072_697), Some(0), None, "Start time: 2023-08-15 04:11:37Z"),
        );
        check(
            "2024-03-07 05:10:11.123 UTC\tError\tWsusService.11\tCabUtilities.Check\tFile failed with 2148204800",
            (WsusServer, Some(1_709_788_211), Some(0), Some("CabUtilities.Check"), "File failed with 2148204800"),
        );
        check(
            "2024-03-07 00:00:05 10.0.0.5 POST /ClientWebService/client.asmx - 8530",
            (Iis, Some(1_709_769_605), Some(0), None, "10.0.0.5 POST /ClientWebService/client.asmx - 8530"),
        );
        check(
            "2024-03-07 00:00:05 GET /selfupdate/iuident.cab 404",
            (Iis, Some(1_709_769_605), Some(0), None, "GET /selfupdate/iuident.cab 404"),
        );
        check(
            "#Fields: date time cs-method cs-uri-stem",
            (Iis, None, None, None, "#Fields: date time cs-method cs-uri-stem"),
        );
        check(
            "2022-02-09T00:03:16.9641605Z  AC8 4618     Info {CJob::Resume} hr = 0",
            (DeliveryOptimization, Some(1_644_364_996), Some(0), None, "{CJob::Resume} hr = 0"),
        );
        check(
            "24.01.2023 12:50:09\tFailed to sign package; error was: 2149122451",
            (PublishingTool, Some(1_674_564_609), None, None, "Failed to sign package; error was: 2149122451"),
        );
        check("7.3.2024 9:05:01\tErreur", (PublishingTool, Some(1_709_802_301), None, None, "Erreur"));
        check(
            "24.01.2023 12:47:26 Entering Wsus_Package_Publisher.WsusWrapper GetInstance()",
            (
                PublishingTool,
                Some(1_674_564_446),
                None,
                None,
                "Entering Wsus_Package_Publisher.WsusWrapper GetInstance()",
            ),
        );
    }

    /// Forms that nobody has described: the time is read where it is clear, and the form is `text`.
    #[test]
    fn other_programs_lines_are_text() {
        let check = |line: &str, secs: Option<i64>, message: &str| check(line, (Form::Text, secs, None, None, message));
        check(
            "2024-03-07 05:10:11,123 [12] ERROR Updater - failed 0x800b0109",
            Some(1_709_788_211),
            "[12] ERROR Updater - failed 0x800b0109",
        );
        check(
            "2024-03-07 05:10:11 1234 5678 ERROR failed 0x800b0109",
            Some(1_709_788_211),
            "1234 5678 ERROR failed 0x800b0109",
        );
        check("[2024-03-07 05:10:11,123] failed 0x800b0109", Some(1_709_788_211), "failed 0x800b0109");
        check("07.03.2024 05:10:11 failed 0x800b0109", Some(1_709_788_211), "failed 0x800b0109");
        check("Mar  7 05:10:11 host app[1]: 0x800b0109", None, "Mar  7 05:10:11 host app[1]: 0x800b0109");
        check("03/04/2024 05:10:11 failed 0x800b0109", None, "failed 0x800b0109");
    }
}
