//! What a VirtualService asks for now, so that drift and a human's brake can be seen.

use super::routes::{self, text};
use super::{Problem, Subsets};
use serde_json::Value;
use serin_contract::share::WHOLE;
use serin_contract::{PerArm, Share};

/// What every weighted route of a VirtualService asks for. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// In the object's order.
    pub routes: Vec<ObservedRoute>,
}

/// What one weighted route asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedRoute {
    /// Its place, as `spec.http[2]`.
    pub path: String,
    /// Its name; empty where it has none.
    pub name: String,
    /// The two weights; an absent one is 0.
    pub weights: PerArm<u64>,
}

/// How what stands there differs from what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// Every route asks for what was written.
    None,
    /// At least one route asks for less: a human's brake. What the most careful route asks for.
    Lowered(Share),
    /// No route asks for less, at least one for more. The most that a route asks for.
    Raised(Share),
}

impl ObservedRoute {
    /// The canary's part of both, in basis points and rounded up; `None` where both weights are 0, so
    /// that the route asks for nothing.
    pub fn share(&self) -> Option<Share> {
        let sum = u128::from(self.weights.stable) + u128::from(self.weights.canary);
        if sum == 0 {
            return None;
        }
        let points = (u128::from(self.weights.canary) * u128::from(WHOLE)).div_ceil(sum);
        u16::try_from(points).ok().and_then(|points| Share::from_basis_points(points).ok())
    }
}

impl Observed {
    /// The share that all routes agree on; `None` when they do not, or when none asks for anything.
    pub fn agreed(&self) -> Option<Share> {
        let mut shares = self.shares();
        let first = shares.next()?;
        shares.all(|share| share == first).then_some(first)
    }

    /// The most that a route asks for: what somebody may meet.
    pub fn highest(&self) -> Option<Share> {
        self.shares().max()
    }

    /// How this differs from the share that was written last. A brake on one route counts as a brake,
    /// even when another route asks for more: who is in doubt goes with the careful hand.
    pub fn drift(&self, written: Share) -> Drift {
        let (lowest, highest) = (self.shares().min(), self.highest());
        match (lowest, highest) {
            (Some(lowest), _) if lowest < written => Drift::Lowered(lowest),
            (_, Some(highest)) if highest > written => Drift::Raised(highest),
            (Some(_) | None, Some(_) | None) => Drift::None,
        }
    }

    fn shares(&self) -> impl Iterator<Item = Share> {
        self.routes.iter().filter_map(ObservedRoute::share)
    }
}

/// What the object asks for now.
///
/// # Errors
/// When no route splits traffic between both subsets.
pub fn observe(object: &Value, subsets: &Subsets) -> Result<Observed, Problem> {
    let weighted = routes::weighted(routes::http(object), subsets, routes::namespace(object));
    if weighted.is_empty() {
        return Err(Problem::no_weighted_route(object, subsets));
    }
    let observed = weighted.iter().map(|weighted| ObservedRoute {
        path: format!("spec.http[{}]", weighted.index),
        name: text(weighted.route, "/name").to_owned(),
        weights: weighted.entries.map(|entry| entry.weight()),
    });
    Ok(Observed { routes: observed.collect() })
}
