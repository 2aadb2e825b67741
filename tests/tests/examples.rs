//! The files of envoy/ that users copy are good as they are.

use serin_tests::artifacts;
use std::path::Path;
use std::process::Command;

#[test]
fn the_example_configuration_passes_serin_check() {
    let file = artifacts::repository().join("envoy/serin.yaml");
    let output = Command::new(artifacts::serin().unwrap()).arg("check").arg(file).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn envoy_accepts_the_example_bootstrap_in_a_folder_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &Path, name: &str| std::fs::copy(from, folder.path().join(name)).unwrap();
    for name in ["envoy.yaml", "routes.yaml"] {
        copy(&artifacts::repository().join("envoy").join(name), name);
    }
    copy(&artifacts::filter().unwrap(), "serin_filter.wasm");
    let output = Command::new(artifacts::envoy().unwrap())
        .current_dir(folder.path())
        .args(["--mode", "validate", "--config-path", "envoy.yaml"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
