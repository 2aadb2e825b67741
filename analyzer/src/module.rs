//! The filter's wasm module, built into this program where it was there at build time.

use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

static BUILT_IN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/filter.wasm"));

/// A wasm module and its digest.
pub struct Module {
    bytes: Cow<'static, [u8]>,
    digest: String,
}

/// The program was built without its filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "this program was built without the filter: run scripts/build-filter and build it again, or name a module in spec.wasm"
)]
pub struct NoModule;

impl Module {
    /// The module in this file, or the built-in one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load(file: Option<&Path>) -> std::io::Result<Self> {
        let bytes = match file {
            Some(file) => Cow::Owned(std::fs::read(file)?),
            None => Cow::Borrowed(BUILT_IN),
        };
        let mut digest = String::new();
        for byte in Sha256::digest(&bytes) {
            let _ = write!(digest, "{byte:02x}");
        }
        Ok(Self { bytes, digest })
    }

    /// sha256 in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The module.
    ///
    /// # Errors
    /// When this program was built without one.
    pub fn bytes(&self) -> Result<&[u8], NoModule> {
        if self.bytes.is_empty() { Err(NoModule) } else { Ok(&self.bytes) }
    }
}
