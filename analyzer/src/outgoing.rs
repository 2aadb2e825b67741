//! Calls that the program makes to others: gates, sources, receivers of alerts. One client for all,
//! because reading the system's authorities takes longer than most calls. It keeps no connection, for it
//! calls each of them seldom and they may have moved meanwhile.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::sync::OnceLock;
use tokio_rustls::rustls::crypto::ring;

/// No answer that we ask for is larger.
const LARGEST: usize = 4 * 1024 * 1024;

type Outgoing = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sends a request and takes its answer's head. Over https the other side must show a certificate of an
/// authority that the system trusts, or that SSL_CERT_FILE names.
///
/// # Errors
/// A sentence that begins with a verb and says why no answer came.
pub async fn call(request: Request<Full<Bytes>>) -> Result<Response<hyper::body::Incoming>, String> {
    attempt(request).await.map_err(|silence| silence.problem)
}

/// Why no answer came.
#[derive(Debug)]
pub struct Silence {
    /// A sentence that begins with a verb.
    pub problem: String,
    /// Whether the other side certainly got nothing.
    pub unsent: bool,
}

/// The same as [`call`], for who must know whether anything was sent.
///
/// # Errors
/// As there.
pub async fn attempt(request: Request<Full<Bytes>>) -> Result<Response<hyper::body::Incoming>, Silence> {
    let client = client().map_err(|problem| Silence { problem, unsent: true })?;
    client.request(request).await.map_err(|error| Silence {
        problem: format!("cannot be reached: {}", causes(&error)),
        unsent: error.is_connect(),
    })
}

/// The same with the whole body, at most 4 MiB of it.
///
/// # Errors
/// As [`call`], and when the body is too large or ends early.
pub async fn fetch(request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
    let answer = call(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| format!("did not finish its answer: {error}"))?;
    Ok((status, body.to_bytes()))
}

fn client() -> Result<&'static Outgoing, String> {
    static CLIENT: OnceLock<Result<Outgoing, String>> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(ring::default_provider())
            .map_err(|error| format!("cannot be asked: no authority is trusted here: {error}"))?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
    });
    client.as_ref().map_err(Clone::clone)
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
