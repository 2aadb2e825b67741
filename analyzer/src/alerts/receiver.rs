//! Delivering notices: one task and one bounded queue for each receiver, so that one that is down delays
//! nobody else. What it does not take is tried again with growing pauses.

use super::{Notice, Receiver, ReceiverKind, Status, format};
use crate::metrics::Metrics;
use crate::outgoing;
use http_body_util::Full;
use hyper::{Request, header};
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Notices that wait for one receiver at most; further ones are dropped and counted.
const QUEUE: usize = 256;
/// Notices in one call at most.
const BATCH: usize = 64;
/// Tries of one call: after the pauses between them, four minutes have passed.
const TRIES: u32 = 9;
/// The first pause, and the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// How often Alertmanager is told again of what still is so; it would forget it otherwise.
const REPEAT: Duration = Duration::from_secs(60);

/// The way to all receivers. Ends their tasks when it goes.
pub struct Receivers {
    queues: Vec<(String, mpsc::Sender<Notice>)>,
    metrics: Arc<Metrics>,
}

impl Receivers {
    /// Starts a task for each; `clock` reads the wall clock.
    pub fn start(receivers: &[Receiver], metrics: &Arc<Metrics>, clock: fn() -> Time) -> Self {
        let start = |receiver: &Receiver| {
            let (queue, notices) = mpsc::channel(QUEUE);
            let delivery = Delivery {
                receiver: receiver.clone(),
                metrics: Arc::clone(metrics),
                clock,
                firing: BTreeMap::new(),
            };
            tokio::spawn(delivery.run(notices));
            (receiver.name.clone(), queue)
        };
        Self { queues: receivers.iter().map(start).collect(), metrics: Arc::clone(metrics) }
    }

    /// Puts a notice into every queue that has room. Never waits.
    pub fn tell(&self, notice: &Notice) {
        for (name, queue) in &self.queues {
            if queue.try_send(notice.clone()).is_err() {
                self.metrics.alerts.with_label_values(&[name.as_str(), "dropped"]).inc();
                tracing::error!(receiver = %name, alert = notice.alert.kind.name(), "an alert was dropped: the queue is full");
            }
        }
    }
}

struct Delivery {
    receiver: Receiver,
    metrics: Arc<Metrics>,
    clock: fn() -> Time,
    /// What Alertmanager has to be told again.
    firing: BTreeMap<(String, super::Kind, String), Notice>,
}

impl Delivery {
    async fn run(mut self, mut notices: mpsc::Receiver<Notice>) {
        let mut repeat = tokio::time::interval(REPEAT);
        repeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                count = notices.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    self.remember(&batch);
                    self.deliver(&std::mem::take(&mut batch)).await;
                }
                _ = repeat.tick(), if self.receiver.kind == ReceiverKind::Alertmanager => {
                    let again: Vec<Notice> = self.firing.values().cloned().collect();
                    if !again.is_empty() {
                        self.deliver(&again).await;
                    }
                }
            }
        }
    }

    fn remember(&mut self, batch: &[Notice]) {
        for notice in batch {
            let alert = &notice.alert;
            let key = (alert.canary.clone(), alert.kind, alert.subject.clone());
            match notice.status {
                Status::Firing => drop(self.firing.insert(key, notice.clone())),
                Status::Resolved(_) => drop(self.firing.remove(&key)),
                Status::Event => {}
            }
        }
    }

    async fn deliver(&self, notices: &[Notice]) {
        let name = self.receiver.name.as_str();
        let mut pause = PAUSE;
        for attempt in 1..=TRIES {
            let sent = tokio::time::timeout(self.receiver.timeout, self.send(notices)).await;
            let problem = match sent {
                Ok(Ok(())) => {
                    self.metrics.alerts.with_label_values(&[name, "delivered"]).inc_by(notices.len() as u64);
                    return;
                }
                Ok(Err(problem)) => problem,
                Err(_) => format!("did not answer within {} ms", self.receiver.timeout.as_millis()),
            };
            if attempt == 1 {
                tracing::warn!(receiver = name, %problem, notices = notices.len(), "alerts not delivered; tried again");
            }
            self.metrics.alerts.with_label_values(&[name, "retried"]).inc_by(notices.len() as u64);
            if attempt < TRIES {
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(LONGEST);
            }
        }
        self.metrics.alerts.with_label_values(&[name, "failed"]).inc_by(notices.len() as u64);
        tracing::error!(receiver = name, notices = notices.len(), "alerts given up");
    }

    async fn send(&self, notices: &[Notice]) -> Result<(), String> {
        let base = self.receiver.url.to_string();
        let (address, body) = match self.receiver.kind {
            ReceiverKind::Alertmanager => {
                let address = format!("{}/api/v2/alerts", base.trim_end_matches('/'));
                (address, format::alertmanager(notices, (self.clock)()))
            }
            ReceiverKind::Webhook => (base, format::webhook(notices)),
        };
        let mut request = Request::post(&address).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.receiver.token {
            request = request.header(header::AUTHORIZATION, [b"Bearer ", token.as_bytes()].concat());
        }
        let request = request
            .body(Full::from(body.to_string()))
            .map_err(|error| format!("{address} cannot be called: {error}"))?;
        let (status, answer) = outgoing::fetch(request).await?;
        if status.is_success() {
            return Ok(());
        }
        let answer: String = String::from_utf8_lossy(&answer).chars().take(200).collect();
        Err(format!("answered {status}: {}", answer.trim()))
    }
}
