//! Whom the command line trusts: one authority's file, or the system's.

use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// What a server's certificate is checked against.
pub struct Trust(TlsConnector);

/// Why no trust can be had from where it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TrustError(String);

impl Trust {
    /// The authorities of a PEM file; without one those that the system trusts.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate.
    pub fn load(file: Option<&Path>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        match file {
            Some(file) => {
                let at = |problem: String| TrustError(format!("{}: {problem}", file.display()));
                let text = std::fs::read(file).map_err(|error| at(error.to_string()))?;
                for certificate in CertificateDer::pem_slice_iter(&text) {
                    let certificate = certificate.map_err(|error| at(error.to_string()))?;
                    roots.add(certificate).map_err(|error| at(error.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(at("holds no certificate".into()));
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Makes a connection safe, or says why it is not.
    ///
    /// # Errors
    /// When the server's certificate is not for this host, too old, or of an unknown authority.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        // An IPv6 address stands in brackets in a URI, and without them in a certificate.
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).map_err(std::io::Error::other)?;
        self.0.connect(name, stream).await
    }
}
