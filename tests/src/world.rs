//! Everything at once: two shops, Envoys and the analyzer, in a folder of their own that goes when they
//! do.

use crate::analyzer::{Analyzer, AnalyzerConfig, CanaryConfig, Phase, Status};
use crate::envoy::{Envoy, EnvoyOptions, copy_routes};
use crate::load::LoadOptions;
use crate::shop::Shop;
use crate::{ports, wait};
use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// How a world begins.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// The number of workers of each Envoy.
    pub envoys: Vec<u32>,
    /// The release.
    pub canary: CanaryConfig,
    /// What filters must show the analyzer.
    pub token: Option<String>,
    /// The analyzer's port, and the one at which the Envoys look for it; else the same one that is free.
    pub analyzer_ports: Option<(u16, u16)>,
    /// Replacements in the bootstrap: what stands there exactly once, and what comes instead.
    pub bootstrap: Vec<(String, String)>,
    /// The same in the route file.
    pub routes: Vec<(String, String)>,
    /// Further lines of the program's own spec, as `prometheus: {...}`.
    pub server: Vec<String>,
    /// Further documents of the analyzer's configuration. `ROUTES` stands for the route file's path.
    pub documents: Vec<String>,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            envoys: vec![1],
            canary: CanaryConfig::default(),
            token: None,
            analyzer_ports: None,
            bootstrap: vec![],
            routes: vec![],
            server: vec![],
            documents: vec![],
        }
    }
}

/// The running parts. Dropping it ends them all, Envoys first.
#[derive(Debug)]
pub struct World {
    /// The Envoys.
    pub envoys: Vec<Envoy>,
    /// The analyzer.
    pub analyzer: Analyzer,
    /// Further analyzers, on the same store.
    pub others: Vec<Analyzer>,
    /// What answers on the stable port.
    pub stable: Shop,
    /// What answers on the canary port.
    pub canary: Shop,
    routes: PathBuf,
    options: EnvoyOptions,
    folder: TempDir,
}

impl World {
    /// Starts everything and waits until it takes requests and the filters have reported.
    ///
    /// # Errors
    /// When a part does not start; with the end of its log.
    pub async fn start(options: WorldOptions) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("serin-").tempdir().context("a temporary folder")?;
        let at = folder.path();
        let routes = at.join("routes/routes.yaml");
        std::fs::create_dir(at.join("routes"))?;
        copy_routes(&routes, &options.routes)?;
        let report_token_file = match &options.token {
            Some(token) => {
                let file = at.join("report-token");
                std::fs::write(&file, token)?;
                Some(file)
            }
            None => None,
        };

        let stable = Shop::start(ports::free()?, &options.canary.stable_version).await?;
        let canary = Shop::start(ports::free()?, &options.canary.canary_version).await?;
        let (port, looked_for) = match options.analyzer_ports {
            Some(ports) => ports,
            None => {
                let port = ports::free()?;
                (port, port)
            }
        };
        let config = AnalyzerConfig {
            port,
            store: at.join("serin.redb"),
            report_token_file,
            routes: routes.clone(),
            canary: options.canary,
            server: options.server,
            documents: options.documents,
        };
        let analyzer = Analyzer::start(config, at).await?;
        let template = EnvoyOptions {
            node: String::new(),
            workers: 1,
            folder: at.to_path_buf(),
            routes: routes.clone(),
            stable_port: stable.address().port(),
            canary_port: canary.address().port(),
            analyzer_port: looked_for,
            token: options.token,
            edge: true,
            edits: options.bootstrap,
        };
        let mut world = Self {
            envoys: Vec::new(),
            analyzer,
            others: Vec::new(),
            stable,
            canary,
            routes,
            options: template,
            folder,
        };
        for workers in options.envoys {
            world.add_envoy(workers).await?;
        }
        world.until_plan_is_followed().await?;
        Ok(world)
    }

    /// One more analyzer with the same configuration, for a store that several share.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn add_analyzer(&mut self) -> Result<()> {
        let folder = self.folder().join(format!("analyzer-{}", self.others.len() + 1));
        std::fs::create_dir(&folder)?;
        let config = AnalyzerConfig { port: ports::free()?, ..self.analyzer.config().clone() };
        self.others.push(Analyzer::start(config, &folder).await?);
        Ok(())
    }

    /// One more Envoy, with the same routes.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn add_envoy(&mut self, workers: u32) -> Result<()> {
        let node = format!("gateway-{}", self.envoys.len());
        self.add_envoy_as(|options| *options = EnvoyOptions { node, workers, ..options.clone() }).await
    }

    /// One more Envoy that is in something unlike the others.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn add_envoy_as(&mut self, change: impl FnOnce(&mut EnvoyOptions)) -> Result<()> {
        let mut options = self.options.clone();
        change(&mut options);
        self.envoys.push(Envoy::start(&options).await?);
        Ok(())
    }

    /// Waits until every VM of every Envoy follows the analyzer's current plan.
    ///
    /// # Errors
    /// After thirty seconds.
    pub async fn until_plan_is_followed(&self) -> Result<()> {
        wait::until("all filters to follow the plan", Duration::from_secs(30), || async {
            let filters = self.analyzer.api().filters().await?;
            ensure!(filters.iter().all(|filter| !filter.pending), "some have not got it: {filters:?}");
            for envoy in &self.envoys {
                // Each worker has one, and so has the main thread.
                let vms = filters.iter().filter(|filter| filter.node.starts_with(envoy.node())).count();
                ensure!(
                    vms > envoy.workers() as usize,
                    "{} of {} has {vms} VMs",
                    envoy.node(),
                    envoy.workers()
                );
            }
            Ok(())
        })
        .await
    }

    /// Where the Envoys take requests.
    pub fn targets(&self) -> Vec<SocketAddr> {
        self.envoys.iter().map(Envoy::address).collect()
    }

    /// The usual load on all Envoys.
    pub fn load(&self) -> LoadOptions {
        LoadOptions::on(self.targets())
    }

    /// The canary as the analyzer sees it.
    ///
    /// # Errors
    /// When the analyzer does not answer.
    pub async fn status(&self) -> Result<Status> {
        self.analyzer.api().status().await
    }

    /// Waits until the canary is as `so` wants it.
    ///
    /// # Errors
    /// After `seconds`; with the status as it is.
    pub async fn until(&self, what: &str, seconds: u64, so: impl Fn(&Status) -> bool) -> Result<Status> {
        let so = &so;
        wait::until(what, Duration::from_secs(seconds), || async move {
            let status = self.status().await?;
            if so(&status) {
                return Ok(status);
            }
            bail!("it is {:?} at {} %: {:?}", status.phase, status.weight, status.verdict)
        })
        .await
    }

    /// Waits for a phase.
    ///
    /// # Errors
    /// After `seconds`; with the status as it is.
    pub async fn until_phase(&self, phase: Phase, seconds: u64) -> Result<Status> {
        self.until(&format!("phase {phase:?}"), seconds, |status| status.phase == phase).await
    }

    /// The route file that Envoy follows and the analyzer writes.
    pub fn routes(&self) -> &Path {
        &self.routes
    }

    /// The folder with all logs and files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl World {
    /// What the parts said last.
    pub fn logs(&mut self) -> String {
        let mut logs = String::new();
        for analyzer in std::iter::once(&mut self.analyzer).chain(&mut self.others) {
            let port = analyzer.api().address().port();
            if let Ok(process) = analyzer.process() {
                logs += &format!("--- the analyzer at {port} ends with:\n{}\n", process.log_tail());
            }
        }
        for envoy in &self.envoys {
            logs += &format!("--- {} ends with:\n{}\n", envoy.node(), envoy.process.log_tail());
        }
        logs
    }
}

impl Drop for World {
    /// A test that fails shows what the parts said; the folder goes with the world.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}
