//! Asking one gate: a POST with JSON; any 2xx is a yes, everything else, silence too, is a no. A gate on
//! https must show a certificate of an authority that the system trusts, or that SSL_CERT_FILE names.

use super::Gate;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;
use tokio_rustls::rustls::crypto::ring;

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
    let answer = asker()?.request(request).await;
    let answer = answer.map_err(|error| format!("cannot be reached: {}", causes(&error)))?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(format!("answered {}", answer.status()))
}

type Asker = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// One for all gates: reading the system's authorities takes longer than most gates. It keeps no
/// connection, for gates are asked seldom and may have moved meanwhile.
fn asker() -> Result<&'static Asker, String> {
    static ASKER: OnceLock<Result<Asker, String>> = OnceLock::new();
    let asker = ASKER.get_or_init(|| {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(ring::default_provider())
            .map_err(|error| format!("cannot be asked: no authority is trusted here: {error}"))?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
    });
    asker.as_ref().map_err(Clone::clone)
}

/// An error with what is behind it: the outermost hardly ever says what is wrong.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
