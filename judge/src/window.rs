//! The last minute, second by second, in bounded memory.

use crate::histogram::Histogram;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use serin_contract::report::ArmReport;
use serin_contract::{CanaryReport, PerArm};
use std::collections::VecDeque;
use std::time::Duration;

/// How far back the window reaches.
pub const LENGTH: Duration = Duration::from_secs(60);

/// What happened in the last minute.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Window {
    slots: VecDeque<Slot>,
}

/// One second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Slot {
    second: u64,
    counts: WindowCounts,
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
        let counts = &mut self.slot(now).counts;
        for (arm, report) in entry.arms.iter() {
            counts.arms.get_mut(arm).add(report);
        }
        if current {
            let routing = &mut counts.routing;
            routing.assigned += entry.arms.stable.requests + entry.arms.canary.requests;
            routing.misrouted += entry.misrouted;
            routing.unassigned.stable += entry.unassigned.stable.requests;
            routing.unassigned.canary += entry.unassigned.canary.requests;
        }
    }

    fn slot(&mut self, now: Time) -> &mut Slot {
        let second = now.0 / 1000;
        self.slots.retain(|slot| slot.second + LENGTH.as_secs() > second);
        // A clock that was set back writes into its last second, so that the order stays.
        if self.slots.back().is_none_or(|last| last.second < second) {
            self.slots.push_back(Slot { second, ..Slot::default() });
        }
        let last = self.slots.len() - 1;
        &mut self.slots[last]
    }

    /// A new step: how traffic was routed before says nothing about it.
    pub fn forget_routing(&mut self) {
        for slot in &mut self.slots {
            slot.counts.routing = Routing::default();
        }
    }

    /// The sum of the last minute.
    pub fn sum(&self, now: Time) -> WindowCounts {
        let mut sum = WindowCounts::default();
        let second = now.0 / 1000;
        for slot in self.slots.iter().filter(|slot| slot.second + LENGTH.as_secs() > second) {
            for (arm, counts) in slot.counts.arms.iter() {
                sum.arms.get_mut(arm).merge(counts);
            }
            sum.routing.merge(slot.counts.routing);
        }
        sum
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
        assert_eq!(window.slots.len(), 60);
        assert_eq!(window.sum(Time(499_000)).arms.canary.requests, 60);
        assert_eq!(window.sum(Time(529_000)).arms.canary.requests, 30);
        assert_eq!(window.sum(Time(600_000)), WindowCounts::default());
        window.forget_routing();
        assert_eq!(window.sum(Time(499_000)).routing, Routing::default());
    }
}
