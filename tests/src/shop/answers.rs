//! What the shop answers on each of its paths: pages, gRPC calls, streams, and an answer that only a
//! second try gets.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long the streams go on: longer than a gRPC answer that is no stream.
const STREAM: Duration = Duration::from_millis(1300);

/// Answers a request.
pub(super) fn answer(status: StatusCode, version: &str, uri: &Uri, headers: &HeaderMap) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut parts = uri.path().trim_start_matches('/').split('/');
    let mut response = match (parts.next(), parts.next(), parts.next()) {
        (Some("grpc"), Some("trailer"), Some(code)) => grpc(Duration::ZERO, code),
        (Some("grpc"), Some("header"), Some(code)) => {
            ([("content-type", "application/grpc"), ("grpc-status", code)], Body::empty()).into_response()
        }
        (Some("grpc"), Some("stream"), Some(code)) => grpc(STREAM, code),
        (Some("events"), _, _) => {
            ([("content-type", "text/event-stream")], lasting(STREAM, None)).into_response()
        }
        // Where Envoy counts its tries, only the second is answered well.
        (Some("flaky"), _, _) if text("x-envoy-attempt-count") == Some("1") => {
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        _ => {
            let (canary, cookie) = (text("x-canary"), text("cookie"));
            let (arms, flags) = (text("x-serin-experiments"), text("x-serin-flags"));
            let body = serde_json::json!({
                "version": version, "path": uri.path(), "x-canary": canary, "cookie": cookie,
                "experiments": arms, "flags": flags
            });
            (status, Json(body)).into_response()
        }
    };
    // Goals that a request asks the shop to report.
    if let Some(Ok(goal)) = text("x-test-goal").map(str::parse) {
        response.headers_mut().insert("x-serin-goal", goal);
    }
    if let Ok(version) = version.parse() {
        response.headers_mut().insert("x-shop-version", version);
    }
    response
}

/// One message, after `length` the trailer with the status.
fn grpc(length: Duration, code: &str) -> Response {
    let mut trailers = HeaderMap::new();
    if let Ok(code) = code.parse() {
        trailers.insert("grpc-status", code);
    }
    ([("content-type", "application/grpc")], lasting(length, Some(trailers))).into_response()
}

/// A body that has something to say at once, goes on for `length` and may end with trailers.
fn lasting(length: Duration, trailers: Option<HeaderMap>) -> Body {
    let first = Frame::data(Bytes::from_static(b"data: 1\n\n"));
    let frames = Lasting { first: Some(first), wait: Box::pin(tokio::time::sleep(length)), trailers };
    Body::new(StreamBody::new(frames))
}

struct Lasting {
    first: Option<Frame<Bytes>>,
    wait: Pin<Box<tokio::time::Sleep>>,
    trailers: Option<HeaderMap>,
}

impl futures_core::Stream for Lasting {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        std::task::ready!(self.wait.as_mut().poll(context));
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }
}
