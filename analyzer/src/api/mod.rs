//! The HTTP API, on axum. Handlers translate between HTTP and the engine's messages, nothing more.

mod access;
mod audit;
mod canaries;
mod design;
mod document;
mod experiments;
mod ingest;
pub mod limits;
mod listener;
mod live;
mod ofrep;
mod origin;
mod page;
mod past;
mod problem;
mod reply;
pub mod schema;
mod service;
mod session;
mod stall;

pub use access::Tokens;
pub use audit::TARGET as AUDIT;
pub(crate) use listener::Connection;
pub use listener::serve;
pub use live::Live;
pub use origin::Origin;
pub(crate) use problem::Problem;

use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::module::Module;
use crate::replicas::Intake;
use axum::extract::FromRef;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use session::{Attempts, Sessions};
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Where services send events.
pub(crate) const EVENTS_PATH: &str = "/v1/events";

/// What all handlers share. Each request has it some times over, so that it is one pointer.
#[derive(Clone)]
pub struct Shared(Arc<Parts>);

impl Deref for Shared {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The parts of what is shared.
pub struct Parts {
    /// The way to the engine.
    pub engine: Engine,
    /// The program's metrics.
    pub metrics: Arc<Metrics>,
    /// The wasm module to hand out.
    pub module: Arc<Module>,
    /// Who may do what; replaced when the configuration is read again.
    pub tokens: Arc<RwLock<Tokens>>,
    /// The way to the live view.
    pub live: Live,
    sessions: Arc<Sessions>,
    attempts: Arc<Attempts>,
    /// Whether clients come over TLS.
    secure: bool,
}

impl Shared {
    /// Starts what the API needs beside the engine; `secure` says whether clients come over TLS.
    pub fn new(
        engine: Engine,
        metrics: Arc<Metrics>,
        module: Arc<Module>,
        tokens: Arc<RwLock<Tokens>>,
        secure: bool,
    ) -> Self {
        let live = Live::start(engine.clone(), Arc::clone(&metrics));
        let (sessions, attempts) = (Arc::default(), Arc::default());
        Self(Arc::new(Parts { engine, metrics, module, tokens, live, sessions, attempts, secure }))
    }

    fn tokens(&self) -> RwLockReadGuard<'_, Tokens> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole API. Routes come from the handlers' own descriptions, so that none is left out of the
/// document.
pub fn router(shared: Shared) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(document::Document::openapi())
        .merge(viewer(&shared))
        .merge(sessions())
        .merge(operator(&shared))
        .merge(auditors(&shared))
        .merge(filters(&shared))
        .merge(designers(&shared))
        .merge(services(&shared))
        .merge(open())
        .split_for_parts();
    router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(Extension(document::Text::of(&document)))
        .layer(from_fn(page::guard))
        .layer(from_fn(limits::time))
        .with_state(shared)
}

/// What a replica answers that does not lead: whatever needs no engine.
pub fn follower(metrics: Arc<Metrics>, module: Arc<Module>, taking: Option<Taking>) -> Router {
    let (router, _) = OpenApiRouter::<Own>::new()
        .routes(routes!(service::metrics))
        .routes(routes!(service::module))
        .routes(routes!(page::index))
        .routes(routes!(page::asset))
        .split_for_parts();
    router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(from_fn(page::guard))
        .layer(from_fn(limits::time))
        .with_state(Own { metrics, module })
        .merge(taking.map(taken).unwrap_or_default())
}

/// Reports and events, where an analyzer takes them that does not lead.
fn taken(taking: Taking) -> Router {
    let events = Router::new()
        .route(EVENTS_PATH, axum::routing::post(experiments::take_events))
        .route_layer(from_fn_with_state(limits::REPORT_BYTES, limits::size))
        .route_layer(from_fn_with_state(Arc::clone(&taking.tokens), access::telling));
    Router::new()
        .route(serin_contract::headers::REPORT_PATH, axum::routing::post(ingest::take))
        .route_layer(from_fn_with_state(limits::REPORT_BYTES, limits::size))
        .route_layer(from_fn_with_state(Arc::clone(&taking.tokens), access::taking))
        .merge(events)
        .layer(from_fn(limits::time))
        .with_state(taking)
}

/// What it takes to take reports and events without an engine.
#[derive(Clone)]
pub struct Taking {
    /// Where they go.
    pub intake: Intake,
    /// The program's metrics.
    pub metrics: Arc<Metrics>,
    /// Who may report.
    pub tokens: Arc<RwLock<Tokens>>,
}

/// What handlers without an engine share.
#[derive(Clone)]
struct Own {
    metrics: Arc<Metrics>,
    module: Arc<Module>,
}

impl FromRef<Own> for Arc<Metrics> {
    fn from_ref(own: &Own) -> Self {
        Self::clone(&own.metrics)
    }
}

impl FromRef<Own> for Arc<Module> {
    fn from_ref(own: &Own) -> Self {
        Self::clone(&own.module)
    }
}

impl FromRef<Shared> for Arc<Metrics> {
    fn from_ref(shared: &Shared) -> Self {
        Self::clone(&shared.metrics)
    }
}

impl FromRef<Shared> for Arc<Module> {
    fn from_ref(shared: &Shared) -> Self {
        Self::clone(&shared.module)
    }
}

fn viewer(shared: &Shared) -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(canaries::list))
        .routes(routes!(canaries::one))
        .routes(routes!(past::samples))
        .routes(routes!(past::rollouts))
        .routes(routes!(canaries::report))
        .routes(routes!(canaries::filters))
        .routes(routes!(live::socket::live))
        .routes(routes!(experiments::list))
        .routes(routes!(experiments::one))
        .routes(routes!(experiments::results))
        .routes(routes!(experiments::funnel))
        .routes(routes!(experiments::report))
        .routes(routes!(past::series))
        .route_layer(from_fn_with_state(limits::NO_BYTES, limits::size))
        .route_layer(from_fn_with_state(shared.clone(), access::viewer))
}

/// Whoever has signed in, or wants to.
fn sessions() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(session::show, session::open, session::close))
        .route_layer(from_fn_with_state(limits::ACTION_BYTES, limits::size))
}

fn operator(shared: &Shared) -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(canaries::act))
        .route_layer(from_fn_with_state(limits::ACTION_BYTES, limits::size))
        .route_layer(from_fn_with_state(shared.clone(), access::operator))
}

fn auditors(shared: &Shared) -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(audit::list))
        .route_layer(from_fn_with_state(limits::NO_BYTES, limits::size))
        .route_layer(from_fn_with_state(shared.clone(), access::auditor))
}

fn designers(shared: &Shared) -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(design::create))
        .routes(routes!(design::change))
        .routes(routes!(design::end))
        .route_layer(from_fn_with_state(limits::REPORT_BYTES, limits::size))
        .route_layer(from_fn_with_state(shared.clone(), access::operator))
}

fn services(shared: &Shared) -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(experiments::assign))
        .routes(routes!(experiments::events))
        .routes(routes!(ofrep::one))
        .routes(routes!(ofrep::all))
        .route_layer(from_fn_with_state(limits::REPORT_BYTES, limits::size))
        .route_layer(from_fn_with_state(shared.clone(), access::service))
}

fn filters(shared: &Shared) -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(ingest::report))
        .route_layer(from_fn_with_state(limits::REPORT_BYTES, limits::size))
        .route_layer(from_fn_with_state(shared.clone(), access::report))
}

fn open() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(document::openapi))
        .routes(routes!(service::health))
        .routes(routes!(service::ready))
        .routes(routes!(service::metrics))
        .routes(routes!(service::module))
        .routes(routes!(page::index))
        .routes(routes!(page::asset))
        .route_layer(from_fn_with_state(limits::NO_BYTES, limits::size))
}
