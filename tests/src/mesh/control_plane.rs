//! A real control plane without containers: etcd, kube-apiserver and istiod on free loopback ports, their
//! data in a temporary folder that goes when they do.

use super::access::{Access, write_kubeconfig};
use super::cluster::Cluster;
use super::programs::Programs;
use crate::http::Client;
use crate::process::Process;
use crate::{artifacts, ports, wait};
use anyhow::{Context, Result, ensure};
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// On a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The running control plane. Dropping it ends it all, istiod first.
#[derive(Debug)]
pub struct ControlPlane {
    istiod: Option<Process>,
    apiserver: Option<Process>,
    etcd: Process,
    cluster: Cluster,
    access: Access,
    listen: Listen,
    programs: Programs,
    folder: TempDir,
}

/// Where the parts listen.
#[derive(Debug, Clone, Copy)]
struct Listen {
    etcd: u16,
    apiserver: u16,
    /// istiod's answers about itself.
    istiod: u16,
    /// istiod's configuration for Envoys.
    xds: u16,
}

impl ControlPlane {
    /// Starts all three parts, with Istio's CRDs, and waits until they are ready.
    ///
    /// # Errors
    /// When a part does not start; with the end of its log.
    pub async fn start() -> Result<Self> {
        let programs = Programs::find()?;
        let folder =
            tempfile::Builder::new().prefix("serin-mesh-").tempdir().context("a temporary folder")?;
        let listen = Listen {
            etcd: ports::free()?,
            apiserver: ports::free()?,
            istiod: ports::free()?,
            xds: ports::free()?,
        };
        let access = Access::create(folder.path())?;
        let etcd = start_etcd(&programs, folder.path(), listen.etcd)?;
        let mut apiserver = start_apiserver(&programs, folder.path(), listen, &access)?;
        let cluster = reach(&mut apiserver, folder.path(), listen, &access).await?;
        let mut plane = Self {
            istiod: None,
            apiserver: Some(apiserver),
            etcd,
            cluster,
            access,
            listen,
            programs,
            folder,
        };
        let crds = std::fs::read_to_string(plane.programs.path("istio-crds.yaml")).context("Istio's CRDs")?;
        let crds = super::cluster::parse(&crds)?;
        plane.cluster.apply_definitions(&crds.iter().collect::<Vec<_>>()).await?;
        plane.cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system}").await?;
        plane.start_istiod().await?;
        Ok(plane)
    }

    /// The API server, as its administrator.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The programs that it was started from.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Where Envoys get their configuration.
    pub fn xds(&self) -> SocketAddr {
        ports::loopback(self.listen.xds)
    }

    /// The folder with all logs and files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        kubeconfig(self.folder.path())
    }

    /// Writes a kubeconfig for another token.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_kubeconfig(&self, file: &Path, token: &str) -> Result<()> {
        write_kubeconfig(file, &server(self.listen), &authority(self.folder.path()), token)
    }

    /// SIGKILL to the API server. etcd keeps the data.
    ///
    /// # Errors
    /// When it is down already.
    pub fn kill_apiserver(&mut self) -> Result<()> {
        self.apiserver.take().context("the API server is down already")?.kill9()
    }

    /// Starts the API server again, on its port and data, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart_apiserver(&mut self) -> Result<()> {
        let folder = self.folder.path();
        let mut apiserver = start_apiserver(&self.programs, folder, self.listen, &self.access)?;
        self.cluster = reach(&mut apiserver, folder, self.listen, &self.access).await?;
        self.apiserver = Some(apiserver);
        Ok(())
    }

    /// SIGKILL to istiod: Envoys keep what they have.
    ///
    /// # Errors
    /// When it is down already.
    pub fn kill_istiod(&mut self) -> Result<()> {
        self.istiod.take().context("istiod is down already")?.kill9()
    }

    /// The same with the kinds as `serin crd` prints them.
    ///
    /// # Errors
    /// When a part does not start, or the API server refuses a definition.
    pub async fn with_kinds() -> Result<Self> {
        let plane = Self::start().await?;
        let printed = Command::new(artifacts::serin()?).arg("crd").output()?;
        let definitions = super::parse(std::str::from_utf8(&printed.stdout)?)?;
        plane.cluster().apply_definitions(&definitions.iter().collect::<Vec<_>>()).await?;
        Ok(plane)
    }

    /// Starts istiod, on its old ports if it ran before, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start; with the end of its log.
    pub async fn start_istiod(&mut self) -> Result<()> {
        let mut istiod = start_istiod(&self.programs, self.folder.path(), self.listen, &self.kubeconfig())?;
        let (client, address) = (Client::default(), ports::loopback(self.listen.istiod));
        let ready = wait::until("istiod to be ready", PATIENCE, || async {
            let answer = client.get(address, "/ready", &[]).await?;
            ensure!(answer.status.is_success(), "/ready says {}", answer.status);
            Ok(())
        });
        while_running(&mut istiod, ready).await?;
        self.istiod = Some(istiod);
        Ok(())
    }

    /// What the parts said last, for a test that fails.
    pub fn log_tails(&self) -> String {
        let parts = [Some(&self.etcd), self.apiserver.as_ref(), self.istiod.as_ref()];
        let tails =
            parts.into_iter().flatten().map(|part| format!("--- {}\n{}", part.name(), part.log_tail()));
        tails.collect::<Vec<_>>().join("\n")
    }
}

fn server(listen: Listen) -> String {
    format!("https://127.0.0.1:{}", listen.apiserver)
}

/// The certificate that the API server makes for itself at its first start.
fn authority(folder: &Path) -> PathBuf {
    folder.join("certificates/apiserver.crt")
}

fn kubeconfig(folder: &Path) -> PathBuf {
    folder.join("kubeconfig")
}

/// `ready`, unless the process ends before.
async fn while_running<T>(process: &mut Process, ready: impl Future<Output = Result<T>>) -> Result<T> {
    let ended = async {
        loop {
            if let Err(error) = process.check_running() {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        ready = ready => ready,
        error = ended => Err(error),
    }
}

fn start_etcd(programs: &Programs, folder: &Path, port: u16) -> Result<Process> {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", ports::free()?));
    let mut command = Command::new(programs.path("etcd"));
    command
        .args(["--name", "default", "--log-level", "warn", "--unsafe-no-fsync", "--data-dir"])
        .arg(folder.join("etcd"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")]);
    Process::start("etcd", command, &folder.join("etcd.log"))
}

fn start_apiserver(programs: &Programs, folder: &Path, listen: Listen, access: &Access) -> Result<Process> {
    let mut command = Command::new(programs.path("kube-apiserver"));
    command
        .arg(format!("--etcd-servers=http://127.0.0.1:{}", listen.etcd))
        .arg(format!("--cert-dir={}", folder.join("certificates").display()))
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
        .arg(format!("--secure-port={}", listen.apiserver))
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(format!("--service-account-key-file={}", access.public_key.display()))
        .arg(format!("--service-account-signing-key-file={}", access.signing_key.display()))
        .arg(format!("--token-auth-file={}", access.tokens.display()))
        .args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16"])
        // There are no other controllers: none that would give pods their ServiceAccounts' volumes, none that
        // would look after the endpoints of the service `kubernetes`.
        .args(["--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none"]);
    Process::start("kube-apiserver", command, &folder.join("kube-apiserver.log"))
}

/// Waits until the API server takes the administrator's requests.
async fn reach(apiserver: &mut Process, folder: &Path, listen: Listen, access: &Access) -> Result<Cluster> {
    let (authority, kubeconfig) = (authority(folder), kubeconfig(folder));
    let ready = wait::until("the API server to be ready", PATIENCE, || async {
        ensure!(authority.is_file(), "it has made no certificate");
        write_kubeconfig(&kubeconfig, &server(listen), &authority, &access.admin)?;
        let cluster = Cluster::from_kubeconfig(&kubeconfig).await?;
        cluster.is_ready().await?;
        Ok(cluster)
    });
    while_running(apiserver, ready).await
}

fn start_istiod(programs: &Programs, folder: &Path, listen: Listen, kubeconfig: &Path) -> Result<Process> {
    let mesh_config = folder.join("mesh.yaml");
    // Otherwise clusters wait for secrets that only Istio's own agent brings.
    std::fs::write(&mesh_config, "enableAutoMtls: false\n")?;
    let address = |port: u16| format!("127.0.0.1:{port}");
    let mut command = Command::new(programs.path("pilot-discovery"));
    command
        .env("POD_NAME", "istiod-0")
        .env("POD_NAMESPACE", "istio-system")
        // A plain Envoy has neither of these filters.
        .env("PILOT_ENABLE_METADATA_EXCHANGE", "false")
        .env("PILOT_ENABLE_ALPN_FILTER", "false")
        // No webhooks: the API server could not reach them by their service's name.
        .env("VALIDATION_WEBHOOK_CONFIG_NAME", "")
        .env("INJECTION_WEBHOOK_CONFIG_NAME", "")
        .current_dir(folder)
        .arg("discovery")
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--meshConfig={}", mesh_config.display()))
        .arg(format!("--httpAddr={}", address(listen.istiod)))
        .arg(format!("--httpsAddr={}", address(ports::free()?)))
        .arg(format!("--grpcAddr={}", address(listen.xds)))
        .arg(format!("--secureGRPCAddr={}", address(ports::free()?)))
        .arg(format!("--monitoringAddr={}", address(ports::free()?)))
        .arg(format!("--ctrlz_port={}", ports::free()?));
    Process::start("istiod", command, &folder.join("istiod.log"))
}
