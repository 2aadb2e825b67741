//! A real Envoy, run with the very files of envoy/, in which only ports, paths and the token are put in
//! another's place.

use crate::http::Client;
use crate::process::Process;
use crate::{artifacts, ports, wait};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// One Envoy's settings.
#[derive(Debug, Clone)]
pub struct EnvoyOptions {
    /// Names it in reports and names its files.
    pub node: String,
    /// Worker threads.
    pub workers: u32,
    /// The folder for its bootstrap and its log.
    pub folder: PathBuf,
    /// The route file. Its folder is watched.
    pub routes: PathBuf,
    /// The stable shop's port.
    pub stable_port: u16,
    /// The canary shop's port.
    pub canary_port: u16,
    /// The analyzer's port.
    pub analyzer_port: u16,
    /// What the filter shows the analyzer.
    pub token: Option<String>,
    /// Whether clients talk to it directly.
    pub edge: bool,
    /// Further replacements in the bootstrap: what stands there exactly once, and what comes instead, in which
    /// `STABLE_PORT` and `CANARY_PORT` are the shops' ports.
    pub edits: Vec<(String, String)>,
}

/// Where an Envoy's bootstrap makes it listen, on loopback.
#[derive(Debug, Clone, Copy)]
pub struct EnvoyPorts {
    /// For requests.
    pub requests: u16,
    /// For questions about itself.
    pub admin: u16,
}

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    /// The process, to freeze or kill.
    pub process: Process,
    node: String,
    workers: u32,
    address: SocketAddr,
    admin: SocketAddr,
    client: Client,
}

impl Envoy {
    /// Starts an Envoy and waits until it takes requests.
    ///
    /// # Errors
    /// When a part is missing or Envoy refuses its bootstrap; with the end of its log.
    pub async fn start(options: &EnvoyOptions) -> Result<Self> {
        let (port, admin_port) = (ports::free()?, ports::free()?);
        let bootstrap = render(options, port, admin_port, &artifacts::filter()?)?;
        let ports = EnvoyPorts { requests: port, admin: admin_port };
        Self::with_bootstrap(&options.node, options.workers, &options.folder, &bootstrap, ports).await
    }

    /// Starts an Envoy with any bootstrap, which goes into `folder`, and waits until it says that it is ready.
    ///
    /// # Errors
    /// When Envoy refuses its bootstrap; with the end of its log.
    pub async fn with_bootstrap(
        node: &str,
        workers: u32,
        folder: &Path,
        bootstrap: &str,
        ports: EnvoyPorts,
    ) -> Result<Self> {
        let file = folder.join(format!("{node}.yaml"));
        std::fs::write(&file, bootstrap).with_context(|| file.display().to_string())?;
        let mut command = Command::new(artifacts::envoy()?);
        command
            .args(["--disable-hot-restart", "--log-level", "warning"])
            .args(["--component-log-level", "wasm:info"])
            .args(["--concurrency", &workers.to_string()])
            .arg("--config-path")
            .arg(&file);
        let process = Process::start(node, command, &folder.join(format!("{node}.log")))?;
        let mut envoy = Self {
            process,
            node: node.to_owned(),
            workers,
            address: ports::loopback(ports.requests),
            admin: ports::loopback(ports.admin),
            client: Client::default(),
        };
        envoy.wait_until_ready().await?;
        Ok(envoy)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let (client, admin) = (self.client.clone(), self.admin);
        let ready = wait::until("Envoy to be ready", PATIENCE, || async {
            let answer = client.get(admin, "/ready", &[]).await?;
            ensure!(answer.status.is_success(), "/ready says {}", answer.text().trim());
            Ok(())
        });
        let process = &mut self.process;
        tokio::select! {
            ready = ready => ready.with_context(|| process.log_tail()),
            ended = ended(process) => ended,
        }
    }

    /// Its name in reports.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Its worker threads.
    pub fn workers(&self) -> u32 {
        self.workers
    }

    /// Where it takes requests.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers about itself.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its counters and gauges, by name.
    ///
    /// # Errors
    /// When the admin port does not answer.
    pub async fn stats(&self) -> Result<BTreeMap<String, u64>> {
        let text = self.client.get(self.admin, "/stats", &[]).await?.text();
        let pairs = text.lines().filter_map(|line| line.rsplit_once(": "));
        Ok(pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    /// What it shows Prometheus, by name and labels.
    ///
    /// # Errors
    /// When the admin port does not answer.
    pub async fn prometheus(&self) -> Result<BTreeMap<String, f64>> {
        Ok(parse_prometheus(&self.client.get(self.admin, "/stats/prometheus", &[]).await?.text()))
    }
}

/// The values of a Prometheus page, by name and labels as they stand there.
fn parse_prometheus(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

/// Comes back only when the process ends, as an error with its log.
async fn ended(process: &mut Process) -> Result<()> {
    loop {
        process.check_running()?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// envoy/envoy.yaml for this machine.
fn render(options: &EnvoyOptions, port: u16, admin_port: u16, filter: &Path) -> Result<String> {
    let template = artifacts::repository().join("envoy/envoy.yaml");
    let text = std::fs::read_to_string(&template).with_context(|| template.display().to_string())?;
    let routes_folder = options.routes.parent().context("the route file lies in no folder")?;
    let analyzer = r#"{"cluster": "serin", "authority": "serin""#;
    let token = match &options.token {
        Some(token) => format!(r#"{analyzer}, "token": "{token}""#),
        None => analyzer.to_owned(),
    };
    let edge = r#""edge": true"#;
    let replacements = [
        ("id: gateway-0", format!("id: {}", options.node)),
        ("address: 0.0.0.0, port_value: 10000", format!("address: 127.0.0.1, port_value: {port}")),
        ("port_value: 9901", format!("port_value: {admin_port}")),
        ("port_value: 8001", format!("port_value: {}", options.stable_port)),
        ("port_value: 8002", format!("port_value: {}", options.canary_port)),
        ("port_value: 9090", format!("port_value: {}", options.analyzer_port)),
        ("path: routes.yaml", format!("path: {}", options.routes.display())),
        ("path: . }", format!("path: {} }}", routes_folder.display())),
        ("filename: serin_filter.wasm", format!("filename: {}", filter.display())),
        (analyzer, token),
        (edge, format!(r#""edge": {}"#, options.edge)),
    ];
    let text = replace_all(&text, &replacements).with_context(|| template.display().to_string())?;
    let text = replace_all(&text, &options.edits).context("further edits of the bootstrap")?;
    let ports = [("STABLE_PORT", options.stable_port), ("CANARY_PORT", options.canary_port)];
    Ok(ports.into_iter().fold(text, |text, (name, port)| text.replace(name, &port.to_string())))
}

/// Every literal must be there exactly once, or the tests would run something else than what users run.
fn replace_all(text: &str, replacements: &[(impl AsRef<str>, String)]) -> Result<String> {
    let mut text = text.to_owned();
    for (literal, value) in replacements {
        let literal = literal.as_ref();
        let found = text.matches(literal).count();
        ensure!(found == 1, "`{literal}` stands in it {found} times instead of once");
        text = text.replace(literal, value);
    }
    Ok(text)
}

/// Copies envoy/routes.yaml to where Envoy and the analyzer shall share it: as it is, but for edits as those
/// of the bootstrap.
///
/// # Errors
/// When an edit does not fit, or the folder cannot be written.
pub fn copy_routes(to: &Path, edits: &[(String, String)]) -> Result<()> {
    let template = artifacts::repository().join("envoy/routes.yaml");
    let text = std::fs::read_to_string(&template).with_context(|| template.display().to_string())?;
    let text = replace_all(&text, edits).context("edits of the routes")?;
    std::fs::write(to, text).with_context(|| to.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(token: Option<&str>) -> EnvoyOptions {
        EnvoyOptions {
            node: "gateway-7".to_owned(),
            workers: 1,
            folder: PathBuf::new(),
            routes: PathBuf::from("/somewhere/routes/routes.yaml"),
            stable_port: 12_001,
            canary_port: 12_002,
            analyzer_port: 12_003,
            token: token.map(str::to_owned),
            edge: true,
            edits: vec![],
        }
    }

    #[test]
    fn the_users_bootstrap_has_every_place_that_the_tests_fill_in() {
        let text = render(&options(None), 12_004, 12_005, Path::new("/built/filter.wasm")).unwrap();
        for port in 12_001..=12_005 {
            assert_eq!(text.matches(&format!("port_value: {port} ")).count(), 1, "{port}");
        }
        assert!(text.contains("watched_directory: { path: /somewhere/routes }"), "{text}");
        assert!(text.contains("address: 127.0.0.1, port_value: 12004"), "{text}");
        assert!(!text.contains("0.0.0.0"), "the tests stay on this machine");
    }

    #[test]
    fn a_token_goes_into_the_filters_configuration() {
        let text = render(&options(Some("secret")), 12_004, 12_005, Path::new("f")).unwrap();
        let configuration = text.lines().find(|line| line.trim().starts_with(r#"{"analyzer""#)).unwrap();
        let configuration: serde_json::Value = serde_json::from_str(configuration.trim()).unwrap();
        assert_eq!(configuration["analyzer"]["token"], "secret");
    }
}
