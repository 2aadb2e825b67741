//! The way to Redis: connections that are kept, time limits, and a breaker. While Redis is known to be away
//! nobody waits for it but the one who looks whether it is back. In a cluster all keys are in one slot, so there is
//! one node to talk to; where a node says that the slot is another's, the same call goes on there.

use super::RedisSettings;
use crate::metrics::StoreMetrics;
use crate::store::StoreError;
use redis::{
    Client, Connection, ConnectionAddr, ErrorKind, RedisError, RedisResult, ServerErrorKind, TlsCertificates,
    Value,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Connections that are kept while they have nothing to do.
const KEPT: usize = 8;
/// How often one call is sent on from node to node.
const HOPS: usize = 3;
/// How often it is looked whether Redis is back.
const LOOK: Duration = Duration::from_millis(250);

pub(super) struct Link {
    settings: RedisSettings,
    idle: Mutex<Vec<Connection>>,
    /// Where a cluster's node has sent us.
    moved: Mutex<Option<Node>>,
    /// How often that was.
    moves: AtomicU64,
    /// Why Redis is thought to be away.
    away: Mutex<Option<String>>,
    /// Whether somebody looks after the breaker; without one every call tries.
    watched: AtomicBool,
    metrics: StoreMetrics,
}

/// A node's host and port.
type Node = (String, u16);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an error means for the connection it came over, and for the next call.
#[derive(PartialEq, Eq)]
enum Trouble {
    /// Redis answered, and said no: it is there.
    Refusal,
    /// This node is not, or not now, the one to talk to; or there was no answer.
    Away,
}

fn trouble(error: &RedisError) -> Trouble {
    // An answer whose code the client does not know, as our own scripts give it, or OOM.
    if error.kind() == ErrorKind::Extension {
        return Trouble::Refusal;
    }
    let ErrorKind::Server(kind) = error.kind() else {
        // No answer, or none that can be read, or a connection that could not be set up.
        return Trouble::Away;
    };
    let elsewhere = matches!(
        kind,
        ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::TryAgain
    );
    if elsewhere || moved(error).is_some() { Trouble::Away } else { Trouble::Refusal }
}

/// Where a node of a cluster says that the slot is, for one command or for one of several. Whoever was refused so
/// has written nothing.
fn moved(error: &RedisError) -> Option<String> {
    let errors = error.clone().into_server_errors()?;
    let mut moved = errors.iter().filter(|(_, error)| error.kind() == Some(ServerErrorKind::Moved));
    // The slot's number, and the node.
    moved.find_map(|(_, error)| Some(error.details()?.split_whitespace().nth(1)?.to_owned()))
}

impl Link {
    pub(super) fn new(settings: RedisSettings, metrics: StoreMetrics) -> Self {
        Self {
            settings,
            idle: Mutex::default(),
            moved: Mutex::default(),
            moves: AtomicU64::new(0),
            away: Mutex::default(),
            watched: AtomicBool::new(false),
            metrics,
        }
    }

    pub(super) fn settings(&self) -> &RedisSettings {
        &self.settings
    }

    /// Does something over a connection of its own. `call` is the purpose, for the metrics.
    pub(super) fn call<T>(
        &self,
        call: &'static str,
        work: impl Fn(&mut Connection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        if self.watched.load(Ordering::Relaxed)
            && let Some(why) = lock(&self.away).clone()
        {
            self.metrics.calls.with_label_values(&[call, "refused"]).inc();
            return Err(StoreError::Unavailable(why));
        }
        self.try_call(call, &work)
    }

    fn try_call<T>(
        &self,
        call: &'static str,
        work: &impl Fn(&mut Connection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let timer = self.metrics.seconds.with_label_values(&[call]).start_timer();
        self.metrics.busy.inc();
        let mut result = self.over_a_connection(work);
        for _ in 0..HOPS {
            let Some(node) = result.as_ref().err().and_then(|error| self.node_of(&moved(error)?)) else {
                break;
            };
            self.follow(node);
            result = self.over_a_connection(work);
        }
        self.metrics.busy.dec();
        timer.observe_duration();
        let outcome = if result.is_ok() { "ok" } else { "failed" };
        self.metrics.calls.with_label_values(&[call, outcome]).inc();
        match result {
            Ok(value) => {
                self.is_back();
                Ok(value)
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn over_a_connection<T>(&self, work: &impl Fn(&mut Connection) -> RedisResult<T>) -> RedisResult<T> {
        let kept = lock(&self.idle).pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let result = work(&mut connection);
        let is_sound = result.as_ref().err().is_none_or(|error| trouble(error) == Trouble::Refusal);
        if is_sound {
            let mut idle = lock(&self.idle);
            if idle.len() < KEPT {
                idle.push(connection);
            }
            self.metrics.idle.set(idle.len() as i64);
        }
        result
    }

    fn connect(&self) -> RedisResult<Connection> {
        let client = self.client()?;
        let connection = client.get_connection_with_timeout(self.settings.timeout)?;
        connection.set_read_timeout(Some(self.settings.timeout))?;
        connection.set_write_timeout(Some(self.settings.timeout))?;
        Ok(connection)
    }

    /// The password is read anew for each connection, so that it can change while the program runs.
    fn client(&self) -> RedisResult<Client> {
        let read = |path: &std::path::Path| {
            std::fs::read(path).map_err(|error| {
                RedisError::from((
                    ErrorKind::InvalidClientConfig,
                    "file",
                    format!("{}: {error}", path.display()),
                ))
            })
        };
        let mut info = self.settings.info.clone();
        if let Some(file) = &self.settings.password_file {
            let text = String::from_utf8_lossy(&read(file)?).trim().to_owned();
            let redis = info.redis_settings().clone().set_password(text);
            info = info.set_redis_settings(redis);
        }
        if let Some((host, port)) = lock(&self.moved).clone() {
            let addr = if let ConnectionAddr::TcpTls { insecure, tls_params, .. } = info.addr().clone() {
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            } else {
                ConnectionAddr::Tcp(host, port)
            };
            info = info.set_addr(addr);
        }
        match &self.settings.ca_file {
            None => Client::open(info),
            Some(file) => {
                let trusted = TlsCertificates { client_tls: None, root_cert: Some(read(file)?) };
                Client::build_with_tls(info, trusted)
            }
        }
    }

    fn failed(&self, error: &RedisError) -> StoreError {
        match trouble(error) {
            Trouble::Refusal => refusal(error),
            Trouble::Away => {
                // All connections lead to the same place.
                lock(&self.idle).clear();
                self.metrics.idle.set(0);
                let told = told(error);
                // While a slot is on its way to another node, this one is still the one to ask.
                let moves = [ServerErrorKind::TryAgain, ServerErrorKind::Ask];
                if !moves.iter().any(|kind| error.kind() == (*kind).into()) {
                    *lock(&self.moved) = None;
                }
                if lock(&self.away).replace(told.clone()).is_none() {
                    tracing::warn!(problem = %told, "Redis does not answer");
                }
                self.metrics.up.set(0);
                StoreError::Unavailable(told)
            }
        }
    }

    /// From now on another node of the cluster is the one to talk to.
    fn follow(&self, node: Node) {
        tracing::info!(host = %node.0, port = node.1, "the slot is at another node of the cluster");
        lock(&self.idle).clear();
        self.metrics.idle.set(0);
        *lock(&self.moved) = Some(node);
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// A node as a cluster writes it; without a host it is the host of whoever says so.
    fn node_of(&self, text: &str) -> Option<Node> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let host = host.trim_matches(['[', ']']);
        if !host.is_empty() {
            return Some((host.to_owned(), port));
        }
        let present = lock(&self.moved).as_ref().map(|(host, _)| host.clone());
        let own = || {
            let addr = self.settings.info.addr();
            if let ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } = addr {
                Some(host.clone())
            } else {
                None
            }
        };
        Some((present.or_else(own)?, port))
    }

    /// How often the slot was found at another node.
    pub(super) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    fn is_back(&self) {
        if lock(&self.away).take().is_some() {
            tracing::info!("Redis answers again");
        }
        self.metrics.up.set(1);
    }

    /// Whether Redis is thought to be away, and why.
    pub(super) fn away(&self) -> Option<String> {
        lock(&self.away).clone()
    }

    /// Looks after the breaker: from now on calls fail at once while Redis is away, and only this one tries.
    /// `key` is one that is always there: in a cluster its answer says which node to ask.
    pub(super) async fn watch(&self, key: &str) {
        self.watched.store(true, Ordering::Relaxed);
        let mut beat = tokio::time::interval(LOOK);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            if self.away().is_some() {
                // The error is kept already, and told once.
                let look = |connection: &mut Connection| {
                    redis::cmd("EXISTS").arg(key).exec(connection)?;
                    let role: Vec<Value> = redis::cmd("ROLE").query(connection)?;
                    let is_master =
                        matches!(role.first(), Some(Value::BulkString(word)) if word == b"master");
                    let replica = (ErrorKind::Server(ServerErrorKind::ReadOnly), "READONLY is a replica");
                    if is_master { Ok(()) } else { Err(RedisError::from(replica)) }
                };
                drop(tokio::task::block_in_place(|| self.try_call("check", &look)));
            }
        }
    }

    /// How long a call may take at most: connecting, and an answer.
    pub(super) fn patience(&self) -> Duration {
        self.settings.timeout
    }
}

/// The password never is part of what the client says.
fn told(error: &RedisError) -> String {
    if error.is_timeout() {
        return "Redis did not answer in time".to_owned();
    }
    match error.detail() {
        Some(detail) if !error.to_string().contains(detail) => format!("Redis: {error}: {detail}"),
        Some(_) | None => format!("Redis: {error}"),
    }
}

fn refusal(error: &RedisError) -> StoreError {
    match error.code() {
        Some("FENCED") => StoreError::Fenced,
        Some("OOM") => StoreError::Unavailable(
            "Redis is full (maxmemory) and takes no more: give it more memory".to_owned(),
        ),
        // An earlier commit without an answer was still to come, or somebody else writes.
        Some("STALE") => StoreError::Unavailable("Redis has another commit than this one follows".to_owned()),
        Some("HELD") => StoreError::Held,
        Some(_) | None => StoreError::Unavailable(told(error)),
    }
}
