//! One experiment with its sums. Small: units are in the store, here is only what they add up to.

use super::history::Line;
use super::release::Release;
use super::spec::{Experiment, ExperimentSpec};
use super::unit::{Entry, Unit};
use serde::{Deserialize, Serialize};
use serin_contract::{FieldError, Share, Step};
use serin_judge::experiment::release::metrics;
use serin_judge::experiment::{Design, Peak, Results, StepCounts, results, strata};
use serin_judge::time::Time;
use std::time::Duration;

/// How many times shares may change.
pub const MAX_STEPS: usize = 200;
/// How long an assignment made by the API holds.
pub const ASSIGNMENT_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// Where an experiment comes from: who may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Created by a call.
    Api,
    /// From the configuration file.
    File,
    /// From an Experiment object in the cluster.
    Cluster,
    /// Of a release: it follows the canary's ramp.
    Canary,
}

/// The Experiment object that an experiment comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The object's namespace; its name is the experiment's id.
    pub namespace: String,
    /// The object's uid: one made anew under the same name is another.
    pub uid: String,
}

/// Where an experiment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its start is yet to come.
    Scheduled,
    /// It assigns.
    Running,
    /// It is over.
    Ended,
}

/// An experiment as the store has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// What was asked for.
    pub spec: ExperimentSpec,
    /// Where it comes from.
    pub source: Source,
    /// The object, where it comes from the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What it knows of the release that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// When it was created.
    pub created: Time,
    /// When it ended.
    pub ended: Option<Time>,
    /// The sums of each period of constant shares.
    pub steps: Vec<StepCounts>,
    /// The highest evidence, by goal and then by arm from the second on.
    pub peaks: Vec<Vec<Peak>>,
    /// What could not be counted.
    pub loose: Loose,
    /// Who did what to it, oldest first.
    #[serde(default)]
    pub history: Vec<Line>,
    /// How many actions were ever stored: each has its number.
    pub actions: u64,
}

/// Events that no arm could be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Loose {
    /// Conversions of units that were never exposed.
    pub unexposed: u64,
    /// Exposures to another arm than the one that the same step gave the unit before.
    pub crossed: u64,
    /// Reports about arms, goals or steps that the experiment does not have.
    pub unknown: u64,
}

/// An experiment at work.
#[derive(Debug, Clone)]
pub struct Book {
    /// What it is.
    pub experiment: Experiment,
    /// What is stored of it.
    pub record: Record,
}

impl Book {
    /// A new one.
    pub fn open(experiment: Experiment, source: Source, now: Time) -> Self {
        let goals = experiment.goals.len();
        let record = Record {
            id: experiment.id.clone(),
            spec: experiment.spec.clone(),
            source,
            origin: None,
            release: None,
            created: now,
            ended: None,
            steps: vec![StepCounts::new(Step(1), experiment.shares.clone(), goals)],
            peaks: vec![vec![Peak::default(); experiment.arms.len() - 1]; goals],
            loose: Loose::default(),
            history: Vec::new(),
            actions: 0,
        };
        Self { experiment, record }
    }

    /// Another replica with a store of its own was at this step: its numbers are not here, and the filters list
    /// users anew under the next.
    pub fn go_on_after(&mut self, step: Step) {
        if step >= self.step() {
            let goals = self.experiment.goals.len();
            let shares = self.experiment.shares.clone();
            let next = StepCounts::new(step.next(), shares, goals);
            // A step in which nothing was counted is no step.
            self.record.steps.retain(|step| step.arms.iter().any(|arm| arm.exposures > 0));
            self.record.steps.push(next);
        }
    }

    /// One from the store.
    ///
    /// # Errors
    /// When this program would refuse what is stored.
    pub fn restore(record: Record) -> Result<Self, FieldError> {
        Ok(Self { experiment: Experiment::compile(&record.id, record.spec.clone())?, record })
    }

    /// Where it comes from, in words after its name.
    pub fn owner(&self) -> String {
        match (self.record.source, &self.record.origin) {
            (Source::Api, _) => "created by the API".to_owned(),
            (Source::File, _) => "declared in the configuration file".to_owned(),
            (Source::Cluster, Some(origin)) => {
                format!("the Experiment {}/{} in the cluster", origin.namespace, self.record.id)
            }
            (Source::Cluster, None) => "an Experiment in the cluster".to_owned(),
            (Source::Canary, _) => format!("of the release {}", self.canary().unwrap_or_default()),
        }
    }

    /// Where it stands.
    pub fn status(&self, now: Time) -> Status {
        if self.record.ended.is_some() || self.experiment.end.is_some_and(|end| end <= now) {
            Status::Ended
        } else if self.experiment.start.is_some_and(|start| start > now) {
            Status::Scheduled
        } else {
            Status::Running
        }
    }

    /// The present step.
    pub fn step(&self) -> Step {
        self.record.steps.last().map_or(Step(0), |step| step.step)
    }

    /// The present shares.
    pub fn shares(&self) -> &[Share] {
        &self.experiment.shares
    }

    /// Takes over another specification of the same experiment: new shares begin a new step.
    ///
    /// # Errors
    /// When who is assigned where would no longer be the same experiment.
    pub fn change(&mut self, to: Experiment) -> Result<(), FieldError> {
        let next = self.step().next();
        self.change_at(to, next)
    }

    /// The same for a release that is at this step, whose number begins a new step here.
    ///
    /// # Errors
    /// As there.
    pub fn follow(&mut self, to: Experiment, step: Step) -> Result<(), FieldError> {
        // Whoever changes who is assigned while a release runs has moved its users; the release goes on.
        self.experiment.spec.salt.clone_from(&to.spec.salt);
        self.experiment.spec.units.clone_from(&to.spec.units);
        // A share may come back: another step of the release is another step here all the same.
        if step != self.step() && to.shares == self.experiment.shares {
            self.begin(step, &to)?;
        }
        self.change_at(to, step)
    }

    fn begin(&mut self, step: Step, to: &Experiment) -> Result<(), FieldError> {
        if self.record.steps.len() >= MAX_STEPS {
            return Err(FieldError::new("arms", format!("shares have changed {MAX_STEPS} times: end it")));
        }
        self.record.steps.push(StepCounts::new(step, to.shares.clone(), to.goals.len()));
        Ok(())
    }

    fn change_at(&mut self, to: Experiment, step: Step) -> Result<(), FieldError> {
        let from = &self.experiment;
        let fixed = [
            ("arms", from.arms != to.arms),
            ("salt", from.spec.salt != to.spec.salt),
            ("units", from.spec.units != to.spec.units),
        ];
        if let Some((field, _)) = fixed.into_iter().find(|(_, changed)| *changed) {
            let message =
                "cannot change in a running experiment but for shares and flags: end it and create another";
            return Err(FieldError::new(field, message));
        }
        let kept = from.goals.iter().zip(&to.goals).all(|(old, new)| old.0 == new.0);
        if !kept || to.goals.len() < from.goals.len() {
            return Err(FieldError::new("goals", "may only be added, behind those that are there"));
        }
        if from.shares != to.shares {
            self.begin(step, &to)?;
        }
        let goals = to.goals.len();
        for arm in self.record.steps.iter_mut().flat_map(|step| &mut step.arms) {
            arm.goals.resize(goals, serin_judge::experiment::GoalCounts::default());
        }
        self.record.peaks.resize(goals, vec![Peak::default(); to.arms.len() - 1]);
        self.record.spec = to.spec.clone();
        self.experiment = to;
        Ok(())
    }

    /// A unit was exposed under a step; counts it if that is new. False when step or arm are unknown.
    pub fn expose(&mut self, unit: &mut Unit, step: Step, arm: usize, now: Time) -> bool {
        if let Some(entry) = unit.of(step) {
            self.record.loose.crossed += u64::from(entry.arm != arm);
            return true;
        }
        let Some(counts) = self.step_mut(step).and_then(|step| step.arms.get_mut(arm)) else {
            self.record.loose.unknown += 1;
            return false;
        };
        counts.exposures += 1;
        unit.0.push(Entry { step, arm, time: now, goals: Vec::new() });
        // The latest assignment stands last, also when reports of an earlier step come late.
        unit.0.sort_by_key(|entry| entry.step);
        true
    }

    /// An exposed unit reached a goal under a step: counts for the arm that the step gave it.
    pub fn reach(&mut self, unit: &mut Unit, step: Step, goal: usize, events: u64, value: f64) {
        let elsewhere = unit.has_reached(goal);
        let Some(entry) = unit.of_mut(step) else {
            self.record.loose.unexposed += events;
            return;
        };
        let arm = entry.arm;
        let before = entry.reach(goal, events, value);
        let counts = self.step_mut(step).and_then(|step| step.arms.get_mut(arm)?.goals.get_mut(goal));
        if let Some(counts) = counts {
            counts.add(before, events, value);
            counts.again += u64::from(elsewhere && before.0 == 0);
        }
    }

    fn step_mut(&mut self, step: Step) -> Option<&mut StepCounts> {
        self.record.steps.iter_mut().find(|counts| counts.step == step)
    }

    /// Looks at the evidence as it is now.
    pub fn look(&mut self) {
        for (goal, arms) in self.record.peaks.iter_mut().enumerate() {
            for (place, peak) in arms.iter_mut().enumerate() {
                peak.look(&strata(&self.record.steps, goal, place + 1));
            }
        }
    }

    /// The results as they are now.
    pub fn results(&self) -> Results {
        let design = Design {
            arms: &self.experiment.arms,
            goals: &self.experiment.goals,
            minimum_effect: self.experiment.spec.minimum_effect.unwrap_or(10.0),
        };
        let mut results = results(&design, &self.record.steps, &self.record.peaks);
        if let Some(release) = &self.record.release {
            let goals: Vec<&str> = self.experiment.goals.iter().map(|(name, _)| name.as_str()).collect();
            results.release = Some(serin_judge::experiment::Release {
                canary: release.canary.clone(),
                metrics: metrics(&release.requests, &self.record.steps, &goals),
            });
            release.judge(&mut results.guardrails);
        }
        results
    }
}
