//! `serin serve`: the program's life. Everything that can be wrong is found before it starts; SIGHUP
//! reads the configuration again; SIGTERM and SIGINT store everything and end it.

use super::Failure;
use super::serve_kubernetes::{self, InCluster};
use super::serve_shared;
use crate::api::{self, Shared, Tokens};
use crate::config::{Configuration, Server, StoreAt};
use crate::engine::{Backing, Engine};
use crate::metrics::Metrics;
use crate::module::Module;
use crate::replicas::Intake;
use crate::store::{Redb, Redis};
use crate::tls::{Certificate, Pair};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// `SIGXFSZ`: a file would become larger than the process may make one. The same number wherever this runs.
const SIGXFSZ: i32 = 25;

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
    /// Where everything is kept, in place of what spec.store says: a file, or redis://host:port or rediss://...
    #[arg(long, env = "SERIN_STORE", value_name = "FILE|URL")]
    store: Option<String>,
    #[command(flatten)]
    cluster: InCluster,
}

/// Where the configuration is read from, now and at each SIGHUP.
#[derive(Clone)]
pub(super) struct Origin {
    path: PathBuf,
    store: Option<String>,
}

impl Origin {
    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// A sentence with the file and the field's path.
    pub(super) fn load(&self) -> Result<Configuration, String> {
        let mut configuration = Configuration::load(&self.path).map_err(|error| error.to_string())?;
        if let Some(place) = &self.store {
            let store = configuration.server.store.moved_to(place);
            configuration.server.store =
                store.map_err(|error| format!("--store {place}: {}", error.message))?;
        }
        Ok(configuration)
    }
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
        let origin = Origin { path: self.config, store: self.store };
        let configuration = origin.load().map_err(Failure::Wrong)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Failed(format!("the runtime does not start: {error}")))?;
        let is_shared = matches!(configuration.server.store, StoreAt::Redis(_));
        match (self.cluster.is_wanted(), is_shared) {
            (true, _) => runtime.block_on(serve_kubernetes::serve(&self.cluster, &origin, configuration)),
            (false, true) => runtime.block_on(serve_shared::serve(&self.cluster, &origin, configuration)),
            (false, false) => runtime.block_on(serve(&origin, configuration)),
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
    // A line that cannot be written (the disk is full) would be complained of on the same stream, and that panics.
    let log = log.log_internal_errors(false);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

async fn serve(origin: &Origin, configuration: Configuration) -> Result<(), Failure> {
    let server = configuration.server.clone();
    let certificate = certificate(&server)?;
    let metrics = Metrics::new().map_err(|error| Failure::Failed(error.to_string()))?;
    let metrics = Arc::new(metrics);
    let store = open(&server, &metrics)?;
    let module = module(&server)?;
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
    let engine = Engine::start(configuration, store.backing(&metrics), Arc::clone(&metrics), None)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let tokens = Arc::new(RwLock::new(Tokens::of(&server)));
    let watching = certificate.clone().map(|certificate| tokio::spawn(certificate.watch()));
    let reload = Reload {
        origin: origin.clone(),
        engine: engine.clone(),
        tokens: Arc::clone(&tokens),
        certificate: certificate.clone(),
        metrics: Arc::clone(&metrics),
    };
    let reloading = tokio::spawn(reload.on(hangup));
    let app =
        api::router(Shared::new(engine.clone(), metrics, Arc::new(module), tokens, server.tls.is_some()));
    tracing::info!(listen = %server.listen, store = %server.store, tls = server.tls.is_some(), "serving");
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

/// A store that was opened.
pub(super) enum Opened {
    File(Redb),
    Redis(Redis),
}

impl Opened {
    /// What stands behind the engine; in Redis reports come in beside it.
    pub(super) fn backing(self, metrics: &Arc<Metrics>) -> Backing {
        match self {
            Self::File(store) => Arc::new(store).into(),
            Self::Redis(store) => {
                let intake = Intake::start(store.clone(), Arc::clone(metrics));
                Backing { store: Arc::new(store), intake: Some(intake), hold: None }
            }
        }
    }
}

pub(super) fn open(server: &Server, metrics: &Metrics) -> Result<Opened, Failure> {
    match &server.store {
        StoreAt::Redb(path) => Redb::open(path).map(Opened::File).map_err(|error| {
            let file = path.display();
            Failure::Failed(format!(
                "{file}: {error}; spec.store.redb must be a file of this version that no other serin has open, in \
                 a folder that this user may write"
            ))
        }),
        StoreAt::Redis(settings) => {
            let opened = Redis::open((**settings).clone(), metrics.store.clone());
            let told = |error| Failure::Failed(format!("{}: {error}", server.store));
            opened.map(Opened::Redis).map_err(told)
        }
    }
}

pub(super) fn module(server: &Server) -> Result<Module, Failure> {
    let module = Module::load(server.wasm.as_deref()).map_err(|error| {
        Failure::Failed(format!("the wasm module cannot be read: {error}; name a file in spec.wasm"))
    })?;
    // Beside a file there is a place for former modules; beside Redis there is none.
    let StoreAt::Redb(path) = &server.store else { return Ok(module) };
    let folder = path.with_extension("modules");
    module.keep_in(folder.clone()).map_err(|error| {
        let folder = folder.display();
        Failure::Failed(format!(
            "{folder}: {error}; the filter's modules are kept there: let this user write it"
        ))
    })
}

/// What a new configuration reaches.
struct Reload {
    origin: Origin,
    engine: Engine,
    tokens: Arc<RwLock<Tokens>>,
    certificate: Option<Certificate>,
    metrics: Arc<Metrics>,
}

impl Reload {
    async fn on(self, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            tell_of_reload(self.apply().await, &self.metrics);
        }
    }

    /// A new configuration replaces the old one as a whole, or the old one stays.
    async fn apply(&self) -> Result<(), String> {
        let configuration = self.origin.load()?;
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

/// Logs and counts what came of a new configuration.
pub(super) fn tell_of_reload(result: Result<(), String>, metrics: &Metrics) {
    let result = match result {
        Ok(()) => {
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

pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    pub(super) fn new() -> std::io::Result<Self> {
        // A file that may not grow is the store's trouble, which it survives. Unheard, the signal would end the
        // program; once asked for, it is heard for good.
        drop(signal(SignalKind::from_raw(SIGXFSZ))?);
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
