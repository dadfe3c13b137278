//! GUIDs in texts, which name updates, services and jobs.

/// Length of a GUID without braces.
pub const GUID_BYTES: usize = 36;

/// Positions of the hyphens.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// True for a GUID without braces: `8468427e-6555-e8d9-5360-9cbc1d52a0bb`, in either case.
#[must_use]
pub fn is_guid(text: &[u8; GUID_BYTES]) -> bool {
    // The hyphens are checked first, since most texts lack them.
    if !HYPHENS.into_iter().all(|at| text[at] == b'-') {
        return false;
    }
    let mut digits = *text;
    HYPHENS.into_iter().for_each(|at| digits[at] = b'0');
    // Without a branch for each byte, so that the compiler examines many bytes at once.
    digits.iter().fold(true, |all, byte| all & byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_and_hex_digits_at_their_places() {
        let guid = *b"8468427E-6555-e8d9-5360-9CBC1D52A0bb";
        assert!(is_guid(&guid));
        for at in 0..GUID_BYTES {
            for byte in *b"-g \0{/:@`" {
                let mut other = guid;
                other[at] = byte;
                assert_eq!(is_guid(&other), other == guid, "{}", String::from_utf8_lossy(&other));
            }
        }
    }
}
