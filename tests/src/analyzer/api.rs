//! The analyzer's HTTP API, as a person or a filter uses it.

use super::status::{Filter, Status};
use crate::http::{Answer, Client};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// The canary that the harness configures.
pub const CANARY: &str = "default/shop";

/// A client of one analyzer.
#[derive(Debug, Clone)]
pub struct Api {
    address: SocketAddr,
    canary: String,
    /// The `authorization` header, where the analyzer asks for one.
    authorization: Option<String>,
    client: Client,
}

impl Api {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self::of(address, CANARY, None)
    }

    /// A client for one canary, `namespace/name`, that shows this token.
    pub fn of(address: SocketAddr, canary: &str, token: Option<&str>) -> Self {
        let authorization = token.map(|token| format!("Bearer {token}"));
        Self { address, canary: canary.to_owned(), authorization, client: Client::default() }
    }

    /// The token's header, where there is one.
    fn shown(&self) -> Vec<(&str, &str)> {
        self.authorization.iter().map(|value| ("authorization", value.as_str())).collect()
    }

    /// Where the analyzer listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Any path, as it is.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.client.get(self.address, path, &self.shown()).await
    }

    /// The canary.
    ///
    /// # Errors
    /// When the answer is no canary.
    pub async fn status(&self) -> Result<Status> {
        self.read(&format!("/v1/canaries/{}", self.canary)).await
    }

    /// The filters that report.
    ///
    /// # Errors
    /// When the answer is no list of filters.
    pub async fn filters(&self) -> Result<Vec<Filter>> {
        self.read("/v1/filters").await
    }

    /// The Prometheus page.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn metrics(&self) -> Result<String> {
        let answer = self.get("/metrics").await?;
        ensure!(answer.status.is_success(), "/metrics: {}", answer.status);
        Ok(answer.text())
    }

    /// `pause`, `resume`, `promote` or `rollback`, with a reason.
    ///
    /// # Errors
    /// When the analyzer refuses, with its words.
    pub async fn act(&self, action: &str, reason: &str) -> Result<()> {
        let path = format!("/v1/canaries/{}/{action}", self.canary);
        let body = Bytes::from(json!({ "reason": reason }).to_string());
        let mut headers = self.shown();
        headers.push(("content-type", "application/json"));
        let answer = self.client.send(self.address, Method::POST, &path, &headers, body).await?;
        ensure!(answer.status.is_success(), "{action} is refused: {} {}", answer.status, answer.text());
        Ok(())
    }

    /// Sends JSON to any path; the answer must be good.
    ///
    /// # Errors
    /// When the analyzer refuses, with its words.
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        self.call_with(&[], method, path, body).await
    }

    /// Sends events under an idempotency key, as a service does.
    ///
    /// # Errors
    /// When the analyzer refuses, with its words, or does not answer.
    pub async fn events(&self, key: &str, events: &Value) -> Result<Value> {
        let body = json!({"events": events});
        self.call_with(&[("idempotency-key", key)], Method::POST, "/v1/events", &body).await
    }

    async fn call_with(
        &self,
        more: &[(&str, &str)],
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value> {
        let mut headers = self.shown();
        headers.push(("content-type", "application/json"));
        headers.extend_from_slice(more);
        let answer = self.client.send(self.address, method, path, &headers, body.to_string().into()).await?;
        ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text());
        serde_json::from_slice(&answer.body).with_context(|| format!("{path} is no JSON"))
    }

    /// Posts bytes as a filter would post a report.
    ///
    /// # Errors
    /// When no answer comes at all.
    pub async fn report(&self, body: impl Into<Bytes>, token: Option<&str>) -> Result<Answer> {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", "application/json")];
        if let Some(bearer) = &bearer {
            headers.push(("authorization", bearer));
        }
        let path = serin_contract::headers::REPORT_PATH;
        self.client.send(self.address, Method::POST, path, &headers, body.into()).await
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.get(path).await?;
        ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text());
        let value: Value =
            serde_json::from_slice(&answer.body).with_context(|| format!("{path} is no JSON"))?;
        serde_json::from_value(value).with_context(|| format!("{path}: {}", answer.text()))
    }
}
