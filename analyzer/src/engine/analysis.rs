//! What a tick adds to the rules: SLOs and anomalies of the samples, and the user's own limits.

use super::rollout::{Rollout, SAMPLES};
use crate::sources::limit::Finding as Said;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use serin_contract::{Arm, PerArm};
use serin_judge::anomaly::{self, Anomaly};
use serin_judge::histogram::Histogram;
use serin_judge::rules::{Finding, OnBreach};
use serin_judge::sample::{Latency, Sample, Samples};
use serin_judge::slo::{self, Standing};
use serin_judge::time::Time;

/// What the last tick made of the samples.
#[derive(Debug, Default)]
pub(super) struct Analysis {
    /// The last samples of both versions.
    pub(super) samples: Samples,
    /// By version: each SLO's name and where it stands.
    pub(super) standings: PerArm<Vec<(String, Standing)>>,
    pub(super) anomalies: Vec<Anomaly>,
    /// Budgets that the canary alone burns too fast.
    pub(super) burning: Vec<(String, Finding)>,
}

impl Rollout {
    /// Takes in a sample, and writes SLOs and anomalies into it. `shared` are those that services of several
    /// canaries have together.
    pub(super) fn analyse(&mut self, sample: &mut Value, shared: &[Anomaly], now: Time) {
        for (arm, sample) in read(sample).iter() {
            let samples = self.analysis.samples.get_mut(arm);
            samples.push(sample.clone());
            samples.drain(..samples.len().saturating_sub(SAMPLES));
        }
        let (samples, slos) = (&self.analysis.samples, &self.spec.slos);
        let standings = |arm| {
            let standing = |slo: &slo::Slo| Some((slo.name.clone(), slo.standing(samples.get(arm), now)?));
            slos.iter().filter_map(standing).collect::<Vec<_>>()
        };
        let standings = PerArm { stable: standings(Arm::Stable), canary: standings(Arm::Canary) };
        let alpha = self.spec.settings.false_rollback_rate;
        let burning =
            slos.iter().filter_map(|slo| Some((slo.name.clone(), slo::finding(slo, samples, alpha, now)?)));
        let burning = burning.collect();
        let mut anomalies = anomaly::detect(samples);
        let id = self.spec.id.to_string();
        let concerned = |anomaly: &&Anomaly| anomaly.services.iter().any(|service| names(service, &id));
        anomalies.extend(shared.iter().filter(concerned).cloned());
        if let Some(sample) = sample.as_object_mut() {
            let scores = |arm| {
                let scores: &Vec<(String, Standing)> = standings.get(arm);
                scores.iter().map(|(name, standing)| (name.clone(), json!(standing))).collect::<Map<_, _>>()
            };
            sample.insert(
                "slo".into(),
                json!({ "stable": scores(Arm::Stable), "canary": scores(Arm::Canary) }),
            );
            sample.insert("anomalies".into(), json!(anomalies));
        }
        for anomaly in
            anomalies.iter().filter(|found| !self.analysis.anomalies.iter().any(|known| same(known, found)))
        {
            let (canary, kind) = (&self.spec.id, anomaly.kind.name());
            tracing::warn!(%canary, kind, severity = ?anomaly.severity, message = %anomaly.message, "anomaly");
        }
        (self.analysis.standings, self.analysis.anomalies, self.analysis.burning) =
            (standings, anomalies, burning);
    }

    /// Another rollout: the samples before it are another's.
    pub(super) fn begin_analysis(&mut self) {
        self.analysis = Analysis::default();
    }

    /// After a restart: the samples as the store has them.
    pub(super) fn resume_analysis(&mut self, samples: &[Value]) {
        for sample in samples {
            for (arm, sample) in read(sample).iter() {
                self.analysis.samples.get_mut(arm).push(sample.clone());
            }
        }
    }

    /// Rule 7: the user's own limits that are broken or cannot be known, and budgets that burn too fast.
    pub(super) fn findings(&self, now: Time) -> Vec<Finding> {
        let (limits, round) = (&self.spec.sources.limits, self.spec.settings.analysis_interval);
        let said = self.ledger.findings(limits, round, now);
        let of_limit = limits.iter().zip(said).filter_map(|(limit, said)| match (said, limit.on_breach) {
            (Said::Kept, _) => None,
            (Said::Broken(reason), breach) => Some(Finding { breach, reason }),
            (Said::Unknown(reason), OnBreach::Warn) => Some(Finding { breach: OnBreach::Warn, reason }),
            // What cannot be known fails nobody.
            (Said::Unknown(reason), OnBreach::Fail | OnBreach::Hold) => {
                Some(Finding { breach: OnBreach::Hold, reason })
            }
        });
        of_limit.chain(self.analysis.burning.iter().map(|(_, finding)| finding.clone())).collect()
    }
}

/// Whether a service's name, which may have its version after it, is this canary's.
fn names(service: &str, canary: &str) -> bool {
    service
        .strip_prefix(canary)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || "-._".contains(c)))
}

/// Whether two anomalies are the same one, seen twice.
pub(super) fn same(one: &Anomaly, other: &Anomaly) -> bool {
    (one.kind, one.version) == (other.kind, other.version)
}

/// A stored sample as the judge reads it. What is not there was not measured.
fn read(sample: &Value) -> PerArm<Sample> {
    let time = Time(sample.get("timestamp").and_then(Value::as_u64).unwrap_or(0));
    let version = |arm: &str| {
        let version = sample.pointer(&format!("/versions/{arm}")).unwrap_or(&Value::Null);
        let count = |field: &str| version.get(field).and_then(Value::as_u64).unwrap_or(0);
        let real = |field: &str| version.get(field).and_then(Value::as_f64);
        let buckets = version.get("latency").and_then(|latency| Histogram::deserialize(latency).ok());
        let custom = version.get("custom").and_then(Value::as_object).into_iter().flatten();
        Sample {
            time,
            requests: count("requests"),
            errors: count("errors"),
            latency: buckets.map_or(Latency::Unknown, |buckets| Latency::Buckets((&buckets).into())),
            cpu_percent: real("cpu_percent"),
            memory_bytes: real("memory_bytes"),
            active_connections: real("active_connections"),
            custom: custom.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect(),
        }
    };
    PerArm { stable: version("stable"), canary: version("canary") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_sample_reads_as_it_was_taken() {
        let sample = json!({
            "timestamp": 5000,
            "versions": {
                "stable": { "requests": 3, "errors": 1, "latency": [[214, 2], [215, 1]], "cpu_percent": null },
                "canary": { "requests": 2, "errors": 0, "latency": [], "cpu_percent": 12.5, "custom": { "carts": 4.0 } },
            },
        });
        let read = read(&sample);
        assert_eq!((read.stable.time, read.stable.requests, read.stable.errors), (Time(5000), 3, 1));
        let Latency::Buckets(latency) = &read.stable.latency else { panic!("buckets") };
        assert_eq!(latency.iter().collect::<Vec<_>>(), [(214, 2), (215, 1)]);
        assert_eq!((read.canary.cpu_percent, read.stable.cpu_percent), (Some(12.5), None));
        assert_eq!(read.canary.custom["carts"], 4.0);
    }

    #[test]
    fn a_canary_is_concerned_by_its_own_name_only() {
        assert!(names("web/shop", "web/shop") && names("web/shop (canary)", "web/shop"));
        assert!(!names("web/shop-2", "web/shop") && !names("other/shop", "web/shop"));
    }
}
