//! A host name in 24 bytes: those of Windows have at most 15 letters, so hardly any needs memory of its own.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SHORT_MAX: usize = 22;

#[derive(Clone, Debug)]
pub(super) enum Name {
    /// UTF-8 bytes, of which so many are the name.
    Short(u8, [u8; SHORT_MAX]),
    Long(Box<str>),
}

impl Name {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Name::Short(len, bytes) => std::str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default(),
            Name::Long(text) => text,
        }
    }
}

impl Name {
    /// Memory beside the name itself.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Name::Short(..) => 0,
            Name::Long(text) => text.len() as u64,
        }
    }
}

impl Default for Name {
    fn default() -> Name {
        Name::from("")
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        match u8::try_from(text.len()) {
            Ok(len) if text.len() <= SHORT_MAX => {
                let mut bytes = [0; SHORT_MAX];
                bytes[..text.len()].copy_from_slice(text.as_bytes());
                Name::Short(len, bytes)
            }
            _ => Name::Long(text.into()),
        }
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        Ok(Name::from(<&str>::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_length_is_kept() {
        assert_eq!(size_of::<Name>(), 24);
        for text in ["", "pc-0042", "1234567890123456789012", "12345678901234567890123", "büro-01.corp.example.ü"] {
            let name = Name::from(text);
            assert_eq!(name.as_str(), text);
            let bytes = postcard::to_stdvec(&name).unwrap();
            assert_eq!(postcard::from_bytes::<Name>(&bytes).unwrap().as_str(), text);
        }
    }
}
