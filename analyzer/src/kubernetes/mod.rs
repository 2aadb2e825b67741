//! `serin serve --kubernetes`: Canaries, VirtualServices and Deployments of a cluster in place of files. The
//! engine, the judge and the API are the same as stand-alone; here is what talks to kube-apiserver.

mod candidate;
mod controller;
mod denied;
mod deployments;
mod direct;
mod events;
mod experiment_status;
mod experiments;
mod keeping;
mod lease;
mod look;
mod object;
mod routes;
mod status;
mod takeover;
mod watch;

pub use candidate::Candidate;
pub use controller::Controller;
pub use denied::Denials;
pub use routes::Routes;
pub use watch::Stores;

use axum::http::{Request, header};
use kube::Client;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// The name under which fields are owned, Events are reported and the Lease is found.
pub const NAME: &str = "serin";
/// A call that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Who this replica is, and what it looks after.
#[derive(Debug, Clone)]
pub struct Replica {
    /// The pod's name.
    pub name: String,
    /// The pod's namespace, where the Lease is.
    pub namespace: String,
    /// Where other replicas reach it, as `http://10.0.0.7:8080`.
    pub address: String,
    /// The namespaces of Canaries; all when empty.
    pub watched: Vec<String>,
    /// How long a silent leader keeps the Lease.
    pub lease: Duration,
}

/// A call to the API server that ended without an answer in time.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server said no, or could not be reached.
    #[error("{}", denied::told(.0))]
    Kube(#[from] kube::Error),
    /// It did not answer.
    #[error("the API server did not answer within {} s", TIMEOUT.as_secs())]
    Late,
    /// What should be sent cannot be written.
    #[error("the request cannot be written: {0}")]
    Request(String),
}

impl CallError {
    /// The HTTP status of a refusal; 0 where there was no answer.
    pub fn code(&self) -> u16 {
        match self {
            Self::Kube(kube::Error::Api(status)) => status.code,
            Self::Kube(_) | Self::Late | Self::Request(_) => 0,
        }
    }
}

/// Waits for an answer, but not for ever.
async fn in_time<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    tokio::time::timeout(TIMEOUT, call).await.map_err(|_| CallError::Late)?.map_err(CallError::Kube)
}

/// The object at a path of the API.
async fn get(client: &Client, path: &str) -> Result<Value, CallError> {
    let request =
        Request::get(path).body(Vec::new()).map_err(|error| CallError::Request(error.to_string()))?;
    in_time(client.request(request)).await
}

/// Sends a patch; the object as it is afterwards.
async fn patch(client: &Client, path: &str, kind: &str, body: &impl Serialize) -> Result<Value, CallError> {
    let told = |error: String| CallError::Request(error);
    let body = serde_json::to_vec(body).map_err(|error| told(error.to_string()))?;
    let request = Request::patch(path).header(header::CONTENT_TYPE, kind).body(body);
    in_time(client.request(request.map_err(|error| told(error.to_string()))?)).await
}

/// RFC 6902: operations, tests among them.
const JSON_PATCH: &str = "application/json-patch+json";
/// Server-side apply: fields that are no longer named go.
const APPLY_PATCH: &str = "application/apply-patch+yaml";
/// RFC 7386: what is named is replaced.
const MERGE_PATCH: &str = "application/merge-patch+json";
