//! Talking to a running analyzer, and the four commands that make it act.

use super::{Failure, Output, Server, print_json};
use crate::engine::Deed;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::time::Duration;

/// How long an answer may take, and how large it may be.
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: usize = 64 * 1024 * 1024;

#[derive(Args)]
pub(super) struct Act {
    #[command(flatten)]
    server: Server,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Why; stands in the history
    #[arg(long)]
    reason: String,
    /// Who; stands in the history
    #[arg(long, env = "USER")]
    by: Option<String>,
    /// The canary, as NAMESPACE/NAME
    canary: String,
}

impl Act {
    pub(super) fn run(self, deed: Deed) -> Result<(), Failure> {
        let by = self.by.filter(|by| !by.is_empty());
        let body = json!({ "reason": self.reason, "by": by });
        let path = format!("/v1/canaries/{}/{}", checked(&self.canary)?, deed.name());
        let canary = self.server.call(Method::POST, &path, Some(&body))?;
        match self.output {
            Output::Json => print_json(&canary),
            Output::Text => {
                println!("{}", super::status::line(&canary));
                Ok(())
            }
        }
    }
}

/// A canary's name that can stand in a path.
pub(super) fn checked(canary: &str) -> Result<&str, Failure> {
    serin_contract::plan::check_name(canary).map_err(Failure::Wrong)?;
    Ok(canary)
}

impl Server {
    /// Calls the API and waits for its answer.
    pub(super) fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        if self.server.scheme_str() != Some("http") {
            return Err(Failure::Wrong(format!("--server {}: write it as http://HOST:PORT", self.server)));
        }
        let address = format!("{}{path}", self.server.to_string().trim_end_matches('/'));
        let mut request = Request::builder().method(method).uri(&address);
        if let Some(file) = &self.token_file {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::Wrong(format!("--token-file {}: {error}", file.display())))?;
            let token = text.lines().next().unwrap_or_default().trim();
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(bytes))
            .map_err(|error| Failure::Wrong(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Failed(error.to_string()))?;
        let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, exchange(request)).await });
        match answer {
            Ok(answer) => answer.map_err(|problem| Failure::Failed(format!("{address}: {problem}"))),
            Err(_) => Err(Failure::Failed(format!("{address}: no answer within {} s", PATIENCE.as_secs()))),
        }
    }
}

async fn exchange(request: Request<Full<Bytes>>) -> Result<Value, String> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}; is the analyzer running there? (--server, SERIN_SERVER)")
    })?;
    let status = answer.status();
    let body =
        Limited::new(answer.into_body(), LARGEST).collect().await.map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_slice(&body.to_bytes())
        .map_err(|error| format!("{status}, and an answer that is not JSON: {error}"))?;
    if status.is_success() {
        return Ok(value);
    }
    let detail = value.get("detail").and_then(Value::as_str).unwrap_or("no detail");
    let field =
        value.get("field").and_then(Value::as_str).map(|field| format!("{field}: ")).unwrap_or_default();
    Err(format!("{status}: {field}{detail}"))
}
