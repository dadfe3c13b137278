//! A host name in 24 bytes: those of Windows have at most 15 letters, so hardly any needs memory of its own.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SHORT_MAX: usize = 22;

#[derive(Clone, Debug)]
pub(super) enum HostName {
    /// UTF-8 bytes, of which so many are the name.
    Short(u8, [u8; SHORT_MAX]),
    Long(Box<str>),
}

impl HostName {
    pub(super) fn as_str(&self) -> &str {
        match self {
            HostName::Short(len, bytes) => std::str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default(),
            HostName::Long(text) => text,
        }
    }
}

impl HostName {
    /// Memory beside the name itself.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            HostName::Short(..) => 0,
            HostName::Long(text) => text.len() as u64,
        }
    }
}

impl Default for HostName {
    fn default() -> HostName {
        HostName::from("")
    }
}

impl From<&str> for HostName {
    fn from(text: &str) -> HostName {
        match u8::try_from(text.len()) {
            Ok(len) if text.len() <= SHORT_MAX => {
                let mut bytes = [0; SHORT_MAX];
                bytes[..text.len()].copy_from_slice(text.as_bytes());
                HostName::Short(len, bytes)
            }
            _ => HostName::Long(text.into()),
        }
    }
}

impl Serialize for HostName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HostName, D::Error> {
        Ok(HostName::from(<&str>::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_length_is_kept() {
        assert_eq!(size_of::<HostName>(), 24);
        for text in ["", "pc-0042", "1234567890123456789012", "12345678901234567890123", "büro-01.corp.example.ü"] {
            let name = HostName::from(text);
            assert_eq!(name.as_str(), text);
            let bytes = postcard::to_stdvec(&name).unwrap();
            assert_eq!(postcard::from_bytes::<HostName>(&bytes).unwrap().as_str(), text);
        }
    }
}
