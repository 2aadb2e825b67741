//! What a scene of the soak is: a world of running parts, and what can go wrong in it.

use crate::watch::WeightWatch;
use anyhow::{Result, ensure};
use clap::ValueEnum;
use serin_tests::analyzer::{Filter, Status};
use serin_tests::load::{LoadOptions, Record};
use serin_tests::random;
use serin_tests::shop::Shop;
use std::fmt::Debug;

/// The ramp: so many small steps that no rollout of a soak gets to its end.
pub(crate) const STEPS: [f64; 9] = [5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0];
/// How long a step stays.
pub(crate) const STEP_TIME: &str = "40s";

/// A world in which everything goes wrong.
pub(crate) trait Scene: Sized {
    /// What it is called on the command line.
    const NAME: &'static str;
    /// What can go wrong in it.
    type Fault: ValueEnum + Copy + Debug + 'static;

    /// Starts everything and waits until the filters have reported.
    async fn start() -> Result<Self>;

    /// Causes a fault, and ends it.
    async fn cause(&mut self, fault: Self::Fault, seed: u64) -> Result<()>;

    /// Starts again what has rightly ended, as whatever runs it would.
    async fn supervise(&mut self) -> Result<()>;

    /// The release, as whoever leads sees it.
    async fn status(&self) -> Result<Status>;

    /// The filters, likewise.
    async fn filters(&self) -> Result<Vec<Filter>>;

    /// The usual load.
    fn load(&self) -> LoadOptions;

    /// The version under test.
    fn canary(&self) -> &Shop;

    /// Begins to read the weight.
    fn watch(&self) -> WeightWatch;

    /// Whether what was counted can be, given what the clients saw.
    fn check_totals(&self, status: &Status, record: &Record) -> Result<()>;

    /// Another version: another rollout, with numbers of its own.
    async fn next_release(&mut self, version: &str) -> Result<()>;

    /// The processes whose memory and open files are compared from round to round, always in the same order.
    fn processes(&self) -> Vec<u32>;

    /// What the parts said last.
    fn logs(&mut self) -> String;
}

/// All faults in an order that the seed gives.
pub(crate) fn shuffled<F: Copy>(faults: &[F], seed: u64) -> Vec<F> {
    let mut left = faults.to_vec();
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let place = random::number(seed, left.len() as u64) % left.len() as u64;
        order.push(left.swap_remove(place as usize));
    }
    order
}

/// Filters that run have the plan. Those of a proxy that was killed never will.
pub(crate) fn follow_the_plan(filters: &[Filter]) -> Result<()> {
    let behind = filters.iter().filter(|filter| filter.pending && !filter.node.starts_with("victim"));
    ensure!(behind.count() == 0, "some have not got the plan: {filters:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_each_fault_once_and_follows_from_the_seed() {
        let mut order = shuffled(&[1, 2, 3, 4, 5, 6], 7);
        assert_eq!(order, shuffled(&[1, 2, 3, 4, 5, 6], 7));
        assert!((8..20).any(|seed| shuffled(&[1, 2, 3, 4, 5, 6], seed) != order));
        order.sort_unstable();
        assert_eq!(order, [1, 2, 3, 4, 5, 6]);
    }
}
