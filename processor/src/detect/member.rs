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
    /// Whether it has recovered because the update is no longer offered to it: it may trust the certificate as little as
    /// before.
    pub(super) withdrawn: bool,
}
