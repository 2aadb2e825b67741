//! What happens to users: how busy they are, what fails, and when.

use std::time::Duration;

/// Everything that the versions do to their users.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// How many users there are.
    pub users: usize,
    /// How unequal their activity is.
    pub activity: Activity,
    /// The part of users half of whose requests fail whatever the version.
    pub chronic: f64,
    /// Requests a second, in the mean.
    pub rate: f64,
    /// How far traffic and errors swing around their mean, `0.0..1.0`, in five minutes instead of a day.
    pub swing: f64,
    /// The part of requests that fail.
    pub errors: f64,
    /// What is wrong with the canary.
    pub fault: Option<Fault>,
    /// What hits both versions.
    pub outage: Option<Outage>,
}

/// How unequal users are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// All alike.
    Even,
    /// Pareto with exponent 1.5, cut off at 100 times the least.
    Uneven,
    /// Pareto with exponent 1.05, cut off at 10,000 times the least: one user can be a tenth of the traffic.
    HeavyTailed,
}

/// What is wrong with the canary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// When it begins, after the first weight.
    pub at: Duration,
    /// How long it takes to grow to its size.
    pub over: Duration,
    /// The part of the canary's requests that fail then.
    pub errors: f64,
    /// How many times as long the canary takes then.
    pub slower: f64,
    /// Whether it answers nothing any more.
    pub hangs: bool,
}

/// What hits both versions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outage {
    /// When it begins.
    pub at: Duration,
    /// When it is over.
    pub until: Duration,
    /// The part of requests that fail meanwhile.
    pub errors: f64,
}

const SWING_PERIOD: f64 = 300.0;

impl Default for World {
    /// 5,000 users of uneven activity, 200 requests a second, 1 % errors, nothing wrong.
    fn default() -> Self {
        Self {
            users: 5_000,
            activity: Activity::Uneven,
            chronic: 0.0,
            rate: 200.0,
            swing: 0.0,
            errors: 0.01,
            fault: None,
            outage: None,
        }
    }
}

impl Activity {
    /// A user's activity from a uniform number.
    pub(super) fn of(self, uniform: f64) -> f64 {
        match self {
            Self::Even => 1.0,
            Self::Uneven => (1.0 - uniform).powf(-1.0 / 1.5).min(100.0),
            Self::HeavyTailed => (1.0 - uniform).powf(-1.0 / 1.05).min(10_000.0),
        }
    }
}

impl World {
    fn swinging(&self, at: Duration) -> f64 {
        1.0 + self.swing * (std::f64::consts::TAU * at.as_secs_f64() / SWING_PERIOD).sin()
    }

    /// Requests a second at a moment.
    pub(super) fn rate_at(&self, at: Duration) -> f64 {
        self.rate * self.swinging(at)
    }

    /// The part of requests that fail at a moment, whatever the version.
    pub(super) fn errors_at(&self, at: Duration) -> f64 {
        match self.outage {
            Some(outage) if at >= outage.at && at < outage.until => outage.errors,
            Some(_) | None => (self.errors * self.swinging(at)).min(1.0),
        }
    }

    /// How much of the fault is there: 0 before it, 1 when it has its size.
    pub(super) fn fault_at(&self, at: Duration) -> f64 {
        let Some(fault) = self.fault.filter(|fault| at >= fault.at) else { return 0.0 };
        let since = (at - fault.at).as_secs_f64();
        if fault.over.is_zero() { 1.0 } else { (since / fault.over.as_secs_f64()).min(1.0) }
    }
}

impl Fault {
    /// From a moment on this part of the canary's requests fails.
    pub fn errors(at: Duration, errors: f64) -> Self {
        Self { at, over: Duration::ZERO, errors, slower: 1.0, hangs: false }
    }
}
