//! A Canary's beginning and end: it is kept until its VirtualService is given back.

use super::controller::{Controller, Memory};
use super::object::{FINALIZER, Object};
use super::{CallError, MERGE_PATCH, events, patch};
use crate::config::Router;
use kube::ResourceExt;
use serde_json::json;

impl Controller {
    /// Makes sure that nothing of ours is left behind when the Canary goes.
    pub(super) async fn keep(&self, object: &Object<'_>) -> Result<(), CallError> {
        let mut finalizers = object.0.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        self.set_finalizers(object, &finalizers).await
    }

    /// The Canary is deleted: its VirtualService becomes what it was, with everybody on stable.
    pub(super) async fn give_back(&self, object: &Object<'_>, memory: &Memory) -> Result<(), CallError> {
        let id = object.id();
        self.engine.remove(&id.to_string()).await;
        if !object.is_kept() {
            return Ok(());
        }
        let canary = memory.canary.clone().or_else(|| object.canary().ok());
        if let Some(Router::VirtualService(service)) = canary.map(|canary| canary.router)
            && let Err(error) = self.routes.restore(&id.namespace, &service).await
        {
            let note = format!("VirtualService {} is not given back yet: {error}", service.name);
            tracing::warn!(canary = %id, problem = %note, "a deleted Canary waits");
            let event = events::warning("NotGivenBack", &note);
            return self.send(&event, object).await.and(Err(CallError::Request(note)));
        }
        let rest: Vec<String> =
            object.0.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).cloned().collect();
        match self.set_finalizers(object, &rest).await {
            Ok(()) => {
                tracing::info!(canary = %id, "its VirtualService is given back");
                Ok(())
            }
            Err(error) if error.code() == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The resourceVersion makes it fail if somebody else changed the list meanwhile.
    async fn set_finalizers(&self, object: &Object<'_>, finalizers: &[String]) -> Result<(), CallError> {
        let body = json!({
            "metadata": {"resourceVersion": object.0.metadata.resource_version, "finalizers": finalizers},
        });
        patch(&self.client, &object.path(), MERGE_PATCH, &body).await.map(drop)
    }
}
