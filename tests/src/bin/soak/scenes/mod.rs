//! The three scenes.

mod mesh;
mod plain;
mod shared;

pub(crate) use mesh::Mesh;
pub(crate) use plain::Plain;
pub(crate) use shared::Shared;

use serin_tests::analyzer::{CanaryConfig, Status};
use serin_tests::load::{Record, Who};
use serin_tests::random;
use std::time::Duration;

use crate::scene::{STEP_TIME, STEPS};

/// A part of so many seconds that the seed gives.
fn up_to(seconds: f64, seed: u64) -> Duration {
    Duration::from_secs_f64(seconds * random::fraction(seed, 1))
}

/// The release of the scenes without a cluster.
fn release() -> CanaryConfig {
    CanaryConfig {
        // A user's bucket stays over all releases, and none is rolled back by chance.
        salt: Some("soak:".to_owned()),
        false_rollback_rate: Some(0.001),
        steps: STEPS.to_vec(),
        promotion_interval: STEP_TIME.to_owned(),
        ..CanaryConfig::default()
    }
}

/// Requests with a user and without one, of each version: what the clients saw.
fn seen(record: &Record) -> [u64; 4] {
    let count = |user: bool, version: &str| {
        record.count(|exchange| {
            matches!(exchange.who, Who::User(_)) == user && exchange.version() == Some(version)
        })
    };
    [count(true, "v1"), count(true, "v2"), count(false, "v1"), count(false, "v2")]
}

/// The same as the analyzer counted it.
fn counted(status: &Status) -> [u64; 4] {
    let totals = &status.totals;
    [&totals.stable, &totals.canary, &totals.unassigned.stable, &totals.unassigned.canary]
        .map(|tally| tally.requests)
}
