//! Weights that Istio refuses, and routes in which a share means less than one thinks.

use super::super::routes::{self, Split, Weighted, destinations, full_host, http, list};
use super::super::weights::{LARGEST_SUM, nothing_left};
use super::{Examined, Finding, Severity};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn check(examined: &Examined<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut hosts = BTreeSet::new();
    for (index, route) in http(examined.virtual_service).iter().enumerate() {
        found.extend(numbers(examined, index, route));
        match routes::split(index, route, examined.subsets, examined.namespace()) {
            Split::Weighted(weighted) => {
                hosts.insert(full_host(examined.namespace(), weighted.host()));
                found.extend(further(examined, &weighted));
            }
            Split::Ambiguous => found.push(examined.finding(
                Severity::Error,
                &format!("spec.http[{index}].route"),
                format!(
                    "has several destinations in subset {} or {}, so that Serin leaves the route alone: keep \
                     one of each",
                    examined.subsets.stable, examined.subsets.canary
                ),
            )),
            Split::Other => {}
        }
    }
    if hosts.len() > 1 {
        let hosts = hosts.into_iter().collect::<Vec<_>>().join(", ");
        found.push(examined.finding(
            Severity::Warning,
            "spec.http",
            format!(
                "this one release moves the weights of several services ({hosts}): give them subsets of \
                 different names if they are released apart"
            ),
        ));
    }
    found
}

/// What Istio's validation refuses in a list of destinations, ours or not: it refuses the whole object.
fn numbers(examined: &Examined<'_>, index: usize, route: &Value) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut sum = 0_u64;
    let entries = list(route, "/route");
    for (place, entry) in entries.iter().enumerate() {
        match entry.get("weight") {
            None | Some(Value::Null) => {}
            Some(weight) => match weight.as_u64() {
                Some(weight) => sum = sum.saturating_add(weight),
                None => found.push(examined.finding(
                    Severity::Error,
                    &format!("spec.http[{index}].route[{place}].weight"),
                    format!("{weight} is no weight: write a whole number from 0 on"),
                )),
            },
        }
    }
    let path = format!("spec.http[{index}].route");
    if entries.len() > 1 && sum == 0 {
        let message = "all weights are 0 or missing, which Istio refuses: give the stable subset 100";
        found.push(examined.finding(Severity::Error, &path, message.to_owned()));
    }
    if sum > LARGEST_SUM {
        let message = format!("the weights sum up to {sum}, more than Istio can hold: write smaller numbers");
        found.push(examined.finding(Severity::Error, &path, message));
    }
    found
}

/// Destinations beside our two.
fn further(examined: &Examined<'_>, weighted: &Weighted<'_>) -> Option<Finding> {
    let path = format!("spec.http[{}].route", weighted.index);
    let super::super::Subsets { stable, canary } = examined.subsets;
    if nothing_left(weighted) {
        let message = format!(
            "the subsets {stable} and {canary} have weight 0 beside other destinations, so that there is \
             nothing to share: give {stable} a weight"
        );
        return Some(examined.finding(Severity::Error, &path, message));
    }
    let others = weighted.others().filter(|entry| entry.weight() > 0).count();
    (destinations(weighted.route).count() > 2 && others > 0).then(|| {
        let message = format!(
            "has further destinations beside the subsets {stable} and {canary}: they keep their part of \
             requests without x-canary, but assigned users never reach them; move them to a route of their \
             own if that is not meant"
        );
        examined.finding(Severity::Warning, &path, message)
    })
}
