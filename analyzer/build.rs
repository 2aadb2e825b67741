//! Puts the filter's wasm module and the dashboard's page into the program, if scripts/build-filter and
//! scripts/build-dashboard have made them. Without them the program builds all the same and says what to do where
//! they are asked for.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Result, Write};
use std::path::{Path, PathBuf};
use std::{env, fs};

const BUILT: &str = "wasm32-unknown-unknown/wasm/serin_filter.wasm";

fn main() -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| here.join("../target"), PathBuf::from);
    let built = target.join(BUILT);
    println!("cargo::rerun-if-changed={}", built.display());
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    let module = if built.is_file() { fs::read(&built)? } else { Vec::new() };
    let out = env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    fs::write(out.join("filter.wasm"), module)?;
    let (dashboard, dist) = (here.join("dashboard"), here.join("dashboard/dist"));
    // What is not there counts as changed at every build, so only what is there is watched.
    if let Some(watched) = [&dist, &dashboard].into_iter().find(|folder| folder.is_dir()) {
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    page(&dist, &out, "page")?;
    // The same where the page was not built, for the test of what is said then.
    page(&out.join("no-dist"), &out, "no-page")
}

/// Writes `NAME.rs`: each file of the page in `dist`, as it is and packed. None where it was not built.
fn page(dist: &Path, out: &Path, name: &str) -> Result<()> {
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        files.push(("/".to_owned(), dist.join("index.html")));
        let assets = dist.join("assets");
        for entry in if assets.is_dir() { fs::read_dir(&assets)?.collect() } else { Vec::new() } {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            // Maps are for whoever builds the page.
            if path.is_file() && !name.ends_with(".map") {
                files.push((format!("/assets/{name}"), path));
            }
        }
    }
    files.sort();
    let mut code = String::from("[\n");
    for (number, (path, file)) in files.iter().enumerate() {
        let bytes = fs::read(file)?;
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&bytes)?;
        fs::write(out.join(format!("{name}-{number}")), &bytes)?;
        fs::write(out.join(format!("{name}-{number}.gz")), packed.finish()?)?;
        let part =
            |end: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}-{number}{end}\"))");
        code.push_str(&format!("File {{ path: {path:?}, plain: {}, packed: {} }},\n", part(""), part(".gz")));
    }
    code.push(']');
    fs::write(out.join(format!("{name}.rs")), code)
}
