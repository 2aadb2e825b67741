//! `GET /v1/openapi.json`: the description of every call, made from the routes themselves.

use super::schema::experiment::Format;
use super::schema::ofrep::Fault;
use super::schema::{Deed, Problem, ReportFormat};
use axum::Extension;
use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// What no route says by itself.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Serin",
        description = "Releases under test: reading them, acting on them, and the filters' reports. \
            A role without configured tokens is open; that is allowed on loopback only. Where a viewer's or an \
            operator's token is asked for, the cookie of a session that it has opened (`POST /v1/session`) does as well, \
            with an `Origin` of this host where something changes."
    ),
    modifiers(&Security),
    components(schemas(Problem, Deed, Fault, Format, ReportFormat)),
    tags(
        (name = "canaries", description = "What releases are doing; roles viewer and operator"),
        (name = "actions", description = "What people do by hand; role operator"),
        (name = "experiments", description = "A/B tests: designing them (operator), reading them (viewer), \
            assigning users and sending events (report or operator)"),
        (name = "sessions", description = "Signing in and out; open to all"),
        (name = "dashboard", description = "The page and its files; open to all"),
        (name = "filters", description = "For the filters in the proxies; role report"),
        (name = "service", description = "Probes, metrics and the filter's module; open to all")
    )
)]
pub(super) struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for role in ["report", "viewer", "operator"] {
            let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
            components.add_security_scheme(role, scheme);
        }
    }
}

/// The finished document.
#[derive(Clone)]
pub(super) struct Text(Bytes);

impl Text {
    pub(super) fn of(document: &utoipa::openapi::OpenApi) -> Self {
        // Made of maps with string keys: there is nothing in it that JSON cannot say.
        Self(document.to_json().unwrap_or_default().into())
    }
}

/// This description
#[utoipa::path(get, path = "/v1/openapi.json", tag = "service",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
pub(super) async fn openapi(Extension(Text(text)): Extension<Text>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text)
}
