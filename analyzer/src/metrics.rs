//! What the program says about itself at `/metrics`. One struct owns all handles.

use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// The handles. Labels come from the configuration and from fixed words only, never from traffic, but
/// for method and status of responses, which the judge bounds.
pub struct Metrics {
    registry: Registry,
    /// Reports by result: `counted`, `repeated`, `refused`, `unstored`.
    pub reports: IntCounterVec,
    /// How long a group commit takes.
    pub commit_seconds: Histogram,
    /// Filters that report, by whether they follow the current plan: `current`, `pending`.
    pub filters: IntGaugeVec,
    /// The current plan's revision.
    pub plan_revision: IntGauge,
    /// The weight asked for, in percent.
    pub weight: GaugeVec,
    /// 1 for the phase that a canary is in, 0 for the others.
    pub phase: IntGaugeVec,
    /// The step's number.
    pub step: IntGaugeVec,
    /// E of the error and of the latency evidence.
    pub evidence: GaugeVec,
    /// Router writes by result: `written`, `failed`.
    pub router_writes: IntCounterVec,
    /// Assigned requests and errors of the running rollout.
    pub requests: IntGaugeVec,
    /// See `requests`.
    pub errors: IntGaugeVec,
    /// Configurations read again, by result: `applied`, `refused`.
    pub reloads: IntCounterVec,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When two share a name, which a test would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let levels = |name: &str, help: &str, labels: &[&str]| {
            let levels = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(levels.clone()))?;
            Ok::<_, prometheus::Error>(levels)
        };
        let reals = |name: &str, help: &str, labels: &[&str]| {
            let reals = GaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(reals.clone()))?;
            Ok::<_, prometheus::Error>(reals)
        };
        let plan_revision = IntGauge::new("serin_plan_revision", "Revision of the current plan.")?;
        registry.register(Box::new(plan_revision.clone()))?;
        let commit = HistogramOpts::new("serin_commit_seconds", "Time of a group commit to the store.")
            .buckets(vec![0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0]);
        let commit_seconds = Histogram::with_opts(commit)?;
        registry.register(Box::new(commit_seconds.clone()))?;
        let canary = ["canary"];
        Ok(Self {
            reports: counters("serin_reports_total", "Reports of filters by result.", &["result"])?,
            commit_seconds,
            filters: levels("serin_filters", "Filters that report, by the plan they follow.", &["plan"])?,
            plan_revision,
            weight: reals("serin_canary_weight_percent", "The canary's weight asked for.", &canary)?,
            phase: levels(
                "serin_canary_phase",
                "1 for the phase that the canary is in.",
                &["canary", "phase"],
            )?,
            step: levels("serin_canary_step", "The canary's step.", &canary)?,
            evidence: reals(
                "serin_canary_evidence",
                "E-value against the canary; it is rolled back at 1 / falseRollbackRate.",
                &["canary", "kind"],
            )?,
            router_writes: counters(
                "serin_router_writes_total",
                "Writes of weights by result.",
                &["canary", "result"],
            )?,
            requests: levels(
                "serin_rollout_requests",
                "Assigned requests of the running rollout.",
                &["canary", "arm"],
            )?,
            errors: levels(
                "serin_rollout_errors",
                "Assigned requests of the running rollout that failed.",
                &["canary", "arm"],
            )?,
            reloads: counters(
                "serin_configuration_reloads_total",
                "Configurations read again.",
                &["result"],
            )?,
            registry,
        })
    }

    /// Prometheus' text format.
    pub fn text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut out) {
            tracing::error!(%error, "metrics cannot be written");
        }
        out
    }
}
