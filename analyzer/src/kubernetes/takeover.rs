//! From a Canary's status to the release that another replica, or this one before its end, has left.

use crate::engine::Takeover;
use crate::kinds::{CanaryStatus, EvidenceStatus, GoalStatus, HistoryEntry, MixtureStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as KubeTime;
use serde_json::json;
use serin_contract::{Share, Step, Stratum};
use serin_judge::goals::CarriedGoal;
use serin_judge::observations::Carried;
use serin_judge::ramp::{State, Transition};
use serin_judge::time::Time;
use serin_judge::{evidence, sample_ratio};

/// What the status says; none when no release was ever followed. `me` tells whether we wrote it.
pub(super) fn of(status: &CanaryStatus, me: &str, now: Time) -> Option<Takeover> {
    let phase = status.phase?;
    let stable = status.stable_version.clone()?;
    let canary = status.canary_version.clone()?;
    let fresh = State::new(&stable, &canary, now);
    let verdict = status.verdict.as_ref().and_then(|verdict| {
        let written = json!({"outcome": verdict.outcome, "rule": verdict.rule, "reason": verdict.reason});
        serde_json::from_value(written).ok()
    });
    let state = State {
        phase: phase.into(),
        weight: Share::from_percent(status.weight.unwrap_or(0.0)).ok()?,
        step: Step(number(status.step)?),
        stratum: Stratum(number(status.stratum)?),
        rollout_started: status.rollout_started.as_ref().map_or(now, time),
        step_started: status.step_started.as_ref().map_or(now, time),
        promoted_by: status.promoted_by.clone(),
        promoted_from: status.promoted_from.clone(),
        verdict: verdict.unwrap_or_else(|| fresh.verdict.clone()),
        ..fresh
    };
    Some(Takeover {
        state,
        carried: status.evidence.as_ref().map(carried).unwrap_or_default(),
        history: status.history.iter().filter_map(line).collect(),
        next: status.next_weight.and_then(|weight| Share::from_percent(weight).ok()),
        ours: status.holder.as_deref() == Some(me),
    })
}

fn carried(evidence: &EvidenceStatus) -> Carried {
    let mixture =
        |status: &MixtureStatus| evidence::Stopped { starts: status.starts, log_sum: status.log_sum };
    let goal = |goal: &GoalStatus| {
        (goal.name.clone(), CarriedGoal { harm: goal.harm.into(), stopped: mixture(&goal.evidence) })
    };
    Carried {
        errors: mixture(&evidence.errors),
        slow: mixture(&evidence.slow),
        goals: evidence.goals.iter().map(goal).collect(),
        sample_ratio: sample_ratio::Stopped {
            strata: evidence.sample_ratio.starts,
            log_sum: evidence.sample_ratio.log_sum,
        },
        slow_edge_us: evidence.slow_edge_us,
        stable_p95_us: evidence.stable_p95_us,
    }
}

fn line(entry: &HistoryEntry) -> Option<Transition> {
    Some(Transition {
        time: time(&entry.time),
        phase: entry.phase.into(),
        weight: Share::from_percent(entry.weight).ok()?,
        step: Step(number(Some(entry.step))?),
        reason: entry.reason.clone(),
        by: entry.by.clone(),
    })
}

fn number(written: Option<u64>) -> Option<u32> {
    u32::try_from(written.unwrap_or(0)).ok()
}

fn time(time: &KubeTime) -> Time {
    Time(u64::try_from(time.0.as_millisecond()).unwrap_or(0))
}
