//! Answers to questions about the state of the Detector. An answer only reads, so alerts do not depend on questions.

use std::collections::BTreeSet;

use wulog_schemas::hresult::parse_hresult;

use super::DetectorState;
use super::config::DetectorConfig;
use super::durations::secs_to_ms;
use super::fleet::{HostIndex, HostState};
use super::member::Member;
use super::onset::Onset;
use super::strings::StringId;
use crate::question::{
    Answer, FleetState, HOSTS_MAX, HostDetails, HostList, HostRow, HostSearch, MEMBERS_MAX, MemberHost, Question,
};

/// Hosts of one name that are shown: a renamed or reinstalled machine has a new id.
const SAME_NAME_MAX: usize = 10;

/// The answer to a question.
pub(super) fn answer(state: &DetectorState, config: &DetectorConfig, question: &Question) -> Option<Answer> {
    let heard_since = state.log_time.saturating_sub(secs_to_ms(config.silent_secs));
    Some(match question {
        Question::Fleet => Answer::Fleet(fleet(state, heard_since)),
        Question::Hosts(search) => Answer::Hosts(hosts(state, heard_since, search)),
        Question::Host(name) => {
            let found = state.fleet.named(name).take(SAME_NAME_MAX);
            Answer::Host(found.map(|host| details(state, heard_since, host)).collect())
        }
        Question::Members(id) => Answer::Members(members(state, id)),
        // Signals do not hold the files of a host; Normalizers answer this question.
        Question::Files(_) => return None,
        Question::Certificates => Answer::Certificates(state.certificates.of_fleet(state.log_time)),
    })
}

fn fleet(state: &DetectorState, heard_since: i64) -> FleetState {
    let by_state = state.fleet.by_state(heard_since);
    let named = HostState::ALL.into_iter().zip(by_state);
    FleetState {
        hosts: state.fleet.hosts_known() as u64,
        by_state: named.map(|(state, hosts)| (state.as_str(), hosts as u64)).collect(),
        failing: state.fleet.failing_hosts(),
        with_inventory: state.certificates.hosts_known(),
        log_time: state.log_time,
    }
}

fn hosts(state: &DetectorState, heard_since: i64, search: &HostSearch) -> HostList {
    let text = search.text.trim();
    let mut others = state.certificates.hosts_with(text);
    others.extend(hosts_of_code(state, text));
    let wanted = state.fleet.wanted(text, others);
    let is_of_state = |row: &HostRow| match search.state.as_str() {
        "" => true,
        "failing" => row.failing > 0,
        wanted => row.state == wanted,
    };
    let mut total = 0;
    // The best rows so far, so that a million hosts need no list of a million rows.
    let mut best: BTreeSet<(bool, String, HostIndex)> = BTreeSet::new();
    for host in state.fleet.search(&wanted) {
        let known = &state.fleet.hosts[host as usize];
        if !search.state.is_empty() && !is_of_state(&state.fleet.row(host, heard_since)) {
            continue;
        }
        total += 1;
        let is_healthy = known.failing().is_empty();
        let goes_before =
            |last: &(bool, String, HostIndex)| (is_healthy, known.name(), host) < (last.0, last.1.as_str(), last.2);
        if best.len() < HOSTS_MAX || best.last().is_some_and(goes_before) {
            best.insert((is_healthy, known.name().to_owned(), host));
            if best.len() > HOSTS_MAX {
                best.pop_last();
            }
        }
    }
    let rows = best.into_iter().map(|(_, _, host)| state.fleet.row(host, heard_since));
    HostList { total, hosts: rows.collect() }
}

/// Onsets of all counted failures: of members of incidents, and of hosts that belong to no incident.
fn onsets(state: &DetectorState) -> impl Iterator<Item = &Onset> {
    let members = state.incidents.all().flat_map(|incident| incident.members.values().map(|member| &member.onset));
    members.chain(state.onsets.values().flat_map(|onsets| onsets.all()))
}

/// Hosts with a counted failure of the code that `text` names.
fn hosts_of_code(state: &DetectorState, text: &str) -> BTreeSet<HostIndex> {
    let code = parse_hresult(text).map(|code| format!("0x{code:08x}"));
    let Some(code) = code.and_then(|code| state.fleet.strings.find(&code)) else { return BTreeSet::new() };
    onsets(state).filter(|onset| onset.code == code).map(|onset| onset.host).collect()
}

fn details(state: &DetectorState, heard_since: i64, host: HostIndex) -> HostDetails {
    let code = |subject: StringId| {
        let found = onsets(state).filter(|onset| onset.host == host && onset.subject == subject);
        found.max_by_key(|onset| onset.time).map(|onset| state.fleet.strings.text(onset.code).to_owned())
    };
    let mut details = state.fleet.details(host, heard_since, code);
    let open = state.incidents.all().filter(|incident| incident.is_open() && incident.members.contains_key(&host));
    details.incidents = open.map(|incident| incident.id.clone()).collect();
    details.inventory = state.certificates.of_host(host);
    details
}

fn members(state: &DetectorState, id: &str) -> Option<Vec<MemberHost>> {
    let incident = state.incidents.all().find(|incident| incident.id == id)?;
    let text = |id: StringId| state.fleet.strings.text(id).to_owned();
    let recovered_at = |host: HostIndex, member: &Member| {
        let since = member.onset.since;
        let successes = state.fleet.hosts[host as usize].successes_since(since);
        let of_incident = successes
            .filter(|(subject, _)| incident.subjects.contains_key(subject) || *subject == member.onset.subject);
        of_incident.map(|(_, time)| time).min().filter(|_| member.recovered)
    };
    let known = |host: &HostIndex| state.fleet.hosts.get(*host as usize).is_some_and(|host| !host.is_forgotten());
    let mut members: Vec<MemberHost> = incident
        .members
        .iter()
        .filter(|(host, _)| known(host))
        .map(|(host, member)| MemberHost {
            name: state.fleet.hosts[*host as usize].name().to_owned(),
            first_failure: member.onset.since,
            code: text(member.onset.code),
            subject: text(member.onset.subject),
            title: state.fleet.name_of_subject(member.onset.subject).unwrap_or_default().to_owned(),
            recovered: member.recovered,
            recovered_at: recovered_at(*host, member),
            raw: (member.onset.raw.partition, member.onset.raw.offset),
            dimensions: state.fleet.dimensions(*host),
        })
        .collect();
    members.sort_by(|a, b| (a.first_failure, &a.name).cmp(&(b.first_failure, &b.name)));
    members.truncate(MEMBERS_MAX);
    Some(members)
}
