//! Real Prometheus and Alertmanager, and a small page of the numbers that they would get elsewhere: those of
//! cAdvisor, and those of the applications themselves. It takes alerts as a web hook, too.

use crate::http::Client;
use crate::process::Process;
use crate::{artifacts, ports, wait};
use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running Prometheus that scrapes every second.
#[derive(Debug)]
pub struct Prometheus {
    process: Option<Process>,
    folder: PathBuf,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts it on a port; `targets` are addresses with the path of their page.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub async fn start(port: u16, folder: &Path, targets: &[(SocketAddr, &str)]) -> Result<Self> {
        let jobs = targets.iter().enumerate().map(|(number, (address, path))| {
            json!({
                "job_name": format!("job-{number}"),
                "metrics_path": path,
                "static_configs": [{ "targets": [address.to_string()] }],
            })
        });
        let config = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s" },
            "scrape_configs": jobs.collect::<Vec<_>>(),
        });
        // JSON is YAML too.
        std::fs::write(folder.join("prometheus.yaml"), config.to_string())?;
        let mut prometheus =
            Self { process: None, folder: folder.to_path_buf(), address: ports::loopback(port) };
        prometheus.restart().await?;
        Ok(prometheus)
    }

    /// Starts it again, with what it had stored.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> Result<()> {
        let mut command = Command::new(tool("prometheus")?);
        command.arg(format!("--config.file={}", self.folder.join("prometheus.yaml").display()));
        command.arg(format!("--storage.tsdb.path={}", self.folder.join("prometheus").display()));
        command.arg(format!("--web.listen-address={}", self.address)).arg("--log.level=warn");
        let process = Process::start("prometheus", command, &self.folder.join("prometheus.log"))?;
        ready(self.process.insert(process), self.address, "/-/ready").await
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it had to be killed.
    pub fn stop(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.terminate().map(drop))
    }
}

/// A running Alertmanager that tells nobody.
#[derive(Debug)]
pub struct Alertmanager {
    _process: Process,
    address: SocketAddr,
    client: Client,
}

impl Alertmanager {
    /// Starts it.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub async fn start(folder: &Path) -> Result<Self> {
        let config = folder.join("alertmanager.yaml");
        std::fs::write(&config, r#"{"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}"#)?;
        let address = ports::loopback(ports::free()?);
        let mut command = Command::new(tool("alertmanager").or_else(|_| tool("prometheus-alertmanager"))?);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.path={}", folder.join("alertmanager").display()));
        command.arg(format!("--web.listen-address={address}")).arg("--cluster.listen-address=");
        let mut process = Process::start("alertmanager", command, &folder.join("alertmanager.log"))?;
        ready(&mut process, address, "/-/ready").await?;
        Ok(Self { _process: process, address, client: Client::default() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The labels of the alerts that fire now.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn firing(&self) -> Result<Vec<Value>> {
        let answer = self.client.get(self.address, "/api/v2/alerts?active=true", &[]).await?;
        ensure!(answer.status.is_success(), "{} {}", answer.status, answer.text());
        let alerts: Vec<Value> = serde_json::from_slice(&answer.body)?;
        Ok(alerts.into_iter().filter_map(|mut alert| Some(alert.get_mut("labels")?.take())).collect())
    }
}

async fn ready(process: &mut Process, address: SocketAddr, path: &str) -> Result<()> {
    let client = Client::default();
    let ready = wait::until("it to be ready", PATIENCE, || async {
        let answer = client.get(address, path, &[]).await?;
        ensure!(answer.status.is_success(), "{path} says {}", answer.text().trim());
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

/// Runs promtool with something on its standard input.
///
/// # Errors
/// When there is no promtool, or it cannot be run.
pub fn promtool(arguments: &[&str], input: &str) -> Result<Output> {
    let mut command = Command::new(tool("promtool")?);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("promtool")?;
    let mut stdin = child.stdin.take().context("promtool's input")?;
    // Whoever takes a file reads no input and may close it.
    std::io::Write::write_all(&mut stdin, input.as_bytes()).ok();
    drop(stdin);
    child.wait_with_output().context("promtool's answer")
}

/// In `$SERIN_PROMETHEUS`, or as scripts/get-prometheus left it, or on the PATH.
fn tool(name: &str) -> Result<PathBuf> {
    let given = std::env::var_os("SERIN_PROMETHEUS").map(PathBuf::from);
    let cached = artifacts::repository().join(".cache/prometheus");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = given.into_iter().chain([cached]).chain(std::env::split_paths(&path));
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .with_context(|| format!("there is no {name}: run scripts/test, or scripts/get-prometheus"))
}

/// What the page says: `/prometheus` for Prometheus, and `/v1/metrics`, `/v1/system/metrics` and the same of v2
/// as the applications would. `/hook` takes alerts, all but the first call.
#[derive(Debug)]
pub struct Page {
    address: SocketAddr,
    numbers: Arc<Numbers>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Numbers {
    begin: Instant,
    asked: AtomicU64,
    lost: Mutex<f64>,
    hooked: AtomicU64,
    told: Mutex<Vec<Value>>,
}

impl Page {
    /// Serves it on a free port.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(ports::loopback(ports::free()?)).await?;
        let address = listener.local_addr()?;
        let numbers = Arc::new(Numbers {
            begin: Instant::now(),
            asked: AtomicU64::new(0),
            lost: Mutex::new(1.0),
            hooked: AtomicU64::new(0),
            told: Mutex::default(),
        });
        let app = Router::new()
            .route("/prometheus", get(prometheus))
            .route("/hook", post(hook))
            .route("/{version}/metrics", get(traffic))
            .route("/{version}/system/metrics", get(system))
            .with_state(Arc::clone(&numbers));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.ok();
        });
        Ok(Self { address, numbers, server })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many carts v2 loses from now on; v1 loses one.
    pub fn lose(&self, carts: f64) {
        if let Ok(mut lost) = self.numbers.lost.lock() {
            *lost = carts;
        }
    }

    /// The name and status of each alert that came to the hook, in their order.
    pub fn told(&self) -> Vec<(String, String)> {
        let told = self.numbers.told.lock().map(|told| told.clone()).unwrap_or_default();
        let text = |alert: &Value, path: &str| {
            alert.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        told.iter().map(|alert| (text(alert, "/labels/alertname"), text(alert, "/status"))).collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A tenth of a core for v1 and a fifth for v2, as cAdvisor would count it.
async fn prometheus(State(numbers): State<Arc<Numbers>>) -> String {
    let seconds = numbers.begin.elapsed().as_secs_f64();
    let lost = numbers.lost.lock().map_or(0.0, |lost| *lost);
    let mut text = String::new();
    for (version, cores, bytes, lost) in [("v1", 0.1, 100e6, 1.0), ("v2", 0.2, 200e6, lost)] {
        let pod = format!("namespace=\"default\",pod=\"shop-{version}-0\"");
        text.push_str(&format!("container_cpu_usage_seconds_total{{{pod}}} {}\n", cores * seconds));
        text.push_str(&format!("container_memory_usage_bytes{{{pod}}} {bytes}\n"));
        text.push_str(&format!("carts_lost{{version=\"{version}\"}} {lost}\n"));
    }
    text
}

/// Ten requests more each time that somebody asks.
async fn traffic(State(numbers): State<Arc<Numbers>>) -> axum::Json<Value> {
    let requests = 10 * (1 + numbers.asked.fetch_add(1, Ordering::Relaxed));
    axum::Json(json!({
        "requests_total": requests, "errors_total": 0, "latency_histogram": [0.1, 0.2],
        "custom": { "carts": 7.0 },
    }))
}

/// Is not up yet when it is called for the first time.
async fn hook(State(numbers): State<Arc<Numbers>>, axum::Json(body): axum::Json<Value>) -> StatusCode {
    if numbers.hooked.fetch_add(1, Ordering::Relaxed) == 0 {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if let (Ok(mut told), Some(alerts)) = (numbers.told.lock(), body["alerts"].as_array()) {
        told.extend(alerts.iter().cloned());
    }
    StatusCode::OK
}

/// v2 says nothing about its own machine.
async fn system(UrlPath(version): UrlPath<String>) -> axum::Json<Value> {
    axum::Json(if version == "v1" { json!({ "cpu_percent": 42.0 }) } else { json!({}) })
}
