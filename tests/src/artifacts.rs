//! Where the things under test are: the analyzer's binary, the filter's module, Envoy, the repository.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The repository's root.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The analyzer: `$SERIN_BIN`, or `serin` as built beside this very binary, or in the other profile.
///
/// # Errors
/// When there is none; the text says which command makes it.
pub fn serin() -> Result<PathBuf> {
    let beside = profile_folder()?.join("serin");
    let target = target_folder()?;
    from_variable("SERIN_BIN")
        .or_else(|| first_file([beside, target.join("debug/serin"), target.join("release/serin")]))
        .context("the analyzer is not built: run scripts/test, or cargo build -p serin")
}

/// The filter's module: `$SERIN_WASM`, or as scripts/build-filter leaves it.
///
/// # Errors
/// When there is none; the text says which command makes it.
pub fn filter() -> Result<PathBuf> {
    let built = "wasm32-unknown-unknown/wasm/serin_filter.wasm";
    from_variable("SERIN_WASM")
        .or_else(|| first_file([target_folder().ok()?.join(built), repository().join("target").join(built)]))
        .context("the filter is not built: run scripts/test, or scripts/build-filter")
}

/// Envoy: `$SERIN_ENVOY`, or as scripts/get-envoy left it, or from the PATH.
///
/// # Errors
/// When there is none; the text says which command gets it.
pub fn envoy() -> Result<PathBuf> {
    let cached = repository().join(".cache/envoy-1.40.0/envoy/_bin/envoy");
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        first_file(std::env::split_paths(&path).map(|folder| folder.join("envoy")))
    };
    from_variable("SERIN_ENVOY")
        .or_else(|| first_file([cached]))
        .or_else(on_path)
        .context("there is no Envoy: run scripts/test, or scripts/get-envoy")
}

/// Chromium: `$SERIN_CHROMIUM`, or from the PATH.
///
/// # Errors
/// When there is none; the text says which command gets it.
pub fn chromium() -> Result<PathBuf> {
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        first_file(names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))))
    };
    from_variable("SERIN_CHROMIUM")
        .or_else(on_path)
        .context("there is no Chromium: run scripts/test, or scripts/get-browser")
}

/// The folder of redis-server and redis-cli: `$SERIN_REDIS`, or as scripts/get-redis left it.
///
/// # Errors
/// When there is none; the text says which command gets it.
pub fn redis() -> Result<PathBuf> {
    let cached = repository().join(".cache/redis");
    let folder = from_variable("SERIN_REDIS").unwrap_or(cached);
    let complete = folder.join("redis-server").is_file() && folder.join("redis-cli").is_file();
    complete.then_some(folder).context("there is no Redis: run scripts/test, or scripts/get-redis")
}

fn from_variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn first_file(candidates: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    candidates.into_iter().find(|path| path.is_file())
}

/// `target/debug` or `target/release`: tests lie one folder below, in `deps`.
fn profile_folder() -> Result<PathBuf> {
    let me = std::env::current_exe().context("this program's own path")?;
    let mut folder = me.parent();
    if folder.is_some_and(|folder| folder.ends_with("deps")) {
        folder = folder.and_then(Path::parent);
    }
    match folder {
        Some(folder) => Ok(folder.to_path_buf()),
        None => bail!("{} lies in no folder", me.display()),
    }
}

fn target_folder() -> Result<PathBuf> {
    let profile = profile_folder()?;
    profile.parent().map(Path::to_path_buf).context("the build's folder has no parent")
}
