//! Analyzers under load, each on a core of its own, and their store.

use super::cores::{Cores, pin};
use anyhow::{Context, Result, ensure};
use serin_tests::analyzer::{Analyzer, AnalyzerConfig, CanaryConfig, Status};
use serin_tests::envoy::copy_routes;
use serin_tests::ports;
use serin_tests::redis::Redis;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long the analyzers may need to count what they have taken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Redb,
    /// Debian's redis-server with `appendonly yes` and `appendfsync always`.
    Redis,
}

impl Keep {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redb => "redb",
            Self::Redis => "Redis",
        }
    }
}

/// How a world begins.
#[derive(Debug, Clone)]
pub(crate) struct WorldOptions {
    pub(crate) canaries: usize,
    pub(crate) keep: Keep,
    /// More than one only with Redis.
    pub(crate) analyzers: usize,
    /// The first canary's weights, and for how long each stays.
    pub(crate) steps: Vec<f64>,
    pub(crate) promotion_interval: &'static str,
}

impl Default for WorldOptions {
    /// One analyzer on redb; one canary with half of the users for as long as it takes.
    fn default() -> Self {
        Self { canaries: 1, keep: Keep::Redb, analyzers: 1, steps: vec![50.0], promotion_interval: "1h" }
    }
}

/// What was used since the start, and memory now.
#[derive(Debug)]
pub(crate) struct Usage {
    /// Of each analyzer; the first one leads.
    pub(crate) cpus: Vec<Duration>,
    pub(crate) redis_cpu: Duration,
    /// Of the largest analyzer.
    pub(crate) memory_mb: f64,
    pub(crate) redis_memory_mb: f64,
}

impl Usage {
    /// Processor time since then; memory as it is now.
    pub(crate) fn since(self, before: &Self) -> Self {
        let cpus = self.cpus.iter().zip(&before.cpus).map(|(now, before)| *now - *before).collect();
        Self { cpus, redis_cpu: self.redis_cpu - before.redis_cpu, ..self }
    }

    /// Of all analyzers.
    pub(crate) fn cpu(&self) -> Duration {
        self.cpus.iter().sum()
    }
}

/// Analyzers with some canaries, and no proxy.
pub(crate) struct World {
    pub(crate) analyzers: Vec<Analyzer>,
    redis: Option<Redis>,
    _folder: TempDir,
}

impl World {
    pub(crate) async fn start(options: &WorldOptions) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let cores = Cores::of_this_machine(options.analyzers)?;
        let routes = folder.path().join("routes.yaml");
        copy_routes(&routes, &[])?;
        let documents =
            (1..options.canaries).map(|place| document(place, folder.path())).collect::<Result<_>>()?;
        let canary = CanaryConfig {
            steps: options.steps.clone(),
            promotion_interval: options.promotion_interval.to_owned(),
            // What an installation has, not the tests' haste.
            analysis_interval: "10s".to_owned(),
            ..CanaryConfig::default()
        };
        let mut redis = match options.keep {
            Keep::Redb => None,
            Keep::Redis => Some(Redis::start(folder.path(), "redis", &[]).await?),
        };
        if let Some(redis) = &mut redis {
            pin(redis.process()?.id(), &cores.others)?;
        }
        pin(std::process::id(), &cores.others)?;
        let store = redis.as_ref().map(|redis| {
            format!("store: {{ redis: {{ url: \"redis://127.0.0.1:{}\", timeout: 2s }} }}", redis.port())
        });
        let config = AnalyzerConfig {
            port: 0,
            store: folder.path().join("serin.redb"),
            report_token_file: None,
            routes,
            canary,
            server: store.into_iter().collect(),
            documents,
        };
        let mut analyzers = Vec::new();
        for number in 0..options.analyzers {
            let folder = folder.path().join(format!("analyzer-{number}"));
            std::fs::create_dir(&folder)?;
            let config = AnalyzerConfig { port: ports::free()?, ..config.clone() };
            let mut analyzer = Analyzer::start(config, &folder).await?;
            pin(analyzer.process()?.id(), &cores.of_analyzer(number))?;
            analyzers.push(analyzer);
        }
        Ok(Self { analyzers, redis, _folder: folder })
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.analyzers.iter().map(|analyzer| analyzer.api().address()).collect()
    }

    pub(crate) fn usage(&mut self) -> Result<Usage> {
        let mut usage =
            Usage { cpus: Vec::new(), redis_cpu: Duration::ZERO, memory_mb: 0.0, redis_memory_mb: 0.0 };
        for analyzer in &self.analyzers {
            let id = analyzer.id().context("the analyzer is down")?;
            usage.cpus.push(crate::processor::time_of_all(id)?);
            usage.memory_mb = usage.memory_mb.max(crate::processor::memory(id)? as f64 / 1e6);
        }
        if let Some(redis) = &mut self.redis {
            let id = redis.process()?.id();
            usage.redis_cpu = crate::processor::time_of_all(id)?;
            usage.redis_memory_mb = crate::processor::memory(id)? as f64 / 1e6;
        }
        Ok(usage)
    }

    /// The requests that all canaries together have counted, once that is at least so many. The leader counts what
    /// others took a little later than they took it.
    pub(crate) async fn counted(&self, at_least: u64) -> Result<u64> {
        let end = Instant::now() + PATIENCE;
        loop {
            let counted = self.counted_now().await;
            // An analyzer that is behind may answer too late to be heard.
            if counted.as_ref().is_ok_and(|counted| *counted >= at_least) || Instant::now() > end {
                return counted;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn counted_now(&self) -> Result<u64> {
        let first = self.analyzers.first().context("no analyzer")?;
        let canaries = first.api().get("/v1/canaries").await?;
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

    /// The first canary.
    pub(crate) async fn status(&self) -> Result<Status> {
        self.analyzers.first().context("no analyzer")?.api().status().await
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
