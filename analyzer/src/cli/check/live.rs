//! What stands in a cluster: Canaries and what they name.

use super::{Objects, error};
use crate::cli::Failure;
use crate::cli::cluster::{Cluster, Kind, failed, is_missing, json, refusal};
use crate::config::{self, Canary, Router};
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client};
use serde_json::Value;
use std::path::Path;

/// The named Canaries of the namespace, or all, and what they name.
pub(super) fn objects(
    cluster: &Cluster,
    namespace: Option<String>,
    names: &[String],
) -> Result<Objects, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Failed(error.to_string()))?.block_on(read(cluster, namespace, names))
}

async fn read(cluster: &Cluster, namespace: Option<String>, names: &[String]) -> Result<Objects, Failure> {
    let (client, of_context) = cluster.connect().await?;
    let namespace = namespace.unwrap_or(of_context);
    let mut objects = Objects::default();
    for document in canaries(&client, &namespace, names).await? {
        let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let name = format!("Canary {namespace}/{name}");
        match config::read_canary(&document, Path::new("/")) {
            Ok(canary) => match &canary.router {
                Router::VirtualService(_) => objects.canaries.push(canary),
                Router::EnvoyRoutes(_) => objects.findings.push(error(
                    name,
                    "spec.router.envoyRoutes",
                    "is for the stand-alone analyzer: in Kubernetes name a virtualService",
                )),
            },
            Err(problem) => objects.findings.push(error(name, problem.path, problem.message)),
        }
    }
    let wanted = objects.canaries.clone();
    for canary in &wanted {
        follow(&client, canary, &mut objects).await?;
    }
    objects.destination_rules = Some(destination_rules(&client, &namespace).await?);
    Ok(objects)
}

async fn canaries(client: &Client, namespace: &str, names: &[String]) -> Result<Vec<Value>, Failure> {
    let api = Kind::Canary.of(client, namespace);
    if names.is_empty() {
        let list = api.list(&ListParams::default()).await;
        let list = list.map_err(|error| failed(&format!("Canaries of {namespace}"), &error))?;
        if list.items.is_empty() {
            return Err(Failure::Wrong(format!("there is no Canary in the namespace {namespace}")));
        }
        return list.items.iter().map(json).collect();
    }
    let mut found = Vec::new();
    for name in names {
        let object = api.get(name).await;
        found.push(json(&object.map_err(|error| failed(&format!("Canary {namespace}/{name}"), &error))?)?);
    }
    Ok(found)
}

/// Reads what a Canary names; what is not there stays missing.
async fn follow(client: &Client, canary: &Canary, objects: &mut Objects) -> Result<(), Failure> {
    let namespace = &canary.id.namespace;
    if let Router::VirtualService(service) = &canary.router
        && let Some(object) = get(client, namespace, Kind::VirtualService, &service.name).await?
    {
        objects.virtual_services.push(object);
    }
    let known = objects.deployments.get_or_insert_default();
    if let Some(deployments) = &canary.deployments {
        for (_, name) in deployments.iter() {
            known.extend(get(client, namespace, Kind::Deployment, name).await?);
        }
    }
    Ok(())
}

/// Rules may stand in any namespace. Who may not read them all is shown those of this one.
async fn destination_rules(client: &Client, namespace: &str) -> Result<Vec<Value>, Failure> {
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &Kind::DestinationRule.resource());
    let list = match all.list(&ListParams::default()).await {
        Err(error) if refusal(&error).is_some_and(|status| status.code == 403) => {
            Kind::DestinationRule.of(client, namespace).list(&ListParams::default()).await
        }
        answer => answer,
    };
    let list = list.map_err(|error| failed("DestinationRules", &error))?;
    list.items.iter().map(json).collect()
}

async fn get(client: &Client, namespace: &str, kind: Kind, name: &str) -> Result<Option<Value>, Failure> {
    match kind.of(client, namespace).get(name).await {
        Ok(object) => json(&object).map(Some),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(failed(&format!("{} {namespace}/{name}", kind.name()), &error)),
    }
}
