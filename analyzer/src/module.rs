//! The filter's wasm module, built into this program where it was there at build time, and those that ran here
//! before it: a proxy that was told an older digest still finds it after an update of the analyzer.

use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Modules kept beside the current one, the newest first.
const KEPT: usize = 10;

static BUILT_IN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/filter.wasm"));

/// A wasm module and its digest.
pub struct Module {
    bytes: Cow<'static, [u8]>,
    digest: String,
    kept_in: Option<PathBuf>,
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
        let digest = digest_of(&bytes);
        Ok(Self { bytes, digest, kept_in: None })
    }

    /// Keeps the module in this folder for its successors, and hands out what predecessors have left there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn keep_in(mut self, folder: PathBuf) -> std::io::Result<Self> {
        if !self.bytes.is_empty() {
            std::fs::create_dir_all(&folder)?;
            let file = folder.join(file_name(&self.digest));
            // Whole under its name or not at all; written again so that the newest run is the newest file.
            let half = file.with_extension("half");
            std::fs::write(&half, &self.bytes)?;
            std::fs::rename(&half, &file)?;
            forget_oldest(&folder)?;
        }
        self.kept_in = Some(folder);
        Ok(self)
    }

    /// The module with this digest, if it ran here before; read anew, so that it surely is that one.
    pub fn former(&self, digest: &str) -> Option<Vec<u8>> {
        let named = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let folder = self.kept_in.as_ref().filter(|_| named)?;
        let bytes = std::fs::read(folder.join(file_name(digest))).ok()?;
        (digest_of(&bytes) == digest).then_some(bytes)
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

fn digest_of(bytes: &[u8]) -> String {
    let mut digest = String::new();
    for byte in Sha256::digest(bytes) {
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

fn file_name(digest: &str) -> String {
    format!("filter-{digest}.wasm")
}

fn forget_oldest(folder: &Path) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.metadata()?.modified()?, entry.path()));
    }
    files.sort();
    let surplus = files.len().saturating_sub(KEPT + 1);
    files.into_iter().take(surplus).try_for_each(|(_, file)| std::fs::remove_file(file))
}
