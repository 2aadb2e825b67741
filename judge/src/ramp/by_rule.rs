//! What the rules make of a release: at each report, at each tick, and when a weight has arrived.

use super::{Action, Facts, Phase, State};
use crate::rules::{self, Position};
use crate::settings::Settings;
use crate::summary::Summary;
use crate::time::Time;
use crate::verdict::{Outcome, Rule, Verdict};
use serin_contract::Share;
use std::time::Duration;

/// A step that lasts longer is cut into strata of this length.
const STRATUM: Duration = Duration::from_secs(600);

/// After a report: only fails and pauses act; a weight grows at a tick.
pub fn on_report(
    settings: &Settings,
    state: &State,
    summary: &Summary,
    facts: &Facts,
    now: Time,
) -> (State, Vec<Action>) {
    let mut state = state.clone();
    match state.phase {
        Phase::Progressing | Phase::Paused if !settings.skip_analysis => {
            let verdict = verdict(settings, &state, summary, facts, now);
            stop_on(&mut state, &verdict, now).unwrap_or_else(|| {
                note(&mut state, gated(verdict, facts));
                (state, Vec::new())
            })
        }
        Phase::Pending
        | Phase::Progressing
        | Phase::Paused
        | Phase::Promoting
        | Phase::Succeeded
        | Phase::Failed => (state, Vec::new()),
    }
}

/// At an analysis tick: everything.
pub fn on_tick(
    settings: &Settings,
    state: &State,
    summary: &Summary,
    facts: &Facts,
    now: Time,
) -> (State, Vec<Action>) {
    let mut state = state.clone();
    match state.phase {
        Phase::Succeeded | Phase::Failed => (state, Vec::new()),
        Phase::Promoting => take_over(state, facts, now),
        Phase::Pending => begin(settings, state, summary, facts, now),
        Phase::Progressing | Phase::Paused => {
            let verdict = verdict(settings, &state, summary, facts, now);
            if let Some(stopped) = stop_on(&mut state, &verdict, now) {
                return stopped;
            }
            let fine = verdict.outcome == Outcome::Continue;
            note(&mut state, gated(verdict, facts));
            let mut actions = Vec::new();
            if now.since(state.stratum_started) >= STRATUM {
                state.begin_stratum(now);
                actions.push(Action::BeginStratum);
            }
            if state.phase == Phase::Paused {
                return (state, actions);
            }
            let (state, more) = go_on(settings, state, fine, facts, now);
            actions.extend(more);
            (state, actions)
        }
    }
}

/// Everybody who had to agree to the promotion has.
pub fn promotion_confirmed(settings: &Settings, state: &State, now: Time) -> (State, Vec<Action>) {
    let at_the_end = state.phase == Phase::Progressing && state.weight >= settings.ramp.max();
    if !at_the_end {
        return (state.clone(), Vec::new());
    }
    state.clone().finish(settings, "promotion confirmed", None, now)
}

/// A gate said no, and its no is a fail.
pub fn gate_failed(state: &State, reason: &str, now: Time) -> (State, Vec<Action>) {
    match state.phase {
        Phase::Pending | Phase::Progressing | Phase::Paused => {
            let verdict = Verdict::new(Outcome::Fail, Rule::Gate, reason);
            state.clone().fail(verdict, None, now)
        }
        Phase::Promoting | Phase::Succeeded | Phase::Failed => (state.clone(), Vec::new()),
    }
}

/// The router has a higher weight: the step begins.
pub fn weight_raised(settings: &Settings, state: &State, weight: Share, now: Time) -> (State, Vec<Action>) {
    let mut state = state.clone();
    let before = state.weight;
    match state.phase {
        Phase::Pending | Phase::Progressing if weight > before => {}
        // It was paused or ended while the weight was on its way; the caller writes the state's weight.
        Phase::Pending
        | Phase::Progressing
        | Phase::Paused
        | Phase::Promoting
        | Phase::Succeeded
        | Phase::Failed => return (state, Vec::new()),
    }
    state.phase = Phase::Progressing;
    state.begin_step(weight, now);
    let mut actions = vec![Action::BeginStratum];
    match state.promoted_by.clone() {
        Some(by) if weight >= settings.ramp.max() => {
            let (state, more) = state.finish(settings, "promoted by hand", Some(&by), now);
            actions.extend(more);
            (state, actions)
        }
        Some(_) | None => {
            state.verdict = Verdict::new(Outcome::Hold, Rule::RequestCount, "the step has just begun");
            actions.push(state.record(now, format!("weight {before} -> {weight}"), None));
            (state, actions)
        }
    }
}

fn verdict(settings: &Settings, state: &State, summary: &Summary, facts: &Facts, now: Time) -> Verdict {
    if settings.skip_analysis {
        return Verdict::new(Outcome::Continue, Rule::Continue, "analysis is skipped (skipAnalysis)");
    }
    let at = Position { weight: state.weight, step_started: state.step_started };
    rules::judge(settings, at, summary, facts, now)
}

/// What people are told when the rules are content and a gate is not.
fn gated(verdict: Verdict, facts: &Facts) -> Verdict {
    match &facts.gate {
        Some(reason) if verdict.outcome == Outcome::Continue => {
            Verdict::new(Outcome::Hold, Rule::Gate, reason.clone())
        }
        Some(_) | None => verdict,
    }
}

/// Keeps what was said last. A pause for the arms' sizes keeps its reason until a person has looked: going
/// on from it asks about them anew.
fn note(state: &mut State, verdict: Verdict) {
    if state.phase != Phase::Paused || state.verdict.rule != Rule::SampleRatio {
        state.verdict = verdict;
    }
}

/// A fail ends the release, a pause stops its growth; the others change nothing by themselves.
fn stop_on(state: &mut State, verdict: &Verdict, now: Time) -> Option<(State, Vec<Action>)> {
    match verdict.outcome {
        Outcome::Fail => Some(state.clone().fail(verdict.clone(), None, now)),
        Outcome::Pause if state.phase != Phase::Paused => {
            state.phase = Phase::Paused;
            state.promoted_by = None;
            state.verdict = verdict.clone();
            let record = state.record(now, verdict.reason.clone(), None);
            Some((state.clone(), vec![record]))
        }
        Outcome::Pause | Outcome::Hold | Outcome::Continue => None,
    }
}

/// Pending: the first weight, as soon as a filter reports.
fn begin(
    settings: &Settings,
    mut state: State,
    summary: &Summary,
    facts: &Facts,
    now: Time,
) -> (State, Vec<Action>) {
    if let Some(verdict) = too_late(settings, &state, state.rollout_started, now) {
        return state.fail(verdict, None, now);
    }
    let share = if settings.skip_analysis { settings.ramp.max() } else { settings.ramp.first() };
    if let Some(held) = rules::data(summary, &Facts::default(), now) {
        state.verdict = held;
        return (state, Vec::new());
    }
    if let Some(held) = facts.unready() {
        state.verdict = held;
        return (state, Vec::new());
    }
    state.verdict = match &facts.router_error {
        Some(_) => rules::data(summary, facts, now).unwrap_or(state.verdict),
        None => {
            Verdict::new(Outcome::Continue, Rule::Data, "filters report; the first weight is being written")
        }
    };
    state.verdict = gated(state.verdict, facts);
    raise(state, share, facts)
}

/// Progressing, and nothing failed: the next weight when it is time and the rules are content. Gates are
/// asked when the weight is about to grow, so what they said last does not count here.
fn go_on(settings: &Settings, state: State, fine: bool, facts: &Facts, now: Time) -> (State, Vec<Action>) {
    let max = settings.ramp.max();
    if state.promoted_by.is_some() {
        return raise(state, max, facts);
    }
    if let Some(verdict) = too_late(settings, &state, state.step_started, now) {
        return state.fail(verdict, None, now);
    }
    // Somebody had taken all users away and resumed: there is nothing to judge until some are back.
    if state.weight == Share::NONE {
        return raise(state, settings.ramp.first(), facts);
    }
    if !fine || now.since(state.step_started) < settings.promotion_interval {
        return (state, Vec::new());
    }
    match settings.ramp.after(state.weight) {
        Some(next) => raise(state, next, facts),
        None if settings.confirm_promotion => (state, vec![Action::ConfirmPromotion]),
        None => {
            let reason = state.verdict.reason.clone();
            state.finish(settings, &reason, None, now)
        }
    }
}

/// The next weight, if the canary has room for it.
fn raise(mut state: State, share: Share, facts: &Facts) -> (State, Vec<Action>) {
    match facts.shortage(share) {
        Some(held) => {
            state.verdict = held;
            (state, Vec::new())
        }
        None => (state, vec![Action::RaiseWeight(share)]),
    }
}

/// Promoting: once stable runs the canary's pods, all of them ready, it gets its users back. Without a look
/// at the Deployments nothing is known, and the canary keeps them.
fn take_over(mut state: State, facts: &Facts, now: Time) -> (State, Vec<Action>) {
    let waits = match &facts.deployments {
        None => Some("its Deployment has not been seen yet".to_owned()),
        Some(deployments) if !deployments.copied => {
            Some(format!("Deployment {} does not have the canary's pods yet", deployments.arms.stable.name))
        }
        Some(deployments) => deployments.arms.stable.unready(),
    };
    match waits {
        Some(waits) => {
            let reason = format!("stable takes over {}: {waits}", state.canary_version);
            state.verdict = Verdict::new(Outcome::Hold, Rule::Deployments, reason);
            (state, Vec::new())
        }
        None => state.become_stable(now),
    }
}

fn too_late(settings: &Settings, state: &State, since: Time, now: Time) -> Option<Verdict> {
    if now.since(since) <= settings.progress_deadline {
        return None;
    }
    let reason = format!(
        "progress deadline: no step for {} s; last: {}",
        settings.progress_deadline.as_secs(),
        state.verdict.reason
    );
    Some(Verdict::new(Outcome::Fail, Rule::Ramp, reason))
}
