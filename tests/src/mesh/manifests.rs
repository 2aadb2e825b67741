//! The manifests of istio/ as a cluster's administrator has them from kustomize, and the few edits without
//! which they cannot run on this machine: the module's url, tokens and ports.

use super::cluster::{Cluster, parse};
use super::programs::Programs;
use crate::artifacts;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Rendered documents.
#[derive(Debug, Clone)]
pub struct Manifests {
    documents: Vec<Value>,
}

impl Manifests {
    /// A kustomization of the repository, as `istio/example`.
    ///
    /// # Errors
    /// When kustomize refuses it; with its words.
    pub fn render(programs: &Programs, folder: &str) -> Result<Self> {
        Self::render_at(programs, &artifacts::repository().join(folder))
    }

    /// A kustomization anywhere.
    ///
    /// # Errors
    /// When kustomize refuses it; with its words.
    pub fn render_at(programs: &Programs, folder: &Path) -> Result<Self> {
        let mut command = Command::new(programs.path("kustomize"));
        let output = command.arg("build").arg(folder).output().context("kustomize does not start")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kustomize build {}: {complaint}", folder.display());
        let text = String::from_utf8(output.stdout).context("kustomize's YAML")?;
        Ok(Self { documents: parse(&text)? })
    }

    /// All documents.
    pub fn documents(&self) -> &[Value] {
        &self.documents
    }

    /// The one object of this kind and name, to look at or edit.
    ///
    /// # Errors
    /// When it is not there.
    pub fn object(&mut self, kind: &str, name: &str) -> Result<&mut Value> {
        let named = |document: &Value| {
            document["kind"] == kind
                && document["metadata"]["name"].as_str().is_some_and(|full| {
                    // kustomize puts a hash behind a generated name.
                    full == name || (kind == "ConfigMap" && full.starts_with(&format!("{name}-")))
                })
        };
        match self.documents.iter_mut().find(|document| named(document)) {
            Some(document) => Ok(document),
            None => bail!("there is no {kind} {name}"),
        }
    }

    /// Leaves out what is not such.
    pub fn retain(&mut self, such: impl Fn(&Value) -> bool) {
        self.documents.retain(such);
    }

    /// Applies everything, in kustomize's order, definitions first.
    ///
    /// # Errors
    /// When the API server refuses a document.
    pub async fn apply(&self, cluster: &Cluster) -> Result<()> {
        let (definitions, others): (Vec<&Value>, Vec<&Value>) =
            self.documents.iter().partition(|document| document["kind"] == "CustomResourceDefinition");
        cluster.apply_definitions(&definitions).await?;
        for document in others {
            cluster.apply_document(document).await?;
        }
        Ok(())
    }
}

/// What a kubelet would have done: a Deployment all of whose replicas are ready.
pub fn all_ready(replicas: u64) -> Value {
    json!({ "status": {
        "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
        "updatedReplicas": replicas, "observedGeneration": 1_000_000,
    } })
}

/// A ServiceEntry that stands for a Service's endpoints: Kubernetes refuses endpoints on loopback.
pub fn endpoints(namespace: &str, service: &str, port: u16, endpoints: &[(u16, &str)]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(at, version)| {
            json!({ "address": "127.0.0.1", "ports": { "http": at }, "labels": { "version": version } })
        })
        .collect();
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": { "name": service, "namespace": namespace },
        "spec": {
            "hosts": [format!("{service}.{namespace}.svc.cluster.local")],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{ "number": port, "name": "http", "protocol": "HTTP" }],
            "endpoints": endpoints,
        },
    })
}
