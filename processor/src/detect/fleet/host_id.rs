//! The number of a host id. Nearly all ids are 32 hex digits, which 16 bytes hold.

use wulog_schemas::host::hex_digest;

/// The number that 32 lower-case hex digits stand for; `None` for a text of another form.
pub(super) fn id_of_hex(text: &str) -> Option<[u64; 2]> {
    let digits: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let (mut halves, mut wrong) = ([0_u64; 2], 0);
    for (half, digits) in halves.iter_mut().zip(digits.chunks_exact(16)) {
        for digit in digits {
            let value = HEX_VALUES[usize::from(*digit)];
            wrong |= value;
            *half = *half << 4 | u64::from(value & 0xf);
        }
    }
    (wrong < 0x10).then_some(halves)
}

/// The value of each lower-case hex digit, and one above 15 for all other bytes.
const HEX_VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// A number for an id of any other form: the beginning of its hash, so that two ids have the same number only by an
/// improbable collision.
pub(super) fn id_of_odd(text: &str) -> [u64; 2] {
    id_of_hex(&hex_digest(&["odd id", text])[..32]).unwrap_or_default()
}
