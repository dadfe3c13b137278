//! The certificates that a channel trusts, and the one that it shows. The channel trusts the platform's store, so that
//! a company CA that is installed there works, and the CAs of one more file.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::settings::TrustConfig;

/// The CAs, and the client's own certificate and key.
pub(super) struct TlsTrust {
    /// The CAs.
    pub(super) roots: Vec<CertificateDer<'static>>,
    /// Chain and key that the client shows.
    pub(super) client: Option<Client>,
}

/// The certificate and key of the client.
pub(super) struct Client {
    /// The certificate of the client, and the certificates between it and the CA.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The key, as a PEM file has it.
    pub(super) key_pem: Vec<u8>,
}

impl TlsTrust {
    /// Reads the platform's store and the files.
    ///
    /// # Errors
    /// Names the file that cannot be read or holds no certificate.
    pub(super) fn load(config: &TrustConfig) -> Result<TlsTrust, String> {
        // Damaged certificates in the platform's store are skipped, as other programs do.
        let mut roots = rustls_native_certs::load_native_certs().certs;
        if let Some(path) = &config.ca_file {
            roots.extend(certificates(path).map_err(|why| format!("ca_file: {why}"))?);
        }
        let client = match &config.client {
            Some((chain, key)) => {
                let key_pem = std::fs::read(key).map_err(|error| format!("client_key: {}: {error}", key.display()))?;
                PrivateKeyDer::from_pem_slice(&key_pem)
                    .map_err(|error| format!("client_key: {}: {error}", key.display()))?;
                let chain = certificates(chain).map_err(|why| format!("client_certificate: {why}"))?;
                Some(Client { chain, key_pem })
            }
            None => None,
        };
        Ok(TlsTrust { roots, client })
    }

    /// A TLS client for connections that are not HTTP.
    ///
    /// # Errors
    /// When the client's certificate and key do not belong together.
    pub(super) fn rustls(&self) -> Result<Arc<ClientConfig>, String> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.roots.iter().cloned());
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(store);
        let config = match &self.client {
            Some(client) => {
                let key =
                    PrivateKeyDer::from_pem_slice(&client.key_pem).map_err(|error| format!("client_key: {error}"))?;
                let shown = builder.with_client_auth_cert(client.chain.clone(), key);
                shown.map_err(|error| format!("client_certificate: {error}"))?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }
}

/// The cryptography under rustls.
pub(super) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error: rustls::pki_types::pem::Error| format!("{}: {error}", path.display());
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    if found.is_empty() { Err(format!("{}: holds no PEM certificate", path.display())) } else { Ok(found) }
}
