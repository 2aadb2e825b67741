//! Which units of a stratum were reported already: a bounded set, so that a unit counts once.

use serin_contract::UnitHash;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

/// How many units of a stratum a VM lists as seen. The analyzer thins them out from 65,536 on, so a VM
/// gets here only while it hears nothing from the analyzer.
pub const MAX_SEEN: usize = 131_072;
/// How many marks as erred or slow a VM sets in a stratum.
pub const MAX_EVENTS: usize = 131_072;

/// What a unit is listed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It was assigned.
    Seen,
    /// One of its requests failed.
    Erred,
    /// One of its requests was slow.
    Slow,
}

impl Mark {
    fn bit(self) -> u8 {
        match self {
            Self::Seen => 1,
            Self::Erred => 2,
            Self::Slow => 4,
        }
    }
}

/// The units of a stratum with their marks.
#[derive(Debug)]
pub struct UnitSet {
    marks: HashMap<u64, u8, Seed>,
    seen: usize,
    events: usize,
}

impl UnitSet {
    /// An empty set; `seed` is a number that clients do not know.
    pub fn new(seed: u64) -> Self {
        Self { marks: HashMap::with_hasher(Seed(seed)), seen: 0, events: 0 }
    }

    /// Marks a unit; true when it had not been marked so and there was room for it.
    pub fn mark(&mut self, unit: UnitHash, mark: Mark) -> bool {
        let known = self.marks.get(&unit.0).copied().unwrap_or(0);
        if known & mark.bit() != 0 {
            return false;
        }
        let (count, most) = match mark {
            Mark::Seen => (&mut self.seen, MAX_SEEN),
            Mark::Erred | Mark::Slow => (&mut self.events, MAX_EVENTS),
        };
        if *count >= most {
            return false;
        }
        *count += 1;
        self.marks.insert(unit.0, known | mark.bit());
        true
    }

    /// How many units are marked as seen.
    pub fn len(&self) -> usize {
        self.seen
    }

    /// Whether no unit is marked as seen.
    pub fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// Forgets all units and their memory.
    pub fn clear(&mut self) {
        *self = Self::new(self.marks.hasher().0);
    }
}

/// The keys are digests already, but of ids that clients may choose: without the seed somebody could
/// pick ids that all fall into one place of the table.
#[derive(Debug, Clone, Copy)]
struct Seed(u64);

impl BuildHasher for Seed {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0)
    }
}

/// splitmix64's finalizer over seed and key.
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, key: u64) {
        let mut z = self.0 ^ key;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = z ^ (z >> 31);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_gets_each_mark_once() {
        let mut units = UnitSet::new(7);
        assert!(units.mark(UnitHash(1), Mark::Seen));
        assert!(units.mark(UnitHash(1), Mark::Erred));
        assert!(!units.mark(UnitHash(1), Mark::Seen));
        assert!(!units.mark(UnitHash(1), Mark::Erred));
        units.clear();
        assert!(units.mark(UnitHash(1), Mark::Erred));
    }

    #[test]
    fn a_full_set_lists_no_new_unit_but_still_the_errors_of_units() {
        let mut units = UnitSet::new(7);
        for unit in 0..MAX_SEEN as u64 {
            assert!(units.mark(UnitHash(unit), Mark::Seen));
        }
        assert!(!units.mark(UnitHash(u64::MAX), Mark::Seen));
        assert!(units.mark(UnitHash(u64::MAX), Mark::Erred));
        assert!(units.mark(UnitHash(3), Mark::Slow));
    }
}
