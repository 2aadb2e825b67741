//! One replica of the analyzer, as its pod would run it: `serin serve --kubernetes` with istio/serin.yaml,
//! in which only places of this machine are put in others' place, and with its ServiceAccount's own token.

use super::control_plane::ControlPlane;
use crate::analyzer::Api;
use crate::process::Process;
use crate::{artifacts, ports, wait};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// The namespace and the ServiceAccount of istio/.
pub const NAMESPACE: &str = "serin-system";
const SERVICE_ACCOUNT: &str = "serin";

/// The tokens that filters, readers and operators show it.
#[derive(Debug, Clone)]
pub struct ApiTokens {
    folder: PathBuf,
}

impl ApiTokens {
    /// What filters show.
    pub const REPORT: &str = "report-token-of-the-tests";
    /// What readers show.
    pub const VIEWER: &str = "viewer-token-of-the-tests";
    /// What people who act show.
    pub const OPERATOR: &str = "operator-token-of-the-tests";

    /// Writes them into a folder, as the Secret serin-tokens is mounted.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        for (name, token) in
            [("report", Self::REPORT), ("viewer", Self::VIEWER), ("operator", Self::OPERATOR)]
        {
            std::fs::write(folder.join(name), token)?;
        }
        Ok(Self { folder: folder.to_path_buf() })
    }
}

/// A replica: running, or down until it is started again.
#[derive(Debug)]
pub struct Replica {
    name: String,
    port: u16,
    folder: PathBuf,
    store: Option<String>,
    process: Option<Process>,
    api: Api,
}

impl Replica {
    /// Writes its configuration and its kubeconfig; it does not run yet.
    ///
    /// # Errors
    /// When its ServiceAccount is missing or the folder cannot be written.
    pub async fn prepare(plane: &ControlPlane, name: &str, canary: &str, tokens: &ApiTokens) -> Result<Self> {
        let folder = plane.folder().join(name);
        std::fs::create_dir_all(&folder)?;
        let port = ports::free()?;
        std::fs::write(folder.join("serin.yaml"), configuration(port, &folder, tokens)?)?;
        let api = Api::of(ports::loopback(port), canary, Some(ApiTokens::OPERATOR));
        let replica = Self { name: name.to_owned(), port, folder, store: None, process: None, api };
        replica.fetch_token(plane).await?;
        Ok(replica)
    }

    /// From its next start on everything is kept there; in a file of its own without it.
    pub fn keep_in(&mut self, store: Option<&str>) {
        self.store = store.map(str::to_owned);
    }

    /// A new token of the ServiceAccount, as the kubelet would put it into the pod.
    ///
    /// # Errors
    /// When the ServiceAccount is missing.
    pub async fn fetch_token(&self, plane: &ControlPlane) -> Result<()> {
        let token = plane.cluster().service_account_token(NAMESPACE, SERVICE_ACCOUNT).await?;
        plane.write_kubeconfig(&self.folder.join("kubeconfig"), &token)
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start; with the end of its log.
    pub async fn start(&mut self) -> Result<()> {
        self.launch()?;
        let api = &self.api;
        let ready = wait::until("the analyzer to be ready", PATIENCE, || async move {
            let answer = api.get("/readyz").await?;
            ensure!(answer.status.is_success(), "/readyz: {} {}", answer.status, answer.text());
            Ok(())
        });
        ready.await.with_context(|| self.log_tail())
    }

    /// Starts it without waiting.
    ///
    /// # Errors
    /// When the binary is missing.
    pub fn launch(&mut self) -> Result<()> {
        let mut command = Command::new(artifacts::serin()?);
        command
            .args(["serve", "--kubernetes", "--config"])
            .arg(self.folder.join("serin.yaml"))
            .arg("--advertise")
            .arg(format!("127.0.0.1:{}", self.port))
            // Another replica takes over within seconds.
            .args(["--lease-seconds", "5"])
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .env("POD_NAME", &self.name)
            .env("POD_NAMESPACE", NAMESPACE);
        if let Some(store) = &self.store {
            command.args(["--store", store]);
        }
        self.process = Some(Process::start(&self.name, command, &self.log())?);
        Ok(())
    }

    /// Its name, as its pod's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its API, as an operator.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Its process's number; none while it is down.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// SIGSTOP: it freezes, with its sockets open.
    ///
    /// # Errors
    /// When it does not run.
    pub fn stop(&mut self) -> Result<()> {
        self.process.as_mut().context("the replica does not run")?.stop()
    }

    /// SIGCONT: it goes on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn cont(&mut self) -> Result<()> {
        self.process.as_mut().context("the replica does not run")?.cont()
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When it is down already.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.take().with_context(|| format!("{} is down already", self.name))?.kill9()
    }

    /// Everything that it said so far, over all of its lives.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log()).unwrap_or_default()).into_owned()
    }

    /// The last lines of that.
    pub fn log_tail(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("serin.log")
    }
}

/// istio/serin.yaml for this machine.
fn configuration(port: u16, folder: &Path, tokens: &ApiTokens) -> Result<String> {
    let template = artifacts::repository().join("istio/serin.yaml");
    let text = std::fs::read_to_string(&template).with_context(|| template.display().to_string())?;
    let replacements = [
        ("0.0.0.0:9090".to_owned(), format!("127.0.0.1:{port}")),
        ("/var/lib/serin".to_owned(), folder.display().to_string()),
    ];
    let mut text = text.replace("/etc/serin/tokens", &tokens.folder.display().to_string());
    for (literal, value) in replacements {
        let found = text.matches(&literal).count();
        ensure!(found == 1, "`{literal}` stands in istio/serin.yaml {found} times instead of once");
        text = text.replace(&literal, &value);
    }
    Ok(text)
}
