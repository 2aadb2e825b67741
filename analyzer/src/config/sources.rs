//! Sources and metrics' limits, checked.

use super::token::one_token;
use crate::kinds::{
    ApplicationSpec, MetricSpec, PrometheusSpec, QueriesSpec, RangeSpec, Seconds, SourcesSpec,
};
use crate::sources::{Application, Limit, Prometheus, Range, Server, Sources, Standard, Template};
use hyper::Uri;
use serde::Deserialize;
use serin_contract::{FieldError, PerArm};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Metrics of one canary at most: each is up to two queries a round.
const MAX_METRICS: usize = 32;

/// The program's Prometheus.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ServerSpec {
    url: String,
    timeout: Option<Seconds>,
    token_file: Option<PathBuf>,
}

/// Checks a canary's `sources` and `metrics`.
pub(super) fn compile(
    raw: SourcesSpec,
    metrics: Vec<MetricSpec>,
    base: &Path,
) -> Result<Sources, FieldError> {
    let application = raw.application.as_ref().map(compile_application).transpose();
    let prometheus = compile_prometheus(raw.prometheus, base);
    Ok(Sources {
        application: application.map_err(|error| error.under("sources.application"))?,
        prometheus: prometheus.map_err(|error| error.under("sources.prometheus"))?,
        limits: compile_metrics(metrics)?,
    })
}

fn compile_application(raw: &ApplicationSpec) -> Result<Application, FieldError> {
    Ok(Application {
        urls: PerArm { stable: url("stable", &raw.stable)?, canary: url("canary", &raw.canary)? },
        timeout: timeout(raw.timeout)?,
    })
}

fn compile_prometheus(raw: PrometheusSpec, base: &Path) -> Result<Prometheus, FieldError> {
    let server = match raw.url {
        Some(url) => {
            let (timeout, token_file) = (raw.timeout, raw.token_file);
            Some(compile_server(ServerSpec { url, timeout, token_file }, base)?)
        }
        None if raw.timeout.is_some() || raw.token_file.is_some() => {
            let message = "is missing beside timeout or tokenFile: give all of them, or none";
            return Err(FieldError::new("url", message));
        }
        None => None,
    };
    let interval = length("interval", raw.interval, Duration::from_secs(60), 1, 86_400)?;
    Ok(Prometheus { server, interval, queries: compile_queries(raw.queries)? })
}

/// The program's Prometheus, or a canary's own.
pub(super) fn compile_server(raw: ServerSpec, base: &Path) -> Result<Server, FieldError> {
    let token = raw.token_file.map(|file| one_token("tokenFile", &base.join(file))).transpose()?;
    Ok(Server { url: url("url", &raw.url)?, timeout: timeout(raw.timeout)?, token })
}

fn compile_queries(mut raw: QueriesSpec) -> Result<Vec<(Standard, Template)>, FieldError> {
    let mut queries = Vec::new();
    for standard in Standard::ALL {
        let given = match standard {
            Standard::RequestRate => raw.request_rate.take(),
            Standard::ErrorRate => raw.error_rate.take(),
            Standard::LatencyP95 => raw.latency_p95.take(),
            Standard::CpuPercent => raw.cpu_percent.take(),
            Standard::MemoryBytes => raw.memory_bytes.take(),
            Standard::ActiveConnections => raw.active_connections.take(),
        };
        let query = given.unwrap_or_else(|| standard.query().to_owned());
        if query.trim().is_empty() {
            continue;
        }
        let at = || format!("queries.{}", standard.name());
        let template = Template::parse(&query).map_err(|error| FieldError::new(at(), error.to_string()))?;
        if !template.is_by_version() {
            let message = "is the same for both versions: name {{version}}, {{arm}} or {{cluster}} in it";
            return Err(FieldError::new(at(), message));
        }
        queries.push((standard, template));
    }
    Ok(queries)
}

fn compile_metrics(raw: Vec<MetricSpec>) -> Result<Vec<Limit>, FieldError> {
    if raw.len() > MAX_METRICS {
        return Err(FieldError::new("metrics", format!("{} are too many: at most {MAX_METRICS}", raw.len())));
    }
    let mut limits: Vec<Limit> = Vec::with_capacity(raw.len());
    for (index, metric) in raw.into_iter().enumerate() {
        let known = limits.iter().any(|limit| limit.name == metric.name);
        let limit =
            compile_metric(metric, known).map_err(|error| error.under(&format!("metrics[{index}]")))?;
        limits.push(limit);
    }
    Ok(limits)
}

fn compile_metric(raw: MetricSpec, known: bool) -> Result<Limit, FieldError> {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if known || raw.name.is_empty() || raw.name.len() > 63 || !raw.name.chars().all(letters) {
        let message =
            format!("`{}` is there twice, or not of 1 to 63 letters, digits, `-` and `_`", raw.name);
        return Err(FieldError::new("name", message));
    }
    let query = Template::parse(&raw.query).map_err(|error| FieldError::new("query", error.to_string()))?;
    if raw.query.trim().is_empty() {
        return Err(FieldError::new("query", "is empty: write PromQL that gives one number"));
    }
    for (field, value) in [("max", raw.max), ("min", raw.min), ("maxIncrease", raw.max_increase)] {
        if value.is_some_and(|value| !value.is_finite()) {
            return Err(FieldError::new(field, "is no number"));
        }
    }
    if raw.max.or(raw.min).or(raw.max_increase).is_none() {
        return Err(FieldError::new("max", "is not there, nor min nor maxIncrease: give at least one"));
    }
    if raw.max_increase.is_some_and(|increase| increase < 0.0) {
        return Err(FieldError::new("maxIncrease", "is negative: give the percent that is allowed, from 0"));
    }
    if raw.max_increase.is_some() && !query.is_by_version() {
        let message = "needs a query by version: name {{version}}, {{arm}} or {{cluster}} in it";
        return Err(FieldError::new("maxIncrease", message));
    }
    let range = raw.range.as_ref().map(compile_range).transpose().map_err(|error| error.under("range"))?;
    Ok(Limit {
        name: raw.name,
        query,
        range,
        max: raw.max,
        min: raw.min,
        max_increase: raw.max_increase,
        on_breach: raw.on_breach.into(),
    })
}

fn compile_range(raw: &RangeSpec) -> Result<Range, FieldError> {
    let whole = length("length", Some(raw.length), Duration::ZERO, 1, 7 * 86_400)?;
    let step = length("step", raw.step, Duration::from_secs(15).min(whole), 1, 86_400)?;
    // Prometheus refuses more than 11,000 points.
    if whole.as_secs_f64() / step.as_secs_f64() > 10_000.0 || step > whole {
        return Err(FieldError::new("step", "must fit 1 to 10000 times into length"));
    }
    Ok(Range { length: whole, step, reduce: raw.reduce })
}

/// An address on http or https.
pub(super) fn url(field: &str, text: &str) -> Result<Uri, FieldError> {
    match text.parse::<Uri>() {
        Ok(url)
            if matches!(url.scheme_str(), Some("http" | "https"))
                && url.host().is_some()
                && url.query().is_none() =>
        {
            Ok(url)
        }
        Ok(_) | Err(_) => {
            let message =
                format!("`{text}` is not allowed: write http://HOST:PORT or https://HOST:PORT/PATH");
            Err(FieldError::new(field, message))
        }
    }
}

/// How long an answer may take: 5 s, or as given.
pub(super) fn timeout(given: Option<Seconds>) -> Result<Duration, FieldError> {
    let timeout = given.map_or(Duration::from_secs(5), |seconds| seconds.0);
    if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&timeout) {
        return Err(FieldError::new("timeout", "is out of range: 100ms to 1m"));
    }
    Ok(timeout)
}

fn length(
    field: &str,
    given: Option<Seconds>,
    otherwise: Duration,
    least: u64,
    most: u64,
) -> Result<Duration, FieldError> {
    let length = given.map_or(otherwise, |seconds| seconds.0);
    let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
    if length < least || length > most {
        let show = humantime::format_duration;
        return Err(FieldError::new(field, format!("is out of range: {} to {}", show(least), show(most))));
    }
    Ok(length)
}
