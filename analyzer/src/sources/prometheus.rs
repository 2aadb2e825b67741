//! Asking Prometheus (HTTP API v1): instant and range queries, one number out.

use super::Template;
use crate::config::Token;
use crate::outgoing;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serin_judge::time::Time;
use std::time::Duration;

/// What a canary asks Prometheus.
#[derive(Debug, Clone, PartialEq)]
pub struct Prometheus {
    /// Its own Prometheus; without one, the program's.
    pub server: Option<Server>,
    /// The window of rates.
    pub interval: Duration,
    /// The usual numbers of each version.
    pub queries: Vec<(Standard, Template)>,
}

/// One Prometheus.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Its address, before `/api/v1`.
    pub url: Uri,
    /// How long all queries of one round may take together.
    pub timeout: Duration,
    /// What it asks for.
    pub token: Option<Token>,
}

/// The numbers that every version has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standard {
    /// Requests a second.
    RequestRate,
    /// Failed requests a second.
    ErrorRate,
    /// In seconds.
    LatencyP95,
    /// In percent of a core.
    CpuPercent,
    /// In bytes.
    MemoryBytes,
    /// Connections that Envoys hold open to it.
    ActiveConnections,
}

impl Standard {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::RequestRate,
        Self::ErrorRate,
        Self::LatencyP95,
        Self::CpuPercent,
        Self::MemoryBytes,
        Self::ActiveConnections,
    ];

    /// As in the configuration and in samples.
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestRate => "requestRate",
            Self::ErrorRate => "errorRate",
            Self::LatencyP95 => "latencyP95",
            Self::CpuPercent => "cpuPercent",
            Self::MemoryBytes => "memoryBytes",
            Self::ActiveConnections => "activeConnections",
        }
    }

    /// The query where none is given: traffic from the filter's and Envoy's statistics, the rest from
    /// cAdvisor.
    pub fn query(self) -> &'static str {
        match self {
            Self::RequestRate => {
                r#"sum(rate(serin_requests{serin_canary="{{canary}}",serin_arm="{{arm}}"}[{{interval}}]))"#
            }
            Self::ErrorRate => {
                r#"sum(rate(serin_errors{serin_canary="{{canary}}",serin_arm="{{arm}}"}[{{interval}}]))"#
            }
            Self::LatencyP95 => {
                r#"histogram_quantile(0.95, sum by (le) (rate(envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="{{cluster}}"}[{{interval}}]))) / 1000"#
            }
            Self::CpuPercent => {
                r#"avg(rate(container_cpu_usage_seconds_total{namespace="{{namespace}}",pod=~".*{{version}}.*"}[{{interval}}])) * 100"#
            }
            Self::MemoryBytes => {
                r#"avg(container_memory_usage_bytes{namespace="{{namespace}}",pod=~".*{{version}}.*"})"#
            }
            Self::ActiveConnections => {
                r#"sum(envoy_cluster_upstream_cx_active{envoy_cluster_name="{{cluster}}"})"#
            }
        }
    }
}

/// A query over a stretch of time in a moment's place, and what becomes of its points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// How far back.
    pub length: Duration,
    /// The distance of points.
    pub step: Duration,
    /// What one number they make.
    pub reduce: Reduce,
}

/// What one number several points make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Reduce {
    /// Their mean.
    #[default]
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The latest.
    Last,
}

/// What a query gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reading {
    /// A number.
    Value(f64),
    /// There is no such series, or no point in the range.
    Empty,
    /// NaN or an infinity, as rates of nothing give.
    NotANumber,
}

/// Why a query gave nothing: the two are not the same fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Prometheus is down, slow, or no Prometheus.
    Source(String),
    /// This one query is wrong.
    Query(String),
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Scalar(Point),
    Vector(Vec<Series>),
    Matrix(Vec<Series>),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Series {
    value: Option<Point>,
    #[serde(default)]
    values: Vec<Point>,
}

/// Seconds since 1970, and the value as text.
#[derive(Deserialize)]
struct Point(serde::de::IgnoredAny, String);

/// Asks one thing, at a moment or over a range up to now.
pub(super) async fn ask(
    server: &Server,
    query: &str,
    range: Option<Range>,
    now: Time,
) -> Result<Reading, Trouble> {
    let (path, form) = question(query, range, now, server.timeout);
    let (status, body) = post(server, path, form).await.map_err(Trouble::Source)?;
    understand(status, &body, range.map_or(Reduce::Last, |range| range.reduce))
}

/// The API's name for it, and the form to send.
fn question(query: &str, range: Option<Range>, now: Time, timeout: Duration) -> (&'static str, String) {
    let seconds = |time: f64| format!("{time:.3}");
    let now = now.0 as f64 / 1e3;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("query", query);
    let path = match range {
        None => "query",
        Some(range) => {
            form.append_pair("start", &seconds(now - range.length.as_secs_f64()));
            form.append_pair("end", &seconds(now));
            form.append_pair("step", &seconds(range.step.as_secs_f64()));
            "query_range"
        }
    };
    form.append_pair("timeout", &format!("{}ms", timeout.as_millis()));
    (path, form.finish())
}

async fn post(server: &Server, path: &str, form: String) -> Result<(StatusCode, Bytes), String> {
    let address = format!("{}/api/v1/{path}", server.url.to_string().trim_end_matches('/'));
    let mut request =
        Request::post(&address).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(token) = &server.token {
        let value = [b"Bearer ", token.as_bytes()].concat();
        request = request.header(header::AUTHORIZATION, value);
    }
    let request = request.body(Full::new(Bytes::from(form)));
    let request = request.map_err(|error| format!("{address} cannot be asked: {error}"))?;
    outgoing::fetch(request).await.map_err(|problem| format!("{address} {problem}"))
}

fn understand(status: StatusCode, body: &[u8], reduce: Reduce) -> Result<Reading, Trouble> {
    let answer: Answer = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(_) if !status.is_success() => {
            return Err(Trouble::Source(format!("Prometheus answered {status}")));
        }
        Err(error) => {
            return Err(Trouble::Source(format!("the answer is not Prometheus's: {error}")));
        }
    };
    match (status, answer.data) {
        // 400: does not parse; 422: cannot be executed. Both will not get better by themselves.
        (StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, _) => Err(Trouble::Query(answer.error)),
        (status, _) if !status.is_success() => {
            Err(Trouble::Source(format!("Prometheus answered {status}: {}", answer.error)))
        }
        (_, None) => Err(Trouble::Source("the answer has no data".into())),
        (_, Some(Data::String(_))) => {
            Err(Trouble::Query("gives a text: a query must give one number".into()))
        }
        (_, Some(Data::Scalar(point))) => Ok(number(&[point], reduce)),
        (_, Some(Data::Vector(series) | Data::Matrix(series))) => match series.as_slice() {
            [] => Ok(Reading::Empty),
            [one] => Ok(match &one.value {
                Some(point) => number(std::slice::from_ref(point), reduce),
                None => number(&one.values, reduce),
            }),
            several => Err(Trouble::Query(format!(
                "gives {} series: a query must give one number, as sum(...) or avg(...) do",
                several.len()
            ))),
        },
    }
}

/// One number of points; those that are none are left out, unless all are.
fn number(points: &[Point], reduce: Reduce) -> Reading {
    if points.is_empty() {
        return Reading::Empty;
    }
    let finite =
        || points.iter().filter_map(|Point(_, text)| text.parse::<f64>().ok().filter(|v| v.is_finite()));
    let found = match reduce {
        Reduce::Mean => finite().next().map(|_| finite().sum::<f64>() / finite().count() as f64),
        Reduce::Max => finite().reduce(f64::max),
        Reduce::Min => finite().reduce(f64::min),
        Reduce::Last => finite().next_back(),
    };
    found.map_or(Reading::NotANumber, Reading::Value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str, reduce: Reduce) -> Result<Reading, Trouble> {
        understand(StatusCode::from_u16(status).expect("a status"), body.as_bytes(), reduce)
    }

    fn vector(values: &str) -> String {
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{values}]}}}}"#)
    }

    #[test]
    fn one_series_is_a_number_and_none_is_empty() {
        let one = vector(r#"{"metric":{},"value":[1700000000.1,"2.5"]}"#);
        assert_eq!(read(200, &one, Reduce::Last), Ok(Reading::Value(2.5)));
        assert_eq!(read(200, &vector(""), Reduce::Last), Ok(Reading::Empty));
        let nan = vector(r#"{"metric":{},"value":[1,"NaN"]}"#);
        assert_eq!(read(200, &nan, Reduce::Last), Ok(Reading::NotANumber));
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}"#;
        assert_eq!(read(200, scalar, Reduce::Last), Ok(Reading::Value(7.0)));
    }

    #[test]
    fn a_range_becomes_one_number_without_the_points_that_are_none() {
        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{},"values":[[1,"1"],[2,"NaN"],[3,"5"],[4,"3"]]}]}}"#;
        for (reduce, expected) in
            [(Reduce::Mean, 3.0), (Reduce::Max, 5.0), (Reduce::Min, 1.0), (Reduce::Last, 3.0)]
        {
            assert_eq!(read(200, matrix, reduce), Ok(Reading::Value(expected)), "{reduce:?}");
        }
    }

    #[test]
    fn a_wrong_query_is_not_a_source_that_is_down() {
        let wrong = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        assert_eq!(read(400, wrong, Reduce::Last), Err(Trouble::Query("parse error".into())));
        assert!(matches!(read(503, "starting", Reduce::Last), Err(Trouble::Source(_))));
        assert!(matches!(read(200, "<html>", Reduce::Last), Err(Trouble::Source(_))));
        let two = vector(r#"{"metric":{},"value":[1,"1"]},{"metric":{},"value":[1,"2"]}"#);
        let Err(Trouble::Query(told)) = read(200, &two, Reduce::Last) else { panic!("two series") };
        assert!(told.starts_with("gives 2 series"), "{told}");
    }
}
