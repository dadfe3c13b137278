//! HRESULTs of Windows Update and of certificate trust: symbol, meaning and family.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

mod codes;
mod scan;
mod table;

pub use codes::{CODES_MAX, Codes};
pub use scan::{find_hresult, find_hresults, parse_hresult};
pub use table::{entries, lookup, table_hash};

/// A group of codes that one cause can produce side by side. Codes of a family are counted together.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
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
    /// Every family.
    pub const ALL: [Self; 9] = [
        Self::UntrustedRoot,
        Self::Chain,
        Self::Expired,
        Self::Signature,
        Self::Revocation,
        Self::Tls,
        Self::Distrust,
        Self::Metadata,
        Self::Policy,
    ];

    /// The name as it stands in documents.
    #[must_use]
    #[inline]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The facts about a known code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownCode {
    /// The HRESULT.
    pub code: u32,
    /// Its name, such as `CERT_E_UNTRUSTEDROOT`.
    pub symbol: &'static str,
    /// Its meaning in a few words.
    pub text: &'static str,
    /// The family of trust failures to which the code belongs; `None` for a code that is not a trust failure by itself.
    pub family: Option<Family>,
}

/// The family of trust failures to which `code` belongs.
#[must_use]
pub fn family(code: u32) -> Option<Family> {
    lookup(code).and_then(|entry| entry.family)
}

/// True for the code of a failure: its highest bit is set.
#[must_use]
pub const fn is_failure(code: u32) -> bool {
    code & 0x8000_0000 != 0
}

/// A code as it stands in documents: `0x800b0109`.
#[must_use]
pub fn display(code: u32) -> String {
    format!("0x{code:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families() {
        use Family::*;
        let cases = [
            (0x800B_0109, Some(UntrustedRoot)),
            (0x800B_0004, Some(UntrustedRoot)),
            (0x8024_B303, Some(UntrustedRoot)),
            (0x800B_010A, Some(Chain)),
            (0x800B_0101, Some(Expired)),
            (0x800B_0100, Some(Signature)),
            (0x8024_6002, Some(Signature)),
            (0x8009_2013, Some(Revocation)),
            (0x8007_2F8F, Some(Tls)),
            (0x800B_0111, Some(Distrust)),
            (0x8024_7140, Some(Metadata)),
            (0x8009_2026, Some(Policy)),
            // These codes often stand beside trust failures, but are not trust failures themselves.
            (0x8007_2EFE, None),
            (0x8009_2004, None),
            (0x8024_5006, None),
            (0x8024_402F, None),
            (0x8024_0022, None),
            (0x1234_5678, None),
        ];
        for (code, expect) in cases {
            assert_eq!(family(code), expect, "{code:08x}");
        }
    }

    #[test]
    fn names() {
        for family in Family::ALL {
            assert_eq!(serde_json::to_value(family).expect("a name"), family.as_str());
        }
    }

    #[test]
    fn symbols() {
        let symbol = |code| lookup(code).map_or("", |entry| entry.symbol);
        assert_eq!(symbol(0x800B_0109), "CERT_E_UNTRUSTEDROOT");
        assert_eq!(symbol(0x8024_402C), "WU_E_PT_WINHTTP_NAME_NOT_RESOLVED");
        assert_eq!(symbol(0x0024_0001), "WU_S_SERVICE_STOP");
        assert!(
            lookup(0x8007_2F8F)
                .is_some_and(|entry| entry.symbol.contains("SECURE_FAILURE") && entry.text.contains("TLS"))
        );
    }
}
