//! What is known of the versions beside the filters' reports: the applications' own numbers and what
//! Prometheus has. Each source has a timeout and its own health; none of them can fail a release by being
//! down, slow or silent. [`collect`] asks them; [`ledger`] keeps what they said.

mod application;
pub mod collect;
pub mod ledger;
pub mod limit;
mod prometheus;
mod template;

pub use limit::Limit;
pub use prometheus::{Prometheus, Range, Reduce, Server, Standard};
pub use template::{Template, UnknownName, Values};

use hyper::Uri;
use serin_contract::PerArm;
use std::time::Duration;

/// Where a canary's further numbers come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Sources {
    /// The versions' own pages.
    pub application: Option<Application>,
    /// What Prometheus is asked.
    pub prometheus: Prometheus,
    /// The user's own queries, with limits.
    pub limits: Vec<Limit>,
}

/// The pages on which each version speaks of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Where `/metrics` and `/system/metrics` lie, by version.
    pub urls: PerArm<Uri>,
    /// How long both pages of a version may take together.
    pub timeout: Duration,
}
