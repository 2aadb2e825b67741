//! The ramp: `Pending -> Progressing <-> Paused -> Succeeded`, or `-> Failed`. Functions take a state and
//! return the next one with what has to be done; whoever calls them does it.
//!
//! A weight is raised in two moves, because the router comes first: [`Action::RaiseWeight`] asks for it,
//! and [`weight_raised`] begins the new step once it stands there. A weight is lowered at once.

mod by_hand;
mod by_rule;
mod versions;

pub use crate::rules::Facts;
pub use by_hand::{lowered, pause, promote, resume, rollback};
pub use by_rule::{gate_failed, on_report, on_tick, promotion_confirmed, weight_raised};
pub use versions::versions_changed;

use crate::settings::{Promotion, Settings};
use crate::time::Time;
use crate::verdict::{Outcome, Rule, Verdict};
use serde::{Deserialize, Serialize};
use serin_contract::{Share, Step, Stratum};

/// Where a release is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Waiting for filters and for its first weight.
    Pending,
    /// Its weight grows.
    Progressing,
    /// Its weight stays until somebody resumes it.
    Paused,
    /// Stable takes over the canary's version.
    Promoting,
    /// The canary has everything, or has become stable.
    Succeeded,
    /// Rolled back: the canary has nothing.
    Failed,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Progressing, Self::Paused, Self::Promoting, Self::Succeeded, Self::Failed];

    /// As people and labels write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
            Self::Promoting => "Promoting",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// A release at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Where it is.
    pub phase: Phase,
    /// The version that serves today.
    pub stable_version: String,
    /// The version under test.
    pub canary_version: String,
    /// The canary's share, as asked of router and plan.
    pub weight: Share,
    /// Counts up over the canary's whole life.
    pub step: Step,
    /// Counts up over the canary's whole life.
    pub stratum: Stratum,
    /// When this rollout began.
    pub rollout_started: Time,
    /// When the step began; a resume begins its interval anew.
    pub step_started: Time,
    /// When the stratum began.
    pub stratum_started: Time,
    /// Who asked for everything at once.
    pub promoted_by: Option<String>,
    /// What stable was when it was given the canary's pods: a configuration that still says so is old news.
    #[serde(default)]
    pub promoted_from: Option<String>,
    /// What the judge said last.
    pub verdict: Verdict,
}

/// One line of a release's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub time: Time,
    /// The phase from then on.
    pub phase: Phase,
    /// The weight from then on, in percent.
    #[serde(with = "percent")]
    pub weight: Share,
    /// The step from then on.
    pub step: Step,
    /// Why.
    pub reason: String,
    /// The person who did it; none when the rules did.
    pub by: Option<String>,
}

/// What has to be done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write this weight to the router, and say when it stands there. Asked for again at each tick.
    RaiseWeight(Share),
    /// Write this weight to the router and the plan, at once and until it stands there.
    LowerWeight(Share),
    /// Forget what was observed of the rollout before.
    BeginRollout,
    /// Begin the state's stratum, with its weight.
    BeginStratum,
    /// Ask whoever has to agree to the promotion, and say so when they do. Asked for again at each tick.
    ConfirmPromotion,
    /// Ask about the arms' sizes anew.
    RestartSampleRatio,
    /// Write a line of history.
    Record(Transition),
    /// Write a report of this kind: `rollback` or `success`.
    WriteReport(&'static str),
}

/// Why a person's wish was not followed: the phase, and what would be possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

impl State {
    /// A canary that was never seen before.
    pub fn new(stable_version: &str, canary_version: &str, now: Time) -> Self {
        let nothing = stable_version == canary_version;
        let reason = if nothing { "nothing to release: both versions are the same" } else { "not yet begun" };
        Self {
            phase: if nothing { Phase::Succeeded } else { Phase::Pending },
            stable_version: stable_version.to_owned(),
            canary_version: canary_version.to_owned(),
            weight: Share::NONE,
            step: Step(0),
            stratum: Stratum(0),
            rollout_started: now,
            step_started: now,
            stratum_started: now,
            promoted_by: None,
            promoted_from: None,
            verdict: Verdict::new(Outcome::Hold, Rule::Ramp, reason),
        }
    }

    /// A line of history as things stand, for something that changes nothing else.
    pub fn note(&self, now: Time, reason: &str, by: &str) -> Action {
        self.record(now, reason, Some(by))
    }

    /// A line of history as things stand.
    fn record(&self, now: Time, reason: impl Into<String>, by: Option<&str>) -> Action {
        Action::Record(Transition {
            time: now,
            phase: self.phase,
            weight: self.weight,
            step: self.step,
            reason: reason.into(),
            by: by.map(str::to_owned),
        })
    }

    /// Another weight: a new step and stratum.
    fn begin_step(&mut self, weight: Share, now: Time) {
        self.weight = weight;
        self.step = self.step.next();
        self.step_started = now;
        self.begin_stratum(now);
    }

    fn begin_stratum(&mut self, now: Time) {
        self.stratum = self.stratum.next();
        self.stratum_started = now;
    }

    /// All users back to stable.
    fn fail(mut self, verdict: Verdict, by: Option<&str>, now: Time) -> (Self, Vec<Action>) {
        self.phase = Phase::Failed;
        self.promoted_by = None;
        self.begin_step(Share::NONE, now);
        let reason = verdict.reason.clone();
        self.verdict = verdict;
        // The report shows the numbers that led here, so it comes before the stratum begins anew.
        let actions = vec![
            Action::LowerWeight(Share::NONE),
            self.record(now, reason, by),
            Action::WriteReport("rollback"),
            Action::BeginStratum,
        ];
        (self, actions)
    }

    /// The last share has held, or a person says that it is good enough.
    fn finish(self, settings: &Settings, reason: &str, by: Option<&str>, now: Time) -> (Self, Vec<Action>) {
        match settings.promotion {
            Promotion::Manual => self.succeed(reason, by, now),
            Promotion::Copy => self.begin_promotion(reason, by, now),
        }
    }

    fn begin_promotion(mut self, reason: &str, by: Option<&str>, now: Time) -> (Self, Vec<Action>) {
        self.phase = Phase::Promoting;
        self.promoted_by = None;
        let reason = format!("{reason}; stable gets the pods of {}", self.canary_version);
        self.verdict = Verdict::new(Outcome::Hold, Rule::Deployments, reason.clone());
        let record = self.record(now, reason, by);
        (self, vec![record])
    }

    /// Stable runs the canary's version: it gets all users back, and the release is over.
    fn become_stable(mut self, now: Time) -> (Self, Vec<Action>) {
        self.phase = Phase::Succeeded;
        let before = std::mem::replace(&mut self.stable_version, self.canary_version.clone());
        // Whoever configured the first of two releases by copy has not been asked to change it since.
        self.promoted_from.get_or_insert(before);
        self.begin_step(Share::NONE, now);
        let reason = format!("stable runs {} now and serves everybody", self.stable_version);
        self.verdict = Verdict::new(Outcome::Continue, Rule::Ramp, reason.clone());
        let actions = vec![
            Action::LowerWeight(Share::NONE),
            self.record(now, reason, None),
            Action::WriteReport("success"),
            Action::BeginStratum,
        ];
        (self, actions)
    }

    fn succeed(mut self, reason: &str, by: Option<&str>, now: Time) -> (Self, Vec<Action>) {
        self.phase = Phase::Succeeded;
        self.promoted_by = None;
        let reason = format!(
            "{reason}; {} carries {} of the users: bring stable to {} and set stableVersion",
            self.canary_version, self.weight, self.canary_version
        );
        self.verdict = Verdict::new(Outcome::Continue, Rule::Ramp, reason.clone());
        let actions = vec![self.record(now, reason, by), Action::WriteReport("success")];
        (self, actions)
    }
}

/// Shares in history lines as percent.
mod percent {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use serin_contract::Share;

    pub(super) fn serialize<S: Serializer>(share: &Share, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(share.percent())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
        Share::from_percent(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
