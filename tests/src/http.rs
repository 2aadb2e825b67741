//! A small HTTP client for this machine only: one connection pool, whole bodies, every answer a value.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::time::Duration;

/// No answer takes longer: Envoy's own timeout is 15 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// The client. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// An answer with its whole body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text, whatever it holds.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Default for Client {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        Self { pool: Pool::builder(TokioExecutor::new()).build(connector) }
    }
}

impl Client {
    /// Sends one request.
    ///
    /// # Errors
    /// When the target is not on this machine, or no answer comes within thirty seconds.
    pub async fn send(
        &self,
        target: SocketAddr,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer> {
        ensure!(target.ip().is_loopback(), "{target} is not on this machine");
        let mut request = Request::builder().method(method).uri(format!("http://{target}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).context("the request")?;
        let exchange = async {
            let (head, body) = self.pool.request(request).await?.into_parts();
            let body = body.collect().await.context("the body")?.to_bytes();
            anyhow::Ok(Answer { status: head.status, headers: head.headers, body })
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .with_context(|| format!("{target}{path}: no answer within {} s", PATIENCE.as_secs()))?
            .with_context(|| format!("{target}{path}"))
    }

    /// A GET.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn get(&self, target: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        self.send(target, Method::GET, path, headers, Bytes::new()).await
    }
}
