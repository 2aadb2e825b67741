//! Latencies in the contract's buckets.

use serde::{Deserialize, Serialize, Serializer};
use serin_contract::latency::{lower_bound, upper_bound};

/// Counts by latency bucket, fastest first. Written as `[[index, count], ...]`, as in reports: a map's keys would be
/// text in JSON, and text is no number any more once it went through a flattened struct.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(u16, u64)>", into = "Vec<(u16, u64)>")]
pub struct Histogram(Vec<(u16, u64)>);

/// A quantile of a latency. Written as seconds, or as null where there is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantile {
    /// There were no requests.
    Unknown,
    /// In microseconds: the middle of its bucket, so at most 3.2 % off.
    Micros(u64),
    /// So many requests are still in flight that it lies among them: slower than everything.
    Overdue,
}

impl Serialize for Quantile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Micros(micros) => serializer.serialize_some(&(*micros as f64 / 1e6)),
            Self::Unknown | Self::Overdue => serializer.serialize_none(),
        }
    }
}

impl std::fmt::Display for Quantile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => out.write_str("unknown"),
            Self::Micros(micros) => write!(out, "{:.1} ms", *micros as f64 / 1e3),
            Self::Overdue => out.write_str("not answered yet"),
        }
    }
}

impl From<Vec<(u16, u64)>> for Histogram {
    fn from(rows: Vec<(u16, u64)>) -> Self {
        let mut histogram = Self::default();
        rows.into_iter().for_each(|(index, count)| histogram.add(index, count));
        histogram
    }
}

impl From<Histogram> for Vec<(u16, u64)> {
    fn from(histogram: Histogram) -> Self {
        histogram.0
    }
}

impl Histogram {
    /// Adds a bucket's count.
    pub fn add(&mut self, index: u16, count: u64) {
        if count == 0 {
            return;
        }
        match self.place(index) {
            Ok(place) => self.0[place].1 += count,
            Err(place) => self.0.insert(place, (index, count)),
        }
    }

    /// Where a bucket is, or where it would be.
    fn place(&self, index: u16) -> Result<usize, usize> {
        self.0.binary_search_by_key(&index, |(index, _)| *index)
    }

    /// Adds another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (index, count) in other.iter() {
            self.add(index, count);
        }
    }

    /// Takes out what was added before.
    pub fn take(&mut self, rows: impl Iterator<Item = (u16, u64)>) {
        for (index, count) in rows {
            if let Ok(place) = self.place(index) {
                self.0[place].1 -= count;
            }
        }
        self.0.retain(|(_, count)| *count > 0);
    }

    /// What came since an earlier state of this histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let left = |(index, count): (u16, u64)| {
            let before = earlier.place(index).map_or(0, |place| earlier.0[place].1);
            let count = count.saturating_sub(before);
            (count > 0).then_some((index, count))
        };
        Self(self.iter().filter_map(left).collect())
    }

    /// How many latencies.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// Buckets and counts, fastest first.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> {
        self.0.iter().copied()
    }

    /// The smallest latency that at least the part `q` does not exceed, where `overdue` more requests
    /// are slower than all.
    pub fn quantile(&self, q: f64, overdue: u64) -> Quantile {
        let total = self.count() + overdue;
        if total == 0 {
            return Quantile::Unknown;
        }
        let rank = ((q * total as f64).ceil() as u64).clamp(1, total);
        let mut below = 0;
        for (index, count) in self.iter() {
            below += count;
            if below >= rank {
                return Quantile::Micros(lower_bound(index).midpoint(upper_bound(index) - 1));
            }
        }
        Quantile::Overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_contract::latency::index;

    fn histogram(micros: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        micros.into_iter().for_each(|micros| histogram.add(index(micros), 1));
        histogram
    }

    #[test]
    fn quantiles_are_within_a_bucket_of_the_exact_ones() {
        let histogram = histogram((1..=1000).map(|i| i * 100));
        for (q, exact) in [(0.5, 50_000.0), (0.95, 95_000.0), (0.99, 99_000.0)] {
            let Quantile::Micros(micros) = histogram.quantile(q, 0) else { panic!("a number") };
            assert!((micros as f64 / exact - 1.0).abs() < 0.0625, "{q}: {micros}");
        }
    }

    #[test]
    fn overdue_requests_are_slower_than_everything() {
        let histogram = histogram([100; 90]);
        assert!(matches!(histogram.quantile(0.5, 10), Quantile::Micros(_)));
        assert_eq!(histogram.quantile(0.95, 10), Quantile::Overdue);
        assert!(Quantile::Overdue > Quantile::Micros(u64::MAX));
        assert_eq!(Histogram::default().quantile(0.5, 0), Quantile::Unknown);
        assert_eq!(Histogram::default().quantile(0.5, 1), Quantile::Overdue);
    }

    #[test]
    fn the_difference_is_what_came_since() {
        let earlier = histogram([1, 2, 3]);
        let mut later = earlier.clone();
        later.merge(&histogram([3, 4]));
        assert_eq!(later.since(&earlier), histogram([3, 4]));
    }
}
