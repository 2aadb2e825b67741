//! `serin serve` with Redis and without Kubernetes: every analyzer takes reports; the one with the lock decides,
//! writes weights and answers everything else, the others pass it on.

use super::Failure;
use super::life::Life;
use super::serve::{Opened, Origin, Stop, certificate, module, open, tell_of_reload};
use super::serve_kubernetes::InCluster;
use crate::api::{self, Shared, Taking, Tokens};
use crate::config::Configuration;
use crate::engine::{Backing, Engine};
use crate::kubernetes::Denials;
use crate::metrics::Metrics;
use crate::module::Module;
use crate::replicas::{Election, Front, Hold, Term, front};
use crate::store::Lock;
use crate::tls::Certificate;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

pub(super) async fn serve(
    options: &InCluster,
    origin: &Origin,
    configuration: Configuration,
) -> Result<(), Failure> {
    let server = configuration.server.clone();
    let who = {
        let address = options.advertised(&server)?;
        Lock { name: format!("{address} ({})", std::process::id()), address }
    };
    let certificate = certificate(&server)?;
    let metrics = Arc::new(Metrics::new().map_err(|error| Failure::Failed(error.to_string()))?);
    let Opened::Redis(redis) = open(&server, &metrics)? else {
        return Err(Failure::Failed("this store is not shared".into()));
    };
    let module = Arc::new(module(&server)?);
    let listener = TcpListener::bind(server.listen)
        .await
        .map_err(|error| Failure::Failed(format!("cannot listen on {}: {error}", server.listen)))?;
    let caught = |error| Failure::Failed(format!("signals cannot be caught: {error}"));
    let signals = Stop::new().map_err(caught)?;
    let hangup = signal(SignalKind::hangup()).map_err(caught)?;

    let watching = tokio::spawn(redis.clone().watch());
    let election = Election::new(redis.clone(), who.clone());
    let hold = election.hold();
    let backing = Opened::Redis(redis).backing(&metrics);
    let tokens = Arc::new(RwLock::new(Tokens::of(&server)));
    let taking = backing.intake.clone().map(|intake| Taking {
        intake,
        metrics: Arc::clone(&metrics),
        tokens: Arc::clone(&tokens),
    });
    let (term_is, term) = watch::channel(Term::Nobody);
    // The leader lays down its work first, then the lock, then the connections end.
    let (resigning, resigned) = watch::channel(false);
    let (stopping, stopped) = watch::channel(false);
    let own = api::follower(Arc::clone(&metrics), Arc::clone(&module), taking);
    let face = Front::new(own, true, term.clone(), Denials::default())
        .map_err(|error| Failure::Failed(format!("the system's certificates cannot be read: {error}")))?;
    let present = Arc::new(Mutex::new(Present { configuration, engine: None }));
    let reload = Reload {
        origin: origin.clone(),
        present: Arc::clone(&present),
        tokens: Arc::clone(&tokens),
        certificate: certificate.clone(),
        metrics: Arc::clone(&metrics),
    };
    let reloading = tokio::spawn(reload.on(hangup));
    let leading = Leading { present, tokens, metrics, module, face: face.clone(), hold };
    let electing = tokio::spawn(election.run(term_is, stopped));
    let led = tokio::spawn(leading.lead(term, resigned, backing));
    let certifying = certificate.clone().map(|certificate| tokio::spawn(certificate.watch()));
    tracing::info!(
        listen = %server.listen, store = %server.store, address = %who.address, tls = server.tls.is_some(), "serving"
    );
    let life = Life { led, electing, resigning, stopping };
    let ended = life.serve(listener, certificate, front(face), signals).await;
    reloading.abort();
    watching.abort();
    if let Some(certifying) = certifying {
        certifying.abort();
    }
    ended.inspect(|()| tracing::info!("stopped"))
}

/// The configuration as it was read last, and the engine that follows it while this analyzer leads.
struct Present {
    configuration: Configuration,
    engine: Option<Engine>,
}

/// What it takes to lead.
struct Leading {
    present: Arc<Mutex<Present>>,
    tokens: Arc<RwLock<Tokens>>,
    metrics: Arc<Metrics>,
    module: Arc<Module>,
    face: Front,
    hold: Hold,
}

impl Leading {
    /// Waits for the lock, leads, and ends when another has led after.
    async fn lead(
        self,
        mut term: watch::Receiver<Term>,
        mut resigned: watch::Receiver<bool>,
        backing: Backing,
    ) -> Result<(), Failure> {
        let gone = || Failure::Failed("the election has ended".into());
        tokio::select! {
            led = term.wait_for(|term| matches!(term, Term::Mine | Term::Lost(_))) => drop(led.map_err(|_| gone())?),
            _ = resigned.wait_for(|resigned| *resigned) => return Ok(()),
        }
        tracing::info!("leads");
        let backing = Backing { hold: Some(self.hold), ..backing };
        let secure;
        let engine = {
            let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
            let configuration = present.configuration.clone();
            secure = configuration.server.tls.is_some();
            let started = tokio::task::block_in_place(|| {
                Engine::start(configuration, backing, Arc::clone(&self.metrics), None)
            });
            let engine = started.map_err(|error| Failure::Failed(error.to_string()))?;
            present.engine = Some(engine.clone());
            engine
        };
        let Self { metrics, module, tokens, face, .. } = self;
        face.lead(api::router(Shared::new(engine.clone(), metrics, module, tokens, secure)));
        let lost = tokio::select! {
            lost = term.wait_for(|term| matches!(term, Term::Lost(_))) => Some(lost.map_err(|_| gone())?.clone()),
            _ = resigned.wait_for(|resigned| *resigned) => None,
        };
        match lost {
            Some(Term::Lost(holder)) => {
                // Whatever it would still write is the other's to decide, and Redis would refuse it.
                Err(Failure::Failed(format!(
                    "{holder} leads now: this analyzer has led and ends, so that two never decide"
                )))
            }
            Some(Term::Nobody | Term::Other(_) | Term::Mine) | None => {
                engine.stop().await;
                Ok(())
            }
        }
    }
}

/// What a new configuration reaches.
struct Reload {
    origin: Origin,
    present: Arc<Mutex<Present>>,
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

    /// The leader's engine takes it over or refuses it; who does not lead keeps it for the day when it does.
    async fn apply(&self) -> Result<(), String> {
        let configuration = self.origin.load()?;
        let server = configuration.server.clone();
        if server.tls.is_some() != self.certificate.is_some() {
            return Err("spec.tls cannot come or go while the program runs: restart it".into());
        }
        let engine = {
            let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
            let old = &present.configuration.server;
            if (old.listen, &old.store, &old.wasm) != (server.listen, &server.store, &server.wasm) {
                return Err(
                    "spec.listen, spec.store and spec.wasm cannot change while the program runs: restart it"
                        .into(),
                );
            }
            present.engine.clone()
        };
        if let Some(engine) = engine {
            engine.reload(configuration.clone()).await?;
        }
        self.present.lock().unwrap_or_else(PoisonError::into_inner).configuration = configuration;
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Tokens::of(&server);
        if let (Some(certificate), Some(files)) = (&self.certificate, server.tls) {
            certificate.moved_to(files);
        }
        Ok(())
    }
}
