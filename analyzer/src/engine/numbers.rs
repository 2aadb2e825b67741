//! A rollout's numbers for `/metrics`.

use super::rollout::Rollout;
use crate::metrics::board::{Family, Series, Value};
use serde_json::Value as Json;
use serin_contract::latency::{lower_bound, upper_bound};
use serin_judge::anomaly::Severity;
use serin_judge::evidence::Harm;
use serin_judge::histogram::Histogram;
use serin_judge::summary::Summary;
use serin_judge::time::Time;
use serin_judge::verdict::Outcome;
use std::collections::BTreeMap;

/// Upper bounds of the exported latency histogram, in seconds.
const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, f64::INFINITY];
/// What `pod` says where a number is of all pods of a version.
const ALL_PODS: &str = "aggregate";

impl Rollout {
    /// All of them.
    pub(super) fn series(&self, summary: &Summary, alerts: usize, now: Time) -> Vec<Series> {
        let mut series = Vec::new();
        self.add_traffic(&mut series, summary);
        self.add_extras(&mut series);
        self.add_judgement(&mut series);
        add_goals(&mut series, summary);
        self.add_sources(&mut series, now);
        series.push(Series::number(Family::AlertsFiring, &[], alerts as f64));
        series
    }

    fn add_traffic(&self, series: &mut Vec<Series>, summary: &Summary) {
        let endpoint = self.spec.path_prefix();
        for (arm, totals) in self.observations.totals().arms.iter() {
            for (method, status, count) in &totals.responses {
                let labels = [arm.name(), endpoint, method, &status.to_string()];
                series.push(Series::number(Family::Requests, &labels, *count as f64));
            }
            let labels = vec![arm.name().to_owned(), endpoint.to_owned()];
            series.push(Series { family: Family::Duration, labels, value: durations(&totals.latency) });
            if let Some(rate) = summary.window.get(arm).error_rate {
                series.push(Series::number(Family::ErrorRate, &[arm.name()], rate));
            }
        }
    }

    fn add_extras(&self, series: &mut Vec<Series>) {
        for arm in serin_contract::Arm::ALL {
            let (version, extras) = (arm.name(), self.ledger.extras(arm));
            if let Some(connections) = extras.active_connections {
                series.push(Series::number(Family::Connections, &[version], connections));
            }
            if let Some(percent) = extras.cpu_percent {
                series.push(Series::number(Family::Cpu, &[version, ALL_PODS], percent));
            }
            if let Some(bytes) = extras.memory_bytes {
                series.push(Series::number(Family::Memory, &[version, ALL_PODS], bytes));
            }
        }
    }

    /// The verdict, and what the last sample says of SLOs and anomalies.
    fn add_judgement(&self, series: &mut Vec<Series>) {
        let verdict = &self.state.verdict;
        let outcome = match verdict.outcome {
            Outcome::Continue => "continue",
            Outcome::Hold => "hold",
            Outcome::Pause => "pause",
            Outcome::Fail => "fail",
        };
        let rule = serde_json::to_value(verdict.rule).ok();
        let rule = rule.as_ref().and_then(Json::as_str).unwrap_or("unknown");
        series.push(Series::number(Family::Verdict, &[outcome, rule], 1.0));
        for (arm, standings) in self.analysis.standings.iter() {
            for (name, standing) in standings {
                let labels = [arm.name(), name.as_str()];
                series.push(Series::number(Family::SloCompliance, &labels, standing.score));
                series.push(Series::number(Family::SloBudget, &labels, standing.budget_left));
                for (window, burn) in [("long", standing.burn.long), ("short", standing.burn.short)] {
                    series.push(Series::number(Family::SloBurn, &[arm.name(), name, window], burn));
                }
            }
        }
        for (name, severity) in
            [("low", Severity::Low), ("medium", Severity::Medium), ("high", Severity::High)]
        {
            let count = self.analysis.anomalies.iter().filter(|anomaly| anomaly.severity == severity).count();
            series.push(Series::number(Family::Anomalies, &[name], count as f64));
        }
    }

    fn add_sources(&self, series: &mut Vec<Series>, now: Time) {
        for health in self.ledger.health() {
            let source = health.source.name();
            series.push(Series::number(Family::SourceUp, &[source], f64::from(u8::from(health.up))));
            series.push(Series::number(Family::SourceSeconds, &[source], health.seconds));
        }
        let (limits, round) = (&self.spec.sources.limits, self.spec.settings.analysis_interval);
        for view in self.ledger.views(limits, round, now) {
            for (version, value) in [("stable", view.stable), ("canary", view.canary)] {
                if let Some(value) = value {
                    series.push(Series::number(Family::MetricValue, &[&view.name, version], value));
                }
            }
            series.push(Series::number(Family::MetricState, &[&view.name, view.state], 1.0));
        }
    }
}

fn add_goals(series: &mut Vec<Series>, summary: &Summary) {
    for goal in &summary.goals {
        for (arm, users) in goal.converted.iter() {
            series.push(Series::number(Family::GoalUsers, &[&goal.name, arm.name()], *users as f64));
        }
        if let (Some(guardrail), Some(evidence)) = (goal.guardrail, goal.evidence) {
            let harm = match guardrail {
                Harm::More => "more",
                Harm::Less => "less",
            };
            series.push(Series::number(Family::GoalEvidence, &[&goal.name, harm], evidence));
        }
    }
}

/// The judge's fine buckets as Prometheus' few: a bucket counts where its middle lies, 3 % off at most.
fn durations(latency: &Histogram) -> Value {
    let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
    let (mut sum, mut count) = (0.0, 0);
    for (index, number) in latency.iter() {
        let middle = (lower_bound(index) as f64 + upper_bound(index) as f64) / 2e6;
        sum += middle * number as f64;
        count += number;
        let place = BOUNDS.iter().position(|bound| middle <= *bound).unwrap_or(BOUNDS.len() - 1);
        *counts.entry(place).or_default() += number;
    }
    let mut below = 0;
    let bucket = |(place, bound): (usize, f64)| {
        below += counts.get(&place).copied().unwrap_or(0);
        (bound, below)
    };
    Value::Histogram(BOUNDS.into_iter().enumerate().map(bucket).collect(), sum, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_lie_in_the_bucket_that_holds_their_middle() {
        let mut latency = Histogram::default();
        for (micros, count) in [(3_000, 2), (40_000, 3), (20_000_000, 1)] {
            latency.add(serin_contract::latency::index(micros), count);
        }
        let Value::Histogram(buckets, sum, count) = durations(&latency) else { panic!("a histogram") };
        assert_eq!(count, 6);
        assert!((sum - 20.126).abs() < 0.05 * 20.0, "{sum}");
        let at = |bound: f64| buckets.iter().find(|(found, _)| *found == bound).map(|(_, count)| *count);
        assert_eq!((at(0.005), at(0.025), at(0.05), at(10.0)), (Some(2), Some(2), Some(5), Some(5)));
        assert_eq!(at(f64::INFINITY), Some(6));
    }
}
