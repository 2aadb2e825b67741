//! Gates: web hooks that are asked before, during and after a release. Who is asked when is decided in
//! [`book`]; [`webhook`] does the asking.

pub mod book;
pub mod webhook;

use std::collections::BTreeMap;
use std::time::Duration;

/// One gate, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// For people and logs.
    pub name: String,
    /// When it is asked.
    pub when: When,
    /// Where it listens.
    pub url: hyper::Uri,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How often it is asked again before its silence or refusal counts.
    pub retries: u32,
    /// What its refusal means.
    pub on_failure: OnFailure,
    /// Handed on as it is.
    pub metadata: BTreeMap<String, String>,
}

/// When a gate is asked.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub enum When {
    /// Before the canary gets its first users.
    BeforeRollout,
    /// Before each weight, the first too.
    BeforeWeight,
    /// Before the release counts as succeeded.
    BeforePromotion,
    /// At each analysis tick; its last answer must be yes for the weight to grow.
    DuringAnalysis,
    /// Told after a rollback.
    OnRollback,
    /// Told of each line of history.
    OnEvent,
}

/// What a gate's refusal means.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub enum OnFailure {
    /// The weight stays, and the gate is asked again at the next tick.
    #[default]
    Hold,
    /// The release is rolled back.
    Fail,
}
