//! Probes, metrics, and the wasm module that proxies may fetch.

use super::Shared;
use super::problem::Problem;
use super::schema::{self, Stopping};
use crate::metrics::Metrics;
use crate::module::Module;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Alive: the engine answers
#[utoipa::path(get, path = "/healthz", tag = "service",
    responses((status = 200, description = "Alive", body = String, content_type = "text/plain"), Stopping))]
pub(super) async fn health(State(shared): State<Shared>) -> Result<&'static str, Problem> {
    shared.engine.filters().await.map(|_| "ok\n").ok_or_else(Problem::stopping)
}

/// Ready: the store is loaded, which the engine's first answer shows
#[utoipa::path(get, path = "/readyz", tag = "service",
    responses((status = 200, description = "Ready", body = String, content_type = "text/plain"), Stopping))]
pub(super) async fn ready(State(shared): State<Shared>) -> Result<&'static str, Problem> {
    health(State(shared)).await
}

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "service",
    responses((status = 200, description = "The text format", body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(metrics): State<Arc<Metrics>>) -> Response {
    let text = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, text)], metrics.text()).into_response()
}

/// The filter's wasm module: `filter.wasm`, and under their digests it and those before it, to be cached for ever
#[utoipa::path(get, path = "/{file}", tag = "service",
    params(("file" = String, Path, description = "`filter.wasm` or `filter-<sha256>.wasm`")),
    responses((status = 200, description = "The module", body = Vec<u8>, content_type = "application/wasm"),
        (status = 404, description = "No such file, or built without the module", body = schema::Problem,
            content_type = "application/problem+json")))]
pub(super) async fn module(State(module): State<Arc<Module>>, Path(file): Path<String>) -> Response {
    const FOR_EVER: &str = "public, max-age=31536000, immutable";
    let asked = file.strip_prefix("filter-").and_then(|rest| rest.strip_suffix(".wasm"));
    let found = match asked {
        _ if file == "filter.wasm" => {
            module.bytes().map(|bytes| (bytes.to_vec(), module.digest(), "no-cache"))
        }
        Some(digest) if digest == module.digest() => {
            module.bytes().map(|bytes| (bytes.to_vec(), digest, FOR_EVER))
        }
        asked => match asked.and_then(|digest| Some((module.former(digest)?, digest, FOR_EVER))) {
            Some(former) => Ok(former),
            None => {
                return Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at /{file}"))
                    .into_response();
            }
        },
    };
    match found {
        Ok((bytes, digest, cache)) => {
            let headers = [(header::CONTENT_TYPE, "application/wasm"), (header::CACHE_CONTROL, cache)];
            (headers, [(header::ETAG, format!("\"{digest}\""))], bytes).into_response()
        }
        Err(error) => Problem::new(StatusCode::NOT_FOUND, error.to_string()).into_response(),
    }
}
