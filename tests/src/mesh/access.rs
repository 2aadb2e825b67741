//! Who may do what with the API server: keys for ServiceAccounts' tokens, the administrator's token, and
//! kubeconfig files. All of it is made anew for each control plane and goes with its folder.

use anyhow::{Context, Result};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The files that the API server is started with.
#[derive(Debug)]
pub(super) struct Access {
    /// Signs ServiceAccounts' tokens.
    pub(super) signing_key: PathBuf,
    /// Proves them.
    pub(super) public_key: PathBuf,
    /// The administrator's token, in the API server's own format.
    pub(super) tokens: PathBuf,
    /// The administrator's token.
    pub(super) admin: String,
}

impl Access {
    /// Makes them in this folder.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        let access = Self {
            signing_key: folder.join("service-accounts.key"),
            public_key: folder.join("service-accounts.pub"),
            tokens: folder.join("tokens.csv"),
            admin: random_token()?,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("a key for ServiceAccounts")?;
        write_private(&access.signing_key, &key.serialize_pem())?;
        write_private(&access.public_key, &key.public_key_pem())?;
        write_private(&access.tokens, &format!("{},admin,admin,system:masters\n", access.admin))?;
        Ok(access)
    }
}

/// Writes a kubeconfig for one token, as a person would have it.
///
/// # Errors
/// When the file cannot be written.
pub fn write_kubeconfig(file: &Path, server: &str, authority: &Path, token: &str) -> Result<()> {
    let name = "serin-tests";
    // Every JSON text is YAML too.
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{ "name": name, "cluster": { "server": server, "certificate-authority": authority } }],
        "users": [{ "name": name, "user": { "token": token } }],
        "contexts": [{ "name": name, "context": { "cluster": name, "user": name, "namespace": "default" } }],
    });
    write_private(file, &serde_json::to_string_pretty(&config)?)
}

/// Readable by this user alone.
fn write_private(file: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(file).and_then(|mut open| open.write_all(text.as_bytes()));
    written.with_context(|| file.display().to_string())
}

fn random_token() -> Result<String> {
    let mut bytes = [0_u8; 16];
    std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes))?;
    let mut token = String::new();
    for byte in bytes {
        write!(token, "{byte:02x}").context("a token")?;
    }
    Ok(token)
}
