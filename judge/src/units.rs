//! Which units were seen, erred, were slow or reached a goal in the running stratum, over all VMs: within a stratum a
//! unit counts once, and in the arm in which it first appeared.

use serin_contract::{Arm, PerArm, Sample, UnitHash};
use std::collections::{BTreeMap, HashSet};

/// Units of a stratum kept for each of the questions; beyond it the analyzer samples.
pub const MAX: usize = 65_536;

/// The packed form was not written by this program, or is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the packed units are damaged")]
pub struct Damaged;

/// Units by their arms: two sets take half the memory of one map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitSet(PerArm<HashSet<UnitHash>>);

impl UnitSet {
    /// Adds a unit; true when it is new.
    pub fn insert(&mut self, unit: UnitHash, arm: Arm) -> bool {
        !self.0.get(arm.other()).contains(&unit) && self.0.get_mut(arm).insert(unit)
    }

    /// Whether a unit is in it, with this arm.
    pub fn has(&self, unit: UnitHash, arm: Arm) -> bool {
        self.0.get(arm).contains(&unit)
    }

    /// How many units each arm has.
    pub fn count(&self) -> PerArm<u64> {
        self.0.map(|units| units.len() as u64)
    }

    /// How many units there are.
    pub fn len(&self) -> usize {
        self.0.stable.len() + self.0.canary.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the units of a sample.
    pub fn thin(&mut self, sample: Sample) {
        for arm in Arm::ALL {
            self.0.get_mut(arm).retain(|unit| sample.has(*unit));
        }
    }

    fn pack(&self, bytes: &mut Vec<u8>) {
        bytes.extend((self.len() as u64).to_le_bytes());
        for (arm, units) in self.0.iter() {
            for unit in units {
                bytes.extend(unit.0.to_le_bytes());
                bytes.push(u8::from(arm == Arm::Canary));
            }
        }
    }

    /// A set, and the bytes behind it.
    fn unpack(bytes: &[u8]) -> Result<(Self, &[u8]), Damaged> {
        let mut set = Self::default();
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or(Damaged)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| Damaged)?;
        let (body, rest) =
            length.checked_mul(9).and_then(|size| rest.split_at_checked(size)).ok_or(Damaged)?;
        for row in body.chunks_exact(9) {
            let (unit, arm) = row.split_first_chunk::<8>().ok_or(Damaged)?;
            let arm = match arm {
                [0] => Arm::Stable,
                [1] => Arm::Canary,
                _ => return Err(Damaged),
            };
            set.insert(UnitHash(u64::from_le_bytes(*unit)), arm);
        }
        Ok((set, rest))
    }
}

/// The sets of a stratum.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Units {
    /// Units that made a request.
    pub seen: UnitSet,
    /// Units that got an error.
    pub erred: UnitSet,
    /// Units that waited beyond the slow edge.
    pub slow: UnitSet,
    /// Units that reached a goal, by its name.
    pub converted: BTreeMap<String, UnitSet>,
}

impl Units {
    /// The size of the largest set but for the seen ones.
    pub fn events(&self) -> usize {
        let sets = [&self.erred, &self.slow].into_iter().chain(self.converted.values());
        sets.map(UnitSet::len).max().unwrap_or(0)
    }

    /// Packed: for each set its length, then nine bytes a unit. Those of goals have their name and a zero
    /// before them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let sets = [&self.seen, &self.erred, &self.slow];
        let mut bytes = Vec::with_capacity(sets.iter().map(|set| 8 + 9 * set.len()).sum());
        for set in sets {
            set.pack(&mut bytes);
        }
        for (goal, set) in &self.converted {
            bytes.extend(goal.as_bytes());
            bytes.push(0);
            set.pack(&mut bytes);
        }
        bytes
    }

    /// The inverse of [`Self::to_bytes`].
    ///
    /// # Errors
    /// When the bytes are no such form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut units = Self::default();
        let mut rest = bytes;
        for set in [&mut units.seen, &mut units.erred, &mut units.slow] {
            (*set, rest) = UnitSet::unpack(rest)?;
        }
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == 0).ok_or(Damaged)?;
            let (goal, after) = rest.split_at(end);
            let goal = String::from_utf8(goal.to_vec()).map_err(|_| Damaged)?;
            let set;
            (set, rest) = UnitSet::unpack(&after[1..])?;
            if units.converted.insert(goal, set).is_some() {
                return Err(Damaged);
            }
        }
        Ok(units)
    }
}
