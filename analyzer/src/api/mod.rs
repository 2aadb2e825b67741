//! The HTTP API, on axum. Handlers translate between HTTP and the engine's messages, nothing more.

mod access;
mod canaries;
mod ingest;
mod problem;
mod service;

pub use access::Tokens;

use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::module::Module;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use std::sync::{Arc, RwLock};

/// What all handlers share.
#[derive(Clone)]
pub struct Shared {
    /// The way to the engine.
    pub engine: Engine,
    /// The program's metrics.
    pub metrics: Arc<Metrics>,
    /// The wasm module to hand out.
    pub module: Arc<Module>,
    /// Who may do what; replaced when the configuration is read again.
    pub tokens: Arc<RwLock<Tokens>>,
}

/// The whole API.
pub fn router(shared: Shared) -> Router {
    let viewer = Router::new()
        .route("/v1/canaries", get(canaries::list))
        .route("/v1/canaries/{namespace}/{name}", get(canaries::one))
        .route("/v1/canaries/{namespace}/{name}/samples", get(canaries::samples))
        .route("/v1/canaries/{namespace}/{name}/report", get(canaries::report))
        .route("/v1/filters", get(canaries::filters))
        .route_layer(from_fn_with_state(shared.clone(), access::viewer));
    let operator = Router::new()
        .route("/v1/canaries/{namespace}/{name}/{deed}", post(canaries::act))
        .route_layer(from_fn_with_state(shared.clone(), access::operator));
    let filters = Router::new()
        .route(serin_contract::headers::REPORT_PATH, post(ingest::report))
        .layer(DefaultBodyLimit::max(serin_contract::report::MAX_BYTES))
        .route_layer(from_fn_with_state(shared.clone(), access::report));
    let open = Router::new()
        .route("/healthz", get(service::health))
        .route("/readyz", get(service::ready))
        .route("/metrics", get(service::metrics))
        .route("/{file}", get(service::module));
    Router::new()
        .merge(viewer)
        .merge(operator)
        .merge(filters)
        .merge(open)
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::wrong_method)
        .with_state(shared)
}
