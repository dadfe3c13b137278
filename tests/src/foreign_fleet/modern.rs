//! Lines of the form that `Get-WindowsUpdateLog` decodes.

use super::WINDOWS_UPDATE;
use super::catalog::Update;
use super::client::{Client, wsus_url};

impl Client {
    pub(super) fn modern_start(&mut self, at_ms: i64) -> i64 {
        let server = self.server.map_or_else(|| "NULL".to_owned(), wsus_url);
        let group = if self.server.is_some() { self.group } else { "(Unassigned Computers)" };
        let lines = [
            ("Shared", "* START * Service startup".to_owned()),
            ("Agent", format!("WU client version {}", self.build)),
            ("Agent", "Base directory: C:\\WINDOWS\\SoftwareDistribution".to_owned()),
            ("Shared", "Network state: Connected".to_owned()),
            ("Misc", "*FAILED* [8024000C] LoadHistoryEventFromRegistry completed".to_owned()),
            ("Agent", "Initializing global settings cache".to_owned()),
            ("Agent", format!("WSUS server: {server}")),
            ("Agent", format!("WSUS status server: {server}")),
            ("Agent", format!("Target group: {group}")),
            ("SLS", format!("Making request with URL {} and send SLS events.", self.sls_url())),
        ];
        let mut at_ms = at_ms;
        for (component, message) in lines {
            self.put(at_ms, component, &message);
            at_ms += self.chance.between(0, 40);
        }
        at_ms
    }

    fn sls_url(&self) -> String {
        format!(
            "HTTPS://slscr.update.microsoft.com/SLS/{{{WINDOWS_UPDATE}}}/x64/{}/0?CH=417&L=en-GB&P=&PT=0x30&WUA={}&MK=LENOVO&MD=20XW",
            self.kind.os, self.build
        )
    }

    pub(super) fn modern_scan(&mut self, at_ms: i64) {
        let (id, name) = self.service();
        let (caller, number) = (self.caller, self.scans);
        self.put(at_ms, "Agent", &format!("* START * Finding updates CallerId = {caller}  Id = {number}"));
        self.put(at_ms, "Agent", &format!("ServiceID = {{{id}}} {name}"));
        if self.kind.os.starts_with("10.0.226") && self.chance.percent(30) {
            // Healthy Windows 11 hosts log this line too, with a code that elsewhere means a trust failure.
            let ticket = "*FAILED* [80092004] Method failed to get auth token. [CUpdateEndpointProvider::GenerateSecurityTokenWithAuthTickets:1674]";
            self.put(at_ms + 3, "Misc", ticket);
        }
        let url = self.server_url();
        self.put(at_ms + 40, "ProtocolTalker", &format!("ServiceId = {{{id}}}, Server URL = {url}"));
    }

    pub(super) fn modern_found(&mut self, at_ms: i64, found: &str) {
        self.put(at_ms, "Agent", found);
        self.modern_scan_ends(at_ms);
    }

    fn modern_scan_ends(&mut self, at_ms: i64) {
        let (caller, number) = (self.caller, self.scans);
        self.put(at_ms, "Agent", &format!("* END * Finding updates CallerId = {caller}  Id = {number}"));
    }

    pub(super) fn modern_scan_fails(&mut self, at_ms: i64, code: u32) {
        self.put(at_ms, "Misc", &format!("*FAILED* [{code:08X}] Send request"));
        let retry = "WinHttp: SendRequestToServerForFileInformation (retrying with default proxy)";
        self.put(at_ms, "Misc", &format!("*FAILED* [{code:08X}] {retry}"));
        let library = format!("*FAILED* [{code:08X}] Library download error. Will retry. Retry Counter:0");
        self.put(at_ms + 400, "Misc", &library);
        if self.server.is_some() {
            self.put(at_ms + 900, "WebServices", &format!("*FAILED* [{code:08X}] Web service call"));
        } else {
            let url = self.sls_url();
            let request = format!(
                "Complete the request URL {url} with [{code:08X}] and http status code[0] and send SLS events."
            );
            self.put(at_ms + 900, "SLS", &request);
        }
        self.put(at_ms + 901, "Agent", &format!("*FAILED* [{code:08X}] Failed to synchronize"));
        self.put(at_ms + 902, "Agent", &format!("Exit code = 0x{code:08X}"));
        self.modern_scan_ends(at_ms + 902);
    }

    pub(super) fn modern_refuses(&mut self, at_ms: i64, code: u32) {
        // The client turns the code of the chain engine into 8024b303.
        let chain = if code == super::MODERN_UNTRUSTED { super::LEGACY_UNTRUSTED } else { code };
        self.chain_fails(at_ms + 30, chain);
        self.put(at_ms + 31, "Misc", " Microsoft signed: No");
        self.put(at_ms + 32, "Misc", "Trusted Publisher: No");
        let verify = format!("*FAILED* [{code:08X}] Method failed [CTrustVerifier::VerifyFile:512]");
        self.put(at_ms + 33, "Misc", &verify);
        self.put(at_ms + 35, "DownloadManager", &format!("*FAILED* [{code:08X}] File failed postprocessing"));
        let told = format!("Error 0x{code:08x} occurred while downloading update; notifying dependent calls.");
        self.put(at_ms + 36, "DownloadManager", &told);
    }

    fn chain_fails(&mut self, at_ms: i64, code: u32) {
        let line = format!("*FAILED* [{code:08X}] Method failed [CTrustVerifier::CheckChainPolicy:388]");
        self.put(at_ms, "Misc", &line);
        self.put(at_ms + 1, "Misc", &line);
    }

    pub(super) fn modern_cbs_fails(&mut self, at_ms: i64, update: &Update, code: u32) {
        self.put(at_ms, "Handler", "* START * CBS Install");
        self.put(at_ms + 900, "Handler", &format!("*FAILED* [{code:08X}] Install failed"));
        let (id, revision) = (&update.id, update.revision);
        let history =
            format!("LogHistory called. idUpdate={{{id}}}.{revision}, resultMapped={code:08X}, resultUnMapped=0");
        self.put(at_ms + 915, "Agent", &history);
    }

    pub(super) fn modern_accepts(&mut self, at_ms: i64, update: &Update) {
        if !update.is_third_party {
            self.put(at_ms + 20, "Misc", " Microsoft signed: Yes");
            return;
        }
        // A healthy third-party install: the chain fails twice, then the publisher turns out to be trusted.
        self.chain_fails(at_ms + 30, super::LEGACY_UNTRUSTED);
        self.put(at_ms + 31, "Misc", " Microsoft signed: No");
        self.put(at_ms + 32, "Misc", "Trusted Publisher: Yes");
        let (id, revision) = (&update.id, update.revision);
        let valid = format!("All files for update {id}.{revision} were already downloaded and are valid.");
        self.put(at_ms + 40, "DownloadManager", &valid);
    }

    pub(super) fn modern_installed(&mut self, at_ms: i64, update: &Update) {
        let (id, revision) = (&update.id, update.revision);
        let history =
            format!("LogHistory called. idUpdate={{{id}}}.{revision}, resultMapped=00000000, resultUnMapped=0000");
        self.put(at_ms, "Agent", &history);
        let complete = "Install call complete (succeeded = 1, succeeded with errors = 0, failed = 0, cancelled = 0, unaccounted = 0";
        self.put(at_ms + 2, "ComApi", complete);
    }
}
