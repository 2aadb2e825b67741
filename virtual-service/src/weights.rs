//! The weights of one share. They need not sum up to 100: Istio's validation refuses negative weights and,
//! where there are several destinations, a sum of 0 ("total destination weight = 0"), nothing else. Pilot
//! leaves destinations of weight 0 out, and Envoy takes the rest as proportions of their sum.

use super::patch::Patch;
use super::routes::{Entry, Weighted};
use serin_contract::share::WHOLE;
use serin_contract::{PerArm, Share};

/// Istio sums weights in an int32.
pub(super) const LARGEST_SUM: u64 = i32::MAX as u64;

/// What the weights of one route shall be.
struct Target {
    arms: PerArm<u64>,
    /// What the weights of further destinations are multiplied by, so that all stay whole numbers.
    scale: u64,
}

/// Whether further destinations have all the weight, so that no share can be written.
pub(super) fn nothing_left(weighted: &Weighted<'_>) -> bool {
    both(weighted) == 0 && others(weighted) > 0
}

/// The operations that make one route ask for `share`; none when it does already or cannot.
pub(super) fn patch(weighted: &Weighted<'_>, share: Share) -> Patch {
    let mut patch = Patch::default();
    let Some(target) = target(weighted, share) else { return patch };
    for (arm, entry) in weighted.entries.iter() {
        set(&mut patch, weighted.index, *entry, *target.arms.get(arm));
    }
    if target.scale > 1 {
        for entry in weighted.others().filter(|entry| entry.weight() > 0) {
            set(&mut patch, weighted.index, entry, entry.weight() * target.scale);
        }
    }
    patch
}

fn both(weighted: &Weighted<'_>) -> u64 {
    weighted.entries.iter().map(|(_, entry)| entry.weight()).fold(0, u64::saturating_add)
}

fn others(weighted: &Weighted<'_>) -> u64 {
    weighted.others().map(Entry::weight).fold(0, u64::saturating_add)
}

fn target(weighted: &Weighted<'_>, share: Share) -> Option<Target> {
    let (both, others) = (both(weighted), others(weighted));
    if nothing_left(weighted) || stands(weighted, share) {
        return None;
    }
    let points = u64::from(share.basis_points());
    let whole = u64::from(WHOLE);
    if others == 0 {
        let sum = if points.is_multiple_of(100) { 100 } else { whole };
        return Some(Target { arms: parts(sum, points), scale: 1 });
    }
    let finer = finer(weighted, share)?;
    Some(Target { arms: parts(both.min(LARGEST_SUM) * finer, points), scale: finer })
}

/// What is left beside other destinations is made finer where the share needs it, so that the share is exact:
/// by how much. Nothing where Istio could not hold the sum.
fn finer(weighted: &Weighted<'_>, share: Share) -> Option<u64> {
    let (both, whole) = (both(weighted).min(LARGEST_SUM), u64::from(WHOLE));
    let finer = whole / greatest_common_divisor(both * u64::from(share.basis_points()), whole);
    let sum = both.saturating_add(others(weighted)).saturating_mul(finer);
    (finer == 1 || sum <= LARGEST_SUM).then_some(finer)
}

/// Whether further destinations' weights are so large that Istio could not hold this share's numbers.
pub(super) fn too_large(weighted: &Weighted<'_>, share: Share) -> bool {
    let written = others(weighted) > 0 && !nothing_left(weighted) && !stands(weighted, share);
    written && finer(weighted, share).is_none()
}

/// Whether the route asks for exactly this share already, in whatever numbers.
fn stands(weighted: &Weighted<'_>, share: Share) -> bool {
    let sum = both(weighted);
    let canary = u128::from(weighted.entries.canary.weight());
    sum > 0 && canary * u128::from(WHOLE) == u128::from(sum) * u128::from(share.basis_points())
}

fn parts(sum: u64, points: u64) -> PerArm<u64> {
    let canary = sum * points / u64::from(WHOLE);
    PerArm { stable: sum - canary, canary }
}

fn greatest_common_divisor(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}

fn set(patch: &mut Patch, route: usize, entry: Entry<'_>, weight: u64) {
    let path = format!("/spec/http/{route}/route/{}", entry.index);
    for (field, value) in [("host", entry.host()), ("subset", entry.subset())] {
        if !value.is_empty() {
            patch.test(format!("{path}/destination/{field}"), value);
        }
    }
    match entry.value.get("weight") {
        Some(_) => patch.replace(format!("{path}/weight"), weight),
        None => patch.add(format!("{path}/weight"), weight),
    }
}
