//! A host counted as newly failing, and the thing that it distrusts.

use serde::{Deserialize, Serialize};
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::RawPosition;

use super::fleet::{Fleet, HostIndex};
use super::strings::StringId;

/// A host counted as newly failing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Onset {
    pub(super) host: HostIndex,
    pub(super) subject: StringId,
    pub(super) family: Family,
    pub(super) code: StringId,
    /// The operation that failed; number 0 where only the host's facts told of the failure.
    pub(super) operation: StringId,
    /// Position in the sliding windows: the event time, or the log time of arrival where the failure arrived late.
    pub(super) time: i64,
    /// Event time of the first failure.
    pub(super) since: i64,
    pub(super) raw: RawPosition,
    /// True where the failure arrived more than a day after its event time.
    pub(super) late: bool,
}

impl Onset {
    /// Whether the host still fails at some subject of the onset's family.
    pub(super) fn still_fails(&self, fleet: &Fleet) -> bool {
        fleet.still_fails(self.host, self.family)
    }

    /// The numbers of the strings that this onset refers to.
    pub(super) fn strings(&self) -> [StringId; 3] {
        [self.subject, self.code, self.operation]
    }
}

/// The object that failing hosts distrust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Distrusted {
    /// The signature of updates.
    Signature,
    /// The certificate of a server.
    Server,
}

impl Distrusted {
    pub(super) fn of(onset: &Onset, fleet: &Fleet) -> Distrusted {
        Distrusted::by(onset.family, fleet.strings.text(onset.subject))
    }

    pub(super) fn by(family: Family, subject: &str) -> Distrusted {
        if family == Family::Tls || subject.starts_with("server:") { Distrusted::Server } else { Distrusted::Signature }
    }
}
