//! An alert as text for an operator at 3 a.m.: the failure, the numbers, the onset, the shared values, the checks to
//! make.
//!
//! The text is ASCII with lines of at most `width`; a longer command is broken by the rules of the shell, so that it
//! can be copied. The caller adds colour, since it knows the terminal.

use wulog_schemas::alert::{Alert, Factor, IncidentKind, Method, Related, State, UtcTime};

mod page;

pub(crate) use page::{TextPage, ascii, letters};

/// Minimum width; a smaller width is replaced by this one.
const WIDTH_MIN: usize = 40;
const NAMES_SHOWN: usize = 8;
const FACTORS_SHOWN: usize = 5;
const EXEMPLARS_SHOWN: usize = 3;

/// The beginning of commands in a document, which cannot know the place of its log.
const REPLAY_OF_LIVE: &str = "replay --config processor.toml";

/// A command of a document, or text that holds one, adapted to the log of the document: `--config FILE` or `--db FILE`.
#[must_use]
pub(crate) fn replayed_from(text: &str, log: &str) -> String {
    text.replace(REPLAY_OF_LIVE, &format!("replay {log}"))
}

/// The alert as text of lines no wider than `width` (names that are longer apart), with a line ending at its end.
#[must_use]
pub fn print_alert(alert: &Alert, width: usize) -> String {
    let mut page = TextPage::new(width.max(WIDTH_MIN), ascii);
    heading(&mut page, alert);
    match alert.kind {
        IncidentKind::Failures => {
            facts(&mut page, alert);
            common(&mut page, alert);
            certificates(&mut page, alert);
            checks(&mut page, alert);
            proof(&mut page, alert);
        }
        IncidentKind::Warning => {
            concerned(&mut page, alert);
            certificates(&mut page, alert);
            checks(&mut page, alert);
        }
    }
    page.text
}

/// The changes since the document before, in a few lines: for transitions of an incident that was printed as a whole.
#[must_use]
pub fn print_update(alert: &Alert, width: usize) -> String {
    let mut page = TextPage::new(width.max(WIDTH_MIN), ascii);
    let when = short(alert.time.updated);
    page.line(&format!("{} #{} {} at {when}", alert.id, alert.seq, alert.transition.as_str()));
    page.wrapped("    ", &alert.summary);
    page.text
}

fn heading(page: &mut TextPage, alert: &Alert) {
    let level = alert.severity.level.to_string().to_uppercase();
    let title = title(alert);
    let head = match alert.state {
        State::Open => format!("{level}: {title} ({})", alert.transition),
        State::Resolved => format!("RESOLVED: {title}"),
        State::Expired => format!("GIVEN UP: {title}"),
        State::Merged => format!("MERGED: {title}"),
    };
    page.rule('=');
    page.wrapped("", &head);
    page.wrapped("", &format!("{} #{} at {}", alert.id, alert.seq, short(alert.time.updated)));
    page.rule('=');
    page.wrapped("", &alert.summary);
    page.blank();
}

/// The subject of an incident, in a few words.
pub(crate) fn title(alert: &Alert) -> String {
    match (alert.kind, alert.detection.method) {
        (IncidentKind::Failures, _) => format!("certificate trust failures, {}", alert.family),
        (IncidentKind::Warning, Method::CertificateExpires) => "certificate warning, a certificate expires".to_owned(),
        (IncidentKind::Warning, _) => "certificate warning, a certificate is missing".to_owned(),
    }
}

/// The hosts that a warning concerns.
fn concerned(page: &mut TextPage, alert: &Alert) {
    page.fact("hosts", &format!("{} of {} with an inventory", alert.hosts.affected, alert.hosts.active));
    page.fact("", &shown(&alert.hosts.names, alert.hosts.affected));
    page.fact("since", &short(alert.time.onset));
    page.blank();
}

fn facts(page: &mut TextPage, alert: &Alert) {
    let (hosts, time) = (&alert.hosts, &alert.time);
    let mut counts = format!("{} of {} active", hosts.affected, hosts.active);
    let new = if alert.seq > 1 { hosts.new_since_last } else { 0 };
    let more = [
        (new, "new since the last message"),
        (hosts.recovered, "recovered"),
        (hosts.silent, "silent"),
        (hosts.chronic_excluded, "chronic, not counted"),
    ];
    for (count, what) in more.iter().filter(|(count, _)| *count > 0) {
        counts.push_str(&format!(", {count} {what}"));
    }
    page.fact("hosts", &counts);
    page.fact("", &shown(&hosts.names, hosts.affected));
    if !hosts.silent_names.is_empty() {
        page.fact("silent", &shown(&hosts.silent_names, hosts.silent));
    }
    let before = if time.ongoing_at_start { " or earlier" } else { "" };
    let age = span((time.updated.0 - time.onset.0) / 1000);
    page.fact(
        "since",
        &format!("{}{before} ({age}); latest new host {}", short(time.onset), short(time.last_new_host)),
    );
    if let (Some(secs), State::Open) = (alert.growth.doubling_secs, alert.state) {
        let secs = i64::try_from(secs).unwrap_or(i64::MAX);
        page.fact(
            "growth",
            &format!("doubled within {}; {} in its last hour", span(secs), alert.growth.hosts_in_last_hour),
        );
    }
    let codes: Vec<String> = alert
        .codes
        .iter()
        .map(|count| {
            format!("{} {} on {}", count.code, count.symbol.as_deref().unwrap_or("(no symbol)"), hosts_of(count.hosts))
        })
        .collect();
    page.fact("codes", &codes.join(", "));
    let subjects: Vec<String> =
        alert.subjects.iter().take(3).map(|count| format!("{} on {}", count.subject, hosts_of(count.hosts))).collect();
    page.fact("fails at", &subjects.join(", "));
    page.fact("opened by", &opened_by(alert));
    if alert.families.len() > 1 {
        let families: Vec<&str> = alert.families.iter().map(|family| family.as_str()).collect();
        page.fact("families", &families.join(", "));
    }
    let related = related(&alert.related);
    if !related.is_empty() {
        page.fact("related", &related.join("; "));
    }
    page.blank();
}

fn related(related: &Related) -> Vec<String> {
    let mut text = Vec::new();
    text.extend(related.merged_into.iter().map(|id| format!("goes on as {id}")));
    text.extend(related.split_from.iter().map(|id| format!("split from {id}")));
    let many = [("took in", &related.merged_from), ("split into", &related.split_into)];
    text.extend(many.iter().filter(|(_, ids)| !ids.is_empty()).map(|(what, ids)| format!("{what} {}", ids.join(" "))));
    if related.adopted {
        text.push("state was lost, taken from its last document".to_owned());
    }
    text
}

fn opened_by(alert: &Alert) -> String {
    let found = &alert.detection;
    let window = span(i64::try_from(found.window_secs).unwrap_or(i64::MAX));
    let seen = format!("{} in {window}", hosts_of(found.seen_hosts));
    match found.method {
        Method::GammaPoisson | Method::SameUpdate => {
            format!("{seen} where {} were to be expected (p = {:e})", found.expected_hosts, found.p_value)
        }
        Method::Concentration => format!(
            "{seen} that share a value, where {} with it were to be expected (p = {:e})",
            found.expected_hosts, found.p_value
        ),
        Method::SmallFleet => format!("{seen}, a large share of a small fleet"),
        Method::Silence => {
            format!("{seen} and were not heard of since, where {} were to be expected", found.expected_hosts)
        }
        Method::Rule => format!("{seen}, by the rule {}", found.rule.as_deref().unwrap_or("(unnamed)")),
        Method::CertificateExpires => format!("a certificate that expires within {window}"),
        Method::CertificateMissing => format!("a certificate that {} lack", hosts_of(found.seen_hosts)),
    }
}

fn common(page: &mut TextPage, alert: &Alert) {
    page.wrapped("", "IN COMMON");
    if alert.common_factors.is_empty() {
        page.wrapped("  ", "nothing stands out");
    }
    for factor in alert.common_factors.iter().take(FACTORS_SHOWN) {
        page.wrapped("  ", &format!("{} {}", factor.dimension, factor.value));
        page.wrapped("      ", &weight(factor));
    }
    if !alert.not_common.is_empty() {
        page.wrapped("  ", &format!("not: {}", alert.not_common.join(", ")));
    }
    if !alert.unknown.is_empty() {
        page.wrapped("  ", &format!("unknown: {}", alert.unknown.join(", ")));
    }
    let tried = alert.contrast.same_subject_succeeded_hosts;
    if tried > 0 {
        page.wrapped("  ", &format!("the same succeeded on {} meanwhile", healthy_hosts(tried)));
    }
    let alike = alert.contrast.same_first_factor_healthy_hosts;
    if let (true, Some(first)) = (alike > 0, alert.common_factors.first()) {
        let which = match &*first.dimension {
            // The value is a sentence of its own, which is printed above.
            "certificate" => "of which the same is true".to_owned(),
            dimension => format!("with {dimension} {}", first.value),
        };
        page.wrapped("  ", &format!("not failed: {} {which}", healthy_hosts(alike)));
    }
    page.blank();
}

/// The findings of inventories about certificates, and the step that fixes the fault.
fn certificates(page: &mut TextPage, alert: &Alert) {
    if alert.certificates.is_empty() {
        return;
    }
    page.wrapped("", "CERTIFICATES");
    for finding in &alert.certificates {
        page.wrapped("  ", &finding.says);
        page.wrapped("  fix: ", &finding.fix);
    }
    page.blank();
}

fn weight(factor: &Factor) -> String {
    let mut text = format!(
        "{} of the affected, {} of the healthy (p = {:e})",
        percent(factor.coverage),
        percent(factor.in_healthy),
        factor.p_value
    );
    if factor.untried_elsewhere {
        text.push_str("; no healthy host tried it");
    }
    if let Some(other) = &factor.goes_along_with {
        text.push_str(&format!("; goes along with {other}"));
    }
    text
}

fn checks(page: &mut TextPage, alert: &Alert) {
    if matches!(alert.state, State::Resolved | State::Merged) {
        return;
    }
    page.wrapped("", "CHECK");
    for (number, step) in alert.remediation.iter().enumerate() {
        page.wrapped(&format!("  {}. ", number + 1), &step.check);
        if let Some(command) = &step.command {
            let on = step.on.as_deref().map(|on| format!("  (on {on})")).unwrap_or_default();
            page.windows_command(command, &on);
        }
        if let Some(answer) = &step.answered {
            page.wrapped("     answered: ", answer);
        }
    }
    page.blank();
}

fn proof(page: &mut TextPage, alert: &Alert) {
    page.wrapped("", "EVIDENCE");
    for exemplar in alert.evidence.exemplars.iter().take(EXEMPLARS_SHOWN) {
        let place = format!("raw {}@{}", exemplar.partition, exemplar.offset);
        page.wrapped("  ", &format!("{} {} {} {place}", short(exemplar.time), exemplar.host, exemplar.code));
    }
    let ranges: Vec<String> = alert
        .evidence
        .ranges
        .iter()
        .map(|range| format!("{}@{}..{}", range.partition, range.from, range.until))
        .collect();
    page.wrapped("  ", &format!("all in wulog.raw (partition@offset) {}", ranges.join(", ")));
    page.wrapped("  ", "replay with:");
    page.command(&alert.replay, "");
    if let Some(command) = &alert.hosts.full_list {
        page.wrapped("  ", "all hosts by name:");
        page.command(command, "");
    }
}

/// The text with a capital letter at its beginning.
pub(crate) fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(crate) fn short(time: UtcTime) -> String {
    let text = time.to_string();
    format!("{} {} UTC", &text[..10], &text[11..19])
}

fn span(secs: i64) -> String {
    let (minutes, hours, days) = (secs / 60, secs / 3600, secs / 86_400);
    match secs {
        ..120 => format!("{secs} s"),
        120..7200 => format!("{minutes} min"),
        7200..172_800 if minutes % 60 == 0 => format!("{hours} h"),
        7200..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

pub(crate) fn hosts_of(count: u64) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}

fn healthy_hosts(count: u64) -> String {
    if count == 1 { "1 healthy host".to_owned() } else { format!("{count} healthy hosts") }
}

fn shown(names: &[String], all: u64) -> String {
    let mut text = names.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(" ");
    let hidden = all.saturating_sub(names.len().min(NAMES_SHOWN) as u64);
    if hidden > 0 {
        text.push_str(&format!(" and {hidden} more"));
    }
    text
}
