//! Records to an HTTP endpoint: a POST of some hundred lines at a time, one after the other. It is sent again
//! only where the endpoint certainly has not got it: it could not be reached, or said 429 or 503.

use super::{BATCH, Record, Tally, lines};
use crate::config::Token;
use crate::outgoing;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri, header};
use std::time::Duration;
use tokio::sync::mpsc;

/// The first pause before a batch is sent again, and the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// An endpoint.
pub(super) struct Endpoint {
    pub(super) url: Uri,
    pub(super) timeout: Duration,
    pub(super) token: Option<Token>,
    pub(super) tally: Tally,
}

/// Why a batch was not taken.
struct Refusal {
    problem: String,
    /// Whether the endpoint certainly has nothing of it.
    again: bool,
}

impl Endpoint {
    /// Posts for as long as records come.
    pub(super) async fn post(self, mut records: mpsc::Receiver<Record>) {
        let mut batch = Vec::with_capacity(BATCH);
        while records.recv_many(&mut batch, BATCH).await > 0 {
            let result = if self.deliver(lines(&batch).into()).await { "written" } else { "failed" };
            self.tally.add(result, batch.len());
            batch.clear();
        }
    }

    /// Whether the batch was taken; tries for as long as that is certain to be the first time.
    async fn deliver(&self, body: Bytes) -> bool {
        let mut pause = PAUSE;
        loop {
            let sent = tokio::time::timeout(self.timeout, self.once(body.clone())).await;
            let refusal = match sent {
                Ok(Ok(())) => return true,
                Ok(Err(refusal)) => refusal,
                Err(_) => {
                    let problem = format!("did not answer within {} ms", self.timeout.as_millis());
                    Refusal { problem, again: false }
                }
            };
            let Refusal { problem, again } = refusal;
            if pause == PAUSE || !again {
                tracing::warn!(url = %self.url, %problem, again, "analytics were not taken");
            }
            if !again {
                return false;
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST);
        }
    }

    async fn once(&self, body: Bytes) -> Result<(), Refusal> {
        let mut request = Request::post(&self.url).header(header::CONTENT_TYPE, "application/x-ndjson");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, [b"Bearer ", token.as_bytes()].concat());
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| Refusal { problem: format!("cannot be called: {error}"), again: false })?;
        let answer = outgoing::attempt(request)
            .await
            .map_err(|silence| Refusal { problem: silence.problem, again: silence.unsent })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let again = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        Err(Refusal { problem: format!("answered {status}"), again })
    }
}
