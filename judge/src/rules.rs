//! The rules, in order. A fail of 4 to 6, or of a goal behind them, on reports that are there wins over a hold or pause of 1 to 3:
//! what is known to be bad does not wait for what is unknown.

use crate::confidence;
use crate::deployments::Deployments;
use crate::evidence::Harm;
use crate::histogram::Quantile;
use crate::sample_ratio;
use crate::settings::{Decisions, Settings};
use crate::summary::Summary;
use crate::time::Time;
use crate::verdict::{Outcome, Rule, Verdict};
use serde::{Deserialize, Serialize};
use serin_contract::Share;
use std::time::Duration;

/// Reports may be this late before their absence is a hold; or three report intervals.
const NO_DATA: Duration = Duration::from_secs(5);
/// Misrouted requests, in percent of the assigned, that are still no alarm; and how many it takes.
const MISROUTED_PERCENT: u64 = 1;
const MISROUTED_LEAST: u64 = 3;
/// The level at which the served share of unassigned traffic contradicts the weight.
const SERVED_ALPHA: f64 = 0.001;
/// What of the asked share may be missing without alarm: while a weight arrives at the proxies some requests
/// still follow the one before, and at 100 % a single one of them would contradict the weight for a minute.
const UNDERWAY: f64 = 0.01;
/// Canary requests in the window before its p95 is held against stable's of an earlier stratum.
const LONE_REQUESTS: u64 = 200;

/// What the judge must know beside the reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Why the store cannot be relied on: nobody knows what else was reported.
    pub store_error: Option<String>,
    /// Why the router did not take the weight.
    pub router_error: Option<String>,
    /// Why a gate keeps the weight where it is, though the rules would let it grow.
    pub gate: Option<String>,
    /// What the release needs in the cluster and does not find there as it should be.
    pub missing: Option<String>,
    /// The Deployments, where the canary names them.
    pub deployments: Option<Deployments>,
    /// What is known beside the reports: metrics, SLOs. Rule 7.
    pub findings: Vec<Finding>,
}

impl Facts {
    /// Why what the release needs is not ready.
    pub fn unready(&self) -> Option<Verdict> {
        if let Some(missing) = &self.missing {
            return Some(Verdict::new(Outcome::Hold, Rule::Routing, missing.clone()));
        }
        let reason = self.deployments.as_ref()?.unready()?;
        Some(Verdict::new(Outcome::Hold, Rule::Deployments, reason))
    }

    /// Why the canary cannot carry this share yet.
    pub fn shortage(&self, share: Share) -> Option<Verdict> {
        let reason = self.deployments.as_ref()?.shortage(share)?;
        Some(Verdict::new(Outcome::Hold, Rule::Deployments, reason))
    }
}

/// Something that is not as it should be, and what whoever configured it wants done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What to do.
    pub breach: OnBreach,
    /// What is wrong, naming metric or SLO, the number and the limit.
    pub reason: String,
}

/// What a breach does to the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnBreach {
    /// It is rolled back.
    Fail,
    /// Its weight stays.
    Hold,
    /// It goes on, and says so.
    #[default]
    Warn,
}

/// Where the canary stands while it is judged.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    /// The share that is asked for.
    pub weight: Share,
    /// When the step began.
    pub step_started: Time,
}

/// Judges.
pub fn judge(settings: &Settings, at: Position, summary: &Summary, facts: &Facts, now: Time) -> Verdict {
    let enough = enough_requests(settings, summary);
    let fail = match settings.decisions {
        Decisions::Evidence => error_rate(settings, at, summary)
            .or_else(|| latency(settings, at, summary))
            .or_else(|| error_evidence(settings, at, summary)),
        Decisions::Point if enough.is_some() => None,
        Decisions::Point => point(settings, at, summary, now),
    };
    let fail = fail.or_else(|| goals(at, summary));
    fail.or_else(|| data(summary, facts, now))
        .or_else(|| facts.unready())
        .or_else(|| sample_ratio(summary))
        .or_else(|| routing(at, summary))
        .or_else(|| findings(facts))
        .or(enough)
        .unwrap_or_else(|| fine(at, facts))
}

/// Rule 1.
pub(crate) fn data(summary: &Summary, facts: &Facts, now: Time) -> Option<Verdict> {
    let hold = |reason: String| Some(Verdict::new(Outcome::Hold, Rule::Data, reason));
    if let Some(error) = &facts.store_error {
        return hold(error.clone());
    }
    if let Some(error) = &facts.router_error {
        return hold(format!("the router refused the weight: {error}"));
    }
    let Some(last) = summary.last_report else {
        return hold(
            "no data: no filter has reported yet; is the filter in the proxy, and can it reach the analyzer?"
                .into(),
        );
    };
    let silence = now.since(last);
    let allowed = NO_DATA.max(3 * summary.report_interval);
    if silence > allowed {
        return hold(format!("no data: the last report came {} s ago", silence.as_secs()));
    }
    None
}

/// Rule 2.
fn sample_ratio(summary: &Summary) -> Option<Verdict> {
    if summary.sample_ratio < 1.0 / sample_ratio::ALPHA {
        return None;
    }
    let (stable, canary) = (summary.window.stable.units, summary.window.canary.units);
    let reason = format!(
        "sample ratio mismatch: {canary:.0} canary and {stable:.0} stable users were seen, which the share \
         does not explain; something between user and filter loses or moves users"
    );
    Some(Verdict::new(Outcome::Pause, Rule::SampleRatio, reason))
}

/// Rule 3.
fn routing(at: Position, summary: &Summary) -> Option<Verdict> {
    let hold = |what: String| {
        let reason = format!("weights have not reached the proxies: {what}");
        Some(Verdict::new(Outcome::Hold, Rule::Routing, reason))
    };
    let routing = summary.routing;
    if routing.misrouted >= MISROUTED_LEAST && routing.misrouted * 100 > routing.assigned * MISROUTED_PERCENT
    {
        return hold(format!(
            "{} of {} assigned requests were served by the other version; are the routes for `x-canary` there?",
            routing.misrouted, routing.assigned
        ));
    }
    let (stable, canary) = (routing.unassigned.stable as f64, routing.unassigned.canary as f64);
    let (low, high) = confidence::interval(0.5, 0.5, canary, stable, SERVED_ALPHA);
    let weight = at.weight.fraction();
    if weight < low || weight * (1.0 - UNDERWAY) > high {
        return hold(format!(
            "of the traffic without a user {:.1} % went to the canary where {} were asked for",
            100.0 * canary / (canary + stable),
            at.weight
        ));
    }
    None
}

/// Rule 4: certainly above the limit.
fn error_rate(settings: &Settings, at: Position, summary: &Summary) -> Option<Verdict> {
    let canary = &summary.window.canary;
    let limit = settings.limits.max_error_rate;
    let (low, _) = canary.error_rate_interval?;
    if canary.error_rate? <= limit || low <= limit {
        return None;
    }
    Some(Verdict::new(Outcome::Fail, Rule::ErrorRate, too_many_errors(settings, at, summary)))
}

fn too_many_errors(settings: &Settings, at: Position, summary: &Summary) -> String {
    let canary = &summary.window.canary;
    format!(
        "error rate too high: {:.2} % of the canary's {} requests in the last minute failed (certainly above \
         {:.2} %), the limit is {} %; stable is at {}{}",
        canary.error_rate.unwrap_or(0.0),
        canary.requests,
        canary.error_rate_interval.map_or(0.0, |(low, _)| low),
        settings.limits.max_error_rate,
        percent(summary.window.stable.error_rate),
        blame(settings, at, summary),
    )
}

/// Whether the canary is to blame for what broke the absolute limit: the limit protects users either way.
fn blame(settings: &Settings, at: Position, summary: &Summary) -> String {
    let evidence = &summary.evidence;
    let stable = summary.window.stable.error_rate;
    if at.weight == Share::ALL || stable.is_none() {
        return String::new();
    }
    let numbers = format!("E = {:.3e} against {:.0}", evidence.errors, evidence.threshold);
    if evidence.errors >= evidence.threshold {
        format!("; the evidence is against the canary, {numbers}")
    } else if stable.is_some_and(|rate| rate > settings.limits.max_error_rate) {
        format!(
            "; stable is above the limit too and the evidence does not blame the canary, {numbers}: both \
             seem to suffer from something they share"
        )
    } else {
        format!("; there is no evidence yet that the canary is to blame, {numbers}")
    }
}

fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "no requests".into(), |rate| format!("{rate:.2} %"))
}

/// Whether the canary's p95 is above the base's by more than allowed.
fn is_slower(settings: &Settings, base: Quantile, canary: Quantile) -> bool {
    match (base, canary) {
        (Quantile::Micros(base), Quantile::Micros(canary)) => {
            canary as f64 > base as f64 * (1.0 + settings.limits.max_latency_increase / 100.0)
        }
        (Quantile::Micros(_), Quantile::Overdue) => true,
        (Quantile::Unknown | Quantile::Overdue, _) | (Quantile::Micros(_), Quantile::Unknown) => false,
    }
}

/// Rule 5. With everybody in the canary its p95 is held against stable's last one.
fn latency(settings: &Settings, at: Position, summary: &Summary) -> Option<Verdict> {
    let canary = &summary.window.canary;
    if at.weight == Share::ALL {
        let slower = is_slower(settings, summary.last_stable_p95, canary.latency_p95);
        let enough = canary.requests >= LONE_REQUESTS || canary.latency_p95 == Quantile::Overdue;
        return (slower && enough).then(|| too_slow(summary.last_stable_p95, summary, settings));
    }
    let base = summary.window.stable.latency_p95;
    let certain = summary.evidence.slow >= summary.evidence.threshold;
    (certain && is_slower(settings, base, canary.latency_p95)).then(|| too_slow(base, summary, settings))
}

fn too_slow(base: Quantile, summary: &Summary, settings: &Settings) -> Verdict {
    let canary = &summary.window.canary;
    let reason = format!(
        "latency increased: the canary's p95 is {}, stable's {base}, at most {} % more is allowed; {} requests \
         of the canary are in flight beyond {:.0} ms; E = {:.3e} against {:.0}",
        canary.latency_p95,
        settings.limits.max_latency_increase,
        canary.overdue,
        summary.slow_edge.as_secs_f64() * 1e3,
        summary.evidence.slow,
        summary.evidence.threshold,
    );
    Verdict::new(Outcome::Fail, Rule::Latency, reason)
}

/// Rule 6.
fn error_evidence(settings: &Settings, at: Position, summary: &Summary) -> Option<Verdict> {
    let evidence = &summary.evidence;
    let (stable, canary) = (&summary.window.stable, &summary.window.canary);
    let apart = canary.error_rate? - stable.error_rate.unwrap_or(0.0);
    if at.weight == Share::ALL
        || evidence.errors < evidence.threshold
        || apart < settings.limits.min_error_increase
    {
        return None;
    }
    let reason = format!(
        "Statistical test: {} canary and {} stable users got errors at a canary share of {} ({} against {} of \
         requests); E = {:.3e} against {:.0}",
        canary.erring_units,
        stable.erring_units,
        at.weight,
        percent(canary.error_rate),
        percent(stable.error_rate),
        evidence.errors,
        evidence.threshold,
    );
    Some(Verdict::new(Outcome::Fail, Rule::ErrorEvidence, reason))
}

/// Behind rule 6, for errors and slowness say more of the cause: a goal that somebody made a guardrail. It asks
/// for evidence with any `decisions`: without it there is no telling a late user from a lost one.
fn goals(at: Position, summary: &Summary) -> Option<Verdict> {
    let goal = summary.goals.iter().find(|goal| goal.is_harmed()).filter(|_| at.weight != Share::ALL)?;
    let than = match goal.guardrail? {
        Harm::Less => "fewer",
        Harm::More => "more",
    };
    let times = match goal.odds_ratio {
        Some((low, high)) if high < 1e9 => format!(" ({low:.2} to {high:.2} times as often)"),
        Some(_) | None => String::new(),
    };
    let reason = format!(
        "Goal: {} canary and {} stable users reached {} at a canary share of {}{times}: {than} than the share \
         explains; E = {:.3e} against {:.0}",
        goal.converted.canary,
        goal.converted.stable,
        goal.name,
        at.weight,
        goal.evidence.unwrap_or(1.0),
        goal.threshold,
    );
    Some(Verdict::new(Outcome::Fail, Rule::Goal, reason))
}

/// Rules 4 and 5 as plain thresholds.
fn point(settings: &Settings, at: Position, summary: &Summary, now: Time) -> Option<Verdict> {
    let warm = now.since(at.step_started) >= settings.warmup;
    if warm && summary.window.canary.error_rate.is_some_and(|rate| rate > settings.limits.max_error_rate) {
        return Some(Verdict::new(Outcome::Fail, Rule::ErrorRate, too_many_errors(settings, at, summary)));
    }
    let base =
        if at.weight == Share::ALL { summary.last_stable_p95 } else { summary.window.stable.latency_p95 };
    is_slower(settings, base, summary.window.canary.latency_p95).then(|| too_slow(base, summary, settings))
}

/// Rule 7: fails first, then holds; warnings wait for rule 9.
fn findings(facts: &Facts) -> Option<Verdict> {
    let stops = |breach: OnBreach, outcome: Outcome| {
        let reasons = reasons(facts, breach)?;
        Some(Verdict::new(outcome, Rule::Metric, reasons))
    };
    stops(OnBreach::Fail, Outcome::Fail).or_else(|| stops(OnBreach::Hold, Outcome::Hold))
}

fn reasons(facts: &Facts, breach: OnBreach) -> Option<String> {
    let found = facts.findings.iter().filter(|finding| finding.breach == breach);
    let reasons: Vec<&str> = found.map(|finding| finding.reason.as_str()).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Rule 8.
fn enough_requests(settings: &Settings, summary: &Summary) -> Option<Verdict> {
    let (have, need) = (summary.step_requests.canary, settings.limits.min_request_count);
    (have < need)
        .then(|| Verdict::new(Outcome::Hold, Rule::RequestCount, format!("{have} of {need} requests")))
}

/// Rule 9.
fn fine(at: Position, facts: &Facts) -> Verdict {
    let mut reason = "All metrics within acceptable thresholds".to_owned();
    if at.weight == Share::ALL {
        reason.push_str("; no comparison possible: everybody is in the canary");
    }
    if let Some(warnings) = reasons(facts, OnBreach::Warn) {
        reason.push_str(&format!("; but: {warnings}"));
    }
    Verdict::new(Outcome::Continue, Rule::Continue, reason)
}

#[cfg(test)]
mod tests;
