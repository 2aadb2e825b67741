//! A certificate chain and its private key, read from two PEM files and found to belong together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error, ServerConfig};

/// Where the listener's certificate and key stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFiles {
    /// PEM: the certificate first, then those between it and the root.
    pub cert_file: PathBuf,
    /// PEM: the private key, not encrypted.
    pub key_file: PathBuf,
}

/// A pair that can serve.
pub struct Pair {
    /// What the files held, to see whether they have changed.
    content: [Vec<u8>; 2],
    config: Arc<ServerConfig>,
}

/// What is wrong with a pair; says with which of its files.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The certificate's file cannot be used.
    #[error("{0}")]
    Certificate(String),
    /// The key's file cannot be used, or the key is another certificate's.
    #[error("{0}")]
    Key(String),
}

impl PairError {
    /// The field of `spec.tls` that names the file.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "certFile",
            Self::Key(_) => "keyFile",
        }
    }
}

impl Pair {
    /// Reads and checks both files.
    ///
    /// # Errors
    /// When one cannot be read, holds something else, or the key is not the certificate's.
    pub fn load(files: &PairFiles) -> Result<Self, PairError> {
        let (certificate, key) = (&files.cert_file, &files.key_file);
        let chain_text = read(certificate).map_err(PairError::Certificate)?;
        let key_text = read(key).map_err(PairError::Key)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain_text)
            .collect::<Result<_, _>>()
            .map_err(|error| PairError::Certificate(format!("{}: {error}", certificate.display())))?;
        if chain.is_empty() {
            let expected = "holds no certificate: `-----BEGIN CERTIFICATE-----` is expected";
            return Err(PairError::Certificate(format!("{} {expected}", certificate.display())));
        }
        let private = PrivateKeyDer::from_pem_slice(&key_text).map_err(|_| {
            let expected = "holds no private key: PEM as PKCS#8, PKCS#1 or SEC1, not encrypted, is expected";
            PairError::Key(format!("{} {expected}", key.display()))
        })?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
        let mut config = config.map_err(|error| unusable(&error, files))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { content: [chain_text, key_text], config: Arc::new(config) })
    }

    /// Whether both hold the same bytes.
    pub fn same_as(&self, other: &Self) -> bool {
        self.content == other.content
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

/// rustls tells a wrong certificate from a wrong key; everything about keys is the key file's.
fn unusable(error: &Error, files: &PairFiles) -> PairError {
    if matches!(error, Error::InvalidCertificate(_)) {
        return PairError::Certificate(format!("{} cannot be used: {error}", files.cert_file.display()));
    }
    let (key, certificate) = (files.key_file.display(), files.cert_file.display());
    PairError::Key(format!("{key} does not go with the certificate in {certificate}: {error}"))
}
