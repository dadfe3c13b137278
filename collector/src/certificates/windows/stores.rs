//! The certificate stores of the machine, as crypt32 shows them.
//!
//! Windows shows one store where the registry has several: what an administrator or a program added, what Group Policy
//! delivered, and what Active Directory delivers to all machines of the forest. The parts of Group Policy and Active
//! Directory are opened beside the whole store, and say where each certificate comes from.
//!
//! Stores are opened for reading and only where they exist. Neither the store `My`, nor a store of a user, nor a private
//! key is opened.

#![allow(unsafe_code)] // calls for which no crate has wrappers

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::ptr::{null, null_mut};

use data_encoding::HEXLOWER;
use windows_sys::Win32::Foundation::{
    CRYPT_E_NOT_FOUND, ERROR_FILE_NOT_FOUND, ERROR_NO_MORE_FILES, ERROR_SUCCESS, FILETIME, GetLastError, SetLastError,
};
use windows_sys::Win32::Security::Cryptography::{
    CALG_SHA1, CERT_CONTEXT, CERT_FIND_EXT_ONLY_ENHKEY_USAGE_FLAG, CERT_INFO, CERT_NAME_STR_REVERSE_FLAG,
    CERT_STORE_OPEN_EXISTING_FLAG, CERT_STORE_PROV_SYSTEM_W, CERT_STORE_READONLY_FLAG,
    CERT_SYSTEM_STORE_LOCAL_MACHINE_ENTERPRISE_ID, CERT_SYSTEM_STORE_LOCAL_MACHINE_GROUP_POLICY_ID,
    CERT_SYSTEM_STORE_LOCAL_MACHINE_ID, CERT_SYSTEM_STORE_LOCATION_SHIFT, CERT_X500_NAME_STR, CRYPT_INTEGER_BLOB,
    CTL_USAGE, CertCloseStore, CertEnumCertificatesInStore, CertFindExtension, CertGetEnhancedKeyUsage,
    CertGetPublicKeyLength, CertNameToStrW, CertOpenStore, CryptHashCertificate, HCERTSTORE, X509_ASN_ENCODING,
    szOID_ENHANCED_KEY_USAGE,
};
use wulog_schemas::certificate::{Certificate, Origin, Store};
use wulog_schemas::host::hex_digest_bytes;

/// How many certificates of one store are read; further ones are only counted. A machine has some hundreds at most.
const CERTIFICATES_MAX: usize = 10_000;

/// UTF-16 units of a distinguished name that are read; the inventory keeps 512 bytes.
const NAME_UNITS_MAX: usize = 1024;

/// Bytes of a SHA-1 hash.
const SHA1_BYTES: usize = 20;

const OID_CODE_SIGNING: &[u8] = b"1.3.6.1.5.5.7.3.3";
const OID_ANY_USAGE: &[u8] = b"2.5.29.37.0";

/// From 1601, where Windows' times begin, to 1970, in milliseconds.
const UNIX_EPOCH_MS: i64 = 11_644_473_600_000;

/// Returns a store of the machine. A store that does not exist is empty; a store that cannot be read holds the reason.
pub(crate) fn read(name: &str) -> Store {
    let part = |origin, what, location| {
        // Wine has no certificates of Active Directory, and gives no code for this place.
        let opened =
            OpenStore::open(name, location).or_else(|code| if code == ERROR_SUCCESS { Ok(None) } else { Err(code) });
        Part { origin, what, opened }
    };
    let parts = [
        part(Origin::GroupPolicy, "what Group Policy delivered", CERT_SYSTEM_STORE_LOCAL_MACHINE_GROUP_POLICY_ID),
        part(Origin::Enterprise, "what Active Directory delivered", CERT_SYSTEM_STORE_LOCAL_MACHINE_ENTERPRISE_ID),
    ];
    listed(name, parts, OpenStore::open(name, CERT_SYSTEM_STORE_LOCAL_MACHINE_ID), CERTIFICATES_MAX)
}

/// The part of a store that comes from one place.
struct Part {
    origin: Origin,
    /// The place, as an error names it.
    what: &'static str,
    /// `None` where the machine has no such part; Windows' code where the part cannot be opened.
    opened: Result<Option<OpenStore>, u32>,
}

/// Returns the content of a store: first its parts, then the certificates that only the whole store has.
///
/// Opening the whole store may succeed although Windows cannot open one of its parts. So each part is read on its own,
/// and a part that cannot be read makes the store incomplete.
fn listed(
    name: &str,
    parts: impl IntoIterator<Item = Part>,
    whole: Result<Option<OpenStore>, u32>,
    certificates_max: usize,
) -> Store {
    let mut store = Store { name: name.to_owned(), complete: true, ..Store::default() };
    let mut seen = BTreeSet::new();
    let mut read = |opened: Result<Option<OpenStore>, u32>, origin: Option<Origin>, what: &str| {
        let read = opened.and_then(|open| {
            let Some(open) = open else { return Ok(()) };
            open.for_each(|certificate| {
                let sha1 = certificate.sha1();
                // A certificate without a thumbprint is kept: the caller's check refuses it, and the store then counts
                // as incomplete.
                if sha1.is_some() && !seen.insert(sha1.clone()) {
                    return;
                }
                if store.certificates.len() < certificates_max {
                    store.certificates.push(certificate.read(sha1.unwrap_or_default(), origin));
                } else {
                    store.unlisted += 1;
                }
            })
        });
        if let Err(code) = read {
            store.complete = false;
            store.error.get_or_insert_with(|| format!("{what} cannot be read: {}", code_text(code)));
        }
        read.is_ok()
    };
    let mut knows_origins = true;
    for Part { origin, what, opened } in parts {
        knows_origins &= read(opened, Some(origin), what);
    }
    read(whole, knows_origins.then_some(Origin::Local), "the store");
    if store.unlisted > 0 {
        store.complete = false;
        store.error.get_or_insert_with(|| format!("only {certificates_max} certificates of the store are listed"));
    }
    store
}

/// `ERROR_FILE_NOT_FOUND` as an HRESULT, which some providers give in its place.
const NO_SUCH_STORE: u32 = 0x8007_0002;

const NOT_FOUND: u32 = CRYPT_E_NOT_FOUND.cast_unsigned();

/// An error in the same words in each language of Windows: its HRESULT.
pub(super) fn code_text(code: u32) -> String {
    // A Win32 code becomes an HRESULT, as HRESULT_FROM_WIN32 does.
    let hresult = if code <= 0xFFFF { 0x8007_0000 | code } else { code };
    format!("0x{hresult:08X}")
}

/// A store that is open for reading.
struct OpenStore(HCERTSTORE);

impl OpenStore {
    /// Opens an existing store; `None` where it does not exist.
    ///
    /// # Errors
    /// Windows' code.
    fn open(name: &str, location: u32) -> Result<Option<OpenStore>, u32> {
        let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
        let flags =
            (location << CERT_SYSTEM_STORE_LOCATION_SHIFT) | CERT_STORE_READONLY_FLAG | CERT_STORE_OPEN_EXISTING_FLAG;
        // SAFETY: the provider wants a name in UTF-16 that ends with a zero. The first call sets a plain value, so that the
        // code of an earlier call is not taken for the reason of this one.
        let store = unsafe {
            SetLastError(ERROR_SUCCESS);
            CertOpenStore(CERT_STORE_PROV_SYSTEM_W, 0, 0, flags, name.as_ptr().cast())
        };
        if !store.is_null() {
            return Ok(Some(OpenStore(store)));
        }
        match last_error() {
            ERROR_FILE_NOT_FOUND | NO_SUCH_STORE => Ok(None),
            code => Err(code),
        }
    }

    /// Shows each certificate.
    ///
    /// # Errors
    /// Windows' code, where the store ends before its last certificate.
    fn for_each(&self, mut show: impl FnMut(&Shown<'_>)) -> Result<(), u32> {
        let mut context: *const CERT_CONTEXT = null();
        loop {
            // SAFETY: a plain value. The end of a store need not set the code, so that an old one must not stand there.
            unsafe { SetLastError(ERROR_SUCCESS) };
            // SAFETY: the store is open. The call frees the context that it gave last, which nothing uses any more.
            context = unsafe { CertEnumCertificatesInStore(self.0, context) };
            // SAFETY: the context, and what it points to, is valid until the next call.
            let Some(shown) = (unsafe { Shown::of(context) }) else { break };
            show(&shown);
        }
        match last_error() {
            ERROR_SUCCESS | ERROR_NO_MORE_FILES | NOT_FOUND => Ok(()),
            code => Err(code),
        }
    }
}

impl Drop for OpenStore {
    fn drop(&mut self) {
        // SAFETY: the store was opened by us, and no context of it is in use.
        unsafe { CertCloseStore(self.0, 0) };
    }
}

pub(super) fn last_error() -> u32 {
    // SAFETY: the call only gives a plain value.
    unsafe { GetLastError() }
}

/// A certificate that Windows has decoded.
pub(super) struct Shown<'a> {
    context: &'a CERT_CONTEXT,
    info: &'a CERT_INFO,
}

impl Shown<'_> {
    /// `None` where there is no certificate.
    ///
    /// # Safety
    /// The context must come from Windows, and be valid as long as the result is used.
    pub(super) unsafe fn of<'a>(context: *const CERT_CONTEXT) -> Option<Shown<'a>> {
        // SAFETY: the caller vouches for the context; its info is decoded with it and lives as long.
        unsafe {
            let context = context.as_ref()?;
            Some(Shown { context, info: context.pCertInfo.as_ref()? })
        }
    }

    /// Returns the facts of the certificate, with those that the caller knows.
    pub(super) fn read(&self, sha1: String, origin: Option<Origin>) -> Certificate {
        let info = self.info;
        Certificate {
            sha1,
            sha256: Some(hex_digest_bytes(self.der())),
            subject: name(&info.Subject),
            issuer: name(&info.Issuer),
            serial: serial(&info.SerialNumber),
            not_before: unix_ms(info.NotBefore),
            not_after: unix_ms(info.NotAfter),
            code_signing: self.signs_code(),
            signature_algorithm: self.signature_algorithm(),
            key_bits: self.key_bits(),
            origin,
        }
    }

    fn der(&self) -> &[u8] {
        // SAFETY: the context holds the encoded certificate, as long as it says.
        unsafe { bytes(self.context.pbCertEncoded, self.context.cbCertEncoded) }
    }

    /// Returns the SHA-1 of the encoded certificate. The stored property of that name may be wrong and is not used.
    pub(super) fn sha1(&self) -> Option<String> {
        let (der, mut hash, mut len) = (self.der(), [0u8; SHA1_BYTES], SHA1_BYTES as u32);
        // SAFETY: both lengths are those of their buffers.
        let hashed = unsafe {
            CryptHashCertificate(0, CALG_SHA1, 0, der.as_ptr(), der.len() as u32, hash.as_mut_ptr(), &mut len)
        };
        (hashed != 0 && len as usize == SHA1_BYTES).then(|| HEXLOWER.encode(&hash))
    }

    /// Whether the certificate's extension for enhanced key usage has code signing; `None` without the extension.
    fn signs_code(&self) -> Option<bool> {
        // SAFETY: the extensions are as many as said.
        let extension =
            unsafe { CertFindExtension(szOID_ENHANCED_KEY_USAGE, self.info.cExtension, self.info.rgExtension) };
        if extension.is_null() {
            return None;
        }
        let flags = CERT_FIND_EXT_ONLY_ENHKEY_USAGE_FLAG;
        let mut len = 0;
        // SAFETY: without a buffer Windows writes only the length that a buffer must have.
        if unsafe { CertGetEnhancedKeyUsage(self.context, flags, null_mut(), &mut len) } == 0 {
            return None;
        }
        // A buffer of words, since it begins with a struct that holds a pointer.
        let mut buffer = vec![0u64; (len as usize).max(size_of::<CTL_USAGE>()).div_ceil(size_of::<u64>())];
        let usage: *mut CTL_USAGE = buffer.as_mut_ptr().cast();
        // SAFETY: the buffer has the length and is aligned. Windows writes the struct, and the texts behind it.
        unsafe {
            if CertGetEnhancedKeyUsage(self.context, flags, usage, &mut len) == 0 {
                return None;
            }
            let oids = slice((*usage).rgpszUsageIdentifier, (*usage).cUsageIdentifier);
            Some(oids.iter().filter(|oid| !oid.is_null()).any(|&oid| {
                let oid = CStr::from_ptr(oid.cast()).to_bytes();
                oid == OID_CODE_SIGNING || oid == OID_ANY_USAGE
            }))
        }
    }

    fn signature_algorithm(&self) -> Option<String> {
        let oid = self.info.SignatureAlgorithm.pszObjId;
        // SAFETY: Windows gives a text that ends with a zero, or none.
        (!oid.is_null()).then(|| unsafe { CStr::from_ptr(oid.cast()) }.to_string_lossy().into_owned())
    }

    fn key_bits(&self) -> Option<u32> {
        // SAFETY: the key is that of a decoded certificate. Windows gives 0 for a kind of key that it does not know.
        let bits = unsafe { CertGetPublicKeyLength(X509_ASN_ENCODING, &self.info.SubjectPublicKeyInfo) };
        (bits > 0).then_some(bits)
    }
}

/// Returns a distinguished name as `certutil` writes it: the most specific part first.
fn name(encoded: &CRYPT_INTEGER_BLOB) -> String {
    let mut text = [0u16; NAME_UNITS_MAX];
    let form = CERT_X500_NAME_STR | CERT_NAME_STR_REVERSE_FLAG;
    // SAFETY: the name is one of a decoded certificate, and the buffer is as long as said.
    let units = unsafe { CertNameToStrW(X509_ASN_ENCODING, encoded, form, text.as_mut_ptr(), text.len() as u32) };
    // The count includes the zero at the end.
    let end = (units as usize).saturating_sub(1).min(text.len());
    String::from_utf16_lossy(&text[..end])
}

/// Returns a serial number as people write it: Windows stores its last byte first.
fn serial(number: &CRYPT_INTEGER_BLOB) -> String {
    // SAFETY: the number is one of a decoded certificate, as long as it says.
    let mut digits = unsafe { bytes(number.pbData, number.cbData) }.to_vec();
    digits.reverse();
    HEXLOWER.encode(&digits)
}

/// Milliseconds since 1970 UTC; `None` for a time that was not decoded.
fn unix_ms(time: FILETIME) -> Option<i64> {
    let ticks = (u64::from(time.dwHighDateTime) << 32) | u64::from(time.dwLowDateTime);
    // A tick has 100 ns.
    let ms = i64::try_from(ticks / 10_000).ok()?;
    (ticks > 0).then_some(ms - UNIX_EPOCH_MS)
}

/// # Safety
/// As [`slice`].
unsafe fn bytes<'a>(start: *const u8, len: u32) -> &'a [u8] {
    // SAFETY: the caller vouches for it.
    unsafe { slice(start, len) }
}

/// Returns an array of Windows as a slice; an empty array may have a null pointer.
///
/// # Safety
/// An array that is not empty must be as long as said, and live as long as the slice.
pub(super) unsafe fn slice<'a, T>(start: *const T, len: u32) -> &'a [T] {
    if start.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller vouches for it.
    unsafe { std::slice::from_raw_parts(start, len as usize) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-03-01 00:00 UTC in ticks of 100 ns since 1601, from Python's datetime.
    #[test]
    fn a_time_of_windows_is_a_time_since_1970() {
        let ticks = 133_537_248_000_000_000_u64;
        let time = FILETIME { dwHighDateTime: (ticks >> 32) as u32, dwLowDateTime: ticks as u32 };
        assert_eq!(unix_ms(time), Some(1_709_251_200_000));
        assert_eq!(unix_ms(FILETIME { dwHighDateTime: 0, dwLowDateTime: 0 }), None);
    }

    #[test]
    fn a_store_that_does_not_exist_is_empty_and_complete() {
        let store = read("WulogNoSuchStore");
        assert!(store.complete && store.error.is_none() && store.certificates.is_empty(), "{store:?}");
    }

    /// Windows' code for a refused access.
    const DENIED: u32 = 5;

    fn open() -> Result<Option<OpenStore>, u32> {
        OpenStore::open("Root", CERT_SYSTEM_STORE_LOCAL_MACHINE_ID)
    }

    fn part(opened: Result<Option<OpenStore>, u32>) -> Part {
        Part { origin: Origin::GroupPolicy, what: "what Group Policy delivered", opened }
    }

    #[test]
    fn a_store_that_cannot_be_opened_says_why() {
        let store = listed("Root", [part(Ok(None))], Err(DENIED), CERTIFICATES_MAX);
        assert_eq!((store.complete, store.certificates.len()), (false, 0));
        assert_eq!(store.error.as_deref(), Some("the store cannot be read: 0x80070005"));
    }

    #[test]
    fn a_part_that_cannot_be_opened_makes_the_store_incomplete_and_origins_unknown() {
        let store = listed("Root", [part(Err(DENIED))], open(), CERTIFICATES_MAX);
        assert!(!store.complete && store.certificates.len() > 1);
        assert_eq!(store.error.as_deref(), Some("what Group Policy delivered cannot be read: 0x80070005"));
        assert!(store.certificates.iter().all(|certificate| certificate.origin.is_none()));
        // The part of Group Policy may be the whole content of the store.
        assert!(!listed("Root", [part(Err(DENIED))], Ok(None), CERTIFICATES_MAX).complete);
    }

    #[test]
    fn a_certificate_is_listed_once_with_the_origin_of_its_part() {
        let whole = listed("Root", [], open(), CERTIFICATES_MAX);
        let twice = listed("Root", [part(open())], open(), CERTIFICATES_MAX);
        assert!(whole.certificates.iter().all(|certificate| certificate.origin == Some(Origin::Local)));
        assert!(twice.certificates.iter().all(|certificate| certificate.origin == Some(Origin::GroupPolicy)));
        assert_eq!(twice.certificates.len(), whole.certificates.len());
    }

    /// Root is never empty: Wine fills it from Linux.
    #[test]
    fn certificates_beyond_the_bound_are_counted() {
        let all = listed("Root", [], open(), CERTIFICATES_MAX);
        assert!(all.complete && all.certificates.len() > 1, "{:?}", all.error);
        let one = listed("Root", [], open(), 1);
        assert_eq!((one.certificates.len(), one.unlisted), (1, all.certificates.len() as u64 - 1));
        assert_eq!((one.complete, one.error.as_deref()), (false, Some("only 1 certificates of the store are listed")));
    }
}
