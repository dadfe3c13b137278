//! The certificates of a host, as its heartbeats confirm them.

use wulog_schemas::signal::{CertificateFacts, Fact, HostRef};

use super::{FactToSend, FactsToSend, Host, RecordContext};

/// A signal repeats that the stores are unchanged when they were seen at least this much later than the Detector knows.
const SEEN_AGAIN_MS: i64 = 20 * 3600 * 1000;

impl Host {
    /// Notes from a heartbeat that at `seen` the stores had the contents of the inventory with this hash.
    pub(in crate::normalize) fn certificates_seen(
        &mut self,
        hash: &str,
        seen: i64,
        scope: RecordContext<'_>,
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
