//! Numbers of each canary at `/metrics`: replaced as a whole once a second, so that what is gone (a canary,
//! a source, a limit) leaves no series behind.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The families. The first group has the names that the course's controller exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// `canary_requests_total`
    Requests,
    /// `canary_request_duration_seconds`
    Duration,
    /// `canary_active_connections`
    Connections,
    /// `canary_cpu_usage_percent`
    Cpu,
    /// `canary_memory_usage_bytes`
    Memory,
    /// `canary_error_rate_percent`
    ErrorRate,
    /// `canary_slo_compliance`
    SloCompliance,
    /// `serin_slo_budget_left_percent`
    SloBudget,
    /// `serin_slo_burn_rate`
    SloBurn,
    /// `serin_canary_verdict`
    Verdict,
    /// `serin_canary_anomalies`
    Anomalies,
    /// `serin_source_up`
    SourceUp,
    /// `serin_source_seconds`
    SourceSeconds,
    /// `serin_metric_value`
    MetricValue,
    /// `serin_metric_state`
    MetricState,
    /// `serin_goal_users`
    GoalUsers,
    /// `serin_goal_evidence`
    GoalEvidence,
    /// `serin_alerts_firing`
    AlertsFiring,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Requests,
        Self::Duration,
        Self::Connections,
        Self::Cpu,
        Self::Memory,
        Self::ErrorRate,
        Self::SloCompliance,
        Self::SloBudget,
        Self::SloBurn,
        Self::Verdict,
        Self::Anomalies,
        Self::SourceUp,
        Self::SourceSeconds,
        Self::MetricValue,
        Self::MetricState,
        Self::GoalUsers,
        Self::GoalEvidence,
        Self::AlertsFiring,
    ];

    /// Name, kind, help and the labels after `canary`.
    fn facts(self) -> (&'static str, MetricType, &'static str, &'static [&'static str]) {
        use MetricType::{COUNTER, GAUGE, HISTOGRAM};
        match self {
            Self::Requests => (
                "canary_requests_total",
                COUNTER,
                "Assigned requests of the running rollout.",
                &["version", "endpoint", "method", "status"],
            ),
            Self::Duration => (
                "canary_request_duration_seconds",
                HISTOGRAM,
                "How long assigned requests took, as the proxies saw it.",
                &["version", "endpoint"],
            ),
            Self::Connections => (
                "canary_active_connections",
                GAUGE,
                "Connections open to the version, as Envoy or the application says.",
                &["version"],
            ),
            Self::Cpu => ("canary_cpu_usage_percent", GAUGE, "Percent of a core.", &["version", "pod"]),
            Self::Memory => ("canary_memory_usage_bytes", GAUGE, "Memory in use.", &["version", "pod"]),
            Self::ErrorRate => {
                ("canary_error_rate_percent", GAUGE, "Failed requests of the last minute.", &["version"])
            }
            Self::SloCompliance => {
                ("canary_slo_compliance", GAUGE, "SLO score, 0 to 100.", &["version", "slo_type"])
            }
            Self::SloBudget => (
                "serin_slo_budget_left_percent",
                GAUGE,
                "Error budget of the samples that is left; below 0 when overdrawn.",
                &["version", "slo_type"],
            ),
            Self::SloBurn => (
                "serin_slo_burn_rate",
                GAUGE,
                "How many times as fast as allowed the error budget burns.",
                &["version", "slo_type", "window"],
            ),
            Self::Verdict => {
                ("serin_canary_verdict", GAUGE, "1 for what the judge said last.", &["outcome", "rule"])
            }
            Self::Anomalies => {
                ("serin_canary_anomalies", GAUGE, "Anomalies in the last sample.", &["severity"])
            }
            Self::SourceUp => {
                ("serin_source_up", GAUGE, "1 when the source answered last time.", &["source"])
            }
            Self::SourceSeconds => {
                ("serin_source_seconds", GAUGE, "How long the last round took.", &["source"])
            }
            Self::MetricValue => {
                ("serin_metric_value", GAUGE, "What the user's own query gave.", &["metric", "version"])
            }
            Self::MetricState => (
                "serin_metric_state",
                GAUGE,
                "1 for where the user's own limit stands: kept, broken or unknown.",
                &["metric", "state"],
            ),
            Self::GoalUsers => (
                "serin_goal_users",
                GAUGE,
                "Users who reached the goal in the running stratum.",
                &["goal", "version"],
            ),
            Self::GoalEvidence => (
                "serin_goal_evidence",
                GAUGE,
                "E-value of a guardrail's harm, 1 is none.",
                &["goal", "guardrail"],
            ),
            Self::AlertsFiring => ("serin_alerts_firing", GAUGE, "Alerts that are so now.", &[]),
        }
    }

    /// As Prometheus sees it.
    pub fn name(self) -> &'static str {
        self.facts().0
    }
}

/// A number with its labels after `canary`, in the family's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Which family.
    pub family: Family,
    /// The labels' values.
    pub labels: Vec<String>,
    /// What it is.
    pub value: Value,
}

/// What a series holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// One number.
    Number(f64),
    /// Upper bounds with cumulative counts; sum and count.
    Histogram(Vec<(f64, u64)>, f64, u64),
}

impl Series {
    /// One number.
    pub fn number(family: Family, labels: &[&str], value: f64) -> Self {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Self { family, labels, value: Value::Number(value) }
    }
}

/// All canaries' numbers.
#[derive(Clone)]
pub struct Board {
    canaries: Arc<Mutex<BTreeMap<String, Vec<Series>>>>,
    descriptions: Arc<Vec<Desc>>,
}

impl Board {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let describe = |family: &Family| {
            let (name, _, help, labels) = family.facts();
            let labels = std::iter::once("canary").chain(labels.iter().copied()).map(str::to_owned);
            Desc::new(name.to_owned(), help.to_owned(), labels.collect(), HashMap::new())
        };
        let descriptions = Family::ALL.iter().map(describe).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { canaries: Arc::default(), descriptions: Arc::new(descriptions) })
    }

    /// Replaces a canary's numbers.
    pub fn show(&self, canary: &str, series: Vec<Series>) {
        self.canaries.lock().unwrap_or_else(PoisonError::into_inner).insert(canary.to_owned(), series);
    }

    /// A canary that is gone has no numbers.
    pub(super) fn forget(&self, canary: &str) {
        self.canaries.lock().unwrap_or_else(PoisonError::into_inner).remove(canary);
    }
}

impl Collector for Board {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let canaries = self.canaries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut families: BTreeMap<Family, Vec<Metric>> = BTreeMap::new();
        for (canary, series) in canaries.iter() {
            for one in series {
                families.entry(one.family).or_default().push(metric(canary, one));
            }
        }
        let family = |(family, metrics): (Family, Vec<Metric>)| {
            let (name, kind, help, _) = family.facts();
            let mut out = MetricFamily::default();
            out.set_name(name.to_owned());
            out.set_help(help.to_owned());
            out.set_field_type(kind);
            out.set_metric(metrics);
            out
        };
        families.into_iter().map(family).collect()
    }
}

fn metric(canary: &str, series: &Series) -> Metric {
    let (_, kind, _, names) = series.family.facts();
    let pair = |name: &str, value: &str| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    let mut labels = vec![pair("canary", canary)];
    labels.extend(names.iter().zip(&series.labels).map(|(name, value)| pair(name, value)));
    let mut metric = Metric::from_label(labels);
    match &series.value {
        Value::Number(value) if kind == MetricType::COUNTER => {
            let mut counter = Counter::default();
            counter.set_value(*value);
            metric.set_counter(counter);
        }
        Value::Number(value) => {
            let mut gauge = Gauge::default();
            gauge.set_value(*value);
            metric.set_gauge(gauge);
        }
        Value::Histogram(bounds, sum, count) => {
            let bucket = |(bound, count): &(f64, u64)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(*bound);
                bucket.set_cumulative_count(*count);
                bucket
            };
            let mut histogram = Histogram::default();
            histogram.set_bucket(bounds.iter().map(bucket).collect());
            histogram.set_sample_sum(*sum);
            histogram.set_sample_count(*count);
            metric.set_histogram(histogram);
        }
    }
    metric
}
