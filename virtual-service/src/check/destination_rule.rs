//! DestinationRules: whether the two subsets exist, tell pods apart, and give the canary room for its last
//! share.

use super::super::routes::{Weighted, full_host, list, text};
use super::{Examined, Finding, Severity, finding};
use serde_json::Value;
use serin_contract::{Arm, PerArm};
use std::collections::BTreeSet;

/// Caps of a connection pool, each per proxy: where they stand in it, and their field's path.
const CAPS: [(&str, &str); 3] = [
    ("/tcp/maxConnections", "tcp.maxConnections"),
    ("/http/http1MaxPendingRequests", "http.http1MaxPendingRequests"),
    ("/http/http2MaxRequests", "http.http2MaxRequests"),
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
        for port in ports(&[stable, canary]) {
            let pools = PerArm { stable: pool(stable, port), canary: pool(canary, port) };
            let overflows = CAPS.iter().filter_map(|cap| overflow(examined, *cap, &pools));
            found.extend(overflows.map(|(field, message)| {
                finding("DestinationRule", canary.rule, Severity::Warning, &field, message)
            }));
        }
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

/// A connection pool, and where it stands.
struct Pool<'a> {
    field: String,
    value: &'a Value,
}

/// The ports with settings of their own, and none for the others.
fn ports(subsets: &[Subset<'_>]) -> BTreeSet<Option<u64>> {
    let policies = subsets.iter().flat_map(|subset| policies(*subset));
    let ports = policies.flat_map(|(_, policy)| list(policy, "/portLevelSettings")).map(port_of);
    ports.chain([None]).collect()
}

fn port_of(settings: &Value) -> Option<u64> {
    settings.pointer("/port/number").and_then(Value::as_u64)
}

/// The policies that may say something about a subset, the closest first.
fn policies<'a>(subset: Subset<'a>) -> impl Iterator<Item = (String, &'a Value)> {
    let own = subset.value.get("trafficPolicy");
    let own = own.map(|policy| (format!("spec.subsets[{}].trafficPolicy", subset.index), policy));
    let rules = subset.rule.pointer("/spec/trafficPolicy");
    own.into_iter().chain(rules.map(|policy| ("spec.trafficPolicy".to_owned(), policy)))
}

/// The pool that Istio takes: a subset's before the rule's, and in each the port's, which inherits nothing,
/// before the general one. (Istio's MergeTrafficPolicy.)
fn pool(subset: Subset<'_>, port: Option<u64>) -> Option<Pool<'_>> {
    policies(subset).find_map(|(field, policy)| {
        let of_port = list(policy, "/portLevelSettings").iter().enumerate();
        let of_port = of_port.filter(|_| port.is_some()).find(|(_, settings)| port_of(settings) == port);
        if let Some((index, settings)) = of_port {
            let field = format!("{field}.portLevelSettings[{index}].connectionPool");
            return Some(Pool { field, value: settings.get("connectionPool").unwrap_or(&Value::Null) });
        }
        let value = policy.get("connectionPool").filter(|pool| !pool.is_null())?;
        Some(Pool { field: format!("{field}.connectionPool"), value })
    })
}

/// A cap that stable's share of the traffic fits into, but the canary's last share would not: its field and
/// what to do.
fn overflow(
    examined: &Examined<'_>,
    (pointer, field): (&str, &str),
    pools: &PerArm<Option<Pool<'_>>>,
) -> Option<(String, String)> {
    let canary = pools.canary.as_ref()?;
    let limit = cap(canary, pointer)?;
    let stable_limit = pools.stable.as_ref().and_then(|stable| cap(stable, pointer));
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
    Some((format!("{}.{field}", canary.field), message))
}

/// Zero means Istio's default: no limit.
fn cap(pool: &Pool<'_>, pointer: &str) -> Option<u64> {
    pool.value.pointer(pointer).and_then(Value::as_u64).filter(|limit| *limit > 0)
}
