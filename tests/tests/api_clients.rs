//! What others' programs make of the API: OpenFeature's own SDK reads flags, and schemathesis calls everything
//! that the description describes, with whatever it can think of.

use serde_json::json;
use serin_tests::analyzer::{Analyzer, AnalyzerConfig, CanaryConfig};
use serin_tests::artifacts::repository;
use serin_tests::envoy::copy_routes;
use serin_tests::ports;
use std::process::{Command, Stdio};

/// The Python with the tools: `$SERIN_PYTHON`, or as scripts/get-python-tools installs it once.
fn python() -> String {
    if let Some(python) = std::env::var("SERIN_PYTHON").ok().filter(|python| !python.is_empty()) {
        return python;
    }
    let mut script = Command::new(repository().join("scripts/get-python-tools"));
    let output = script.stderr(Stdio::inherit()).output().expect("the script runs");
    assert!(output.status.success(), "scripts/get-python-tools: {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().last().expect("a path").to_owned()
}

async fn analyzer(folder: &std::path::Path) -> Analyzer {
    let routes = folder.join("routes.yaml");
    copy_routes(&routes, &[]).unwrap();
    let config = AnalyzerConfig {
        port: ports::free().unwrap(),
        store: folder.join("serin.redb"),
        report_token_file: None,
        routes,
        canary: CanaryConfig::default(),
        server: vec![],
        documents: vec![],
    };
    Analyzer::start(config, folder).await.unwrap()
}

async fn experiment(analyzer: &Analyzer) {
    let spec = json!({"id": "button", "segment": {"rules": {"country": "US"}}, "arms": [
        {"name": "control", "share": 0, "flags": {"colour": "red", "size": 1, "factor": 0.5, "new": false}},
        {"name": "treatment", "share": 100, "flags": {"colour": "green", "size": 2, "factor": 1.5, "new": true}}]});
    analyzer.api().call(hyper::Method::POST, "/v1/experiments", &spec).await.unwrap();
}

/// Prints what the SDK makes of the flags, as JSON.
const SDK: &str = r#"
import json, sys
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
api.set_provider(OFREPProvider(sys.argv[1]))
client = api.get_client()
us, uk = (EvaluationContext(user, {"country": country}) for user, country in [("u1", "US"), ("u2", "UK")])
details = client.get_string_details("colour", "none", us)
print(json.dumps({
    "colour": details.value, "variant": details.variant, "reason": str(details.reason),
    "size": client.get_integer_value("size", 0, us), "factor": client.get_float_value("factor", 0.0, us),
    "new": client.get_boolean_value("new", False, us), "outside": client.get_string_value("colour", "none", uk),
    "missing": str(client.get_string_details("other", "none", us).error_code),
}))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openfeatures_sdk_reads_flags_and_counts_the_user_once() {
    let folder = tempfile::tempdir().unwrap();
    let analyzer = analyzer(folder.path()).await;
    experiment(&analyzer).await;
    let server = format!("http://{}", analyzer.api().address());
    let output = Command::new(python()).args(["-c", SDK, &server]).stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let told: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    let expected = json!({"colour": "green", "variant": "treatment", "reason": "SPLIT", "size": 2, "factor": 1.5,
        "new": true, "outside": "none", "missing": "FLAG_NOT_FOUND"});
    for (key, value) in expected.as_object().unwrap() {
        let found =
            told[key].as_str().map_or_else(|| told[key].clone(), |text| json!(text.rsplit('.').next()));
        assert_eq!(found, *value, "{key}: {told}");
    }
    let path = "/v1/experiments/button/results";
    let results = analyzer.api().call(hyper::Method::GET, path, &json!({})).await.unwrap();
    assert_eq!(results["variants"]["treatment"]["exposures"], 1, "{results}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_no_answer_that_the_description_does_not_describe() {
    let folder = tempfile::tempdir().unwrap();
    let analyzer = analyzer(folder.path()).await;
    experiment(&analyzer).await;
    let server = format!("http://{}/v1/openapi.json", analyzer.api().address());
    let checks =
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    let output = Command::new(python())
        .args(["-m", "schemathesis.cli", "run", &server, "--checks", checks, "--max-examples", "25"])
        .args(["--phases", "examples,fuzzing", "--generation-deterministic", "--no-color"])
        // A slow machine is no finding.
        .args(["--suppress-health-check", "all", "--request-timeout", "60"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}
