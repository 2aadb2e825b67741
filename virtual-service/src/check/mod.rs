//! `serin check` for Istio: what of a VirtualService and its DestinationRules will not work as it should,
//! found before anything is touched.

mod by_header;
mod destination_rule;
mod hosts;
mod weights;

use super::header_routes::{others, own};
use super::place::Ground;
use super::routes::{self, http};
use super::{Problem, Subsets};
use serde::Serialize;
use serde_json::Value;
use serin_contract::Share;
use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The release would run, but not be judged or served as one expects.
    Warning,
    /// The release cannot run, or requests would fail.
    Error,
}

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The object, as `VirtualService default/shop`.
    pub object: String,
    /// The field in it, as `spec.http[2].route`; empty for the object as a whole.
    pub field: String,
    /// A sentence that says what to do.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(out, "{severity}: {}", self.sentence())
    }
}

impl Finding {
    /// Where it is and what is wrong, without how bad it is.
    pub fn sentence(&self) -> String {
        let dot = if self.field.is_empty() { "" } else { ": " };
        format!("{}{dot}{}: {}", self.object, self.field, self.message)
    }
}

/// What is examined. None of the objects needs to come from an API server.
#[derive(Debug, Clone, Copy)]
pub struct Examined<'a> {
    /// The VirtualService.
    pub virtual_service: &'a Value,
    /// Every DestinationRule that is known; `None` when nobody could look for them.
    pub destination_rules: Option<&'a [Value]>,
    /// The Canary's subsets.
    pub subsets: &'a Subsets,
    /// The Canary's hosts, as written or expanded.
    pub hosts: &'a [String],
    /// `headerRoutes: Managed`.
    pub managed: bool,
    /// The last share of the ramp.
    pub last: Share,
}

impl Examined<'_> {
    fn namespace(&self) -> &str {
        routes::namespace(self.virtual_service)
    }

    fn finding(&self, severity: Severity, field: &str, message: String) -> Finding {
        finding("VirtualService", self.virtual_service, severity, field, message)
    }
}

fn finding(kind: &str, object: &Value, severity: Severity, field: &str, message: String) -> Finding {
    let object = format!("{kind} {}", super::name(object));
    Finding { severity, object, field: field.to_owned(), message }
}

/// Everything that is wrong, errors first.
pub fn check(examined: &Examined<'_>) -> Vec<Finding> {
    let object = examined.virtual_service;
    let mut found = weights::check(examined);
    let weighted = routes::weighted(http(object), examined.subsets, examined.namespace());
    if weighted.is_empty() {
        let problem = Problem::no_weighted_route(object, examined.subsets).to_string();
        let message = problem.split_once(": ").map_or(problem.as_str(), |(_, sentence)| sentence).to_owned();
        found.push(examined.finding(Severity::Error, "spec.http", message));
    }
    let own = own(object, examined.subsets);
    let users = others(http(object), &own);
    let places: Vec<usize> = (0..http(object).len()).filter(|index| !own.contains(index)).collect();
    let ground = Ground { routes: &users, subsets: examined.subsets, namespace: examined.namespace() };
    found.extend(by_header::check(examined, &ground, &places));
    found.extend(hosts::check(examined));
    if let Some(rules) = examined.destination_rules {
        found.extend(destination_rule::check(examined, rules, &weighted));
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}
