//! The meanings of the GUIDs in a message, decided by the text before each GUID or the revision after it.

use wulog_schemas::guid::GUID_BYTES;

use super::facts::Facts;
use super::guid;

/// Services that Windows Update clients know, by their GUID, and the names that events give them.
const SERVICES: [(&str, &str); 6] = [
    ("9482f4b4-e343-43b6-b170-9a65bc822c77", "windows_update"),
    ("7971f918-a847-4430-9279-4a52d1efe18d", "microsoft_update"),
    ("3da21691-e39d-4da6-8a4b-b43877bcb1b7", "wsus"),
    ("855e8a7c-ecb4-4ca3-b045-1dfa50104289", "windows_store"),
    ("117cab2d-82b1-4b5a-a08c-4d62dbee7782", "windows_store_legacy"),
    ("8b24b027-1dee-babb-9a95-3517dfb9c552", "dcat_flighting"),
];

/// Returns the name of a known service, such as `wsus`.
#[must_use]
pub fn service_name(service: &str) -> Option<&'static str> {
    SERVICES.iter().find(|(id, _)| id.eq_ignore_ascii_case(service)).map(|(_, name)| *name)
}

/// Adds the first update, service, call, job and client id of `body`.
pub(super) fn ids<'a>(body: &'a str, facts: &mut Facts<'a>) {
    for start in guid::find_all(body) {
        let id = &body[start..start + GUID_BYTES];
        if guid::is_nil(id) {
            continue;
        }
        let rest = &body[start + GUID_BYTES..];
        let revision = revision(rest.strip_prefix('}').unwrap_or(rest));
        let kind = if revision.is_some() { Some(IdKind::Update) } else { IdKind::of(&body[..start], id) };
        match kind {
            Some(IdKind::Update) if facts.update.is_none() => (facts.update, facts.revision) = (Some(id), revision),
            Some(IdKind::Service) => _ = facts.service.get_or_insert(id),
            Some(IdKind::Call) => _ = facts.call.get_or_insert(id),
            Some(IdKind::Job) => _ = facts.job.get_or_insert(id),
            Some(IdKind::Client) => _ = facts.client.get_or_insert(id),
            _ => {}
        }
    }
}

enum IdKind {
    Update,
    Service,
    Call,
    Job,
    Client,
}

impl IdKind {
    /// Returns the meaning by the word before the GUID; brackets, quotes and `=` or `:` in between are skipped.
    fn of(before: &str, id: &str) -> Option<IdKind> {
        let word = before.trim_end_matches(['{', '\'', '"', '[', '<', '(', ' ', '=', ':', '\t']);
        // The last letter selects the candidates, which are then compared in full.
        let ends = |end: &str| {
            word.len() >= end.len() && word.as_bytes()[word.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
        };
        match word.as_bytes().last()?.to_ascii_lowercase() {
            b'd' if ends("updateid") || ends("update id") => Some(IdKind::Update),
            b'd' if ends("susclientid") => Some(IdKind::Client),
            b'd' if ends("callid") || ends("call id") => Some(IdKind::Call),
            b'd' if ends("jobid") || ends("job id") => Some(IdKind::Job),
            b'd' if ends("serviceid") || ends("service id") => Some(IdKind::Service),
            b'e' if ends("update") => Some(IdKind::Update),
            b'e' if ends("service") => Some(IdKind::Service),
            b'b' if ends("bits job") || ends("do job") => Some(IdKind::Job),
            b'/' if ends("/sls/") => Some(IdKind::Service),
            b'c' if ends("[svc") => Some(IdKind::Service),
            _ => service_name(id).map(|_| IdKind::Service),
        }
    }
}

/// Returns the revision: `.201` after an update id. Other ids have none.
fn revision(text: &str) -> Option<u32> {
    let rest = text.strip_prefix('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const G: &str = "8468427E-6555-E8D9-5360-9CBC1D52A0BB";

    fn check(body: &str, expect: [Option<&str>; 5], revision: Option<u32>) {
        let body = body.replace("{G}", &format!("{{{G}}}")).replace(" G", &format!(" {G}"));
        let mut facts = Facts::default();
        ids(&body, &mut facts);
        assert_eq!([facts.update, facts.service, facts.call, facts.job, facts.client], expect, "{body}");
        assert_eq!(facts.revision, revision, "{body}");
    }

    #[test]
    fn the_word_before_tells() {
        let (update, service) = ([Some(G), None, None, None, None], [None, Some(G), None, None, None]);
        let (call, job) = ([None, None, Some(G), None, None], [None, None, None, Some(G), None]);
        check("* UpdateId = {G}.200", update, Some(200));
        check("{G}.200", update, Some(200));
        check("Adding update {G}.101 to search result", update, Some(101));
        check("Starting install of CBS update G", update, None);
        check("idUpdate={G}.1", update, Some(1));
        check("WER Report sent: 7.5.7601.17514 0x800b0109 G Download 101 Managed", [None; 5], None);
        check("  * ServiceID = {G} Managed", service, None);
        check(
            "Default service for AU is {9482F4B4-E343-43B6-B170-9A65BC822C77}",
            [None, Some("9482F4B4-E343-43B6-B170-9A65BC822C77"), None, None, None],
            None,
        );
        check("DnldMgr: Regulation Refresh [Svc: {G}]", service, None);
        check("Failed to resolve federated serviceId G", service, None);
        check("AU: Search for updates [CallId = {G}]", call, None);
        check("path used for cache lookup: /SLS/{G}/x64/10.0.26100.4061/0?CH=1", service, None);
        check("DO job {G} completed successfully", job, None);
        check("BITS job {G} completed successfully", job, None);
        check("  * SusClientId = '{G}'", [None, None, None, None, Some(G)], None);
        check("Created new random SusClientId G. Old Id: none.", [None, None, None, None, Some(G)], None);
        check("GUID {00000000-0000-0000-0000-000000000000}", [None; 5], None);
        check("x{G}-1234", [None; 5], None);
    }
}
