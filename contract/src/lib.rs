//! What the filter and the analyzer must agree on: the units' buckets, the plan that goes to the
//! filters, the reports that come back, and the names of the headers. Pure data and arithmetic:
//! nothing here reads a clock, a file or a socket, and all of it builds for wasm32.

pub mod allocation;
pub mod arm;
pub mod attributes;
pub mod headers;
pub mod hosts;
pub mod latency;
pub mod parse;
pub mod plan;
pub mod report;
pub mod sample;
pub mod segment;
pub mod share;
pub mod unit;

pub use allocation::Allocation;
pub use arm::{Arm, PerArm};
pub use attributes::RequestHeaders;
pub use parse::FieldError;
pub use plan::{CanaryPlan, ExperimentPlan, Plan, PlanDocument};
pub use report::{CanaryReport, ExperimentReport, Reply, Report, Tally};
pub use sample::Sample;
pub use share::{Bucket, Revision, Share, Step, Stratum};
pub use unit::{AssignedUnit, UnitHash};
