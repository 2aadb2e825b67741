//! A real redis-server for one test program, which ends with it.
#![allow(dead_code, reason = "each test program uses a part of it")]

use crate::common::free;
use serin::metrics::Metrics;
use serin::store::{Redis, RedisSettings};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    _folder: tempfile::TempDir,
}

/// The folder of redis-server: SERIN_REDIS, or where scripts/get-redis puts it.
fn programs() -> PathBuf {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../.cache/redis");
    let folder = std::env::var_os("SERIN_REDIS").map_or_else(|| PathBuf::from(kept), PathBuf::from);
    assert!(
        folder.join("redis-server").is_file(),
        "this test needs redis-server: run `export SERIN_REDIS=$(scripts/get-redis | tail -n 1)`"
    );
    folder
}

impl Server {
    pub(crate) fn start(more: &[&str]) -> Self {
        let port = free().port().to_string();
        Self::listening(&port, &[&["--port", &port], more].concat())
    }

    /// Over TLS alone, with the pair and the authority of these files.
    pub(crate) fn start_tls(certificate: &Path, key: &Path, authority: &Path, more: &[&str]) -> Self {
        let port = free().port().to_string();
        let [certificate, key, authority] =
            [certificate, key, authority].map(|file| file.to_str().expect("UTF-8"));
        let tls = ["--port", "0", "--tls-port", &port, "--tls-cert-file", certificate, "--tls-key-file", key];
        let trust = ["--tls-ca-cert-file", authority, "--tls-auth-clients", "no"];
        Self::listening(&port, &[&tls[..], &trust, more].concat())
    }

    fn listening(port: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = port.parse().expect("a port");
        let child = Command::new(programs().join("redis-server"))
            .args(["--bind", "127.0.0.1", "--save", ""])
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("starts");
        let server = Self { child, port, _folder: folder };
        let begin = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(30), "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub(crate) fn settings(&self, prefix: &str) -> RedisSettings {
        use redis::IntoConnectionInfo;
        let shown = format!("redis://127.0.0.1:{}", self.port);
        RedisSettings {
            info: shown.as_str().into_connection_info().expect("a URL"),
            shown,
            password_file: None,
            ca_file: None,
            prefix: prefix.to_owned(),
            timeout: Duration::from_secs(5),
            lease: Duration::from_secs(5),
            replicas: 0,
        }
    }

    /// A store of its own in this server.
    pub(crate) fn store(&self, prefix: &str) -> Redis {
        let metrics = Metrics::new().expect("metrics");
        Redis::open(self.settings(prefix), metrics.store.clone()).expect("opens")
    }

    /// Whatever one may ask of Redis.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).expect("a URL");
        let mut connection = client.get_connection().expect("connects");
        let (name, rest) = words.split_first().expect("a command");
        redis::cmd(name).arg(rest).query(&mut connection).expect("answers")
    }
}

/// Two nodes of a cluster, each with half of the slots.
pub(crate) struct Cluster {
    nodes: [Server; 2],
}

/// A cluster's number of slots.
const SLOTS: u64 = 16_384;

impl Cluster {
    pub(crate) fn start() -> Self {
        let bus: [String; 2] = std::array::from_fn(|_| free().port().to_string());
        let node = |bus: &str| Server::start(&["--cluster-enabled", "yes", "--cluster-port", bus]);
        let nodes = [node(&bus[0]), node(&bus[1])];
        let slots = [(0, SLOTS / 2 - 1), (SLOTS / 2, SLOTS - 1)];
        for (place, (node, (first, last))) in nodes.iter().zip(slots).enumerate() {
            let _: String = node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(place + 1).to_string()]);
            let _: String = node.ask(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
        }
        let _: String = nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &nodes[1].port.to_string(), &bus[1]]);
        let begin = Instant::now();
        while !nodes.iter().all(|node| node.ask::<String>(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        {
            assert!(begin.elapsed() < Duration::from_secs(60), "the nodes do not find each other");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { nodes }
    }

    fn slot(&self, prefix: &str) -> u64 {
        self.nodes[0].ask(&["CLUSTER", "KEYSLOT", &format!("{{{prefix}}}:format")])
    }

    /// The node that has a prefix's slot at first, and the other one.
    pub(crate) fn nodes_of(&self, prefix: &str) -> (&Server, &Server) {
        let [low, high] = &self.nodes;
        if self.slot(prefix) < SLOTS / 2 { (low, high) } else { (high, low) }
    }

    /// Moves a prefix's slot, with all that is in it, from a node to another; `halfway` is done while the slot is on
    /// its way.
    pub(crate) fn migrate(&self, prefix: &str, (from, to): (&Server, &Server), halfway: impl Fn()) {
        let slot = self.slot(prefix).to_string();
        let id = |node: &Server| node.ask::<String>(&["CLUSTER", "MYID"]);
        let set = |node: &Server, what: &str, other: &str| {
            let _: String = node.ask(&["CLUSTER", "SETSLOT", &slot, what, other]);
        };
        set(to, "IMPORTING", &id(from));
        set(from, "MIGRATING", &id(to));
        let mut is_first = true;
        loop {
            let keys: Vec<String> = from.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "3"]);
            if keys.is_empty() {
                break;
            }
            let port = to.port.to_string();
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            let _: String = from.ask(&words);
            if std::mem::take(&mut is_first) {
                halfway();
            }
        }
        set(to, "NODE", &id(to));
        set(from, "NODE", &id(to));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
