//! The identity of a host: an id that survives renames of files and restarts, and that differs for clones.

use std::fmt;

use data_encoding::HEXLOWER;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A host's id: 32 lower-case hex digits, the first half of a SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct HostId(String);

impl HostId {
    /// The id of the machine on which a collector runs: a hash of its machine id (`MachineGuid`, `/etc/machine-id`) and
    /// its computer name. Cloned images share the machine id, and renamed machines keep it, so both parts are needed.
    #[must_use]
    pub fn of_machine(machine_id: &str, computer_name: &str) -> HostId {
        HostId::digest(&["machine", machine_id.trim(), &canonical_name(computer_name)])
    }

    /// The id of a host that is known by gathered files only (`HOST/WindowsUpdate.log`): a hash of its name.
    #[must_use]
    pub fn of_gathered(name: &str) -> HostId {
        HostId::digest(&["gathered", &canonical_name(name)])
    }

    /// The id of a gathered host whose folder name differs from another host's only in case or surrounding blanks.
    #[must_use]
    pub fn of_gathered_apart(name: &str) -> HostId {
        HostId::digest(&["gathered", &canonical_name(name), name])
    }

    /// Takes an id as configured or as read from a record key.
    #[must_use]
    pub fn from_key(key: &str) -> HostId {
        HostId(key.to_owned())
    }

    /// The id as text, which is the Kafka record key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn digest(parts: &[&str]) -> HostId {
        HostId(hex_digest(parts)[..32].to_owned())
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A computer name as it is compared and shown: trimmed and lower case (NetBIOS and DNS names ignore case).
#[must_use]
pub fn canonical_name(name: &str) -> String {
    name.trim().to_lowercase()
}

/// The name of a host that is kept apart from another host of the same canonical name; see
/// [`HostId::of_gathered_apart`].
#[must_use]
pub fn name_apart(folder: &str) -> String {
    format!("{} (folder {folder:?})", canonical_name(folder))
}

/// SHA-256 over parts, joined by a separator that no part contains, as 64 lower-case hex digits.
#[must_use]
pub fn hex_digest(parts: &[&str]) -> String {
    let mut joined = Vec::new();
    for part in parts {
        joined.extend_from_slice(part.as_bytes());
        joined.push(0);
    }
    hex_digest_bytes(&joined)
}

/// SHA-256 of bytes, as 64 lower-case hex digits.
#[must_use]
pub fn hex_digest_bytes(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case() {
        assert_eq!(HostId::of_gathered("PC-0042"), HostId::of_gathered(" pc-0042 "));
        assert_ne!(HostId::of_gathered("pc-0042"), HostId::of_machine("", "pc-0042"));
    }

    /// The expected digest is that of `printf 'gathered\0pc-0042\0' | sha256sum`.
    #[test]
    fn an_id_is_the_first_half_of_a_sha_256() {
        assert_eq!(HostId::of_gathered("PC-0042").as_str(), "04a7c795a928a5d09b0cbad5910a34d5");
    }
}
