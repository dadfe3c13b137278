//! The life of one host: the times of its scans, and its actions.

use super::catalog::{NOISY_BUILDS, Update};
use super::client::Client;
use super::operations::ScanFailure;
use super::plan::{Breaks, Plan};
use super::{HOUR_MS, days};

const MINUTE_MS: i64 = 60_000;

/// An update that a host still wants to install.
struct Wants {
    monthly: bool,
    third_party: Option<(Update, i64)>,
    also: Vec<Update>,
}

/// The cause at which a host fails: its number, operation and code.
type Hit = (usize, Breaks, u32);

impl Plan {
    /// Lets a host live from begin to end, and notes its first failure at each cause.
    pub(super) fn live(&mut self, client: &mut Client) {
        let mut scans = self.scan_times(client);
        let is_looping = self.odd.looping.contains(&client.name);
        let mut wants = self.wants(client);
        let mut started_ms = scans[0] - client.chance.between(20_000, 90_000);
        client.start_service(started_ms);
        let mut busy_until_ms = 0;
        let mut has_looped = false;
        scans.reverse();
        while let Some(planned_ms) = scans.pop() {
            if is_looping && !has_looped && planned_ms >= self.loop_ms {
                has_looped = true;
                busy_until_ms = self.fail_in_a_loop(client, busy_until_ms.max(self.loop_ms));
            }
            let mut now_ms = planned_ms.max(busy_until_ms + 1000);
            if now_ms - started_ms > days(3) && client.chance.percent(50) {
                now_ms = client.start_service(now_ms) + 15_000;
                started_ms = now_ms;
            }
            let hit = self.hit(client, now_ms);
            busy_until_ms = self.scan_and_act(client, &mut wants, hit, now_ms);
            if hit.is_some() && client.chance.percent(30) {
                // The user tries again.
                let again_ms = busy_until_ms + client.chance.between(20 * MINUTE_MS, 90 * MINUTE_MS);
                if again_ms < self.end_ms && scans.last().is_none_or(|next| again_ms < *next) {
                    scans.push(again_ms);
                }
            }
        }
    }

    fn wants(&self, client: &mut Client) -> Wants {
        let chance = &mut client.chance;
        let begin_ms = if chance.percent(50) { self.onset_ms - days(3) } else { self.onset_ms };
        let at_ms = begin_ms + chance.between(0, days(1));
        let update = self.updates.third_party[chance.below(self.updates.third_party.len())].clone();
        let (also, able) = &self.updates.also;
        Wants {
            monthly: true,
            third_party: chance.percent(35).then_some((update, at_ms)),
            also: if able.contains(&client.name) { also.clone() } else { Vec::new() },
        }
    }

    /// The first cause that hits a host at a time.
    fn hit(&self, client: &Client, now_ms: i64) -> Option<Hit> {
        self.causes.iter().enumerate().find_map(|(number, cause)| {
            let &(code, start_ms) = cause.hits.get(&client.name)?;
            (start_ms..cause.end_ms).contains(&now_ms).then_some((number, cause.breaks, code))
        })
    }

    fn scan_and_act(&mut self, client: &mut Client, wants: &mut Wants, hit: Option<Hit>, now_ms: i64) -> i64 {
        let wrong_clock = self.odd.wrong_clocks.get(&client.name).filter(|(from_ms, _)| now_ms >= *from_ms);
        let wrong_clock = wrong_clock.map(|(_, code)| *code);
        if let Some(failure) = self.scan_failure_now(client, hit, wrong_clock, now_ms) {
            let end_ms = client.scan_fails(now_ms, failure);
            self.note(client, hit.filter(|(_, breaks, _)| matches!(breaks, Breaks::Scan(_))), end_ms);
            return end_ms;
        }
        let lasting = wrong_clock.or(self.odd.chronic.get(&client.name).copied());
        let wants_monthly = wants.monthly && now_ms >= self.release_ms && client.chance.percent(60);
        let offered = usize::from(wants_monthly || hit.is_some() || lasting.is_some());
        let mut now_ms = client.scan(now_ms, offered) + client.chance.between(1000, 30_000);
        if let Some((number, breaks, code)) = hit {
            let updates = &self.causes[number].updates;
            let update = updates[client.chance.below(updates.len())].clone();
            now_ms = match breaks {
                Breaks::Install => client.install_is_refused(now_ms, &update, code),
                Breaks::Download | Breaks::Scan(_) => client.download_is_refused(now_ms, &update, code),
            };
            self.note(client, hit, now_ms);
        } else if let Some(code) = lasting.or_else(|| self.sporadic_code(client)) {
            now_ms = client.download_is_refused(now_ms, &self.updates.own, code);
        } else {
            now_ms = self.recover(client, now_ms);
        }
        self.install_what_is_due(client, wants, wants_monthly, hit.is_some(), lasting.is_some(), now_ms)
    }

    fn scan_failure_now(
        &self,
        client: &mut Client,
        hit: Option<Hit>,
        wrong_clock: Option<u32>,
        now_ms: i64,
    ) -> Option<ScanFailure> {
        let plain = |code| Some(ScanFailure { code, proxy: "<(null)>" });
        if let Some((from_ms, to_ms, hosts)) = &self.odd.outage
            && (*from_ms..*to_ms).contains(&now_ms)
            && hosts.contains(&client.name)
        {
            return plain(0x8007_2ee2);
        }
        if wrong_clock == Some(0x8007_2f8f) {
            return plain(0x8007_2f8f);
        }
        if let Some((_, breaks, code)) = hit {
            return Plan::scan_failure(breaks, code);
        }
        let failing = (25_000 * self.spec.noise_percent / 100).min(300_000);
        if wrong_clock.is_none() && client.chance.per_million(failing) {
            let codes = [0x8007_2ee2, 0x8007_2ee2, 0x8024_402c, 0x8007_2efd, 0x8024_401c, 0x8024_0438];
            return plain(client.chance.pick(&codes));
        }
        None
    }

    /// One attempt in 5,000 fails by chance.
    fn sporadic_code(&self, client: &mut Client) -> Option<u32> {
        let is_noisy = self.spec.noise_percent != 100 && NOISY_BUILDS.contains(&client.build);
        let rate = 2 * self.spec.noise_percent * if is_noisy { 4 } else { 1 };
        let first = if client.is_legacy() { super::LEGACY_UNTRUSTED } else { super::MODERN_UNTRUSTED };
        let last = if client.is_legacy() { 0x800b_0100 } else { 0x8024_6002 };
        client.chance.per_million(rate).then(|| client.chance.pick(&[first, 0x800b_0101, 0x8009_6010, last]))
    }

    /// Recovers hosts after the end of a cause: half of them install the update, and the other half are no longer
    /// offered it.
    fn recover(&mut self, client: &mut Client, now_ms: i64) -> i64 {
        let Some(cause) =
            self.causes.iter_mut().find(|cause| now_ms >= cause.end_ms && cause.truth.hosts.contains_key(&client.name))
        else {
            return now_ms;
        };
        if cause.hits.remove(&client.name).is_none() || client.chance.percent(50) {
            return now_ms;
        }
        cause.updates.iter().fold(now_ms, |now_ms, update| client.install(now_ms, update) + 5000)
    }

    fn install_what_is_due(
        &self,
        client: &mut Client,
        wants: &mut Wants,
        wants_monthly: bool,
        is_hit: bool,
        fails_always: bool,
        mut now_ms: i64,
    ) -> i64 {
        if wants_monthly {
            wants.monthly = false;
            now_ms = client.install(now_ms, &self.updates.monthly) + 5000;
        }
        if is_hit {
            return now_ms;
        }
        if now_ms >= self.release_ms
            && let Some(update) = wants.also.pop()
        {
            now_ms = client.install(now_ms, &update) + 5000;
        }
        if !fails_always && let Some((update, _)) = wants.third_party.take_if(|(_, at_ms)| now_ms >= *at_ms) {
            now_ms = client.install(now_ms, &update) + 5000;
        }
        if client.chance.percent(12) {
            let update = &self.updates.definitions[client.chance.below(self.updates.definitions.len())];
            let fails = client.chance.percent(8);
            now_ms = if fails { client.installer_fails(now_ms, update) } else { client.install(now_ms, update) } + 5000;
        }
        now_ms
    }

    fn fail_in_a_loop(&self, client: &mut Client, from_ms: i64) -> i64 {
        let code = if client.is_legacy() { super::LEGACY_UNTRUSTED } else { super::MODERN_UNTRUSTED };
        let mut now_ms = from_ms;
        while now_ms < (self.loop_ms + 6 * HOUR_MS).min(self.end_ms) {
            now_ms =
                client.download_is_refused(now_ms, &self.updates.own, code) + client.chance.between(1000, MINUTE_MS);
        }
        now_ms
    }

    fn note(&mut self, client: &Client, hit: Option<Hit>, at_ms: i64) {
        if let Some((number, ..)) = hit {
            self.causes[number].truth.hosts.entry(client.name.clone()).or_insert(at_ms);
        }
    }

    /// Scan times: every 17 to 22 h, on Monday morning, and more often in the day after Microsoft's release.
    fn scan_times(&self, client: &mut Client) -> Vec<i64> {
        let has_returned = self.odd.returned.contains(&client.name);
        let (utc_minutes, chance) = (client.site.utc_minutes, &mut client.chance);
        let mut times = Vec::new();
        let mut at_ms = self.start_ms + chance.between(0, 20 * HOUR_MS);
        if has_returned {
            let before_ms = self.start_ms - chance.between(days(1), days(3));
            times.extend([before_ms, before_ms + chance.between(17 * HOUR_MS, 22 * HOUR_MS)]);
            at_ms = self.start_ms + days(self.spec.days) * 85 / 100 + chance.between(0, 6 * HOUR_MS);
        }
        while at_ms < self.end_ms {
            times.push(at_ms);
            at_ms += chance.between(17 * HOUR_MS, 22 * HOUR_MS);
        }
        if !has_returned {
            if chance.percent(75) {
                let extra = chance.below(2) + 1;
                times.extend((0..extra).map(|_| self.release_ms + chance.between(0, days(1))));
            }
            for day in 0..self.spec.days {
                let morning_ms = self.start_ms + days(day) + 8 * HOUR_MS - utc_minutes * MINUTE_MS;
                // 1970-01-01 was a Thursday, so day 4 was a Monday.
                let is_monday = ((self.start_ms + days(day)) / days(1)) % 7 == 4;
                if is_monday && chance.percent(60) {
                    times.push(morning_ms + chance.between(0, 2 * HOUR_MS));
                }
            }
        }
        if let Some((from_ms, to_ms, hosts)) = &self.odd.outage
            && hosts.contains(&client.name)
        {
            let mut at_ms = from_ms + chance.between(0, 90 * MINUTE_MS);
            while at_ms < *to_ms {
                times.push(at_ms);
                at_ms += chance.between(40 * MINUTE_MS, 100 * MINUTE_MS);
            }
        }
        times.retain(|at_ms| *at_ms < self.end_ms - 10 * MINUTE_MS);
        times.sort_unstable();
        times.dedup_by(|next, previous| *next - *previous < 5 * MINUTE_MS);
        times
    }
}
