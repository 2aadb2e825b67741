//! A canary as the API shows it.

use super::rollout::Rollout;
use super::shown::Shown;
use crate::sources::ledger::{Health, LimitView};
use serde::Serialize;
use serin_contract::{Share, Step, Stratum};
use serin_judge::observations::Totals;
use serin_judge::ramp::{Phase, Transition};
use serin_judge::summary::Summary;
use serin_judge::time::Time;
use serin_judge::verdict::Verdict;

/// `GET /v1/canaries/{ns}/{name}`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryView {
    /// The canary's namespace.
    pub namespace: String,
    /// The canary's name.
    pub name: String,
    /// Where the release is.
    pub phase: Phase,
    /// The canary's part in percent.
    pub weight: f64,
    /// The weight of the next step, in percent, if there is one.
    pub next_weight: Option<f64>,
    /// The step's number.
    pub step: Step,
    /// The stratum's number.
    pub stratum: Stratum,
    /// The version that serves today.
    pub stable_version: String,
    /// The version under test.
    pub canary_version: String,
    /// The id of the rollout's experiment; none before its first weight.
    pub experiment: Option<String>,
    /// What the judge thinks.
    pub verdict: Verdict,
    /// What the router has.
    pub router: RouterView,
    /// The numbers that the judge looks at.
    pub summary: Summary,
    /// How each source of numbers is.
    pub sources: Vec<Health>,
    /// The user's own limits, and where each stands.
    pub metrics: Vec<LimitView>,
    /// Everything counted in this rollout.
    pub totals: Totals,
    /// What happened, oldest first, at most 100 lines.
    pub history: Vec<Transition>,
    /// What people want to know beside the numbers.
    #[serde(flatten)]
    pub shown: Shown,
    /// When this was true, in milliseconds since 1970.
    pub time: Time,
}

/// The weight as it stands in the router.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouterView {
    /// In percent; unknown until it was first written or confirmed.
    pub weight: Option<f64>,
    /// Why the last write failed.
    pub error: Option<String>,
}

impl CanaryView {
    pub(super) fn of(rollout: &Rollout, now: Time) -> Self {
        let state = &rollout.state;
        let summary = rollout.summary(now);
        Self {
            shown: Shown::of(rollout, &summary, now),
            namespace: rollout.spec.id.namespace.clone(),
            name: rollout.spec.id.name.clone(),
            phase: state.phase,
            weight: state.weight.percent(),
            next_weight: rollout.spec.settings.ramp.after(state.weight).map(Share::percent),
            step: state.step,
            stratum: state.stratum,
            stable_version: state.stable_version.clone(),
            canary_version: state.canary_version.clone(),
            experiment: rollout.experiment().map(str::to_owned),
            verdict: state.verdict.clone(),
            router: RouterView {
                weight: rollout.route.confirmed.map(Share::percent),
                error: rollout.route.error.as_ref().map(ToString::to_string),
            },
            summary,
            sources: rollout.ledger.health().cloned().collect(),
            metrics: rollout.ledger.views(
                &rollout.spec.sources.limits,
                rollout.spec.settings.analysis_interval,
                now,
            ),
            totals: rollout.observations.totals().clone(),
            history: rollout.history.iter().cloned().collect(),
            time: now,
        }
    }

    /// `<namespace>/<name>`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}
