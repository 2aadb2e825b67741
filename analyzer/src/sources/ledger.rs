//! What a canary's sources said last, how they are, and what that means for the release. Owned by the
//! engine; no I/O and no clock in it.

use super::application;
use super::collect::{Answers, Asked, Collected};
use super::limit::{Finding, Given, Limit};
use super::prometheus::Standard;
use serde::Serialize;
use serin_contract::{Arm, PerArm};
use serin_judge::rules::OnBreach;
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// Beyond so many rounds without an answer the last numbers are too old to judge by.
const STALE_ROUNDS: u32 = 3;
/// A round that was not heard of for so long never will be: sources' timeouts are a minute at most.
const LOST: Duration = Duration::from_secs(180);
/// How [`LimitView::state`] says it.
pub const KEPT: &str = "kept";
/// See [`KEPT`].
pub const BROKEN: &str = "broken";
/// See [`KEPT`].
pub const UNKNOWN: &str = "unknown";

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The filters' reports, which come by themselves.
    Filters,
    /// The versions' own pages.
    Application,
    /// Prometheus.
    Prometheus,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Filters, Self::Application, Self::Prometheus];

    /// As in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filters => "filters",
            Self::Application => "application",
            Self::Prometheus => "prometheus",
        }
    }
}

/// How a source is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Which one.
    pub source: Source,
    /// Whether it answered when it was last asked.
    pub up: bool,
    /// Since when that has been so.
    pub since: Time,
    /// Why it is down.
    pub problem: Option<String>,
    /// What was not as expected, without being a failure: counters that began anew, queries without a value.
    pub notes: Vec<String>,
    /// How long the last round took, in seconds.
    pub seconds: f64,
}

/// A limit of the user's and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitView {
    /// Its name.
    pub name: String,
    /// Stable's number, where one is asked for and known.
    pub stable: Option<f64>,
    /// The canary's number, where it is known.
    pub canary: Option<f64>,
    /// `kept`, `broken` or `unknown`.
    pub state: &'static str,
    /// Why it is broken or unknown.
    pub reason: Option<String>,
    /// What a breach means.
    pub on_breach: OnBreach,
}

/// What a version's further sources say, for its sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Extras {
    /// Percent of a core: the application's word, else Prometheus's.
    pub cpu_percent: Option<f64>,
    /// The application's word, else Prometheus's.
    pub memory_bytes: Option<f64>,
    /// Connections open to the version: Prometheus's word (Envoy's statistic), else the application's.
    pub active_connections: Option<f64>,
    /// The application's own values.
    pub custom: BTreeMap<String, f64>,
    /// The traffic as others saw it, beside the filters' numbers, by source.
    pub sources: BTreeMap<&'static str, Traffic>,
}

/// Traffic as a further source saw it. What it does not know is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Traffic {
    /// Since the round before.
    pub requests: Option<f64>,
    /// Since the round before.
    pub errors: Option<f64>,
    /// A second.
    pub request_rate: Option<f64>,
    /// A second.
    pub error_rate: Option<f64>,
    /// In seconds.
    pub latency_p95: Option<f64>,
}

/// The last numbers and the health of each source.
#[derive(Debug, Default)]
pub struct Ledger {
    health: BTreeMap<Source, Health>,
    counters: PerArm<Counters>,
    extras: PerArm<Extras>,
    limits: Option<(Time, Vec<PerArm<Given>>)>,
    busy: Option<Time>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    requests: Option<f64>,
    errors: Option<f64>,
}

impl Ledger {
    /// Begins a round; false while one is under way.
    pub fn begin(&mut self, now: Time) -> bool {
        if self.busy.is_some_and(|since| now.since(since) < LOST) {
            return false;
        }
        self.busy = Some(now);
        true
    }

    /// A round came to its end that nobody waits for any more.
    pub fn abandon(&mut self) {
        self.busy = None;
    }

    /// Another rollout: what was said about the one before says nothing about it.
    pub fn clear(&mut self) {
        self.counters = PerArm::default();
        self.extras = PerArm::default();
        self.limits = None;
    }

    /// Takes over a round. The sources that went down or came back with it.
    pub fn take(&mut self, collected: Collected, limits: &[Limit], now: Time) -> Vec<Health> {
        self.busy = None;
        let mut turned = Vec::new();
        self.extras = PerArm::default();
        match collected.application {
            Some(asked) => turned.extend(self.take_application(&asked, now)),
            None => drop(self.health.remove(&Source::Application)),
        }
        match collected.prometheus {
            Some(asked) => turned.extend(self.take_prometheus(asked, limits, collected.time, now)),
            None => drop(self.health.remove(&Source::Prometheus)),
        }
        turned
    }

    fn take_application(
        &mut self,
        asked: &Asked<PerArm<Result<application::Reading, String>>>,
        now: Time,
    ) -> Option<Health> {
        let mut problems = Vec::new();
        let mut notes = Vec::new();
        for (arm, answer) in asked.answer.iter() {
            match answer {
                Ok(reading) => {
                    notes.extend(reading.notes.iter().cloned());
                    let last = self.counters.get_mut(arm);
                    let (traffic, anew) = traffic(&reading.traffic, last);
                    if anew {
                        notes.push(format!("the counters of {arm} began anew: was it restarted?"));
                    }
                    let extras = self.extras.get_mut(arm);
                    extras.cpu_percent = finite(reading.system.cpu_percent);
                    extras.memory_bytes = finite(reading.system.memory_bytes);
                    extras.active_connections = finite(reading.system.active_connections);
                    let custom = reading.traffic.custom.iter();
                    extras.custom =
                        custom.filter_map(|(name, value)| Some((name.clone(), finite(*value)?))).collect();
                    extras.sources.insert(Source::Application.name(), traffic);
                }
                Err(problem) => problems.push(format!("{arm}: {problem}")),
            }
        }
        self.is(Source::Application, (problems.join("; "), notes), asked.took, now)
    }

    fn take_prometheus(
        &mut self,
        asked: Asked<Result<Answers, String>>,
        limits: &[Limit],
        begun: Time,
        now: Time,
    ) -> Option<Health> {
        match asked.answer {
            Ok(answers) => {
                for (arm, known) in answers.standard.iter() {
                    let of = |standard| known.get(&standard).copied();
                    let extras = self.extras.get_mut(arm);
                    extras.cpu_percent = extras.cpu_percent.or(of(Standard::CpuPercent));
                    extras.memory_bytes = extras.memory_bytes.or(of(Standard::MemoryBytes));
                    extras.active_connections = of(Standard::ActiveConnections).or(extras.active_connections);
                    let traffic = Traffic {
                        request_rate: of(Standard::RequestRate),
                        error_rate: of(Standard::ErrorRate),
                        latency_p95: of(Standard::LatencyP95),
                        ..Traffic::default()
                    };
                    extras.sources.insert(Source::Prometheus.name(), traffic);
                }
                let mut notes = answers.notes;
                if !answers.empty.is_empty() {
                    notes.push(format!("no value of {}", answers.empty.join(", ")));
                }
                if answers.limits.len() == limits.len() {
                    self.limits = Some((begun, answers.limits));
                }
                self.is(Source::Prometheus, (String::new(), notes), asked.took, now)
            }
            Err(problem) => self.is(Source::Prometheus, (problem, Vec::new()), asked.took, now),
        }
    }

    /// Notes how a source is; its health when it turned.
    fn is(
        &mut self,
        source: Source,
        (problem, notes): (String, Vec<String>),
        took: Duration,
        now: Time,
    ) -> Option<Health> {
        let problem = Some(problem).filter(|problem| !problem.is_empty());
        let up = problem.is_none();
        let before = self.health.get(&source).map(|health| (health.up, health.since));
        let turned = before.is_none_or(|(was_up, _)| was_up != up);
        let since = before.filter(|_| !turned).map_or(now, |(_, since)| since);
        let health = Health { source, up, since, problem, notes, seconds: took.as_secs_f64() };
        self.health.insert(source, health.clone());
        turned.then_some(health)
    }

    /// What the filters' silence says; the analyzer is told, it does not ask.
    pub fn filters(&mut self, problem: Option<String>, now: Time) -> Option<Health> {
        self.is(Source::Filters, (problem.unwrap_or_default(), Vec::new()), Duration::ZERO, now)
    }

    /// How all sources are.
    pub fn health(&self) -> impl Iterator<Item = &Health> {
        self.health.values()
    }

    /// What a version's further sources say.
    pub fn extras(&self, arm: Arm) -> &Extras {
        self.extras.get(arm)
    }

    /// What the limits' numbers say now. Numbers of a source that is down, or too old, are not known.
    pub fn findings(&self, limits: &[Limit], round: Duration, now: Time) -> Vec<Finding> {
        let findings = limits.iter().enumerate();
        findings.map(|(place, limit)| limit.judge(&self.given(place, round, now))).collect()
    }

    fn given(&self, place: usize, round: Duration, now: Time) -> PerArm<Given> {
        let nothing = |why: &str| PerArm { stable: Err(why.to_owned()), canary: Err(why.to_owned()) };
        let down = self.health.get(&Source::Prometheus).and_then(|health| health.problem.as_deref());
        if let Some(problem) = down {
            return nothing(&format!("is not known: {problem}"));
        }
        match &self.limits {
            None => nothing("has not been asked for yet"),
            Some((time, _)) if now.since(*time) > STALE_ROUNDS * round + Duration::from_secs(10) => {
                nothing(&format!("is {} s old", now.since(*time).as_secs()))
            }
            Some((_, given)) => {
                given.get(place).cloned().unwrap_or_else(|| nothing("has not been asked for yet"))
            }
        }
    }

    /// The limits as readers see them.
    pub fn views(&self, limits: &[Limit], round: Duration, now: Time) -> Vec<LimitView> {
        let view = |(place, limit): (usize, &Limit)| {
            let given = self.given(place, round, now);
            let (state, reason) = match limit.judge(&given) {
                Finding::Kept => (KEPT, None),
                Finding::Broken(reason) => (BROKEN, Some(reason)),
                Finding::Unknown(reason) => (UNKNOWN, Some(reason)),
            };
            LimitView {
                name: limit.name.clone(),
                stable: given.stable.ok(),
                canary: given.canary.ok(),
                state,
                reason,
                on_breach: limit.on_breach,
            }
        };
        limits.iter().enumerate().map(view).collect()
    }
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// What a version's counters grew by since the last round; true when one of them began anew, which then
/// counts from zero, as Prometheus' own rates do.
fn traffic(page: &application::Traffic, last: &mut Counters) -> (Traffic, bool) {
    let mut anew = false;
    let mut grown = |total: Option<f64>, last: &mut Option<f64>| {
        let total = finite(total).filter(|total| *total >= 0.0)?;
        match last.replace(total) {
            Some(before) if total >= before => Some(total - before),
            Some(_) => {
                anew = true;
                Some(total)
            }
            None => None,
        }
    };
    let requests = grown(page.requests_total, &mut last.requests);
    let errors = grown(page.errors_total, &mut last.errors);
    let latency_p95 = percentile_95(&page.latency_histogram);
    (Traffic { requests, errors, latency_p95, ..Traffic::default() }, anew)
}

/// The nearest rank's value, in the list's own unit.
fn percentile_95(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (0.95 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests;
