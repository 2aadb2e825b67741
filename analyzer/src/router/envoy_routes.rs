//! A plain Envoy's route file: an RDS answer in YAML or JSON. Only the digits of the weights change;
//! comments, order and everything else stay byte for byte. The new file replaces the old one by a
//! rename, which is what Envoy watches for.

use super::RouterError;
use crate::config::EnvoyRoutes;
use serde::Deserialize;
use serde_saphyr::Spanned;
use serin_contract::share::WHOLE;
use serin_contract::{Arm, PerArm, Share};
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

// The parts of envoy.config.route.v3.RouteConfiguration that matter here. Envoy reads both spellings.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    resources: Vec<RouteConfiguration>,
}

#[derive(Deserialize)]
struct RouteConfiguration {
    #[serde(default, alias = "virtualHosts")]
    virtual_hosts: Vec<VirtualHost>,
}

#[derive(Deserialize)]
struct VirtualHost {
    #[serde(default)]
    routes: Vec<Route>,
}

#[derive(Deserialize)]
struct Route {
    #[serde(default, rename = "match")]
    matching: Match,
    route: Option<RouteAction>,
}

#[derive(Deserialize, Default)]
struct Match {
    #[serde(default)]
    headers: Vec<HeaderMatch>,
}

#[derive(Deserialize)]
struct HeaderMatch {
    name: String,
    #[serde(default, alias = "stringMatch")]
    string_match: StringMatch,
}

#[derive(Deserialize, Default)]
struct StringMatch {
    exact: Option<String>,
}

#[derive(Deserialize)]
struct RouteAction {
    cluster: Option<String>,
    #[serde(alias = "weightedClusters")]
    weighted_clusters: Option<WeightedClusters>,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct WeightedClusters {
    #[serde(default)]
    clusters: Vec<WeightedCluster>,
}

#[derive(Deserialize)]
struct WeightedCluster {
    name: String,
    weight: Option<Spanned<u32>>,
}

/// The digits of one weight: where they stand, and what they say.
#[derive(Clone, Copy)]
struct Digits {
    start: usize,
    end: usize,
    value: u64,
}

/// The weights of one route that has both clusters.
type Weights = PerArm<Digits>;

fn error(path: &Path, problem: &str) -> RouterError {
    RouterError(format!("{}: {problem}", path.display()))
}

fn text(path: &Path) -> Result<String, RouterError> {
    std::fs::read_to_string(path)
        .map_err(|failure| error(path, &format!("the route file cannot be read: {failure}")))
}

fn parse(path: &Path, text: &str) -> Result<Vec<Route>, RouterError> {
    let document: Document = serde_saphyr::from_str(text).map_err(|failure| {
        error(path, &format!("is no route file of Envoy: {}", failure.without_snippet()))
    })?;
    let hosts = document.resources.into_iter().flat_map(|configuration| configuration.virtual_hosts);
    Ok(hosts.flat_map(|host| host.routes).collect())
}

/// The weights of every route that splits traffic between our two clusters.
fn weights<'a>(
    routes: &EnvoyRoutes,
    splits: impl IntoIterator<Item = &'a WeightedClusters>,
    text: &str,
) -> Result<Vec<Weights>, RouterError> {
    let mut found = Vec::new();
    for split in splits {
        let arm = |arm: Arm| split.clusters.iter().find(|cluster| cluster.name == *routes.clusters.get(arm));
        let (Some(stable), Some(canary)) = (arm(Arm::Stable), arm(Arm::Canary)) else { continue };
        let digits = |cluster| digits(&routes.path, cluster, text);
        found.push(PerArm { stable: digits(stable)?, canary: digits(canary)? });
    }
    if found.is_empty() {
        let PerArm { stable, canary } = &routes.clusters;
        let problem = format!(
            "has no route with weighted_clusters {stable} and {canary}: add one with weights 100 and 0"
        );
        return Err(error(&routes.path, &problem));
    }
    Ok(found)
}

/// What matters of a route file's text for a weight: the routes that split traffic.
struct RouteFile {
    text: String,
    splits: Result<Vec<WeightedClusters>, RouterError>,
}

impl RouteFile {
    fn new(path: &Path, text: String) -> Self {
        let split = |route: Route| route.route.and_then(|action| action.weighted_clusters);
        let splits = parse(path, &text).map(|routes| routes.into_iter().filter_map(split).collect());
        Self { text, splits }
    }

    fn weights(&self, routes: &EnvoyRoutes) -> Result<Vec<Weights>, RouterError> {
        weights(routes, self.splits.as_ref().map_err(Clone::clone)?, &self.text)
    }

    fn share(&self, routes: &EnvoyRoutes) -> Result<Share, RouterError> {
        // With several weighted routes the largest share is what somebody may meet.
        let share = |weights: &Weights| {
            let sum = weights.stable.value + weights.canary.value;
            let points = (weights.canary.value * u64::from(WHOLE)).checked_div(sum).unwrap_or(0);
            Share::from_basis_points(points as u16).unwrap_or(Share::ALL)
        };
        Ok(self.weights(routes)?.iter().map(share).max().unwrap_or_default())
    }
}

/// Route files as they were when somebody last looked. Canaries may share one: at a moment it is read once, and it
/// is parsed only when its text has changed.
#[derive(Default)]
pub struct RouteFiles(BTreeMap<PathBuf, (Time, RouteFile)>);

impl RouteFiles {
    pub(super) fn share(&mut self, routes: &EnvoyRoutes, now: Time) -> Result<Share, RouterError> {
        if let Some((at, file)) = self.0.get_mut(&routes.path) {
            if *at != now {
                let text = text(&routes.path)?;
                if text != file.text {
                    *file = RouteFile::new(&routes.path, text);
                }
                *at = now;
            }
            return file.share(routes);
        }
        let file = RouteFile::new(&routes.path, text(&routes.path)?);
        let share = file.share(routes);
        self.0.insert(routes.path.clone(), (now, file));
        share
    }
}

fn digits(path: &Path, cluster: &WeightedCluster, text: &str) -> Result<Digits, RouterError> {
    let Some(weight) = &cluster.weight else {
        return Err(error(path, &format!("cluster {} has no weight: write one", cluster.name)));
    };
    let span = weight.defined.span();
    let place = span.byte_offset().zip(span.byte_len()).and_then(|(start, len)| {
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(start + len).ok()?);
        (text.get(start..end)?.trim().parse() == Ok(weight.value)).then_some((start, end))
    });
    let Some((start, end)) = place else {
        let problem = format!("the weight of {} is not written as plain digits: write it so", cluster.name);
        return Err(error(path, &problem));
    };
    Ok(Digits { start, end, value: u64::from(weight.value) })
}

pub(super) fn write(routes: &EnvoyRoutes, share: Share, may: &dyn Fn() -> bool) -> Result<(), RouterError> {
    let file = RouteFile::new(&routes.path, text(&routes.path)?);
    let mut edits: Vec<(Digits, u64)> = Vec::new();
    for weights in file.weights(routes)? {
        let (stable, canary) = split(weights.stable.value + weights.canary.value, share);
        edits.extend([(weights.stable, stable), (weights.canary, canary)]);
    }
    // From the end, so that earlier places stay where they are.
    edits.sort_by_key(|(digits, _)| std::cmp::Reverse(digits.start));
    let old = file.text;
    let mut new = old.clone();
    for (digits, weight) in edits {
        let kept = old[digits.start..digits.end].trim_start_matches(|c: char| c.is_ascii_digit());
        new.replace_range(digits.start..digits.end, &format!("{weight}{kept}"));
    }
    if new == old {
        return Ok(());
    }
    replace(routes, &new, may)
        .map_err(|failure| error(&routes.path, &format!("the weights cannot be written: {failure}")))
}

/// Two weights for a share, with the sum that the file has where that gives whole numbers, else in
/// basis points.
fn split(sum: u64, share: Share) -> (u64, u64) {
    let points = u64::from(share.basis_points());
    let whole = u64::from(WHOLE);
    let sum = if sum > 0 && (sum * points).is_multiple_of(whole) { sum } else { whole };
    let canary = sum * points / whole;
    (sum - canary, canary)
}

/// Writes beside the file and renames: whoever reads sees the old file or the new one, never a half.
fn replace(routes: &EnvoyRoutes, text: &str, may: &dyn Fn() -> bool) -> std::io::Result<()> {
    let mut beside = routes.path.clone().into_os_string();
    beside.push(".serin-new");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(std::fs::metadata(&routes.path)?.permissions())?;
    file.sync_all()?;
    if !may() {
        std::fs::remove_file(&beside)?;
        return Err(std::io::Error::other(
            "this analyzer's lock has run out, or Redis does not say whose it is",
        ));
    }
    std::fs::rename(&beside, &routes.path)
}

pub(super) fn problems(routes: &EnvoyRoutes) -> Vec<String> {
    let parsed = text(&routes.path).and_then(|text| {
        let list = parse(&routes.path, &text)?;
        weights(
            routes,
            list.iter().filter_map(|route| route.route.as_ref()?.weighted_clusters.as_ref()),
            &text,
        )?;
        Ok(list)
    });
    let list = match parsed {
        Ok(list) => list,
        Err(error) => return vec![error.to_string()],
    };
    let mut problems = Vec::new();
    let weighted = list.iter().position(|route| {
        route.route.as_ref().and_then(|action| action.weighted_clusters.as_ref()).is_some_and(|split| {
            routes.clusters.iter().all(|(_, name)| split.clusters.iter().any(|cluster| cluster.name == *name))
        })
    });
    for (value, arm) in [("true", Arm::Canary), ("false", Arm::Stable)] {
        let cluster = routes.clusters.get(arm);
        let place = list.iter().position(|route| {
            route.matching.headers.iter().any(|header| {
                header.name.eq_ignore_ascii_case(serin_contract::headers::CANARY)
                    && header.string_match.exact.as_deref() == Some(value)
            }) && route.route.as_ref().is_some_and(|action| action.cluster.as_ref() == Some(cluster))
        });
        let told = |problem: String| error(&routes.path, &problem).to_string();
        match (place, weighted) {
            (None, _) => problems.push(told(format!(
                "no route sends `x-canary: \"{value}\"` (string_match exact) to {cluster}: assigned users would be routed by weight"
            ))),
            (Some(place), Some(weighted)) if place > weighted => problems.push(told(format!(
                "the route for `x-canary: \"{value}\"` stands below the weighted route, which takes all requests first"
            ))),
            (Some(place), Some(weighted)) if others(&list[place]) != others(&list[weighted]) => problems.push(told(
                format!("the route for `x-canary: \"{value}\"` and the weighted route differ in more than the cluster (timeout, retries, ...): the versions would not be compared fairly"),
            )),
            (Some(_), _) => {}
        }
    }
    problems
}

fn others(route: &Route) -> Option<&BTreeMap<String, serde_json::Value>> {
    route.route.as_ref().map(|action| &action.others)
}

#[cfg(test)]
mod tests;
