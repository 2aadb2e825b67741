//! What of a VirtualService matters here: its http routes, their destinations, and which of them split
//! traffic between our two subsets.

use super::Subsets;
use serde_json::Value;
use serin_contract::PerArm;

/// A route with one destination in each of our subsets, both of the same host.
pub(super) struct Weighted<'a> {
    /// Its place in the list that was searched.
    pub(super) index: usize,
    pub(super) route: &'a Value,
    pub(super) entries: PerArm<Entry<'a>>,
}

/// One entry of a route's list of destinations.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) index: usize,
    pub(super) value: &'a Value,
}

/// What a route is to us.
pub(super) enum Split<'a> {
    /// It splits traffic between our subsets.
    Weighted(Weighted<'a>),
    /// It has several destinations in one of our subsets, so that nobody can tell which to change.
    Ambiguous,
    /// It is not ours: another service, one destination, a redirect, a delegate.
    Other,
}

impl<'a> Entry<'a> {
    pub(super) fn host(self) -> &'a str {
        text(self.value, "/destination/host")
    }

    pub(super) fn subset(self) -> &'a str {
        text(self.value, "/destination/subset")
    }

    /// What it counts for: an absent weight is 0. Istio refuses a negative one, and `check` reports it.
    pub(super) fn weight(self) -> u64 {
        self.value.get("weight").and_then(Value::as_u64).unwrap_or(0)
    }
}

impl<'a> Weighted<'a> {
    /// The destinations beside our two.
    pub(super) fn others(&self) -> impl Iterator<Item = Entry<'a>> {
        let PerArm { stable, canary } = self.entries.map(|entry| entry.index);
        destinations(self.route).filter(move |entry| entry.index != stable && entry.index != canary)
    }

    pub(super) fn host(&self) -> &'a str {
        self.entries.stable.host()
    }
}

/// The text at a JSON pointer; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of the list at a JSON pointer; none where there is no list.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The http routes of a VirtualService. Its tcp and tls routes have no headers and no users: they are
/// left alone.
pub(super) fn http(object: &Value) -> &[Value] {
    list(object, "/spec/http")
}

pub(super) fn namespace(object: &Value) -> &str {
    match text(object, "/metadata/namespace") {
        "" => "default",
        namespace => namespace,
    }
}

pub(super) fn destinations(route: &Value) -> impl Iterator<Item = Entry<'_>> {
    list(route, "/route").iter().enumerate().map(|(index, value)| Entry { index, value })
}

/// Whether two hosts of one namespace are the same service. Istio completes a name without dots only.
pub(super) fn same_host(namespace: &str, one: &str, other: &str) -> bool {
    full_host(namespace, one) == full_host(namespace, other)
}

pub(super) fn full_host(namespace: &str, host: &str) -> String {
    if host.is_empty() || host.contains(['.', '*']) {
        return host.to_ascii_lowercase();
    }
    format!("{host}.{namespace}.svc.cluster.local").to_ascii_lowercase()
}

/// What the route at `index` is to us.
pub(super) fn split<'a>(index: usize, route: &'a Value, subsets: &Subsets, namespace: &str) -> Split<'a> {
    let named = || destinations(route).filter(|entry| !entry.host().is_empty());
    let mut pairs = named().filter(|entry| entry.subset() == subsets.stable).flat_map(|stable| {
        named()
            .filter(move |entry| entry.subset() == subsets.canary && entry.index != stable.index)
            .filter(move |canary| same_host(namespace, stable.host(), canary.host()))
            .map(move |canary| PerArm { stable, canary })
    });
    match (pairs.next(), pairs.next()) {
        (Some(entries), None) => Split::Weighted(Weighted { index, route, entries }),
        (Some(_), Some(_)) => Split::Ambiguous,
        (None, _) => Split::Other,
    }
}

/// Every route of a list that splits traffic between our subsets.
pub(super) fn weighted<'a>(routes: &'a [Value], subsets: &Subsets, namespace: &str) -> Vec<Weighted<'a>> {
    routes
        .iter()
        .enumerate()
        .filter_map(|(index, route)| match split(index, route, subsets, namespace) {
            Split::Weighted(weighted) => Some(weighted),
            Split::Ambiguous | Split::Other => None,
        })
        .collect()
}
