//! Experiments in the plan: arms with shares, who takes part, and what counts as a goal. The plan holds
//! only those that are running; several may match one request, each on its own.

use super::keep::{Keep, Kept};
use super::{COOKIE_AGES_S, UnitSource, check, root, thirty_days};
use crate::allocation::Allocation;
use crate::attributes::{self, RequestHeaders};
use crate::hosts::pattern_covers;
use crate::parse::FieldError;
use crate::segment::{Segment, SegmentDocument};
use crate::share::{Share, Step};
use crate::{Arm, AssignedUnit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many experiments a plan may hold.
pub const MAX_EXPERIMENTS: usize = 64;
/// How many arms an experiment may have.
pub const MAX_ARMS: usize = 20;
/// How many goals an experiment may have.
pub const MAX_GOALS: usize = 20;
/// How many flags an arm may set.
pub const MAX_FLAGS: usize = 50;

/// One running experiment, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentDocument {
    /// Its name: letters, digits, `.`, `_` and `-`.
    pub id: String,
    /// The period of constant shares that this plan belongs to.
    pub step: Step,
    /// Authorities without port: `shop.example`, `*.example`, `*`.
    pub hosts: Vec<String>,
    /// The path prefix under which it applies.
    #[serde(default = "root")]
    pub path_prefix: String,
    /// The methods of its requests; all when empty.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Goes before the unit into the hash.
    pub salt: String,
    /// Where a unit comes from; the first that yields one counts.
    pub units: Vec<UnitSource>,
    /// The arms, in the order in which they own buckets.
    pub arms: Vec<ArmDocument>,
    /// Who takes part; everybody without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<SegmentDocument>,
    /// The cookie that keeps a user's arm when shares change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<KeepDocument>,
    /// Only users whom a canary has put into this arm take part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Within>,
    /// What users are hoped, or feared, to do.
    #[serde(default)]
    pub goals: Vec<GoalDocument>,
}

/// One arm, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmDocument {
    /// Its name: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Its share, in basis points.
    pub share: Share,
    /// What services are told by `x-serin-flags`.
    #[serde(default)]
    pub flags: BTreeMap<String, String>,
}

/// The cookie of a kept arm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepDocument {
    /// The cookie's name.
    pub cookie: String,
    /// How long a browser keeps it, in seconds.
    #[serde(default = "thirty_days")]
    pub max_age_s: u64,
}

/// An arm of a canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Within {
    /// `<namespace>/<name>`.
    pub canary: String,
    /// Which of its arms.
    pub arm: Arm,
}

/// One goal, as it travels. Every goal can also be reported by the service: `x-serin-goal: <name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoalDocument {
    /// Its name: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Answers that are this goal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseGoal>,
}

/// An answer that is a goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseGoal {
    /// The methods of its requests; all when empty.
    #[serde(default)]
    pub methods: Vec<String>,
    /// The prefix of its requests' paths.
    #[serde(default = "root")]
    pub path_prefix: String,
    /// The lowest and the highest status that count.
    #[serde(default = "success")]
    pub status: [u16; 2],
}

fn success() -> [u16; 2] {
    [200, 299]
}

/// A checked experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentPlan {
    /// See [`ExperimentDocument::id`].
    pub id: String,
    /// See [`ExperimentDocument::step`].
    pub step: Step,
    /// See [`ExperimentDocument::salt`].
    pub salt: String,
    /// In the order in which they are asked; header names in lower case.
    pub units: Vec<UnitSource>,
    /// Who takes part; everybody without it.
    pub segment: Option<Segment>,
    /// See [`KeepDocument`].
    pub keep: Option<KeepDocument>,
    /// See [`Within`].
    pub within: Option<Within>,
    /// See [`GoalDocument`].
    pub goals: Vec<GoalDocument>,
    arms: Vec<ArmPlan>,
    allocation: Allocation<usize>,
    hosts: Vec<String>,
    path_prefix: String,
    methods: Vec<String>,
}

/// A checked arm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmPlan {
    /// Its name.
    pub name: String,
    /// Its flags as in the header: `flag=value;flag=value`; empty without flags.
    pub flags: String,
}

impl ExperimentPlan {
    /// Checks a document.
    ///
    /// # Errors
    /// With the path of the first field that is wrong.
    pub fn compile(raw: ExperimentDocument) -> Result<Self, FieldError> {
        check_word("id", &raw.id)?;
        if raw.hosts.is_empty() {
            return Err(FieldError::new("hosts", "there is none: name at least one host"));
        }
        for (place, host) in raw.hosts.iter().enumerate() {
            check::check_host(host).map_err(|message| FieldError::new(format!("hosts[{place}]"), message))?;
        }
        check_prefix(&raw.path_prefix)?;
        check_methods(&raw.methods)?;
        if raw.salt.len() > 1024 {
            return Err(FieldError::new("salt", "is longer than 1024 bytes"));
        }
        if raw.units.is_empty() {
            return Err(FieldError::new("units", "there is none: say where a user's id stands"));
        }
        let (arms, allocation) = compile_arms(raw.arms)?;
        let keep = raw.keep.map(check_keep).transpose().map_err(|error| error.under("keep"))?;
        if let Some(within) = &raw.within {
            check::check_name(&within.canary).map_err(|message| FieldError::new("within.canary", message))?;
        }
        Ok(Self {
            id: raw.id,
            step: raw.step,
            salt: raw.salt,
            units: check::check_units(raw.units)?,
            segment: raw.segment.map(Segment::compile).transpose().map_err(|error| error.under("segment"))?,
            keep,
            within: raw.within,
            goals: check_goals(raw.goals)?,
            arms,
            allocation,
            hosts: raw.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            path_prefix: raw.path_prefix,
            methods: raw.methods,
        })
    }

    /// Whether a request is one of its: `host` in lower case and without its port.
    pub fn covers(&self, host: &str, path: &[u8], method: &[u8]) -> bool {
        path.starts_with(self.path_prefix.as_bytes())
            && among(&self.methods, method)
            && self.hosts.iter().any(|pattern| pattern_covers(pattern, host))
    }

    /// Whether the request's user belongs to the segment.
    pub fn is_for(&self, request: &impl RequestHeaders) -> bool {
        self.segment.as_ref().is_none_or(|segment| segment.matches(request))
    }

    /// The arm of a unit by its bucket: its place among [`Self::arms`].
    pub fn arm_of(&self, unit: AssignedUnit) -> usize {
        *self.allocation.arm(unit.bucket)
    }

    /// The arm and step that a cookie of [`Self::keep`] holds for this unit; none when it is damaged, of
    /// another user, of an arm that is not there, or of a step that is not yet.
    pub fn kept(&self, unit: &[u8], cookie: &[u8]) -> Option<(Step, usize)> {
        let Kept { step, arm } = Keep { salt: &self.salt, unit }.read(cookie)?;
        let arm = self.arms.iter().position(|known| known.name.as_bytes() == arm)?;
        (step <= self.step).then_some((step, arm))
    }

    /// The cookie's value that keeps a unit in an arm.
    pub fn keep_text(&self, unit: &[u8], step: Step, arm: &ArmPlan) -> String {
        Keep { salt: &self.salt, unit }.write(step, &arm.name)
    }

    /// The arms, in the order in which they own buckets.
    pub fn arms(&self) -> &[ArmPlan] {
        &self.arms
    }

    /// The place of a goal.
    pub fn goal(&self, name: &[u8]) -> Option<usize> {
        self.goals.iter().position(|goal| goal.name.as_bytes() == name)
    }
}

impl GoalDocument {
    /// Whether an answer to such a request can be this goal without the service's saying so.
    pub fn covers(&self, path: &[u8], method: &[u8]) -> bool {
        self.response.as_ref().is_some_and(|response| response.covers(path, method))
    }
}

impl ResponseGoal {
    /// Whether an answer to such a request can be this goal.
    pub fn covers(&self, path: &[u8], method: &[u8]) -> bool {
        path.starts_with(self.path_prefix.as_bytes()) && among(&self.methods, method)
    }

    /// Whether the answer's status makes it one.
    pub fn is_met_by(&self, status: u16) -> bool {
        (self.status[0]..=self.status[1]).contains(&status)
    }
}

fn among(methods: &[String], method: &[u8]) -> bool {
    methods.is_empty() || methods.iter().any(|known| known.as_bytes() == method)
}

/// Names of experiments, arms, goals and flags stand in headers, paths and cookies.
///
/// # Errors
/// At `field`, saying what is allowed.
pub fn check_word(field: &str, word: &str) -> Result<(), FieldError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'_' || b == b'-';
    if word.is_empty() || word.len() > 64 || !word.bytes().all(allowed) {
        let message = format!("`{word}` is not allowed: 1 to 64 letters, digits, `.`, `_` and `-`");
        return Err(FieldError::new(field, message));
    }
    Ok(())
}

fn compile_arms(raw: Vec<ArmDocument>) -> Result<(Vec<ArmPlan>, Allocation<usize>), FieldError> {
    if !(2..=MAX_ARMS).contains(&raw.len()) {
        let message = format!("there are {}: an experiment has 2 to {MAX_ARMS} arms", raw.len());
        return Err(FieldError::new("arms", message));
    }
    let mut arms: Vec<ArmPlan> = Vec::with_capacity(raw.len());
    let mut shares = Vec::with_capacity(raw.len());
    for (place, arm) in raw.into_iter().enumerate() {
        let at = |field: &str| format!("arms[{place}].{field}");
        check_word(&at("name"), &arm.name)?;
        if arms.iter().any(|known| known.name == arm.name) {
            return Err(FieldError::new(at("name"), format!("`{}` is there twice", arm.name)));
        }
        if arm.flags.len() > MAX_FLAGS {
            return Err(FieldError::new(at("flags"), format!("there are more than {MAX_FLAGS}")));
        }
        let mut flags = String::new();
        for (name, value) in &arm.flags {
            check_word(&at("flags"), name)?;
            check_flag_value(value)
                .map_err(|message| FieldError::new(at(&format!("flags.{name}")), message))?;
            let between = if flags.is_empty() { "" } else { ";" };
            flags.push_str(&format!("{between}{name}={value}"));
        }
        shares.push((place, arm.share.percent()));
        arms.push(ArmPlan { name: arm.name, flags });
    }
    let allocation =
        Allocation::from_percent(shares).map_err(|error| FieldError::new("arms", error.to_string()))?;
    Ok((arms, allocation))
}

/// A flag's value stands between `=` and `;` in a header.
fn check_flag_value(value: &str) -> Result<(), String> {
    let allowed = |b: u8| (b' '..=b'~').contains(&b) && b != b';' && b != b',';
    if value.is_empty() || value.len() > 256 || value.trim() != value || !value.bytes().all(allowed) {
        return Err("must be 1 to 256 printable ASCII characters without `;`, `,` and blanks around".into());
    }
    Ok(())
}

fn check_prefix(prefix: &str) -> Result<(), FieldError> {
    if prefix.starts_with('/') {
        return Ok(());
    }
    Err(FieldError::new("path_prefix", format!("`{prefix}` must begin with `/`")))
}

fn check_methods(methods: &[String]) -> Result<(), FieldError> {
    let known =
        |text: &String| !text.is_empty() && text.len() <= 16 && text.bytes().all(|b| b.is_ascii_uppercase());
    match methods.iter().position(|method| !known(method)) {
        None => Ok(()),
        Some(place) => Err(FieldError::new(
            format!("methods[{place}]"),
            "must be 1 to 16 upper-case letters such as POST",
        )),
    }
}

fn check_keep(raw: KeepDocument) -> Result<KeepDocument, FieldError> {
    if !COOKIE_AGES_S.contains(&raw.max_age_s) {
        return Err(FieldError::new("max_age_s", "is not allowed: 60 s to 400 days"));
    }
    let cookie = attributes::cookie_name(raw.cookie).map_err(|message| FieldError::new("cookie", message))?;
    Ok(KeepDocument { cookie, ..raw })
}

pub(super) fn check_goals(goals: Vec<GoalDocument>) -> Result<Vec<GoalDocument>, FieldError> {
    if goals.len() > MAX_GOALS {
        return Err(FieldError::new("goals", format!("there are more than {MAX_GOALS}")));
    }
    for (place, goal) in goals.iter().enumerate() {
        let path = format!("goals[{place}]");
        check_word(&format!("{path}.name"), &goal.name)?;
        if goals.iter().take(place).any(|known| known.name == goal.name) {
            return Err(FieldError::new(format!("{path}.name"), format!("`{}` is there twice", goal.name)));
        }
        if let Some(response) = &goal.response {
            let at = format!("{path}.response");
            check_prefix(&response.path_prefix).map_err(|error| error.under(&at))?;
            check_methods(&response.methods).map_err(|error| error.under(&at))?;
            let [low, high] = response.status;
            if !(100..=599).contains(&low) || !(low..=599).contains(&high) {
                let message = "must be a lowest and a highest status within 100 to 599";
                return Err(FieldError::new(format!("{at}.status"), message));
            }
        }
    }
    Ok(goals)
}
