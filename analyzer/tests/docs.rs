//! What the documents point at is there: tests by their names, files by their links.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents, README and ARCHITECTURE among them.
fn documents() -> Vec<PathBuf> {
    let mut all = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    let docs = std::fs::read_dir(root().join("docs")).expect("docs/");
    all.extend(docs.map(|entry| entry.expect("an entry").path()));
    all.retain(|path| path.extension().is_some_and(|end| end == "md"));
    all
}

/// All Rust sources of a folder.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("node_modules") {
            sources(&path, text);
        } else if path.extension().is_some_and(|end| end == "rs") {
            text.push_str(&read(&path));
        }
    }
}

#[test]
fn the_tests_that_the_documents_name_are_there() {
    let mut code = String::new();
    for folder in ["contract", "judge", "filter", "virtual-service", "analyzer", "tests"] {
        sources(&root().join(folder), &mut code);
    }
    let security = read(&root().join("docs/security.md"));
    let quoted = security.split('`').skip(1).step_by(2);
    let named: BTreeSet<&str> = quoted.filter(|word| word.matches('_').count() >= 4).collect();
    assert!(named.len() > 30, "docs/security.md names {} tests", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "docs/security.md names tests that are not there: {missing:?}");
}

#[test]
fn the_files_that_the_documents_link_to_are_there() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = read(&document);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            if !document.parent().expect("a folder").join(file).exists() {
                missing.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}
