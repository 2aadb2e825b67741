//! The API server as a client sees it: any object by its YAML, applied, read, changed and waited for.

use crate::wait;
use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams, TypeMeta};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiCapabilities, ApiResource, Scope, pinned_kind};
use kube::{Client, Config};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Names these tests as a field manager.
const MANAGER: &str = "serin-tests";

/// Until a new kind is served, and the like.
const PATIENCE: Duration = Duration::from_secs(60);

/// An API server and who asks it. Clones share connections.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    kinds: Arc<Mutex<BTreeMap<String, (ApiResource, Scope)>>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Cluster").finish_non_exhaustive()
    }
}

/// Which object: `apiVersion`, `kind`, namespace (empty where there is none) and name.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a> {
    /// As `networking.istio.io/v1`.
    pub api_version: &'a str,
    /// As `VirtualService`.
    pub kind: &'a str,
    /// As `default`.
    pub namespace: &'a str,
    /// As `canary-demo-vs`.
    pub name: &'a str,
}

impl Cluster {
    /// As the kubeconfig's user.
    ///
    /// # Errors
    /// When the file is none.
    pub async fn from_kubeconfig(file: &Path) -> Result<Self> {
        let kubeconfig = Kubeconfig::read_from(file).with_context(|| file.display().to_string())?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Self { client: Client::try_from(config)?, kinds: Arc::default() })
    }

    /// Whether it takes requests.
    ///
    /// # Errors
    /// When it does not.
    pub async fn is_ready(&self) -> Result<()> {
        let request = hyper::Request::get("/readyz").body(Vec::new())?;
        let answer = self.client.request_text(request).await?;
        ensure!(answer == "ok", "/readyz says {answer}");
        Ok(())
    }

    /// Applies documents server-side, in their order, and answers how many.
    ///
    /// # Errors
    /// When the text is no YAML or the API server refuses a document; with its words.
    pub async fn apply(&self, yaml: &str) -> Result<usize> {
        let documents = parse(yaml)?;
        for document in &documents {
            self.apply_document(document).await?;
        }
        Ok(documents.len())
    }

    /// What the API server would say to one document; nothing is kept.
    ///
    /// # Errors
    /// When it refuses it; with its words.
    pub async fn dry_run(&self, document: &Value) -> Result<()> {
        self.apply_object(document, &PatchParams::apply(MANAGER).force().dry_run()).await?;
        Ok(())
    }

    /// Applies one document server-side.
    ///
    /// # Errors
    /// When the API server refuses it; with its words.
    pub async fn apply_document(&self, document: &Value) -> Result<()> {
        self.apply_object(document, &PatchParams::apply(MANAGER).force()).await?;
        Ok(())
    }

    /// Applies CustomResourceDefinitions and waits until they are served.
    ///
    /// # Errors
    /// When the API server refuses one, or does not serve it.
    pub async fn apply_definitions(&self, documents: &[&Value]) -> Result<()> {
        for document in documents {
            self.apply_document(document).await?;
        }
        for document in documents {
            let name = document["metadata"]["name"].as_str().unwrap_or_default();
            let api_version = "apiextensions.k8s.io/v1";
            let reference = Reference { api_version, kind: "CustomResourceDefinition", namespace: "", name };
            self.until(&format!("{name} to be served"), PATIENCE, reference, |object| {
                object.pointer("/status/conditions").and_then(Value::as_array).is_some_and(|conditions| {
                    conditions.iter().any(|one| one["type"] == "Established" && one["status"] == "True")
                })
            })
            .await?;
        }
        Ok(())
    }

    async fn apply_object(&self, document: &Value, how: &PatchParams) -> Result<DynamicObject> {
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
        let (Some(api_version), Some(kind), Some(name)) =
            (text("/apiVersion"), text("/kind"), text("/metadata/name"))
        else {
            bail!("no object of Kubernetes: {document}");
        };
        let namespace = text("/metadata/namespace").unwrap_or_default();
        let api = self.api(Reference { api_version, kind, namespace, name }).await?;
        api.patch(name, how, &Patch::Apply(document)).await.with_context(|| format!("{kind} {name}"))
    }

    /// An object as it is.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn get(&self, reference: Reference<'_>) -> Result<Value> {
        let object = self.api(reference).await?.get(reference.name).await;
        let object = object.with_context(|| format!("{} {}", reference.kind, reference.name))?;
        Ok(serde_json::to_value(object)?)
    }

    /// All objects of a kind in a namespace.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn list(&self, api_version: &str, kind: &str, namespace: &str) -> Result<Vec<Value>> {
        let api = self.api(Reference { api_version, kind, namespace, name: "" }).await?;
        let objects = api.list(&ListParams::default()).await?;
        objects.items.into_iter().map(|object| Ok(serde_json::to_value(object)?)).collect()
    }

    /// What `kubectl get` prints of a list at this path: the names of the columns that are always shown, and
    /// the rows' cells.
    ///
    /// # Errors
    /// When the API server refuses, or answers no table.
    pub async fn table(&self, path: &str) -> Result<(Vec<String>, Vec<Value>)> {
        let request = hyper::Request::get(path)
            .header(hyper::header::ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io")
            .body(Vec::new())?;
        let table: Value = self.client.request(request).await?;
        let columns = table["columnDefinitions"].as_array().context("columns")?;
        let always = columns.iter().filter(|column| column["priority"] == 0);
        let names = always.filter_map(|column| column["name"].as_str().map(str::to_owned)).collect();
        let rows = table["rows"].as_array().context("rows")?;
        Ok((names, rows.iter().map(|row| row["cells"].clone()).collect()))
    }

    /// A merge patch, as `kubectl patch --type merge` sends it.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn merge(&self, reference: Reference<'_>, patch: &Value) -> Result<Value> {
        let api = self.api(reference).await?;
        let object = api.patch(reference.name, &PatchParams::default(), &Patch::Merge(patch)).await;
        let object = object.with_context(|| format!("{} {}", reference.kind, reference.name))?;
        Ok(serde_json::to_value(object)?)
    }

    /// The same of an object's status: what a kubelet or another controller would do.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn merge_status(&self, reference: Reference<'_>, patch: &Value) -> Result<()> {
        let api = self.api(reference).await?;
        let how = PatchParams::default();
        let object = api.patch_status(reference.name, &how, &Patch::Merge(patch)).await;
        object.with_context(|| format!("the status of {} {}", reference.kind, reference.name))?;
        Ok(())
    }

    /// A JSON patch, as `kubectl patch --type json` sends it.
    ///
    /// # Errors
    /// When it is none or the API server refuses it.
    pub async fn json_patch(&self, reference: Reference<'_>, patch: Value) -> Result<()> {
        let api = self.api(reference).await?;
        let patch = Patch::<()>::Json(serde_json::from_value(patch).context("a JSON patch")?);
        let object = api.patch(reference.name, &PatchParams::default(), &patch).await;
        object.with_context(|| format!("{} {}", reference.kind, reference.name))?;
        Ok(())
    }

    /// Asks for an object to be deleted; finalizers may keep it for a while.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn delete(&self, reference: Reference<'_>) -> Result<()> {
        self.api(reference).await?.delete(reference.name, &kube::api::DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until an object is as `so` wants it, and answers it.
    ///
    /// # Errors
    /// After `patience`; with the object as it is.
    pub async fn until(
        &self,
        what: &str,
        patience: Duration,
        reference: Reference<'_>,
        so: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let so = &so;
        wait::until(what, patience, || async move {
            let object = self.get(reference).await?;
            ensure!(so(&object), "it is {object}");
            Ok(object)
        })
        .await
    }

    /// A token of a ServiceAccount, valid for an hour.
    ///
    /// # Errors
    /// When there is no such ServiceAccount.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let answer = api.create_token_request(name, &PostParams::default(), &request).await?;
        Ok(answer.status.context("a token request without an answer")?.token)
    }

    /// The kind's API; the API server is asked once what it knows of the kind.
    async fn api(&self, reference: Reference<'_>) -> Result<Api<DynamicObject>> {
        let Reference { api_version, kind, namespace, .. } = reference;
        let key = format!("{api_version} {kind}");
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let (resource, scope) = match known {
            Some(known) => known,
            None => {
                let (resource, capabilities) = self.discover(api_version, kind).await?;
                let entry = (resource, capabilities.scope);
                self.kinds.lock().unwrap_or_else(PoisonError::into_inner).insert(key, entry.clone());
                entry
            }
        };
        Ok(match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            Scope::Namespaced if namespace.is_empty() => {
                Api::namespaced_with(self.client.clone(), "default", &resource)
            }
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace, &resource),
        })
    }

    async fn discover(&self, api_version: &str, kind: &str) -> Result<(ApiResource, ApiCapabilities)> {
        let types = TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() };
        let kind = GroupVersionKind::try_from(types).context(api_version.to_owned())?;
        pinned_kind(&self.client, &kind).await.with_context(|| format!("{api_version} {}", kind.kind))
    }
}

/// The documents of a YAML text; empty ones are left out.
///
/// # Errors
/// When it is no YAML.
pub fn parse(yaml: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).context("the YAML")?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}
