//! The two arms of a canary, and a pair of values that belongs to them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A canary's variant. Counting is always by the assigned arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// The version that serves today.
    Stable,
    /// The version under test.
    Canary,
}

impl Arm {
    /// Both, in the order in which they own buckets.
    pub const ALL: [Self; 2] = [Self::Stable, Self::Canary];

    /// As in headers, reports and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Stable => Self::Canary,
            Self::Canary => Self::Stable,
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// One value for each arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerArm<T> {
    /// The stable arm's.
    pub stable: T,
    /// The canary arm's.
    pub canary: T,
}

impl<T> PerArm<T> {
    /// The value of an arm.
    pub fn get(&self, arm: Arm) -> &T {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Canary => &self.canary,
        }
    }

    /// The value of an arm, to change.
    pub fn get_mut(&mut self, arm: Arm) -> &mut T {
        match arm {
            Arm::Stable => &mut self.stable,
            Arm::Canary => &mut self.canary,
        }
    }

    /// Both, with their arms.
    pub fn iter(&self) -> impl Iterator<Item = (Arm, &T)> {
        [(Arm::Stable, &self.stable), (Arm::Canary, &self.canary)].into_iter()
    }

    /// Another pair, made from this one's values.
    pub fn map<U>(&self, mut make: impl FnMut(&T) -> U) -> PerArm<U> {
        PerArm { stable: make(&self.stable), canary: make(&self.canary) }
    }
}
