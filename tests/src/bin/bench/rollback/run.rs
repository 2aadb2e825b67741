//! One canary's run: its traffic, its fault, and what clients and the analyzer's history tell of its end.

use super::cells::{Cell, Fault, WEIGHT};
use super::ledger::{Ending, Run, Stable, Times};
use super::machine::{Ticks, load_average};
use anyhow::{Context, Result, bail};
use serin_tests::analyzer::{Api, Phase, Status, Transition};
use serin_tests::load::{Exchange, Load, LoadOptions, Record, Who};
use serin_tests::random;
use serin_tests::shop::Shop;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Requests a second for each canary.
const RATE: f64 = 200.0;
/// How many users each canary has. Some are busy: the busiest sends every eightieth request.
const USERS: u32 = 5000;
/// The part of the requests without a user, which go by the weights alone.
const ANONYMOUS: f64 = 0.1;
/// The fault comes between so many seconds after the step began.
const FAULT: std::ops::Range<f64> = 20.0..60.0;
/// A fault that is not noticed after so long is not noticed.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a good canary is watched.
const HEALTHY: Duration = Duration::from_secs(300);
/// For what is no part of a measurement.
const PREPARATION: Duration = Duration::from_secs(120);
/// Seldom enough that asking is no load.
const BETWEEN: Duration = Duration::from_secs(1);
/// A canary that has answered nothing for so long has no traffic.
const QUIET: Duration = Duration::from_secs(5);

/// Where one canary's requests go, and who answers them.
pub(crate) struct Site {
    /// Its release.
    pub(crate) api: Api,
    /// The Envoy.
    pub(crate) target: SocketAddr,
    /// Its host.
    pub(crate) host: Arc<str>,
    /// It serves for as long as it is kept.
    pub(crate) _stable: Shop,
    pub(crate) canary: Shop,
}

impl Site {
    /// Its users, from now on.
    pub(crate) fn load(&self, cell: Cell, number: u32) -> Result<Load> {
        Load::start(LoadOptions {
            host: Arc::clone(&self.host),
            users: USERS,
            anonymous: ANONYMOUS,
            rate: RATE,
            time: 2 * PREPARATION + HEALTHY + 2 * PATIENCE,
            seed: seed(cell, number),
            ..LoadOptions::on(vec![self.target])
        })
    }
}

/// A number of its own for each run.
fn seed(cell: Cell, number: u32) -> u64 {
    random::number(u64::from(number), cell.name().bytes().map(u64::from).sum())
}

/// A run, from the release to its last request.
pub(crate) async fn run(site: Site, load: Load, cell: Cell, number: u32) -> Result<Run> {
    let began = Ticks::now()?;
    let mut run = match cell {
        Cell::Bad(_, fault) => turn_bad(&site, &load, fault, seed(cell, number)).await,
        Cell::Healthy => stay_good(&site, &load).await,
    }
    .with_context(|| format!("{cell}, run {number}"))?;
    drop(load.stop().await?);
    (run.cell, run.number) = (cell.name(), number);
    (run.load_average, run.busy) = (load_average()?, Ticks::now()?.busy_since(began));
    Ok(run)
}

async fn turn_bad(site: &Site, load: &Load, fault: Fault, seed: u64) -> Result<Run> {
    let step = until(site, PREPARATION, |status| line(status, |line| line.weight == WEIGHT)).await?;
    let step = moment(step.context("its step never began")?.time)?;
    let after = FAULT.start + (FAULT.end - FAULT.start) * random::fraction(seed, 0);
    tokio::time::sleep_until((step + Duration::from_secs_f64(after)).into()).await;
    let at = Instant::now();
    site.canary.set_faults(fault.faults());
    let verdict = until(site, PATIENCE, |status| line(status, |line| line.phase == Phase::Failed)).await?;
    let stable = load.record().read(|all| Stable::of(all, step, at));
    let mut run = Run::new(Ending::Never, String::new(), Some(after), stable);
    let Some(verdict) = verdict else { return Ok(run) };
    run.reason.clone_from(&verdict.reason);
    let verdict = moment(verdict.time)?;
    if verdict < at {
        run.ending = Ending::TooEarly;
        return Ok(run);
    }
    run.ending = Ending::RolledBack;
    until_quiet(load.record()).await?;
    load.record().read(|all| run.tell(all, fault, at, verdict))?;
    Ok(run)
}

async fn stay_good(site: &Site, load: &Load) -> Result<Run> {
    let step = until(site, PREPARATION, |status| line(status, |line| line.weight > 0.0)).await?;
    let step = moment(step.context("its first step never began")?.time)?;
    let left = (step + HEALTHY).saturating_duration_since(Instant::now());
    let failed = until(site, left, |status| line(status, |line| line.phase == Phase::Failed)).await?;
    let stable = load.record().read(|all| Stable::of(all, step, Instant::now()));
    let ending = if failed.is_some() { Ending::RolledBack } else { Ending::Never };
    Ok(Run::new(ending, failed.map(|line| line.reason).unwrap_or_default(), None, stable))
}

/// The first line of the history that is such.
fn line(status: &Status, such: impl Fn(&Transition) -> bool) -> Option<Transition> {
    status.history.iter().find(|line| such(line)).cloned()
}

/// Asks for the release until it has what is looked for; nothing after `patience`.
async fn until<T>(site: &Site, patience: Duration, look: impl Fn(&Status) -> Option<T>) -> Result<Option<T>> {
    let end = Instant::now() + patience;
    loop {
        let status = site.api.status().await;
        if let Some(found) = status.as_ref().ok().and_then(&look) {
            return Ok(Some(found));
        }
        if Instant::now() >= end {
            return status.map(|_| None);
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// The moment of a time of the history, which is in milliseconds since 1970.
fn moment(time: u64) -> Result<Instant> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(time);
    let ago = SystemTime::now().duration_since(time).context("the history is of the future")?;
    Instant::now().checked_sub(ago).context("the history is older than the machine")
}

/// Waits until the canary has answered nothing for a while.
async fn until_quiet(record: &Record) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let last = record.read(|all| all.iter().filter(|one| by_canary(one)).map(ended).max());
        if last.is_none_or(|last| last.elapsed() > QUIET) {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN).await;
    }
    bail!("it still has traffic {} s after the verdict", PATIENCE.as_secs())
}

fn by_canary(exchange: &Exchange) -> bool {
    exchange.version() == Some("v2")
}

fn ended(exchange: &Exchange) -> Instant {
    exchange.sent + exchange.took
}

impl Stable {
    /// What stable's clients met in a period; requests without any answer are taken for errors of stable's.
    fn of(all: &[Exchange], from: Instant, to: Instant) -> Self {
        let within = || all.iter().filter(|one| from <= one.sent && one.sent < to && !by_canary(one));
        let mut took: Vec<f64> = within().map(|one| one.took.as_secs_f64() * 1000.0).collect();
        took.sort_by(f64::total_cmp);
        let at = |part: f64| took.get((took.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN);
        let failed = within().filter(|one| one.failed()).count();
        let error_rate = failed as f64 / (took.len() as f64).max(1.0);
        Self { p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99), error_rate }
    }
}

impl Run {
    /// One of which its bad responses, its cell and the machine are not told yet.
    fn new(ending: Ending, reason: String, fault_after: Option<f64>, stable: Stable) -> Self {
        Self {
            cell: String::new(),
            number: 0,
            ending,
            reason,
            fault_after,
            times: None,
            bad_requests: 0,
            bad_users: 0,
            stable,
            load_average: 0.0,
            busy: 0.0,
        }
    }

    /// What clients saw of a canary that turned bad `at` a moment.
    fn tell(&mut self, all: &[Exchange], fault: Fault, at: Instant, verdict: Instant) -> Result<()> {
        let canary = || all.iter().filter(|one| by_canary(one));
        let bad: Vec<&Exchange> = canary()
            .filter(|one| one.sent >= at)
            .filter(|one| match fault {
                Fault::Errors20 | Fault::Errors5 => one.failed(),
                // All of them are.
                Fault::Latency3 => true,
            })
            .collect();
        let users: BTreeSet<Who> = bad.iter().map(|one| one.who).collect();
        self.bad_requests = bad.len();
        self.bad_users = users.iter().filter(|who| matches!(who, Who::User(_))).count();
        let first = bad.iter().map(|one| ended(one)).min().context("no response was bad")?;
        let last = canary().map(ended).max().context("the canary answered nothing")?;
        let before = bad.iter().map(|one| ended(one)).filter(|end| *end <= verdict).max();
        self.times = Some(Times {
            first_bad_to_last: seconds(first, last),
            first_bad_to_verdict: seconds(first, verdict),
            last_bad_to_verdict: seconds(before.unwrap_or(first), verdict),
            verdict_to_last: seconds(verdict, last),
        });
        Ok(())
    }
}

/// Less than 0 where `to` comes first.
fn seconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() - from.saturating_duration_since(to).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_tests::load::Ending as End;

    /// A request that is sent and ends so many milliseconds after a moment.
    fn exchange(
        begin: Instant,
        (sent, ended): (u64, u64),
        version: &str,
        status: u16,
        user: u32,
    ) -> Exchange {
        Exchange {
            who: Who::User(user),
            manual: None,
            sent: begin + Duration::from_millis(sent),
            took: Duration::from_millis(ended - sent),
            ending: End::Answered { status, version: Some(version.into()) },
        }
    }

    #[test]
    fn a_rollback_lasts_from_the_first_bad_response_to_the_canarys_last() {
        let begin = Instant::now();
        let all = [
            exchange(begin, (0, 20), "v2", 500, 1), // before the fault
            exchange(begin, (150, 200), "v2", 500, 2),
            exchange(begin, (160, 300), "v1", 500, 3),
            exchange(begin, (900, 1000), "v2", 500, 2),
            exchange(begin, (1500, 1600), "v2", 200, 4), // after the verdict
        ];
        let at = |millis| begin + Duration::from_millis(millis);
        let mut run = Run::new(Ending::RolledBack, String::new(), None, Stable::of(&all, begin, at(2000)));
        run.tell(&all, Fault::Errors20, at(100), at(1100)).unwrap();
        assert_eq!((run.bad_requests, run.bad_users), (2, 1));
        let times = run.times.unwrap();
        let all = [
            times.first_bad_to_last,
            times.first_bad_to_verdict,
            times.last_bad_to_verdict,
            times.verdict_to_last,
        ];
        assert_eq!(all.map(|seconds| (seconds * 10.0).round()), [14.0, 9.0, 1.0, 5.0]);
    }
}
