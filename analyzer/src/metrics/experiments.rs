//! Numbers of the experiments at `/metrics`: replaced as a whole once a second, like the canaries'. Those that
//! have ended are counted and have no series of their own.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// `serin_experiments`
    Experiments,
    /// `serin_experiment_step`
    Step,
    /// `serin_experiment_share_percent`
    Share,
    /// `serin_experiment_exposures_total`
    Exposures,
    /// `serin_experiment_conversions_total`
    Conversions,
    /// `serin_experiment_goal_events_total`
    Events,
    /// `serin_experiment_goal_value`
    Value,
    /// `serin_experiment_loose_total`
    Loose,
}

/// What it is called, what it is, what it says, and its labels.
type Facts = (&'static str, MetricType, &'static str, &'static [&'static str]);

impl Family {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Experiments,
        Self::Step,
        Self::Share,
        Self::Exposures,
        Self::Conversions,
        Self::Events,
        Self::Value,
        Self::Loose,
    ];

    fn facts(self) -> Facts {
        use MetricType::{COUNTER, GAUGE};
        let goal = &["experiment", "arm", "goal"];
        match self {
            Self::Experiments => {
                ("serin_experiments", GAUGE, "Experiments by where they stand.", &["status"])
            }
            Self::Step => ("serin_experiment_step", GAUGE, "The experiment's step.", &["experiment"]),
            Self::Share => {
                ("serin_experiment_share_percent", GAUGE, "The arm's share.", &["experiment", "arm"])
            }
            Self::Exposures => (
                "serin_experiment_exposures_total",
                COUNTER,
                "Distinct users of the arm, each once a step.",
                &["experiment", "arm"],
            ),
            Self::Conversions => (
                "serin_experiment_conversions_total",
                COUNTER,
                "Distinct users of the arm who reached the goal, each once a step.",
                goal,
            ),
            Self::Events => {
                ("serin_experiment_goal_events_total", COUNTER, "How often the goal was reached.", goal)
            }
            Self::Value => ("serin_experiment_goal_value", GAUGE, "The sum of the goal's values.", goal),
            Self::Loose => (
                "serin_experiment_loose_total",
                COUNTER,
                "What could not be counted: unexposed, crossed or unknown.",
                &["experiment", "kind"],
            ),
        }
    }

    /// As Prometheus sees it.
    pub fn name(self) -> &'static str {
        self.facts().0
    }
}

/// A number with its labels, in the family's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Which family.
    pub family: Family,
    /// The labels' values.
    pub labels: Vec<String>,
    /// What it is.
    pub value: f64,
}

impl Series {
    /// One number.
    pub fn of(family: Family, labels: &[&str], value: f64) -> Self {
        Self { family, labels: labels.iter().map(|label| (*label).to_owned()).collect(), value }
    }
}

/// All experiments' numbers.
#[derive(Clone)]
pub struct Board {
    series: Arc<Mutex<Vec<Series>>>,
    descriptions: Arc<Vec<Desc>>,
}

impl Board {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let describe = |family: &Family| {
            let (name, _, help, labels) = family.facts();
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        };
        let descriptions = Family::ALL.iter().map(describe).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { series: Arc::default(), descriptions: Arc::new(descriptions) })
    }

    /// Replaces all numbers.
    pub fn show(&self, series: Vec<Series>) {
        *self.series.lock().unwrap_or_else(PoisonError::into_inner) = series;
    }
}

impl Collector for Board {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let mut families: BTreeMap<Family, Vec<Metric>> = BTreeMap::new();
        for one in series.iter() {
            families.entry(one.family).or_default().push(metric(one));
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

fn metric(series: &Series) -> Metric {
    let (_, kind, _, names) = series.family.facts();
    let pair = |(name, value): (&&str, &String)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value.clone());
        pair
    };
    let mut metric = Metric::from_label(names.iter().zip(&series.labels).map(pair).collect());
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(series.value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(series.value);
        metric.set_gauge(gauge);
    }
    metric
}
