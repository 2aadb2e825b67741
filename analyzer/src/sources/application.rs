//! The applications' own numbers: `/metrics` and `/system/metrics`, both JSON, at each version.

use crate::outgoing;
use http_body_util::Full;
use hyper::{Request, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::Duration;

/// Custom values kept of one version; further ones are dropped and said so.
pub(super) const MAX_CUSTOM: usize = 50;

/// What a version says of itself. What it leaves out is not known.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) traffic: Traffic,
    pub(super) system: System,
    /// What was not as expected, without being a failure.
    pub(super) notes: Vec<String>,
}

/// `/metrics`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Traffic {
    /// Counted since the version started.
    pub(super) requests_total: Option<f64>,
    /// Counted since the version started.
    pub(super) errors_total: Option<f64>,
    /// Latencies in seconds.
    pub(super) latency_histogram: Vec<f64>,
    pub(super) custom: BTreeMap<String, Option<f64>>,
}

/// `/system/metrics`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct System {
    pub(super) cpu_percent: Option<f64>,
    pub(super) memory_bytes: Option<f64>,
    pub(super) active_connections: Option<f64>,
}

/// Asks both pages at once. One that is missing is a note; both missing, or an answer that is no such
/// page, is a failure of the source.
pub(super) async fn read(url: &Uri, timeout: Duration) -> Result<Reading, String> {
    let both = async { tokio::join!(page::<Traffic>(url, "metrics"), page::<System>(url, "system/metrics")) };
    let (traffic, system) = tokio::time::timeout(timeout, both)
        .await
        .map_err(|_| format!("{url} did not answer within {} ms", timeout.as_millis()))?;
    let mut notes = Vec::new();
    let (traffic, system) = match (traffic, system) {
        (Err(problem), Err(_)) => return Err(problem),
        (Err(problem), Ok(system)) => {
            notes.push(problem);
            (Traffic::default(), system)
        }
        (Ok(traffic), Err(problem)) => {
            notes.push(problem);
            (traffic, System::default())
        }
        (Ok(traffic), Ok(system)) => (traffic, system),
    };
    let mut reading = Reading { traffic, system, notes };
    reading.bound(url);
    Ok(reading)
}

impl Reading {
    /// A version can say what it likes; what is kept has a limit.
    fn bound(&mut self, url: &Uri) {
        let custom = std::mem::take(&mut self.traffic.custom);
        if custom.len() > MAX_CUSTOM {
            let count = custom.len();
            self.notes.push(format!("{url}/metrics has {count} custom values, {MAX_CUSTOM} are kept"));
        }
        self.traffic.custom = custom.into_iter().take(MAX_CUSTOM).collect();
        self.traffic.latency_histogram.retain(|latency| latency.is_finite() && *latency >= 0.0);
    }
}

async fn page<T: DeserializeOwned>(url: &Uri, path: &str) -> Result<T, String> {
    let address = format!("{}/{path}", url.to_string().trim_end_matches('/'));
    let request = Request::get(&address).header("accept", "application/json").body(Full::default());
    let request = request.map_err(|error| format!("{address} cannot be asked: {error}"))?;
    let (status, body) = outgoing::fetch(request).await.map_err(|problem| format!("{address} {problem}"))?;
    if !status.is_success() {
        return Err(format!("{address} answered {status}"));
    }
    serin_contract::parse::from_json(&body)
        .map_err(|error| format!("{address} is not the JSON expected: {}: {}", error.path, error.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_leave_out_whatever_it_does_not_know() {
        let page = br#"{"requests_total": 12, "custom": {"carts": 3.5, "odd": null}, "more": true}"#;
        let traffic: Traffic = serin_contract::parse::from_json(page).expect("fine");
        assert_eq!((traffic.requests_total, traffic.errors_total), (Some(12.0), None));
        assert_eq!(traffic.custom["carts"], Some(3.5));
    }

    #[test]
    fn more_custom_values_than_allowed_are_dropped_with_a_note() {
        let custom = (0..80).map(|index| (format!("c{index:02}"), Some(1.0))).collect();
        let mut reading = Reading { traffic: Traffic { custom, ..Traffic::default() }, ..Reading::default() };
        reading.bound(&Uri::from_static("http://shop:8000"));
        assert_eq!(reading.traffic.custom.len(), MAX_CUSTOM);
        assert!(reading.notes[0].contains("80 custom values"), "{:?}", reading.notes);
    }
}
