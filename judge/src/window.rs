//! The last minute, second by second, in bounded memory.

use crate::histogram::Histogram;
use crate::packed::Packed;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use serin_contract::report::ArmReport;
use serin_contract::{CanaryReport, PerArm};
use std::collections::VecDeque;
use std::time::Duration;

/// How far back the window reaches.
pub const LENGTH: Duration = Duration::from_secs(60);

/// What happened in the last minute. Seconds that are over are packed; the sum of all is kept beside them, for it is
/// asked for after every report.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Window {
    past: VecDeque<Past>,
    current: Option<Slot>,
    sum: WindowCounts,
}

/// Its written form.
#[derive(Serialize, Deserialize)]
struct Written {
    slots: Vec<Slot>,
}

/// One second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Slot {
    second: u64,
    counts: WindowCounts,
}

/// One second that is over.
#[derive(Debug, Clone, PartialEq)]
struct Past {
    second: u64,
    /// Requests, errors and latencies.
    arms: PerArm<(u64, u64, Packed)>,
    routing: Routing,
}

/// Sums over a part of the window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WindowCounts {
    /// Assigned requests by arm.
    pub arms: PerArm<ArmCounts>,
    /// How traffic was routed under the running step alone.
    pub routing: Routing,
}

/// Assigned requests of one arm.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ArmCounts {
    /// Requests that ended.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How long they took.
    pub latency: Histogram,
}

/// Whether traffic goes where it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Routing {
    /// Assigned requests.
    pub assigned: u64,
    /// Those that the other version served.
    pub misrouted: u64,
    /// Requests without a unit, by the version that served them.
    pub unassigned: PerArm<u64>,
}

impl Window {
    /// Adds a report's entry at a moment. `current` says whether it belongs to the running step.
    pub fn add(&mut self, entry: &CanaryReport, current: bool, now: Time) {
        self.move_to(now.0 / 1000);
        let counts = self.current.iter_mut().map(|slot| &mut slot.counts);
        for counts in counts.chain([&mut self.sum]) {
            counts.add(entry, current);
        }
    }

    /// Makes this second the current one, and forgets what is a minute old.
    fn move_to(&mut self, second: u64) {
        // A clock that was set back writes into its last second, so that the order stays.
        if self.current.as_ref().is_some_and(|slot| slot.second >= second) {
            return;
        }
        self.past
            .extend(self.current.replace(Slot { second, ..Slot::default() }).map(|slot| Past::of(&slot)));
        let old = self.past.partition_point(|past| !is_within(past.second, second));
        self.past.drain(..old).for_each(|past| self.sum.take(&past));
    }

    /// A new step: how traffic was routed before says nothing about it.
    pub fn forget_routing(&mut self) {
        let past = self.past.iter_mut().map(|past| &mut past.routing);
        let current = self.current.iter_mut().map(|slot| &mut slot.counts.routing);
        past.chain(current).chain([&mut self.sum.routing]).for_each(|routing| *routing = Routing::default());
    }

    /// The sum of the last minute.
    pub fn sum(&self, now: Time) -> WindowCounts {
        let second = now.0 / 1000;
        if self.current.as_ref().is_none_or(|slot| !is_within(slot.second, second)) {
            return WindowCounts::default();
        }
        let mut sum = self.sum.clone();
        self.past.iter().take_while(|past| !is_within(past.second, second)).for_each(|past| sum.take(past));
        sum
    }
}

/// Whether a second is less than a minute before another.
fn is_within(second: u64, now: u64) -> bool {
    second + LENGTH.as_secs() > now
}

impl Past {
    fn of(slot: &Slot) -> Self {
        let WindowCounts { arms, routing } = &slot.counts;
        let arm = |counts: &ArmCounts| (counts.requests, counts.errors, Packed::from(&counts.latency));
        let arms = PerArm { stable: arm(&arms.stable), canary: arm(&arms.canary) };
        Self { second: slot.second, arms, routing: *routing }
    }

    fn slot(self) -> Slot {
        let arms = self.arms.map(|(requests, errors, latency)| ArmCounts {
            requests: *requests,
            errors: *errors,
            latency: latency.into(),
        });
        Slot { second: self.second, counts: WindowCounts { arms, routing: self.routing } }
    }
}

impl From<Window> for Written {
    fn from(window: Window) -> Self {
        Self { slots: window.past.into_iter().map(Past::slot).chain(window.current).collect() }
    }
}

impl From<Written> for Window {
    fn from(Written { mut slots }: Written) -> Self {
        let mut sum = WindowCounts::default();
        slots.iter().for_each(|slot| sum.merge(&slot.counts));
        let current = slots.pop();
        Self { past: slots.iter().map(Past::of).collect(), current, sum }
    }
}

impl WindowCounts {
    fn add(&mut self, entry: &CanaryReport, current: bool) {
        for (arm, report) in entry.arms.iter() {
            self.arms.get_mut(arm).add(report);
        }
        if current {
            let routing = &mut self.routing;
            routing.assigned += entry.arms.stable.requests + entry.arms.canary.requests;
            routing.misrouted += entry.misrouted;
            routing.unassigned.stable += entry.unassigned.stable.requests;
            routing.unassigned.canary += entry.unassigned.canary.requests;
        }
    }

    fn merge(&mut self, other: &Self) {
        for (arm, counts) in other.arms.iter() {
            self.arms.get_mut(arm).merge(counts);
        }
        self.routing.merge(other.routing);
    }

    /// Takes a second out of the sum.
    fn take(&mut self, past: &Past) {
        for (arm, (requests, errors, latency)) in past.arms.iter() {
            let counts = self.arms.get_mut(arm);
            counts.requests -= requests;
            counts.errors -= errors;
            counts.latency.take(latency.iter());
        }
        self.routing.take(past.routing);
    }
}

impl ArmCounts {
    fn add(&mut self, report: &ArmReport) {
        self.requests += report.requests;
        self.errors += report.errors;
        report.latency.iter().for_each(|(index, count)| self.latency.add(*index, *count));
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.latency.merge(&other.latency);
    }
}

impl Routing {
    fn merge(&mut self, other: Self) {
        self.assigned += other.assigned;
        self.misrouted += other.misrouted;
        self.unassigned.stable += other.unassigned.stable;
        self.unassigned.canary += other.unassigned.canary;
    }

    fn take(&mut self, other: Self) {
        self.assigned -= other.assigned;
        self.misrouted -= other.misrouted;
        self.unassigned.stable -= other.unassigned.stable;
        self.unassigned.canary -= other.unassigned.canary;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_minute_old_is_gone_and_memory_stays_bounded() {
        let mut window = Window::default();
        let mut entry = CanaryReport::default();
        entry.arms.canary.requests = 1;
        for second in 0..500 {
            window.add(&entry, true, Time(second * 1000));
        }
        assert_eq!(window.past.len() + 1, 60);
        assert_eq!(window.sum(Time(499_000)).arms.canary.requests, 60);
        assert_eq!(window.sum(Time(529_000)).arms.canary.requests, 30);
        assert_eq!(window.sum(Time(600_000)), WindowCounts::default());
        window.forget_routing();
        assert_eq!(window.sum(Time(499_000)).routing, Routing::default());
    }

    #[test]
    fn the_sum_that_is_kept_is_the_sum_of_the_seconds() {
        let mut window = Window::default();
        let mut added: Vec<(u64, CanaryReport, bool)> = Vec::new();
        let mut now = 0;
        for turn in 0..2_000_u64 {
            // Seconds pass, some at once, now and then more than a minute; latencies come and go.
            now += [0, 0, 300, 1_000, 7_000, if turn % 50 == 5 { 90_000 } else { 10 }][turn as usize % 6];
            let mut entry = CanaryReport { misrouted: turn % 3, ..CanaryReport::default() };
            let bucket = (turn * 37 % 101) as u16;
            entry.arms.canary = ArmReport {
                requests: turn % 5 + 1,
                errors: turn % 2,
                latency: vec![(bucket, turn % 4), (bucket + 200, 1)],
                ..ArmReport::default()
            };
            entry.unassigned.stable.requests = turn % 7;
            if turn % 400 == 399 {
                window.forget_routing();
                added.iter_mut().for_each(|(.., current)| *current = false);
            }
            window.add(&entry, turn % 3 > 0, Time(now));
            added.push((now / 1000, entry, turn % 3 > 0));
            for later in [0, 20_000, 59_000, 61_000] {
                let mut naive = WindowCounts::default();
                for (second, entry, current) in added.iter().rev().take(400) {
                    if is_within(*second, (now + later) / 1000) {
                        naive.add(entry, *current);
                    }
                }
                assert_eq!(window.sum(Time(now + later)), naive, "turn {turn}, {later} ms later");
            }
            if turn % 100 == 0 {
                let written = serde_json::to_string(&window).unwrap();
                assert_eq!(serde_json::from_str::<Window>(&written).unwrap(), window);
            }
        }
    }

    #[test]
    fn a_window_is_written_second_by_second_and_read_again() {
        let mut window = Window::default();
        let mut entry = CanaryReport::default();
        entry.arms.canary =
            ArmReport { requests: 3, errors: 1, latency: vec![(9, 2), (300, 1)], ..ArmReport::default() };
        (5..=7).for_each(|second| window.add(&entry, true, Time(second * 1000)));
        let written = serde_json::to_value(&window).unwrap();
        let slots = written["slots"].as_array().unwrap();
        assert_eq!(slots.len(), 3);
        for (slot, second) in slots.iter().zip(5..) {
            assert_eq!(slot["second"], second);
            assert_eq!(slot["counts"]["arms"]["canary"]["latency"], serde_json::json!([[9, 2], [300, 1]]));
            assert_eq!(slot["counts"]["routing"]["assigned"], 3);
        }
        let read: Window = serde_json::from_value(written).unwrap();
        assert_eq!(read, window);
        assert_eq!(read.sum(Time(7_000)).arms.canary.requests, 9);
    }
}
