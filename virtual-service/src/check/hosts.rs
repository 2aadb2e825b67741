//! Hosts that the VirtualService routes but the Canary does not name: the filter assigns nobody there.

use super::super::routes::{full_host, list};
use super::{Examined, Finding, Severity};
use serde_json::Value;

pub(super) fn check(examined: &Examined<'_>) -> Vec<Finding> {
    let hosts: Vec<&str> =
        list(examined.virtual_service, "/spec/hosts").iter().filter_map(Value::as_str).collect();
    let unknown: Vec<(usize, &&str)> =
        hosts.iter().enumerate().filter(|(_, host)| !is_known(examined, host)).collect();
    // A delegate has no hosts; its root's are not in sight.
    let severity = if unknown.len() == hosts.len() { Severity::Error } else { Severity::Warning };
    unknown
        .into_iter()
        .map(|(index, host)| {
            let message = format!(
                "no host of the Canary matches {host}: its requests would be routed by weight only, and no \
                 user would stay; add it to the Canary's hosts"
            );
            examined.finding(severity, &format!("spec.hosts[{index}]"), message)
        })
        .collect()
}

fn is_known(examined: &Examined<'_>, host: &str) -> bool {
    let host = full_host(examined.namespace(), host);
    examined.hosts.iter().any(|known| overlap(&full_host(examined.namespace(), known), &host))
}

/// Whether some name matches both; each may be a name, `*.suffix` or `*`.
fn overlap(one: &str, other: &str) -> bool {
    match (one.strip_prefix('*'), other.strip_prefix('*')) {
        (None, None) => one == other,
        (Some(suffix), None) => other.ends_with(suffix),
        (None, Some(suffix)) => one.ends_with(suffix),
        (Some(one), Some(other)) => one.ends_with(other) || other.ends_with(one),
    }
}
