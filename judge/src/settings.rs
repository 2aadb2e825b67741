//! What somebody asked of a release, checked: the ramp, its pace, the limits.

use crate::goals::Goal;
use serin_contract::Share;
use std::time::Duration;

/// How a release is treated.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The shares, one after another.
    pub ramp: Ramp,
    /// How long a share must hold before the next.
    pub promotion_interval: Duration,
    /// How often all rules are judged and a sample is taken.
    pub analysis_interval: Duration,
    /// How long after a step begins the plain thresholds wait (point mode only).
    pub warmup: Duration,
    /// A step that lasts longer fails the release.
    pub progress_deadline: Duration,
    /// What the canary may not do.
    pub limits: Limits,
    /// How often a canary that is no worse may be rolled back, `0.0..1.0`.
    pub false_rollback_rate: f64,
    /// Straight to the last share, without analysis.
    pub skip_analysis: bool,
    /// Whether a fail asks for evidence.
    pub decisions: Decisions,
    /// Whether somebody outside has to agree before the release counts as succeeded.
    pub confirm_promotion: bool,
    /// What follows the last share.
    pub promotion: Promotion,
    /// What users are hoped, or feared, to do.
    pub goals: Vec<Goal>,
}

/// What the canary may not do.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// In percent of its requests.
    pub max_error_rate: f64,
    /// How much its p95 may be above stable's, in percent.
    pub max_latency_increase: f64,
    /// Requests of the canary in a step before its weight grows.
    pub min_request_count: u64,
    /// Percentage points between the error rates below which evidence is not acted upon.
    pub min_error_increase: f64,
    /// When a request is slow as long as stable's latency is unknown.
    pub slow_request: Duration,
}

/// Whether thresholds alone decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decisions {
    /// A limit must be broken beyond what chance explains.
    #[default]
    Evidence,
    /// A limit must be broken, that is all.
    Point,
}

/// How stable comes to the canary's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Promotion {
    /// A person brings it there, and says so by `stableVersion`.
    #[default]
    Manual,
    /// Its Deployment gets the canary's pods.
    Copy,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ramp: Ramp::default(),
            promotion_interval: Duration::from_secs(60),
            analysis_interval: Duration::from_secs(10),
            warmup: Duration::from_secs(10),
            progress_deadline: Duration::from_secs(3600),
            limits: Limits::default(),
            false_rollback_rate: 0.05,
            skip_analysis: false,
            decisions: Decisions::Evidence,
            confirm_promotion: false,
            promotion: Promotion::Manual,
            goals: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_error_rate: 5.0,
            max_latency_increase: 50.0,
            min_request_count: 10,
            min_error_increase: 0.1,
            slow_request: Duration::from_secs(15),
        }
    }
}

/// Shares in growing order, at least one, none of them zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ramp(Vec<Share>);

/// Why shares make no ramp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RampError {
    /// Nothing to do.
    #[error("there are no steps: give at least one above 0")]
    Empty,
    /// A step that is not above the one before.
    #[error("{0} does not grow: each step must be above the one before, the first above 0")]
    NotGrowing(Share),
    /// It would stand still.
    #[error("an increment of 0 never reaches the last weight: give one above 0")]
    NoIncrement,
    /// The end is below the beginning.
    #[error("the first weight, {0}, is above the last, {1}")]
    Backwards(Share, Share),
}

impl Default for Ramp {
    /// 5, 25, 45, 65, 85, 100 percent.
    fn default() -> Self {
        Self(
            [500, 2500, 4500, 6500, 8500, 10_000]
                .map(|points| Share::from_basis_points(points).unwrap_or_default())
                .to_vec(),
        )
    }
}

impl Ramp {
    /// From a first share by equal increments to a last one, which is met exactly.
    ///
    /// # Errors
    /// When it would not begin above 0, not grow, or end below its beginning.
    pub fn by_increment(initial: Share, increment: Share, max: Share) -> Result<Self, RampError> {
        if initial > max {
            return Err(RampError::Backwards(initial, max));
        }
        if increment == Share::NONE && initial < max {
            return Err(RampError::NoIncrement);
        }
        let mut shares = vec![initial];
        let mut share = initial;
        while share < max {
            share = share.plus(increment).min(max);
            shares.push(share);
        }
        Self::by_steps(shares)
    }

    /// From the shares themselves.
    ///
    /// # Errors
    /// When there is none, or one does not grow.
    pub fn by_steps(shares: Vec<Share>) -> Result<Self, RampError> {
        if shares.is_empty() {
            return Err(RampError::Empty);
        }
        let mut last = Share::NONE;
        for share in &shares {
            if *share <= last {
                return Err(RampError::NotGrowing(*share));
            }
            last = *share;
        }
        Ok(Self(shares))
    }

    /// All shares.
    pub fn shares(&self) -> &[Share] {
        &self.0
    }

    /// The first share.
    pub fn first(&self) -> Share {
        self.0.first().copied().unwrap_or(Share::ALL)
    }

    /// The last share.
    pub fn max(&self) -> Share {
        self.0.last().copied().unwrap_or(Share::ALL)
    }

    /// The first share above this one.
    pub fn after(&self, share: Share) -> Option<Share> {
        self.0.iter().copied().find(|next| *next > share)
    }
}
