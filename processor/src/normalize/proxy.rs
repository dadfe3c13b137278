//! The proxy of a host's scans, as a dimension of the host.
//!
//! A proxy that inspects TLS answers in place of the WSUS server, so the proxy is as likely a cause as the server. A
//! host whose scans fail downloads nothing. If the newest line decided, only healthy hosts would have the proxy of
//! downloads, which would then look like a property of health. So a line of a download counts only as long as no other
//! line named a proxy.

use std::borrow::Cow;

use super::host::{Host, RecordContext};
use super::spelling::lower;
use crate::parse::{Entry, Words};

/// Value of the dimension for a log that states that no proxy is used.
const NO_PROXY: &str = "none";

/// Sets the proxy of the host that a line names.
pub(super) fn learn(host: &mut Host, entry: &Entry<'_>, scope: RecordContext<'_>) {
    let of_component = |component: &str| component.eq_ignore_ascii_case("DnldMgr") || component == "DownloadManager";
    let is_of_download = entry.facts.words.any(Words::TRANSFER_JOB) || entry.component.is_some_and(of_component);
    if is_of_download && host.proxy_is_of_scans {
        return;
    }
    host.proxy_is_of_scans = !is_of_download;
    let proxy = entry.facts.proxy.map_or(Cow::Borrowed(NO_PROXY), one_spelling);
    host.set_dimension("proxy", Some(&proxy), scope);
}

/// Returns the proxies in one spelling: `a:80;b:80`, lower case, without scheme, protocol and user, in alphabetical
/// order.
fn one_spelling(proxies: &str) -> Cow<'_, str> {
    if !proxies.contains([';', ',', ' ', '=', '/', '@']) {
        return lower(proxies);
    }
    let mut servers: Vec<Cow<'_, str>> =
        proxies.split([';', ',', ' ']).map(server).filter(|it| !it.is_empty()).collect();
    servers.sort_unstable();
    servers.dedup();
    servers.join(";").into()
}

/// `http=http://user:secret@Proxy:8080/` is `proxy:8080`.
fn server(proxy: &str) -> Cow<'_, str> {
    let behind = |mark: &str, text: &'_ str| text.rfind(mark).map_or(0, |at| at + mark.len());
    let proxy = &proxy[behind("=", proxy)..];
    let proxy = &proxy[behind("://", proxy)..];
    let proxy = &proxy[behind("@", proxy)..];
    lower(proxy.trim_end_matches('/'))
}
