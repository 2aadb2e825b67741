//! What the program says about itself at `/metrics`. One struct owns all handles. docs/metrics.md lists
//! every name; a test holds it against this.

pub mod board;
pub mod experiments;
mod store;

pub use store::StoreMetrics;

use board::{Board, Family};
use std::cell::RefCell;

use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
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
    /// From a report's arrival to its answer.
    pub ingest_seconds: Histogram,
    /// From taking up reports to the verdict on them.
    pub decision_seconds: Histogram,
    /// From the decision for a weight to all reporting filters following it, by direction: `up`, `down`.
    pub promotion_seconds: HistogramVec,
    /// 1 where this analyzer decides and writes.
    pub leader: IntGauge,
    /// Notices by receiver and result: `delivered`, `retried`, `failed`, `dropped`.
    pub alerts: IntCounterVec,
    /// Clients of the live view.
    pub live_clients: IntGauge,
    /// The store's, where it is over the network.
    pub store: StoreMetrics,
    /// Records of experiments by what became of them: `written`, `failed`, `dropped`.
    pub analytics: IntCounterVec,
    /// The canaries' own numbers.
    pub board: Board,
    /// The experiments' own numbers.
    pub experiments: experiments::Board,
    names: Vec<String>,
}

/// Of histograms in seconds, from half a millisecond to a second.
const SHORT: [f64; 10] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0];
/// Numbers of reports.
const COUNTS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];
/// The same for what waits for proxies.
const LONG: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When two share a name, which a test would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let experiments = experiments::Board::new()?;
        let families = Family::ALL.iter().map(|family| family.name());
        let names = families.chain(experiments::Family::ALL.iter().map(|family| family.name()));
        let names: Vec<String> = names.map(str::to_owned).collect();
        let board = Board::new()?;
        registry.register(Box::new(board.clone()))?;
        registry.register(Box::new(experiments.clone()))?;
        let names = RefCell::new(names);
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            add(&registry, &names, name, counters)
        };
        let levels = |name: &str, help: &str, labels: &[&str]| {
            let levels = IntGaugeVec::new(Opts::new(name, help), labels)?;
            add(&registry, &names, name, levels)
        };
        let reals = |name: &str, help: &str, labels: &[&str]| {
            let reals = GaugeVec::new(Opts::new(name, help), labels)?;
            add(&registry, &names, name, reals)
        };
        let level = |name: &str, help: &str| add(&registry, &names, name, IntGauge::new(name, help)?);
        let times = |name: &str, help: &str| {
            let times = Histogram::with_opts(HistogramOpts::new(name, help).buckets(SHORT.to_vec()))?;
            add(&registry, &names, name, times)
        };
        let store = StoreMetrics {
            calls: counters(
                "serin_store_calls_total",
                "Calls of Redis by purpose and result.",
                &["call", "result"],
            )?,
            seconds: {
                let name = "serin_store_call_seconds";
                let options = HistogramOpts::new(name, "Time of calls of Redis by purpose.");
                add(&registry, &names, name, HistogramVec::new(options.buckets(SHORT.to_vec()), &["call"])?)?
            },
            idle: level("serin_store_connections_idle", "Connections to Redis that wait for work.")?,
            busy: level("serin_store_connections_busy", "Connections to Redis at work.")?,
            batch: {
                let name = "serin_store_batch_reports";
                let options = HistogramOpts::new(name, "Reports in one group commit to Redis.");
                add(&registry, &names, name, Histogram::with_opts(options.buckets(COUNTS.to_vec()))?)?
            },
            up: level("serin_store_up", "1 while Redis answers.")?,
            waiting: level(
                "serin_store_inbox_reports",
                "Reports that wait in Redis to be counted, at most 512.",
            )?,
        };
        let canary = ["canary"];
        Ok(Self {
            store,
            reports: counters("serin_reports_total", "Reports of filters by result.", &["result"])?,
            commit_seconds: times("serin_commit_seconds", "Time of a group commit to the store.")?,
            filters: levels("serin_filters", "Filters that report, by the plan they follow.", &["plan"])?,
            plan_revision: level("serin_plan_revision", "Revision of the current plan.")?,
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
            ingest_seconds: times("serin_ingest_seconds", "From a report's arrival to its answer.")?,
            decision_seconds: times(
                "serin_decision_seconds",
                "From taking up reports to the verdict on them.",
            )?,
            promotion_seconds: {
                let name = "serin_promotion_seconds";
                let help = "From the decision for a weight to all reporting filters following it.";
                let options = HistogramOpts::new(name, help).buckets(LONG.to_vec());
                add(&registry, &names, name, HistogramVec::new(options, &["canary", "direction"])?)?
            },
            leader: level("serin_leader", "1 where this analyzer decides and writes.")?,
            alerts: counters(
                "serin_alerts_total",
                "Notices of alerts by receiver and result.",
                &["receiver", "result"],
            )?,
            live_clients: level("serin_live_clients", "Clients that watch the live view.")?,
            analytics: counters(
                "serin_analytics_records_total",
                "Records of experiments by what became of them.",
                &["result"],
            )?,
            names: names.take(),
            board,
            experiments,
            registry,
        })
    }

    /// The names of all families.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A canary that is gone leaves no series behind.
    pub fn forget(&self, canary: &str) {
        self.board.forget(canary);
        // What was never set cannot be removed; that is no fault.
        drop(self.weight.remove_label_values(&[canary]));
        drop(self.step.remove_label_values(&[canary]));
        for phase in serin_judge::ramp::Phase::ALL {
            drop(self.phase.remove_label_values(&[canary, phase.name()]));
        }
        for kind in ["errors", "slow"] {
            drop(self.evidence.remove_label_values(&[canary, kind]));
        }
        for result in ["written", "failed"] {
            drop(self.router_writes.remove_label_values(&[canary, result]));
        }
        for arm in serin_contract::Arm::ALL {
            drop(self.requests.remove_label_values(&[canary, arm.name()]));
            drop(self.errors.remove_label_values(&[canary, arm.name()]));
        }
        for direction in ["up", "down"] {
            drop(self.promotion_seconds.remove_label_values(&[canary, direction]));
        }
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

/// Registers a family and notes its name.
fn add<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    names: &RefCell<Vec<String>>,
    name: &str,
    family: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(family.clone()))?;
    names.borrow_mut().push(name.to_owned());
    Ok(family)
}
