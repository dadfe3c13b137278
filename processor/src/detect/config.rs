//! The detector's numbers, each with its unit in its name and its reason beside it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wulog_schemas::alert::Level;
use wulog_schemas::host::hex_digest;
use wulog_schemas::hresult::Family;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The section `[detector]` of the processor's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DetectorConfig {
    /// Sliding windows of event time. Several together, since hosts scan every 17-22 h: a short one is quick on a big
    /// outbreak, a long one sees a small one. None may be longer than a day.
    pub windows_secs: Vec<u64>,
    /// An incident opens where the fleet's history predicts so many failing hosts with less than this probability.
    pub alpha: f64,
    /// Fewer hosts than this never open an incident, however improbable; operator rules apart.
    pub min_hosts: u64,
    /// In a small fleet, this share of the hosts active in 24 h opens an incident ...
    pub small_fleet_share: f64,
    /// ... if the fleet's history predicts it with less than this probability.
    pub small_fleet_alpha: f64,
    /// What is believed of a well-kept fleet without history: this many newly failing hosts ...
    pub prior_hosts: f64,
    /// ... in this many active quarter hours (about 400 host-days). Weak on purpose: a fleet's own history soon counts
    /// more. Tried on quiet simulated fleets: twice as strong a belief alerts more often on a fleet's first day when
    /// its failures are frequent, a third as strong alerts on three chance failures in a week without any.
    pub prior_active_quarter_hours: f64,
    /// How many of all fleets are believed to be badly kept, failing at one scan in thirty. The fleet's own history soon
    /// says which kind it is; until then a cluster must stand out in both.
    pub badly_kept_share: f64,
    /// What a host that has just been caught up with is worth in active quarter hours: a week of two scans a day.
    pub catch_up_active_quarter_hours: f64,
    /// A failure that began longer ago than this is chronic, not new; history is compared over the same time.
    pub horizon_secs: u64,
    /// An incident speaks of its growth at most this often.
    pub quiet_secs: u64,
    /// Without a new host for this long an incident is stable: every host has scanned once.
    pub stable_secs: u64,
    /// This share of the affected hosts must have succeeded since.
    pub resolve_share: f64,
    /// Without a new host for this long an incident ends even if its hosts are never heard of again.
    pub expire_secs: u64,
    /// An affected host that is not heard of for this long is silent.
    pub silent_secs: u64,
    /// Factors with a larger probability than this, times the dimensions looked at, are chance.
    pub factor_p_max: f64,
    /// Rules of the operator, checked beside the statistics.
    pub rules: Vec<Rule>,
    /// Warnings of certificates that will make hosts fail; off when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_warnings: Option<CertificateWarnings>,
    /// Bounds of the state and of documents.
    pub limits: DetectorLimits,
}

/// At least so many hosts, or such a share of the active ones, newly failing within a time. Each family is counted for
/// itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name, as alerts show it.
    pub name: String,
    /// At least this many distinct hosts.
    #[serde(default = "one")]
    pub min_hosts: u64,
    /// At least this share of the hosts active within the time.
    #[serde(default)]
    pub min_share: f64,
    /// The time; at most the horizon.
    pub within_secs: u64,
    /// Only these families; all when empty.
    #[serde(default)]
    pub families: Vec<Family>,
    /// A dimension whose values are counted each for itself, such as `label.site`; all hosts together without it.
    #[serde(default)]
    pub by: Option<String>,
    /// Only hosts with these values, by dimension. The share is of the active hosts that have them.
    #[serde(default, rename = "where")]
    pub dimensions: BTreeMap<String, String>,
    /// The least severity of its incidents.
    #[serde(default)]
    pub severity: Level,
}

/// Which conditions of certificates that sign updates open a warning, where hosts send inventories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateWarnings {
    /// A certificate in use expires within so many days.
    pub expires_within_days: u32,
    /// The certificate that a WSUS machine signs with is missing on this share of its clients ...
    pub missing_share: f64,
    /// ... so many hours after it came to the WSUS machine. Group Policy is applied every 90 minutes, but a computer that is
    /// off gets nothing.
    pub missing_after_hours: u32,
}

/// What is wrong with a configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Place in `rules` of the rule at fault; `None` for a key of `[detector]` itself.
    pub rule: Option<usize>,
    /// The key, in `[detector]` or in the rule.
    pub key: String,
    /// What is wrong, in words for the operator.
    pub why: String,
}

/// Bounds. Each says what gives way when it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DetectorLimits {
    /// Memory of hosts, names, failures and incidents, in MiB. When it is used up, hosts are forgotten: first those that were
    /// silent for 30 days, then those known for less than a day, those that do not fail and the longest silent first.
    pub memory_mib_max: usize,
    /// Hosts known; beyond it hosts are forgotten in the same order.
    pub hosts: usize,
    /// Distinct dimension names, values and subjects. When they are too many, those that no host has are forgotten, then
    /// hosts; what finds no place is called `(other)`.
    pub strings: usize,
    /// Bytes of one name or value; longer ones are cut.
    pub string_bytes: usize,
    /// Dimensions kept of a host; further ones are dropped and reported as unknown.
    pub dimensions_per_host: usize,
    /// Failing subjects kept of a host; the one that failed longest ago gives way.
    pub failing_per_host: usize,
    /// Succeeded subjects kept of a host; the oldest gives way, and the host says nothing of updates then.
    pub succeeded_per_host: usize,
    /// Newly failing hosts kept per family for comparison; the oldest give way.
    pub onsets_per_family: usize,
    /// Incidents kept, open and resolved; the longest resolved, then the oldest, gives way.
    pub incidents: usize,
    /// Host names in a document.
    pub names_in_alert: usize,
}

impl Default for DetectorConfig {
    fn default() -> DetectorConfig {
        DetectorConfig {
            windows_secs: vec![15 * MINUTE, HOUR, 6 * HOUR, DAY],
            alpha: 1e-5,
            min_hosts: 3,
            small_fleet_share: 0.15,
            small_fleet_alpha: 1e-2,
            prior_hosts: 0.5,
            prior_active_quarter_hours: 500.0,
            badly_kept_share: 0.05,
            catch_up_active_quarter_hours: 14.0,
            horizon_secs: 7 * DAY,
            quiet_secs: 15 * MINUTE,
            stable_secs: DAY,
            resolve_share: 0.9,
            expire_secs: 14 * DAY,
            silent_secs: 2 * DAY,
            factor_p_max: 0.02,
            rules: Vec::new(),
            certificate_warnings: None,
            limits: DetectorLimits::default(),
        }
    }
}

impl Default for CertificateWarnings {
    fn default() -> CertificateWarnings {
        CertificateWarnings { expires_within_days: 30, missing_share: 0.1, missing_after_hours: 24 }
    }
}

impl Default for DetectorLimits {
    fn default() -> DetectorLimits {
        DetectorLimits {
            memory_mib_max: 1024,
            hosts: 2_000_000,
            strings: 1_000_000,
            string_bytes: 256,
            dimensions_per_host: 32,
            failing_per_host: 32,
            succeeded_per_host: 8,
            onsets_per_family: 100_000,
            incidents: 256,
            names_in_alert: 1000,
        }
    }
}

impl DetectorConfig {
    /// Checks that the values can be used; the error explains a wrong one to the operator.
    ///
    /// # Errors
    /// Names the first key whose value makes no sense.
    pub fn check(&self) -> Result<(), Wrong> {
        let wrong = |key: &str, why: String| Err(Wrong { rule: None, key: key.to_owned(), why });
        let share = |name: &str, value: f64| {
            if value > 0.0 && value <= 1.0 {
                Ok(())
            } else {
                wrong(name, format!("{name} = {value} must be above 0 and at most 1"))
            }
        };
        share("alpha", self.alpha)?;
        share("small_fleet_share", self.small_fleet_share)?;
        share("small_fleet_alpha", self.small_fleet_alpha)?;
        share("resolve_share", self.resolve_share)?;
        share("factor_p_max", self.factor_p_max)?;
        if !(0.0..1.0).contains(&self.badly_kept_share) {
            let why = format!("badly_kept_share = {} must be at least 0 and below 1", self.badly_kept_share);
            return wrong("badly_kept_share", why);
        }
        if self.min_hosts == 0 {
            return wrong("min_hosts", "min_hosts must be at least 1".to_owned());
        }
        let limits = &self.limits;
        for (name, value) in [
            ("memory_mib_max", limits.memory_mib_max),
            ("hosts", limits.hosts),
            ("strings", limits.strings),
            ("string_bytes", limits.string_bytes),
            ("onsets_per_family", limits.onsets_per_family),
            ("incidents", limits.incidents),
        ] {
            if value == 0 {
                return wrong(
                    &format!("limits.{name}"),
                    format!("{name} = 0 leaves no room for anything: nothing would be detected"),
                );
            }
        }
        if self.windows_secs.iter().any(|secs| *secs == 0 || *secs > DAY) {
            return wrong("windows_secs", "windows_secs must lie between 1 s and one day".to_owned());
        }
        for (name, value) in
            [("prior_hosts", self.prior_hosts), ("prior_active_quarter_hours", self.prior_active_quarter_hours)]
        {
            if value.is_nan() || value <= 0.0 {
                return wrong(name, format!("{name} = {value} must be above 0"));
            }
        }
        if self.catch_up_active_quarter_hours.is_nan() || self.catch_up_active_quarter_hours < 0.0 {
            let name = "catch_up_active_quarter_hours";
            return wrong(name, format!("{name} must not be negative"));
        }
        if self.horizon_secs < DAY || self.horizon_secs > 30 * DAY {
            return wrong("horizon_secs", "horizon_secs must lie between 1 and 30 days".to_owned());
        }
        let longest = 365 * DAY;
        for (name, value) in [
            ("quiet_secs", self.quiet_secs),
            ("stable_secs", self.stable_secs),
            ("expire_secs", self.expire_secs),
            ("silent_secs", self.silent_secs),
        ] {
            if value == 0 || value > longest {
                return wrong(name, format!("{name} = {value} must lie between 1 s and 365 days"));
            }
        }
        if let Some(warnings) = &self.certificate_warnings {
            let key = |name: &str| format!("certificate_warnings.{name}");
            if !(1..=3650).contains(&warnings.expires_within_days) {
                let why = "expires_within_days must lie between 1 and 3650";
                return wrong(&key("expires_within_days"), why.to_owned());
            }
            if !(warnings.missing_share > 0.0 && warnings.missing_share <= 1.0) {
                let why = format!("missing_share = {} must be above 0 and at most 1", warnings.missing_share);
                return wrong(&key("missing_share"), why);
            }
            if warnings.missing_after_hours > 24 * 365 {
                return wrong(&key("missing_after_hours"), "missing_after_hours must be at most 8760".to_owned());
            }
        }
        for (place, rule) in self.rules.iter().enumerate() {
            let others = &self.rules[..place];
            rule.check(others, self.horizon_secs).map_err(|(key, why)| Wrong {
                rule: Some(place),
                key: key.to_owned(),
                why: format!("rule {:?}: {why}", rule.name),
            })?;
        }
        Ok(())
    }

    /// The most severe of the rules with these names.
    pub(super) fn severity_of(&self, rules: &[String]) -> Level {
        let named = self.rules.iter().filter(|rule| rules.contains(&rule.name));
        named.map(|rule| rule.severity).max().unwrap_or(Level::Low)
    }

    /// First 16 hex digits of the SHA-256 of these numbers as JSON, which every alert carries.
    #[must_use]
    pub fn hash(&self) -> String {
        let json = serde_json::to_string(self).expect("a configuration is numbers, strings and string keys");
        hex_digest(&[&json])[..16].to_owned()
    }
}

impl Rule {
    fn check(&self, others: &[Rule], horizon_secs: u64) -> Result<(), (&'static str, String)> {
        if self.name.is_empty() || others.iter().any(|rule| rule.name == self.name) {
            return Err(("name", "alerts name the rule, so it needs a name of its own".to_owned()));
        }
        if self.within_secs == 0 || self.within_secs > horizon_secs {
            return Err(("within_secs", format!("within_secs must lie between 1 s and the horizon, {horizon_secs} s")));
        }
        if self.min_hosts == 0 {
            return Err(("min_hosts", "min_hosts must be at least 1".to_owned()));
        }
        if !(0.0..=1.0).contains(&self.min_share) {
            return Err(("min_share", format!("min_share = {} must lie between 0 and 1", self.min_share)));
        }
        if self.min_hosts < 2 && self.min_share <= 0.0 && self.dimensions.is_empty() {
            let why = "one host of any kind would be an incident: say min_hosts, min_share or where";
            return Err(("min_hosts", why.to_owned()));
        }
        for name in self.dimensions.keys().chain(&self.by) {
            if let Some(meant) = meant_by(name) {
                let why = format!("no host reports the dimension {name}: did you mean {meant}?");
                return Err((if self.by.as_ref() == Some(name) { "by" } else { "where" }, why));
            }
        }
        Ok(())
    }
}

/// The dimensions that the Normalizer makes; labels have names of the operator's choice.
const DIMENSIONS: [&str; 10] =
    ["wsus", "proxy", "target_group", "client_build", "os_build", "os_version", "update", "file", "server", "caller"];

/// The dimension that a misspelt name stands for: the same letters, but for case and separators.
fn meant_by(name: &str) -> Option<&'static str> {
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let wanted = letters(name);
    DIMENSIONS.into_iter().find(|known| *known != name && letters(known) == wanted)
}

fn one() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str, expect: &str) {
        let result = toml::from_str::<DetectorConfig>(toml).map_err(|error| error.to_string());
        let message = result.and_then(|config| config.check().map_err(|wrong| wrong.why)).err().unwrap_or_default();
        assert!(message.contains(expect) && expect.is_empty() == message.is_empty(), "{toml}: {message}");
    }

    #[test]
    fn what_can_be_configured() {
        check("", "");
        check("alpha = 1e-6\nlimits.hosts = 1000", "");
        check("min_hosts = 0", "min_hosts must be at least 1");
        check("limits.incidents = 0", "incidents = 0 leaves no room");
        check(
            "[[rules]]\nname = 'pilot'\nmin_hosts = 2\nwithin_secs = 3600\nfamilies = ['tls']\nseverity = 'high'\nwhere = { 'label.ring' = 'pilot' }",
            "",
        );
        check("alhpa = 1e-6", "unknown field `alhpa`");
        check("alpha = 0.0", "alpha = 0 must be above 0");
        check("resolve_share = 90.0", "resolve_share = 90 must be above 0 and at most 1");
        check("windows_secs = [3600, 90000]", "windows_secs");
        check("prior_hosts = nan", "prior_hosts");
        check("quiet_secs = 0", "quiet_secs = 0");
        check("[[rules]]\nname = 'x'\nmin_hosts = 5\nby = 'wsus'\nwithin_secs = 60", "");
        check("[certificate_warnings]", "");
        check("certificate_warnings.missing_share = 10.0", "missing_share = 10 must be above 0 and at most 1");
        check("certificate_warnings.expires_within_days = 0", "expires_within_days must lie between");
        check("certificate_warnings.expires = 30", "unknown field `expires`");
        let misspelt = "[[rules]]\nname = 'x'\nwithin_secs = 60\nwhere = { targetgroup = 'Pilot' }";
        check(misspelt, "no host reports the dimension targetgroup: did you mean target_group?");
        check("[[rules]]\nname = 'x'\nwithin_secs = 604801", "rule \"x\": within_secs");
        check("[[rules]]\nname = 'x'\nwithin_secs = 60\nmin_share = 1.5", "rule \"x\": min_share = 1.5");
        check("[[rules]]\nname = 'x'\nwithin_secs = 60", "one host of any kind");
        let twice = "[[rules]]\nname = 'x'\nwithin_secs = 60\nmin_hosts = 2\n";
        check(&twice.repeat(2), "a name of its own");
        check("[[rules]]\nname = 'x'\nwithin_secs = 60\nfamilies = ['tlz']", "unknown variant `tlz`");
    }

    #[test]
    fn the_hash_is_that_of_the_numbers() {
        let changed = DetectorConfig { alpha: 1e-6, ..DetectorConfig::default() };
        assert_eq!(DetectorConfig::default().hash(), DetectorConfig::default().hash());
        assert_ne!(changed.hash(), DetectorConfig::default().hash());
    }
}
