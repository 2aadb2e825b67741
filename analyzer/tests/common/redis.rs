//! A real redis-server for one test program, which ends with it.

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

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
