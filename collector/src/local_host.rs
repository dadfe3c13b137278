//! The host that the collector runs on: its name, its id, its time zone.

use std::collections::BTreeMap;

use chrono::{Local, Offset, TimeZone};
use wulog_schemas::host::{HostId, canonical_name};
use wulog_service::computer;

/// The settings of the collector's own host. The operating system is asked for missing settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostConfig {
    /// Computer name.
    pub name: Option<String>,
    /// Host id, in place of the hash of machine id and computer name.
    pub id: Option<String>,
    /// IANA time zone.
    pub time_zone: Option<String>,
    /// Labels such as site, ring and OU.
    pub labels: BTreeMap<String, String>,
}

/// The host that the collector runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalHost {
    /// Record key.
    pub id: HostId,
    /// Name, lower case.
    pub name: String,
    /// IANA time zone, where it is known.
    pub time_zone: Option<String>,
    /// Whether the machine's own UTC offset holds for its lines; false where the configuration names a zone.
    pub own_clock: bool,
}

impl LocalHost {
    /// Returns the host, with settings of the operating system where the configuration has none.
    ///
    /// # Errors
    /// When the machine does not know its name; the message says what to configure.
    pub fn ask(config: &HostConfig) -> Result<LocalHost, String> {
        let name = config.name.clone().or_else(computer::name);
        let name = name.ok_or("this machine does not tell its name: set name under [host]")?;
        let id = match &config.id {
            Some(id) => HostId::from_key(id),
            None => HostId::of_machine(&computer::id().unwrap_or_default(), &name),
        };
        let time_zone = config.time_zone.clone().or_else(computer::time_zone);
        Ok(LocalHost { id, name: canonical_name(&name), time_zone, own_clock: config.time_zone.is_none() })
    }
}

/// Returns the machine's UTC offset at a time, in minutes east.
#[must_use]
pub fn utc_offset_min(at_ms: i64) -> Option<i32> {
    let at = Local.timestamp_millis_opt(at_ms).single()?;
    Some(at.offset().fix().local_minus_utc() / 60)
}
