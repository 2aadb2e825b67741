//! The task that looks at the engine for all clients together.

use super::frame::Shown;
use super::{BEHIND, Joined};
use crate::engine::Engine;
use axum::extract::ws::Utf8Bytes;
use serin_judge::time::Time;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often it looks, where nothing was decided.
const LOOK: Duration = Duration::from_secs(1);
/// A picture for a client that joins may be so old.
const FRESH: Duration = Duration::from_millis(500);
/// A frame is sent at least so often, even if there is nothing in it.
const HEARTBEAT: Duration = Duration::from_secs(4);

pub(super) struct Hub {
    engine: Engine,
    frames: broadcast::Sender<Utf8Bytes>,
    shown: Shown,
    sequence: u64,
    looked: Option<Instant>,
    sent: Instant,
}

/// The engine is gone.
struct Gone;

impl Hub {
    pub(super) fn new(engine: Engine) -> Self {
        let (frames, _) = broadcast::channel(BEHIND);
        Self { engine, frames, shown: Shown::default(), sequence: 1, looked: None, sent: Instant::now() }
    }

    /// Works until the engine is gone, or nobody can join any more.
    pub(super) async fn run(mut self, mut joins: mpsc::Receiver<oneshot::Sender<Joined>>) {
        let news = self.engine.news();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let watched = self.frames.receiver_count() > 0;
            let done = tokio::select! {
                join = joins.recv() => match join {
                    Some(answer) => self.join(answer).await,
                    None => return,
                },
                _ = looks.tick(), if watched => self.look().await,
                () = news.notified(), if watched => self.look().await,
            };
            if let Err(Gone) = done {
                return;
            }
            if self.frames.receiver_count() == 0 {
                // What nobody looks at takes no memory, and is old when somebody comes.
                (self.shown, self.looked) = (Shown::default(), None);
            }
        }
    }

    async fn join(&mut self, answer: oneshot::Sender<Joined>) -> Result<(), Gone> {
        if self.looked.is_none_or(|looked| looked.elapsed() > FRESH) {
            self.look().await?;
        }
        let joined = Joined { snapshot: self.shown.snapshot(self.sequence), frames: self.frames.subscribe() };
        // A client that is gone already is nobody's concern.
        let _ = answer.send(joined);
        Ok(())
    }

    async fn look(&mut self) -> Result<(), Gone> {
        let newest = self.shown.newest();
        let picture = self.engine.picture(newest).await.ok_or(Gone)?;
        self.looked = Some(Instant::now());
        let delta = self.shown.update(picture);
        if newest == Time(0) {
            // One canary at a time: a thousand with all their samples are more than should be in memory at once.
            for id in self.shown.canaries() {
                let samples = self.engine.stored_samples(&id).await;
                self.shown.recall(&id, samples);
            }
        }
        if delta.is_empty() && self.sent.elapsed() < HEARTBEAT {
            return Ok(());
        }
        self.sequence += 1;
        self.sent = Instant::now();
        // Without receivers it goes nowhere, which is right.
        let _ = self.frames.send(delta.text(self.sequence).into());
        Ok(())
    }
}
