//! The answer to a report. A plan in it is not copied: all filters fetch a new plan within seconds, and one of a
//! thousand canaries has half a megabyte.

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use serde_json::value::RawValue;
use serin_contract::Reply;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// An answer on its way.
pub(super) struct Answer(pub(super) Reply<Arc<RawValue>>);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Reply { acknowledged, plan } = self.0;
        let body = match plan {
            None => Body::from(format!(r#"{{"acknowledged":{acknowledged},"plan":null}}"#)),
            Some(plan) => Body::new(Parts(vec![
                Bytes::from_static(b"}"),
                Bytes::from_owner(Shared(plan)),
                Bytes::from(format!(r#"{{"acknowledged":{acknowledged},"plan":"#)),
            ])),
        };
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    }
}

/// The plan's text, which every answer shares.
struct Shared(Arc<RawValue>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.get().as_bytes()
    }
}

/// What is still to be sent, the last part first.
struct Parts(Vec<Bytes>);

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|part| part.len() as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn an_answer_is_the_reply_as_the_contract_writes_it_and_says_how_long_it_is() {
        for plan in [None, Some(r#"{"revision":7}"#)] {
            let plan = plan.map(|text| Arc::from(RawValue::from_string(text.to_owned()).expect("JSON")));
            let reply = Reply { acknowledged: 3, plan };
            let whole = serde_json::to_vec(&reply).expect("JSON");
            let response = Answer(reply).into_response();
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            assert_eq!(response.body().size_hint().exact(), Some(whole.len() as u64));
            let body = response.into_body().collect().await.expect("all of it").to_bytes();
            assert_eq!(body, whole);
        }
    }
}
