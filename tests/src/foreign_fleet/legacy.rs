//! Lines of the legacy form.

use super::catalog::Update;
use super::client::{Client, wsus_url};
use super::operations::ScanFailure;

impl Client {
    pub(super) fn legacy_start(&mut self, at_ms: i64) -> i64 {
        let server = self.server.map_or_else(|| "<NULL>".to_owned(), wsus_url);
        let group = if self.server.is_some() { self.group } else { "(Unassigned Computers)" };
        let lines = [
            (
                "Misc",
                format!(
                    "===========  Logging initialized (build: {}, tz: {})  ===========",
                    self.build,
                    self.offset("")
                ),
            ),
            ("Misc", "  = Process: C:\\Windows\\system32\\svchost.exe".to_owned()),
            ("Misc", "  = Module: c:\\windows\\system32\\wuaueng.dll".to_owned()),
            ("Service", "*************".to_owned()),
            ("Service", "** START **  Service: Service startup".to_owned()),
            ("Service", "*********".to_owned()),
            ("Agent", format!("  * WU client version {}", self.build)),
            ("Agent", format!("  * WSUS server: {server}")),
            ("Agent", format!("  * WSUS status server: {server}")),
            ("Agent", format!("  * Target group: {group}")),
            ("Report", format!("  * OS Version = {}", self.kind.os)),
        ];
        let mut at_ms = at_ms;
        for (component, message) in lines {
            self.put(at_ms, component, &message);
            at_ms += self.chance.between(0, 60);
        }
        at_ms
    }

    pub(super) fn legacy_scan(&mut self, at_ms: i64) {
        let (id, name) = self.service();
        self.put(at_ms, "AU", "## START ##  AU: Search for updates");
        let caller = self.caller;
        self.put(at_ms + 16, "Agent", &format!("** START **  Agent: Finding updates [CallerId = {caller}]"));
        self.put(at_ms + 16, "Agent", &format!("  * ServiceID = {{{id}}} {name}"));
        let url = self.server_url();
        self.put(at_ms + 640, "PT", &format!("  + ServiceId = {{{id}}}, Server URL = {url}"));
    }

    pub(super) fn legacy_found(&mut self, at_ms: i64, found: &str) {
        self.put(at_ms, "Agent", &format!("  * {found}"));
        self.legacy_scan_ends(at_ms + 4);
    }

    fn legacy_scan_ends(&mut self, at_ms: i64) {
        let caller = self.caller;
        self.put(at_ms, "Agent", &format!("**  END  **  Agent: Finding updates [CallerId = {caller}]"));
    }

    pub(super) fn legacy_scan_fails(&mut self, at_ms: i64, failure: ScanFailure) {
        let ScanFailure { code, proxy } = failure;
        self.put(at_ms, "Misc", &format!("WARNING: Send failed with hr = {code:08x}."));
        let request = format!(
            "WARNING: SendRequest failed with hr = {code:08x}. Proxy List used: {proxy} Bypass List used : <(null)> Auth Schemes used : <>"
        );
        self.put(at_ms, "Misc", &request);
        self.put(at_ms + 16, "PT", &format!("WARNING: PTError: 0x{code:08x}"));
        self.put(at_ms + 16, "Agent", &format!("  * WARNING: Failed to synchronize, error = 0x{code:08X}"));
        self.put(at_ms + 31, "Agent", &format!("  * WARNING: Exit code = 0x{code:08X}"));
        self.legacy_scan_ends(at_ms + 31);
    }

    pub(super) fn legacy_refuses(&mut self, at_ms: i64, update: &Update, code: u32) {
        let path = self.content_path(update);
        self.put(at_ms + 20, "Misc", " Microsoft signed: No");
        let at_ms = at_ms + 47;
        self.put(at_ms, "Misc", &format!("WARNING: Error: 0x{code:08x} when verifying trust for {path}"));
        let digital = format!("WARNING: Digital Signatures on file {path} are not trusted: Error 0x{code:08x}");
        self.put(at_ms, "Misc", &digital);
        self.put(at_ms, "DnldMgr", &format!("WARNING: File failed postprocessing, error = {code:08x}"));
    }

    pub(super) fn legacy_cbs_fails(&mut self, at_ms: i64, update: &Update, code: u32) {
        let (id, revision) = (&update.id, update.revision);
        self.put(at_ms, "Handler", ":: START ::  Handler: CBS Install");
        let fatal = format!("FATAL: UH: 0x{code:08x}: Install failed in CCbs::Install, updateId = {{{id}}}.{revision}");
        self.put(at_ms + 900, "Handler", &fatal);
        self.put(at_ms + 910, "Handler", "::  END  ::  Handler: CBS Install");
        let history =
            format!("LogHistory called. idUpdate={{{id}}}.{revision}, resultMapped={code:08X}, resultUnMapped=0");
        self.put(at_ms + 915, "Agent", &history);
    }

    pub(super) fn legacy_accepts(&mut self, at_ms: i64, update: &Update) {
        let signed = if update.is_third_party { "No" } else { "Yes" };
        self.put(at_ms + 20, "Misc", &format!(" Microsoft signed: {signed}"));
    }

    pub(super) fn legacy_installed(&mut self, at_ms: i64, update: &Update) {
        let (id, revision) = (&update.id, update.revision);
        let history = format!("LogHistory called. idUpdate={{{id}}}.{revision}, resultMapped=0, resultUnMapped=0");
        self.put(at_ms, "Agent", &history);
    }
}
