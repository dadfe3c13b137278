//! The signer of a downloaded file, as the file's own signature names it.
//!
//! The signature is not verified, since the update client has verified and refused it. The collector only reports which
//! certificate the signature names, with the issuers that the file carries.

#![allow(unsafe_code)] // calls for which no crate has wrappers

use std::ffi::{CStr, c_void};
use std::io;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Security::Cryptography::{
    CERT_CONTEXT, CERT_FIND_SUBJECT_NAME, CERT_INFO, CERT_QUERY_CONTENT_FLAG_PKCS7_SIGNED,
    CERT_QUERY_FORMAT_FLAG_BINARY, CERT_QUERY_OBJECT_BLOB, CMSG_SIGNER_CERT_INFO_PARAM, CMSG_SIGNER_INFO,
    CMSG_SIGNER_INFO_PARAM, CRYPT_INTEGER_BLOB, CertCloseStore, CertFindCertificateInStore, CertFreeCertificateContext,
    CertGetSubjectCertificateFromStore, CryptMsgClose, CryptMsgGetParam, CryptQueryObject, HCERTSTORE,
    PKCS_7_ASN_ENCODING, X509_ASN_ENCODING,
};
use wulog_schemas::certificate::{Certificate, FailedFile};

use super::download;
use super::stores::{Shown, code_text, last_error, slice};
use crate::certificates::embedded_signature::signature;
use crate::certificates::failed_files::{CHAIN_MAX, FailedLine};

const ENCODING: u32 = X509_ASN_ENCODING | PKCS_7_ASN_ENCODING;

/// Attributes of a signature that hold a time stamp, of PKCS #9 and of RFC 3161.
const TIMESTAMPS: [&[u8]; 2] = [b"1.2.840.113549.1.9.6", b"1.3.6.1.4.1.311.3.3.1"];

/// Returns the files that still exist, with their signers.
pub(crate) fn read(lines: Vec<FailedLine>) -> Vec<FailedFile> {
    lines.into_iter().filter_map(read_one).collect()
}

fn read_one(line: FailedLine) -> Option<FailedFile> {
    let FailedLine { path, error, seen_ms } = line;
    let found = download::open(&path).and_then(|file| {
        let Some(mut file) = file else { return Ok(None) };
        let message = signature(&mut file)?;
        message.map_or(Ok(Some(Signer::default())), |message| Signer::of(&message).map(Some))
    });
    match found {
        Ok(found) => found.map(|Signer { certificate, has_timestamp, chain }| FailedFile {
            path,
            error,
            seen: seen_ms,
            signer: certificate,
            has_timestamp,
            chain,
        }),
        Err(error) => {
            tracing::debug!(path, %error, "the signer of a file that is not trusted cannot be read");
            None
        }
    }
}

/// The content of a signature.
#[derive(Default)]
struct Signer {
    /// `None` where the file carries no signature.
    certificate: Option<Certificate>,
    has_timestamp: bool,
    chain: Vec<Certificate>,
}

impl Signer {
    /// # Errors
    /// When Windows cannot read the message, or the message does not hold its signer.
    fn of(message: &[u8]) -> io::Result<Signer> {
        let message = Message::of(message)?;
        let signer = message.signer()?;
        let chain = message.issuers_of(&signer);
        Ok(Signer { certificate: signer.read(), has_timestamp: message.has_timestamp()?, chain })
    }
}

/// A message of PKCS #7, decoded, with the certificates in it.
struct Message {
    message: *mut c_void,
    store: HCERTSTORE,
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: both were given to us, and each is closed once. Contexts of the store keep what they need.
        unsafe {
            CryptMsgClose(self.message);
            CertCloseStore(self.store, 0);
        }
    }
}

/// A certificate of a store.
struct Found(*const CERT_CONTEXT);

impl Drop for Found {
    fn drop(&mut self) {
        // SAFETY: the context was given to us, and it is freed once.
        unsafe { CertFreeCertificateContext(self.0) };
    }
}

impl Found {
    fn of(context: *const CERT_CONTEXT) -> Option<Found> {
        (!context.is_null()).then_some(Found(context))
    }

    fn read(&self) -> Option<Certificate> {
        // SAFETY: the context comes from Windows and lives as long as we do.
        let shown = unsafe { Shown::of(self.0) }?;
        Some(shown.read(shown.sha1()?, None))
    }

    fn info(&self) -> Option<&CERT_INFO> {
        // SAFETY: as above; the info is decoded with the context.
        unsafe { self.0.as_ref()?.pCertInfo.as_ref() }
    }

    /// The encoded name of the issuer; `None` where the certificate is its own issuer.
    fn issuer(&self) -> Option<&CRYPT_INTEGER_BLOB> {
        let info = self.info()?;
        (encoded(&info.Issuer) != encoded(&info.Subject)).then_some(&info.Issuer)
    }
}

fn encoded(name: &CRYPT_INTEGER_BLOB) -> &[u8] {
    // SAFETY: the name is one of a decoded certificate, as long as it says.
    unsafe { slice(name.pbData, name.cbData) }
}

impl Message {
    fn of(bytes: &[u8]) -> io::Result<Message> {
        let blob = CRYPT_INTEGER_BLOB { cbData: bytes.len() as u32, pbData: bytes.as_ptr().cast_mut() };
        let (mut store, mut message): (HCERTSTORE, *mut c_void) = (null_mut(), null_mut());
        // SAFETY: the blob is as long as it says and is only read; the kind, the format and a context are not asked for.
        let is_read = unsafe {
            CryptQueryObject(
                CERT_QUERY_OBJECT_BLOB,
                (&raw const blob).cast(),
                CERT_QUERY_CONTENT_FLAG_PKCS7_SIGNED,
                CERT_QUERY_FORMAT_FLAG_BINARY,
                0,
                null_mut(),
                null_mut(),
                null_mut(),
                &mut store,
                &mut message,
                null_mut(),
            )
        };
        if is_read == 0 {
            return Err(failed("the signature cannot be read"));
        }
        Ok(Message { message, store })
    }

    /// The certificate of the first signer.
    fn signer(&self) -> io::Result<Found> {
        let info = self.parameter(CMSG_SIGNER_CERT_INFO_PARAM, size_of::<CERT_INFO>())?;
        // SAFETY: the buffer holds issuer and serial number of the signer.
        let found = unsafe { CertGetSubjectCertificateFromStore(self.store, ENCODING, info.as_ptr().cast()) };
        Found::of(found).ok_or_else(|| failed("the file does not hold the certificate of its signer"))
    }

    fn has_timestamp(&self) -> io::Result<bool> {
        let info = self.parameter(CMSG_SIGNER_INFO_PARAM, size_of::<CMSG_SIGNER_INFO>())?;
        // SAFETY: the buffer holds the struct, and what it points to, which is as long as it says.
        unsafe {
            let attributes = (*info.as_ptr().cast::<CMSG_SIGNER_INFO>()).UnauthAttrs;
            Ok(slice(attributes.rgAttr, attributes.cAttr)
                .iter()
                .filter(|attribute| !attribute.pszObjId.is_null())
                .any(|attribute| TIMESTAMPS.contains(&CStr::from_ptr(attribute.pszObjId.cast()).to_bytes())))
        }
    }

    /// Returns a field of the message about its first signer. The buffer consists of words, since it begins with a
    /// struct that holds pointers.
    fn parameter(&self, kind: u32, bytes_min: usize) -> io::Result<Vec<u64>> {
        let mut len = 0;
        // SAFETY: without a buffer Windows writes only the length that a buffer must have.
        if unsafe { CryptMsgGetParam(self.message, kind, 0, null_mut(), &mut len) } == 0 {
            return Err(failed("the signature has no signer"));
        }
        let mut buffer = vec![0u64; (len as usize).max(bytes_min).div_ceil(size_of::<u64>())];
        // SAFETY: the buffer has the length and is aligned.
        if unsafe { CryptMsgGetParam(self.message, kind, 0, buffer.as_mut_ptr().cast(), &mut len) } == 0 {
            return Err(failed("the signer cannot be read"));
        }
        Ok(buffer)
    }

    /// Certificates of the file by the name of the issuer, from the signer's issuer on.
    fn issuers_of(&self, signer: &Found) -> Vec<Certificate> {
        let mut chain: Vec<Certificate> = Vec::new();
        let mut last = signer.issuer().and_then(|issuer| self.with_subject(issuer));
        while let Some(found) = last.filter(|_| chain.len() < CHAIN_MAX) {
            let Some(certificate) = found.read() else { break };
            if chain.contains(&certificate) {
                break;
            }
            chain.push(certificate);
            last = found.issuer().and_then(|issuer| self.with_subject(issuer));
        }
        chain
    }

    fn with_subject(&self, name: &CRYPT_INTEGER_BLOB) -> Option<Found> {
        let wanted = (&raw const *name).cast();
        // SAFETY: the store is open, and the name is one of a decoded certificate.
        Found::of(unsafe {
            CertFindCertificateInStore(self.store, ENCODING, 0, CERT_FIND_SUBJECT_NAME, wanted, null())
        })
    }
}

fn failed(what: &str) -> io::Error {
    io::Error::other(format!("{what}: {}", code_text(last_error())))
}
