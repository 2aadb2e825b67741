//! The judge's answer.

use serde::{Deserialize, Serialize};

/// What the rules say, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What should happen.
    pub outcome: Outcome,
    /// Which rule said so.
    pub rule: Rule,
    /// For a person on call.
    pub reason: String,
}

/// What should happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The weight may grow.
    Continue,
    /// The weight stays, for now.
    Hold,
    /// The weight stays until a person has looked.
    Pause,
    /// Roll back.
    Fail,
}

/// The rules, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// 1: reports come and the router takes the weight.
    Data,
    /// 2: the arms have the sizes they should.
    SampleRatio,
    /// 3: traffic goes where it is sent.
    Routing,
    /// 4: the canary's absolute error rate.
    ErrorRate,
    /// 5: the canary's latency against stable's.
    Latency,
    /// 6: the canary's errors against stable's.
    ErrorEvidence,
    /// Behind 6: users who reach a goal.
    Goal,
    /// 7: what metrics and SLOs say.
    Metric,
    /// 8: enough requests.
    RequestCount,
    /// The Deployments are ready, and the canary's has room for its share.
    Deployments,
    /// What somebody's gate answered.
    Gate,
    /// 9: nothing is against it.
    Continue,
    /// The ramp's own: its deadline, a phase without rules.
    Ramp,
}

impl Verdict {
    pub(crate) fn new(outcome: Outcome, rule: Rule, reason: impl Into<String>) -> Self {
        Self { outcome, rule, reason: reason.into() }
    }
}
