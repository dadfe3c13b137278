//! The certificates of a host, as its heartbeats confirm them.

use wulog_schemas::signal::{CertificateFacts, Fact, HostRef};

use super::{FactToSend, FactsToSend, Host, Scope};

/// How much later than the Detector knows the stores must be seen unchanged before a signal says so.
const SEEN_AGAIN_MS: i64 = 20 * 3600 * 1000;

impl Host {
    /// Takes from a heartbeat that the stores were seen at `seen` with the contents of the inventory with this hash.
    pub(in crate::normalize) fn certificates_seen(
        &mut self,
        hash: &str,
        seen: i64,
        scope: Scope<'_>,
        facts: &mut FactsToSend,
    ) {
        // A wrong clock may date a file in the future.
        let seen = seen.min(scope.at.log_time);
        let Some(list) = &mut self.certificates else { return };
        if list.hash != hash || seen < list.seen.saturating_add(SEEN_AGAIN_MS) {
            return;
        }
        list.seen = seen;
        let host = HostRef { id: scope.id.to_owned(), name: self.name().to_owned() };
        let fact = CertificateFacts { host, taken: seen, unchanged: true, ..CertificateFacts::default() };
        facts.push(FactToSend { raw: scope.at.raw, fact: Fact::Certificates(fact), proof: None });
    }
}
