//! What people want to know of a release beside its numbers: what was asked for, what comes next and when, who is
//! in it, and what the evidence says in words.

use super::rollout::Rollout;
use crate::alerts::desk::Firing;
use serde::Serialize;
use serin_contract::{PerArm, Share};
use serin_judge::confidence;
use serin_judge::ramp::Phase;
use serin_judge::settings::{Decisions, Promotion, Settings};
use serin_judge::slo::{Objective, Slo, Standing};
use serin_judge::summary::Summary;
use serin_judge::time::Time;
use std::collections::BTreeMap;

/// Beyond so many times nobody counts: one arm has no such unit.
const NO_END: f64 = 1e6;

/// What was asked for. Shares and limits in percent, times in seconds.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct SettingsView {
    ramp: Vec<f64>,
    promotion_interval: f64,
    analysis_interval: f64,
    progress_deadline: f64,
    max_error_rate: f64,
    max_latency_increase: f64,
    min_request_count: u64,
    min_error_increase: f64,
    false_rollback_rate: f64,
    decisions: &'static str,
    promotion: &'static str,
    skip_analysis: bool,
}

/// What the rules look at next, and what may come of it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Next {
    /// The next analysis tick.
    tick: Time,
    /// `raise` or `finish`: what happens if nothing is held against it; none where the ramp stands.
    what: Option<&'static str>,
    /// The weight that it would bring, in percent.
    weight: Option<f64>,
    /// The first tick at which it may happen.
    earliest: Option<Time>,
}

/// Who is in the release.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Traffic {
    /// Assigned requests that ended within the last minute.
    requests_per_minute: PerArm<u64>,
    /// The canary's part of the last minute's requests, assigned or not, in percent.
    served_share: Option<f64>,
    /// Distinct users of the stratum, scaled up where sampled.
    users: PerArm<u64>,
    /// Since when they are counted.
    users_since: Time,
    /// At most so many users of the canary in the last minute: as many as there are, or as they had requests. Just so
    /// many as long as the stratum is younger.
    canary_users_last_minute: u64,
}

/// What the confidence sequences say, for people.
#[derive(Debug, Clone, Default, Serialize)]
struct Words {
    /// Of users who got an error.
    errors: Option<String>,
    /// Of users who waited for too long.
    latency: Option<String>,
}

/// An SLO as it was asked for.
#[derive(Debug, Clone, Serialize)]
struct SloView {
    name: String,
    /// `availability`, `latency` or `errorRate`.
    objective: &'static str,
    /// In percent: at least so many requests for the first two, at most for the third.
    target: f64,
    /// In seconds, for latency.
    threshold: Option<f64>,
}

/// All of it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    settings: SettingsView,
    rollout_started: Time,
    step_started: Time,
    stratum_started: Time,
    next: Next,
    traffic: Traffic,
    words: Words,
    slos: Vec<SloView>,
    slo: PerArm<BTreeMap<String, Standing>>,
    anomalies: Vec<serin_judge::anomaly::Anomaly>,
    alerts: Vec<Firing>,
}

impl Shown {
    pub(super) fn of(rollout: &Rollout, summary: &Summary, now: Time) -> Self {
        let (state, settings) = (&rollout.state, &rollout.spec.settings);
        let standings = |arm| rollout.analysis.standings.get(arm).iter().cloned().collect();
        Self {
            settings: SettingsView::of(settings),
            rollout_started: state.rollout_started,
            step_started: state.step_started,
            stratum_started: state.stratum_started,
            next: Next::of(rollout, now),
            traffic: Traffic::of(rollout, summary),
            words: Words::of(state.weight, summary, settings.false_rollback_rate),
            slos: rollout.spec.slos.iter().map(SloView::of).collect(),
            slo: PerArm {
                stable: standings(serin_contract::Arm::Stable),
                canary: standings(serin_contract::Arm::Canary),
            },
            anomalies: rollout.analysis.anomalies.clone(),
            alerts: rollout.firing.clone(),
        }
    }
}

impl SettingsView {
    fn of(settings: &Settings) -> Self {
        let limits = &settings.limits;
        Self {
            ramp: settings.ramp.shares().iter().map(|share| share.percent()).collect(),
            promotion_interval: settings.promotion_interval.as_secs_f64(),
            analysis_interval: settings.analysis_interval.as_secs_f64(),
            progress_deadline: settings.progress_deadline.as_secs_f64(),
            max_error_rate: limits.max_error_rate,
            max_latency_increase: limits.max_latency_increase,
            min_request_count: limits.min_request_count,
            min_error_increase: limits.min_error_increase,
            false_rollback_rate: settings.false_rollback_rate,
            decisions: match settings.decisions {
                Decisions::Evidence => "evidence",
                Decisions::Point => "point",
            },
            promotion: match settings.promotion {
                Promotion::Manual => "manual",
                Promotion::Copy => "copy",
            },
            skip_analysis: settings.skip_analysis,
        }
    }
}

impl Next {
    fn of(rollout: &Rollout, now: Time) -> Self {
        let (state, settings) = (&rollout.state, &rollout.spec.settings);
        let tick = rollout.next_tick.max(now);
        let first = if settings.skip_analysis { settings.ramp.max() } else { settings.ramp.first() };
        let held = state.step_started.plus(settings.promotion_interval);
        // Weights grow at ticks alone.
        let interval = settings.analysis_interval.max(std::time::Duration::from_millis(1));
        let ticks = held.since(tick).as_millis().div_ceil(interval.as_millis());
        let at = tick.plus(interval.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX)));
        let raise = |share: Share, at| (Some("raise"), Some(share.percent()), Some(at));
        let (what, weight, earliest) = match state.phase {
            Phase::Pending => raise(first, tick),
            Phase::Progressing if state.weight == Share::NONE => raise(settings.ramp.first(), tick),
            Phase::Progressing => match settings.ramp.after(state.weight) {
                Some(next) => raise(next, at),
                None => (Some("finish"), None, Some(at)),
            },
            Phase::Paused | Phase::Promoting | Phase::Succeeded | Phase::Failed => (None, None, None),
        };
        Self { tick, what, weight, earliest }
    }
}

impl Traffic {
    fn of(rollout: &Rollout, summary: &Summary) -> Self {
        let requests = summary.window.map(|arm| arm.requests);
        let unassigned = &summary.routing.unassigned;
        let canary = requests.canary + unassigned.canary;
        let all = canary + requests.stable + unassigned.stable;
        let users = summary.window.map(|arm| arm.units.round() as u64);
        Self {
            served_share: (all > 0).then(|| 100.0 * canary as f64 / all as f64),
            canary_users_last_minute: users.canary.min(requests.canary),
            requests_per_minute: requests,
            users,
            users_since: rollout.state.stratum_started,
        }
    }
}

impl Words {
    fn of(share: Share, summary: &Summary, alpha: f64) -> Self {
        let units = summary.window.map(|arm| (arm.erring_units as f64, arm.slow_units as f64));
        let odds = |canary: f64, stable: f64| {
            let any = canary + stable > 0.0;
            confidence::odds_ratio(share.fraction(), canary, stable, alpha).filter(|_| any)
        };
        let sentence =
            |does: &str, odds| Some(format!("canary users {does} {} as stable users", times(odds?)));
        Self {
            errors: sentence("err", odds(units.canary.0, units.stable.0)),
            latency: sentence("wait too long", odds(units.canary.1, units.stable.1)),
        }
    }
}

/// How often, from a lower to an upper bound.
fn times((low, high): (f64, f64)) -> String {
    let digits = |times: f64| match times {
        _ if times < 0.05 => "0".to_owned(),
        _ if times < 9.95 => format!("{times:.1}"),
        _ => format!("{times:.0}"),
    };
    match high < NO_END {
        true => format!("{} to {} times as often", digits(low), digits(high)),
        false => format!("at least {} times as often", digits(low)),
    }
}

impl SloView {
    fn of(slo: &Slo) -> Self {
        let (objective, target, threshold) = match slo.objective {
            Objective::Availability { target } => ("availability", target, None),
            Objective::Latency { target, threshold } => ("latency", target, Some(threshold)),
            Objective::ErrorRate { threshold } => ("errorRate", threshold, None),
        };
        Self { name: slo.name.clone(), objective, target, threshold }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read_canary;
    use serde_json::json;
    use std::path::Path;

    fn rollout() -> Rollout {
        let document = json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "Canary", "metadata": {"name": "shop"},
            "spec": {"stableVersion": "v1", "canaryVersion": "v2", "hosts": ["shop"], "router": {"envoyRoutes":
                {"path": "routes.yaml", "stableCluster": "stable", "canaryCluster": "canary"}}},
        });
        let mut rollout = Rollout::new(read_canary(&document, Path::new(".")).expect("good"), 0, Time(0));
        rollout.state.phase = Phase::Progressing;
        rollout.state.weight = Share::from_percent(5.0).expect("a share");
        rollout
    }

    fn next(rollout: &Rollout, now: u64) -> (Option<&'static str>, Option<f64>, Option<Time>) {
        let next = Next::of(rollout, Time(now));
        (next.what, next.weight, next.earliest)
    }

    #[test]
    fn a_weight_may_grow_at_the_first_tick_after_its_interval() {
        let mut rollout = rollout();
        // Ticks each 10 s, the interval is 60 s.
        rollout.state.step_started = Time(3_000);
        rollout.next_tick = Time(20_000);
        assert_eq!(next(&rollout, 15_000), (Some("raise"), Some(25.0), Some(Time(70_000))));
        rollout.next_tick = Time(80_000);
        assert_eq!(next(&rollout, 75_000), (Some("raise"), Some(25.0), Some(Time(80_000))));
        rollout.state.weight = Share::ALL;
        assert_eq!(next(&rollout, 75_000), (Some("finish"), None, Some(Time(80_000))));
        rollout.state.phase = Phase::Paused;
        assert_eq!(next(&rollout, 75_000), (None, None, None));
        rollout.state.phase = Phase::Pending;
        assert_eq!(next(&rollout, 75_000), (Some("raise"), Some(5.0), Some(Time(80_000))));
    }

    #[test]
    fn odds_are_said_so_that_one_reads_them_once() {
        assert_eq!(times((0.61, 2.14)), "0.6 to 2.1 times as often");
        assert_eq!(times((0.01, 31.7)), "0 to 32 times as often");
        assert_eq!(times((3.2, 1e9)), "at least 3.2 times as often");
        let rollout = rollout();
        let mut summary = rollout.summary(Time(1));
        let share = rollout.state.weight;
        assert!(Words::of(share, &summary, 0.05).errors.is_none(), "nobody has erred");
        (summary.window.stable.erring_units, summary.window.canary.erring_units) = (190, 10);
        let words = Words::of(share, &summary, 0.05);
        let said = words.errors.expect("words");
        assert!(said.starts_with("canary users err 0.") && said.ends_with(" as stable users"), "{said}");
        assert!(words.latency.is_none());
        assert!(Words::of(Share::ALL, &summary, 0.05).errors.is_none(), "nothing to compare with");
    }

    #[test]
    fn users_of_the_last_minute_are_no_more_than_they_had_requests() {
        let rollout = rollout();
        let mut summary = rollout.summary(Time(1));
        assert_eq!(Traffic::of(&rollout, &summary).served_share, None);
        (summary.window.canary.requests, summary.window.canary.units) = (40, 90.4);
        summary.window.stable.requests = 300;
        summary.routing.unassigned = PerArm { stable: 50, canary: 10 };
        let traffic = Traffic::of(&rollout, &summary);
        assert_eq!((traffic.canary_users_last_minute, traffic.users.canary), (40, 90));
        assert_eq!(traffic.served_share, Some(12.5));
    }
}
