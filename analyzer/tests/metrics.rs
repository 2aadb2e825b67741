//! What is exported, against docs/metrics.md and against what istio/monitoring/ uses. Whether Prometheus'
//! own tools accept it is tested end to end.

use serin::metrics::Metrics;
use std::collections::BTreeSet;
use std::path::Path;

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn exported() -> BTreeSet<String> {
    Metrics::new().expect("registered").names().iter().cloned().collect()
}

/// The names in backticks that open the rows of the document's last table.
fn documented() -> BTreeSet<String> {
    let text = file("docs/metrics.md");
    let (_, table) = text.split_once("| name | type | labels |").expect("the table");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

/// Everything in a text that looks like one of our names, without what histograms add.
fn used(text: &str) -> BTreeSet<String> {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text
        .split(|c| !letters(c))
        .filter(|word| (word.starts_with("serin_") || word.starts_with("canary_")) && !word.contains(':'));
    let base = |word: &str| {
        let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| word.strip_suffix(end));
        base.unwrap_or(word).to_owned()
    };
    words.map(base).collect()
}

#[test]
fn every_exported_name_stands_in_the_document_and_nothing_else_does() {
    assert_eq!(exported(), documented());
    let table = file("docs/metrics.md");
    for name in exported() {
        assert!(table.contains(&format!("| `{name}` | ")), "{name}");
    }
}

#[test]
fn rules_and_dashboard_use_only_what_is_exported() {
    let exported = exported();
    for path in ["istio/monitoring/rules.yaml", "istio/monitoring/dashboard.json"] {
        let used = used(&file(path));
        assert!(used.len() > 8, "{path}: {used:?}");
        let unknown: Vec<_> = used.difference(&exported).collect();
        assert!(unknown.is_empty(), "{path} uses what is not exported: {unknown:?}");
    }
}

#[test]
fn the_dashboard_is_json_whose_panels_all_ask_for_something() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&file("istio/monitoring/dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    for panel in panels {
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            assert!(!used(target["expr"].as_str().expect("a query")).is_empty(), "{}", panel["title"]);
        }
    }
}
