//! The load: users and anonymous clients at a steady rate that does not wait for answers, through one or
//! several Envoys, until its time or its number of requests is over.

mod record;

pub use record::{Ending, Exchange, Record, Who};

use crate::http::{Answer, Client};
use crate::random;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// How often requests that are due are sent: finer than a person or a filter can see.
const BEAT: Duration = Duration::from_millis(4);

/// Who asks, how often, for how long.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The Envoys; requests take turns.
    pub targets: Vec<SocketAddr>,
    /// Each user keeps to one Envoy, as behind a load balancer with affinity.
    pub affine: bool,
    /// The authority that is asked for.
    pub host: Arc<str>,
    /// How many users there are.
    pub users: u32,
    /// The part of the requests that carries no user id, `0.0..=1.0`.
    pub anonymous: f64,
    /// Requests a second.
    pub rate: f64,
    /// How many requests may wait for their answers; at the bound the load slows down.
    pub in_flight: usize,
    /// The part of the requests whose client goes away before the answer, `0.0..=1.0`.
    pub cut: f64,
    /// The part of the requests with `x-canary: true` or `false` set by hand, half each, `0.0..=1.0`.
    pub manual: f64,
    /// Users whose requests say `x-beta: yes`.
    pub beta: Option<fn(u32) -> bool>,
    /// It ends by itself after this time ...
    pub time: Duration,
    /// ... or after this many requests.
    pub requests: u64,
    /// Another number is another order of users.
    pub seed: u64,
}

impl LoadOptions {
    /// 2,000 users, a tenth of the requests anonymous, 200 requests a second for two minutes.
    pub fn on(targets: Vec<SocketAddr>) -> Self {
        Self {
            targets,
            affine: false,
            host: "shop.example".into(),
            users: 2000,
            anonymous: 0.1,
            rate: 200.0,
            in_flight: 2000,
            cut: 0.0,
            manual: 0.0,
            beta: None,
            time: Duration::from_secs(120),
            requests: u64::MAX,
            seed: 1,
        }
    }
}

/// How long a client that goes away waits first: within the time that the shop's `/slow` takes.
const CUT_AFTER: Duration = Duration::from_millis(100);

/// A running load. Dropping it stops it.
#[derive(Debug)]
pub struct Load {
    record: Arc<Record>,
    stop: Arc<AtomicBool>,
    pacer: JoinHandle<()>,
}

impl Load {
    /// Starts to send.
    ///
    /// # Errors
    /// When there is no target, or one that is not on this machine.
    pub fn start(options: LoadOptions) -> Result<Self> {
        ensure!(!options.targets.is_empty(), "a load needs an Envoy");
        ensure!(
            options.targets.iter().all(|target| target.ip().is_loopback()),
            "only this machine is loaded"
        );
        ensure!(options.rate > 0.0 && options.users > 0, "a load needs a rate and users");
        let record = Arc::new(Record::default());
        let stop = Arc::new(AtomicBool::new(false));
        let pacer = tokio::spawn(pace(options, Arc::clone(&record), Arc::clone(&stop)));
        Ok(Self { record, stop, pacer })
    }

    /// What was seen so far.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Sends nothing more and waits for the answers that are due.
    ///
    /// # Errors
    /// When the load itself broke.
    pub async fn stop(mut self) -> Result<Arc<Record>> {
        self.stop.store(true, Ordering::Relaxed);
        (&mut self.pacer).await.context("the load")?;
        Ok(Arc::clone(&self.record))
    }

    /// Waits until its time or its number of requests is over and all answers are in.
    ///
    /// # Errors
    /// When the load itself broke.
    pub async fn finish(mut self) -> Result<Arc<Record>> {
        (&mut self.pacer).await.context("the load")?;
        Ok(Arc::clone(&self.record))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.pacer.abort();
    }
}

/// Sends what is due by now, again and again; then waits for the last answers.
async fn pace(options: LoadOptions, record: Arc<Record>, stop: Arc<AtomicBool>) {
    let client = Client::default();
    let room = Arc::new(Semaphore::new(options.in_flight));
    let begin = Instant::now();
    let mut beat = tokio::time::interval(BEAT);
    let mut sent = 0_u64;
    while sent < options.requests && begin.elapsed() < options.time && !stop.load(Ordering::Relaxed) {
        beat.tick().await;
        let due = ((begin.elapsed().as_secs_f64() * options.rate) as u64).min(options.requests);
        while sent < due && !stop.load(Ordering::Relaxed) {
            // The semaphore is never closed; were it, there would be nothing left to send for.
            let Ok(seat) = Arc::clone(&room).acquire_owned().await else { return };
            let request = Planned::nth(&options, sent);
            let (client, record) = (client.clone(), Arc::clone(&record));
            tokio::spawn(async move {
                record.add(request.send(&client).await);
                drop(seat);
            });
            sent += 1;
        }
    }
    record.finish_sending(sent);
    let all = u32::try_from(options.in_flight).unwrap_or(u32::MAX);
    drop(room.acquire_many(all).await);
}

/// One request, before it is sent.
struct Planned {
    target: SocketAddr,
    host: Arc<str>,
    who: Who,
    manual: Option<bool>,
    beta: bool,
    cut: bool,
    buys: bool,
}

impl Planned {
    /// The request's properties follow from its number alone, each by a draw of its own.
    fn nth(options: &LoadOptions, n: u64) -> Self {
        let draw = |purpose: u64| random::fraction(options.seed.wrapping_add(purpose << 40), n);
        // Squared: some users are busy, many come seldom, as in life.
        let user = (f64::from(options.users) * draw(1).powi(2)) as u32;
        let turn = if options.affine { u64::from(user) } else { n };
        let turn = (turn % options.targets.len() as u64) as usize;
        let manual = draw(2);
        Self {
            target: options.targets[turn],
            host: Arc::clone(&options.host),
            who: if draw(3) < options.anonymous { Who::Anonymous } else { Who::User(user) },
            manual: (manual < options.manual).then_some(manual < options.manual / 2.0),
            beta: options.beta.is_some_and(|beta| beta(user)),
            cut: draw(4) < options.cut,
            buys: draw(5) < 0.1,
        }
    }

    async fn send(self, client: &Client) -> Exchange {
        let user = self.who.id();
        let mut headers: Vec<(&str, &str)> = vec![("host", &self.host)];
        if let Some(user) = &user {
            headers.push(("x-user-id", user));
        }
        if let Some(manual) = self.manual {
            headers.push(("x-canary", if manual { "true" } else { "false" }));
        }
        if self.beta {
            headers.push(("x-beta", "yes"));
        }
        let (method, path) = match (self.cut, self.buys) {
            (true, _) => (Method::GET, "/slow"),
            (false, true) => (Method::POST, "/buy"),
            (false, false) => (Method::GET, "/"),
        };
        let sent = Instant::now();
        let answer = client.send(self.target, method, path, &headers, Bytes::new());
        let ending = if self.cut {
            // Dropping the request closes its connection.
            match tokio::time::timeout(CUT_AFTER, answer).await {
                Ok(answer) => ending_of(answer),
                Err(_) => Ending::Cut,
            }
        } else {
            ending_of(answer.await)
        };
        Exchange { who: self.who, manual: self.manual, sent, took: sent.elapsed(), ending }
    }
}

fn ending_of(answer: Result<Answer>) -> Ending {
    match answer {
        Ok(answer) => Ending::Answered {
            status: answer.status.as_u16(),
            version: answer.header("x-shop-version").map(Into::into),
        },
        Err(error) => Ending::Broken(format!("{error:#}").into()),
    }
}
