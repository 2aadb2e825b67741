//! What one version did in one analysis interval, whoever measured it: the input of SLOs and anomalies.

use crate::packed::Packed;
use crate::statistics::percentile;
use crate::time::Time;
use serin_contract::PerArm;
use serin_contract::latency::{lower_bound, upper_bound};
use std::collections::BTreeMap;

/// The samples of both versions, oldest first.
pub type Samples = PerArm<Vec<Sample>>;

/// One version's interval. What nobody measured is none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// When the interval ended.
    pub time: Time,
    /// Requests that ended in it.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How long they took.
    pub latency: Latency,
    /// The version's CPU use, in percent.
    pub cpu_percent: Option<f64>,
    /// The version's memory, in bytes.
    pub memory_bytes: Option<f64>,
    /// Connections open when the interval ended.
    pub active_connections: Option<f64>,
    /// The application's own numbers, by name.
    pub custom: BTreeMap<String, f64>,
}

/// Latencies in the form in which they were measured.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Latency {
    /// Not measured.
    #[default]
    Unknown,
    /// Single requests, in seconds: all of them or a part.
    Seconds(Vec<f64>),
    /// Counts in the contract's buckets.
    Buckets(Packed),
    /// Quantiles alone, in seconds.
    Quantiles {
        /// Half of the requests are at most this slow.
        p50: Option<f64>,
        /// 95 % of the requests are at most this slow.
        p95: Option<f64>,
        /// 99 % of the requests are at most this slow.
        p99: Option<f64>,
    },
}

impl Sample {
    /// The error rate in percent; none without requests.
    pub fn error_rate(&self) -> Option<f64> {
        (self.requests > 0).then(|| 100.0 * self.errors as f64 / self.requests as f64)
    }

    /// Seconds and how many requests took them.
    fn weighted(&self) -> Vec<(f64, f64)> {
        match &self.latency {
            Latency::Unknown => Vec::new(),
            Latency::Seconds(seconds) => seconds.iter().map(|seconds| (*seconds, 1.0)).collect(),
            Latency::Buckets(histogram) => {
                let middle = |index| lower_bound(index).midpoint(upper_bound(index) - 1) as f64 / 1e6;
                histogram.iter().map(|(index, count)| (middle(index), count as f64)).collect()
            }
            Latency::Quantiles { p50, p95, p99 } => {
                // A distribution with these quantiles and no other values; the last has the rest.
                let known: Vec<(f64, f64)> = [(p50, 0.5), (p95, 0.95), (p99, 0.99)]
                    .into_iter()
                    .filter_map(|(value, part)| value.map(|value| (value, part)))
                    .collect();
                let requests = self.requests as f64;
                let last = known.len().saturating_sub(1);
                let mut before = 0.0;
                let weigh = |(place, (value, part)): (usize, &(f64, f64))| {
                    let part = if place == last { 1.0 } else { *part };
                    let weight = (part - before) * requests;
                    before = part;
                    (*value, weight)
                };
                known.iter().enumerate().map(weigh).collect()
            }
        }
    }
}

/// How many latencies the samples hold together.
pub fn latencies<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> f64 {
    samples.into_iter().flat_map(Sample::weighted).map(|(_, weight)| weight).sum()
}

/// A percentile of the samples' latencies together, in seconds: by linear interpolation where every sample
/// lists single requests, else the smallest known value that so many do not exceed.
pub fn latency_percentile<'a>(
    samples: impl IntoIterator<Item = &'a Sample, IntoIter: Clone>,
    percent: f64,
) -> Option<f64> {
    let samples = samples.into_iter();
    if samples.clone().all(|sample| matches!(sample.latency, Latency::Seconds(_) | Latency::Unknown)) {
        let all: Vec<f64> = samples.flat_map(Sample::weighted).map(|(seconds, _)| seconds).collect();
        return percentile(&all, percent);
    }
    let mut all: Vec<(f64, f64)> = samples.flat_map(Sample::weighted).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wanted = all.iter().map(|(_, weight)| weight).sum::<f64>() * percent / 100.0;
    let mut below = 0.0;
    let reached = all.iter().find(|(_, weight)| {
        below += weight;
        // Sums of parts are off by rounding.
        below >= wanted * (1.0 - 1e-12)
    });
    reached.or(all.last()).map(|(seconds, _)| *seconds)
}

/// How many of the samples' latencies are below a threshold in seconds, and how many there are.
pub fn latencies_below<'a>(samples: impl IntoIterator<Item = &'a Sample>, threshold: f64) -> (f64, f64) {
    let (mut below, mut all) = (0.0, 0.0);
    for (seconds, weight) in samples.into_iter().flat_map(Sample::weighted) {
        all += weight;
        below += if seconds < threshold { weight } else { 0.0 };
    }
    (below, all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Histogram;
    use serin_contract::latency::index;

    fn quantiles(requests: u64, p50: f64, p95: f64, p99: f64) -> Sample {
        let latency = Latency::Quantiles { p50: Some(p50), p95: Some(p95), p99: Some(p99) };
        Sample { requests, latency, ..Sample::default() }
    }

    #[test]
    fn quantiles_alone_give_themselves_back() {
        let sample = quantiles(1000, 0.1, 0.3, 0.5);
        for (percent, seconds) in [(50.0, 0.1), (95.0, 0.3), (99.0, 0.5)] {
            assert_eq!(latency_percentile([&sample], percent), Some(seconds));
        }
        let (below, all) = latencies_below([&sample], 0.4);
        assert!((below - 950.0).abs() < 1e-9 && (all - 1000.0).abs() < 1e-9, "{below} of {all}");
    }

    #[test]
    fn single_requests_interpolate_and_buckets_are_counted_by_their_middle() {
        let single = Sample { latency: Latency::Seconds(vec![0.1, 0.2]), ..Sample::default() };
        assert!(latency_percentile([&single], 50.0).is_some_and(|p50| (p50 - 0.15).abs() < 1e-12));
        let mut histogram = Histogram::default();
        histogram.add(index(100_000), 99);
        histogram.add(index(900_000), 1);
        let counted = Sample { latency: Latency::Buckets((&histogram).into()), ..Sample::default() };
        assert!(latency_percentile([&counted], 95.0).is_some_and(|p95| (0.09..0.11).contains(&p95)));
        assert_eq!(latencies_below([&counted], 0.5), (99.0, 100.0));
        assert_eq!(latencies([&counted, &single]), 102.0);
    }

    #[test]
    fn without_requests_there_is_no_rate_and_no_percentile() {
        assert_eq!(Sample::default().error_rate(), None);
        assert_eq!(latency_percentile([&Sample::default()], 95.0), None);
        assert_eq!(latency_percentile(std::iter::empty(), 95.0), None);
    }
}
