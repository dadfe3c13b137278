//! HRESULTs of Windows Update and of certificate trust: symbol, meaning and the family that is counted together.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Codes that one cause can produce side by side are one family, and are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// The chain ends in a root, or a publisher, that the host does not trust: 800B0109, 800B0004, 8024B303.
    UntrustedRoot,
    /// The chain cannot be built or is malformed: 800B010A, 800B0112 ...
    Chain,
    /// A certificate is outside its validity period: 800B0101 ...
    Expired,
    /// No signature, a bad signature or a bad digest: 800B0100, 80096010, 80246002 ...
    Signature,
    /// Revoked, or revocation could not be checked: 800B010C, 80092013 ...
    Revocation,
    /// TLS to the update server failed on its certificate: 80072F8F, 80072F06 ...
    Tls,
    /// Explicitly distrusted: 800B0111.
    Distrust,
    /// The signature of update metadata failed: 80247140-80247183, 8024044B ...
    Metadata,
    /// A local policy or a certificate's usage forbids it: 80092026, 800B0110 ...
    Policy,
}

impl Family {
    /// The name as it stands in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Family::UntrustedRoot => "untrusted_root",
            Family::Chain => "chain",
            Family::Expired => "expired",
            Family::Signature => "signature",
            Family::Revocation => "revocation",
            Family::Tls => "tls",
            Family::Distrust => "distrust",
            Family::Metadata => "metadata",
            Family::Policy => "policy",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
