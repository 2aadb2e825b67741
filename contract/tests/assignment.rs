//! Assignment against numbers made by Python's hashlib (tests/vectors/assignment.json), and its laws.

use proptest::prelude::*;
use serde::Deserialize;
use serin_contract::allocation::canary_arm;
use serin_contract::share::{Bucket, WHOLE};
use serin_contract::{Allocation, Arm, AssignedUnit, Share};

#[derive(Deserialize)]
struct Vectors {
    units: Vec<UnitVector>,
    arms: Vec<ArmVector>,
}

#[derive(Deserialize)]
struct UnitVector {
    salt: String,
    unit: String,
    bucket: u16,
    hash: String,
}

#[derive(Deserialize)]
struct ArmVector {
    allocation: Vec<(String, f64)>,
    bucket: u16,
    arm: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/assignment.json")).expect("the vectors parse")
}

#[test]
fn buckets_and_hashes_are_those_of_pythons_md5() {
    for vector in vectors().units {
        let Some(unit) = AssignedUnit::of(&vector.salt, vector.unit.as_bytes()) else {
            assert!(vector.unit.is_empty(), "only the empty unit is none: {}", vector.unit);
            continue;
        };
        assert_eq!(unit.bucket.get(), vector.bucket, "{}{}", vector.salt, vector.unit);
        assert_eq!(unit.hash.to_string(), vector.hash, "{}{}", vector.salt, vector.unit);
    }
}

#[test]
fn arms_are_those_of_the_reference() {
    for vector in vectors().arms {
        let allocation = Allocation::from_percent(vector.allocation.clone()).expect("a valid allocation");
        let arm = allocation.arm(Bucket::of(u128::from(vector.bucket)));
        assert_eq!(*arm, vector.arm, "{:?} at {}", vector.allocation, vector.bucket);
    }
}

#[test]
fn a_wrong_allocation_is_refused_with_what_is_allowed() {
    let error = |arms: &[(&'static str, f64)]| {
        Allocation::from_percent(arms.iter().copied()).expect_err("refused").to_string()
    };
    assert!(error(&[]).contains("at least one"));
    assert!(error(&[("a", 60.0), ("b", 30.0)]).contains("sum to 90 %"));
    assert!(error(&[("a", 99.999), ("b", 0.001)]).contains("two decimals"));
    assert!(error(&[("a", -1.0), ("b", 101.0)]).contains("0 to 100 percent"));
    assert!(error(&[("a", f64::NAN)]).contains("0 to 100 percent"));
}

/// Arms whose shares sum to the whole, from arbitrary cuts.
fn allocations() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(0..=WHOLE, 0..8).prop_map(|mut cuts| {
        cuts.extend([0, WHOLE]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| pair[1] - pair[0]).collect()
    })
}

proptest! {
    #[test]
    fn every_arm_owns_exactly_its_share_in_order(shares in allocations()) {
        let arms = shares.iter().enumerate().map(|(arm, points)| (arm, f64::from(*points) / 100.0));
        let allocation = Allocation::from_percent(arms).expect("sums to the whole");
        let owners: Vec<usize> =
            (0..u128::from(WHOLE)).map(|bucket| *allocation.arm(Bucket::of(bucket))).collect();
        prop_assert!(owners.is_sorted());
        for (arm, points) in shares.iter().enumerate() {
            prop_assert_eq!(owners.iter().filter(|owner| **owner == arm).count(), usize::from(*points));
        }
    }

    #[test]
    fn ramps_are_nested(low in 0..=WHOLE, high in 0..=WHOLE, bucket in 0..WHOLE) {
        let (low, high) = (low.min(high), low.max(high));
        let share = |points| Share::from_basis_points(points).expect("in range");
        let bucket = Bucket::of(u128::from(bucket));
        if canary_arm(bucket, share(low)) == Arm::Canary {
            prop_assert_eq!(canary_arm(bucket, share(high)), Arm::Canary);
        }
        let pair = [(Arm::Stable, 100.0 - share(low).percent()), (Arm::Canary, share(low).percent())];
        let allocation = Allocation::from_percent(pair.map(|(arm, p)| (arm, (p * 100.0).round() / 100.0)));
        prop_assert_eq!(*allocation.expect("sums to the whole").arm(bucket), canary_arm(bucket, share(low)));
    }
}
