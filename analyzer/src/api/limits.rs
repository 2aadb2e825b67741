//! How large a request may be and how long it may take. A proxy or a script needs a small part of each;
//! who needs more is broken or means harm.

use super::problem::Problem;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::time::Duration;

/// Connections at one time, where the system allows that many open files; more wait in the kernel's queue. Each
/// worker of each proxy keeps one.
pub const CONNECTIONS: usize = 8192;
/// Open files that are no connections of clients: the store, the cluster, gates, sources, the program's own.
pub const OTHER_FILES: usize = 64;
/// From the connection to the end of the TLS handshake.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// From the end of one request, or of the handshake, to the end of the next request's header. Longer than
/// idle filters are silent (5 s), so that their connections stay.
pub const HEADER: Duration = Duration::from_secs(15);
/// A request's header, in bytes.
pub const HEADER_BYTES: usize = 32 * 1024;
/// From the end of the header to the answer: the body's way and the engine's commit.
pub const REQUEST: Duration = Duration::from_secs(20);
/// A client that takes nothing of its answer for so long has gone.
pub const STALL: Duration = Duration::from_secs(20);
/// From the signal to end until connections are cut.
pub const FAREWELL: Duration = Duration::from_secs(5);
/// The body of a report, in bytes.
pub const REPORT_BYTES: usize = serin_contract::report::MAX_BYTES;
/// The body of an action: a name and a reason.
pub const ACTION_BYTES: usize = 8 * 1024;
/// The body of a call that needs none; some clients send a few bytes nevertheless.
pub const NO_BYTES: usize = 1024;

/// How many connections there may be here. The usual limit of 1,024 open files is raised as far as this program may.
pub(super) fn connections() -> usize {
    let wanted = (CONNECTIONS + OTHER_FILES) as u64;
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, hard)| {
        let raised = wanted.min(hard);
        let raises = raised > soft && setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok();
        if raises { raised } else { soft }
    });
    let connections = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(OTHER_FILES);
    if connections < CONNECTIONS {
        tracing::warn!(
            files,
            connections,
            "few open files are allowed: more proxies than connections have to wait"
        );
    }
    connections.clamp(1, CONNECTIONS)
}

/// Reads the body, up to a size, before the handler sees the request.
pub(super) async fn size(State(largest): State<usize>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // Who says beforehand that it is too large is not even read.
    if body.size_hint().lower() > largest as u64 {
        return too_large(largest);
    }
    let body = match Limited::new(body, largest).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return too_large(largest),
        Err(_) => {
            return Problem::new(StatusCode::BAD_REQUEST, "the body ended before its end").into_response();
        }
    };
    next.run(Request::from_parts(parts, Body::from(body))).await
}

fn too_large(largest: usize) -> Response {
    let detail = format!("the body is too large: allowed are {largest} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).into_response()
}

/// Ends a request that takes too long, and its connection, whose body may still be on its way.
pub(super) async fn time(request: Request, next: Next) -> Response {
    let Ok(response) = tokio::time::timeout(REQUEST, next.run(request)).await else {
        let detail = format!("the request took longer than {} s", REQUEST.as_secs());
        let mut response = Problem::new(StatusCode::REQUEST_TIMEOUT, detail).into_response();
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return response;
    };
    response
}
