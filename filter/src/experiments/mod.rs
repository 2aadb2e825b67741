//! Experiments on a request: which arms its user is in, what services are told, which goals are reached.
//!
//! Every experiment of the plan that covers the request assigns on its own, after the canary has decided:
//! 1. `x-serin-experiments` is there: a filter before this one has assigned; nothing is done or counted.
//! 2. Its `within` names a canary's arm: only users whom that canary assigned to it by their unit go on.
//! 3. Outside of the segment, or without a unit: no arm.
//! 4. A cookie that keeps the user's arm decides, and the user counts in the step that assigned it.
//! 5. Otherwise the unit's bucket decides, by the shares of the present step.

mod book;
mod goal;

pub use book::{Book, GOAL_BYTES, MAX_PENDING};
pub use goal::{Reached, possible, reached};

use crate::decide::{Choice, Decision};
use crate::issue::{SetCookie, came_over_tls};
use crate::recorder::ActivePlan;
use serin_contract::hosts::without_port;
use serin_contract::plan::ExperimentPlan;
use serin_contract::{AssignedUnit, Plan, RequestHeaders, Step, UnitHash};
use std::borrow::Cow;

/// An arm that a request's user is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The experiment's place in the plan.
    pub experiment: usize,
    /// The arm's place in the experiment.
    pub arm: usize,
    /// The step that assigned it.
    pub step: Step,
    /// The unit's name in reports.
    pub unit: UnitHash,
    /// Which goals the answer can be, a bit for each, by the request's method and path.
    pub goals: u32,
}

/// What experiments make of one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The arms, in the plan's order.
    pub memberships: Vec<Membership>,
    /// The value of `x-serin-experiments`; empty without arms.
    pub arms: String,
    /// The value of `x-serin-flags`; empty without flags.
    pub flags: String,
    /// Cookies that keep arms, for the response.
    pub cookies: Vec<SetCookie>,
}

/// Assigns a request to all experiments that cover it; none when there is nothing to do.
pub fn assign(
    plan: &Plan,
    decision: Option<&Decision<'_>>,
    request: &impl RequestHeaders,
) -> Option<Assignment> {
    if plan.experiments().is_empty() || request.get(serin_contract::headers::EXPERIMENTS).is_some() {
        return None;
    }
    let authority = request.get(":authority").unwrap_or_default();
    let authority = String::from_utf8_lossy(&authority);
    let host = without_port(&authority).to_ascii_lowercase();
    let path = request.get(":path").unwrap_or(Cow::Borrowed(b"/"));
    let method = request.get(":method").unwrap_or_default();
    let mut assignment = Assignment::default();
    for (index, experiment) in plan.experiments().iter().enumerate() {
        if !experiment.covers(&host, &path, &method)
            || !is_within(plan, experiment, decision)
            || !experiment.is_for(request)
        {
            continue;
        }
        let Some(member) = assignment.add(experiment, index, decision, request) else { continue };
        member.goals = possible(&experiment.goals, &path, &method);
    }
    (!assignment.memberships.is_empty()).then_some(assignment)
}

/// Whether the canary, where the experiment names one, has put the user into the arm that it names.
fn is_within(plan: &Plan, experiment: &ExperimentPlan, decision: Option<&Decision<'_>>) -> bool {
    let Some(within) = &experiment.within else { return true };
    let Some(Decision { canary, choice: Choice::Assigned { arm, .. }, .. }) = decision else { return false };
    *arm == within.arm && plan.canaries().get(*canary).is_some_and(|canary| canary.name == within.canary)
}

impl Assignment {
    fn add(
        &mut self,
        experiment: &ExperimentPlan,
        index: usize,
        decision: Option<&Decision<'_>>,
        request: &impl RequestHeaders,
    ) -> Option<&mut Membership> {
        // A cookie that is just being issued is not in the request yet.
        let issued = decision.and_then(|decision| decision.issued.as_ref());
        let unit = experiment.units.iter().find_map(|source| {
            let own =
                issued.and_then(|issued| issued.value_for(source)).map(|id| Cow::Borrowed(id.as_bytes()));
            source.read(request).or(own)
        })?;
        let assigned = AssignedUnit::of(&experiment.salt, &unit)?;
        let cookie = experiment
            .keep
            .as_ref()
            .map(|keep| (keep, serin_contract::attributes::cookie(request, &keep.cookie)));
        let kept = cookie.as_ref().and_then(|(_, value)| experiment.kept(&unit, value.as_ref()?));
        let (step, place) = kept.unwrap_or_else(|| (experiment.step, experiment.arm_of(assigned)));
        let arm = experiment.arms().get(place)?;
        if let (Some((keep, _)), None) = (cookie, kept) {
            let value = experiment.keep_text(&unit, step, arm);
            self.cookies.push(SetCookie::new(&keep.cookie, &value, keep.max_age_s, came_over_tls(request)));
        }
        append(&mut self.arms, &[&experiment.id, "=", &arm.name]);
        if !arm.flags.is_empty() {
            append(&mut self.flags, &[&arm.flags]);
        }
        self.memberships.push(Membership {
            experiment: index,
            arm: place,
            step,
            unit: assigned.hash,
            goals: 0,
        });
        self.memberships.last_mut()
    }

    /// Writes the exposures into the plan's books.
    pub fn expose(&self, plan: &ActivePlan) {
        for member in &self.memberships {
            if let Some(book) = plan.experiment(member.experiment) {
                book.exposed(member.step, member.arm, member.unit);
            }
        }
    }
}

fn append(text: &mut String, parts: &[&str]) {
    if !text.is_empty() {
        text.push(';');
    }
    text.extend(parts.iter().copied());
}
