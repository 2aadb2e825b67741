//! Puts the filter's wasm module into the program, if scripts/build-filter has made it. Without it the
//! program builds all the same and says what to do where the module is asked for.

use std::path::{Path, PathBuf};
use std::{env, fs};

const BUILT: &str = "wasm32-unknown-unknown/wasm/serin_filter.wasm";

fn main() -> std::io::Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let built = target.join(BUILT);
    println!("cargo::rerun-if-changed={}", built.display());
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    let module = if built.is_file() { fs::read(&built)? } else { Vec::new() };
    let out = env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    fs::write(out.join("filter.wasm"), module)
}
