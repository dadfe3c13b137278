//! The WSUS machines among the hosts: which one a client names, and which certificate it signs with.

use super::super::fleet::{Fleet, HostIndex};
use super::super::strings::StringId;
use super::{CLOCK_DOUBT_MS, Certificates, store_id};

/// The value of a dimension of a host.
pub(in super::super) fn value_of<'a>(host: HostIndex, dimension: &str, fleet: &'a Fleet) -> Option<&'a str> {
    let pair = fleet.traits_of(host).iter().find(|(name, _)| fleet.strings.text(*name) == dimension)?;
    Some(fleet.strings.text(pair.1))
}

/// The host with an inventory that `host[:port]` names: by its whole name, or by the name before the first dot where
/// one host alone has it.
pub(super) fn machine_of(server: &str, known: &Certificates, fleet: &Fleet) -> Option<HostIndex> {
    let server = server.rsplit_once(':').map_or(server, |(name, _)| name).to_ascii_lowercase();
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let name = |host: &HostIndex| fleet.hosts[*host as usize].name();
    if let Some(host) = known.hosts.keys().find(|host| name(host) == server) {
        return Some(*host);
    }
    let mut alike = known.hosts.keys().filter(|host| {
        // Two whole names that differ are two machines.
        let is_whole = name(host).contains('.') && server.contains('.');
        !is_whole && short(name(host)) == short(&server)
    });
    alike.next().filter(|_| alike.next().is_none()).copied()
}

/// The newest certificate in the store `WSUS` of a machine that was valid before the onset. An administrator who renews
/// the publishing certificate leaves the earlier one there.
pub(super) fn newest(host: HostIndex, known: &Certificates, onset: i64) -> Option<StringId> {
    let begin = |id: &StringId| known.details.get(id).and_then(|details| details.not_before);
    let had_begun = |id: &StringId| begin(id).is_none_or(|begin| begin <= onset.saturating_add(CLOCK_DOUBT_MS));
    known.in_store(host, store_id("WSUS")?).filter(had_begun).max_by_key(|id| (begin(id), *id))
}
