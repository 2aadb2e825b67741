//! The report: what a filter saw since its last acknowledged report, and the analyzer's reply.
//! Numbers are deltas; a report is frozen with its sequence number until it is acknowledged.

mod experiments;

pub use experiments::{ExperimentArm, ExperimentReport, GoalRows, MAX_VALUE};

use crate::arm::PerArm;
use crate::latency;
use crate::parse::{FieldError, from_json};
use crate::plan::check_name;
use crate::share::{Revision, Step, Stratum};
use crate::unit::{UnitHash, parse_hex64, read_hex64, write_hex64};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::Display;
use std::str::FromStr;

/// The largest report that travels, in bytes of JSON. What does not fit waits for the next.
pub const MAX_BYTES: usize = 256 * 1024;
/// The largest count in a report; more is rubbish.
pub const MAX_COUNT: u64 = 1 << 40;
/// How many `[method, status, count]` rows an arm may report.
pub const MAX_RESPONSES: usize = 512;

/// A filter's report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Which VM of which proxy: 16 hexadecimal digits.
    pub instance: Instance,
    /// Counts up by one with each report of the instance, from 1.
    pub sequence: u64,
    /// The plan that the filter follows; 0 for none.
    pub plan_revision: Revision,
    /// The proxy's node id, for people.
    pub node: String,
    /// How often this filter reports.
    pub interval_ms: u64,
    /// One entry for each canary and stratum that something happened in.
    #[serde(default)]
    pub canaries: Vec<CanaryReport>,
    /// One entry for each experiment and step that something happened in.
    #[serde(default)]
    pub experiments: Vec<ExperimentReport>,
}

/// A VM's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(pub u64);

impl std::fmt::Display for Instance {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl FromStr for Instance {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let message = "an instance has 16 lower-case hexadecimal digits";
        parse_hex64(text).map(Self).ok_or_else(|| FieldError::new("instance", message))
    }
}

impl Serialize for Instance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_hex64(self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Instance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_hex64(deserializer, "an instance").map(Self)
    }
}

/// What happened in one canary under one step and stratum.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryReport {
    /// `<namespace>/<name>`.
    pub name: String,
    /// The step under which the requests were assigned.
    pub step: Step,
    /// The stratum under which the requests were assigned.
    pub stratum: Stratum,
    /// Assigned requests, by arm: the evidence.
    #[serde(default)]
    pub arms: PerArm<ArmReport>,
    /// Requests whose client chose the version.
    #[serde(default)]
    pub forced: PerArm<Tally>,
    /// Requests without a unit, by the version that served them.
    #[serde(default)]
    pub unassigned: PerArm<Tally>,
    /// Requests of probes and bots.
    #[serde(default)]
    pub excluded: u64,
    /// Requests outside the segment.
    #[serde(default)]
    pub ineligible: u64,
    /// Assigned requests that the other version served.
    #[serde(default)]
    pub misrouted: u64,
    /// Requests that a cluster of neither version served.
    #[serde(default)]
    pub elsewhere: u64,
    /// Requests that no cluster served: another filter answered.
    #[serde(default)]
    pub unserved: u64,
}

/// Requests and how many of them failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// How many.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
}

/// What the assigned requests of one arm came to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArmReport {
    /// Requests that ended.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
    /// Method, status (0: the client went away before one), count.
    pub responses: Vec<(String, u16, u64)>,
    /// Latency bucket (see [`latency::index`]) and count.
    pub latency: Vec<(u16, u64)>,
    /// Requests that are now in flight for longer than the slow edge: a level, not a delta.
    pub overdue: u64,
    /// Units first seen by this VM in this stratum.
    pub seen: Vec<UnitHash>,
    /// Units that first erred.
    pub erred: Vec<UnitHash>,
    /// Units that were first slow.
    pub slow: Vec<UnitHash>,
    /// By the goal's name: units that reached it since the last report.
    #[serde(skip_serializing_if = "GoalRows::is_empty")]
    pub goals: GoalRows,
}

/// The analyzer's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply<P> {
    /// The highest sequence number of this instance that the store has committed.
    pub acknowledged: u64,
    /// A new plan, when the filter's is not the current one.
    pub plan: Option<P>,
}

impl Report {
    /// Parses and checks a report.
    ///
    /// # Errors
    /// With the path of the first field that cannot be.
    pub fn from_json(text: &[u8]) -> Result<Self, FieldError> {
        // Noting the path to each field takes as long as the reading: that is done only where it is asked for.
        let report = match serde_json::from_slice::<Self>(text) {
            Ok(report) => report,
            Err(_) => from_json(text)?,
        };
        report.check()?;
        Ok(report)
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.sequence == 0 {
            return Err(FieldError::new("sequence", "0 is not allowed: sequence numbers begin with 1"));
        }
        if self.node.len() > 512 {
            return Err(FieldError::new("node", "is longer than 512 bytes"));
        }
        if !crate::plan::REPORT_INTERVALS_MS.contains(&self.interval_ms) {
            return Err(FieldError::new("interval_ms", "allowed are 100 to 60000"));
        }
        for (index, canary) in self.canaries.iter().enumerate() {
            canary.check().map_err(|error| error.under(&format!("canaries[{index}]")))?;
        }
        for (index, experiment) in self.experiments.iter().enumerate() {
            experiment.check().map_err(|error| error.under(&format!("experiments[{index}]")))?;
        }
        Ok(())
    }
}

impl CanaryReport {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        let quiet =
            Self { name: self.name.clone(), step: self.step, stratum: self.stratum, ..Self::default() };
        *self == quiet
    }

    fn check(&self) -> Result<(), FieldError> {
        check_name(&self.name).map_err(|message| FieldError::new("name", message))?;
        for (arm, report) in self.arms.iter() {
            report.check().map_err(|error| error.under(&format!("arms.{arm}")))?;
        }
        for (field, tallies) in [("forced", &self.forced), ("unassigned", &self.unassigned)] {
            for (arm, tally) in tallies.iter() {
                check_errors(tally.requests, tally.errors)
                    .map_err(|error| error.under(&format!("{field}.{arm}")))?;
            }
        }
        for (field, count) in [
            ("excluded", self.excluded),
            ("ineligible", self.ineligible),
            ("misrouted", self.misrouted),
            ("elsewhere", self.elsewhere),
            ("unserved", self.unserved),
        ] {
            check_count(field, count)?;
        }
        let assigned = self.arms.stable.requests + self.arms.canary.requests;
        if self.misrouted > assigned {
            return Err(FieldError::new("misrouted", format!("is above the {assigned} assigned requests")));
        }
        Ok(())
    }
}

impl ArmReport {
    fn check(&self) -> Result<(), FieldError> {
        check_errors(self.requests, self.errors)?;
        check_count("overdue", self.overdue)?;
        if self.responses.len() > MAX_RESPONSES {
            return Err(FieldError::new("responses", format!("more than {MAX_RESPONSES} rows")));
        }
        let mut answered = 0;
        for (place, (method, status, count)) in self.responses.iter().enumerate() {
            let field = format_args!("responses[{place}]");
            if method.is_empty()
                || method.len() > 16
                || !method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
            {
                return Err(FieldError::new(
                    field.to_string(),
                    "the method must be 1 to 16 upper-case letters",
                ));
            }
            if *status > 999 {
                return Err(FieldError::new(field.to_string(), format!("{status} is no HTTP status")));
            }
            check_count(field, *count)?;
            answered += count;
        }
        if answered > self.requests {
            return Err(FieldError::new(
                "responses",
                format!("sum to {answered}, above the {} requests", self.requests),
            ));
        }
        let mut timed = 0;
        for (place, (index, count)) in self.latency.iter().enumerate() {
            let field = format_args!("latency[{place}]");
            if *index > latency::MAX_INDEX {
                let message = format!("index {index} is above {}", latency::MAX_INDEX);
                return Err(FieldError::new(field.to_string(), message));
            }
            check_count(field, *count)?;
            timed += count;
        }
        if timed > self.requests {
            return Err(FieldError::new(
                "latency",
                format!("sums to {timed}, above the {} requests", self.requests),
            ));
        }
        experiments::check_goals(&self.goals)
    }
}

/// The field is written out only if it is wrong.
fn check_count(field: impl Display, count: u64) -> Result<(), FieldError> {
    if count > MAX_COUNT {
        return Err(FieldError::new(
            field.to_string(),
            format!("{count} is not a count that a filter can reach"),
        ));
    }
    Ok(())
}

fn check_errors(requests: u64, errors: u64) -> Result<(), FieldError> {
    check_count("requests", requests)?;
    if errors > requests {
        return Err(FieldError::new("errors", format!("{errors} is above the {requests} requests")));
    }
    Ok(())
}
