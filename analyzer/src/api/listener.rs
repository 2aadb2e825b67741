//! Takes connections: as many as allowed, over TLS where configured, none of them for ever.

use super::limits::{FAREWELL, HANDSHAKE, HEADER, HEADER_BYTES, STALL, connections};
use super::stall::Stall;
use crate::tls::Certificate;
use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// After a failure to accept, most likely for lack of file descriptors, it rests for so long.
const REST: Duration = Duration::from_millis(100);

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// A connection's place among all. Who takes the connection over, for a WebSocket, holds it for as long.
#[derive(Clone)]
pub(crate) struct Connection {
    _place: Arc<OwnedSemaphorePermit>,
    ended: watch::Receiver<bool>,
}

impl Connection {
    /// Over once the program ends: whoever has taken the connection over should let go of it.
    pub(crate) async fn ended(&self) {
        // A sender that is gone has ended too.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

/// Serves until `stop` is over; then lets requests that run come to their end, for a while.
pub async fn serve(
    listener: TcpListener,
    certificate: Option<Certificate>,
    app: Router,
    stop: impl Future<Output = ()>,
) {
    let (ending, ended) = watch::channel(false);
    let most = connections();
    let places = Arc::new(Semaphore::new(most));
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, peer, place) = tokio::select! {
            () = &mut stop => break,
            taken = take(&listener, &places) => match taken {
                Some(taken) => taken,
                None => continue,
            },
        };
        let place = Connection { _place: Arc::new(place), ended: ended.clone() };
        tokio::spawn(connection(stream, certificate.clone(), app.clone(), Peer(peer), place));
    }
    drop(listener);
    ending.send_replace(true);
    let all = places.acquire_many(u32::try_from(most).unwrap_or(u32::MAX));
    if tokio::time::timeout(FAREWELL, all).await.is_err() {
        tracing::warn!("connections were cut that did not end in time");
    }
}

/// The next connection, once there is a place for it.
async fn take(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(REST).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    certificate: Option<Certificate>,
    app: Router,
    peer: Peer,
    place: Connection,
) {
    // Answers are small and wanted at once; a kernel that refuses this is only slower.
    let _ = stream.set_nodelay(true);
    match certificate {
        None => requests(stream, app, peer, &place).await,
        Some(certificate) => {
            match tokio::time::timeout(HANDSHAKE, certificate.acceptor().accept(stream)).await {
                Ok(Ok(stream)) => requests(stream, app, peer, &place).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
        }
    }
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: Router,
    peer: Peer,
    place: &Connection,
) {
    let (app, held) = (TowerToHyperService::new(app), place.clone());
    // Each request carries what is known of its connection: a layer for each connection would copy all routes.
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(held.clone());
        app.call(request)
    });
    let stream = TokioIo::new(Stall::new(stream, STALL));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(stream, service)
        .with_upgrades();
    let mut served = std::pin::pin!(served);
    let served = tokio::select! {
        served = served.as_mut() => served,
        () = place.ended() => {
            // What runs comes to its end; nothing more is taken.
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}
