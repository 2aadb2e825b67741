//! What a filter saw of experiments: who was exposed, and who reached which goal.

use super::{MAX_COUNT, check_count};
use crate::parse::FieldError;
use crate::plan::experiment::{MAX_ARMS, MAX_GOALS, check_word};
use crate::share::Step;
use crate::unit::UnitHash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest sum of values that a goal's row may hold, above and below zero.
pub const MAX_VALUE: f64 = 1e12;

/// What happened in one experiment under one step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentReport {
    /// The experiment's name.
    pub id: String,
    /// The step that assigned these units.
    pub step: Step,
    /// By the arm's name.
    #[serde(default)]
    pub arms: BTreeMap<String, ExperimentArm>,
}

/// By the goal's name: unit, how often it reached it since the last report, and the sum of its values.
pub type GoalRows = BTreeMap<String, Vec<(UnitHash, u64, f64)>>;

/// What happened in one arm.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExperimentArm {
    /// Units that were exposed. A VM may list a unit again; it counts once all the same.
    pub seen: Vec<UnitHash>,
    /// Who reached which goal.
    pub goals: GoalRows,
}

impl ExperimentReport {
    pub(super) fn check(&self) -> Result<(), FieldError> {
        check_word("id", &self.id)?;
        if self.arms.len() > MAX_ARMS {
            return Err(FieldError::new("arms", format!("there are more than {MAX_ARMS}")));
        }
        for (name, arm) in &self.arms {
            check_word("arms", name)?;
            arm.check().map_err(|error| error.under(&format!("arms.{name}")))?;
        }
        Ok(())
    }
}

impl ExperimentArm {
    fn check(&self) -> Result<(), FieldError> {
        check_goals(&self.goals)
    }
}

/// Of experiments and of canaries alike.
pub(super) fn check_goals(goals: &GoalRows) -> Result<(), FieldError> {
    if goals.len() > MAX_GOALS {
        return Err(FieldError::new("goals", format!("there are more than {MAX_GOALS}")));
    }
    for (goal, rows) in goals {
        check_word("goals", goal)?;
        for (place, (_, count, sum)) in rows.iter().enumerate() {
            let field = format_args!("goals.{goal}[{place}]");
            check_count(field, *count)?;
            if *count == 0 {
                return Err(FieldError::new(
                    field.to_string(),
                    format!("counts nothing: allowed are 1 to {MAX_COUNT}"),
                ));
            }
            if !(-MAX_VALUE..=MAX_VALUE).contains(sum) {
                return Err(FieldError::new(
                    field.to_string(),
                    format!("{sum} is not a sum that a goal can reach"),
                ));
            }
        }
    }
    Ok(())
}
