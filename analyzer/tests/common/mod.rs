//! What the tests of the running program share: a folder with a configuration, and a process in it.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod web;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) const ROUTES: &str = r#"resources:
  - virtual_hosts:
      - routes:
          - match: {prefix: /, headers: [{name: x-canary, string_match: {exact: "true"}}]}
            route: {cluster: shop-canary}
          - match: {prefix: /, headers: [{name: x-canary, string_match: {exact: "false"}}]}
            route: {cluster: shop-stable}
          - match: {prefix: /}
            route: {weighted_clusters: {clusters: [{name: shop-stable, weight: 100}, {name: shop-canary, weight: 0}]}}
"#;

pub(crate) fn serin(folder: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_serin");
    Command::new(program).args(arguments).current_dir(folder).output().expect("runs")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An address that nobody listens on; each call gives another. It lies below the ports that the system
/// gives to clients, and is tried without listening: processes that other tests start at this moment hold
/// copies of our sockets for a while, and a listening copy would keep the port.
pub(crate) fn free() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(2_654_435_761) >> 8;
    let mut candidates = std::iter::repeat_with(|| {
        let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        SocketAddr::from((Ipv4Addr::LOCALHOST, 2_000 + offset as u16))
    });
    let is_free = |address: &SocketAddr| {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("a shared address");
        socket.bind(*address).is_ok()
    };
    candidates.by_ref().take(1000).find(is_free).expect("a free port among a thousand")
}

/// A folder with a configuration and its route file, and where it listens.
pub(crate) fn folder(server: &str) -> (tempfile::TempDir, SocketAddr) {
    let folder = tempfile::tempdir().expect("a folder");
    let free = free();
    std::fs::write(folder.path().join("routes.yaml"), ROUTES).expect("written");
    let config = format!(
        r#"apiVersion: serin.dev/v1alpha1
kind: Serin
spec: {{listen: "{free}", store: {{redb: serin.redb}}{server}}}
---
apiVersion: serin.dev/v1alpha1
kind: Canary
metadata: {{name: shop}}
spec:
  stableVersion: v1
  canaryVersion: v2
  hosts: [shop]
  router: {{envoyRoutes: {{path: routes.yaml, stableCluster: shop-stable, canaryCluster: shop-canary}}}}
  ramp: {{analysisInterval: 1s}}
  limits: {{maxErrorRate: 5}}
"#
    );
    std::fs::write(folder.path().join("serin.yaml"), config).expect("written");
    (folder, free)
}

pub(crate) fn edit(folder: &Path, from: &str, to: &str) {
    let path = folder.join("serin.yaml");
    let old = std::fs::read_to_string(&path).expect("read");
    assert!(old.contains(from), "{from}");
    std::fs::write(path, old.replace(from, to)).expect("written");
}

/// A running analyzer; ended when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Running {
    pub(crate) fn start(folder: &Path, address: SocketAddr) -> Self {
        let running = Self::spawn(folder, address, &[]);
        running.until("it is ready", || {
            running.call("GET", "/readyz", "", "").is_some_and(|(code, _)| code == 200)
        });
        running
    }

    /// Started, with these environment variables; maybe not ready yet.
    pub(crate) fn spawn(folder: &Path, address: SocketAddr, environment: &[(&str, &str)]) -> Self {
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_serin"))
            .args(["serve", "--config", "serin.yaml"])
            .current_dir(folder)
            .envs(environment.iter().copied())
            .stderr(Stdio::from(log))
            .spawn()
            .expect("starts");
        Self { child, address }
    }

    /// As [`Self::spawn`], with so many open files allowed.
    pub(crate) fn spawn_with_files(folder: &Path, address: SocketAddr, files: usize) -> Self {
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        let child = Command::new("sh")
            .args(["-c", r#"ulimit -n "$1"; exec "$0" serve --config serin.yaml"#])
            .arg(env!("CARGO_BIN_EXE_serin"))
            .arg(files.to_string())
            .current_dir(folder)
            .stderr(Stdio::from(log))
            .spawn()
            .expect("starts");
        Self { child, address }
    }

    pub(crate) fn until(&self, what: &str, so: impl Fn() -> bool) {
        let begin = Instant::now();
        while !so() {
            assert!(begin.elapsed() < Duration::from_secs(60), "waited too long until {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Status code and body; none while nobody listens.
    pub(crate) fn call(&self, method: &str, path: &str, token: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        let length = body.len();
        let authorization =
            if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{authorization}content-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).ok()?;
        // A server that refuses a body by its length alone may close before all of it is sent.
        drop(stream.write_all(body.as_bytes()));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer);
        let code = answer.split(' ').nth(1)?.parse().ok()?;
        Some((code, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    pub(crate) fn code(&self, method: &str, path: &str, token: &str, body: &str) -> u16 {
        self.call(method, path, token, body).expect("an answer").0
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([name, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
