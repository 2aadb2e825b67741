//! Asking one gate: a POST with JSON; any 2xx is a yes, everything else, silence too, is a no. A gate on
//! https must show a certificate of an authority that the system trusts, or that SSL_CERT_FILE names.

use super::Gate;
use crate::outgoing;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// What a gate is told.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// The canary's name.
    pub name: String,
    /// The canary's namespace.
    pub namespace: String,
    /// When in the release it is asked.
    pub when: super::When,
    /// The release's phase.
    pub phase: &'static str,
    /// The canary's weight now, in percent.
    pub weight: f64,
    /// The weight that it would get, in percent.
    pub next_weight: Option<f64>,
    /// The versions.
    pub stable_version: String,
    /// See `stable_version`.
    pub canary_version: String,
    /// What happened or was thought last.
    pub reason: String,
    /// As configured.
    pub metadata: BTreeMap<String, String>,
}

/// Asks, and asks again as often as the gate allows.
///
/// # Errors
/// What the last answer was, as a sentence with the gate's name.
pub async fn ask(gate: &Gate, call: &Call) -> Result<(), String> {
    let body = serde_json::to_vec(call).map_err(|error| error.to_string())?;
    let mut said = String::new();
    for attempt in 0..=gate.retries {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        match tokio::time::timeout(gate.timeout, once(gate, body.clone())).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(answer)) => said = answer,
            Err(_) => said = format!("did not answer within {} ms", gate.timeout.as_millis()),
        }
    }
    Err(format!("gate {} {said}", gate.name))
}

async fn once(gate: &Gate, body: Vec<u8>) -> Result<(), String> {
    let request = Request::post(&gate.url)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| format!("cannot be asked: {error}"))?;
    let answer = outgoing::call(request).await?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(format!("answered {}", answer.status()))
}
