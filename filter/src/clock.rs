//! A clock that never jumps, made from the wall clock, which is all that a wasm module gets from Envoy.

use std::cell::Cell;
use std::time::Duration;

/// Nanoseconds since some moment; never backward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Instant(pub u64);

impl Instant {
    /// How long it is since an earlier moment, in microseconds.
    pub fn micros_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000
    }
}

/// The sum of the wall clock's small steps forward. Ticks read it regularly, so a larger step than
/// [`Self::allow_gaps`] says is somebody setting the time (or a stopped process) and counts as that gap;
/// a step backward counts as none. Without this, setting the time would make every request slow.
#[derive(Debug)]
pub struct Clock {
    wall: Cell<u64>,
    now: Cell<u64>,
    gap: Cell<u64>,
}

impl Clock {
    /// A clock that begins at a wall time in nanoseconds.
    pub fn starting_at(wall_ns: u64) -> Self {
        Self { wall: Cell::new(wall_ns), now: Cell::new(0), gap: Cell::new(1_000_000_000) }
    }

    /// Says how often there is a tick.
    pub fn allow_gaps(&self, tick: Duration) {
        let tick = u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX);
        self.gap.set(tick.saturating_mul(2).saturating_add(1_000_000_000));
    }

    /// The time, given what the wall clock says.
    pub fn read(&self, wall_ns: u64) -> Instant {
        let step = wall_ns.saturating_sub(self.wall.replace(wall_ns)).min(self.gap.get());
        self.now.set(self.now.get().saturating_add(step));
        Instant(self.now.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_time_makes_no_request_slow() {
        const SECOND: u64 = 1_000_000_000;
        let clock = Clock::starting_at(100 * SECOND);
        let start = clock.read(100 * SECOND + 5_000);
        assert_eq!(clock.read(100 * SECOND + 12_000).micros_since(start), 7);
        let hour_later = clock.read(3_700 * SECOND);
        assert_eq!(hour_later.micros_since(start), 1_000_007);
        assert_eq!(clock.read(50 * SECOND), hour_later);
        assert_eq!(clock.read(50 * SECOND + 9_000).micros_since(hour_later), 9);
    }
}
