//! What a store over the network says about itself.

use prometheus::{Histogram, HistogramVec, IntCounterVec, IntGauge};

/// The handles; clones share them. Without Redis they stay at zero.
#[derive(Clone)]
pub struct StoreMetrics {
    /// Calls by what they are for and result: `ok`, `failed`, `refused` where the store was not even asked.
    pub calls: IntCounterVec,
    /// How long calls took, by what they are for.
    pub seconds: HistogramVec,
    /// Connections that wait for work.
    pub idle: IntGauge,
    /// Connections at work.
    pub busy: IntGauge,
    /// Reports in one group commit.
    pub batch: Histogram,
    /// 1 while the store answers.
    pub up: IntGauge,
    /// Reports in the inbox that wait to be counted, as the last look showed.
    pub waiting: IntGauge,
}
