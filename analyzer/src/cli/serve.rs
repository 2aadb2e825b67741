//! `serin serve`: the program's life. Everything that can be wrong is found before it starts; SIGHUP
//! reads the configuration again; SIGTERM and SIGINT store everything and end it.

use super::Failure;
use super::serve_kubernetes::{self, InCluster};
use crate::api::{self, Shared, Tokens};
use crate::config::{Configuration, Server};
use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::module::Module;
use crate::store::Redb;
use crate::tls::{Certificate, Pair};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Args)]
pub(super) struct Serve {
    /// The configuration: YAML documents of kind Serin, Canary and Experiment
    #[arg(long, env = "SERIN_CONFIG")]
    config: PathBuf,
    /// How log lines look
    #[arg(long, env = "SERIN_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
    /// Which log lines are written, as in info or serin=debug
    #[arg(long, env = "SERIN_LOG", default_value = "info")]
    log: String,
    #[command(flatten)]
    cluster: InCluster,
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
        match self.cluster.is_wanted() {
            true => runtime.block_on(serve_kubernetes::serve(&self.cluster, &self.config, configuration)),
            false => runtime.block_on(serve(&self.config, configuration)),
        }
    }
}

fn start_log(filter: &str, format: LogFormat) -> Result<(), Failure> {
    // The audit is written whatever else is asked for; failed calls of the API server we log ourselves.
    let always = format!("{}=info,kube_client::client::builder=off", api::AUDIT);
    let filter = tracing_subscriber::EnvFilter::try_new(format!("{filter},{always}"))
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
    let certificate = certificate(&server)?;
    let (store, module) = open(&server)?;
    let metrics = Metrics::new().map_err(|error| Failure::Failed(error.to_string()))?;
    let metrics = Arc::new(metrics);
    let listener = TcpListener::bind(server.listen).await.map_err(|error| {
        Failure::Failed(format!(
            "cannot listen on {}: {error}; end what has that port or change spec.listen",
            server.listen
        ))
    })?;
    let mut stop =
        Stop::new().map_err(|error| Failure::Failed(format!("signals cannot be caught: {error}")))?;
    let hangup = signal(SignalKind::hangup())
        .map_err(|error| Failure::Failed(format!("signals cannot be caught: {error}")))?;
    let engine = Engine::start(configuration, Arc::new(store), Arc::clone(&metrics), None)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let tokens = Arc::new(RwLock::new(Tokens::of(&server)));
    let watching = certificate.clone().map(|certificate| tokio::spawn(certificate.watch()));
    let reload = Reload {
        path: path.to_owned(),
        engine: engine.clone(),
        tokens: Arc::clone(&tokens),
        certificate: certificate.clone(),
        metrics: Arc::clone(&metrics),
    };
    let reloading = tokio::spawn(reload.on(hangup));
    let app =
        api::router(Shared::new(engine.clone(), metrics, Arc::new(module), tokens, server.tls.is_some()));
    tracing::info!(listen = %server.listen, store = %server.redb.display(), tls = server.tls.is_some(), "serving");
    api::serve(listener, certificate, app, stop.wait()).await;
    reloading.abort();
    if let Some(watching) = watching {
        watching.abort();
    }
    engine.stop().await;
    tracing::info!("stopped");
    Ok(())
}

pub(super) fn certificate(server: &Server) -> Result<Option<Certificate>, Failure> {
    let Some(files) = &server.tls else { return Ok(None) };
    let pair =
        Pair::load(files).map_err(|error| Failure::Wrong(format!("spec.tls.{}: {error}", error.field())))?;
    Ok(Some(Certificate::new(files.clone(), pair)))
}

pub(super) fn open(server: &Server) -> Result<(Redb, Module), Failure> {
    let store = Redb::open(&server.redb).map_err(|error| {
        let file = server.redb.display();
        Failure::Failed(format!(
            "{file}: {error}; spec.store.redb must be a file of this version that no other serin has open, in a \
             folder that this user may write"
        ))
    })?;
    let module = Module::load(server.wasm.as_deref()).map_err(|error| {
        Failure::Failed(format!("the wasm module cannot be read: {error}; name a file in spec.wasm"))
    })?;
    let folder = server.redb.with_extension("modules");
    let module = module.keep_in(folder.clone()).map_err(|error| {
        let folder = folder.display();
        Failure::Failed(format!(
            "{folder}: {error}; the filter's modules are kept there: let this user write it"
        ))
    })?;
    Ok((store, module))
}

/// What a new configuration reaches.
struct Reload {
    path: PathBuf,
    engine: Engine,
    tokens: Arc<RwLock<Tokens>>,
    certificate: Option<Certificate>,
    metrics: Arc<Metrics>,
}

impl Reload {
    async fn on(self, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            let result = match self.apply().await {
                Ok(()) => {
                    tracing::info!("configuration read again");
                    "applied"
                }
                Err(problem) => {
                    tracing::error!(%problem, "new configuration refused as a whole; the old one stays");
                    "refused"
                }
            };
            self.metrics.reloads.with_label_values(&[result]).inc();
        }
    }

    /// A new configuration replaces the old one as a whole, or the old one stays.
    async fn apply(&self) -> Result<(), String> {
        let configuration = Configuration::load(&self.path).map_err(|error| error.to_string())?;
        let server = configuration.server.clone();
        if server.tls.is_some() != self.certificate.is_some() {
            return Err("spec.tls cannot come or go while the program runs: restart it".into());
        }
        self.engine.reload(configuration).await?;
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Tokens::of(&server);
        if let (Some(certificate), Some(files)) = (&self.certificate, server.tls) {
            certificate.moved_to(files);
        }
        Ok(())
    }
}

pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("stopping");
    }
}
