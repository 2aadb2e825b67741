//! One client: the upgrade, its frames, and when it is given up.

use super::super::Shared;
use super::super::access::{Caller, still_admits};
use super::super::listener::Connection;
use super::super::problem::Problem;
use super::super::schema::{self, LiveErrors};
use super::{CLIENTS, Live, Place};
use crate::engine::now;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use axum::response::Response;
use serin_judge::time::Time;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// A client that takes no frame for so long has gone.
const WRITE: Duration = Duration::from_secs(10);
/// How often a client is asked whether it is there, and whether it may still be.
const PING: Duration = Duration::from_secs(5);
/// A client that says nothing for so long, not even to that, has gone.
const SILENT: Duration = Duration::from_secs(30);
/// Clients have nothing to say but pongs and a goodbye.
const LARGEST: usize = 4096;

/// What happens, as it happens
///
/// A WebSocket of JSON texts: first a snapshot of everything, then what has changed, at least every five
/// seconds. A client that falls behind gets a snapshot again.
#[utoipa::path(get, path = "/v1/live", tag = "canaries",
    responses((status = 101, description = "The socket; each text is a frame", body = schema::LiveFrame),
        LiveErrors),
    security(("viewer" = []), ("operator" = [])))]
pub(crate) async fn live(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    connection: Option<Extension<Connection>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| {
        let detail = format!("this is a WebSocket: {}", rejection.body_text());
        Problem::new(StatusCode::UPGRADE_REQUIRED, detail)
    })?;
    let place = shared.live.place().ok_or_else(|| {
        let detail = format!("{CLIENTS} clients watch already, which is as many as may: try again later");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;
    let upgrade = upgrade.max_message_size(LARGEST).max_frame_size(LARGEST);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let _place: Place = place;
        let connection = connection.map(|Extension(connection)| connection);
        let mut client = Client { socket, shared, caller, connection };
        if let Some(goodbye) = client.attend().await {
            // Who has gone hears it no more.
            let _ = client.send(Message::Close(Some(goodbye))).await;
        }
    }))
}

struct Client {
    socket: WebSocket,
    shared: Shared,
    caller: Caller,
    /// What the socket was made of.
    connection: Option<Connection>,
}

/// The client has gone, or is given up.
struct Gone;

impl Client {
    /// Sends what happens until the client goes, or has to: then what to tell it.
    async fn attend(&mut self) -> Option<CloseFrame> {
        let live = self.shared.live.clone();
        self.frames(&live).await.ok()
    }

    async fn frames(&mut self, live: &Live) -> Result<CloseFrame, Gone> {
        let connection = self.connection.take();
        let mut ended = std::pin::pin!(ended(connection.as_ref()));
        let mut expired = std::pin::pin!(expired(self.caller.expires()));
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let Some(mut joined) = live.join().await else { return Ok(stopping()) };
        self.send(Message::text(joined.snapshot)).await?;
        loop {
            tokio::select! {
                frame = joined.frames.recv() => match frame {
                    Ok(frame) => self.send(Message::Text(frame)).await?,
                    Err(RecvError::Lagged(_)) => {
                        joined = match live.join().await {
                            Some(joined) => joined,
                            None => return Ok(stopping()),
                        };
                        self.send(Message::text(joined.snapshot)).await?;
                    }
                    Err(RecvError::Closed) => return Ok(stopping()),
                },
                said = self.socket.recv() => match said {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                    Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {
                        heard = Instant::now();
                    }
                },
                _ = pings.tick() => {
                    if heard.elapsed() > SILENT {
                        return Err(Gone);
                    }
                    if !still_admits(&self.shared, &self.caller) {
                        return Ok(signed_out());
                    }
                    self.send(Message::Ping(Vec::new().into())).await?;
                }
                () = &mut expired => return Ok(signed_out()),
                () = &mut ended => return Ok(stopping()),
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(WRITE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

/// Over once the program ends.
async fn ended(connection: Option<&Connection>) {
    match connection {
        Some(connection) => connection.ended().await,
        None => std::future::pending().await,
    }
}

/// Over at this moment, by the clock that sessions are held against: it may be set meanwhile.
async fn expired(at: Option<Time>) {
    let Some(at) = at else { return std::future::pending().await };
    loop {
        let left = at.since(now());
        if left.is_zero() {
            return;
        }
        sleep(left).await;
    }
}

fn signed_out() -> CloseFrame {
    goodbye(close_code::POLICY, "the session has ended: sign in again")
}

fn stopping() -> CloseFrame {
    goodbye(close_code::AWAY, "the analyzer is stopping")
}

fn goodbye(code: u16, reason: &'static str) -> CloseFrame {
    CloseFrame { code, reason: Utf8Bytes::from_static(reason) }
}
