//! `GET /v1/live`: what happens, as it happens. One task looks at the engine once a second, and at once when
//! something was decided, as long as somebody watches; every client gets the same text from a bounded queue.
//! Who falls behind gets a whole picture again, so that nobody slow holds up anybody.

mod frame;
mod hub;
pub(super) mod socket;

use crate::engine::Engine;
use crate::metrics::Metrics;
use axum::extract::ws::Utf8Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};

/// Clients at one time.
pub(super) const CLIENTS: usize = 64;
/// Frames that may wait for a client.
const BEHIND: usize = 16;

/// The way to the task.
#[derive(Clone)]
pub struct Live {
    joins: mpsc::Sender<oneshot::Sender<Joined>>,
    places: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// A client's beginning: everything, and what comes after it.
struct Joined {
    /// The snapshot's text.
    snapshot: String,
    frames: broadcast::Receiver<Utf8Bytes>,
}

/// A client's place among all. Counted at `/metrics` while it is held.
struct Place {
    _permit: OwnedSemaphorePermit,
    metrics: Arc<Metrics>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.live_clients.dec();
    }
}

impl Live {
    /// Starts the task; it ends with the engine.
    pub fn start(engine: Engine, metrics: Arc<Metrics>) -> Self {
        let (joins, joining) = mpsc::channel(CLIENTS);
        tokio::spawn(hub::Hub::new(engine).run(joining));
        Self { joins, places: Arc::new(Semaphore::new(CLIENTS)), metrics }
    }

    /// A place, where one is free.
    fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        self.metrics.live_clients.inc();
        Some(Place { _permit: permit, metrics: Arc::clone(&self.metrics) })
    }

    /// Everything now; nothing when the engine is gone.
    async fn join(&self) -> Option<Joined> {
        let (answer, answered) = oneshot::channel();
        self.joins.send(answer).await.ok()?;
        answered.await.ok()
    }
}
