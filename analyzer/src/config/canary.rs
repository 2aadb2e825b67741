//! One release, checked: who is assigned, how its share grows, what it may not do, who routes it.

use super::document::CanaryDocument;
use super::router::{self, Deployments, Router};
use super::{gates, slos, sources};
use crate::experiments::spec::goal_document;
use crate::gates::{Gate, When};
use crate::kinds::{CanarySpec, DecisionsSpec, GoalSpec, LimitsSpec, RampSpec, Seconds, UnitSpec};
use crate::sources::Sources;
use serin_contract::plan::{self, CanaryDocument as CanaryPlanDocument, Exclude, Manual, UnitSource};
use serin_contract::segment::SegmentDocument;
use serin_contract::{FieldError, Sample, Share, Step, Stratum};
use serin_judge::evidence::Harm;
use serin_judge::goals::Goal;
use serin_judge::settings::{Decisions, Limits, Promotion, Ramp, Settings};
use serin_judge::slo::Slo;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// `<namespace>/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CanaryId {
    /// The namespace; `default` where none is given.
    pub namespace: String,
    /// The name within it.
    pub name: String,
}

impl fmt::Display for CanaryId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.namespace, self.name)
    }
}

/// A release under test, as somebody asked for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    /// Its name.
    pub id: CanaryId,
    /// The version that serves today.
    pub stable_version: String,
    /// The version under test.
    pub canary_version: String,
    /// Where its weights are written.
    pub router: Router,
    /// The Deployments of the two versions, where they are named.
    pub deployments: Option<Deployments>,
    /// How the judge treats it.
    pub settings: Settings,
    /// Who is asked before, during and after.
    pub gates: Vec<Gate>,
    /// Where further numbers come from, and their limits.
    pub sources: Sources,
    /// What the versions should keep to.
    pub slos: Vec<Slo>,
    /// What users are hoped, or feared, to do.
    pub goals: Vec<GoalSpec>,
    hosts: Vec<String>,
    path_prefix: String,
    salt: Option<String>,
    units: Vec<UnitSource>,
    manual: Manual,
    exclude: Exclude,
    segment: Option<SegmentDocument>,
}

impl Canary {
    pub(super) fn read(raw: CanaryDocument, base: &Path) -> Result<Self, FieldError> {
        let id = CanaryId { namespace: raw.metadata.namespace, name: raw.metadata.name };
        Self::compile(id, raw.spec, base)
    }

    /// Checks what stands in a configuration or in the cluster. File names are taken from `base`.
    ///
    /// # Errors
    /// With the field's path and what is allowed.
    pub fn compile(id: CanaryId, spec: CanarySpec, base: &Path) -> Result<Self, FieldError> {
        plan::check_name(&id.to_string()).map_err(|message| FieldError::new("metadata", message))?;
        let canary = compile_spec(id, spec, base).map_err(|error| error.under("spec"))?;
        // The plan has the last word on hosts, units and exclusions: whatever it would refuse in the
        // filter is refused here, before anything starts.
        let document = plan::PlanDocument {
            revision: serin_contract::Revision(0),
            report_interval_ms: 500,
            canaries: vec![canary.idle_plan()],
            experiments: Vec::new(),
        };
        plan::Plan::compile(document).map_err(|error| {
            let path = error.path.replace("canaries[0]", "spec").replace("path_prefix", "pathPrefix");
            let path = path.replace("user_agents", "userAgents").replace("issued_cookie", "issuedCookie");
            let path = path.replace("manual.WithKey", "manualKeys");
            FieldError::new(path, error.message)
        })?;
        Ok(canary)
    }

    /// Which paths it concerns.
    pub fn path_prefix(&self) -> &str {
        &self.path_prefix
    }

    /// The filters' part of this release at a given moment.
    pub fn plan(&self, moment: &Moment) -> CanaryPlanDocument {
        CanaryPlanDocument {
            name: self.id.to_string(),
            step: moment.step,
            stratum: moment.stratum,
            hosts: self.hosts.clone(),
            path_prefix: self.path_prefix.clone(),
            salt: self.effective_salt(),
            units: self.units.clone(),
            canary_share: moment.share,
            manual: self.manual.clone(),
            exclude: self.exclude.clone(),
            segment: self.segment.clone(),
            slow_edge_us: u64::try_from(moment.slow_edge.as_micros()).unwrap_or(u64::MAX).max(1),
            seen_sample: moment.seen_sample,
            event_sample: moment.event_sample,
            served_by: self.router.served_by(),
            goals: self.goals.iter().map(goal_document).collect(),
        }
    }

    /// What goes before a unit into the hash.
    pub fn effective_salt(&self) -> String {
        match &self.salt {
            Some(salt) => salt.clone(),
            None => format!("{}/{}:", self.id, self.canary_version),
        }
    }

    /// Where a unit stands in a request.
    pub fn units(&self) -> &[UnitSource] {
        &self.units
    }

    /// Who the release is for; everybody without it.
    pub fn segment(&self) -> Option<&SegmentDocument> {
        self.segment.as_ref()
    }

    /// The hosts whose requests are assigned, in all forms of a service's name.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The plan of a release that nobody is in yet.
    pub(super) fn idle_plan(&self) -> CanaryPlanDocument {
        self.plan(&Moment {
            step: Step(0),
            stratum: Stratum(0),
            share: Share::NONE,
            slow_edge: self.settings.limits.slow_request,
            seen_sample: Sample::ALL,
            event_sample: Sample::ALL,
        })
    }
}

/// What changes in a canary's plan while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// The step of the plan.
    pub step: Step,
    /// The stratum of the plan.
    pub stratum: Stratum,
    /// The canary's share of assigned units.
    pub share: Share,
    /// From when on a request is slow.
    pub slow_edge: Duration,
    /// Which units are reported as seen.
    pub seen_sample: Sample,
    /// Which units are reported as erred or slow.
    pub event_sample: Sample,
}

fn compile_spec(id: CanaryId, raw: CanarySpec, base: &Path) -> Result<Canary, FieldError> {
    for (field, version) in [("stableVersion", &raw.stable_version), ("canaryVersion", &raw.canary_version)] {
        if version.is_empty() || version.len() > 253 || version.chars().any(char::is_control) {
            return Err(FieldError::new(field, "must have 1 to 253 printable characters"));
        }
    }
    if raw.hosts.is_empty() {
        return Err(FieldError::new("hosts", "there is none: name at least one host"));
    }
    let false_rollback_rate = raw.false_rollback_rate.unwrap_or(Settings::default().false_rollback_rate);
    if !(0.000_1..=0.5).contains(&false_rollback_rate) {
        let message = format!("{false_rollback_rate} is not allowed: 0.0001 to 0.5");
        return Err(FieldError::new("falseRollbackRate", message));
    }
    let hosts = raw.hosts.iter().flat_map(|host| expand_host(host, &id.namespace)).collect();
    let mut settings = compile_ramp(raw.ramp).map_err(|error| error.under("ramp"))?;
    settings.limits = compile_limits(&raw.limits).map_err(|error| error.under("limits"))?;
    settings.false_rollback_rate = false_rollback_rate;
    settings.skip_analysis = raw.skip_analysis;
    settings.decisions = match raw.decisions {
        DecisionsSpec::Evidence => Decisions::Evidence,
        DecisionsSpec::Point => Decisions::Point,
    };
    let manual = raw.manual.compile(raw.manual_keys).ok_or_else(|| {
        FieldError::new("manualKeys", "and `manual: WithKey` go together: give both or neither")
    })?;
    if !raw.goals.is_empty() && raw.units.is_empty() {
        return Err(FieldError::new("goals", "are counted by users: say in units where a user's id stands"));
    }
    let goal = |goal: &GoalSpec| Goal { name: goal.name.clone(), guardrail: goal.guardrail.map(Harm::from) };
    settings.goals = raw.goals.iter().map(goal).collect();
    settings.promotion = raw.promotion.into();
    if settings.promotion == Promotion::Copy && raw.deployments.is_none() {
        return Err(FieldError::new("promotion", "Copy needs spec.deployments: name both, or choose Manual"));
    }
    let gates = gates::compile(raw.gates)?;
    settings.confirm_promotion =
        gates.iter().any(|gate| matches!(gate.when, When::BeforePromotion | When::DuringAnalysis));
    let sources = sources::compile(raw.sources, raw.metrics, base)?;
    let slos = slos::compile(raw.slos)?;
    Ok(Canary {
        id,
        stable_version: raw.stable_version,
        canary_version: raw.canary_version,
        router: router::compile(raw.router, base)?,
        deployments: raw.deployments.map(router::compile_deployments).transpose()?,
        settings,
        gates,
        sources,
        slos,
        goals: raw.goals,
        hosts,
        path_prefix: raw.path_prefix,
        salt: raw.salt,
        units: raw.units.into_iter().map(UnitSpec::compile).collect(),
        manual,
        segment: raw.segment,
        exclude: Exclude { path_prefixes: raw.exclude.path_prefixes, user_agents: raw.exclude.user_agents },
    })
}

/// A service's short name is asked for in several forms; whatever has a dot or a star stays alone.
fn expand_host(host: &str, namespace: &str) -> Vec<String> {
    if host.contains(['.', '*']) {
        return vec![host.to_owned()];
    }
    ["", ".NS", ".NS.svc", ".NS.svc.cluster.local"]
        .map(|suffix| format!("{host}{}", suffix.replace("NS", namespace)))
        .to_vec()
}

fn compile_ramp(raw: RampSpec) -> Result<Settings, FieldError> {
    let share = |field: &str, percent: f64| {
        Share::from_percent(percent).map_err(|error| FieldError::new(field, error.to_string()))
    };
    let ramp = match raw.steps {
        Some(_) if raw.initial_weight.or(raw.increment).or(raw.max_weight).is_some() => {
            let message = "cannot stand beside initialWeight, increment or maxWeight: give one or the other";
            return Err(FieldError::new("steps", message));
        }
        Some(steps) => {
            let steps = steps
                .into_iter()
                .enumerate()
                .map(|(index, percent)| share(&format!("steps[{index}]"), percent))
                .collect::<Result<Vec<_>, _>>()?;
            Ramp::by_steps(steps).map_err(|error| FieldError::new("steps", error.to_string()))?
        }
        None => Ramp::by_increment(
            share("initialWeight", raw.initial_weight.unwrap_or(5.0))?,
            share("increment", raw.increment.unwrap_or(20.0))?,
            share("maxWeight", raw.max_weight.unwrap_or(100.0))?,
        )
        .map_err(|error| FieldError::new("increment", error.to_string()))?,
    };
    let default = Settings::default();
    let length = |field: &str, given: Option<Seconds>, otherwise: Duration, least: Duration| {
        let length = given.map_or(otherwise, |seconds| seconds.0);
        if length < least || length > Duration::from_secs(30 * 86_400) {
            let message = format!("is out of range: {} to 30 days", humantime::format_duration(least));
            return Err(FieldError::new(field, message));
        }
        Ok(length)
    };
    let second = Duration::from_secs(1);
    Ok(Settings {
        ramp,
        promotion_interval: length(
            "promotionInterval",
            raw.promotion_interval,
            default.promotion_interval,
            second,
        )?,
        analysis_interval: length(
            "analysisInterval",
            raw.analysis_interval,
            default.analysis_interval,
            second,
        )?,
        warmup: length("warmup", raw.warmup, default.warmup, Duration::ZERO)?,
        progress_deadline: length(
            "progressDeadline",
            raw.progress_deadline,
            default.progress_deadline,
            second,
        )?,
        ..default
    })
}

fn compile_limits(raw: &LimitsSpec) -> Result<Limits, FieldError> {
    let default = Limits::default();
    let number = |field: &str, given: Option<f64>, otherwise: f64, most: f64| {
        let value = given.unwrap_or(otherwise);
        if !(0.0..=most).contains(&value) {
            return Err(FieldError::new(field, format!("{value} is not allowed: 0 to {most}")));
        }
        Ok(value)
    };
    let slow_request = raw.slow_request.map_or(default.slow_request, |seconds| seconds.0);
    if slow_request < Duration::from_millis(1) || slow_request > Duration::from_secs(3600) {
        return Err(FieldError::new("slowRequest", "is out of range: 1ms to 1h"));
    }
    Ok(Limits {
        max_error_rate: number("maxErrorRate", raw.max_error_rate, default.max_error_rate, 100.0)?,
        max_latency_increase: number(
            "maxLatencyIncrease",
            raw.max_latency_increase,
            default.max_latency_increase,
            100_000.0,
        )?,
        min_request_count: raw.min_request_count.unwrap_or(default.min_request_count),
        min_error_increase: number(
            "minErrorIncrease",
            raw.min_error_increase,
            default.min_error_increase,
            100.0,
        )?,
        slow_request,
    })
}
