//! DestinationRules: whether the two subsets exist, tell pods apart, and give the canary room for its last
//! share.

use super::super::routes::{Weighted, full_host, list, text};
use super::{Examined, Finding, Severity, finding};
use serde_json::Value;
use serin_contract::Arm;
use std::collections::BTreeSet;

/// Caps of a connection pool, each per proxy: where they stand, and their field's path.
const CAPS: [(&str, &str); 3] = [
    ("/connectionPool/tcp/maxConnections", "connectionPool.tcp.maxConnections"),
    ("/connectionPool/http/http1MaxPendingRequests", "connectionPool.http.http1MaxPendingRequests"),
    ("/connectionPool/http/http2MaxRequests", "connectionPool.http.http2MaxRequests"),
];

/// A subset, and where it stands.
#[derive(Clone, Copy)]
struct Subset<'a> {
    rule: &'a Value,
    index: usize,
    value: &'a Value,
}

pub(super) fn check(examined: &Examined<'_>, rules: &[Value], weighted: &[Weighted<'_>]) -> Vec<Finding> {
    let hosts: BTreeSet<String> =
        weighted.iter().map(|weighted| full_host(examined.namespace(), weighted.host())).collect();
    hosts.iter().flat_map(|host| check_host(examined, rules, host)).collect()
}

fn check_host(examined: &Examined<'_>, rules: &[Value], host: &str) -> Vec<Finding> {
    let rules: Vec<&Value> = rules.iter().filter(|rule| is_for(rule, host)).collect();
    let Some(first) = rules.first() else {
        let message = format!(
            "no DestinationRule defines the subsets {} and {} of {host}, so that Envoy answers 503: create one",
            examined.subsets.stable, examined.subsets.canary
        );
        return vec![examined.finding(Severity::Error, "spec.http", message)];
    };
    let mut found = Vec::new();
    let subsets = examined.subsets.map(|name| subset(&rules, name));
    for (arm, subset) in subsets.iter() {
        let name = examined.subsets.get(arm);
        match subset {
            None => found.push(rule_finding(
                first,
                "spec.subsets",
                format!(
                    "there is no subset {name}, so that Envoy answers 503: add it with the labels of the \
                     {arm} version's pods"
                ),
            )),
            Some(subset) if labels(subset.value).is_none() => found.push(rule_finding(
                subset.rule,
                &format!("spec.subsets[{}].labels", subset.index),
                format!(
                    "subset {name} has no labels and so takes pods of both versions: add the label that \
                     only the {arm} version's pods have"
                ),
            )),
            Some(_) => {}
        }
    }
    if let (Some(stable), Some(canary)) = (subsets.stable, subsets.canary) {
        found.extend(same_labels(examined, stable, canary));
        found.extend(CAPS.iter().filter_map(|cap| overflow(examined, *cap, stable, canary)));
    }
    found
}

fn rule_finding(rule: &Value, field: &str, message: String) -> Finding {
    finding("DestinationRule", rule, Severity::Error, field, message)
}

fn is_for(rule: &Value, host: &str) -> bool {
    let own = full_host(super::super::routes::namespace(rule), text(rule, "/spec/host"));
    match own.strip_prefix('*') {
        Some(suffix) => host.ends_with(suffix),
        None => own == host,
    }
}

/// Istio merges the subsets of several rules for one host; the first of a name counts.
fn subset<'a>(rules: &[&'a Value], name: &str) -> Option<Subset<'a>> {
    let mut all = rules.iter().flat_map(|rule| {
        list(rule, "/spec/subsets").iter().enumerate().map(|(index, value)| Subset { rule, index, value })
    });
    all.find(|subset| text(subset.value, "/name") == name)
}

fn labels(subset: &Value) -> Option<&serde_json::Map<String, Value>> {
    subset.get("labels").and_then(Value::as_object).filter(|labels| !labels.is_empty())
}

fn same_labels(examined: &Examined<'_>, stable: Subset<'_>, canary: Subset<'_>) -> Option<Finding> {
    let same = labels(stable.value).is_some() && labels(stable.value) == labels(canary.value);
    same.then(|| {
        let message = format!(
            "the subsets {} and {} have the same labels and so the same pods: give each the label of its \
             version",
            examined.subsets.stable, examined.subsets.canary
        );
        rule_finding(canary.rule, &format!("spec.subsets[{}].labels", canary.index), message)
    })
}

/// A cap that stable's share of the traffic fits into, but the canary's last share would not.
fn overflow(
    examined: &Examined<'_>,
    (pointer, field): (&str, &str),
    stable: Subset<'_>,
    canary: Subset<'_>,
) -> Option<Finding> {
    let limit = cap(canary, pointer)?;
    let stable_limit = cap(stable, pointer);
    // Stable carries everything today, so its cap says what everything needs.
    let needed = stable_limit.map(|all| all as f64 * examined.last.fraction());
    if needed.is_some_and(|needed| limit as f64 >= needed) {
        return None;
    }
    let stable_says = match stable_limit {
        Some(all) => format!("is {all}"),
        None => "has no limit".to_owned(),
    };
    let advice = match needed {
        Some(needed) => format!("raise it to at least {}", needed.ceil()),
        None => "remove it, or give both subsets the same".to_owned(),
    };
    let names = Arm::ALL.map(|arm| examined.subsets.get(arm));
    let message = format!(
        "is {limit} for subset {}, and {stable_says} for {}: the ramp's last share of {} would overflow it, \
         and its requests would wait or fail: {advice}",
        names[1], names[0], examined.last
    );
    let (place, field) = if own_pool(canary).is_some() {
        (format!("spec.subsets[{}].trafficPolicy", canary.index), field)
    } else {
        ("spec.trafficPolicy".to_owned(), field)
    };
    Some(finding("DestinationRule", canary.rule, Severity::Warning, &format!("{place}.{field}"), message))
}

/// A subset's pool replaces the rule's as a whole. Zero means Istio's default: no limit.
fn cap(subset: Subset<'_>, pointer: &str) -> Option<u64> {
    let policy = if own_pool(subset).is_some() {
        subset.value.get("trafficPolicy")
    } else {
        subset.rule.pointer("/spec/trafficPolicy")
    };
    policy?.pointer(pointer).and_then(Value::as_u64).filter(|limit| *limit > 0)
}

fn own_pool<'a>(subset: Subset<'a>) -> Option<&'a Value> {
    subset.value.pointer("/trafficPolicy/connectionPool").filter(|pool| !pool.is_null())
}
