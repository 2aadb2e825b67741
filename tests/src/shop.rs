//! A small shop, one instance for each version: real HTTP on a loopback port, faults that can be turned
//! on while it runs, and an exact record of what it did.

mod answers;

use crate::ports::loopback;
use crate::random;
use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long `/slow` takes: long enough for a client to go away before the answer.
pub const SLOW_PATH: Duration = Duration::from_millis(400);

/// What a version does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    /// The part of its requests that it answers with 500, `0.0..=1.0`.
    pub error_rate: f64,
    /// The part of its requests that it never answers, `0.0..=1.0`.
    pub hang_rate: f64,
    /// How long an answer takes at least; up to half as long again is added by chance.
    pub latency: Duration,
    /// Above 0: answers take log-normal times in place of that, with `latency` as the median and this as the
    /// standard deviation of their logarithm.
    pub spread: f64,
    /// Whether it sells nothing: `/buy` is not found, which is no error.
    pub sells_nothing: bool,
}

impl Faults {
    /// None: an answer after 5 to 7.5 ms.
    pub const NONE: Self = Self {
        error_rate: 0.0,
        hang_rate: 0.0,
        latency: Duration::from_millis(5),
        spread: 0.0,
        sells_nothing: false,
    };

    /// Only errors.
    #[must_use]
    pub fn errors(rate: f64) -> Self {
        Self { error_rate: rate, ..Self::NONE }
    }
}

/// What one version did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests that reached it.
    pub requests: u64,
    /// Requests that it answered.
    pub answered: u64,
    /// Answers with 500.
    pub errors: u64,
    /// When it first answered with 500.
    pub first_error: Option<Instant>,
    /// When it last answered.
    pub last_answer: Option<Instant>,
}

/// A running shop.
#[derive(Debug)]
pub struct Shop {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    seed: u64,
    state: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    version: Arc<str>,
    faults: Faults,
    served: BTreeMap<Arc<str>, Served>,
    count: u64,
}

/// What happens to one request; chosen when it arrives.
struct Fate {
    version: Arc<str>,
    status: StatusCode,
    hangs: bool,
    latency: Duration,
    sells_nothing: bool,
}

impl Shop {
    /// Starts a version without faults.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(port: u16, version: &str) -> Result<Self> {
        let address = loopback(port);
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .with_context(|| format!("the shop {version} cannot listen on {address}"))?;
        let inner = Inner {
            version: version.into(),
            faults: Faults::NONE,
            served: BTreeMap::from([(version.into(), Served::default())]),
            count: 0,
        };
        let shared = Arc::new(Shared { seed: u64::from(port), state: Mutex::new(inner) });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // It ends with an error only if the listener breaks; then the load sees refused connections.
            axum::serve(listener, app).await.ok();
        });
        Ok(Self { address, shared, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Turns faults on or off, from the next request on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// From the next request on this port is answered by another version, which has no faults: what a
    /// finished deployment looks like from outside.
    pub fn become_version(&self, version: &str) {
        let mut inner = self.shared.lock();
        inner.version = version.into();
        inner.faults = Faults::NONE;
        inner.served.entry(version.into()).or_default();
    }

    /// What a version did on this port.
    pub fn served(&self, version: &str) -> Served {
        self.shared.lock().served.get(version).copied().unwrap_or_default()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    /// A poisoned lock only means that a test failed while it counted; the numbers are whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request in and draws its fate. The draw depends on the request's number alone, so that
    /// errors have nothing to do with who asks.
    fn arrive(&self) -> Fate {
        let mut inner = self.lock();
        inner.count += 1;
        let draw = |purpose: u64| random::fraction(self.seed ^ (purpose << 32), inner.count);
        let faults = inner.faults;
        let status =
            if draw(1) < faults.error_rate { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        let fate = Fate {
            version: Arc::clone(&inner.version),
            status,
            hangs: draw(2) < faults.hang_rate,
            latency: faults.latency.mul_f64(if faults.spread > 0.0 {
                (faults.spread * random::normal(draw(3), draw(4))).exp()
            } else {
                1.0 + draw(3) / 2.0
            }),
            sells_nothing: faults.sells_nothing,
        };
        inner.served.entry(Arc::clone(&fate.version)).or_default().requests += 1;
        fate
    }

    fn answered(&self, fate: &Fate) {
        let now = Instant::now();
        let mut inner = self.lock();
        let served = inner.served.entry(Arc::clone(&fate.version)).or_default();
        served.answered += 1;
        served.last_answer = Some(now);
        if fate.status.is_server_error() {
            served.errors += 1;
            served.first_error.get_or_insert(now);
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response {
    let fate = shared.arrive();
    if fate.hangs {
        // Until Envoy gives up and closes the connection, which drops this future.
        std::future::pending::<()>().await;
    }
    let extra = if uri.path() == "/slow" { SLOW_PATH } else { Duration::ZERO };
    tokio::time::sleep(fate.latency + extra).await;
    shared.answered(&fate);
    let lost = fate.sells_nothing && uri.path().starts_with("/buy");
    let status = if lost { StatusCode::NOT_FOUND } else { fate.status };
    answers::answer(status, &fate.version, &uri, &headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Client;
    use crate::ports;

    #[tokio::test]
    async fn a_shop_counts_what_its_clients_see() {
        let shop = Shop::start(ports::free().unwrap(), "v1").await.unwrap();
        shop.set_faults(Faults { latency: Duration::ZERO, ..Faults::errors(0.2) });
        let client = Client::default();
        let mut errors = 0;
        for _ in 0..200 {
            let answer = client.get(shop.address(), "/", &[]).await.unwrap();
            assert_eq!(answer.header("x-shop-version"), Some("v1"));
            errors += u64::from(answer.status.is_server_error());
        }
        assert!((20..=60).contains(&errors), "{errors} of 200 at 20 %");
        let served = shop.served("v1");
        assert_eq!((served.requests, served.answered, served.errors), (200, 200, errors));
    }

    #[tokio::test]
    async fn with_a_spread_the_median_is_the_latency_and_there_is_a_tail() {
        let shop = Shop::start(ports::free().unwrap(), "v1").await.unwrap();
        shop.set_faults(Faults { latency: Duration::from_millis(20), spread: 0.5, ..Faults::NONE });
        let mut latencies: Vec<Duration> = (0..1000).map(|_| shop.shared.arrive().latency).collect();
        latencies.sort_unstable();
        let median = latencies[500].as_secs_f64() * 1000.0;
        assert!((17.0..=23.0).contains(&median), "{median} ms");
        // exp(0.5 * 1.645) times the median.
        let p95 = latencies[950].as_secs_f64() * 1000.0;
        assert!((36.0..=57.0).contains(&p95), "{p95} ms");
    }

    #[tokio::test]
    async fn another_version_takes_over_the_port_without_its_faults() {
        let shop = Shop::start(ports::free().unwrap(), "v1").await.unwrap();
        shop.set_faults(Faults::errors(1.0));
        shop.become_version("v2");
        let answer = Client::default().get(shop.address(), "/", &[("x-canary", "true")]).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        let told =
            r#"{"cookie":null,"experiments":null,"flags":null,"path":"/","version":"v2","x-canary":"true"}"#;
        assert_eq!(answer.text(), told);
        assert_eq!(shop.served("v1").requests, 0);
        assert_eq!(shop.served("v2").requests, 1);
    }
}
