//! The leader's work on Canaries: level-triggered passes over all of them, whenever something changed and
//! four times a second. A pass compares what is with what should be; nothing is remembered that a restart
//! would miss, but for what was written last.

use super::look::{Look, look};
use super::object::Object;
use super::watch::Stores;
use super::{
    CallError, Denials, JSON_PATCH, Replica, Routes, deployments, events, experiments, patch, status,
    takeover,
};
use crate::config::{Canary, Router};
use crate::engine::{Engine, Release, Seen, now};
use crate::kinds::CanaryStatus;
use crate::replicas::Term;
use kube::Client;
use kube::runtime::events::Event;
use serde_json::json;
use serin_judge::ramp::Phase;
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;

/// A pass begins at least so often: statuses follow the engine.
const BEAT: Duration = Duration::from_millis(250);
/// What failed is tried again after so long.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// A status's times are whole seconds.
const SECOND: u64 = 1000;

/// Why a spec is not followed: a word and a sentence.
pub(super) type Refused = (&'static str, String);

/// The leader's side of the cluster.
pub struct Controller {
    pub(super) client: Client,
    pub(super) engine: Engine,
    pub(super) stores: Stores,
    pub(super) routes: Routes,
    pub(super) denials: Denials,
    pub(super) replica: Replica,
    memory: BTreeMap<String, Memory>,
    pub(super) experiments: BTreeMap<String, experiments::Memory>,
}

/// What is remembered of a Canary between passes.
#[derive(Default)]
pub(super) struct Memory {
    uid: String,
    /// The spec that the engine follows, and its generation.
    pub(super) canary: Option<Canary>,
    followed: Option<i64>,
    /// The generation that was looked at last, and why it is not followed.
    looked_at: Option<i64>,
    refused: Option<Refused>,
    /// What the copies showed last, and how many changes they had seen.
    changes: u64,
    seen: Option<Seen>,
    missing: Option<String>,
    /// What was written last, and when.
    status: CanaryStatus,
    written: Time,
    /// Lines of history until then have their Event.
    told_until: Time,
    /// Nothing is tried before.
    retry: Time,
}

impl Controller {
    /// For a leader whose engine has just begun.
    pub fn new(
        client: Client,
        engine: Engine,
        stores: Stores,
        routes: Routes,
        denials: Denials,
        replica: Replica,
    ) -> Self {
        Self {
            client,
            engine,
            stores,
            routes,
            denials,
            replica,
            memory: BTreeMap::new(),
            experiments: BTreeMap::new(),
        }
    }

    /// The first pass, once everything is listed: afterwards the engine knows every Canary that can be
    /// followed, and filters may ask. False when another replica leads meanwhile.
    pub async fn begin(&mut self, term: &mut watch::Receiver<Term>) -> bool {
        loop {
            if self.routes.may_write()
                && self.stores.are_settled()
                && self.pass().await.is_some()
                && self.pass_experiments().await.is_some()
            {
                self.engine.is_whole().await;
                return true;
            }
            // Either way it is looked at again.
            let bell = self.stores.bell.notified();
            let _ = tokio::time::timeout(BEAT, bell).await;
            if matches!(*term.borrow_and_update(), Term::Lost(_)) {
                return false;
            }
        }
    }

    /// Works until `stop` is over. Then every status gets its last numbers, so that who goes on misses none.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let bell = self.stores.bell.notified();
            tokio::select! {
                // Either way a pass is due.
                _ = tokio::time::timeout(BEAT, bell) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            if !self.routes.may_write() {
                continue;
            }
            if self.stores.canaries.missing().is_none() && self.pass().await.is_none() {
                return;
            }
            if self.pass_experiments().await.is_none() {
                return;
            }
        }
        for memory in self.memory.values_mut() {
            memory.written = Time(0);
        }
        self.experiments.values_mut().for_each(experiments::Memory::is_due);
        self.pass().await;
        self.pass_experiments().await;
    }

    /// All Canaries once; nothing when the engine is gone.
    async fn pass(&mut self) -> Option<()> {
        let releases: BTreeMap<String, Release> =
            self.engine.releases().await?.into_iter().map(|release| (release.view.id(), release)).collect();
        let objects = self.stores.canaries.all();
        let ids: Vec<String> = objects.iter().map(|object| Object(object).id().to_string()).collect();
        let gone: Vec<String> = self.memory.keys().filter(|id| !ids.contains(id)).cloned().collect();
        for id in gone {
            self.engine.remove(&id).await;
            self.memory.remove(&id);
        }
        for (id, object) in ids.iter().zip(&objects) {
            let object = Object(object);
            let mut memory = self.memory.remove(id).unwrap_or_default();
            if memory.uid != object.uid() {
                // Deleted and made anew between two passes: another object under the same name.
                self.engine.remove(id).await;
                let status = object.status();
                let told_until = status.history.last().map_or(0, |line| millis(&line.time) + SECOND);
                memory =
                    Memory { uid: object.uid(), told_until: Time(told_until), status, ..Memory::default() };
            }
            if now() >= memory.retry
                && let Err(error) = self.one(&object, &mut memory, releases.get(id)).await
            {
                self.note(&error);
                tracing::warn!(canary = %id, %error, "the Canary is looked at again");
                memory.retry = now().plus(RETRY);
            }
            self.memory.insert(id.clone(), memory);
        }
        Some(())
    }

    async fn one(
        &self,
        object: &Object<'_>,
        memory: &mut Memory,
        release: Option<&Release>,
    ) -> Result<(), CallError> {
        if object.is_deleted() {
            return self.give_back(object, memory).await;
        }
        if !object.is_kept() {
            self.keep(object).await?;
        }
        self.follow(object, memory, release).await;
        self.obey_mark(object, release).await?;
        let looked = self.look(memory).await;
        // The status is what another replica goes on from: nothing that fails may stand before it.
        let copied = match (release.map(|release| release.state.phase), &looked) {
            (Some(Phase::Promoting), Some(look)) => self.copy(look).await,
            (Some(_) | None, _) => Ok(()),
        };
        let written = self.write_status(object, memory, release).await;
        let told = self.tell(object, memory, release).await;
        written.and(copied).and(told)
    }

    /// Hands a new spec to the engine. One that is refused is tried again: what stands against it may pass.
    async fn follow(&self, object: &Object<'_>, memory: &mut Memory, release: Option<&Release>) {
        let generation = object.0.metadata.generation;
        let news = memory.looked_at != generation
            || memory.refused.as_ref().is_some_and(|(word, _)| *word != INVALID);
        if memory.followed == generation && memory.canary.is_some() || !news {
            return;
        }
        memory.looked_at = generation;
        let result = match object.canary() {
            Err(error) => Err((INVALID, error.to_string())),
            Ok(canary) => match waits_for_stable(&canary, release) {
                Some(why) => Err(("WaitsForStable", why)),
                None => self.apply(object, canary, memory).await,
            },
        };
        let refused = result.err();
        if refused != memory.refused
            && let Some((word, sentence)) = &refused
        {
            tracing::warn!(canary = %object.id(), reason = *word, problem = %sentence, "the spec is not followed");
            let event = events::warning(word, sentence);
            // The condition says it too.
            if let Err(error) = self.send(&event, object).await {
                self.note(&error);
            }
        }
        memory.refused = refused;
    }

    async fn apply(&self, object: &Object<'_>, canary: Canary, memory: &mut Memory) -> Result<(), Refused> {
        let known = memory.canary.is_some();
        let takeover = if known { None } else { takeover::of(&memory.status, &self.replica.name, now()) };
        if let Router::VirtualService(service) = &canary.router {
            self.routes.keep(&canary.id.namespace, &service.name);
        }
        self.engine.apply(canary.clone(), takeover).await.map_err(|why| ("Refused", why))?;
        memory.canary = Some(canary);
        memory.followed = object.0.metadata.generation;
        memory.changes = 0;
        Ok(())
    }

    /// Shows the engine what is new.
    async fn look(&self, memory: &mut Memory) -> Option<Look> {
        let canary = memory.canary.as_ref()?;
        let changes = 1
            + self.stores.services.changes()
            + self.stores.rules.changes()
            + canary.deployments.as_ref().map_or(0, |_| self.stores.deployments.changes());
        let changed = std::mem::replace(&mut memory.changes, changes) != changes;
        if !changed && canary.deployments.is_none() {
            return None;
        }
        match look(&self.stores, canary) {
            Ok(look) => {
                memory.missing.clone_from(&look.seen.problem);
                if memory.seen.as_ref() != Some(&look.seen) || changed {
                    self.engine.see(&canary.id.to_string(), look.seen.clone()).await;
                    memory.seen = Some(look.seen.clone());
                }
                Some(look)
            }
            Err(why) => {
                memory.missing = Some(why);
                None
            }
        }
    }

    /// Gives stable the canary's pods, where that has not happened yet.
    async fn copy(&self, look: &Look) -> Result<(), CallError> {
        let (Some(stable), Some(canary)) = (&look.deployments.stable, &look.deployments.canary) else {
            return Ok(());
        };
        let Some(operations) = deployments::copy_patch(stable, canary, &look.kept) else { return Ok(()) };
        let text =
            |pointer: &str| stable.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
        match patch(&self.client, &path, JSON_PATCH, &operations).await {
            Ok(_) => {
                tracing::info!(namespace, deployment = name, "stable gets the canary's pods");
                Ok(())
            }
            // Our copy is older than the object; the next pass has a newer one.
            Err(error) if matches!(error.code(), 409 | 422) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One Event for each line of history since the last.
    async fn tell(
        &self,
        object: &Object<'_>,
        memory: &mut Memory,
        release: Option<&Release>,
    ) -> Result<(), CallError> {
        let Some(release) = release else { return Ok(()) };
        let until = memory.told_until;
        for line in release.view.history.iter().filter(|line| line.time >= until) {
            self.send(&events::of(line), object).await?;
            // A line of the same millisecond is told in the same round or not at all.
            memory.told_until = memory.told_until.max(Time(line.time.0 + 1));
        }
        Ok(())
    }

    pub(super) async fn send(&self, event: &Event, object: &Object<'_>) -> Result<(), CallError> {
        events::send(&self.client, &self.replica.name, event, &object.reference()).await
    }

    /// At a transition at once, otherwise once in an analysis interval, and only what changed.
    async fn write_status(
        &self,
        object: &Object<'_>,
        memory: &mut Memory,
        release: Option<&Release>,
    ) -> Result<(), CallError> {
        let known = status::Known {
            generation: memory.followed.or(memory.looked_at),
            holder: &self.replica.name,
            refused: memory.refused.as_ref(),
            missing: memory.missing.as_deref(),
            has_deployments: memory.canary.as_ref().is_some_and(|canary| canary.deployments.is_some()),
        };
        let now = now();
        let new = match release {
            Some(release) => status::of(release, known, &memory.status.conditions, now),
            None if memory.refused.is_some() => status::of_none(known, &memory.status, now),
            None => return Ok(()),
        };
        let interval = release.map_or(RETRY, |release| release.analysis_interval);
        let due = now.since(memory.written) >= interval || status::is_transition(&memory.status, &new);
        if !due || new == memory.status || !self.routes.may_write() {
            return Ok(());
        }
        let id = object.id();
        let body = json!({
            "apiVersion": "serin.dev/v1alpha1",
            "kind": "Canary",
            "metadata": {"name": id.name, "namespace": id.namespace, "uid": object.uid()},
            "status": new,
        });
        let path = format!("{}/status?fieldManager={}&force=true", object.path(), super::NAME);
        patch(&self.client, &path, super::APPLY_PATCH, &body).await?;
        if memory.status.next_weight != new.next_weight {
            self.engine.told(&id.to_string(), release.and_then(|release| release.next)).await;
        }
        (memory.status, memory.written) = (new, now);
        Ok(())
    }

    pub(super) fn note(&self, error: &CallError) {
        if let CallError::Kube(error) = error {
            self.denials.note(error);
        }
    }
}

/// The word for a spec that no passing of time makes right.
pub(super) const INVALID: &str = "InvalidSpec";

/// A canary that succeeded by hand and shall become stable keeps its users until stable is ready.
fn waits_for_stable(canary: &Canary, release: Option<&Release>) -> Option<String> {
    let release = release?;
    let state = &release.state;
    let becomes_stable = state.phase == Phase::Succeeded
        && state.weight > serin_contract::Share::NONE
        && canary.stable_version == state.canary_version
        && canary.canary_version == state.canary_version;
    if !becomes_stable || canary.deployments.is_none() {
        return None;
    }
    match &release.deployments {
        None => Some("the Deployments have not been seen yet".to_owned()),
        Some(deployments) => deployments.arms.stable.unready(),
    }
}

fn millis(time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time) -> u64 {
    u64::try_from(time.0.as_millisecond()).unwrap_or(0)
}
