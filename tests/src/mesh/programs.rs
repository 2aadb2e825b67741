//! Where the control plane's programs are: kube-apiserver, etcd, istiod, kustomize, and Istio's CRDs.

use crate::artifacts::repository;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The folder that scripts/get-control-plane fills.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

const NEEDED: [&str; 5] = ["etcd", "kube-apiserver", "pilot-discovery", "kustomize", "istio-crds.yaml"];

impl Programs {
    /// `$SERIN_CONTROL_PLANE`, or as scripts/get-control-plane left it.
    ///
    /// # Errors
    /// When one is missing; the text says which command gets it.
    pub fn find() -> Result<Self> {
        const HOW: &str = "run scripts/test, or scripts/get-control-plane";
        let folder = match std::env::var_os("SERIN_CONTROL_PLANE").filter(|value| !value.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => newest(&repository().join(".cache"))
                .with_context(|| format!("there is no control plane: {HOW}"))?,
        };
        for name in NEEDED {
            if !folder.join(name).is_file() {
                bail!("{} has no {name}: {HOW}", folder.display());
            }
        }
        Ok(Self { folder })
    }

    /// One of the programs or files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The newest `control-plane-*` folder of the cache.
fn newest(cache: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(cache).ok()?.flatten();
    let folders = entries.map(|entry| entry.path()).filter(|path| {
        path.is_dir()
            && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("control-plane-"))
    });
    folders.max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok())
}
