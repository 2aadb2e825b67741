//! The real analyzer: `serin serve` with a configuration file, and its API.

mod api;
mod config;
mod status;

pub use api::{Api, CANARY};
pub use config::{AnalyzerConfig, CanaryConfig};
pub use status::{Arms, Filter, Phase, Status, Tally, Totals, Transition, Verdict};

use crate::process::Process;
use crate::{artifacts, ports, wait};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running analyzer.
#[derive(Debug)]
pub struct Analyzer {
    /// The process, to freeze or signal; none while it is down.
    process: Option<Process>,
    api: Api,
    config: AnalyzerConfig,
    folder: PathBuf,
}

impl Analyzer {
    /// Writes the configuration into `folder`, starts `serin serve` with it and waits until it is ready.
    ///
    /// # Errors
    /// When the binary is missing or refuses; with the end of its log.
    pub async fn start(config: AnalyzerConfig, folder: &Path) -> Result<Self> {
        let api = Api::new(ports::loopback(config.port));
        let mut analyzer = Self { process: None, api, config, folder: folder.to_path_buf() };
        analyzer.write_config()?;
        analyzer.restart().await?;
        Ok(analyzer)
    }

    /// Its API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.folder.join("serin.yaml")
    }

    /// The process.
    ///
    /// # Errors
    /// While it is down.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the analyzer is down")
    }

    /// The process's number; none while it is down.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Starts it again, on what its store kept.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.terminate()?;
        let mut command = Command::new(artifacts::serin()?);
        command.arg("serve").arg("--config").arg(self.config_path()).env("RUST_LOG", "info");
        let process = Process::start("serin", command, &self.folder.join("serin.log"))?;
        let process = self.process.insert(process);
        let api = &self.api;
        let ready = wait::until("the analyzer to be ready", PATIENCE, || async move {
            let answer = api.get("/readyz").await?;
            ensure!(answer.status.is_success(), "/readyz: {} {}", answer.status, answer.text());
            Ok(())
        });
        let ended = async {
            loop {
                process.check_running()?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            ready = ready => ready,
            ended = ended => ended,
        }
    }

    /// SIGTERM, and wait for its end.
    ///
    /// # Errors
    /// When it does not end by itself, or not with success.
    pub fn terminate(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            let status = process.terminate()?;
            ensure!(status.success(), "the analyzer ended with {status}:\n{}", process.log_tail());
        }
        Ok(())
    }

    /// Whether it has ended by itself; from then on it is down.
    pub fn has_ended(&mut self) -> bool {
        if self.process.as_mut().is_some_and(Process::is_running) {
            return false;
        }
        self.process = None;
        true
    }

    /// SIGKILL: what its store has not committed is gone.
    ///
    /// # Errors
    /// When it is down already.
    pub fn kill9(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the analyzer is down")?;
        process.kill9()
    }

    /// Changes the canary's settings in the file and has them read with SIGHUP. The analyzer may refuse
    /// them; its status tells.
    ///
    /// # Errors
    /// When it is down.
    pub fn reload(&mut self, change: impl FnOnce(&mut CanaryConfig)) -> Result<()> {
        change(&mut self.config.canary);
        self.write_config()?;
        self.process()?.hang_up()
    }

    /// What it was told last.
    pub fn config(&self) -> &AnalyzerConfig {
        &self.config
    }

    fn write_config(&self) -> Result<()> {
        let path = self.config_path();
        std::fs::write(&path, self.config.to_yaml()).with_context(|| path.display().to_string())
    }
}
