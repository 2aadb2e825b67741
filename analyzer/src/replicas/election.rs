//! Who leads where no Kubernetes elects: a lock in Redis. An analyzer leads once in its life, and ends when
//! another has led after it; while Redis does not answer nobody can, so it stays the leader and raises nothing.

use super::{Hold, Term};
use crate::store::{Lock, Redis, Standing};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// One that would lead.
pub struct Election {
    store: Redis,
    who: Lock,
    hold: Hold,
    token: Option<String>,
}

impl Election {
    /// Nothing is asked yet.
    pub fn new(store: Redis, who: Lock) -> Self {
        Self { store, who, hold: Hold::default(), token: None }
    }

    /// Whether weights may be written.
    pub fn hold(&self) -> Hold {
        self.hold.clone()
    }

    /// Keeps at it until `stop` is over, then gives the lock back if it is ours. Says how things stand whenever
    /// that changes; what was last said holds while Redis does not answer.
    pub async fn run(mut self, term: watch::Sender<Term>, mut stop: watch::Receiver<bool>) {
        let lease = self.store.settings().lease;
        let (least, most) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut beat = tokio::time::interval((lease / 6).clamp(least, most));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            let Some(now) = tokio::task::block_in_place(|| self.look(lease)) else { continue };
            term.send_if_modified(|term| {
                let changed = *term != now;
                *term = now;
                changed
            });
            if matches!(*term.borrow(), Term::Lost(_)) {
                return;
            }
        }
        if let Some(token) = &self.token
            && let Err(error) = tokio::task::block_in_place(|| self.store.unlock(token))
        {
            tracing::warn!(%error, "the lock was not given back; others wait for its end");
        }
    }

    /// None: nobody answered.
    fn look(&mut self, lease: Duration) -> Option<Term> {
        let asked = Instant::now();
        match self.store.lock(&self.who, lease, self.token.as_deref()) {
            Ok(Standing::Mine(token)) => {
                // A quarter is left for the time between the last look and the write.
                self.hold.renewed(asked, lease - lease / 4);
                self.token = Some(token);
                Some(Term::Mine)
            }
            Ok(Standing::Other(holder)) if self.token.is_none() => Some(Term::Other(holder.address)),
            Ok(Standing::Other(holder)) => self.lost(Some(holder)),
            Ok(Standing::Lost(holder)) => self.lost(holder),
            Err(error) => {
                self.hold.unanswered(Instant::now());
                tracing::debug!(%error, "the lock cannot be read or kept");
                None
            }
        }
    }

    fn lost(&self, holder: Option<Lock>) -> Option<Term> {
        self.hold.lost();
        let name = holder.map_or_else(|| "another analyzer".to_owned(), |holder| holder.name);
        Some(Term::Lost(name))
    }
}
