//! Filters that report: each with its own instance and sequence numbers. They keep a report until it is acknowledged,
//! and follow the plan.

use super::pool::Connection;
use super::users::{REQUESTS, Users, mixed, report};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use serin_contract::{Plan, Share};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long a reply may take, as in the filter.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Connections of all filters at most; beyond it some share one. The analyzer takes 8,192.
const LANES: usize = 5_000;

/// How long canaries may take to their first step: a thousand are a thousand commits.
const PATIENCE: Duration = Duration::from_secs(300);

/// How the filters report.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// Each filter the next as soon as the last is answered.
    Closed,
    /// Each filter once in this time, whatever the analyzer does.
    Each(Duration),
    /// Each filter as often as the plan asks for, and at most once in this time. What could not be said in time is
    /// said with the next report, as in the filter.
    Planned(Duration),
}

/// What a run saw.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) time: Duration,
    pub(crate) replies: usize,
    pub(crate) bytes: usize,
    /// Reports that were not answered in time, or not well; they were sent again.
    pub(crate) failed: u64,
    waits: Vec<Duration>,
}

impl Measured {
    /// How long a reply took.
    pub(crate) fn quantile(&self, q: f64) -> Duration {
        let place = (self.waits.len().saturating_sub(1) as f64 * q) as usize;
        self.waits.get(place).copied().unwrap_or_default()
    }

    /// Replies a second.
    pub(crate) fn rate(&self) -> f64 {
        self.replies as f64 / self.time.as_secs_f64()
    }

    fn add(&mut self, other: Self) {
        self.replies += other.replies;
        self.bytes += other.bytes;
        self.failed += other.failed;
        self.waits.extend(other.waits);
    }
}

#[derive(Deserialize)]
struct Reply {
    acknowledged: u64,
    plan: Option<Box<RawValue>>,
}

fn plan_of(reply: &[u8]) -> Result<Plan> {
    let reply: Reply = serde_json::from_slice(reply)?;
    let plan = reply.plan.context("no plan came")?;
    Plan::from_json(plan.get().as_bytes()).map_err(|error| anyhow::anyhow!("{error}"))
}

/// All filters.
pub(crate) struct Fleet {
    filters: Vec<Arc<Mutex<Filter>>>,
    /// How many connections the filters have together: each its own, up to a bound.
    lanes: usize,
    connections: Vec<tokio::sync::Mutex<Connection>>,
    plan: RwLock<Arc<Plan>>,
    users: Users,
    /// How many users a report lists.
    seen: usize,
    acknowledged: AtomicU64,
}

struct Filter {
    instance: u64,
    sequence: u64,
    waiting: Option<Vec<u8>>,
}

impl Fleet {
    /// Filters that know the plan already.
    pub(crate) async fn new(targets: Vec<SocketAddr>, filters: usize, seen: usize) -> Result<Arc<Self>> {
        let body = r#"{"instance": "00000000000000ff", "sequence": 1, "plan_revision": 0, "node": "first", "interval_ms": 500}"#;
        let lanes = filters.min(LANES);
        let filters = (0..filters as u64)
            .map(|place| Filter { instance: mixed(place + 1), sequence: 0, waiting: None })
            .map(|filter| Arc::new(Mutex::new(filter)))
            .collect();
        let target = *targets.first().context("no analyzer")?;
        // Until a report has come all canaries wait for their first tick.
        let mut connection = Connection::to(target);
        let deadline = Instant::now() + PATIENCE;
        loop {
            // As long as canaries take their first step answers may be late; a filter asks again.
            let plan = match connection.post(body.as_bytes()).await {
                Ok(reply) => Some(plan_of(&reply)?),
                Err(_) => {
                    connection.close();
                    None
                }
            };
            let plan =
                plan.filter(|plan| plan.canaries().iter().all(|canary| canary.canary_share > Share::NONE));
            if let Some(plan) = plan {
                let users = Users::of(&plan);
                let (plan, acknowledged) = (RwLock::new(Arc::new(plan)), AtomicU64::new(0));
                let connections = (0..lanes).map(|lane| Connection::to(targets[lane % targets.len()]));
                let connections = connections.map(tokio::sync::Mutex::new).collect();
                let fleet = Self { filters, lanes, connections, plan, users, seen, acknowledged };
                return Ok(Arc::new(fleet));
            }
            ensure!(
                Instant::now() < deadline,
                "the canaries did not get their share within {} s",
                PATIENCE.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.filters.len()
    }

    /// The requests in all reports that were acknowledged.
    pub(crate) fn requests(&self) -> u64 {
        if self.seen == 0 { 0 } else { self.reports() * REQUESTS }
    }

    /// The reports that were acknowledged.
    pub(crate) fn reports(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// How often the plan wants reports.
    pub(crate) fn interval(&self) -> Duration {
        self.plan().report_interval
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reports for so long; comes back when every report is acknowledged.
    pub(crate) async fn run(self: &Arc<Self>, load: Load, time: Duration) -> Result<Measured> {
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for lane in 0..self.lanes {
            tasks.spawn(Arc::clone(self).lane(lane, load, begin, begin + time));
        }
        let mut all = Measured::default();
        while let Some(measured) = tasks.join_next().await {
            all.add(measured?);
        }
        all.time = begin.elapsed();
        all.waits.sort();
        Ok(all)
    }

    /// One connection, for every nth filter.
    async fn lane(self: Arc<Self>, lane: usize, load: Load, begin: Instant, end: Instant) -> Measured {
        let mut measured = Measured::default();
        let lanes = self.lanes;
        // Kept from run to run, as a proxy keeps it.
        let mut connection = self.connections[lane].lock().await;
        let mine: Vec<_> = self.filters.iter().skip(lane).step_by(lanes).cloned().collect();
        if mine.is_empty() {
            return measured;
        }
        // Lanes beside one another, each lane's filters evenly over the interval.
        let gap = |interval: Duration| interval / mine.len() as u32;
        let first = |interval: Duration| begin + gap(interval).mul_f64(lane as f64 / lanes as f64);
        let mut due = match load {
            Load::Closed => begin,
            Load::Each(interval) => first(interval),
            Load::Planned(least) => first(self.interval().max(least)),
        };
        for filter in mine.iter().cycle() {
            if due.max(Instant::now()) >= end {
                break;
            }
            tokio::time::sleep_until(due.into()).await;
            self.report(filter, &mut connection, due, &mut measured).await;
            due = match load {
                Load::Closed => Instant::now(),
                Load::Each(interval) => due + gap(interval),
                Load::Planned(least) => (due + gap(self.interval().max(least))).max(Instant::now()),
            };
        }
        for filter in &mine {
            while filter.lock().unwrap_or_else(PoisonError::into_inner).waiting.is_some() {
                self.report(filter, &mut connection, Instant::now(), &mut measured).await;
            }
        }
        measured
    }

    /// One report, or the last one again. Waiting counts from when it was due.
    async fn report(
        &self,
        filter: &Mutex<Filter>,
        connection: &mut Connection,
        due: Instant,
        measured: &mut Measured,
    ) {
        let (body, sequence) = {
            let mut filter = filter.lock().unwrap_or_else(PoisonError::into_inner);
            let body = match filter.waiting.take() {
                Some(body) => body,
                None => {
                    filter.sequence += 1;
                    report(&self.plan(), &self.users, filter.instance, filter.sequence, self.seen)
                }
            };
            (body, filter.sequence)
        };
        let answer = tokio::time::timeout(TIMEOUT, connection.post(&body)).await;
        let reply = answer.ok().and_then(Result::ok);
        let reply = reply.and_then(|body| serde_json::from_slice::<Reply>(&body).ok());
        let Some(reply) = reply.filter(|reply| reply.acknowledged >= sequence) else {
            measured.failed += 1;
            connection.close();
            filter.lock().unwrap_or_else(PoisonError::into_inner).waiting = Some(body);
            return;
        };
        measured.waits.push(due.elapsed());
        measured.replies += 1;
        measured.bytes += body.len();
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        if let Some(plan) = reply.plan {
            self.follow(plan.get());
        }
    }

    fn follow(&self, plan: &str) {
        let known = self.plan().revision;
        // All filters get the plan, each in its own reply; it need be read once.
        if plan.contains(&format!("\"revision\":{known},")) {
            return;
        }
        if let Ok(plan) = Plan::from_json(plan.as_bytes()) {
            let mut present = self.plan.write().unwrap_or_else(PoisonError::into_inner);
            if plan.revision > present.revision {
                *present = Arc::new(plan);
            }
        }
    }
}
