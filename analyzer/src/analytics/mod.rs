//! Analytics out: what users of experiments did, as newline-delimited JSON to a file or to an HTTP endpoint.
//!
//! A record is handed over after its commit, so that nothing is told that was not counted, and it is written
//! at most once: what does not fit into the buffer, what a file refuses, and what an endpoint may have got
//! are never written again. Whoever writes has a task of its own, and the engine never waits for it.

mod file;
mod http;
mod record;

pub use record::{Record, Via, What};

use crate::config::Token;
use crate::metrics::Metrics;
use hyper::Uri;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Records that wait, where the configuration says nothing else: some 20 MB.
pub const BUFFER: usize = 65_536;
/// Records in one write.
const BATCH: usize = 1024;

/// Where records go.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The place.
    pub place: Place,
    /// How many records may wait.
    pub buffer: usize,
}

/// A file or an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// Lines are appended; opened anew after SIGHUP.
    File(PathBuf),
    /// Batches are posted.
    Http {
        /// To where.
        url: Uri,
        /// How long an answer may take.
        timeout: Duration,
        /// What is shown as `Authorization: Bearer`.
        token: Option<Token>,
    },
}

/// The way out. Without a target everything is passed over.
pub struct Outlet {
    queue: Option<mpsc::Sender<Record>>,
    writer: Option<JoinHandle<()>>,
    metrics: Arc<Metrics>,
}

impl Outlet {
    /// Starts the writer, where there is a target.
    pub fn start(target: Option<&Target>, metrics: &Arc<Metrics>) -> Self {
        let metrics = Arc::clone(metrics);
        let Some(Target { place, buffer }) = target.cloned() else {
            return Self { queue: None, writer: None, metrics };
        };
        let (queue, records) = mpsc::channel(buffer);
        let tally = Tally(Arc::clone(&metrics));
        let writer = match place {
            Place::File(path) => tokio::spawn(file::write(path, records, tally)),
            Place::Http { url, timeout, token } => {
                tokio::spawn(http::Endpoint { url, timeout, token, tally }.post(records))
            }
        };
        Self { queue: Some(queue), writer: Some(writer), metrics }
    }

    /// Whether records are wanted.
    pub fn is_open(&self) -> bool {
        self.queue.is_some()
    }

    /// Hands records over, as many as there is room for. Never waits.
    pub fn send(&self, records: Vec<Record>) {
        let Some(queue) = &self.queue else { return };
        let dropped = records.into_iter().filter_map(|record| queue.try_send(record).err()).count();
        Tally(Arc::clone(&self.metrics)).add("dropped", dropped);
    }

    /// No more records; the task that writes those that wait.
    pub fn close(&mut self) -> Option<JoinHandle<()>> {
        self.queue = None;
        self.writer.take()
    }
}

/// Counts records by what became of them.
#[derive(Clone)]
struct Tally(Arc<Metrics>);

impl Tally {
    fn add(&self, result: &str, records: usize) {
        self.0.analytics.with_label_values(&[result]).inc_by(records as u64);
    }
}

/// One JSON text a line.
fn lines(records: &[Record]) -> Vec<u8> {
    let mut text = Vec::with_capacity(records.len() * 200);
    for record in records {
        // Made of maps with string keys and finite numbers: there is nothing in it that JSON cannot say.
        if serde_json::to_writer(&mut text, record).is_ok() {
            text.push(b'\n');
        }
    }
    text
}
