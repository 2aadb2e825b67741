//! Latencies to which nothing is added any more, in a tenth of the memory: of every canary there are hundreds, for each
//! second of the last minute and for each sample.

use crate::histogram::Histogram;

/// A histogram as bytes: for each bucket how far it is behind the one before, and its count. Both are written seven
/// bits to a byte, the lowest first; the highest bit says that more follow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packed(Box<[u8]>);

impl From<&Histogram> for Packed {
    fn from(histogram: &Histogram) -> Self {
        let (mut bytes, mut last) = (Vec::new(), 0);
        for (index, count) in histogram.iter() {
            write(&mut bytes, u64::from(index - last));
            write(&mut bytes, count);
            last = index;
        }
        Self(bytes.into())
    }
}

impl From<&Packed> for Histogram {
    fn from(packed: &Packed) -> Self {
        packed.iter().collect::<Vec<_>>().into()
    }
}

impl Packed {
    /// Buckets and counts, fastest first.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> {
        let (mut bytes, mut index) = (self.0.iter(), 0);
        std::iter::from_fn(move || {
            index += read(&mut bytes)?;
            Some((u16::try_from(index).ok()?, read(&mut bytes)?))
        })
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read<'a>(bytes: &mut impl Iterator<Item = &'a u8>) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = *bytes.next()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_comes_back_as_it_was_and_takes_two_bytes_a_bucket_where_it_is_small() {
        let rows = vec![(0, 1), (1, 127), (140, 128), (500, u64::from(u32::MAX)), (u16::MAX, u64::MAX)];
        let histogram = Histogram::from(rows.clone());
        let packed = Packed::from(&histogram);
        assert_eq!(packed.iter().collect::<Vec<_>>(), rows);
        assert_eq!(Histogram::from(&packed), histogram);
        let small = Packed::from(&Histogram::from(vec![(100, 3), (102, 9), (104, 31)]));
        assert_eq!(small.0.len(), 6);
        assert_eq!(Packed::default().iter().next(), None);
    }
}
