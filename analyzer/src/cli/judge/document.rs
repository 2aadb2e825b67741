//! A recorded history as it is written, with the reference's names; and what it means.

use serde::Deserialize;
use serin_contract::FieldError;
use serin_judge::rules::OnBreach;
use serin_judge::sample::{Latency, Sample, Samples};
use serin_judge::settings::{Decisions, Limits, Settings};
use serin_judge::slo::{Objective, Slo};
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    config: Config,
    samples: SamplesDocument,
}

/// The reference's configuration. What only a running release needs is taken and not looked at.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Config {
    max_error_rate: Option<f64>,
    max_latency_increase: Option<f64>,
    min_request_count: Option<u64>,
    min_error_increase: Option<f64>,
    false_rollback_rate: Option<f64>,
    decisions: DecisionsDocument,
    slos: Option<Vec<SloDocument>>,
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "namespace")]
    _namespace: Option<String>,
    #[serde(rename = "stable_version")]
    _stable_version: Option<String>,
    #[serde(rename = "canary_version")]
    _canary_version: Option<String>,
    #[serde(rename = "initial_canary_weight")]
    _initial_canary_weight: Option<f64>,
    #[serde(rename = "canary_increment")]
    _canary_increment: Option<f64>,
    #[serde(rename = "max_canary_weight")]
    _max_canary_weight: Option<f64>,
    #[serde(rename = "promotion_interval_seconds")]
    _promotion_interval_seconds: Option<f64>,
    #[serde(rename = "analysis_interval_seconds")]
    _analysis_interval_seconds: Option<f64>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum DecisionsDocument {
    #[default]
    Evidence,
    Point,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SloDocument {
    name: String,
    metric_type: MetricType,
    target: Option<f64>,
    threshold: Option<f64>,
    window_minutes: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum MetricType {
    Availability,
    Latency,
    ErrorRate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SamplesDocument {
    stable: Vec<SampleDocument>,
    canary: Vec<SampleDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleDocument {
    timestamp: Timestamp,
    requests: u64,
    errors: u64,
    latencies: Option<Vec<f64>>,
    latency_p50: Option<f64>,
    latency_p95: Option<f64>,
    latency_p99: Option<f64>,
    cpu_percent: Option<f64>,
    memory_bytes: Option<f64>,
    active_connections: Option<f64>,
    #[serde(default)]
    custom: BTreeMap<String, f64>,
}

/// Seconds since 1970, or RFC 3339.
#[derive(Deserialize)]
#[serde(untagged, expecting = "seconds since 1970, or a time such as 2026-01-31T12:00:00Z")]
enum Timestamp {
    Seconds(f64),
    Text(String),
}

/// A history that can be judged.
pub(super) struct History {
    pub(super) settings: Settings,
    pub(super) slos: Vec<Slo>,
    pub(super) samples: Samples,
}

impl Document {
    pub(super) fn compile(self) -> Result<History, FieldError> {
        let slos = match &self.config.slos {
            None => Slo::defaults(),
            Some(slos) => {
                let slo = |(place, slo): (usize, &SloDocument)| {
                    slo.compile().map_err(|error| error.under(&format!("config.slos[{place}]")))
                };
                slos.iter().enumerate().map(slo).collect::<Result<_, _>>()?
            }
        };
        Ok(History {
            settings: self.config.compile().map_err(|error| error.under("config"))?,
            slos,
            samples: Samples {
                stable: version(self.samples.stable).map_err(|error| error.under("samples.stable"))?,
                canary: version(self.samples.canary).map_err(|error| error.under("samples.canary"))?,
            },
        })
    }
}

/// A number within bounds, or an error that says which are allowed.
fn within(path: &str, value: f64, low: f64, high: f64) -> Result<f64, FieldError> {
    if value >= low && value <= high {
        return Ok(value);
    }
    let high = if high == f64::MAX { "more".to_owned() } else { high.to_string() };
    Err(FieldError::new(path, format!("{value} is not allowed: {low} to {high}")))
}

impl Config {
    fn compile(&self) -> Result<Settings, FieldError> {
        let usual = Settings::default();
        let or = |path, value: Option<f64>, default, low, high| {
            value.map_or(Ok(default), |value| within(path, value, low, high))
        };
        let limits = &usual.limits;
        Ok(Settings {
            limits: Limits {
                max_error_rate: or("max_error_rate", self.max_error_rate, limits.max_error_rate, 0.0, 100.0)?,
                max_latency_increase: or(
                    "max_latency_increase",
                    self.max_latency_increase,
                    limits.max_latency_increase,
                    0.0,
                    f64::MAX,
                )?,
                min_error_increase: or(
                    "min_error_increase",
                    self.min_error_increase,
                    limits.min_error_increase,
                    0.0,
                    100.0,
                )?,
                min_request_count: self.min_request_count.unwrap_or(limits.min_request_count),
                slow_request: limits.slow_request,
            },
            false_rollback_rate: or(
                "false_rollback_rate",
                self.false_rollback_rate,
                usual.false_rollback_rate,
                1e-6,
                0.5,
            )?,
            decisions: match self.decisions {
                DecisionsDocument::Evidence => Decisions::Evidence,
                DecisionsDocument::Point => Decisions::Point,
            },
            ..usual
        })
    }
}

impl SloDocument {
    fn compile(&self) -> Result<Slo, FieldError> {
        let target = |default| within("target", self.target.unwrap_or(default), 0.001, 99.9999);
        let threshold = |default, high| within("threshold", self.threshold.unwrap_or(default), 0.0001, high);
        let objective = match self.metric_type {
            MetricType::Availability => Objective::Availability { target: target(99.9)? },
            MetricType::Latency => {
                Objective::Latency { target: target(95.0)?, threshold: threshold(0.5, 86_400.0)? }
            }
            MetricType::ErrorRate => Objective::ErrorRate { threshold: threshold(1.0, 100.0)? },
        };
        let minutes = within("window_minutes", self.window_minutes.unwrap_or(5.0), 0.1, 44_640.0)?;
        Ok(Slo {
            name: self.name.clone(),
            objective,
            window: Duration::from_secs_f64(60.0 * minutes),
            max_burn: 14.4,
            on_fast_burn: OnBreach::Warn,
        })
    }
}

/// A version's samples, in the order of their times.
fn version(documents: Vec<SampleDocument>) -> Result<Vec<Sample>, FieldError> {
    let sample = |(place, document): (usize, SampleDocument)| {
        document.compile().map_err(|error| error.under(&format!("[{place}]")))
    };
    let mut samples: Vec<Sample> = documents.into_iter().enumerate().map(sample).collect::<Result<_, _>>()?;
    samples.sort_by_key(|sample| sample.time);
    Ok(samples)
}

impl SampleDocument {
    fn compile(self) -> Result<Sample, FieldError> {
        if self.errors > self.requests {
            let message = format!("{} is not allowed: 0 to {}, the requests", self.errors, self.requests);
            return Err(FieldError::new("errors", message));
        }
        within("requests", self.requests as f64, 0.0, 1e15)?;
        let numbers = [
            ("latency_p50", self.latency_p50),
            ("latency_p95", self.latency_p95),
            ("latency_p99", self.latency_p99),
            ("cpu_percent", self.cpu_percent),
            ("memory_bytes", self.memory_bytes),
            ("active_connections", self.active_connections),
        ];
        for (path, value) in numbers {
            value.map_or(Ok(0.0), |value| within(path, value, 0.0, f64::MAX))?;
        }
        for (place, seconds) in self.latencies.iter().flatten().enumerate() {
            within(&format!("latencies[{place}]"), *seconds, 0.0, f64::MAX)?;
        }
        let quantiles = [self.latency_p50, self.latency_p95, self.latency_p99];
        let known: Vec<f64> = quantiles.into_iter().flatten().collect();
        if !known.is_sorted() {
            return Err(FieldError::new("latency_p95", "p50, p95 and p99 must not fall"));
        }
        let latency = match self.latencies {
            Some(seconds) if known.is_empty() => Latency::Seconds(seconds),
            Some(_) => {
                return Err(FieldError::new("latencies", "give them or latency_p50, p95 and p99, not both"));
            }
            None if known.is_empty() => Latency::Unknown,
            None => {
                Latency::Quantiles { p50: self.latency_p50, p95: self.latency_p95, p99: self.latency_p99 }
            }
        };
        Ok(Sample {
            time: self.timestamp.time().map_err(|message| FieldError::new("timestamp", message))?,
            requests: self.requests,
            errors: self.errors,
            latency,
            cpu_percent: self.cpu_percent,
            memory_bytes: self.memory_bytes,
            active_connections: self.active_connections,
            custom: self.custom,
        })
    }
}

impl Timestamp {
    fn time(&self) -> Result<Time, String> {
        let millis = match self {
            Self::Seconds(seconds) if (0.0..1e11).contains(seconds) => (1e3 * seconds).round() as u64,
            Self::Seconds(seconds) => {
                return Err(format!("{seconds} is not allowed: 0 to 1e11 seconds since 1970"));
            }
            Self::Text(text) => {
                let time = humantime::parse_rfc3339_weak(text)
                    .map_err(|_| format!("`{text}` is no time: allowed is such as 2026-01-31T12:00:00Z"))?;
                time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
            }
        };
        Ok(Time(millis))
    }
}
