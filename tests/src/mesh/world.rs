//! The example of istio/ on a control plane of its own: istio/ as an administrator applies it, a gateway
//! with the filter, the demo service's two versions, and the analyzer's replicas.

use super::cluster::Reference;
use super::control_plane::ControlPlane;
use super::gateway::{Gateway, filter_url};
use super::manifests::{Manifests, all_ready, endpoints};
use super::object::canary_weight;
use super::replica::{ApiTokens, NAMESPACE, Replica};
use crate::analyzer::{Api, Status};
use crate::load::LoadOptions;
use crate::shop::Shop;
use crate::{ports, wait};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;

/// The demo's authority.
pub const HOST: &str = "canary-demo.example";
/// The demo's Canary.
pub const CANARY: Reference<'static> = Reference {
    api_version: "serin.dev/v1alpha1",
    kind: "Canary",
    namespace: "default",
    name: "canary-demo",
};
/// The demo's VirtualService.
pub const VIRTUAL_SERVICE: Reference<'static> = Reference {
    api_version: "networking.istio.io/v1",
    kind: "VirtualService",
    namespace: "default",
    name: "canary-demo-vs",
};

/// How a mesh begins.
#[derive(Debug, Clone)]
pub struct MeshOptions {
    /// How many replicas the analyzer has.
    pub replicas: usize,
    /// A merge patch for the example's Canary.
    pub canary: Value,
    /// A merge patch for the example's VirtualService.
    pub virtual_service: Value,
    /// The filter's configuration in the analyzer's place, for a mesh without one.
    pub plan: Option<Value>,
    /// Where the replicas keep everything, in place of a file of each: a Redis.
    pub store: Option<String>,
}

impl Default for MeshOptions {
    /// One replica; the example's ramp in seconds.
    fn default() -> Self {
        Self { replicas: 1, canary: quick(), virtual_service: json!({}), plan: None, store: None }
    }
}

/// The example's ramp, quicker.
pub fn quick() -> Value {
    json!({ "spec": { "ramp": { "promotionInterval": "4s", "analysisInterval": "1s", "warmup": "1s" } } })
}

/// The running parts. Dropping it ends them all.
#[derive(Debug)]
pub struct Mesh {
    /// The gateway.
    pub gateway: Gateway,
    /// The analyzer.
    pub replicas: Vec<Replica>,
    /// The version that serves.
    pub stable: Shop,
    /// The version under test.
    pub canary: Shop,
    /// The VirtualService before the analyzer saw it.
    pub before: Value,
    /// etcd, the API server and istiod.
    pub plane: ControlPlane,
    store: Option<String>,
}

impl Mesh {
    /// Starts everything, applies the Canary last and waits until all filters follow the plan.
    ///
    /// # Errors
    /// When a part does not start; with the end of its log.
    pub async fn start(options: MeshOptions) -> Result<Self> {
        let mut mesh = Self::start_without_canary(&options).await?;
        if options.plan.is_none() {
            mesh.start_replicas(options.replicas).await?;
            mesh.apply_canary(&options.canary).await?;
            mesh.until_plan_is_followed().await.with_context(|| mesh.logs())?;
        }
        Ok(mesh)
    }

    /// Everything but the analyzer and the Canary.
    ///
    /// # Errors
    /// When a part does not start; with the end of its log.
    pub async fn start_without_canary(options: &MeshOptions) -> Result<Self> {
        let plane = ControlPlane::start().await?;
        let stable = Shop::start(ports::free()?, "v1").await?;
        let canary = Shop::start(ports::free()?, "v2").await?;
        let port = ports::free()?;
        Manifests::render(plane.programs(), "istio")?.apply(plane.cluster()).await?;
        apply_filter(&plane, options.plan.as_ref()).await?;
        let at = [(stable.address().port(), "stable"), (canary.address().port(), "canary")];
        apply_example(&plane, port, &at, &options.virtual_service).await?;
        let started = Gateway::start("gw-0", "istio-system", plane.folder(), plane.xds(), port).await;
        let gateway = started.with_context(|| plane.log_tails())?;
        let before = plane.cluster().get(VIRTUAL_SERVICE).await?;
        let store = options.store.clone();
        Ok(Self { gateway, replicas: Vec::new(), stable, canary, before, plane, store })
    }

    /// Starts the analyzer's replicas and tells the mesh where they are.
    ///
    /// # Errors
    /// When one does not become ready; with the end of its log.
    pub async fn start_replicas(&mut self, count: usize) -> Result<()> {
        let tokens = ApiTokens::write(&self.plane.folder().join("tokens"))?;
        for number in 0..count {
            let name = format!("serin-{number}");
            let mut replica = Replica::prepare(&self.plane, &name, "default/canary-demo", &tokens).await?;
            replica.keep_in(self.store.as_deref());
            self.replicas.push(replica);
        }
        let at: Vec<(u16, &str)> = self.replicas.iter().map(|replica| (replica.port(), "any")).collect();
        self.plane.cluster().apply_document(&endpoints(NAMESPACE, "serin", 9090, &at)).await?;
        for replica in &mut self.replicas {
            replica.start().await?;
        }
        Ok(())
    }

    /// Applies the example's Canary with a merge patch.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn apply_canary(&self, patch: &Value) -> Result<()> {
        let mut example = Manifests::render(self.plane.programs(), "istio/example")?;
        let canary = example.object(CANARY.kind, CANARY.name)?;
        merge(canary, patch);
        self.plane.cluster().apply_document(canary).await
    }

    /// Waits until every VM of the gateway has the current plan.
    ///
    /// # Errors
    /// After a minute.
    pub async fn until_plan_is_followed(&self) -> Result<()> {
        wait::until("all filters to follow the plan", Duration::from_secs(60), || async {
            let filters = self.api()?.filters().await?;
            ensure!(filters.iter().all(|filter| !filter.pending), "some have not got it: {filters:?}");
            let vms = filters.len();
            ensure!(vms > self.gateway.envoy.workers() as usize, "only {vms} VMs report");
            Ok(())
        })
        .await
    }

    /// The API of the first replica; it answers for whoever leads.
    ///
    /// # Errors
    /// When there is no replica.
    pub fn api(&self) -> Result<&Api> {
        Ok(self.replicas.first().context("there is no analyzer")?.api())
    }

    /// The release as the analyzer sees it.
    ///
    /// # Errors
    /// When the analyzer does not answer.
    pub async fn status(&self) -> Result<Status> {
        self.api()?.status().await
    }

    /// Waits until the release is as `so` wants it, as the analyzer sees it.
    ///
    /// # Errors
    /// After `seconds`; with the release as it is.
    pub async fn until_status(
        &self,
        what: &str,
        seconds: u64,
        so: impl Fn(&Status) -> bool,
    ) -> Result<Status> {
        let so = &so;
        let until = wait::until(what, Duration::from_secs(seconds), || async move {
            let status = self.status().await?;
            ensure!(so(&status), "it is {:?} at {} %: {:?}", status.phase, status.weight, status.verdict);
            Ok(status)
        });
        until.await.with_context(|| self.logs())
    }

    /// The Events of this reason about the Canary.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn events(&self, reason: &str) -> Result<Vec<Value>> {
        let events = self.plane.cluster().list("events.k8s.io/v1", "Event", CANARY.namespace).await?;
        let ours = |event: &Value| event["reason"] == reason && event["regarding"]["name"] == CANARY.name;
        Ok(events.into_iter().filter(ours).collect())
    }

    /// Deletes the Canary and waits until it is gone.
    ///
    /// # Errors
    /// When it is still there after half a minute.
    pub async fn delete_canary(&self) -> Result<()> {
        let cluster = self.plane.cluster();
        cluster.delete(CANARY).await?;
        let gone = wait::until("the Canary to be gone", Duration::from_secs(30), || async {
            let left = cluster.list(CANARY.api_version, CANARY.kind, CANARY.namespace).await?;
            ensure!(left.is_empty(), "it is {left:?}");
            Ok(())
        });
        gone.await.with_context(|| self.logs())
    }

    /// The Canary object.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn canary_object(&self) -> Result<Value> {
        self.plane.cluster().get(CANARY).await
    }

    /// Waits until the Canary object is as `so` wants it.
    ///
    /// # Errors
    /// After `seconds`; with the object as it is.
    pub async fn until_canary(&self, what: &str, seconds: u64, so: impl Fn(&Value) -> bool) -> Result<Value> {
        let until = self.plane.cluster().until(what, Duration::from_secs(seconds), CANARY, so);
        until.await.with_context(|| self.logs())
    }

    /// The replica that holds the Lease.
    ///
    /// # Errors
    /// When none does.
    pub async fn leader(&self) -> Result<usize> {
        let (api_version, kind) = ("coordination.k8s.io/v1", "Lease");
        let lease = Reference { api_version, kind, namespace: NAMESPACE, name: "serin" };
        let lease = self.plane.cluster().get(lease).await?;
        let holder = &lease["spec"]["holderIdentity"];
        let leader = self.replicas.iter().position(|replica| *holder == replica.name());
        leader.with_context(|| format!("{holder} leads"))
    }

    /// The canary's weight in the VirtualService's last route, in percent.
    ///
    /// # Errors
    /// When there is no such VirtualService.
    pub async fn weight(&self) -> Result<u64> {
        let object = self.plane.cluster().get(VIRTUAL_SERVICE).await?;
        canary_weight(&object).context("the VirtualService's last route has no canary")
    }

    /// The usual load for the demo.
    pub fn load(&self) -> LoadOptions {
        LoadOptions { host: HOST.into(), ..LoadOptions::on(vec![self.gateway.envoy.address()]) }
    }

    /// What the parts said last, for a test that fails.
    pub fn logs(&self) -> String {
        let replicas = self.replicas.iter().map(|one| format!("--- {}\n{}", one.name(), one.log_tail()));
        let replicas: Vec<String> = replicas.collect();
        format!("{}\n--- gateway\n{}", replicas.join("\n"), self.gateway.envoy.process.log_tail())
    }
}

impl Drop for Mesh {
    /// A test that fails shows what the parts said; their folder goes with them.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}\n{}", self.logs(), self.plane.log_tails());
        }
    }
}

/// istio/filter, with the module from a file and the tests' token, or with a whole plan and no analyzer.
async fn apply_filter(plane: &ControlPlane, plan: Option<&Value>) -> Result<()> {
    let mut filter = Manifests::render(plane.programs(), "istio/filter")?;
    let url = filter_url()?;
    for name in ["serin-gateway", "serin-sidecars"] {
        let plugin = filter.object("WasmPlugin", name)?;
        plugin["spec"]["url"] = json!(url);
        plugin["spec"]["pluginConfig"]["analyzer"]["token"] = json!(ApiTokens::REPORT);
        if let Some(plan) = plan {
            plugin["spec"]["pluginConfig"] = json!({ "edge": true, "plan": plan });
        }
    }
    filter.apply(plane.cluster()).await
}

/// istio/example without its Canary, its gateway on another port, its endpoints on this machine.
async fn apply_example(
    plane: &ControlPlane,
    port: u16,
    at: &[(u16, &str)],
    virtual_service: &Value,
) -> Result<()> {
    let mut example = Manifests::render(plane.programs(), "istio/example")?;
    example.object("Gateway", "canary-demo-gateway")?["spec"]["servers"][0]["port"]["number"] = json!(port);
    merge(example.object(VIRTUAL_SERVICE.kind, VIRTUAL_SERVICE.name)?, virtual_service);
    example.retain(|document| document["kind"] != CANARY.kind);
    let cluster = plane.cluster();
    example.apply(cluster).await?;
    cluster.apply_document(&endpoints("default", "canary-demo", 8000, at)).await?;
    for name in ["canary-demo-stable", "canary-demo-canary"] {
        let deployment = Reference { api_version: "apps/v1", kind: "Deployment", namespace: "default", name };
        cluster.merge_status(deployment, &all_ready(2)).await?;
    }
    Ok(())
}

/// RFC 7396, as `kubectl patch --type merge` does it.
fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            if let Some(object) = target.as_object_mut() {
                object.remove(key);
            }
        } else {
            merge(&mut target[key], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_sets_adds_and_removes() {
        let mut target = json!({ "a": { "b": 1, "c": 2 }, "d": [1] });
        merge(&mut target, &json!({ "a": { "b": null, "e": { "f": 3 } }, "d": [2, 3] }));
        assert_eq!(target, json!({ "a": { "c": 2, "e": { "f": 3 } }, "d": [2, 3] }));
    }
}
