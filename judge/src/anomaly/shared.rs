//! Across services: error rates that rise together have a cause that they share, not this release.

use super::{Anomaly, CORRELATION, Kind, Severity, last};
use crate::sample::{Sample, Samples};
use crate::statistics::{normal_quantile, pearson_above, spearman};
use crate::time::Time;
use serin_contract::Arm;
use std::collections::BTreeSet;

/// The level at which two series rise together, over all pairs that are looked at.
const LEVEL: f64 = 0.01;
/// The last samples that must be worse than those before them.
const RECENT: usize = 5;

/// A canary with its samples.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// Such as `default/shop`.
    pub name: &'a str,
    /// Of both versions.
    pub samples: &'a Samples,
}

/// One version of one service whose error rate has risen.
struct Series<'a> {
    service: &'a str,
    arm: Arm,
    samples: &'a [Sample],
}

/// Groups of services whose error rates, in one version or both, rise together over the last 20 samples:
/// risen beyond chance each, and rank-correlated with each other. One anomaly for each group; a service
/// alone, though both of its versions rise, is none.
pub fn shared(services: &[Service<'_>]) -> Vec<Anomaly> {
    let all: Vec<Series<'_>> = services.iter().flat_map(series).collect();
    let pairs = (all.len() * all.len().saturating_sub(1) / 2).max(1) as f64;
    let risen: Vec<&Series<'_>> = all.iter().filter(|series| has_risen(series, all.len())).collect();
    let mut groups: Vec<(BTreeSet<usize>, f64)> = Vec::new();
    for (second, b) in risen.iter().enumerate() {
        for (first, a) in risen.iter().enumerate().take(second) {
            let together = if a.service == b.service { None } else { together(a, b) };
            if let Some(p) = together.filter(|p| p * pairs < LEVEL) {
                join(&mut groups, first, second, (p * pairs).min(1.0));
            }
        }
    }
    groups
        .iter()
        .map(|(members, p)| anomaly(members.iter().filter_map(|place| risen.get(*place)), *p))
        .collect()
}

/// The versions that have 20 samples with requests.
fn series<'a>(service: &Service<'a>) -> Vec<Series<'a>> {
    let of = |(arm, samples): (Arm, &'a Vec<Sample>)| {
        let samples = last(samples, CORRELATION);
        let full = samples.len() == CORRELATION && samples.iter().all(|sample| sample.requests > 0);
        full.then_some(Series { service: service.name, arm, samples })
    };
    service.samples.iter().filter_map(of).collect()
}

/// Whether the last samples' error rate is above that of those before them, beyond chance.
fn has_risen(series: &Series<'_>, looks: usize) -> bool {
    let (before, recent) = series.samples.split_at(CORRELATION - RECENT);
    let sum = |samples: &[Sample]| {
        samples.iter().fold((0.0, 0.0), |(errors, requests), sample| {
            (errors + sample.errors as f64, requests + sample.requests as f64)
        })
    };
    let ((k0, n0), (k1, n1)) = (sum(before), sum(recent));
    // Half an error more, so that a past without errors has a deviation too.
    let p = (k0 + k1 + 0.5) / (n0 + n1 + 1.0);
    let deviation = (p * (1.0 - p) * (1.0 / n0 + 1.0 / n1)).sqrt();
    k1 / n1 - k0 / n0 > deviation * normal_quantile(1.0 - LEVEL / looks as f64)
}

/// How probable a rank correlation so high is by chance. Services have their own ticks, so each sample of
/// one is held against the other's latest before it.
fn together(a: &Series<'_>, b: &Series<'_>) -> Option<f64> {
    let at = |time: Time| b.samples.iter().rev().find(|sample| sample.time <= time);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for sample in a.samples {
        if let (Some(one), Some(other)) = (sample.error_rate(), at(sample.time).and_then(Sample::error_rate))
        {
            x.push(one);
            y.push(other);
        }
    }
    // Few that meet in time say nothing.
    if x.len() < CORRELATION / 2 {
        return None;
    }
    pearson_above(spearman(&x, &y)?, x.len())
}

/// Two series belong together, and with them all that belong to either.
fn join(groups: &mut Vec<(BTreeSet<usize>, f64)>, first: usize, second: usize, p: f64) {
    let mut joined = (BTreeSet::from([first, second]), p);
    groups.retain(|(members, p)| {
        let apart = !members.contains(&first) && !members.contains(&second);
        if !apart {
            joined.0.extend(members);
            joined.1 = joined.1.max(*p);
        }
        apart
    });
    groups.push(joined);
}

fn anomaly<'a>(members: impl Iterator<Item = &'a &'a Series<'a>>, p: f64) -> Anomaly {
    let mut services: Vec<String> =
        members.map(|series| format!("{} ({})", series.service, series.arm.name())).collect();
    services.sort();
    let message = format!(
        "error rates rise together in {}: look for what they share before blaming a release (rank correlation, \
         p = {p:.2e})",
        services.join(", ")
    );
    Anomaly {
        metric: Some("errors".into()),
        p_value: Some(p),
        services,
        ..Anomaly::new(Kind::SharedRise, Severity::High, message)
    }
}
