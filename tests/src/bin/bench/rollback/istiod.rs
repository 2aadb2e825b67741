//! Canaries in a mesh: the example of istio/, once for each, behind one gateway.

use super::cells::{ANALYSIS_INTERVAL, FALSE_ROLLBACK_RATE, Ramp, WARMUP};
use super::run::Site;
use super::world::Shops;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use serin_tests::mesh::{
    ApiTokens, CANARY, Manifests, Mesh, MeshOptions, Reference, VIRTUAL_SERVICE, all_ready, endpoints,
};

/// The running parts.
pub(crate) struct Istiod {
    mesh: Mesh,
    canaries: Vec<Value>,
}

impl Istiod {
    /// Starts everything, and applies everything but the Canaries. The example's own service is there too, and
    /// has no traffic.
    pub(super) async fn start(shops: Vec<Shops>, ramp: &Ramp) -> Result<(Self, Vec<Site>)> {
        let mut mesh = Mesh::start_without_canary(&MeshOptions::default()).await?;
        let mut example = Manifests::render(mesh.plane.programs(), "istio/example")?;
        let port = mesh.gateway.envoy.address().port();
        example.object("Gateway", "canary-demo-gateway")?["spec"]["servers"][0]["port"]["number"] =
            json!(port);
        let weighted =
            &mut example.object(VIRTUAL_SERVICE.kind, VIRTUAL_SERVICE.name)?["spec"]["http"][1]["route"];
        (weighted[0]["weight"], weighted[1]["weight"]) = (json!(100), json!(0));
        let spec = &mut example.object(CANARY.kind, CANARY.name)?["spec"];
        spec["falseRollbackRate"] = json!(FALSE_ROLLBACK_RATE);
        spec["ramp"] = json!({
            "steps": ramp.steps, "promotionInterval": ramp.promotion_interval,
            "analysisInterval": ANALYSIS_INTERVAL, "warmup": WARMUP,
        });
        let mut canaries = Vec::new();
        for shops in &shops {
            let text = serde_json::to_string(example.documents())?.replace(CANARY.name, &shops.name);
            let documents: Vec<Value> = serde_json::from_str(&text)?;
            for mut document in documents {
                if document["kind"] == CANARY.kind {
                    document["spec"]["salt"] = json!(shops.salt);
                    canaries.push(document);
                } else {
                    mesh.plane.cluster().apply_document(&document).await?;
                }
            }
            stand_in_for_kubelet(&mesh, shops).await?;
        }
        mesh.start_replicas(1).await?;
        let (envoy, token) = (&mesh.gateway.envoy, Some(ApiTokens::OPERATOR));
        let analyzer = mesh.replicas.first().context("there is no analyzer")?.port();
        let sites = shops.into_iter().map(|shops| shops.at(envoy, analyzer, token)).collect();
        Ok((Self { mesh, canaries }, sites))
    }

    /// Applies the Canaries.
    pub(super) async fn release(&mut self) -> Result<()> {
        for canary in &self.canaries {
            self.mesh.plane.cluster().apply_document(canary).await?;
        }
        self.mesh.until_plan_is_followed().await.with_context(|| self.mesh.logs())
    }
}

/// The endpoints of both versions, and their Deployments' status.
async fn stand_in_for_kubelet(mesh: &Mesh, shops: &Shops) -> Result<()> {
    let cluster = mesh.plane.cluster();
    let (stable, canary) = shops.ports();
    let at = [(stable, "stable"), (canary, "canary")];
    cluster.apply_document(&endpoints("default", &shops.name, 8000, &at)).await?;
    for version in ["stable", "canary"] {
        let name = &format!("{}-{version}", shops.name);
        let deployment = Reference { api_version: "apps/v1", kind: "Deployment", namespace: "default", name };
        cluster.merge_status(deployment, &all_ready(2)).await?;
    }
    Ok(())
}
