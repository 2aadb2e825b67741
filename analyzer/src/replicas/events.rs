//! Taking events into a shared store, at any analyzer: they are checked against the experiments that the store has,
//! and are in its inbox once, with their idempotency key, before they are acknowledged. Whoever leads counts them.

use crate::engine::now;
use crate::experiments::desk::{Counted, Desk};
use crate::experiments::{Event, Refused};
use crate::store::{EventCall, KeptAnswer, Redis, StoreError};
use std::collections::BTreeSet;
use tokio::sync::{mpsc, oneshot};

/// How many calls may wait; more senders wait for their turn.
const QUEUE: usize = 1024;
/// How many calls go to the store together at most: of a thousand events each.
const BATCH: usize = 16;

type Answer = oneshot::Sender<Result<Counted, Refused>>;

struct Call {
    events: Vec<Event>,
    key: Option<String>,
    answer: Answer,
}

/// A way to hand in events.
#[derive(Clone)]
pub(super) struct Telling(mpsc::Sender<Call>);

impl Telling {
    /// Begins to take events.
    pub(super) fn start(store: Redis) -> Self {
        let (queue, mut calls) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while calls.recv_many(&mut batch, BATCH).await > 0 {
                tokio::task::block_in_place(|| take(&store, &mut batch));
            }
        });
        Self(queue)
    }

    pub(super) async fn events(&self, events: Vec<Event>, key: Option<String>) -> Result<Counted, Refused> {
        let (answer, answered) = oneshot::channel();
        let stopping = || Refused::Unavailable("the analyzer is stopping: try again".to_owned());
        self.0.send(Call { events, key, answer }).await.map_err(|_| stopping())?;
        answered.await.unwrap_or_else(|_| Err(stopping()))
    }
}

/// Checks and takes all that wait; each call gets its own answer.
fn take(store: &Redis, batch: &mut Vec<Call>) {
    let ids: BTreeSet<&str> =
        batch.iter().flat_map(|call| &call.events).map(|event| event.experiment.as_str()).collect();
    let desk = store.some_experiments(&ids).map_err(Refused::from);
    let desk = desk.and_then(|records| Desk::of(records).map_err(Refused::Unavailable));
    let desk = match desk {
        Ok(desk) => desk,
        Err(error) => return refuse(batch.drain(..).map(|call| call.answer), &error.to_string()),
    };
    let (mut calls, mut waiting) = (Vec::new(), Vec::new());
    for Call { events, key, answer } in batch.drain(..) {
        match desk.draft(store, now()).checked(events) {
            Ok(events) => {
                calls.push(EventCall { key, events });
                waiting.push(answer);
            }
            // Whoever has hung up asks again.
            Err(refused) => drop(answer.send(answered_before(store, key.as_deref(), refused))),
        }
    }
    if calls.is_empty() {
        return;
    }
    match store.take_events(&calls, now()) {
        Ok(answers) => {
            for (answer, (kept, is_new)) in waiting.into_iter().zip(answers) {
                drop(answer.send(Ok(told(&kept, !is_new))));
            }
        }
        Err(error) => refuse(waiting.into_iter(), &error.to_string()),
    }
}

/// A call that was taken is the same call when it comes again, also where its experiment has ended meanwhile.
fn answered_before(store: &Redis, key: Option<&str>, refused: Refused) -> Result<Counted, Refused> {
    use crate::store::Store;
    let known =
        key.map_or(Ok(None), |key| store.key(key)).map_err(|error: StoreError| Refused::from(error))?;
    known.map(|kept| told(&kept, true)).ok_or(refused)
}

fn told(kept: &KeptAnswer, repeated: bool) -> Counted {
    Counted { accepted: kept.accepted, unexposed: kept.unexposed, repeated }
}

fn refuse(waiting: impl Iterator<Item = Answer>, problem: &str) {
    waiting.for_each(|answer| drop(answer.send(Err(Refused::Unavailable(problem.to_owned())))));
}
