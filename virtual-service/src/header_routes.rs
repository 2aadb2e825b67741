//! Managed header routes: for each weighted route a copy for `x-canary: "true"`, pinned to the canary, and
//! one for `"false"`, pinned to stable. Everything else of the weighted route is copied, so that both
//! versions are served alike. The names `serin-canary-*` and `serin-stable-*` are Serin's: a route of such
//! a name with a single destination of ours is replaced or removed without asking.

use super::patch::Patch;
use super::place::Ground;
use super::routes::{self, Weighted, destinations, http, same_host, text};
use super::{Subsets, matching};
use serde_json::Value;
use serin_contract::{Arm, headers};
use std::collections::HashSet;

/// The two values, and the version that each stands for.
const PINS: [(&str, Arm); 2] = [(headers::TRUE, Arm::Canary), (headers::FALSE, Arm::Stable)];

/// Which managed routes shall stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderRoutes {
    /// Leave them as they are: the user keeps routes for `x-canary` himself.
    Untouched,
    /// A pair for each weighted route.
    Managed,
    /// The same with `"true"` on stable too; nothing where no managed route stands.
    Direct,
    /// None.
    Removed,
}

/// A managed route and the index, in the list without managed routes, that it stands before.
struct Copy {
    place: usize,
    route: Value,
}

/// What a managed route of this arm is called.
fn prefix(arm: Arm) -> &'static str {
    match arm {
        Arm::Stable => "serin-stable-",
        Arm::Canary => "serin-canary-",
    }
}

/// The operations that bring the managed routes to what is wanted; none when all stands there.
pub(super) fn patch(object: &Value, subsets: &Subsets, wanted: HeaderRoutes) -> Patch {
    let current = http(object);
    let own = own(object, subsets);
    let true_arm = match wanted {
        HeaderRoutes::Untouched => return Patch::default(),
        HeaderRoutes::Direct if own.is_empty() => return Patch::default(),
        HeaderRoutes::Managed => Some(Arm::Canary),
        HeaderRoutes::Direct => Some(Arm::Stable),
        HeaderRoutes::Removed => None,
    };
    let users = others(current, &own);
    let ground = Ground { routes: &users, subsets, namespace: routes::namespace(object) };
    let copies = true_arm.map(|arm| copies(&ground, arm)).unwrap_or_default();
    difference(current, &own, users.len(), &copies)
}

/// The indices of Serin's own routes.
pub(super) fn own(object: &Value, subsets: &Subsets) -> HashSet<usize> {
    let (current, namespace) = (http(object), routes::namespace(object));
    let weighted = routes::weighted(current, subsets, namespace);
    let is_own = |route: &Value| {
        let mut entries = destinations(route);
        let (Some(entry), None) = (entries.next(), entries.next()) else { return false };
        Arm::ALL.iter().any(|arm| text(route, "/name").starts_with(prefix(*arm)))
            && (subsets.iter().any(|(_, subset)| subset == entry.subset())
                || weighted.iter().any(|weighted| same_host(namespace, weighted.host(), entry.host())))
    };
    current.iter().enumerate().filter(|(_, route)| is_own(route)).map(|(index, _)| index).collect()
}

/// The list without Serin's own routes.
pub(super) fn others(current: &[Value], own: &HashSet<usize>) -> Vec<Value> {
    let rest = current.iter().enumerate().filter(|(index, _)| !own.contains(index));
    rest.map(|(_, route)| route.clone()).collect()
}

/// The managed routes in the order in which they shall stand.
fn copies(ground: &Ground<'_>, true_arm: Arm) -> Vec<Copy> {
    let mut copies = Vec::new();
    let mut names = HashSet::new();
    // Never above the copies of an earlier weighted route, which comes first for the same requests.
    let mut lowest = [0; PINS.len()];
    for (ordinal, weighted) in (1..).zip(routes::weighted(ground.routes, ground.subsets, ground.namespace)) {
        let base = base_name(&weighted, ordinal, &mut names);
        for ((value, named), lowest) in PINS.into_iter().zip(&mut lowest) {
            let pin = if value == headers::TRUE { true_arm } else { named };
            *lowest = ground.place(&weighted, value).max(*lowest);
            let name = format!("{}{base}", prefix(named));
            copies.extend(copy(&weighted, value, pin, name).map(|route| Copy { place: *lowest, route }));
        }
    }
    copies.sort_by_key(|copy| copy.place);
    copies
}

/// The weighted route's own name, or its number among the weighted routes: neither changes when routes
/// are added elsewhere.
fn base_name(weighted: &Weighted<'_>, ordinal: usize, taken: &mut HashSet<String>) -> String {
    let base = match text(weighted.route, "/name") {
        "" => ordinal.to_string(),
        name => name.to_owned(),
    };
    let base = if taken.contains(&base) { format!("{base}-{ordinal}") } else { base };
    taken.insert(base.clone());
    base
}

/// A copy of a weighted route for one value of `x-canary`; `None` when no request with that value reaches
/// the weighted route anyway.
fn copy(weighted: &Weighted<'_>, value: &str, pin: Arm, name: String) -> Option<Value> {
    let alternatives = matching::with_header(weighted.route, value)?;
    let mut entry = weighted.entries.get(pin).value.as_object()?.clone();
    entry.remove("weight");
    let mut route = weighted.route.as_object()?.clone();
    route.insert("name".to_owned(), Value::String(name));
    route.insert("match".to_owned(), Value::Array(alternatives));
    route.insert("route".to_owned(), Value::Array(vec![Value::Object(entry)]));
    Some(Value::Object(route))
}

/// The operations from the current list to the user's routes with the copies between them. `at` is the
/// place in the list as it is after the operations so far.
fn difference(current: &[Value], own: &HashSet<usize>, users: usize, copies: &[Copy]) -> Patch {
    let mut patch = Patch::default();
    let mut at = 0;
    let mut standing = current.iter().enumerate().peekable();
    for user in 0..=users {
        let mut there = Vec::new();
        while let Some((_, route)) = standing.next_if(|(index, _)| own.contains(index)) {
            there.push(route);
        }
        let wanted: Vec<&Value> = copies.iter().filter(|c| c.place == user).map(|c| &c.route).collect();
        replace_run(&mut patch, &mut at, &there, &wanted);
        if standing.next().is_some() {
            at += 1;
        }
    }
    patch
}

/// The operations for one run of managed routes between two of the user's.
fn replace_run(patch: &mut Patch, at: &mut usize, there: &[&Value], wanted: &[&Value]) {
    let mut there = there.iter().copied().peekable();
    for route in wanted {
        // What stands before the route of the same name is not wanted here; without such a route, the
        // wanted one is new, and what stands here may be wanted later.
        let same_name = |other: &&Value| text(other, "/name") == text(route, "/name");
        if there.clone().any(|other| same_name(&other)) {
            while let Some(stale) = there.next_if(|other| !same_name(other)) {
                remove(patch, *at, stale);
            }
        }
        let path = format!("/spec/http/{at}");
        match there.next_if(same_name) {
            Some(old) if old == *route => {}
            Some(old) => {
                patch.test(format!("{path}/name"), text(old, "/name"));
                patch.replace(path, (*route).clone());
            }
            None => patch.add(path, (*route).clone()),
        }
        *at += 1;
    }
    there.for_each(|stale| remove(patch, *at, stale));
}

fn remove(patch: &mut Patch, at: usize, route: &Value) {
    patch.test(format!("/spec/http/{at}/name"), text(route, "/name"));
    patch.remove(format!("/spec/http/{at}"));
}
