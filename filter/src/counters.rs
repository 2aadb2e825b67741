//! Envoy's own statistics of each version, so that `/stats/prometheus` shows them without an analyzer.
//! The crate's documentation has the names.

use crate::host::{CounterId, Host, Level};
use crate::period::Period;
use serin_contract::{Arm, PerArm, Plan, Tally};
use std::collections::HashMap;
use std::rc::Rc;

/// How many canaries get statistics: Envoy never frees a counter that a module defined.
pub const MAX_CANARIES: usize = 256;

/// The counters that were defined.
#[derive(Debug, Default)]
pub struct Counters {
    canaries: HashMap<String, PerArm<ArmCounters>>,
    full: bool,
    reports: Option<ReportCounters>,
}

#[derive(Debug, Default, Clone, Copy)]
struct ArmCounters {
    requests: Option<CounterId>,
    errors: Option<CounterId>,
}

#[derive(Debug, Default, Clone, Copy)]
struct ReportCounters {
    acknowledged: Option<CounterId>,
    failed: Option<CounterId>,
    plans_refused: Option<CounterId>,
}

/// What happens between filter and analyzer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A report was acknowledged.
    Acknowledged,
    /// A report was not answered as it should be.
    Failed,
    /// A plan was wrong.
    PlanRefused,
}

impl Counters {
    /// Defines what does not depend on a plan; once.
    pub fn define(&mut self, host: &dyn Host) {
        self.reports.get_or_insert_with(|| ReportCounters {
            acknowledged: host.define_counter("serin.reports.acknowledged"),
            failed: host.define_counter("serin.reports.failed"),
            plans_refused: host.define_counter("serin.plans.refused"),
        });
    }

    /// Defines the counters of canaries that were not known yet.
    pub fn define_plan(&mut self, host: &dyn Host, plan: &Plan) {
        for canary in plan.canaries() {
            if self.canaries.contains_key(&canary.name) {
                continue;
            }
            if self.canaries.len() >= MAX_CANARIES {
                if !std::mem::replace(&mut self.full, true) {
                    host.log(Level::Warn, &format!("event=statistics_full canaries={MAX_CANARIES}"));
                }
                return;
            }
            let define = |arm: Arm, what| host.define_counter(&stat_name(&canary.name, arm, what));
            let of = |arm| ArmCounters { requests: define(arm, "requests"), errors: define(arm, "errors") };
            let counters = PerArm { stable: of(Arm::Stable), canary: of(Arm::Canary) };
            self.canaries.insert(canary.name.clone(), counters);
        }
    }

    /// Adds what was counted since the last time.
    pub fn flush(&self, host: &dyn Host, periods: &[Rc<Period>]) {
        for period in periods {
            let counted = period.flush();
            let Some(counters) = self.canaries.get(&period.name) else { continue };
            for (arm, Tally { requests, errors }) in counted.iter() {
                let counters = counters.get(arm);
                add(host, counters.requests, *requests);
                add(host, counters.errors, *errors);
            }
        }
    }

    /// Counts one event.
    pub fn count(&self, host: &dyn Host, event: Event) {
        let Some(counters) = self.reports else { return };
        let counter = match event {
            Event::Acknowledged => counters.acknowledged,
            Event::Failed => counters.failed,
            Event::PlanRefused => counters.plans_refused,
        };
        add(host, counter, 1);
    }
}

fn add(host: &dyn Host, counter: Option<CounterId>, by: u64) {
    if by > 0
        && let Some(counter) = counter
    {
        host.add(counter, by);
    }
}

/// Dots separate the parts of a statistic's name, so none may be left in the canary's.
fn stat_name(canary: &str, arm: Arm, what: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    format!("serin.{}.{arm}.{what}", canary.chars().map(plain).collect::<String>())
}
