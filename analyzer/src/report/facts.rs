//! What pages show, taken out of a report's samples and canary. What is not there is left out.

use super::{Affected, Report};
use serde_json::Value;
use serin_contract::{Arm, PerArm};
use std::collections::BTreeMap;

/// Numbers over time: seconds since the rollout began, and the value.
pub(super) type Line = Vec<(f64, f64)>;

/// Bounds over time: seconds since the rollout began, the lower and the upper one.
pub(super) type Band = Vec<(f64, f64, f64)>;

/// One version's lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// In percent.
    pub(super) rate: Line,
    /// In percent: seconds, lower and upper bound.
    pub(super) band: Band,
    /// In seconds.
    pub(super) p95: Line,
    /// 0 to 100, by SLO.
    pub(super) slo: BTreeMap<String, Line>,
}

/// An anomaly, and in how many of the samples it was.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) what: String,
    pub(super) severity: String,
    pub(super) text: String,
    pub(super) first: f64,
    pub(super) samples: usize,
}

impl Report {
    /// A sample's number by its path, over time.
    pub(super) fn line(&self, path: &str) -> Line {
        let points = self.samples.iter().filter_map(|sample| Some((self.at(sample)?, number(sample, path)?)));
        points.collect()
    }

    pub(super) fn lines(&self, arm: Arm) -> Lines {
        let of = |field: &str| self.line(&format!("/versions/{arm}/{field}"));
        let band = self.samples.iter().filter_map(|sample| {
            let bound = |side| number(sample, &format!("/versions/{arm}/error_rate_interval/{side}"));
            Some((self.at(sample)?, bound(0)?, bound(1)?))
        });
        Lines { rate: of("error_rate"), band: band.collect(), p95: of("latency_p95"), slo: self.slo(arm) }
    }

    fn slo(&self, arm: Arm) -> BTreeMap<String, Line> {
        let mut lines: BTreeMap<String, Line> = BTreeMap::new();
        for sample in &self.samples {
            let scores = sample.pointer(&format!("/slo/{arm}")).and_then(Value::as_object);
            for (name, score) in scores.into_iter().flatten() {
                let score = score.as_f64().or_else(|| score.get("score")?.as_f64());
                if let (Some(time), Some(score)) = (self.at(sample), score) {
                    lines.entry(name.clone()).or_default().push((time, score));
                }
            }
        }
        lines
    }

    /// Each kind of anomaly once.
    pub(super) fn anomalies(&self) -> Vec<Seen> {
        let mut seen: Vec<Seen> = Vec::new();
        for sample in &self.samples {
            let anomalies = sample.get("anomalies").and_then(Value::as_array);
            for anomaly in anomalies.into_iter().flatten() {
                let text = |field: &str| anomaly.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
                let what = [text("version"), text("type")].join(" ").trim().to_owned();
                match seen.iter_mut().find(|known| known.what == what) {
                    Some(known) => known.samples += 1,
                    None => seen.push(Seen {
                        what,
                        severity: text("severity"),
                        text: text("message"),
                        first: self.at(sample).unwrap_or(0.0),
                        samples: 1,
                    }),
                }
            }
        }
        seen
    }

    /// Seconds since the rollout began.
    fn at(&self, sample: &Value) -> Option<f64> {
        let time = sample.get("timestamp")?.as_f64()?;
        Some((time - self.started.0 as f64) / 1e3)
    }

    pub(super) fn text(&self, path: &str) -> &str {
        self.canary.pointer(path).and_then(Value::as_str).unwrap_or("")
    }

    pub(super) fn number(&self, path: &str) -> Option<f64> {
        number(&self.canary, path)
    }

    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.text("/namespace"), self.text("/name"))
    }

    pub(super) fn version(&self, arm: Arm) -> &str {
        match arm {
            Arm::Stable => self.text("/stableVersion"),
            Arm::Canary => self.text("/canaryVersion"),
        }
    }

    /// What was decided, in a few words.
    pub(super) fn decision(&self) -> &'static str {
        match self.kind.as_str() {
            "rollback" => "Rolled back",
            "success" => "Succeeded",
            _ => "Running",
        }
    }

    /// Why: the last line of history, or what the judge thinks while it runs.
    pub(super) fn reason(&self) -> &str {
        let last = self.history().last().and_then(|line| line.get("reason")).and_then(Value::as_str);
        match (self.kind.as_str(), last) {
            ("rollback" | "success", Some(reason)) => reason,
            (_, _) => self.text("/verdict/reason"),
        }
    }

    pub(super) fn history(&self) -> &[Value] {
        self.canary.get("history").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Lines of history of this rollout: seconds since its beginning, and the line.
    pub(super) fn steps(&self) -> impl Iterator<Item = (f64, &Value)> {
        let begun = self.started.0 as f64;
        self.history().iter().filter_map(move |line| {
            let time = line.get("time")?.as_f64()?;
            (time >= begun).then_some(((time - begun) / 1e3, line))
        })
    }

    /// Requests and errors of the whole rollout.
    pub(super) fn totals(&self) -> PerArm<(u64, u64)> {
        let of = |arm: &str, field: &str| {
            let path = format!("/totals/{arm}/{field}");
            self.canary.pointer(&path).and_then(Value::as_u64).unwrap_or(0)
        };
        PerArm {
            stable: (of("stable", "requests"), of("stable", "errors")),
            canary: (of("canary", "requests"), of("canary", "errors")),
        }
    }

    pub(super) fn affected(&self, arm: Arm) -> Affected {
        *self.affected.get(arm)
    }

    /// How long it took, in seconds.
    pub(super) fn length(&self) -> f64 {
        self.time.since(self.started).as_secs_f64()
    }
}

fn number(value: &Value, path: &str) -> Option<f64> {
    value.pointer(path)?.as_f64()
}
