//! Dimensions of a host that its lines state: WSUS server, builds, target group, form of the log.

use wulog_schemas::alert::NO_WSUS;
use wulog_schemas::event::EventOutcome;

use super::host::{Host, RecordContext};
use super::proxy;
use super::spelling::server_of_url;
use crate::parse::Entry;

/// Sets the dimensions of the host that a line states.
pub(super) fn learn(host: &mut Host, entry: &Entry<'_>, scope: RecordContext<'_>) {
    let facts = &entry.facts;
    // A server in a failed line does not become a dimension: only failing hosts have these lines, so any server in them
    // would look like the cause.
    if let Some(server) = facts.wsus.filter(|_| entry.outcome != EventOutcome::Failure) {
        let server = server_of_url(server);
        host.set_dimension("wsus", Some(server.as_deref().unwrap_or(NO_WSUS)), scope);
    }
    // Programs that load another library of the client write their own banners, so the lines of the service decide.
    let from_banner = facts.banner_offset_min.is_some() && host.has_dimension("client_build");
    if let Some(build) = facts.client_version.filter(|_| !from_banner) {
        host.set_dimension("client_build", Some(build), scope);
    }
    if let Some(version) = facts.os_version {
        let build = os_build(version);
        // `10.0.14393` adds nothing where `10.0.14393.2580` is known.
        let says_less = |known: &str| known.strip_prefix(build).is_some_and(|rest| rest.starts_with('.'));
        if !host.dimensions.get("os_build").is_some_and(|known| says_less(known)) {
            host.set_dimension("os_build", Some(build), scope);
        }
    }
    if (facts.proxy.is_some() || facts.no_proxy) && entry.outcome != EventOutcome::Failure {
        proxy::learn(host, entry, scope);
    }
    if let Some(group) = facts.target_group {
        host.set_dimension("target_group", Some(group), scope);
    }
    host.set_form(entry.form, scope);
}

/// Returns the build of a version: `6.1.7600.0.0.197008` is build 6.1.7600 with service pack and suite;
/// `10.0.19045.2728` already is a build.
fn os_build(version: &str) -> &str {
    let mut dots = version.match_indices('.').map(|(at, _)| at);
    match (dots.nth(2), dots.next()) {
        (Some(third), Some(_)) => &version[..third],
        _ => version,
    }
}
