//! The filter of the history: the parameters of an address, the filter, and the address again.

use std::borrow::Cow;

use wulog_schemas::alert::{Alert, State};
use wulog_schemas::hresult::Family;

use super::incidents::{IncidentDocuments, IncidentIndex};
use crate::report::{self, capitalized};

/// Rows of a table, of its CSV file and of its JSON answer.
pub const ROWS_MAX: usize = 200;
/// Characters of a parameter that are read.
const PARAMETER_CHARS_MAX: usize = 200;

/// The states by name.
pub(super) const STATES: [(&str, State); 4] =
    [("open", State::Open), ("resolved", State::Resolved), ("expired", State::Expired), ("merged", State::Merged)];

/// A filter; an empty part matches all incidents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// State of the incident.
    pub state: Option<State>,
    /// One of the families of its failures.
    pub family: Option<Family>,
    /// Part of the name of a server.
    pub server: String,
    /// Part of the summary, of the id, or of the name of a host, an update, a code, a factor or a certificate.
    pub text: String,
}

/// The value of a parameter, cut to a limit; empty if it is missing.
#[must_use]
pub(super) fn parameter(query: &str, name: &str) -> String {
    let found = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
    found.map(|(_, value)| value.chars().take(PARAMETER_CHARS_MAX).collect()).unwrap_or_default()
}

impl Filter {
    /// The filter of the parameters `state`, `family`, `server` and `text`.
    ///
    /// # Errors
    /// Names the parameter with an unknown value.
    pub fn of_query(query: &str) -> Result<Filter, String> {
        let state = parameter(query, "state");
        let family = parameter(query, "family");
        let wrong = |name: &str, value: &str, known: &[&str]| {
            format!("{name} = {value:?} is unknown: use one of {}", known.join(", "))
        };
        let of_state = || STATES.into_iter().find(|(name, _)| *name == state).map(|(_, state)| state);
        let of_family = || Family::ALL.into_iter().find(|known| known.as_str() == family);
        Ok(Filter {
            state: match state.as_str() {
                "" => None,
                _ => Some(of_state().ok_or_else(|| wrong("state", &state, &STATES.map(|(name, _)| name)))?),
            },
            family: match family.as_str() {
                "" => None,
                _ => Some(of_family().ok_or_else(|| wrong("family", &family, &Family::ALL.map(Family::as_str)))?),
            },
            server: parameter(query, "server"),
            text: parameter(query, "text"),
        })
    }

    /// The filter as the query of an address; empty if all incidents match.
    #[must_use]
    pub fn query(&self) -> String {
        let state = self.state.and_then(|state| STATES.into_iter().find(|(_, known)| *known == state));
        let parts = [
            ("state", state.map(|(name, _)| name).unwrap_or_default()),
            ("family", self.family.map(Family::as_str).unwrap_or_default()),
            ("server", self.server.as_str()),
            ("text", self.text.as_str()),
        ];
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parts.into_iter().filter(|(_, value)| !value.is_empty()));
        query.finish()
    }

    /// The matching incidents, the newest onset first: their number, and the first [`ROWS_MAX`].
    #[must_use]
    pub fn rows<'a>(&self, incidents: &'a IncidentIndex) -> (usize, Vec<&'a IncidentDocuments>) {
        let mut rows = incidents.all();
        rows.retain(|known| self.fits(&known.newest));
        let total = rows.len();
        rows.truncate(ROWS_MAX);
        (total, rows)
    }

    fn fits(&self, alert: &Alert) -> bool {
        self.state.is_none_or(|state| alert.state == state)
            && self.family.is_none_or(|family| alert.families.contains(&family))
            && (self.server.is_empty() || servers(alert).any(|server| has(server, &self.server.to_lowercase())))
            && (self.text.is_empty() || texts(alert).any(|text| has(text, &self.text.to_lowercase())))
    }
}

fn has(text: &str, lower: &str) -> bool {
    text.to_lowercase().contains(lower)
}

/// The servers in an incident.
fn servers(alert: &Alert) -> impl Iterator<Item = &str> {
    let factors = alert.common_factors.iter().filter(|factor| matches!(factor.dimension.as_str(), "wsus" | "server"));
    let subjects = alert.subjects.iter().filter_map(|known| known.subject.strip_prefix("server:"));
    factors.map(|factor| factor.value.as_str()).chain(subjects)
}

/// The texts of an incident that a search reads.
fn texts(alert: &Alert) -> impl Iterator<Item = &str> {
    let codes = alert.codes.iter().flat_map(|known| [Some(known.code.as_str()), known.symbol.as_deref()]).flatten();
    let subjects =
        alert.subjects.iter().flat_map(|known| [Some(known.subject.as_str()), known.name.as_deref()]).flatten();
    let factors =
        alert.common_factors.iter().flat_map(|factor| [Some(factor.value.as_str()), factor.name.as_deref()]).flatten();
    let certificates = alert.certificates.iter().filter_map(|finding| finding.certificate.as_ref());
    let certificates = certificates.flat_map(|known| [known.sha1.as_str(), known.subject.as_str()]);
    let names = alert.hosts.names.iter().map(String::as_str);
    [alert.id.as_str(), alert.summary.as_str()]
        .into_iter()
        .chain(codes)
        .chain(subjects)
        .chain(factors)
        .chain(certificates)
        .chain(names)
}

/// The failure of an incident in words for people.
#[must_use]
pub(super) fn title(alert: &Alert) -> Cow<'_, str> {
    match alert.subjects.first() {
        _ if !alert.kind.is_failures() => Cow::Owned(capitalized(&report::title(alert))),
        Some(known) => Cow::Borrowed(known.name.as_deref().unwrap_or(&known.subject)),
        None => Cow::Owned(alert.family.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_its_address() {
        for query in ["", "state=open", "state=merged&family=tls&server=w%C3%BC1%3A8530&text=a+%26+b%3D%3Cc%3E"] {
            let filter = Filter::of_query(query).unwrap();
            assert_eq!(filter.query(), query);
        }
        let long = format!("text={}", "x".repeat(5_000));
        assert_eq!(Filter::of_query(&long).unwrap().text.len(), PARAMETER_CHARS_MAX);
        for wrong in ["state=bad", "family=none"] {
            assert!(Filter::of_query(wrong).unwrap_err().contains("use one of"), "{wrong}");
        }
        assert_eq!(Filter::of_query("other=1&state=").unwrap(), Filter::default());
    }
}
