//! The plan: what the analyzer tells the filters to do. A [`PlanDocument`] is the JSON; compiled into a
//! [`Plan`] nothing in it can be wrong any more, and a request finds its canary in it.

mod check;
pub mod experiment;
mod keep;

pub use check::{check_host, check_name};
pub use experiment::{ExperimentDocument, ExperimentPlan, GoalDocument};

use crate::attributes::{self, Claim, RequestHeaders};
use crate::hosts::{HostTable, without_port};
use crate::parse::{FieldError, from_json};
use crate::sample::Sample;
use crate::segment::{Segment, SegmentDocument};
use crate::share::{Revision, Share, Step, Stratum};
use crate::{Arm, PerArm};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::time::Duration;

/// The plan as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanDocument {
    /// Which plan this is.
    pub revision: Revision,
    /// How often a filter reports, in milliseconds, 100 to 60,000.
    pub report_interval_ms: u64,
    /// The releases under test.
    #[serde(default)]
    pub canaries: Vec<CanaryDocument>,
    /// The experiments that are running.
    #[serde(default)]
    pub experiments: Vec<ExperimentDocument>,
}

/// One release under test, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryDocument {
    /// `<namespace>/<name>`.
    pub name: String,
    /// The period of constant share that this plan belongs to.
    pub step: Step,
    /// The period within which a unit counts once.
    pub stratum: Stratum,
    /// Authorities without port: `shop.example`, `*.example`, `*`.
    pub hosts: Vec<String>,
    /// The path prefix under which the canary applies.
    #[serde(default = "root")]
    pub path_prefix: String,
    /// Goes before the unit into the hash.
    pub salt: String,
    /// Where a unit comes from; the first that yields one counts.
    #[serde(default)]
    pub units: Vec<UnitSource>,
    /// The canary's share, in basis points.
    pub canary_share: Share,
    /// Whether a client may choose its version by hand.
    #[serde(default)]
    pub manual: Manual,
    /// Requests that are never part of the release.
    #[serde(default)]
    pub exclude: Exclude,
    /// Who the release is for; everybody without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<SegmentDocument>,
    /// A request that takes longer makes its unit slow; in microseconds.
    pub slow_edge_us: u64,
    /// Which units are reported as seen.
    #[serde(default)]
    pub seen_sample: Sample,
    /// Which units are reported as erred or slow.
    #[serde(default)]
    pub event_sample: Sample,
    /// The clusters (`xds.cluster_name`) of each version. Istio's are called
    /// `outbound|PORT|SUBSET|HOST`; `outbound|*|SUBSET|HOST` stands for every port.
    pub served_by: PerArm<Vec<String>>,
    /// What users are hoped, or feared, to do: counted by the arm that the canary gave them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goals: Vec<GoalDocument>,
}

fn root() -> String {
    "/".to_owned()
}

/// A place in the request that holds a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitSource {
    /// The value of a request header.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// A claim of a JWT, whose genuineness the gateway sees to.
    Jwt(Claim),
    /// A cookie that the filter itself gives to whoever has no other unit.
    IssuedCookie(IssuedCookie),
}

/// A cookie with an id that the filter makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuedCookie {
    /// The cookie's name.
    pub name: String,
    /// How long a browser keeps it, in seconds.
    #[serde(default = "thirty_days")]
    pub max_age_s: u64,
}

fn thirty_days() -> u64 {
    30 * 86_400
}

/// Whether a client may choose its version with `x-canary: true|false`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Manual {
    /// Anybody may.
    #[default]
    Always,
    /// Nobody may: the header is removed.
    Never,
    /// Who shows a key in `x-canary-key`.
    WithKey(Keys),
}

/// Keys that let a client choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The sha256 of each, as 64 lower-case hexadecimal digits: the plan is no secret, the keys are.
    pub sha256: Vec<String>,
}

impl Keys {
    /// Whether this key is one of them. Digests are compared, so how long it takes says nothing of a key.
    pub fn hold(&self, key: &[u8]) -> bool {
        let digest = Sha256::digest(key);
        let mut text = String::with_capacity(64);
        for byte in digest {
            text.extend(
                [byte >> 4, byte & 15].map(|half| char::from_digit(u32::from(half), 16).unwrap_or('0')),
            );
        }
        self.sha256.contains(&text)
    }
}

/// Requests that are never part of the release: health probes, bots.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Exclude {
    /// Paths that begin with one of these.
    #[serde(default)]
    pub path_prefixes: Vec<String>,
    /// User agents that contain one of these, in any case.
    #[serde(default)]
    pub user_agents: Vec<String>,
}

/// How long an issued cookie may live, in seconds: a minute to the 400 days that browsers allow.
pub const COOKIE_AGES_S: std::ops::RangeInclusive<u64> = 60..=400 * 86_400;

/// How often filters may be asked to report.
pub const REPORT_INTERVALS_MS: std::ops::RangeInclusive<u64> = 100..=60_000;

/// A checked plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which plan this is.
    pub revision: Revision,
    /// How often a filter reports.
    pub report_interval: Duration,
    canaries: Vec<CanaryPlan>,
    experiments: Vec<ExperimentPlan>,
    hosts: HostTable,
}

/// One canary of a checked plan.
#[derive(Debug, Clone, PartialEq)]
pub struct CanaryPlan {
    /// `<namespace>/<name>`.
    pub name: String,
    /// See [`CanaryDocument::step`].
    pub step: Step,
    /// See [`CanaryDocument::stratum`].
    pub stratum: Stratum,
    /// See [`CanaryDocument::salt`].
    pub salt: String,
    /// In the order in which they are asked; header names in lower case.
    pub units: Vec<UnitSource>,
    /// The canary's share.
    pub canary_share: Share,
    /// See [`Manual`].
    pub manual: Manual,
    /// Path prefixes as given, user agents in lower case.
    pub exclude: Exclude,
    /// Who the release is for; everybody without it.
    pub segment: Option<Segment>,
    /// A request that takes longer, in microseconds, makes its unit slow.
    pub slow_edge_us: u64,
    /// Which units are reported as seen.
    pub seen_sample: Sample,
    /// Which units are reported as erred or slow.
    pub event_sample: Sample,
    /// See [`CanaryDocument::goals`].
    pub goals: Vec<GoalDocument>,
    served_by: PerArm<Vec<String>>,
}

impl CanaryPlan {
    /// The cookie for who has no unit; none where the route's weights decide for them.
    pub fn issued_cookie(&self) -> Option<&IssuedCookie> {
        match self.units.last()? {
            UnitSource::IssuedCookie(cookie) => Some(cookie),
            UnitSource::Header(_) | UnitSource::Cookie(_) | UnitSource::Jwt(_) => None,
        }
    }

    /// Whose cluster this is; none when it belongs to neither version.
    pub fn served_by(&self, cluster: &[u8]) -> Option<Arm> {
        Arm::ALL
            .into_iter()
            .find(|arm| self.served_by.get(*arm).iter().any(|name| is_cluster(name.as_bytes(), cluster)))
    }
}

/// Whether a name of `served_by` means this cluster. A `*` in the port's place stands for digits, and only
/// there: `outbound|*|v2|shop.default.svc.cluster.local`.
fn is_cluster(name: &[u8], cluster: &[u8]) -> bool {
    const OUTBOUND: &[u8] = b"outbound|";
    let any_port = name.strip_prefix(OUTBOUND).and_then(|rest| rest.strip_prefix(b"*|"));
    let Some(wanted) = any_port else { return name == cluster };
    let Some(rest) = cluster.strip_prefix(OUTBOUND) else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest.get(digits..).and_then(|rest| rest.strip_prefix(b"|")) == Some(wanted)
}

impl Plan {
    /// Parses and checks a plan; a plan that is wrong anywhere is refused as a whole.
    ///
    /// # Errors
    /// With the path of the first field that is wrong.
    pub fn from_json(text: &[u8]) -> Result<Self, FieldError> {
        Self::compile(from_json(text)?)
    }

    /// Checks a document.
    ///
    /// # Errors
    /// With the path of the first field that is wrong.
    pub fn compile(document: PlanDocument) -> Result<Self, FieldError> {
        if !REPORT_INTERVALS_MS.contains(&document.report_interval_ms) {
            return Err(FieldError::new(
                "report_interval_ms",
                format!("{} is not allowed: 100 to 60000", document.report_interval_ms),
            ));
        }
        let mut hosts = HostTable::default();
        let mut canaries: Vec<CanaryPlan> = Vec::with_capacity(document.canaries.len());
        for (index, raw) in document.canaries.into_iter().enumerate() {
            let path = format!("canaries[{index}]");
            if canaries.iter().any(|canary| canary.name == raw.name) {
                return Err(FieldError::new(
                    format!("{path}.name"),
                    format!("`{}` is there twice", raw.name),
                ));
            }
            for (place, host) in raw.hosts.iter().enumerate() {
                let field = format!("{path}.hosts[{place}]");
                check_host(host).map_err(|message| FieldError::new(&field, message))?;
                hosts.insert(&host.to_ascii_lowercase(), &raw.path_prefix, index).map_err(|owner| {
                    let owner = canaries.get(owner).map_or("this canary", |canary| &canary.name);
                    FieldError::new(&field, format!("`{host}{}` belongs to {owner} already", raw.path_prefix))
                })?;
            }
            canaries.push(check::canary(raw).map_err(|error| error.under(&path))?);
        }
        Ok(Self {
            revision: document.revision,
            report_interval: Duration::from_millis(document.report_interval_ms),
            canaries,
            experiments: compile_experiments(document.experiments)?,
            hosts,
        })
    }

    /// The canary that a request belongs to, and its place among [`Self::canaries`].
    pub fn find(&self, authority: &str, path: &str) -> Option<(usize, &CanaryPlan)> {
        let host = without_port(authority);
        let index = if host.bytes().any(|b| b.is_ascii_uppercase()) {
            self.hosts.find(&host.to_ascii_lowercase(), path)
        } else {
            self.hosts.find(host, path)
        }?;
        self.canaries.get(index).map(|canary| (index, canary))
    }

    /// All canaries, in the plan's order.
    pub fn canaries(&self) -> &[CanaryPlan] {
        &self.canaries
    }

    /// Whether there is anything to watch.
    pub fn has_work(&self) -> bool {
        !self.canaries.is_empty() || !self.experiments.is_empty()
    }

    /// All experiments, in the plan's order.
    pub fn experiments(&self) -> &[ExperimentPlan] {
        &self.experiments
    }
}

fn compile_experiments(documents: Vec<ExperimentDocument>) -> Result<Vec<ExperimentPlan>, FieldError> {
    if documents.len() > experiment::MAX_EXPERIMENTS {
        let message = format!("there are more than {}", experiment::MAX_EXPERIMENTS);
        return Err(FieldError::new("experiments", message));
    }
    let mut experiments: Vec<ExperimentPlan> = Vec::with_capacity(documents.len());
    for (index, raw) in documents.into_iter().enumerate() {
        let path = format!("experiments[{index}]");
        if experiments.iter().any(|known| known.id == raw.id) {
            return Err(FieldError::new(format!("{path}.id"), format!("`{}` is there twice", raw.id)));
        }
        experiments.push(ExperimentPlan::compile(raw).map_err(|error| error.under(&path))?);
    }
    Ok(experiments)
}

impl UnitSource {
    /// The unit, if the request has one here.
    pub fn read<'r>(&self, request: &'r impl RequestHeaders) -> Option<Cow<'r, [u8]>> {
        let found = match self {
            Self::Header(name) => request.get(name),
            Self::Cookie(name) => attributes::cookie(request, name).map(Cow::Owned),
            Self::Jwt(claim) => claim.read(request).map(|text| Cow::Owned(text.into_bytes())),
            Self::IssuedCookie(cookie) => attributes::cookie(request, &cookie.name).map(Cow::Owned),
        };
        found.filter(|unit| !unit.is_empty())
    }
}
