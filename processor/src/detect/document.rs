//! The document of an incident: all its numbers are computed here, at a transition, and nowhere else.

use std::collections::BTreeMap;

use wulog_schemas::alert::{
    Alert, CodeCount, Contrast, Evidence, Exemplar, Factor, Growth, Handling, Hosts, IncidentKind, Level, NO_WSUS,
    Provenance, RawRange, SCHEMA, Severity, State, SubjectCount, Times, Transition, UtcTime,
};

use super::activity::quarter;
use super::certificates::{Certificates, Findings, value_of, wsus_of};
use super::config::DetectorConfig;
use super::durations::{DAY_MS, secs_to_ms};
use super::factors::Comparison;
use super::fleet::{Fleet, HostIndex};
use super::incident::{Incident, IncidentPhase};
use super::onset::Onset;
use super::remedy;
use super::stats::rounded;

const SUBJECTS_MAX: usize = 20;
const EXEMPLARS_MAX: usize = 10;
const SILENT_NAMES_MAX: usize = 50;
const HOUR_MS: i64 = 60 * 60 * 1000;

/// The inputs of a document besides the incident and its comparison.
pub(super) struct DocumentContext<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) certificates: &'a Certificates,
    pub(super) config: &'a DetectorConfig,
    pub(super) provenance: &'a Provenance,
    /// Limit of host names.
    pub(super) names_max: usize,
    /// Log time.
    pub(super) now: i64,
}

/// Writes the next document of `incident`, and notes its number, time and hosts in the incident.
pub(super) fn write(
    incident: &mut Incident,
    transition: Transition,
    comparison: Comparison,
    context: &DocumentContext<'_>,
) -> Alert {
    let (fleet, now) = (context.fleet, context.now);
    incident.seq += 1;
    let growth = growth(incident);
    let codes = codes(incident, fleet);
    let times = Times {
        onset: UtcTime(incident.onset),
        ongoing_at_start: incident.members.values().any(|member| member.onset.late),
        last_new_host: UtcTime(incident.members.values().map(|member| member.onset.since).max().unwrap_or(now)),
        opened: UtcTime(incident.opened_at),
        updated: UtcTime(now),
        resolved: incident.resolved_at.map(UtcTime),
    };
    let replay = format!(
        "wulog-processor replay --config processor.toml --stage signals --since {} --until {} --alerts-out -",
        UtcTime(times.onset.0 - DAY_MS),
        UtcTime(now + 1), // + 1, since a range ends before its end
    );
    let hosts = hosts(incident, &comparison, context, &replay);
    let subjects = subjects(incident, fleet);
    let found = Findings::of(incident, &comparison, context);
    let (wsus, has_publisher) = (wsus_of(incident, fleet), found.are_cause());
    let titles = subjects.iter().filter_map(|subject| subject.name.as_deref());
    let builds = builds(incident, fleet).or_of_titles(titles);
    let mut remediation = remedy::of_incident(&remedy::RemedyState {
        family: incident.family,
        families: &incident.families,
        codes: &codes,
        subjects: &subjects,
        wsus: wsus.as_deref(),
        has_publisher,
        builds: &builds,
        succeeded_elsewhere: comparison.same_subject_succeeded,
    });
    found.answer(&mut remediation);
    let alert = Alert {
        schema: SCHEMA.to_owned(),
        id: incident.id.clone(),
        seq: incident.seq,
        kind: IncidentKind::Failures,
        state: match incident.phase {
            IncidentPhase::Spreading | IncidentPhase::Stable => State::Open,
            IncidentPhase::Resolved => State::Resolved,
            IncidentPhase::Expired => State::Expired,
            IncidentPhase::Merged => State::Merged,
        },
        transition,
        summary: found.complete(summary(incident, &hosts, &codes, &times, &comparison, (fleet, has_publisher))),
        family: incident.family,
        families: incident.families.iter().copied().collect(),
        severity: severity(incident, &hosts, &growth, comparison.factors.first()),
        remediation,
        codes,
        subjects,
        contrast: Contrast {
            same_subject_succeeded_hosts: comparison.same_subject_succeeded,
            same_first_factor_healthy_hosts: found.healthy_with_first(comparison.same_first_factor_healthy),
        },
        evidence: evidence(incident, fleet),
        replay,
        common_factors: found.among(comparison.factors),
        certificates: found.into_documents(),
        not_common: comparison.not_common,
        unknown: comparison.unknown,
        detection: incident.significance.document(&incident.rules_met),
        detector: context.provenance.clone(),
        related: incident.relations.document(),
        handling: Handling::default(),
        time: times,
        hosts,
        growth,
    };
    incident.notified_at = now;
    incident.notified_hosts = incident.hosts();
    alert
}

fn by_first_failure(incident: &Incident) -> Vec<&Onset> {
    let mut onsets: Vec<&Onset> = incident.members.values().map(|member| &member.onset).collect();
    onsets.sort_by_key(|onset| (onset.since, onset.host));
    onsets
}

fn hosts(incident: &Incident, comparison: &Comparison, context: &DocumentContext<'_>, replay: &str) -> Hosts {
    let (fleet, names_max) = (context.fleet, context.names_max);
    let name = |onset: &&Onset| fleet.hosts[onset.host as usize].name().to_owned();
    let heard_since = quarter(context.now - secs_to_ms(context.config.silent_secs));
    let is_silent = |onset: &&Onset| {
        !incident.members[&onset.host].recovered
            && fleet.hosts[onset.host as usize].activity.latest().is_none_or(|latest| latest < heard_since)
    };
    let onsets = by_first_failure(incident);
    let silent: Vec<String> = onsets.iter().copied().filter(is_silent).map(|onset| name(&onset)).collect();
    Hosts {
        affected: incident.hosts(),
        active: comparison.active,
        share_of_active: rounded(incident.hosts() as f64 / comparison.active.max(1) as f64).min(1.0),
        new_since_last: incident.hosts().saturating_sub(incident.notified_hosts),
        recovered: incident.recovered,
        silent: silent.len() as u64,
        chronic_excluded: comparison.chronic,
        unreadable: comparison.unreadable,
        names: onsets.iter().take(names_max).map(name).collect(),
        names_complete: onsets.len() <= names_max && incident.unnamed_hosts == 0,
        full_list: (onsets.len() > names_max).then(|| format!("{replay} --all-hosts")),
        silent_names: silent.into_iter().take(SILENT_NAMES_MAX).collect(),
    }
}

fn growth(incident: &Incident) -> Growth {
    let times: Vec<i64> = by_first_failure(incident).iter().map(|onset| onset.since).collect();
    let last = times.last().copied().unwrap_or(0);
    // Half of the hosts, rounded up, failed at or before this one.
    let half = times.get(times.len().saturating_sub(1) / 2).copied().unwrap_or(last);
    let doubling_secs = ((last - half) / 1000).unsigned_abs();
    Growth {
        doubling_secs: (times.len() >= 2).then_some(doubling_secs),
        hosts_in_last_hour: times.iter().filter(|time| **time > last - HOUR_MS).count() as u64,
    }
}

/// Builds of Windows on the hosts of an incident.
fn builds(incident: &Incident, fleet: &Fleet) -> remedy::Builds {
    let version =
        |host: &HostIndex| value_of(*host, "os_build", fleet).or_else(|| value_of(*host, "client_build", fleet));
    remedy::Builds::of(incident.members.keys().map(version))
}

fn codes(incident: &Incident, fleet: &Fleet) -> Vec<CodeCount> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for member in incident.members.values() {
        *counts.entry(fleet.strings.text(member.onset.code)).or_default() += 1;
    }
    let mut codes: Vec<CodeCount> = counts
        .into_iter()
        .map(|(code, hosts)| CodeCount { code: code.to_owned(), symbol: super::code_symbol::of(code), hosts })
        .collect();
    codes.sort_by_key(|count| std::cmp::Reverse(count.hosts));
    codes
}

fn subjects(incident: &Incident, fleet: &Fleet) -> Vec<SubjectCount> {
    let mut subjects: Vec<SubjectCount> = incident
        .subjects
        .iter()
        .map(|(subject, hosts)| SubjectCount {
            subject: fleet.strings.text(*subject).to_owned(),
            name: fleet.name_of_subject(*subject).map(str::to_owned),
            hosts: *hosts,
        })
        .collect();
    subjects.sort_by(|a, b| b.hosts.cmp(&a.hosts).then_with(|| a.subject.cmp(&b.subject)));
    subjects.truncate(SUBJECTS_MAX);
    subjects
}

fn evidence(incident: &Incident, fleet: &Fleet) -> Evidence {
    let mut ranges: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
    for member in incident.members.values() {
        let raw = member.onset.raw;
        let range = ranges.entry(raw.partition).or_insert((raw.offset, raw.offset));
        *range = (range.0.min(raw.offset), range.1.max(raw.offset));
    }
    let exemplar = |onset: &Onset| Exemplar {
        host: fleet.hosts[onset.host as usize].name().to_owned(),
        time: UtcTime(onset.since),
        subject: fleet.strings.text(onset.subject).to_owned(),
        code: fleet.strings.text(onset.code).to_owned(),
        partition: onset.raw.partition,
        offset: onset.raw.offset,
    };
    Evidence {
        ranges: ranges
            .into_iter()
            .map(|(partition, (from, last))| RawRange { partition, from, until: last.saturating_add(1) })
            .collect(),
        exemplars: by_first_failure(incident).into_iter().take(EXEMPLARS_MAX).map(exemplar).collect(),
        late_hosts: incident.members.values().filter(|member| member.onset.late).count() as u64,
    }
}

/// The severity by reach and speed; a common factor only adds a reason. The thresholds are a first opinion; operators
/// set their own in rules.
fn severity(incident: &Incident, hosts: &Hosts, growth: &Growth, first: Option<&Factor>) -> Severity {
    let mut reasons = vec![format!("{} of the active hosts are affected", percent(hosts.share_of_active))];
    let mut level = match hosts.share_of_active {
        share if share >= 0.5 && hosts.affected >= 20 => Level::Critical,
        share if share >= 0.1 && hosts.affected >= 5 => Level::High,
        _ if hosts.affected >= 100 => Level::High,
        _ => Level::Medium,
    };
    if incident.is_open()
        && hosts.affected >= 10
        && growth.doubling_secs.is_some_and(|secs| secs <= 3600)
        && level < Level::High
    {
        reasons.push("the number of hosts doubled within an hour".to_owned());
        level = Level::High;
    }
    if let Some(first) = first {
        reasons.push(format!("{} of them share {} {}", percent(first.coverage), first.dimension, first.value));
    }
    if incident.severity_min > level {
        reasons.push(format!("a rule of yours asks for {}: {}", incident.severity_min, incident.rules_met.join(", ")));
    }
    level = level.max(incident.severity_min);
    let over = match incident.phase {
        IncidentPhase::Spreading | IncidentPhase::Stable => None,
        IncidentPhase::Resolved => Some(match (incident.recovered, incident.withdrawn()) {
            (_, 0) => "it is over: the affected hosts have succeeded".to_owned(),
            (recovered, withdrawn) if withdrawn < recovered => format!(
                "it is over: {} of the affected hosts have succeeded, and the update is no longer offered to {withdrawn}",
                recovered - withdrawn
            ),
            _ => "the update is no longer offered to the affected hosts; none has shown that it trusts the certificate"
                .to_owned(),
        }),
        IncidentPhase::Expired => Some("nobody new has failed for long; it was never seen to be solved".to_owned()),
        IncidentPhase::Merged => incident.relations.merged_into.as_ref().map(|id| format!("it goes on as {id}")),
    };
    if let Some(over) = over {
        reasons.push(over);
        level = Level::Low;
    }
    Severity { level, reasons }
}

/// One sentence: who fails at what, how many of the hosts that could have failed, and how the other hosts fare.
/// `is_certificate` says that a certificate is the cause, which another sentence names.
fn summary(
    incident: &Incident,
    hosts: &Hosts,
    codes: &[CodeCount],
    times: &Times,
    comparison: &Comparison,
    (fleet, is_certificate): (&Fleet, bool),
) -> String {
    let code = codes.first().map_or("a trust failure", |code| code.symbol.as_deref().unwrap_or(&code.code));
    let since = &times.onset.to_string()[..16].replace('T', " ");
    let (said, first) = (&comparison.said, comparison.factors.first());
    let of_hosts = first.filter(|factor| !matches!(factor.dimension.as_str(), "update" | "file" | "server"));
    let whose = of_hosts.map_or(String::new(), |factor| match factor.dimension.as_str() {
        "wsus" if factor.value == NO_WSUS => " without a WSUS server".to_owned(),
        "wsus" => format!(" of {}", factor.value),
        dimension => format!(" with {dimension} {}", factor.value),
    });
    let name = said
        .subject
        .map(|subject| fleet.name_of_subject(subject).unwrap_or_else(|| fleet.strings.text(subject)).to_owned());
    // An incident that expired was never seen to be solved.
    let past = times.resolved.is_some() && incident.phase != IncidentPhase::Expired;
    let operations = operations(incident, fleet);
    let fail = match incident.phase {
        _ if past => "failed",
        IncidentPhase::Expired => "fail",
        _ => "newly fail",
    };
    let (who, does) = match (name, verb_of_update(&operations)) {
        (Some(name), Some(verb)) => (
            format!("{} of the {} hosts{whose} that tried {name}", said.failed, said.tried.max(said.failed)),
            format!("{} to {verb} it", if past { "failed" } else { "fail" }),
        ),
        // A scan is about no update, whatever the hosts fail at besides.
        (Some(_), None) => (format!("{} hosts{whose}", said.failed), format!("{fail} to scan for updates")),
        (None, verb) => (
            format!("{} of the {} active hosts{whose}", said.failed, said.tried.max(said.failed)),
            match verb.filter(|_| most(&operations) != Some("scan")) {
                Some(verb) => format!("{fail} to {verb} updates"),
                None => format!("{fail} to scan for updates"),
            },
        ),
    };
    let others = match (of_hosts, said.others_failed) {
        // An update that was offered to these hosts alone would fail on the others too, for all that is known.
        (Some(_), 0) if said.subject.is_some() && said.others_tried == 0 => {
            format!("; none of the {} other hosts has tried it", said.others_healthy)
        }
        (Some(_), 0) => format!("; none of the {} other hosts does", said.others_healthy),
        (Some(_), failed) => format!("; so do {failed} of the {} other hosts", failed + said.others_healthy),
        (None, _) => match first {
            Some(_) => String::new(),
            None if is_certificate => String::new(),
            None => "; nothing stands out that they share".to_owned(),
        },
    };
    let mut total = format!("{} of {} hosts, {}", hosts.affected, hosts.active, percent(hosts.share_of_active));
    if hosts.recovered > 0 && incident.phase != IncidentPhase::Resolved {
        total.push_str(&format!("; {} of them have recovered", hosts.recovered));
    }
    let unread =
        if hosts.unreadable > 0 { format!(" {} hosts cannot be read.", hosts.unreadable) } else { String::new() };
    format!("{who} {does} with {code} since {since} UTC{others} ({total}).{unread}")
}

/// The operations at which members failed, with the number of members.
fn operations<'a>(incident: &Incident, fleet: &'a Fleet) -> BTreeMap<&'a str, u64> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for member in incident.members.values() {
        *counts.entry(fleet.strings.text(member.onset.operation)).or_default() += 1;
    }
    counts.remove("(other)");
    counts
}

/// The operation of most hosts.
fn most<'a>(operations: &BTreeMap<&'a str, u64>) -> Option<&'a str> {
    operations.iter().max_by_key(|(name, hosts)| (**hosts, std::cmp::Reverse(**name))).map(|(name, _)| *name)
}

/// The verb for the operation with an update at which most members failed; `None` where all of them only scanned.
fn verb_of_update(operations: &BTreeMap<&str, u64>) -> Option<&'static str> {
    let mut of_update = operations.clone();
    let scanned = of_update.remove("scan").is_some();
    match most(&of_update) {
        Some("download") => Some("download"),
        Some("verification" | "signature") => Some("verify"),
        Some(_) => Some("install"),
        None => (!scanned).then_some("install"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_downloaded_or_installed_and_never_scanned_for() {
        let verb = |operations: &[(&'static str, u64)]| verb_of_update(&operations.iter().copied().collect());
        assert_eq!(verb(&[("scan", 9), ("download", 2), ("install", 1)]), Some("download"));
        assert_eq!(verb(&[("verification", 3), ("download", 2)]), Some("verify"));
        assert_eq!(verb(&[("install", 4)]), Some("install"));
        assert_eq!(verb(&[]), Some("install"));
        assert_eq!(verb(&[("scan", 9)]), None);
        assert_eq!(most(&[("scan", 9), ("download", 2)].into()), Some("scan"));
    }
}
