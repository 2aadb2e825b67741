//! The leader's work on Experiments: what an object asks for is followed, an object that is gone has ended.
//! Nothing is written but the status, so that an Experiment needs no finalizer: who leads next looks whose
//! objects are gone.

use super::controller::{Controller, INVALID, RETRY, Refused};
use super::experiment_status::{self as status, Known};
use super::{APPLY_PATCH, CallError, NAME, events, patch};
use crate::engine::{ExperimentView, now};
use crate::experiments::desk::Object;
use crate::experiments::history::Intent;
use crate::experiments::{Experiment, Origin, Status};
use crate::kinds::{ACCEPT_MOVES, ExperimentSpec, ExperimentStatus};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::json;
use serin_contract::{FieldError, Step};
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// Numbers in a status are at most so old.
const INTERVAL: Duration = Duration::from_secs(5);

/// What is remembered of an Experiment between passes.
#[derive(Default)]
pub(super) struct Memory {
    uid: String,
    /// The generation and the consent that were looked at last.
    looked_at: Option<(Option<i64>, bool)>,
    /// The generation that is followed.
    followed: Option<i64>,
    refused: Option<Refused>,
    /// What was written last, and when numbers were last looked at.
    status: ExperimentStatus,
    looked: Time,
    /// Nothing is tried before.
    retry: Time,
}

impl Memory {
    /// The next pass writes the status if anything in it has changed.
    pub(super) fn is_due(&mut self) {
        self.looked = Time(0);
    }
}

impl Controller {
    /// All Experiments once; nothing when the engine is gone. Without the kind, or the right to list it, there
    /// are none, and those that ran go on.
    pub(super) async fn pass_experiments(&mut self) -> Option<()> {
        if self.stores.experiments.missing().is_some() {
            return Some(());
        }
        let views = self.engine.followed_experiments().await.ok()?;
        let mut views: BTreeMap<String, ExperimentView> =
            views.into_iter().map(|view| (view.id.clone(), view)).collect();
        let objects = self.stores.experiments.all();
        self.end_gone(&mut views, &objects).await;
        self.experiments.retain(|key, _| objects.iter().any(|object| key_of(object) == *key));
        for object in objects.iter().filter(|object| object.metadata.deletion_timestamp.is_none()) {
            let key = key_of(object);
            let uid = object.uid().unwrap_or_default();
            let mut memory = self
                .experiments
                .remove(&key)
                .filter(|memory| memory.uid == uid)
                .unwrap_or_else(|| Memory { uid, status: status_of(object), ..Memory::default() });
            if now() >= memory.retry
                && let Err(error) =
                    self.one_experiment(object, &mut memory, views.get(&object.name_any())).await
            {
                self.note(&error);
                tracing::warn!(experiment = %key, %error, "the Experiment is looked at again");
                memory.retry = now().plus(RETRY);
            }
            self.experiments.insert(key, memory);
        }
        Some(())
    }

    /// Ends experiments whose object is gone, or is another under the same name.
    async fn end_gone(
        &self,
        views: &mut BTreeMap<String, ExperimentView>,
        objects: &[std::sync::Arc<DynamicObject>],
    ) {
        let watched = |view: &ExperimentView| {
            let among = |namespace: &String| {
                self.replica.watched.is_empty() || self.replica.watched.contains(namespace)
            };
            view.namespace.as_ref().is_some_and(among)
        };
        let is_there = |view: &ExperimentView| {
            objects
                .iter()
                .any(|object| object.metadata.uid == view.uid && object.metadata.deletion_timestamp.is_none())
        };
        for view in views.values_mut().filter(|view| view.status != Status::Ended) {
            if !watched(view) || is_there(view) {
                continue;
            }
            match self.engine.end_experiment(view.id.clone(), Intent::of("cluster"), None).await {
                Ok(ended) => {
                    tracing::info!(experiment = %view.id, "its Experiment is gone: it has ended");
                    *view = ended;
                }
                // The next pass tries again.
                Err(error) => {
                    tracing::error!(experiment = %view.id, %error, "an Experiment that is gone did not end");
                }
            }
        }
    }

    async fn one_experiment(
        &self,
        object: &DynamicObject,
        memory: &mut Memory,
        view: Option<&ExperimentView>,
    ) -> Result<(), CallError> {
        // An experiment of another object under the same name is none of this one's.
        let mut view = view.filter(|view| view.uid == object.metadata.uid).cloned();
        let accepts = object.annotations().get(ACCEPT_MOVES).is_some_and(|value| value == "true");
        let looks_at = (object.metadata.generation, accepts);
        let news = memory.looked_at != Some(looks_at)
            || memory.refused.as_ref().is_some_and(|(word, _)| *word != INVALID);
        if news {
            memory.looked_at = Some(looks_at);
            match self.follow_experiment(object, accepts, &memory.status).await {
                Ok(followed) => {
                    memory.followed = object.metadata.generation;
                    memory.refused = None;
                    view = Some(followed);
                }
                Err(refused) => memory.refused = Some(refused),
            }
        }
        self.write_experiment(object, memory, view.as_ref()).await
    }

    async fn follow_experiment(
        &self,
        object: &DynamicObject,
        accept_moves: bool,
        status: &ExperimentStatus,
    ) -> Result<ExperimentView, Refused> {
        let experiment = experiment_of(object).map_err(|error| (INVALID, error.to_string()))?;
        let origin = Origin {
            namespace: object.namespace().unwrap_or_default(),
            uid: object.uid().unwrap_or_default(),
        };
        let step = status.step.and_then(|step| u32::try_from(step).ok()).map(Step);
        let followed = self.engine.follow_experiment(Object { experiment, origin, accept_moves, step }).await;
        followed.map_err(|refused| ("Refused", refused.to_string()))
    }

    /// At a transition at once, otherwise every few seconds, and only what changed.
    async fn write_experiment(
        &self,
        object: &DynamicObject,
        memory: &mut Memory,
        view: Option<&ExperimentView>,
    ) -> Result<(), CallError> {
        let now = now();
        let known = Known {
            generation: memory.followed.or(object.metadata.generation),
            holder: &self.replica.name,
            refused: memory.refused.as_ref(),
        };
        let new = match view {
            None if memory.refused.is_some() => status::of_none(known, &memory.status, now),
            None => return Ok(()),
            Some(view) => {
                let point = (memory.status.phase.map(phase_of), memory.status.step);
                let moved = point != (Some(view.status), Some(view.step.into()));
                let said = memory
                    .status
                    .conditions
                    .iter()
                    .find(|one| one.type_ == "Ready")
                    .map(|one| one.message.as_str());
                let refused =
                    memory.refused.as_ref().map_or("the spec is followed", |(_, sentence)| sentence);
                // Working out the results is worth it now and then only.
                if !moved && said == Some(refused) && now.since(memory.looked) < INTERVAL {
                    return Ok(());
                }
                memory.looked = now;
                let results = self.engine.experiment_results(view.id.clone()).await;
                let (view, results) = results.map_err(|error| CallError::Request(error.to_string()))?;
                status::of(&view, &results, known, &memory.status.conditions, now)
            }
        };
        if new == memory.status {
            return Ok(());
        }
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let body = json!({
            "apiVersion": "serin.dev/v1alpha1",
            "kind": "Experiment",
            "metadata": {"name": name, "namespace": namespace, "uid": object.uid()},
            "status": new,
        });
        let path = format!(
            "/apis/serin.dev/v1alpha1/namespaces/{namespace}/experiments/{name}/status?fieldManager={NAME}&force=true"
        );
        patch(&self.client, &path, APPLY_PATCH, &body).await?;
        let told = status::news(&memory.status, &new);
        memory.status = new;
        for event in told {
            events::send(&self.client, &self.replica.name, &event, &reference(object)).await?;
        }
        Ok(())
    }
}

fn key_of(object: &DynamicObject) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn phase_of(phase: crate::kinds::ExperimentPhase) -> Status {
    match phase {
        crate::kinds::ExperimentPhase::Scheduled => Status::Scheduled,
        crate::kinds::ExperimentPhase::Running => Status::Running,
        crate::kinds::ExperimentPhase::Ended => Status::Ended,
    }
}

/// The experiment that a spec asks for.
fn experiment_of(object: &DynamicObject) -> Result<Experiment, FieldError> {
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    let spec: ExperimentSpec = serde_path_to_error::deserialize(spec)
        .map_err(|error| FieldError::new(format!("spec.{}", error.path()), error.inner().to_string()))?;
    Experiment::compile(&object.name_any(), spec).map_err(|error| match error.path.as_str() {
        "id" => FieldError::new("metadata.name", error.message),
        _ => error.under("spec"),
    })
}

/// What was last written about it; a status that nobody understands says nothing.
fn status_of(object: &DynamicObject) -> ExperimentStatus {
    let status = object.data.get("status").cloned().unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
}

fn reference(object: &DynamicObject) -> ObjectReference {
    ObjectReference {
        api_version: Some("serin.dev/v1alpha1".to_owned()),
        kind: Some("Experiment".to_owned()),
        namespace: object.namespace(),
        name: Some(object.name_any()),
        uid: object.uid(),
        ..ObjectReference::default()
    }
}
