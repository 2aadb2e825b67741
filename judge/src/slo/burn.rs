//! Burn rates over two windows, as in the SRE workbook ("Alerting on SLOs", multiwindow): the long window
//! says that it matters, the short one that it goes on.

use super::{Events, Slo};
use crate::confidence;
use crate::rules::Finding;
use crate::sample::{Sample, Samples};
use crate::time::Time;
use serde::Serialize;
use std::time::Duration;

/// The short window is this part of the long one, as the workbook recommends.
const SHORT: u32 = 12;

/// How many times faster than allowed the error budget burns. 1 uses it up exactly.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Burn {
    /// Over the SLO's window.
    pub long: f64,
    /// Over a twelfth of it, at least over the last sample.
    pub short: f64,
}

impl Slo {
    pub(super) fn burn(&self, samples: &[Sample], now: Time) -> Burn {
        let rate =
            |events: Events| if events.all > 0.0 { events.bad / events.all / self.allowed() } else { 0.0 };
        Burn {
            long: rate(self.events(samples, self.window, now)),
            short: rate(self.events(samples, self.short_window(samples, now), now)),
        }
    }

    /// Samples come once in an analysis interval, which may be longer than the short window.
    fn short_window(&self, samples: &[Sample], now: Time) -> Duration {
        let last = samples.last().map_or(Duration::ZERO, |last| now.since(last.time));
        (self.window / SHORT).max(last + Duration::from_millis(1))
    }
}

/// Whether the canary alone burns the budget too fast, in both windows, and by more than chance explains:
/// the lower bound of its rate's confidence sequence at `alpha` is beyond the limit too. A stable that
/// burns as fast has the same trouble, which is then not this release's.
pub fn finding(slo: &Slo, samples: &Samples, alpha: f64, now: Time) -> Option<Finding> {
    let canary = slo.burn(&samples.canary, now);
    let stable = slo.burn(&samples.stable, now);
    let events = slo.events(&samples.canary, slo.window, now);
    let (low, _) = confidence::rate(events.bad, events.all, alpha);
    let fast = canary.long >= slo.max_burn && canary.short >= slo.max_burn;
    let alone = stable.long < slo.max_burn && stable.short < slo.max_burn;
    if !fast || !alone || low < slo.max_burn * slo.allowed() {
        return None;
    }
    let reason = format!(
        "SLO {}: the canary burns its error budget {:.1} times too fast ({:.1} times lately), {} times is the \
         limit; stable burns it {:.1} times",
        slo.name, canary.long, canary.short, slo.max_burn, stable.long
    );
    Some(Finding { breach: slo.on_fast_burn, reason })
}
