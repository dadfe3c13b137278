//! The symbol of a code, for documents.

/// The symbol of a code written as `0x%08x`, where known.
pub(super) fn of(code: &str) -> Option<String> {
    let symbol = match code {
        "0x800b0109" => "CERT_E_UNTRUSTEDROOT",
        "0x800b0004" => "TRUST_E_SUBJECT_NOT_TRUSTED",
        "0x800b010a" => "CERT_E_CHAINING",
        "0x800b0101" => "CERT_E_EXPIRED",
        "0x800b0100" => "TRUST_E_NOSIGNATURE",
        "0x80072f8f" => "ERROR_INTERNET_SECURE_FAILURE",
        _ => return None,
    };
    Some(symbol.to_owned())
}
