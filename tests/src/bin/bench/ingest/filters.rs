//! Filters that report: each with its own instance, sequence numbers and sets of users. They keep a report until it
//! is acknowledged, follow the plan, and list only users that its sample wants.

use super::pool::Connection;
use super::world::World;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use serin_contract::{Plan, Share, UnitHash};
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Requests that a report tells of.
const REQUESTS: u64 = 500;
/// How long a reply may take, as in the filter.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Connections of a load that waits for nobody.
const CONNECTIONS: usize = 256;

/// How the filters report.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// On so many connections, the next as soon as the last is answered.
    Closed(usize),
    /// Each filter once in this time, whatever the analyzer does.
    Each(Duration),
}

/// How many new users a report lists.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen(pub(crate) usize);

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
}

#[derive(Deserialize)]
struct Reply {
    acknowledged: u64,
    plan: Option<Box<RawValue>>,
}

/// All filters.
pub(crate) struct Fleet {
    target: SocketAddr,
    filters: Vec<Arc<Mutex<Filter>>>,
    plan: RwLock<Arc<Plan>>,
    seen: Seen,
    acknowledged: AtomicU64,
}

struct Filter {
    instance: u64,
    sequence: u64,
    waiting: Option<Vec<u8>>,
}

impl Fleet {
    /// Filters that know the plan already.
    pub(crate) async fn new(world: &World, filters: usize, seen: Seen) -> Result<Arc<Self>> {
        let target = world.address();
        let body = r#"{"instance": "00000000000000ff", "sequence": 1, "plan_revision": 0, "node": "first", "interval_ms": 500}"#;
        let filters = (0..filters as u64)
            .map(|place| Filter { instance: mixed(place + 1), sequence: 0, waiting: None })
            .map(|filter| Arc::new(Mutex::new(filter)))
            .collect();
        // Until a report has come all canaries wait for their first tick.
        let mut connection = Connection::to(target);
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let reply: Reply = serde_json::from_slice(&connection.post(body.as_bytes()).await?)?;
            let plan = reply.plan.context("no plan came")?;
            let plan = Plan::from_json(plan.get().as_bytes()).map_err(|error| anyhow::anyhow!("{error}"))?;
            if plan.canaries().iter().all(|canary| canary.canary_share > Share::NONE) {
                let plan = RwLock::new(Arc::new(plan));
                return Ok(Arc::new(Self { target, filters, plan, seen, acknowledged: AtomicU64::new(0) }));
            }
            ensure!(Instant::now() < deadline, "the canaries did not get their share within a minute");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The requests in all reports that were acknowledged.
    pub(crate) fn requests(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed) * REQUESTS
    }

    /// Reports for so long; comes back when every report is acknowledged.
    pub(crate) async fn run(self: &Arc<Self>, load: Load, time: Duration) -> Result<Measured> {
        let begin = Instant::now();
        let end = begin + time;
        let lanes = match load {
            Load::Closed(lanes) => lanes,
            Load::Each(_) => CONNECTIONS,
        };
        let mut tasks = JoinSet::new();
        for lane in 0..lanes {
            tasks.spawn(Arc::clone(self).lane(lane, lanes, load, begin, end));
        }
        let mut all = Measured::default();
        while let Some(measured) = tasks.join_next().await {
            let measured = measured?;
            all.replies += measured.replies;
            all.bytes += measured.bytes;
            all.failed += measured.failed;
            all.waits.extend(measured.waits);
        }
        all.time = begin.elapsed();
        all.waits.sort();
        Ok(all)
    }

    /// One connection, for every nth filter.
    async fn lane(
        self: Arc<Self>,
        lane: usize,
        lanes: usize,
        load: Load,
        begin: Instant,
        end: Instant,
    ) -> Measured {
        let mut measured = Measured::default();
        let mut connection = Connection::to(self.target);
        let mine: Vec<_> = self.filters.iter().skip(lane).step_by(lanes).cloned().collect();
        if mine.is_empty() {
            return measured;
        }
        for turn in 0_u64.. {
            let place = turn as usize % mine.len();
            let mut due = Instant::now();
            if let Load::Each(interval) = load {
                // Evenly over the interval, lanes beside one another.
                let round = interval.as_secs_f64() * (turn as f64 + lane as f64 / lanes as f64);
                due = begin + Duration::from_secs_f64(round / mine.len() as f64);
                tokio::time::sleep_until(due.into()).await;
            }
            if Instant::now() >= end {
                break;
            }
            self.report(&mine[place], &mut connection, due, &mut measured).await;
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
            if filter.waiting.is_none() {
                filter.sequence += 1;
                let plan = Arc::clone(&self.plan.read().unwrap_or_else(PoisonError::into_inner));
                filter.waiting = Some(body(&plan, filter.instance, filter.sequence, self.seen));
            }
            (filter.waiting.clone().unwrap_or_default(), filter.sequence)
        };
        let answer = tokio::time::timeout(TIMEOUT, connection.post(&body)).await;
        let reply = answer.ok().and_then(Result::ok);
        let reply = reply.and_then(|body| serde_json::from_slice::<Reply>(&body).ok());
        let Some(reply) = reply.filter(|reply| reply.acknowledged >= sequence) else {
            measured.failed += 1;
            *connection = Connection::to(self.target);
            return;
        };
        measured.waits.push(due.elapsed());
        measured.replies += 1;
        measured.bytes += body.len();
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        filter.lock().unwrap_or_else(PoisonError::into_inner).waiting = None;
        if let Some(plan) = reply.plan {
            self.follow(plan.get());
        }
    }

    fn follow(&self, plan: &str) {
        let known = self.plan.read().unwrap_or_else(PoisonError::into_inner).revision;
        // All filters get the plan, each in its own reply; it need be read once.
        if plan.contains(&format!("\"revision\":{known},")) {
            return;
        }
        if let Ok(plan) = Plan::from_json(plan.as_bytes()) {
            *self.plan.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
        }
    }
}

/// What a filter has to say after five hundred requests of one canary, a few of which failed.
fn body(plan: &Plan, instance: u64, sequence: u64, seen: Seen) -> Vec<u8> {
    let canaries = plan.canaries();
    let canary = &canaries[mixed(instance ^ sequence << 32) as usize % canaries.len()];
    let mut text = String::with_capacity(8 * 1024);
    // Writing to a string cannot fail.
    let mut add = |part: std::fmt::Arguments<'_>| text.write_fmt(part).unwrap_or_default();
    add(format_args!(
        r#"{{"instance":"{instance:016x}","sequence":{sequence},"plan_revision":{},"node":"gateway-{}.default","interval_ms":1000,"canaries":[{{"name":"{}","step":{},"stratum":{},"arms":{{"#,
        plan.revision,
        instance % 10_000,
        canary.name,
        canary.step,
        canary.stratum
    ));
    for (place, arm) in ["stable", "canary"].into_iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        add(format_args!(
            r#"{comma}"{arm}":{{"requests":250,"errors":1,"responses":[["GET",200,230],["POST",200,19],["GET",503,1]],"latency":["#
        ));
        let counts = [3, 9, 17, 31, 45, 50, 38, 24, 14, 9, 5, 3, 1, 1];
        for (bucket, count) in counts.into_iter().enumerate() {
            let comma = if bucket == 0 { "" } else { "," };
            add(format_args!("{comma}[{},{count}]", 140 + bucket * 2 + place));
        }
        add(format_args!(r#"],"overdue":0,"seen":["#));
        let mut comma = "";
        for number in 0..seen.0 / 2 {
            // A user is always in one arm.
            let hash = mixed(mixed(instance ^ sequence << 24) ^ number as u64) & !1 | place as u64;
            if canary.seen_sample.has(UnitHash(hash)) {
                add(format_args!(r#"{comma}"{hash:016x}""#));
                comma = ",";
            }
        }
        add(format_args!(r#"],"erred":[],"slow":[]}}"#));
    }
    add(format_args!(r#"}},"excluded":5}}]}}"#));
    text.into_bytes()
}

/// splitmix64's finalizer: numbers without a pattern.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_contract::Report;

    #[test]
    fn reports_are_what_the_analyzer_takes_and_as_large_as_they_are_said_to_be() {
        let plan = serde_json::json!({ "revision": 1, "report_interval_ms": 500, "canaries": [{
            "name": "default/shop", "step": 1, "stratum": 1, "hosts": ["shop.example"], "salt": "",
            "canary_share": 5000, "slow_edge_us": 1, "served_by": { "stable": ["s"], "canary": ["c"] } }] });
        let plan = Plan::from_json(plan.to_string().as_bytes()).unwrap();
        for (seen, bytes) in [(20, 1_000..1_400), (300, 5_500..6_600)] {
            let body = body(&plan, 7, 3, Seen(seen));
            let report = Report::from_json(&body).unwrap();
            let arms = &report.canaries[0].arms;
            assert_eq!(arms.stable.requests + arms.canary.requests, REQUESTS);
            assert_eq!(arms.stable.seen.len() + arms.canary.seen.len(), seen);
            assert!(bytes.contains(&body.len()), "{}", body.len());
        }
    }
}
