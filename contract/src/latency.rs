//! Latency buckets: a microsecond count to an index and back, 1/16 (6.25 %) wide, exact below 16 µs.

/// The index of the largest microsecond count that fits 64 bits.
pub const MAX_INDEX: u16 = 16 * (63 - 3) + 15;

/// The bucket of a latency in microseconds: x below 16, else `16 (e - 3) + ((x >> (e - 4)) & 15)` with
/// e the position of the highest bit.
///
/// ```
/// use serin_contract::latency::{index, lower_bound, upper_bound};
/// let i = index(100_000);
/// assert!(lower_bound(i) <= 100_000 && 100_000 < upper_bound(i));
/// ```
pub fn index(micros: u64) -> u16 {
    if micros < 16 {
        return micros as u16;
    }
    let exponent = micros.ilog2();
    (16 * (exponent - 3)) as u16 + ((micros >> (exponent - 4)) & 15) as u16
}

/// The smallest latency of a bucket, in microseconds. Indices above [`MAX_INDEX`] count as it.
pub fn lower_bound(index: u16) -> u64 {
    let index = index.min(MAX_INDEX);
    if index < 16 {
        return u64::from(index);
    }
    let exponent = u32::from(index) / 16 + 3;
    (16 + u64::from(index % 16)) << (exponent - 4)
}

/// The smallest latency that is above a bucket, in microseconds.
pub fn upper_bound(index: u16) -> u64 {
    if index >= MAX_INDEX { u64::MAX } else { lower_bound(index + 1) }
}
