//! The plugin's configuration: JSON, parsed and then checked.
//!
//! ```json
//! {"analyzer": {"cluster": "serin", "authority": "serin", "token": "...", "timeout_ms": 2000},
//!  "edge": true, "plan": {"revision": 1, "report_interval_ms": 500, "canaries": []}}
//! ```
//! Everything is optional but an analyzer's cluster. Without an analyzer nothing is reported; without a
//! plan, and until the analyzer sends one, the filter leaves requests alone.

use serde::Deserialize;
use serin_contract::parse::from_json;
use serin_contract::{FieldError, Plan, PlanDocument};
use std::time::Duration;

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// Where reports go; nowhere when absent.
    pub analyzer: Option<Analyzer>,
    /// Whether clients talk to this proxy directly, so that `x-canary-by` and `x-serin-*` of a request
    /// cannot be another filter's and are removed.
    pub edge: bool,
    /// The plan until the analyzer sends one.
    pub plan: Option<Plan>,
}

/// How to reach the analyzer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Analyzer {
    /// Envoy's name for the analyzer's cluster.
    pub cluster: String,
    /// The `:authority` of reports.
    pub authority: String,
    /// The whole `authorization` header: `Bearer <token>`.
    pub authorization: Option<String>,
    /// How long a report may take.
    pub timeout: Duration,
}

/// How long a report may take, in milliseconds.
const TIMEOUTS_MS: std::ops::RangeInclusive<u64> = 100..=60_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    analyzer: Option<RawAnalyzer>,
    #[serde(default = "yes")]
    edge: bool,
    plan: Option<PlanDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnalyzer {
    cluster: String,
    #[serde(default = "serin")]
    authority: String,
    token: Option<String>,
    #[serde(default = "two_seconds")]
    timeout_ms: u64,
}

fn yes() -> bool {
    true
}

fn serin() -> String {
    "serin".to_owned()
}

fn two_seconds() -> u64 {
    2_000
}

impl Config {
    /// Parses and checks a configuration; no text at all is the default one.
    ///
    /// # Errors
    /// With the path of the first field that is wrong.
    pub fn from_json(text: &[u8]) -> Result<Self, FieldError> {
        let raw: RawConfig = from_json(if text.is_empty() { b"{}" } else { text })?;
        let analyzer = raw.analyzer.map(check_analyzer).transpose().map_err(|e| e.under("analyzer"))?;
        let plan = raw.plan.map(Plan::compile).transpose().map_err(|e| e.under("plan"))?;
        Ok(Self { analyzer, edge: raw.edge, plan })
    }
}

fn check_analyzer(raw: RawAnalyzer) -> Result<Analyzer, FieldError> {
    let printable = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if raw.cluster.is_empty() {
        return Err(FieldError::new("cluster", "is empty: name the analyzer's cluster in Envoy"));
    }
    if !printable(&raw.authority) {
        return Err(FieldError::new("authority", "must be visible ASCII characters without spaces"));
    }
    // The token itself stays out of the message: it would end in a log.
    if raw.token.as_deref().is_some_and(|token| !printable(token)) {
        return Err(FieldError::new("token", "must be visible ASCII characters without spaces"));
    }
    if !TIMEOUTS_MS.contains(&raw.timeout_ms) {
        return Err(FieldError::new(
            "timeout_ms",
            format!("{} is not allowed: 100 to 60000", raw.timeout_ms),
        ));
    }
    Ok(Analyzer {
        cluster: raw.cluster,
        authority: raw.authority,
        authorization: raw.token.map(|token| format!("Bearer {token}")),
        timeout: Duration::from_millis(raw.timeout_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Config::from_json(text.as_bytes()).expect_err("refused").to_string()
    }

    #[test]
    fn nothing_at_all_is_an_edge_without_analyzer_and_plan() {
        let config = Config::from_json(b"").expect("allowed");
        assert!(config.edge && config.analyzer.is_none() && config.plan.is_none());
    }

    #[test]
    fn an_analyzer_needs_its_cluster_alone() {
        let config = Config::from_json(br#"{"analyzer": {"cluster": "c"}, "edge": false}"#).expect("allowed");
        let analyzer = config.analyzer.expect("there");
        assert!(!config.edge);
        assert_eq!((analyzer.authority.as_str(), analyzer.authorization), ("serin", None));
        assert_eq!(analyzer.timeout, Duration::from_secs(2));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        assert!(refused(r#"{"colour": 1}"#).contains("unknown field `colour`"));
        assert!(refused(r#"{"analyzer": {}}"#).starts_with("analyzer: missing field `cluster`"));
        assert!(
            refused(r#"{"analyzer": {"cluster": "c", "timeout_ms": 1}}"#).starts_with("analyzer.timeout_ms")
        );
        assert!(
            refused(r#"{"analyzer": {"cluster": "c", "authority": "a b"}}"#).starts_with("analyzer.auth")
        );
        let text = r#"{"plan": {"revision": 1, "report_interval_ms": 1}}"#;
        assert!(refused(text).starts_with("plan.report_interval_ms: 1 is not allowed"));
    }

    #[test]
    fn a_token_is_never_part_of_a_message() {
        let message = refused(r#"{"analyzer": {"cluster": "c", "token": "se\u0000cret"}}"#);
        assert!(message.starts_with("analyzer.token") && !message.contains("cret"), "{message}");
    }
}
