//! Two analyzers in a cluster: a real API server, istiod, and a gateway that follows it.

use super::up_to;
use crate::garbage;
use crate::scene::{STEP_TIME, STEPS, Scene};
use crate::watch::WeightWatch;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::json;
use serin_tests::analyzer::{Filter, Status};
use serin_tests::load::{LoadOptions, Record};
use serin_tests::mesh::{self, CANARY, MeshOptions, VIRTUAL_SERVICE, canary_weight};
use serin_tests::shop::Shop;

/// The running parts.
pub(crate) struct Mesh(mesh::Mesh);

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Fault {
    /// SIGKILL to the leader, and a new one up to five seconds later.
    LeaderKilled,
    /// SIGSTOP for up to twenty seconds: longer than its Lease, mostly.
    LeaderFrozen,
    /// SIGKILL, and a new one up to ten seconds later.
    ApiServerKilled,
    /// SIGKILL, and a new one up to ten seconds later.
    IstiodKilled,
    /// Bytes without a meaning, and such as look as if they had one.
    Garbage,
}

impl Scene for Mesh {
    const NAME: &'static str = "mesh";
    type Fault = Fault;

    async fn start() -> Result<Self> {
        let canary = json!({ "spec": {
            "salt": "soak:",
            "ramp": { "steps": STEPS, "increment": null, "initialWeight": null, "maxWeight": null,
                "promotionInterval": STEP_TIME, "analysisInterval": "2s", "warmup": "2s" },
            "falseRollbackRate": 0.001,
        } });
        let options = MeshOptions { replicas: 2, canary, ..MeshOptions::default() };
        Ok(Self(mesh::Mesh::start(options).await?))
    }

    async fn cause(&mut self, fault: Fault, seed: u64) -> Result<()> {
        self.supervise().await?;
        match fault {
            Fault::LeaderKilled => {
                let leader = self.0.leader().await?;
                self.0.replicas[leader].kill9()?;
                tokio::time::sleep(up_to(5.0, seed)).await;
                self.0.replicas[leader].start().await
            }
            Fault::LeaderFrozen => {
                let leader = self.0.leader().await?;
                self.0.replicas[leader].stop()?;
                tokio::time::sleep(up_to(20.0, seed)).await;
                self.0.replicas[leader].cont()
            }
            Fault::ApiServerKilled => {
                self.0.plane.kill_apiserver()?;
                tokio::time::sleep(up_to(10.0, seed)).await;
                self.0.plane.restart_apiserver().await
            }
            Fault::IstiodKilled => {
                self.0.plane.kill_istiod()?;
                tokio::time::sleep(up_to(10.0, seed)).await;
                self.0.plane.start_istiod().await
            }
            Fault::Garbage => {
                let mut ports: Vec<u16> = self.0.replicas.iter().map(mesh::Replica::port).collect();
                let envoy = &self.0.gateway.envoy;
                ports.extend([envoy.address().port(), envoy.admin().port(), self.0.plane.xds().port()]);
                garbage::send_to(&ports, seed).await
            }
        }
    }

    /// A leader ends when it cannot renew its Lease in time.
    async fn supervise(&mut self) -> Result<()> {
        self.0.gateway.envoy.process.check_running()?;
        for replica in &mut self.0.replicas {
            if !replica.is_running() {
                replica.start().await?;
            }
        }
        Ok(())
    }

    async fn status(&self) -> Result<Status> {
        self.0.status().await
    }

    async fn filters(&self) -> Result<Vec<Filter>> {
        self.0.api()?.filters().await
    }

    fn load(&self) -> LoadOptions {
        self.0.load()
    }

    fn canary(&self) -> &Shop {
        &self.0.canary
    }

    fn watch(&self) -> WeightWatch {
        let cluster = self.0.plane.cluster().clone();
        WeightWatch::start(&STEPS, move || {
            let cluster = cluster.clone();
            async move {
                // While the API server is away nobody can write either.
                let Ok(object) = cluster.get(VIRTUAL_SERVICE).await else { return Ok(None) };
                let weight = canary_weight(&object).context("the VirtualService has no canary")?;
                Ok(Some(weight as f64))
            }
        })
    }

    /// A replica that takes over counts from zero (the evidence is in the Canary's status): nothing is counted twice.
    fn check_totals(&self, status: &Status, record: &Record) -> Result<()> {
        let (counted, sent) = (status.totals.all(), record.sent());
        ensure!((1..=sent).contains(&counted), "{counted} counted, {sent} sent");
        Ok(())
    }

    async fn next_release(&mut self, version: &str) -> Result<()> {
        let patch = json!({ "spec": { "canaryVersion": version } });
        self.0.plane.cluster().merge(CANARY, &patch).await.map(drop)
    }

    fn processes(&self) -> Vec<u32> {
        let replicas = self.0.replicas.iter().filter_map(mesh::Replica::id);
        std::iter::once(self.0.gateway.envoy.process.id()).chain(replicas).collect()
    }

    fn logs(&mut self) -> String {
        self.0.logs()
    }
}
