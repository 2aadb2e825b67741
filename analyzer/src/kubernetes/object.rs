//! A Canary object as the API server gave it, and what can be made of it.

use crate::config::{Canary, CanaryId, Router};
use crate::kinds::{CanarySpec, CanaryStatus};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serin_contract::FieldError;
use std::path::Path;

/// Keeps a Canary until its VirtualService is given back.
pub(super) const FINALIZER: &str = "serin.dev/route";

/// A Canary object.
pub(super) struct Object<'a>(pub(super) &'a DynamicObject);

impl Object<'_> {
    /// `<namespace>/<name>`.
    pub(super) fn id(&self) -> CanaryId {
        CanaryId { namespace: self.0.namespace().unwrap_or_default(), name: self.0.name_any() }
    }

    pub(super) fn path(&self) -> String {
        let CanaryId { namespace, name } = self.id();
        format!("/apis/serin.dev/v1alpha1/namespaces/{namespace}/canaries/{name}")
    }

    pub(super) fn uid(&self) -> String {
        self.0.metadata.uid.clone().unwrap_or_default()
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.0.metadata.deletion_timestamp.is_some()
    }

    pub(super) fn is_kept(&self) -> bool {
        self.0.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
    }

    /// The release that the spec asks for.
    pub(super) fn canary(&self) -> Result<Canary, FieldError> {
        let spec = self.0.data.get("spec").cloned().unwrap_or_default();
        let spec: CanarySpec = serde_path_to_error::deserialize(spec)
            .map_err(|error| FieldError::new(format!("spec.{}", error.path()), error.inner().to_string()))?;
        let canary = Canary::compile(self.id(), spec, Path::new("."))?;
        match canary.router {
            Router::VirtualService(_) => Ok(canary),
            Router::EnvoyRoutes(_) => Err(FieldError::new(
                "spec.router.envoyRoutes",
                "names a file, and in a cluster there is none: allowed is virtualService",
            )),
        }
    }

    /// What was last written about it; a status that nobody understands says nothing.
    pub(super) fn status(&self) -> CanaryStatus {
        let status = self.0.data.get("status").cloned().unwrap_or_default();
        serde_json::from_value(status).unwrap_or_default()
    }

    /// For Events.
    pub(super) fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("serin.dev/v1alpha1".to_owned()),
            kind: Some("Canary".to_owned()),
            namespace: self.0.namespace(),
            name: Some(self.0.name_any()),
            uid: Some(self.uid()),
            ..ObjectReference::default()
        }
    }
}
