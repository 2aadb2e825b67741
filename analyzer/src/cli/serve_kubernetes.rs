//! `serin serve --kubernetes`: the program's life in a cluster. A replica answers from the start, as a
//! follower; once it holds the Lease it opens its engine and leads until it ends.

use super::Failure;
use super::life::Life;
use super::serve::{Opened, Origin, Stop, certificate, module, open};
use crate::api::{self, Shared, Taking, Tokens};
use crate::config::{Configuration, Server};
use crate::engine::{Backing, Engine};
use crate::kubernetes::{Candidate, Controller, Denials, Replica, Routes, Stores};
use crate::metrics::Metrics;
use crate::module::Module;
use crate::replicas::{Front, Term, front};
use crate::store::{Lock, Redis, Standing};
use crate::tls::Certificate;
use clap::Args;
use kube::Client;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How a replica finds its place in the cluster.
#[derive(Args)]
pub(super) struct InCluster {
    /// Keep the Canaries of a Kubernetes cluster; the configuration then is one document of kind Serin
    #[arg(long)]
    kubernetes: bool,
    /// Look after this namespace only; may be given several times. All namespaces without it
    #[arg(long = "namespace", value_name = "NAMESPACE", requires = "kubernetes")]
    namespaces: Vec<String>,
    /// Where other analyzers reach this one; without it the pod's address, or that of spec.listen
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// For how long a silent leader stays the leader, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15, requires = "kubernetes",
        value_parser = clap::value_parser!(u64).range(1..=600))]
    lease_seconds: u64,
    /// The pod's name, which is this replica's among the others
    #[arg(long, env = "POD_NAME", hide = true)]
    pod_name: Option<String>,
    /// The pod's namespace, where the Lease is kept
    #[arg(long, env = "POD_NAMESPACE", hide = true)]
    pod_namespace: Option<String>,
    /// The pod's address
    #[arg(long, env = "POD_IP", hide = true)]
    pod_ip: Option<String>,
}

impl InCluster {
    pub(super) fn is_wanted(&self) -> bool {
        self.kubernetes
    }

    /// Where other analyzers reach this one, outside of a cluster.
    pub(super) fn advertised(&self, server: &Server) -> Result<String, Failure> {
        let scheme = if server.tls.is_some() { "https" } else { "http" };
        match &self.advertise {
            Some(address) => Ok(format!("{scheme}://{address}")),
            None if !server.listen.ip().is_unspecified() => Ok(format!("{scheme}://{}", server.listen)),
            None => Err(Failure::Wrong(format!(
                "spec.listen {} is every address of this machine: give --advertise HOST:PORT, where other analyzers \
                 reach this one",
                server.listen
            ))),
        }
    }

    fn replica(&self, server: &Server) -> Result<Replica, Failure> {
        let needed = |value: &Option<String>, variable: &str| {
            let told = || Failure::Wrong(format!("--kubernetes needs the environment variable {variable}"));
            value.clone().filter(|value| !value.is_empty()).ok_or_else(told)
        };
        let reached = match (&self.advertise, &self.pod_ip) {
            (Some(address), _) => address.clone(),
            (None, Some(ip)) if ip.contains(':') => format!("[{ip}]:{}", server.listen.port()),
            (None, Some(ip)) => format!("{ip}:{}", server.listen.port()),
            (None, None) => {
                let message = "--kubernetes needs --advertise HOST:PORT or the environment variable POD_IP";
                return Err(Failure::Wrong(message.into()));
            }
        };
        let scheme = if server.tls.is_some() { "https" } else { "http" };
        Ok(Replica {
            name: needed(&self.pod_name, "POD_NAME")?,
            namespace: needed(&self.pod_namespace, "POD_NAMESPACE")?,
            address: format!("{scheme}://{reached}"),
            watched: self.namespaces.clone(),
            lease: Duration::from_secs(self.lease_seconds),
        })
    }
}

pub(super) async fn serve(
    cluster: &InCluster,
    origin: &Origin,
    configuration: Configuration,
) -> Result<(), Failure> {
    if !configuration.canaries.is_empty() {
        let message =
            "with --kubernetes Canaries are objects in the cluster: leave only the document of kind Serin";
        return Err(Failure::Wrong(message.into()));
    }
    let server = configuration.server.clone();
    let replica = cluster.replica(&server)?;
    let certificate = certificate(&server)?;
    let metrics = Arc::new(Metrics::new().map_err(|error| Failure::Failed(error.to_string()))?);
    let opened = open(&server, &metrics)?;
    let module = module(&server)?;
    let listener = TcpListener::bind(server.listen)
        .await
        .map_err(|error| Failure::Failed(format!("cannot listen on {}: {error}", server.listen)))?;
    let signals =
        Stop::new().map_err(|error| Failure::Failed(format!("signals cannot be caught: {error}")))?;
    let client = Client::try_default().await.map_err(|error| {
        Failure::Failed(format!("no way to a cluster: {error}; is there a ServiceAccount or a kubeconfig?"))
    })?;
    let denials = Denials::default();
    let (term_is, term) = watch::channel(Term::Nobody);
    // The leader lays down its work first, then the Lease, then the connections end.
    let (resigning, resigned) = watch::channel(false);
    let (stopping, stopped) = watch::channel(false);
    let candidate = Candidate::new(client.clone(), replica.clone(), denials.clone());
    let routes = Routes::new(client.clone(), candidate.hold(), denials.clone());
    let module = Arc::new(module);
    let tokens = Arc::new(RwLock::new(Tokens::of(&server)));
    let redis = match &opened {
        Opened::Redis(redis) => Some(redis.clone()),
        Opened::File(_) => None,
    };
    if let Some(redis) = redis.clone() {
        tokio::spawn(redis.watch());
    }
    let backing = opened.backing(&metrics);
    let taking = backing.intake.clone().map(|intake| Taking {
        intake,
        metrics: Arc::clone(&metrics),
        tokens: Arc::clone(&tokens),
    });
    let takes_reports = taking.is_some();
    let own = api::follower(Arc::clone(&metrics), Arc::clone(&module), taking);
    let face = Front::new(own, takes_reports, term.clone(), denials.clone())
        .map_err(|error| Failure::Failed(format!("the system's certificates cannot be read: {error}")))?;
    let hangup = signal(SignalKind::hangup())
        .map_err(|error| Failure::Failed(format!("signals cannot be caught: {error}")))?;
    let reloading = tokio::spawn(reload(hangup, origin.clone(), Arc::clone(&tokens), certificate.clone()));
    let leading = Leading {
        redis,
        tokens,
        client,
        replica: replica.clone(),
        routes,
        denials,
        configuration,
        metrics,
        module,
        face: face.clone(),
    };
    let electing = tokio::spawn(candidate.run(term_is, stopped));
    let led = tokio::spawn(leading.lead(term, resigned, backing));
    let watching = certificate.clone().map(|certificate| tokio::spawn(certificate.watch()));
    tracing::info!(
        listen = %server.listen, replica = %replica.name, namespace = %replica.namespace,
        address = %replica.address, "serving in a cluster"
    );
    let life = Life { led, electing, resigning, stopping };
    let ended = life.serve(listener, certificate, front(face), signals).await;
    reloading.abort();
    if let Some(watching) = watching {
        watching.abort();
    }
    ended.inspect(|()| tracing::info!("stopped"))
}

/// SIGHUP reads tokens and certificate again. Everything else of the document needs a restart, and Canaries
/// are watched.
async fn reload(
    mut hangup: Signal,
    origin: Origin,
    tokens: Arc<RwLock<Tokens>>,
    certificate: Option<Certificate>,
) {
    while hangup.recv().await.is_some() {
        match origin.load() {
            Ok(configuration) => {
                let server = configuration.server;
                *tokens.write().unwrap_or_else(PoisonError::into_inner) = Tokens::of(&server);
                if let (Some(certificate), Some(files)) = (&certificate, server.tls) {
                    certificate.moved_to(files);
                }
                tracing::info!("tokens and certificate read again");
            }
            Err(problem) => tracing::error!(%problem, "new configuration refused; the old one stays"),
        }
    }
}

/// What a replica needs to lead.
struct Leading {
    /// What all replicas share, if they do.
    redis: Option<Redis>,
    tokens: Arc<RwLock<Tokens>>,
    client: Client,
    replica: Replica,
    routes: Routes,
    denials: Denials,
    configuration: Configuration,
    metrics: Arc<Metrics>,
    module: Arc<Module>,
    face: Front,
}

impl Leading {
    /// Waits for the Lease, leads, and ends when another has it.
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
        let replica = self.replica.clone();
        tracing::info!(replica = %replica.name, "leads");
        if let Some(redis) = &self.redis {
            // The Lease has elected us; the token is there so that a former leader's late commit is refused.
            let who = Lock { name: replica.name.clone(), address: replica.address.clone() };
            let seized = tokio::task::block_in_place(|| redis.seize(&who));
            match seized.map_err(|error| Failure::Failed(error.to_string()))? {
                Standing::Mine(token) => tracing::info!(%token, "writes to Redis"),
                Standing::Other(_) | Standing::Lost(_) => {
                    return Err(Failure::Failed("Redis does not give its lock to the Lease's holder".into()));
                }
            }
        }
        let stores = Stores::start(&self.client, &self.replica, &self.routes, &self.denials);
        let secure = self.configuration.server.tls.is_some();
        let engine =
            Engine::start(self.configuration, backing, Arc::clone(&self.metrics), Some(self.routes.clone()))
                .map_err(|error| Failure::Failed(error.to_string()))?;
        let mut controller =
            Controller::new(self.client, engine.clone(), stores, self.routes, self.denials, self.replica);
        // Filters get a plan only once every Canary is in it: a plan without one would let its users go.
        let begun = tokio::select! {
            begun = controller.begin(&mut term) => begun,
            _ = resigned.wait_for(|resigned| *resigned) => false,
        };
        let mut working = None;
        if begun {
            let Self { metrics, module, tokens, .. } = self;
            let shared = Shared::new(engine.clone(), metrics, module, tokens, secure);
            self.face.lead(api::router(shared));
            working = Some(tokio::spawn(controller.run(resigned.clone())));
        }
        let lost = tokio::select! {
            lost = term.wait_for(|term| matches!(term, Term::Lost(_))) => Some(lost.map_err(|_| gone())?.clone()),
            // Somebody who was elected before us took Redis' token after us: frozen in between, as a rule.
            () = fenced(self.redis.as_ref()) => Some(Term::Lost("another replica, by Redis' token,".into())),
            _ = resigned.wait_for(|resigned| *resigned) => None,
        };
        match (lost, working) {
            (Some(Term::Lost(holder)), working) => {
                // Whatever it would still write is the other's to decide.
                working.inspect(tokio::task::JoinHandle::abort);
                engine.stop().await;
                Err(Failure::Failed(format!(
                    "{holder} holds the Lease {}/serin now: this replica ({}) has led and ends, so that two never \
                     decide",
                    replica.namespace, replica.name
                )))
            }
            (Some(Term::Nobody | Term::Other(_) | Term::Mine) | None, working) => {
                if let Some(working) = working {
                    // Its last statuses; without an API server there are none.
                    let _ = tokio::time::timeout(Duration::from_secs(5), working).await;
                }
                engine.stop().await;
                Ok(())
            }
        }
    }
}

/// Comes back when Redis has refused a commit for another's sake; never without Redis.
async fn fenced(redis: Option<&Redis>) {
    match redis {
        Some(redis) => redis.fenced().await,
        None => std::future::pending().await,
    }
}
