//! A replica that would lead: keeps the Lease, or waits for it, and tells everybody else who leads.

use super::lease::{ADDRESS, Seen, Step, step};
use super::{CallError, Denials, NAME, Replica, in_time};
use crate::replicas::{Hold, Term};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The Lease is looked at no more seldom: after an outage it is known soon whose it is.
const BEAT: Duration = Duration::from_secs(2);

/// A replica that would lead.
pub struct Candidate {
    api: Api<Lease>,
    replica: Replica,
    denials: Denials,
    hold: Hold,
    /// The last version of the Lease, and since when we have seen it.
    seen: Option<(String, Instant)>,
}

impl Candidate {
    /// Nothing is read yet.
    pub fn new(client: Client, replica: Replica, denials: Denials) -> Self {
        let api = Api::namespaced(client, &replica.namespace);
        Self { api, replica, denials, hold: Hold::default(), seen: None }
    }

    /// Whether anything may be written.
    pub fn hold(&self) -> Hold {
        self.hold.clone()
    }

    /// Keeps at it until `stop` is over, then gives the Lease back if it is ours. Says how things stand
    /// whenever that changes; what was last said holds while the API server does not answer.
    pub async fn run(mut self, term: watch::Sender<Term>, mut stop: watch::Receiver<bool>) {
        let mut beat =
            tokio::time::interval((self.replica.lease / 6).clamp(Duration::from_millis(100), BEAT));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            let led = *term.borrow() == Term::Mine;
            match self.look(led).await {
                Ok(now) => {
                    term.send_if_modified(|term| {
                        let changed = *term != now;
                        *term = now;
                        changed
                    });
                    if matches!(*term.borrow(), Term::Lost(_)) {
                        return;
                    }
                }
                Err(error) => {
                    self.hold.unanswered(Instant::now());
                    tracing::warn!(%error, leading = led, "the Lease cannot be read or written");
                }
            }
        }
        if *term.borrow() == Term::Mine
            && let Err(error) = self.give_back().await
        {
            tracing::warn!(%error, "the Lease was not given back; others wait for its end");
        }
    }

    async fn look(&mut self, led: bool) -> Result<Term, CallError> {
        let lease = in_time(self.api.get_opt(NAME)).await.inspect_err(|error| self.noted(error))?;
        // Others count from when they saw it written, which is after this.
        let asked = Instant::now();
        let Some(lease) = lease else {
            let fresh = self.written(Lease { metadata: self.metadata(None), spec: None }, true);
            return match in_time(self.api.create(&PostParams::default(), &fresh)).await {
                Ok(_) => Ok(self.took(asked)),
                Err(error) => self.conflicted(error),
            };
        };
        let seen = read(&lease);
        let since = match &self.seen {
            Some((version, since)) if *version == seen.version => *since,
            Some(_) | None => Instant::now(),
        };
        self.seen = Some((seen.version.clone(), since));
        match step(&seen, &self.replica.name, led, since.elapsed()) {
            Step::Take => {
                let new_term = seen.holder.as_deref() != Some(self.replica.name.as_str());
                let lease = self.written(lease, new_term);
                match in_time(self.api.replace(NAME, &PostParams::default(), &lease)).await {
                    Ok(_) => Ok(self.took(asked)),
                    Err(error) => self.conflicted(error),
                }
            }
            Step::Wait => Ok(seen.address.map_or(Term::Nobody, Term::Other)),
            Step::Lost => {
                self.hold.lost();
                Ok(Term::Lost(seen.holder.unwrap_or_default()))
            }
        }
    }

    fn took(&self, asked: Instant) -> Term {
        // A quarter is left for the time between the last look and a write.
        self.hold.renewed(asked, self.replica.lease - self.replica.lease / 4);
        Term::Mine
    }

    /// Another replica was faster; the next look says who.
    fn conflicted(&self, error: CallError) -> Result<Term, CallError> {
        self.noted(&error);
        Err(error)
    }

    fn noted(&self, error: &CallError) {
        if let CallError::Kube(error) = error {
            self.denials.note(error);
        }
    }

    fn metadata(&self, old: Option<ObjectMeta>) -> ObjectMeta {
        let mut metadata = old.unwrap_or_default();
        metadata.name = Some(NAME.to_owned());
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(ADDRESS.to_owned(), self.replica.address.clone());
        metadata
    }

    fn written(&self, old: Lease, new_term: bool) -> Lease {
        let now = MicroTime(Timestamp::now());
        let spec = old.spec.unwrap_or_default();
        let (acquired, transitions) = match new_term {
            true => (Some(now.clone()), spec.lease_transitions.unwrap_or(0) + 1),
            false => (spec.acquire_time.clone(), spec.lease_transitions.unwrap_or(0)),
        };
        let length = i32::try_from(self.replica.lease.as_secs().max(1)).unwrap_or(i32::MAX);
        Lease {
            metadata: self.metadata(Some(old.metadata)),
            spec: Some(LeaseSpec {
                holder_identity: Some(self.replica.name.clone()),
                acquire_time: acquired,
                renew_time: Some(now),
                lease_duration_seconds: Some(length),
                lease_transitions: Some(transitions),
                ..spec
            }),
        }
    }

    async fn give_back(&self) -> Result<(), CallError> {
        let Some(mut lease) = in_time(self.api.get_opt(NAME)).await? else { return Ok(()) };
        if read(&lease).holder.as_deref() != Some(self.replica.name.as_str()) {
            return Ok(());
        }
        lease.metadata.annotations.get_or_insert_default().remove(ADDRESS);
        lease.spec.get_or_insert_default().holder_identity = None;
        in_time(self.api.replace(NAME, &PostParams::default(), &lease)).await.map(drop)
    }
}

fn read(lease: &Lease) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    Seen {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        address: lease.annotations().get(ADDRESS).cloned(),
        version: lease.resource_version().unwrap_or_default(),
        length: Duration::from_secs(u64::try_from(spec.lease_duration_seconds.unwrap_or(15)).unwrap_or(15)),
    }
}
