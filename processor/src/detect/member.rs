//! The members of an incident: the hosts that it affects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fleet::HostIndex;
use super::onset::Onset;

/// Some members of an incident, by host.
pub(super) type Members = BTreeMap<HostIndex, Member>;

/// One affected host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) onset: Onset,
    pub(super) recovered: bool,
    /// True where the host recovered only because the update is no longer offered: its trust may still be broken.
    pub(super) withdrawn: bool,
}
