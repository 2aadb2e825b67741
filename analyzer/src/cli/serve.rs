//! `serin serve`: the program's life. Everything that can be wrong is found before it starts; SIGHUP
//! reads the configuration again; SIGTERM and SIGINT store everything and end it.

use super::Failure;
use crate::api::{self, Shared, Tokens};
use crate::config::{Configuration, Server};
use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::module::Module;
use crate::store::Redb;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Args)]
pub(super) struct Serve {
    /// The configuration: YAML documents of kind Serin and Canary
    #[arg(long, env = "SERIN_CONFIG")]
    config: PathBuf,
    /// How log lines look
    #[arg(long, env = "SERIN_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
    /// Which log lines are written, as in info or serin=debug
    #[arg(long, env = "SERIN_LOG", default_value = "info")]
    log: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// For collectors
    Json,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        start_log(&self.log, self.log_format)?;
        let configuration =
            Configuration::load(&self.config).map_err(|error| Failure::Wrong(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Failed(format!("the runtime does not start: {error}")))?;
        runtime.block_on(serve(&self.config, configuration))
    }
}

fn start_log(filter: &str, format: LogFormat) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|error| Failure::Wrong(format!("--log {filter}: {error}")))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let log = log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

async fn serve(path: &Path, configuration: Configuration) -> Result<(), Failure> {
    let server = configuration.server.clone();
    let (store, module) = open(&server)?;
    let metrics = Metrics::new().map_err(|error| Failure::Failed(error.to_string()))?;
    let metrics = Arc::new(metrics);
    let listener = TcpListener::bind(server.listen)
        .await
        .map_err(|error| Failure::Failed(format!("cannot listen on {}: {error}", server.listen)))?;
    let mut stop =
        Stop::new().map_err(|error| Failure::Failed(format!("signals cannot be caught: {error}")))?;
    let hangup = signal(SignalKind::hangup())
        .map_err(|error| Failure::Failed(format!("signals cannot be caught: {error}")))?;
    let engine = Engine::start(configuration, store, Arc::clone(&metrics))
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let tokens = Arc::new(RwLock::new(Tokens::of(&server)));
    let reloading = tokio::spawn(reload_on(
        hangup,
        path.to_owned(),
        engine.clone(),
        Arc::clone(&tokens),
        Arc::clone(&metrics),
    ));
    let app = api::router(Shared { engine: engine.clone(), metrics, module: Arc::new(module), tokens });
    tracing::info!(listen = %server.listen, store = %server.redb.display(), "serving");
    let served = axum::serve(listener, app).with_graceful_shutdown(async move { stop.wait().await }).await;
    reloading.abort();
    engine.stop().await;
    tracing::info!("stopped");
    served.map_err(|error| Failure::Failed(format!("serving failed: {error}")))
}

fn open(server: &Server) -> Result<(Redb, Module), Failure> {
    let store = Redb::open(&server.redb)
        .map_err(|error| Failure::Failed(format!("{}: {error}", server.redb.display())))?;
    let module = Module::load(server.wasm.as_deref())
        .map_err(|error| Failure::Failed(format!("the wasm module cannot be read: {error}")))?;
    Ok((store, module))
}

/// A new configuration replaces the old one as a whole, or the old one stays and the log says why.
async fn reload_on(
    mut hangup: Signal,
    path: PathBuf,
    engine: Engine,
    tokens: Arc<RwLock<Tokens>>,
    metrics: Arc<Metrics>,
) {
    while hangup.recv().await.is_some() {
        let read = Configuration::load(&path).map_err(|error| error.to_string());
        let applied = match read {
            Ok(configuration) => {
                let new = Tokens::of(&configuration.server);
                engine.reload(configuration).await.map(|()| new)
            }
            Err(error) => Err(error),
        };
        let result = match applied {
            Ok(new) => {
                match tokens.write() {
                    Ok(mut held) => *held = new,
                    Err(poisoned) => *poisoned.into_inner() = new,
                }
                tracing::info!("configuration read again");
                "applied"
            }
            Err(problem) => {
                tracing::error!(%problem, "new configuration refused as a whole; the old one stays");
                "refused"
            }
        };
        metrics.reloads.with_label_values(&[result]).inc();
    }
}

struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("stopping");
    }
}
