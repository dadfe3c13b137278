//! The scenarios: the hosts that each cause hits.

use std::collections::BTreeMap;

use super::catalog::{IMAGE, KINDS, NO_SHA2_BUILD, SHA2_BUILD, SITES, Update};
use super::client::Client;
use super::plan::{Breaks, Cause, Plan};
use super::{HOUR_MS, LEGACY_UNTRUSTED, MODERN_UNTRUSTED, Scenario, TrueCause, days};

/// Families of a publisher that is not trusted: the detector may call the cause after the root or the chain.
const UNTRUSTED: &[&str] = &["untrusted_root", "chain"];
const EXPIRED_CODE: u32 = 0x800b_0101;
const SOUTH: &str = "patch-south";
const NORTH: &str = "patch-north";

impl Plan {
    pub(super) fn choose_causes(&mut self) {
        let onset_ms = self.onset_ms;
        match self.spec.scenario {
            Scenario::Quiet => {}
            Scenario::WsusCertMissing | Scenario::SmallFleet | Scenario::CodeMix => self.certificate_missing(),
            Scenario::ExpiredSigner => {
                let server = self.any_server();
                self.expired(server, 95, onset_ms);
            }
            Scenario::TwoCausesAtOnce => {
                let hosts = self.of_server(SOUTH, 90);
                self.untrusted("publishing certificate of the south not deployed", SOUTH, hosts, onset_ms);
                let second_ms = onset_ms + self.chance.between(0, 2 * HOUR_MS);
                self.expired(NORTH, 70, second_ms);
            }
            Scenario::TwoCausesOneFamily => self.server_and_update(),
            Scenario::Sha2Gap => self.sha2_gap(),
            Scenario::TlsProxySite => self.tls_proxy(),
            Scenario::DecoyNetwork => {
                let cut = self.part(&self.ordinary.clone(), 40);
                let names = cut.into_iter().map(|index| self.clients[index].name.clone()).collect();
                self.odd.outage = Some((onset_ms, onset_ms + 6 * HOUR_MS, names));
            }
            Scenario::DecoyClockSkew => self.wrong_clocks(),
            Scenario::SlowImage => self.slow_image(),
        }
    }

    /// A server whose hosts do not trust its publishing certificate.
    fn certificate_missing(&mut self) {
        let server = self.any_server();
        let hosts = if self.spec.scenario == Scenario::SmallFleet {
            let wanted = (self.spec.hosts * 3 / 10).max(3);
            self.move_to_server(server, wanted + 1);
            let mut hosts = self.of_server(server, 100);
            hosts.truncate(wanted);
            hosts
        } else {
            self.of_server(server, 90)
        };
        self.untrusted("publishing certificate of one WSUS server not deployed", server, hosts, self.onset_ms);
        if self.spec.scenario == Scenario::CodeMix {
            let cause = &mut self.causes[0];
            cause.truth.codes = vec![hex(LEGACY_UNTRUSTED), hex(0x800b_0004), hex(MODERN_UNTRUSTED)];
            for (code, _) in cause.hits.values_mut() {
                if self.chance.percent(50) {
                    *code = self.chance.pick(&[LEGACY_UNTRUSTED, 0x800b_0004, 0x800b_0004, MODERN_UNTRUSTED]);
                }
            }
        }
    }

    fn untrusted(&mut self, name: &'static str, server: &str, hosts: Vec<usize>, onset_ms: i64) {
        let updates = self.updates.third_party.clone();
        self.add_cause(name, UNTRUSTED, onset_ms, vec![server.to_owned()], updates, hosts, untrusted_code);
    }

    fn expired(&mut self, server: &'static str, percent: usize, onset_ms: i64) {
        let hosts = self.of_server(server, percent);
        let updates = self.updates.third_party.clone();
        let name = "publishing certificate of a WSUS server expired";
        self.add_cause(name, &["expired"], onset_ms, vec![server.to_owned()], updates, hosts, |_| EXPIRED_CODE);
    }

    fn server_and_update(&mut self) {
        let hosts = self.of_server(SOUTH, 90);
        self.untrusted("publishing certificate of the south not deployed", SOUTH, hosts, self.onset_ms);
        let bad = Update::microsoft(&mut self.chance, "Malicious Software Removal Tool x64 (KB890830)");
        let elsewhere = self.select(|client| client.server.is_some_and(|server| server != SOUTH));
        let hosts = self.part(&elsewhere, 35);
        let onset_ms = self.onset_ms + self.chance.between(3 * HOUR_MS, 5 * HOUR_MS);
        let factors = vec![bad.id.to_lowercase()];
        let name = "one update badly trusted on the other servers";
        self.add_cause(name, UNTRUSTED, onset_ms, factors, vec![bad], hosts, |_| LEGACY_UNTRUSTED);
    }

    /// Two rollups signed with SHA-2 only. The systems with a newer client install them without trouble.
    fn sha2_gap(&mut self) {
        let titles = ["Security Monthly Quality Rollup (KB4512506)", "Security Only Quality Update (KB4512486)"];
        let rollups = titles.map(|title| Update::microsoft(&mut self.chance, title)).to_vec();
        let all = self.select(|client| client.kind.os == KINDS[0].os);
        let hit = self.part(&all, 65);
        for client in self.clients.iter_mut().filter(|client| client.kind.os == KINDS[0].os) {
            client.build = SHA2_BUILD;
        }
        for &index in &hit {
            self.clients[index].build = NO_SHA2_BUILD;
        }
        let able = self.clients.iter().filter(|client| client.build == SHA2_BUILD);
        self.updates.also = (rollups.clone(), able.map(|client| client.name.clone()).collect());
        let factors = vec![NO_SHA2_BUILD.to_owned(), "6.1.7601".to_owned()];
        let onset_ms = self.release_ms;
        // Published sources do not agree on the family of 80092004.
        let families: &[&str] = &["signature", "chain", "untrusted_root", "metadata"];
        let name = "updates signed with SHA-2 on systems that do not know it";
        self.add_cause(name, families, onset_ms, factors, rollups, hit, |_| 0x8009_2004);
        self.causes[0].breaks = Breaks::Install;
    }

    fn tls_proxy(&mut self) {
        let site = if self.spec.hosts < 60 { "ATL" } else { self.chance.pick(&["ATL", "BLR"]) };
        for client in self.clients.iter_mut().filter(|client| client.site.code == site) {
            client.server = None;
        }
        let hosts = self.select(|client| client.site.code == site);
        let name = "a proxy that opens TLS, at a site that uses Windows Update itself";
        // Only these hosts fail, so the site's name, its proxy and its lack of a WSUS server are all right.
        let factors = ["none", "update.microsoft.com", "inspector", site].map(str::to_lowercase).to_vec();
        self.add_cause(name, &["tls"], self.onset_ms, factors, Vec::new(), hosts, |_| 0x8007_2f8f);
        self.causes[0].breaks = Breaks::Scan("<inspector.corp.example:3128 >");
    }

    /// Clocks that are wrong by years, each host by its own amount; or by days, within the time of the logs.
    fn wrong_clocks(&mut self) {
        let percent = if self.spec.hosts >= 200 { 2 } else { 4 };
        for index in self.part(&self.ordinary.clone(), percent) {
            let at_ms = self.start_ms + days(self.spec.days) * self.chance.between(5, 95) / 100;
            let error_ms = match self.chance.below(10) {
                0..2 => days(1) * self.chance.between(90, 900),
                2..6 => -days(1) * self.chance.between(300, 3000),
                _ => -(at_ms - self.start_ms) * self.chance.between(2, 98) / 100,
            };
            let code = self.chance.pick(&[0x8007_2f8f, EXPIRED_CODE]);
            let client = &mut self.clients[index];
            client.clock_error = Some((at_ms, error_ms));
            self.odd.wrong_clocks.insert(client.name.clone(), (at_ms, code));
        }
    }

    fn slow_image(&mut self) {
        const AFFECTED: usize = 20;
        let mut with_log = self.select(|client| !client.is_legacy() && client.has_log);
        self.chance.shuffle(&mut with_log);
        with_log.truncate(AFFECTED + AFFECTED / 4); // some hosts of the image stay healthy
        for &index in &with_log {
            (self.clients[index].kind, self.clients[index].build) = (&IMAGE, IMAGE.builds[0]);
        }
        with_log.truncate(AFFECTED);
        let factors = vec![IMAGE.os.to_owned(), IMAGE.builds[0].to_owned()];
        let updates = self.updates.third_party.clone();
        let onset_ms = self.end_ms - days(8);
        let name = "hosts of one image lose a root certificate, three a day";
        self.add_cause(name, UNTRUSTED, onset_ms, factors, updates, with_log, untrusted_code);
        for (order, (_, start_ms)) in self.causes[0].hits.values_mut().enumerate() {
            *start_ms += 8 * HOUR_MS * order as i64;
        }
    }

    #[allow(clippy::too_many_arguments, reason = "each is one fact of a cause, named at every call")]
    fn add_cause(
        &mut self,
        name: &'static str,
        families: &'static [&'static str],
        onset_ms: i64,
        factors: Vec<String>,
        updates: Vec<Update>,
        hosts: Vec<usize>,
        code: fn(&Client) -> u32,
    ) {
        let clients = hosts.into_iter().map(|index| &self.clients[index]);
        let hits: BTreeMap<_, _> = clients.map(|client| (client.name.clone(), (code(client), onset_ms))).collect();
        let codes = hits.values().map(|(code, _)| hex(*code)).collect();
        let ids = updates.iter().map(|update| update.id.to_lowercase()).collect();
        let truth = TrueCause { name, families, codes, onset_ms, factors, updates: ids, hosts: BTreeMap::new() };
        self.causes.push(Cause { truth, breaks: Breaks::Download, updates, hits, end_ms: i64::MAX });
    }

    fn any_server(&mut self) -> &'static str {
        if self.spec.hosts < 60 { SOUTH } else { self.chance.pick(&[SOUTH, "patch-east"]) }
    }

    /// The ordinary clients that match `is_wanted`.
    fn select(&self, is_wanted: impl Fn(&Client) -> bool) -> Vec<usize> {
        self.ordinary.iter().copied().filter(|index| is_wanted(&self.clients[*index])).collect()
    }

    fn part(&mut self, of: &[usize], percent: usize) -> Vec<usize> {
        let mut part = of.to_vec();
        self.chance.shuffle(&mut part);
        part.truncate((of.len() * percent / 100).max(1));
        part
    }

    fn of_server(&mut self, server: &str, percent: usize) -> Vec<usize> {
        let all = self.select(|client| client.server == Some(server));
        self.part(&all, percent)
    }

    /// Assigns a given number of hosts to a server: in a small fleet chance may assign too few.
    fn move_to_server(&mut self, server: &'static str, wanted: usize) {
        let site = SITES.iter().find(|site| site.server == server).expect("every server has a site");
        let have = self.select(|client| client.server == Some(server)).len();
        let others = self.select(|client| client.server != Some(server));
        for index in others.into_iter().take(wanted.saturating_sub(have)) {
            (self.clients[index].site, self.clients[index].server) = (site, Some(server));
        }
    }
}

fn untrusted_code(client: &Client) -> u32 {
    if client.is_legacy() { LEGACY_UNTRUSTED } else { MODERN_UNTRUSTED }
}

fn hex(code: u32) -> String {
    format!("0x{code:08x}")
}
