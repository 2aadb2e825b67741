//! What is measured: three faults behind two routers, and healthy rollouts.

use serin_tests::shop::Faults;
use std::fmt;
use std::time::Duration;

/// What the canary begins to do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A fifth of its answers are errors.
    Errors20,
    /// Every twentieth is.
    Errors5,
    /// Each takes three times as long.
    Latency3,
}

/// Who writes weights where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routing {
    /// The route file of a plain Envoy.
    Plain,
    /// A VirtualService, by istiod.
    Istiod,
}

/// Runs of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    /// A canary that turns bad.
    Bad(Routing, Fault),
    /// One that stays good, before a plain Envoy.
    Healthy,
}

/// The weights, and how long each stays.
#[derive(Debug, Clone)]
pub(crate) struct Ramp {
    pub(crate) steps: Vec<f64>,
    pub(crate) promotion_interval: &'static str,
}

/// The weight at which canaries turn bad, in percent.
pub(crate) const WEIGHT: f64 = 10.0;
/// As an installation has it by default.
pub(crate) const ANALYSIS_INTERVAL: &str = "10s";
/// As an installation has it by default.
pub(crate) const WARMUP: &str = "10s";
/// As an installation has it by default.
pub(crate) const FALSE_ROLLBACK_RATE: f64 = 0.05;

impl Cell {
    pub(crate) const ALL: [Self; 7] = [
        Self::Bad(Routing::Plain, Fault::Errors20),
        Self::Bad(Routing::Plain, Fault::Errors5),
        Self::Bad(Routing::Plain, Fault::Latency3),
        Self::Bad(Routing::Istiod, Fault::Errors20),
        Self::Bad(Routing::Istiod, Fault::Errors5),
        Self::Bad(Routing::Istiod, Fault::Latency3),
        Self::Healthy,
    ];

    /// Where its weights are written.
    pub(crate) fn routing(self) -> Routing {
        match self {
            Self::Bad(routing, _) => routing,
            Self::Healthy => Routing::Plain,
        }
    }

    /// A canary that turns bad stays at its weight until it does; a good one grows for five minutes, and is
    /// compared in each of them.
    pub(crate) fn ramp(self) -> Ramp {
        match self {
            Self::Bad(..) => Ramp { steps: vec![WEIGHT, 100.0], promotion_interval: "1h" },
            Self::Healthy => Ramp { steps: vec![5.0, WEIGHT, 25.0, 50.0, 75.0], promotion_interval: "60s" },
        }
    }

    /// What it is called in files and in `--only`.
    pub(crate) fn name(self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (routing, fault) = match self {
            Self::Healthy => return out.write_str("plain/healthy"),
            Self::Bad(routing, fault) => (routing, fault),
        };
        let routing = match routing {
            Routing::Plain => "plain",
            Routing::Istiod => "istiod",
        };
        let fault = match fault {
            Fault::Errors20 => "errors-20",
            Fault::Errors5 => "errors-5",
            Fault::Latency3 => "latency-3x",
        };
        write!(out, "{routing}/{fault}")
    }
}

/// A good version: every hundredth answer is an error; half of the answers take up to 20 ms, one of twenty more
/// than 45 ms.
pub(crate) const GOOD: Faults =
    Faults { error_rate: 0.01, latency: Duration::from_millis(20), spread: 0.5, ..Faults::NONE };

impl Fault {
    /// What the canary does from then on.
    pub(crate) fn faults(self) -> Faults {
        match self {
            Self::Errors20 => Faults { error_rate: 0.2, ..GOOD },
            Self::Errors5 => Faults { error_rate: 0.05, ..GOOD },
            Self::Latency3 => Faults { latency: GOOD.latency * 3, ..GOOD },
        }
    }
}
