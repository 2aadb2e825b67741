//! What an experiment's counts amount to: who was exposed, who reached which goal, and whether the arms
//! differ. Sums in, results out. A step is a period of constant shares; nothing is ever pooled over steps
//! without keeping them apart first.
//!
//! Two kinds of numbers stand side by side. The classical ones (chi-square, Wald, Wilson, Holm) are for
//! one look at the end, at a size fixed beforehand. The always-valid ones ([`odds`], [`value`]) may be
//! looked at after every event, and the experiment may be ended because of them.

pub mod analysis;
mod comparison;
pub mod odds;
mod ratio;
pub mod release;
mod results;
mod size;
pub mod value;

pub use comparison::{Comparison, ValueComparison};
pub use results::{
    Design, GoalTotals, Guardrail, Release, Results, SampleRatioCheck, StepResults, Variant, results,
};
pub use size::{Size, needed};

use crate::experiment::odds::{Direction, Stratum};
use serde::{Deserialize, Serialize};
use serin_contract::{Share, Step};

/// The level of everything that is called significant.
pub const ALPHA: f64 = 0.05;

/// What a goal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// To find out whether an arm is better.
    Metric,
    /// To be left alone: harm is when an arm's users reach it more often.
    #[serde(rename = "guardrail_more")]
    HarmIfMore,
    /// To be left alone: harm is when an arm's users reach it less often.
    #[serde(rename = "guardrail_less")]
    HarmIfLess,
}

impl Role {
    /// The direction that is harm; none for a metric.
    pub fn harm(self) -> Option<Direction> {
        match self {
            Self::Metric => None,
            Self::HarmIfMore => Some(Direction::More),
            Self::HarmIfLess => Some(Direction::Less),
        }
    }
}

/// What one arm's units did about one goal in one step.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GoalCounts {
    /// Units that reached it at least once.
    pub converted: u64,
    /// Those among them that had reached it in another step already: where shares change, the arm of who comes
    /// again says nothing new, so they are no evidence.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u64,
    /// How often it was reached.
    pub events: u64,
    /// The sum of all values.
    pub sum: f64,
    /// The sum over units of the square of each unit's own sum.
    pub squares: f64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl GoalCounts {
    /// A unit that had reached it `before` (times, sum of values) reached it `events` times more.
    pub fn add(&mut self, before: (u64, f64), events: u64, value: f64) {
        self.converted += u64::from(before.0 == 0 && events > 0);
        self.events += events;
        self.sum += value;
        self.squares += (before.1 + value).powi(2) - before.1.powi(2);
    }
}

/// One arm in one step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ArmCounts {
    /// Distinct units that were exposed.
    pub exposures: u64,
    /// By the goal's place.
    pub goals: Vec<GoalCounts>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepCounts {
    /// Its number.
    pub step: Step,
    /// The share of each arm in it.
    pub shares: Vec<Share>,
    /// The arms, in the same order.
    pub arms: Vec<ArmCounts>,
}

impl StepCounts {
    /// A step in which nothing has happened yet.
    pub fn new(step: Step, shares: Vec<Share>, goals: usize) -> Self {
        let arm = ArmCounts { exposures: 0, goals: vec![GoalCounts::default(); goals] };
        Self { step, arms: vec![arm; shares.len()], shares }
    }

    /// The part of the units of control and `arm` together that is `arm`'s by the shares.
    fn rho(&self, arm: usize) -> f64 {
        let share = |place: usize| self.shares.get(place).map_or(0.0, |share| share.fraction());
        let both = share(0) + share(arm);
        if both > 0.0 { share(arm) / both } else { 0.0 }
    }

    /// The converted units of control and `arm`, as evidence takes them.
    fn stratum(&self, goal: usize, arm: usize) -> Stratum {
        let converted = |place: usize| {
            let goal = self.arms.get(place).and_then(|arm| arm.goals.get(goal));
            goal.map_or(0, |goal| goal.converted.saturating_sub(goal.again))
        };
        Stratum { rho: self.rho(arm), control: converted(0), treatment: converted(arm) }
    }
}

/// The strata of one goal and arm.
pub fn strata(steps: &[StepCounts], goal: usize, arm: usize) -> Vec<Stratum> {
    steps.iter().map(|step| step.stratum(goal, arm)).collect()
}

/// The highest evidence so far: what was seen once stays seen, however the numbers move later.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// The highest ln E of "the arm differs".
    pub both: f64,
    /// Of "its units reach the goal more often".
    pub more: f64,
    /// Of "less often".
    pub less: f64,
}

impl Default for Peak {
    fn default() -> Self {
        Self { both: 0.0, more: 0.0, less: 0.0 }
    }
}

impl Peak {
    /// Looks at the counts as they are now.
    pub fn look(&mut self, strata: &[Stratum]) {
        for (peak, direction) in [
            (&mut self.both, Direction::Both),
            (&mut self.more, Direction::More),
            (&mut self.less, Direction::Less),
        ] {
            *peak = peak.max(odds::log_e(strata, 1.0, direction));
        }
    }

    /// The always-valid p-value of "no difference": below alpha, ever, with probability alpha at most.
    pub fn p_value(&self) -> f64 {
        (-self.both).exp().min(1.0)
    }

    /// The highest ln E of one direction.
    pub fn log_e(&self, direction: Direction) -> f64 {
        match direction {
            Direction::Both => self.both,
            Direction::More => self.more,
            Direction::Less => self.less,
        }
    }
}
