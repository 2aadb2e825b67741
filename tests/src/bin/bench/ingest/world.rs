//! The analyzer under load, on a core of its own.

use anyhow::{Context, Result, ensure};
use serin_tests::analyzer::{Analyzer, AnalyzerConfig, CanaryConfig};
use serin_tests::envoy::copy_routes;
use serin_tests::ports;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Processor time since its start, and memory now.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) memory_mb: f64,
}

/// An analyzer with some canaries, each in its first step with half of the users, and no proxy.
pub(crate) struct World {
    analyzer: Analyzer,
    _folder: TempDir,
}

impl World {
    pub(crate) async fn start(canaries: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let routes = folder.path().join("routes.yaml");
        copy_routes(&routes, &[])?;
        let documents = (1..canaries).map(|place| document(place, folder.path())).collect::<Result<_>>()?;
        let canary = CanaryConfig {
            steps: vec![50.0],
            promotion_interval: "1h".to_owned(),
            // What an installation has, not the tests' haste.
            analysis_interval: "10s".to_owned(),
            ..CanaryConfig::default()
        };
        let config = AnalyzerConfig {
            port: ports::free()?,
            store: folder.path().join("serin.redb"),
            report_token_file: None,
            routes,
            canary,
            server: vec![],
            documents,
        };
        let mut analyzer = Analyzer::start(config, folder.path()).await?;
        pin(analyzer.process()?.id())?;
        Ok(Self { analyzer, _folder: folder })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.analyzer.api().address()
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        let id = self.analyzer.id().context("the analyzer is down")?;
        let cpu = crate::processor::time(id)?;
        Ok(Usage { cpu, memory_mb: crate::processor::memory(id)? as f64 / 1e6 })
    }

    /// The requests that all canaries together have counted.
    pub(crate) async fn counted(&self) -> Result<u64> {
        let canaries = self.analyzer.api().get("/v1/canaries").await?;
        ensure!(canaries.status.is_success(), "/v1/canaries: {}", canaries.status);
        let canaries: Vec<serde_json::Value> = serde_json::from_slice(&canaries.body)?;
        let of = |canary: &serde_json::Value, arm: &str| {
            canary["totals"][arm]["requests"].as_u64().context("a canary without totals")
        };
        let mut sum = 0;
        for canary in &canaries {
            sum += of(canary, "stable")? + of(canary, "canary")?;
        }
        Ok(sum)
    }
}

/// A further canary, with a route file of its own.
fn document(place: usize, folder: &Path) -> Result<String> {
    let file = folder.join(format!("own-{place}.yaml"));
    copy_routes(&file, &[])?;
    let mut text = String::new();
    writeln!(text, "apiVersion: serin.dev/v1alpha1\nkind: Canary")?;
    writeln!(text, "metadata: {{ name: shop-{place}, namespace: default }}\nspec:")?;
    writeln!(text, "  stableVersion: v1\n  canaryVersion: v2\n  hosts: [shop-{place}.example]")?;
    writeln!(
        text,
        "  router:\n    envoyRoutes: {{ path: {}, stableCluster: shop-stable, canaryCluster: shop-canary }}",
        file.display()
    )?;
    writeln!(text, "  units: [{{ header: x-user-id }}]")?;
    writeln!(text, "  ramp: {{ steps: [50], promotionInterval: 1h, analysisInterval: 10s }}")?;
    Ok(text)
}

/// All threads of the analyzer onto the first core.
fn pin(process: u32) -> Result<()> {
    let id = process.to_string();
    let done = Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", "0", &id]).output();
    let done = done.context("taskset (of util-linux) does not run")?;
    ensure!(done.status.success(), "taskset: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
