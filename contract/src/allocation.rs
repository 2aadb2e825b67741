//! Which arm owns which buckets.

use crate::arm::Arm;
use crate::share::{Bucket, Share, ShareError, WHOLE};

/// Arms with their shares. Arm i owns the buckets from the sum of the shares before it up to its own
/// more; what is left over falls to the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation<A> {
    arms: Vec<(A, Share)>,
}

/// Why shares make no allocation.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AllocationError {
    /// Nothing to assign.
    #[error("there are no arms: give at least one")]
    NoArms,
    /// One share is none.
    #[error("arm {index}: {source}")]
    Share {
        /// Which arm, from 0.
        index: usize,
        /// What is wrong with it.
        source: ShareError,
    },
    /// The sum is off.
    #[error("the shares sum to {0} %: they must sum to 100 % (+- 0.01)")]
    Sum(f64),
}

impl<A> Allocation<A> {
    /// From arms with percentages, in the order in which they own buckets.
    ///
    /// # Errors
    /// When there is no arm, a share is none, or they do not sum to 100 +- 0.01.
    pub fn from_percent(arms: impl IntoIterator<Item = (A, f64)>) -> Result<Self, AllocationError> {
        let arms = arms
            .into_iter()
            .enumerate()
            .map(|(index, (arm, percent))| match Share::from_percent(percent) {
                Ok(share) => Ok((arm, share)),
                Err(source) => Err(AllocationError::Share { index, source }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        if arms.is_empty() {
            return Err(AllocationError::NoArms);
        }
        let sum: u64 = arms.iter().map(|(_, share)| u64::from(share.basis_points())).sum();
        if sum.abs_diff(u64::from(WHOLE)) > 1 {
            return Err(AllocationError::Sum(sum as f64 / 100.0));
        }
        Ok(Self { arms })
    }

    /// The arm that owns a bucket.
    pub fn arm(&self, bucket: Bucket) -> &A {
        let mut end = Share::NONE;
        for (arm, share) in &self.arms {
            end = end.plus(*share);
            if bucket.get() < end.basis_points() {
                return arm;
            }
        }
        // The constructor refuses an empty list, and the first arm owns what is left over.
        &self.arms[0].0
    }

    /// The arms and their shares, in order.
    pub fn arms(&self) -> &[(A, Share)] {
        &self.arms
    }
}

/// A canary's arm for a bucket: the canary owns the top buckets, so that ramps are nested and nobody
/// moves back while its share grows.
pub fn canary_arm(bucket: Bucket, canary_share: Share) -> Arm {
    if bucket.get() >= WHOLE - canary_share.basis_points() { Arm::Canary } else { Arm::Stable }
}
