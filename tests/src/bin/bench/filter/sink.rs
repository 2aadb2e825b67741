//! What the filters report to: it acknowledges everything and keeps how many requests each proxy reported, so
//! that a filter which did nothing cannot look cheap.

use anyhow::{Result, ensure};
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use serin_contract::Report;
use serin_tests::ports;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

type Counts = Arc<Mutex<HashMap<String, u64>>>;

/// The running sink. It ends with the program.
pub(crate) struct Sink {
    pub(crate) port: u16,
    counts: Counts,
}

impl Sink {
    /// Starts it.
    pub(crate) async fn start() -> Result<Self> {
        let port = ports::free()?;
        let counts = Counts::default();
        let listener = tokio::net::TcpListener::bind(ports::loopback(port)).await?;
        let app = Router::new().route("/v1/report", post(acknowledge)).with_state(Arc::clone(&counts));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { port, counts })
    }

    /// Checks that a proxy has reported nearly all of so many requests: the last ones may be on their way.
    pub(crate) fn check(&self, node: &str, requests: u64) -> Result<()> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let reported = counts.get(node).copied().unwrap_or(0);
        ensure!(
            reported * 10 >= requests * 8 && reported * 10 <= requests * 11,
            "{node} served {requests} requests and its filter reported {reported}"
        );
        Ok(())
    }
}

async fn acknowledge(State(counts): State<Counts>, body: Bytes) -> Json<Value> {
    let Ok(report) = Report::from_json(&body) else { return Json(json!({ "acknowledged": 0 })) };
    let requests = |canary: &serin_contract::CanaryReport| {
        canary.arms.iter().map(|(_, arm)| arm.requests).sum::<u64>() + canary.unserved
    };
    let requests: u64 = report.canaries.iter().map(requests).sum();
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    *counts.entry(report.node).or_default() += requests;
    Json(json!({ "acknowledged": report.sequence, "plan": null }))
}
