//! What people may do to a release.

use super::{Action, Facts, Phase, Refusal, State};
use crate::settings::Settings;
use crate::time::Time;
use crate::verdict::{Outcome, Rule, Verdict};
use serin_contract::Share;

/// What a function by hand answers: the next state and what to do, or why not.
pub(super) type Done = Result<(State, Vec<Action>), Refusal>;

fn refuse(state: &State, deed: &str, instead: &str) -> Done {
    let State { phase, weight, .. } = state;
    Err(Refusal(format!("cannot {deed}: it is {} at {weight}; {instead}", phase.name())))
}

/// Keeps the weight until it is resumed. Fails still end the release.
///
/// # Errors
/// Unless it is Progressing.
pub fn pause(state: &State, by: &str, reason: &str, now: Time) -> Done {
    match state.phase {
        Phase::Progressing => {
            let mut state = State { phase: Phase::Paused, promoted_by: None, ..state.clone() };
            state.verdict = Verdict::new(Outcome::Hold, Rule::Ramp, format!("paused by {by}: {reason}"));
            let record = state.record(now, format!("paused: {reason}"), Some(by));
            Ok((state, vec![record]))
        }
        Phase::Paused => refuse(state, "pause", "resume lets it go on"),
        Phase::Pending => refuse(state, "pause", "it has no traffic yet; rollback ends it"),
        Phase::Promoting | Phase::Succeeded | Phase::Failed => {
            refuse(state, "pause", "there is nothing left to pause")
        }
    }
}

/// Somebody has seen to the arms' sizes, if those were the trouble; else they would pause it again at once.
fn ask_anew(state: &State) -> Vec<Action> {
    let mismatch = state.phase == Phase::Paused && state.verdict.rule == Rule::SampleRatio;
    if mismatch { vec![Action::RestartSampleRatio] } else { Vec::new() }
}

/// Lets a paused release go on; its interval begins anew.
///
/// # Errors
/// Unless it is Paused.
pub fn resume(state: &State, by: &str, reason: &str, now: Time) -> Done {
    match state.phase {
        Phase::Paused => {
            let mut actions = ask_anew(state);
            let state = State { phase: Phase::Progressing, step_started: now, ..state.clone() };
            actions.push(state.record(now, format!("resumed: {reason}"), Some(by)));
            Ok((state, actions))
        }
        Phase::Pending | Phase::Progressing | Phase::Promoting | Phase::Succeeded | Phase::Failed => {
            refuse(state, "resume", "only a paused release can be resumed")
        }
    }
}

/// Gives the canary everything that the ramp allows, as soon as it has room for it.
///
/// # Errors
/// When it has no traffic yet, or has ended.
pub fn promote(settings: &Settings, state: &State, facts: &Facts, by: &str, reason: &str, now: Time) -> Done {
    match state.phase {
        Phase::Progressing | Phase::Paused => {
            let max = settings.ramp.max();
            let mut actions = ask_anew(state);
            let state = State { phase: Phase::Progressing, ..state.clone() };
            if state.weight >= max {
                return Ok(state.finish(settings, &format!("promoted: {reason}"), Some(by), now));
            }
            let mut state = State { promoted_by: Some(by.to_owned()), ..state };
            actions.push(state.record(now, format!("promoted: {reason}"), Some(by)));
            match facts.shortage(max) {
                Some(held) => state.verdict = held,
                None => actions.push(Action::RaiseWeight(max)),
            }
            Ok((state, actions))
        }
        Phase::Pending => refuse(state, "promote", "it has no traffic yet; wait for its first weight"),
        Phase::Promoting | Phase::Succeeded | Phase::Failed => {
            refuse(state, "promote", "it has ended; a new canaryVersion starts another")
        }
    }
}

/// Gives stable everything, now.
///
/// # Errors
/// When the canary has nothing already, and will get nothing.
pub fn rollback(state: &State, by: &str, reason: &str, now: Time) -> Done {
    let over = match state.phase {
        Phase::Pending | Phase::Progressing | Phase::Paused | Phase::Promoting => false,
        Phase::Succeeded | Phase::Failed => state.weight == Share::NONE,
    };
    if over {
        return refuse(state, "roll back", "the canary has no users");
    }
    let verdict = Verdict::new(Outcome::Fail, Rule::Ramp, format!("rolled back by {by}: {reason}"));
    Ok(state.clone().fail(verdict, Some(by), now))
}

/// Somebody lowered the weight in the router, beside us: a brake that is obeyed. The plan follows, and the
/// release waits for a person. A weight that is not lower changes nothing.
pub fn lowered(state: &State, weight: Share, now: Time) -> (State, Vec<Action>) {
    if weight >= state.weight {
        return (state.clone(), Vec::new());
    }
    let before = state.weight;
    let mut state = State { phase: Phase::Paused, promoted_by: None, ..state.clone() };
    state.begin_step(weight, now);
    let reason =
        format!("somebody lowered the weight from {before} to {weight} in the router; resume lets it go on");
    state.verdict = Verdict::new(Outcome::Hold, Rule::Ramp, reason.clone());
    let record = state.record(now, reason, Some("router"));
    (state, vec![Action::LowerWeight(weight), record, Action::BeginStratum])
}
