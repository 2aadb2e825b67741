//! `serin rollback`: through the analyzer, or with `--direct` through the API server alone, for the night in
//! which the analyzer is down too.

use super::act::Act;
use super::cluster::{Cluster, Kind, failed, is_missing, json, refusal};
use super::{Failure, Output, print_json};
use crate::engine::Deed;
use crate::kinds::{ROLLED_BACK_DIRECTLY, VirtualServiceSpec};
use crate::router::virtual_service::{self, HeaderRoutes, Patch, Subsets};
use clap::Args;
use hyper::{Request, header};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DynamicObject, Patch as KubePatch, PatchParams};
use kube::{Api, Client};
use serde::Serialize;
use serde_json::{Value, json};
use serin_contract::PerArm;
use std::time::Duration;

/// How often a write that others were faster than is tried again.
const TRIES: u32 = 20;
/// Before the second try; twice as long before each further one, up to [`LONGEST`].
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(500);
/// One call's patience.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(super) struct Rollback {
    #[command(flatten)]
    act: Act,
    /// Without the analyzer: writes the VirtualService with the kubeconfig's rights
    #[arg(long)]
    direct: bool,
    #[command(flatten)]
    cluster: Cluster,
}

/// What a direct rollback did.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    canary: String,
    virtual_service: String,
    /// False when everything stood there already.
    changed: bool,
    /// Whether `x-canary: "true"` is kept away from the canary too.
    managed_routes: bool,
    /// Why the Canary could not be marked; then the analyzer will pause it, not fail it.
    not_marked: Option<String>,
}

impl Rollback {
    pub(super) fn run(self) -> Result<(), Failure> {
        if !self.direct {
            self.cluster.refuse("--direct")?;
            return self.act.run(Deed::Rollback);
        }
        let (canary, reason) = self.act.what()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Failed(error.to_string()))?;
        let done = runtime.block_on(direct(&self.cluster, canary, reason))?;
        match self.act.output() {
            Output::Json => print_json(&done),
            Output::Text => super::status::print(&done.text()),
        }
    }
}

impl Done {
    fn text(&self) -> String {
        let Self { canary, virtual_service, .. } = self;
        let mut text = match self.changed {
            true => format!("{canary} is rolled back: {virtual_service} gives the canary nothing\n"),
            false => {
                format!("{canary} was rolled back already: {virtual_service} gives the canary nothing\n")
            }
        };
        if !self.managed_routes {
            text.push_str(
                "it has no route that Serin manages: users whose requests say x-canary: \"true\" go where its \
                 own routes send them; point those at stable by hand\n",
            );
        }
        if let Some(problem) = &self.not_marked {
            text.push_str(&format!(
                "the Canary could not be marked ({problem}): when the analyzer is back, it will pause the \
                 release, not end it\n"
            ));
        }
        text
    }
}

async fn direct(cluster: &Cluster, canary: &str, reason: &str) -> Result<Done, Failure> {
    let (client, _) = cluster.connect().await?;
    let (namespace, name) = canary.split_once('/').unwrap_or(("default", canary));
    let canaries = Kind::Canary.of(&client, namespace);
    let service = service(&canaries, canary, name).await?;
    let subsets = PerArm { stable: service.stable_subset.clone(), canary: service.canary_subset.clone() };
    let written = write(&client, namespace, &service.name, &subsets).await?;
    Ok(Done {
        canary: canary.to_owned(),
        virtual_service: format!("VirtualService {namespace}/{}", service.name),
        changed: written.changed,
        managed_routes: written.managed_routes,
        not_marked: mark(&canaries, name, reason).await.err(),
    })
}

/// Only what is needed is read of the Canary: whatever else it says, it can be rolled back.
async fn service(
    canaries: &Api<DynamicObject>,
    canary: &str,
    name: &str,
) -> Result<VirtualServiceSpec, Failure> {
    let what = format!("Canary {canary}");
    let object = in_time(&what, canaries.get(name)).await?.map_err(|error| failed(&what, &error))?;
    let service = json(&object)?.pointer("/spec/router/virtualService").cloned().ok_or_else(|| {
        Failure::Wrong(format!(
            "{what} has no spec.router.virtualService: there is nothing to write directly"
        ))
    })?;
    serde_json::from_value(service)
        .map_err(|error| Failure::Wrong(format!("{what}: spec.router.virtualService: {error}")))
}

struct Written {
    changed: bool,
    managed_routes: bool,
}

/// Until it stands there, however often others write in between.
async fn write(client: &Client, namespace: &str, name: &str, subsets: &Subsets) -> Result<Written, Failure> {
    let what = format!("VirtualService {namespace}/{name}");
    let services = Kind::VirtualService.of(client, namespace);
    let mut pause = PAUSE;
    let mut changed = false;
    for _ in 0..TRIES {
        let object = match in_time(&what, services.get(name)).await? {
            Ok(object) => json(&object)?,
            Err(error) if is_missing(&error) => {
                return Err(Failure::Failed(format!(
                    "{what} is not there: nothing routes to the canary by it"
                )));
            }
            Err(error) => return Err(failed(&what, &error)),
        };
        let patch = virtual_service::roll_back_directly(&object, subsets);
        let Some(patch) = patch.map_err(|problem| Failure::Failed(problem.to_string()))? else {
            return Ok(Written { changed, managed_routes: has_managed_routes(&object, subsets) });
        };
        match in_time(&what, send(client, services.resource_url(), name, &patch)).await? {
            // Read again: what stands there now is what counts.
            Ok(_) => changed = true,
            // 422 is a failed test within the patch: somebody else was faster.
            Err(error) if refusal(&error).is_some_and(|status| matches!(status.code, 409 | 422)) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
            Err(error) => return Err(failed(&what, &error)),
        }
    }
    Err(Failure::Failed(format!("{what}: others wrote in between {TRIES} times: run this again")))
}

/// Whether a patch that removes managed routes would have any to remove.
fn has_managed_routes(object: &Value, subsets: &Subsets) -> bool {
    let change = virtual_service::Change { share: None, header_routes: HeaderRoutes::Removed };
    matches!(virtual_service::patch(object, subsets, change), Ok(Some(_)))
}

async fn send(client: &Client, url: &str, name: &str, patch: &Patch) -> Result<Value, kube::Error> {
    let body = serde_json::to_vec(patch).map_err(kube::Error::SerdeError)?;
    let request = Request::patch(format!("{url}/{name}"))
        .header(header::CONTENT_TYPE, "application/json-patch+json")
        .body(body)
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

/// Tells the analyzer of the next day that this is no pause.
async fn mark(canaries: &Api<DynamicObject>, name: &str, reason: &str) -> Result<(), String> {
    let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    let annotations = json!({ ROLLED_BACK_DIRECTLY: format!("{time} {reason}") });
    let patch = KubePatch::Merge(json!({ "metadata": { "annotations": annotations } }));
    let parameters = PatchParams::default();
    match tokio::time::timeout(PATIENCE, canaries.patch(name, &parameters, &patch)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(refusal(&error).map_or(error.to_string(), |said| said.message.clone())),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

async fn in_time<T>(what: &str, call: impl Future<Output = T>) -> Result<T, Failure> {
    let late = |_| Failure::Failed(format!("{what}: no answer within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, call).await.map_err(late)
}
