//! New versions: another rollout, or the end of this one.

use super::by_hand::Done;
use super::{Action, Phase, Refusal, State};
use crate::time::Time;
use crate::verdict::{Outcome, Rule, Verdict};
use serin_contract::Share;

/// Takes over the versions that somebody configured. Versions that stay change nothing.
///
/// # Errors
/// When the canary still has users and this would take their version away.
pub fn versions_changed(state: &State, stable: &str, canary: &str, now: Time) -> Done {
    // After a promotion by copy the configuration may say what stable was before; once it says anything
    // else, it is taken at its word again.
    let old_news = state.promoted_from.as_deref() == Some(stable);
    let stable = if old_news { state.stable_version.as_str() } else { stable };
    let promoted_from = state.promoted_from.clone().filter(|_| old_news);
    let state = &State { promoted_from, ..state.clone() };
    if state.stable_version == stable && state.canary_version == canary {
        return Ok((state.clone(), Vec::new()));
    }
    if state.weight > Share::NONE {
        return with_users(state, stable, canary, now);
    }
    let mut next = state.clone();
    next.stable_version = stable.to_owned();
    if state.canary_version == canary && stable != canary {
        // Stable was renamed beneath a canary without users; the release itself is the same.
        let record = next.record(now, format!("stable is {stable} now"), None);
        return Ok((next, vec![record]));
    }
    next.canary_version = canary.to_owned();
    next.rollout_started = now;
    next.promoted_by = None;
    next.begin_step(Share::NONE, now);
    let reason = if stable == canary {
        next.phase = Phase::Succeeded;
        format!("nothing to release: {stable} is the stable version")
    } else {
        next.phase = Phase::Pending;
        format!("a new rollout: {stable} -> {canary}")
    };
    next.verdict = Verdict::new(Outcome::Hold, Rule::Ramp, reason.clone());
    let record = next.record(now, reason, None);
    Ok((next, vec![Action::BeginRollout, record, Action::BeginStratum]))
}

/// With users in the canary only one change is safe: their version becomes stable.
fn with_users(state: &State, stable: &str, canary: &str, now: Time) -> Done {
    let becomes_stable = stable == state.canary_version && canary == state.canary_version;
    if state.phase != Phase::Succeeded || !becomes_stable {
        return Err(Refusal(format!(
            "versions {stable} and {canary} are refused while {} has {} of the users ({}): set stableVersion to \
             {} once it has succeeded and stable runs it, or roll it back",
            state.canary_version,
            state.weight,
            state.phase.name(),
            state.canary_version
        )));
    }
    let mut next = state.clone();
    next.stable_version = stable.to_owned();
    next.begin_step(Share::NONE, now);
    let reason = format!("{stable} is the stable version now");
    next.verdict = Verdict::new(Outcome::Continue, Rule::Ramp, reason.clone());
    let record = next.record(now, reason, None);
    Ok((next, vec![Action::LowerWeight(Share::NONE), record, Action::BeginStratum]))
}
