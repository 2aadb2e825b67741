//! The user's own routes for `x-canary`: are they there where nobody manages them, do they stand where
//! they are reached, and do they serve both versions as the weighted route does?

use super::super::matching::{admits, alternatives, condition, remainder};
use super::super::place::Ground;
use super::super::routes::{self, Weighted, destinations, same_host};
use super::{Examined, Finding, Severity};
use serde_json::{Map, Value};
use serin_contract::{Arm, headers};

const PINS: [(&str, Arm); 2] = [(headers::TRUE, Arm::Canary), (headers::FALSE, Arm::Stable)];

/// One weighted route and one value of `x-canary`.
struct Case<'a> {
    examined: &'a Examined<'a>,
    ground: &'a Ground<'a>,
    /// The user's routes' places in the object.
    places: &'a [usize],
    weighted: &'a Weighted<'a>,
    value: &'static str,
    arm: Arm,
}

/// `places` says where in the object each route of the ground stands.
pub(super) fn check(examined: &Examined<'_>, ground: &Ground<'_>, places: &[usize]) -> Vec<Finding> {
    let mut found = Vec::new();
    for weighted in &routes::weighted(ground.routes, ground.subsets, ground.namespace) {
        for (value, arm) in PINS {
            found.extend(Case { examined, ground, places, weighted, value, arm }.check());
        }
    }
    found
}

impl Case<'_> {
    fn check(&self) -> Vec<Finding> {
        let routes = self.ground.routes.iter().enumerate();
        let own: Vec<(usize, &Value)> =
            routes.filter(|(index, route)| *index != self.weighted.index && self.is_for_us(route)).collect();
        let mut found: Vec<Finding> =
            own.iter().filter_map(|(index, route)| self.examine(*index, route)).collect();
        if !self.examined.managed {
            found.extend(self.missing(&own));
        }
        found
    }

    /// Whether a route asks for this value and takes requests that would else reach the weighted route.
    fn is_for_us(&self, route: &Value) -> bool {
        let weighted = alternatives(self.weighted.route);
        let everything = [Value::Object(Map::new())];
        let weighted = if weighted.is_empty() { &everything[..] } else { weighted };
        weighted.iter().any(|alternative| self.covers(route, alternative))
    }

    fn covers(&self, route: &Value, weighted: &Value) -> bool {
        alternatives(route).iter().any(|alternative| {
            let rest = remainder(alternative);
            condition(alternative).is_some()
                && admits(alternative, self.value)
                && (rest.is_empty() || rest == remainder(weighted))
        })
    }

    /// Without managed routes, each alternative of the weighted route needs a route above it.
    fn missing(&self, own: &[(usize, &Value)]) -> Option<Finding> {
        let above: Vec<&Value> =
            own.iter().filter(|(index, _)| *index < self.weighted.index).map(|(_, route)| *route).collect();
        let listed = alternatives(self.weighted.route);
        let bare: Vec<String> = listed
            .iter()
            .enumerate()
            .filter(|(_, one)| admits(one, self.value) && !above.iter().any(|route| self.covers(route, one)))
            .map(|(index, _)| format!("match[{index}]"))
            .collect();
        let nothing = above.is_empty() && (listed.is_empty() || !bare.is_empty());
        if !nothing && bare.is_empty() {
            return None;
        }
        // A route that stands below has its own finding.
        if nothing && !own.is_empty() {
            return None;
        }
        let what = if nothing { String::new() } else { format!(" for {}", bare.join(", ")) };
        let message = format!(
            "no route above sends `x-canary: \"{}\"` (exact){what} to subset {} of {}: assigned users would be \
             routed by weight; add one, or set headerRoutes: Managed",
            self.value,
            self.subset(),
            self.weighted.host(),
        );
        Some(self.finding(Severity::Error, self.weighted.index, message))
    }

    /// What is wrong with one of the user's routes for this value.
    fn examine(&self, index: usize, route: &Value) -> Option<Finding> {
        let severity = if self.examined.managed { Severity::Warning } else { Severity::Error };
        let value = self.value;
        if index > self.weighted.index {
            let message = format!(
                "this route for `x-canary: \"{value}\"` stands below spec.http[{}], which takes its requests \
                 first: move it above",
                self.place(self.weighted.index)
            );
            return (!self.examined.managed).then(|| self.finding(severity, index, message));
        }
        if !self.is_pinned(route) {
            let message = format!(
                "this route for `x-canary: \"{value}\"` does not lead to subset {} of {} alone: users who are \
                 assigned to {} would be served by something else; give it this one destination",
                self.subset(),
                self.weighted.host(),
                self.arm
            );
            return Some(self.finding(severity, index, message));
        }
        let differences = self.differences(route);
        if differences.is_empty() {
            return None;
        }
        let message = format!(
            "this route for `x-canary: \"{value}\"` is not served like spec.http[{}]: it {}; the versions \
             would not be compared fairly: make them alike{}",
            self.place(self.weighted.index),
            differences.join(", "),
            self.under_management(index),
        );
        Some(self.finding(Severity::Warning, index, message))
    }

    fn under_management(&self, index: usize) -> &'static str {
        if !self.examined.managed {
            ""
        } else if index < self.ground.place(self.weighted, self.value) {
            " (Serin's own route cannot stand above this one, because a route between them would lose requests)"
        } else {
            ", or remove this one (Serin's own route stands above it while the Canary exists)"
        }
    }

    fn is_pinned(&self, route: &Value) -> bool {
        let mut entries = destinations(route).peekable();
        entries.peek().is_some()
            && entries.all(|entry| {
                entry.subset() == self.subset()
                    && same_host(self.ground.namespace, entry.host(), self.weighted.host())
            })
    }

    /// How the route differs from the weighted one, as parts of a sentence.
    fn differences(&self, route: &Value) -> Vec<String> {
        let (ours, theirs) = (served(self.weighted.route), served(route));
        let mut parts = differences("", &ours, &theirs);
        if let Some(entry) = destinations(route).next() {
            let entries = (self.weighted.entries.get(self.arm).value, entry.value);
            let headers = |entry: &Value| {
                let headers = entry.get("headers").filter(|headers| !headers.is_null());
                headers.map(|headers| Map::from_iter([("headers".to_owned(), headers.clone())]))
            };
            let (ours, theirs) =
                (headers(entries.0).unwrap_or_default(), headers(entries.1).unwrap_or_default());
            parts.extend(differences("route[0].", &ours, &theirs));
        }
        parts
    }

    fn subset(&self) -> &str {
        self.examined.subsets.get(self.arm)
    }

    fn place(&self, index: usize) -> usize {
        self.places.get(index).copied().unwrap_or(index)
    }

    fn finding(&self, severity: Severity, index: usize, message: String) -> Finding {
        self.examined.finding(severity, &format!("spec.http[{}]", self.place(index)), message)
    }
}

/// Everything of a route but who it is for and where it leads.
fn served(route: &Value) -> Map<String, Value> {
    let mut served = route.as_object().cloned().unwrap_or_default();
    served.retain(|field, value| !matches!(field.as_str(), "name" | "match" | "route") && !value.is_null());
    served
}

fn differences(prefix: &str, ours: &Map<String, Value>, theirs: &Map<String, Value>) -> Vec<String> {
    let named = |fields: Vec<&String>, verb: &str| {
        let fields: Vec<String> = fields.into_iter().map(|field| format!("{prefix}{field}")).collect();
        (!fields.is_empty()).then(|| format!("{verb} {}", fields.join(" and ")))
    };
    let lacks = ours.keys().filter(|field| !theirs.contains_key(*field)).collect();
    let adds = theirs.keys().filter(|field| !ours.contains_key(*field)).collect();
    let other = ours.iter().filter(|(field, value)| theirs.get(*field).is_some_and(|t| t != *value));
    let other = other.map(|(field, _)| field).collect();
    [named(lacks, "lacks"), named(adds, "adds"), named(other, "differs in")].into_iter().flatten().collect()
}
