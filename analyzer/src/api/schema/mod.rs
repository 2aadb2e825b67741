//! What travels over the API, described for its document and for nothing else: the answers themselves are
//! made from the engine's and the judge's own types. A test holds real answers against these.

mod audit;
mod canary;
mod errors;
pub mod experiment;
mod experiment_results;
mod filter;
mod live;
mod numbers;
pub mod ofrep;
mod past;
mod report;
mod rollout;
mod sample;
mod shown;

pub use audit::{AuditErrors, AuditLine, Came};
pub use canary::{Canary, History, MetricLimit, Outcome, Phase, Router, SourceHealth, Verdict};
pub use errors::{ActionErrors, Problem, ReadErrors, ReportErrors, ReportReadErrors, Stopping};
pub use filter::{Deed, Filter, Intent};
pub use live::{LiveErrors, LiveFrame, Session, SignIn, SignInErrors};
pub use numbers::{Evidence, GoalNumbers, Routing, Summary, SummaryOfArm, Tally, Totals, TotalsOfArm};
pub use past::{PastErrors, Point, PointOfArm, PointOfComparison, Rollout, Series};
pub use report::{ArmReport, CanaryReport, Reply, Report};
pub use rollout::{Affected, ReportFormat, RolloutReport};
pub use sample::{Anomaly, Burn, Sample, SampleOfVersion, Standing, TrafficOfSource, Versions};
pub use shown::{Alert, Next, Settings, Slo, Traffic, Words};

use utoipa::ToSchema;

/// One thing for each arm.
#[derive(ToSchema)]
pub struct PerArm<T> {
    /// The version that serves today.
    pub stable: T,
    /// The version under test.
    pub canary: T,
}
