//! Thinning out units by their hash, so that a stratum's sets stay bounded. The choice depends on
//! nothing but the hash, never on what happened to the unit, so every statistic stays valid.

use crate::unit::UnitHash;
use serde::{Deserialize, Serialize};

/// A threshold on the mixed hash: a unit is in the sample when its mixed hash is not above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sample(pub u64);

impl Sample {
    /// Everybody.
    pub const ALL: Self = Self(u64::MAX);

    /// Whether a unit belongs to the sample.
    pub fn has(self, unit: UnitHash) -> bool {
        mix(unit.0) <= self.0
    }

    /// The part of all units that is in the sample, above 0 and at most 1.
    pub fn fraction(self) -> f64 {
        (self.0 as f64 + 1.0) / 2f64.powi(64)
    }

    /// Half as many; every unit of the new sample is in the old one.
    #[must_use]
    pub fn halved(self) -> Self {
        Self(self.0 >> 1)
    }
}

impl Default for Sample {
    fn default() -> Self {
        Self::ALL
    }
}

/// splitmix64's finalizer (Steele, Lea and Flood 2014, with Stafford's constants): spreads the hash's
/// bits anew, so that the sample is independent of the bucket, which comes from the same digest.
fn mix(hash: u64) -> u64 {
    let mut z = hash;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
