//! Small numbers with a meaning of their own: buckets, shares, steps, strata, revisions.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How many buckets there are, and how many basis points make the whole.
pub const WHOLE: u16 = 10_000;

/// One of the 10,000 slots that units fall into, `0..=9999`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

impl Bucket {
    /// The slot of a 128-bit number: its remainder modulo 10,000.
    pub fn of(number: u128) -> Self {
        // The remainder is below 10,000, so it always fits.
        Self((number % u128::from(WHOLE)) as u16)
    }

    /// The slot's number, `0..=9999`.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// A part of all units, in basis points: 1/100 of a percent, `0..=10000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Share(u16);

/// Why a number is no share.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ShareError {
    /// Outside of the whole.
    #[error("{0} is not a share: allowed are 0 to 100 percent")]
    OutOfRange(f64),
    /// Finer than a basis point.
    #[error("{0} has more than two decimals: shares are given in percent with at most two")]
    TooFine(f64),
    /// A wire value above 10,000.
    #[error("{0} is not a share in basis points: allowed are 0 to 10000")]
    BasisPoints(u16),
}

impl Share {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everybody.
    pub const ALL: Self = Self(WHOLE);

    /// From basis points.
    ///
    /// # Errors
    /// When above 10,000.
    pub fn from_basis_points(points: u16) -> Result<Self, ShareError> {
        if points > WHOLE {
            return Err(ShareError::BasisPoints(points));
        }
        Ok(Self(points))
    }

    /// From percent with at most two decimals.
    ///
    /// ```
    /// use serin_contract::Share;
    /// assert_eq!(Share::from_percent(12.5).unwrap().basis_points(), 1250);
    /// assert!(Share::from_percent(0.001).is_err());
    /// assert!(Share::from_percent(101.0).is_err());
    /// ```
    ///
    /// # Errors
    /// When not within 0 to 100, not a number, or finer than 0.01.
    pub fn from_percent(percent: f64) -> Result<Self, ShareError> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(ShareError::OutOfRange(percent));
        }
        let points = (percent * 100.0).round();
        if (percent * 100.0 - points).abs() > 1e-6 {
            return Err(ShareError::TooFine(percent));
        }
        Ok(Self(points as u16))
    }

    /// The share in basis points, `0..=10000`.
    pub fn basis_points(self) -> u16 {
        self.0
    }

    /// The share in percent, `0.0..=100.0`.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// The share as a fraction, `0.0..=1.0`: the probability that a unit falls into it.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE)
    }

    /// What is left for the others.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(WHOLE - self.0)
    }

    /// Both together, at most the whole.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self((self.0 + other.0).min(WHOLE))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} %", self.percent())
    }
}

impl TryFrom<u16> for Share {
    type Error = ShareError;

    fn try_from(points: u16) -> Result<Self, ShareError> {
        Self::from_basis_points(points)
    }
}

impl From<Share> for u16 {
    fn from(share: Share) -> u16 {
        share.0
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }
    };
}

counter! {
    /// A period of constant share; counts up over a canary's whole life.
    Step(u32)
}
counter! {
    /// A step, or ten minutes of it if it lasts longer; within it a unit counts once. Counts up over a
    /// canary's whole life.
    Stratum(u32)
}
counter! {
    /// Which plan a filter follows; another number means another plan.
    Revision(u64)
}
