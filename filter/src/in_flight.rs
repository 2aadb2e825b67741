//! Assigned requests that have not ended, so that a version that hangs is seen before they end.

use crate::clock::Instant;
use crate::period::Period;
use serin_contract::{Arm, UnitHash};
use std::rc::Rc;

/// How many requests of a VM are watched at once.
pub const MAX_WATCHED: usize = 65_536;

/// A watched request's place in the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Slot(usize);

/// A request under watch.
#[derive(Debug)]
pub struct Watched {
    /// When it began.
    pub since: Instant,
    /// The period that it was assigned in.
    pub period: Rc<Period>,
    /// Its arm.
    pub arm: Arm,
    /// Its unit.
    pub unit: UnitHash,
}

/// The table. A place that falls free is used again, so that watching allocates nothing once the table
/// has grown to the proxy's usual load.
#[derive(Debug, Default)]
pub struct InFlight {
    slots: Vec<Option<(Watched, bool)>>,
    free: Vec<usize>,
}

impl InFlight {
    /// Watches a request; none when the table is full.
    pub fn watch(&mut self, request: Watched) -> Option<Slot> {
        if let Some(index) = self.free.pop() {
            *self.slots.get_mut(index)? = Some((request, false));
            return Some(Slot(index));
        }
        if self.slots.len() >= MAX_WATCHED {
            return None;
        }
        self.slots.push(Some((request, false)));
        Some(Slot(self.slots.len() - 1))
    }

    /// Forgets a request.
    pub fn forget(&mut self, Slot(index): Slot) {
        if let Some(place) = self.slots.get_mut(index) {
            *place = None;
            self.free.push(index);
        }
    }

    /// Counts every request that is in flight for longer than its slow edge in its period's overdue
    /// level, and the first time makes its unit slow. The levels must have been cleared.
    pub fn sweep(&mut self, now: Instant) {
        for (request, known) in self.slots.iter_mut().flatten() {
            if now.micros_since(request.since) > request.period.slow_edge_us() {
                request.period.overdue(request.arm);
                if !std::mem::replace(known, true) {
                    request.period.slow(request.arm, request.unit);
                }
            }
        }
    }
}
