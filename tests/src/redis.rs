//! A real redis-server, and a relay before it that can be slow, silent, closed, or lead elsewhere.

use crate::process::Process;
use crate::{artifacts, ports, wait};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running redis-server with its data in a folder of its own.
#[derive(Debug)]
pub struct Redis {
    /// The process, to kill or freeze; none while it is down.
    process: Option<Process>,
    port: u16,
    folder: PathBuf,
    options: Vec<String>,
}

impl Redis {
    /// Starts a server that writes every change to its file before it answers.
    ///
    /// # Errors
    /// When it does not start; with the end of its log.
    pub async fn start(folder: &Path, name: &str, more: &[&str]) -> Result<Self> {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        let options = more.iter().map(|&option| option.to_owned()).collect();
        let mut redis = Self { process: None, port: ports::free()?, folder, options };
        redis.restart().await?;
        Ok(redis)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it again, on what its files kept.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.process = None;
        let mut command = Command::new(artifacts::redis()?.join("redis-server"));
        command.current_dir(&self.folder);
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]).args(&self.options);
        let process = Process::start("redis-server", command, &self.folder.join("redis.log"))?;
        self.process = Some(process);
        let this = &*self;
        wait::until("redis-server to answer", PATIENCE, || async move {
            let answer = this.ask(&["PING"])?;
            ensure!(answer.trim() == "PONG", "{answer}");
            Ok(())
        })
        .await
    }

    /// The process.
    ///
    /// # Errors
    /// While it is down.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("redis-server is down")
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When it is down already.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.take().context("redis-server is down")?.kill9()
    }

    /// What redis-cli says to a command.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(artifacts::redis()?.join("redis-cli"));
        let output = command.args(["-p", &self.port.to_string()]).args(words).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// How a relay treats its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To this port, each piece of an answer so much later.
    To(u16, Duration),
    /// Nowhere: connections end, and new ones are ended at once.
    Closed,
    /// Nowhere: connections stay, and nothing comes.
    Silent,
}

/// A port that leads to Redis, as long as one lets it.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    way: watch::Sender<Way>,
    passed: Arc<AtomicU64>,
}

impl Relay {
    /// Begins to listen.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(to: u16) -> Result<Self> {
        let port = ports::free()?;
        let listener = TcpListener::bind(ports::loopback(port)).await.context("the relay's port")?;
        let (way, ways) = watch::channel(Way::To(to, Duration::ZERO));
        let passed = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&passed);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, ways.clone(), Arc::clone(&counter)));
            }
        });
        Ok(Self { port, way, passed })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on; connections of another way end, but for those that only become slow or silent.
    pub fn turn(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Bytes of answers that were passed on.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

/// One connection's life; however it ends, both sides are closed.
async fn relay(client: TcpStream, mut ways: watch::Receiver<Way>, passed: Arc<AtomicU64>) {
    let mut way = *ways.borrow_and_update();
    let target = loop {
        match way {
            Way::To(port, _) => break port,
            Way::Closed => return,
            Way::Silent => {
                if ways.changed().await.is_err() {
                    return;
                }
                way = *ways.borrow_and_update();
            }
        }
    };
    let Ok(server) = TcpStream::connect(ports::loopback(target)).await else { return };
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let there = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let delay = match way {
            Way::To(port, delay) if port == target => delay,
            Way::To(..) | Way::Closed => break,
            Way::Silent => {
                if ways.changed().await.is_err() {
                    break;
                }
                way = *ways.borrow_and_update();
                continue;
            }
        };
        tokio::select! {
            changed = ways.changed() => {
                if changed.is_err() {
                    break;
                }
                way = *ways.borrow_and_update();
            }
            read = from_server.read(&mut buffer) => {
                let Ok(count @ 1..) = read else { break };
                tokio::time::sleep(delay).await;
                if to_client.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
                passed.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
    }
    there.abort();
}

/// Fails unless the text has the number after the name, as INFO writes them.
///
/// # Errors
/// When there is no such line.
pub fn number(info: &str, name: &str) -> Result<u64> {
    let line = info.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    match line {
        Some(line) => line.parse().with_context(|| format!("{name}:{line}")),
        None => bail!("no {name} in {info}"),
    }
}
