//! An experiment as it is written (`crate::kinds`), compiled into one that cannot be wrong.

pub use crate::kinds::ExperimentSpec;

use crate::kinds::{ArmSpec, GoalSpec, GuardrailSpec, ResponseSpec, UnitSpec};
use serin_contract::plan::experiment::{ArmDocument, GoalDocument, KeepDocument, ResponseGoal, check_word};
use serin_contract::plan::{ExperimentDocument, ExperimentPlan, UnitSource};
use serin_contract::segment::{Rules, SegmentDocument};
use serin_contract::{AssignedUnit, FieldError, Share, Step};
use serin_judge::experiment::Role;
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

/// The goal of an experiment that names none.
pub const CONVERSION: &str = "conversion";

/// A checked experiment.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Its id.
    pub id: String,
    /// What was asked for.
    pub spec: ExperimentSpec,
    /// When it begins; at once without it.
    pub start: Option<Time>,
    /// When it ends by itself.
    pub end: Option<Time>,
    /// The arms' names.
    pub arms: Vec<String>,
    /// The arms' shares.
    pub shares: Vec<Share>,
    /// The goals with what they are for.
    pub goals: Vec<(String, Role)>,
    rules: Option<Rules>,
    /// The plan's own compilation; with made-up hosts when it is for the API alone.
    plan: ExperimentPlan,
    document: ExperimentDocument,
}

impl Experiment {
    /// Checks an id and a specification.
    ///
    /// # Errors
    /// With the path of the first field that is wrong.
    pub fn compile(id: &str, spec: ExperimentSpec) -> Result<Self, FieldError> {
        check_word("id", id)?;
        check_text("name", spec.name.as_deref(), 200)?;
        check_text("hypothesis", spec.hypothesis.as_deref(), 2_000)?;
        check_text("owner", spec.owner.as_deref(), 200)?;
        let start = spec.start.as_deref().map(|text| moment("start", text)).transpose()?;
        let end = spec.end.as_deref().map(|text| moment("end", text)).transpose()?;
        if let (Some(start), Some(end)) = (start, end)
            && end <= start
        {
            return Err(FieldError::new("end", "must be later than start"));
        }
        if spec.minimum_effect.is_some_and(|percent| !(0.1..=1_000.0).contains(&percent)) {
            return Err(FieldError::new("minimumEffect", "is not allowed: 0.1 to 1000 percent"));
        }
        let document = document(id, &spec)?;
        let plan = ExperimentPlan::compile(document.clone()).map_err(as_written)?;
        let rules = spec.segment.as_ref().map(|segment| Rules::compile(&segment.rules)).transpose();
        Ok(Self {
            id: id.to_owned(),
            start,
            end,
            arms: document.arms.iter().map(|arm| arm.name.clone()).collect(),
            shares: document.arms.iter().map(|arm| arm.share).collect(),
            goals: goals(&spec),
            rules: rules.map_err(|error| error.under("segment.rules"))?,
            plan,
            document,
            spec,
        })
    }

    /// For people.
    pub fn name(&self) -> &str {
        self.spec.name.as_deref().unwrap_or(&self.id)
    }

    /// Whether filters assign it.
    pub fn is_in_path(&self) -> bool {
        !self.spec.hosts.is_empty()
    }

    /// The filters' part of it under a step.
    pub fn document(&self, step: Step) -> ExperimentDocument {
        ExperimentDocument { step, ..self.document.clone() }
    }

    /// A user's bucket and name; none for an empty user.
    pub fn unit(&self, user: &str) -> Option<AssignedUnit> {
        AssignedUnit::of(&self.plan.salt, user.as_bytes())
    }

    /// The arm of a unit by its bucket.
    pub fn arm_of(&self, unit: AssignedUnit) -> usize {
        self.plan.arm_of(unit)
    }

    /// Whether attributes belong to the segment.
    pub fn is_for(&self, attributes: &BTreeMap<String, serde_json::Value>) -> bool {
        use serin_contract::segment::Value;
        let Some(rules) = &self.rules else { return true };
        rules.matches(&|name| match attributes.get(name)? {
            serde_json::Value::String(text) => Some(Value::Text(text.clone())),
            serde_json::Value::Number(number) => number.as_f64().map(Value::Number),
            serde_json::Value::Bool(truth) => Some(Value::Bool(*truth)),
            serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
        })
    }

    /// The flags of an arm, typed as they were written.
    pub fn flags(&self, arm: usize) -> BTreeMap<String, serde_json::Value> {
        self.spec.arms.get(arm).map(|arm| arm.flags.clone()).unwrap_or_default()
    }

    /// Whether a kept arm outlives a change of shares in the filters.
    pub fn keeps(&self) -> bool {
        self.spec.keep.is_some()
    }

    /// Which part of all units would change their arm with other shares, in percent.
    pub fn moved_by(&self, shares: &Self) -> f64 {
        use serin_contract::{Bucket, UnitHash};
        let arm = |of: &Self, bucket| of.plan.arm_of(AssignedUnit { bucket, hash: UnitHash(0) });
        let buckets = (0..10_000_u128).map(Bucket::of);
        let moved = buckets.filter(|bucket| arm(self, *bucket) != arm(shares, *bucket)).count();
        moved as f64 / 100.0
    }
}

fn goals(spec: &ExperimentSpec) -> Vec<(String, Role)> {
    if spec.goals.is_empty() {
        return vec![(CONVERSION.to_owned(), Role::Metric)];
    }
    let role = |goal: &GoalSpec| match goal.guardrail {
        None => Role::Metric,
        Some(GuardrailSpec::More) => Role::HarmIfMore,
        Some(GuardrailSpec::Less) => Role::HarmIfLess,
    };
    spec.goals.iter().map(|goal| (goal.name.clone(), role(goal))).collect()
}

fn document(id: &str, spec: &ExperimentSpec) -> Result<ExperimentDocument, FieldError> {
    let in_path = !spec.hosts.is_empty();
    if in_path && spec.units.is_empty() {
        return Err(FieldError::new("units", "there is none: with hosts, say where a user's id stands"));
    }
    if !in_path && spec.within.is_some() {
        return Err(FieldError::new("within", "needs hosts: only filters know what a canary has decided"));
    }
    let arms = spec.arms.iter().enumerate().map(|(place, arm)| arm_document(place, arm));
    // The segment of an experiment that filters assign must say where its attributes stand.
    let segment = spec.segment.as_ref().filter(|_| in_path).map(|segment| SegmentDocument {
        attributes: segment.attributes.clone(),
        rules: segment.rules.clone(),
    });
    let mut goals: Vec<GoalDocument> = spec.goals.iter().map(goal_document).collect();
    if goals.is_empty() {
        goals.push(GoalDocument { name: CONVERSION.to_owned(), response: None });
    }
    Ok(ExperimentDocument {
        id: id.to_owned(),
        step: Step(0),
        hosts: if in_path { spec.hosts.clone() } else { vec!["*".to_owned()] },
        path_prefix: spec.path_prefix.clone().unwrap_or_else(|| "/".to_owned()),
        methods: spec.methods.clone(),
        salt: spec.salt.clone().unwrap_or_else(|| id.to_owned()),
        units: match in_path {
            true => spec.units.iter().cloned().map(UnitSpec::compile).collect(),
            false => vec![UnitSource::Header("x-none".to_owned())],
        },
        arms: arms.collect::<Result<_, _>>()?,
        segment,
        keep: spec.keep.as_ref().map(|keep| KeepDocument {
            cookie: keep.cookie.clone().unwrap_or_else(|| format!("serin-x-{id}")),
            max_age_s: keep.max_age.map_or(30 * 86_400, |age| age.0.as_secs()),
        }),
        within: spec.within.clone(),
        goals,
    })
}

/// The filters' part of a goal.
pub fn goal_document(goal: &GoalSpec) -> GoalDocument {
    let response = |response: &ResponseSpec| ResponseGoal {
        methods: response.methods.clone(),
        path_prefix: response.path_prefix.clone().unwrap_or_else(|| "/".to_owned()),
        status: response.status.unwrap_or([200, 299]),
    };
    GoalDocument { name: goal.name.clone(), response: goal.response.as_ref().map(response) }
}

fn arm_document(place: usize, arm: &ArmSpec) -> Result<ArmDocument, FieldError> {
    let share = Share::from_percent(arm.share)
        .map_err(|error| FieldError::new(format!("arms[{place}].share"), error.to_string()))?;
    let mut flags = BTreeMap::new();
    for (name, value) in &arm.flags {
        let text = match value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(_) | serde_json::Value::Bool(_) => value.to_string(),
            serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                let path = format!("arms[{place}].flags.{name}");
                return Err(FieldError::new(path, "must be text, a number, true or false"));
            }
        };
        flags.insert(name.clone(), text);
    }
    Ok(ArmDocument { name: arm.name.clone(), share, flags })
}

/// The plan's paths in the words of the specification.
fn as_written(error: FieldError) -> FieldError {
    let path = error.path.replace("path_prefix", "pathPrefix").replace("max_age_s", "maxAge");
    FieldError::new(path.replace("issued_cookie", "issuedCookie"), error.message)
}

fn check_text(field: &str, text: Option<&str>, longest: usize) -> Result<(), FieldError> {
    let fits = |text: &str| !text.trim().is_empty() && text.len() <= longest && !text.contains('\0');
    if text.is_none_or(fits) {
        return Ok(());
    }
    Err(FieldError::new(field, format!("must have 1 to {longest} characters")))
}

/// A date as RFC 3339 has it, in UTC.
///
/// # Errors
/// At `field`, with an example.
pub fn moment(field: &str, text: &str) -> Result<Time, FieldError> {
    let parsed = humantime::parse_rfc3339(text).ok();
    let since = parsed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let millis = since.and_then(|since| u64::try_from(since.as_millis()).ok());
    millis
        .map(Time)
        .ok_or_else(|| FieldError::new(field, format!("`{text}` is no date such as 2026-01-31T12:00:00Z")))
}

/// A moment as RFC 3339 has it.
pub fn written(time: Time) -> String {
    // Within what humantime can write; beyond the year 9999 nothing here goes.
    let time = Duration::from_millis(time.0.min(253_402_300_799_000));
    humantime::format_rfc3339_millis(UNIX_EPOCH + time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(spec: &str) -> Result<Experiment, FieldError> {
        let spec = serin_contract::parse::from_json(spec.as_bytes())?;
        Experiment::compile("button", spec)
    }

    const HALVES: &str = r#""arms": [{"name": "control", "share": 50}, {"name": "treatment", "share": 50}]"#;

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        let with = |more: &str| compile(&format!("{{{HALVES}, {more}}}")).expect_err(more).to_string();
        let cases = [
            (with(r#""end": "tomorrow""#), "end: `tomorrow` is no date such as"),
            (with(r#""start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z""#), "end: must be later"),
            (with(r#""hosts": ["shop"]"#), "units: there is none"),
            (with(r#""pathPrefix": "x""#), "pathPrefix: `x` must begin with"),
            (
                with(r#""segment": {"rules": {"age": {"$near": 1}}}"#),
                "segment.rules.age.$near: `$near` is no operator",
            ),
            (with(r#""minimumEffect": 0"#), "minimumEffect: is not allowed"),
            (with(r#""keep": {"maxAge": "1s"}"#), "keep.maxAge: is not allowed"),
            (with(r#""within": {"canary": "default/shop", "arm": "canary"}"#), "within: needs hosts"),
            (with(r#""goals": [{"name": "a"}, {"name": "a"}]"#), "goals[1].name: `a` is there twice"),
            (with(r#""colour": 1"#), "colour: unknown field"),
        ];
        for (error, expected) in cases {
            assert!(error.starts_with(expected), "{error}\nshould begin with\n{expected}");
        }
        let arms = |text: &str| compile(&format!(r#"{{"arms": {text}}}"#)).expect_err(text).to_string();
        let off = arms(r#"[{"name": "a", "share": 50}, {"name": "b", "share": 49.98}]"#);
        assert!(off.starts_with("arms: the shares sum to 99.98 %"), "{off}");
        let fine = arms(r#"[{"name": "a", "share": 50.001}, {"name": "b", "share": 50}]"#);
        assert!(fine.starts_with("arms[0].share: 50.001 has more than two decimals"), "{fine}");
    }

    #[test]
    fn shares_may_miss_a_hundred_by_a_hundredth() {
        let thirds = r#"[{"name": "a", "share": 33.33}, {"name": "b", "share": 33.33}, {"name": "c", "share": 33.33}]"#;
        assert!(compile(&format!(r#"{{"arms": {thirds}}}"#)).is_ok());
    }

    /// The reference's example: 18 and older, in the US, with a plan that is paid for.
    #[test]
    fn the_references_segment_takes_its_user_and_no_other() {
        let rules = r#""segment": {"rules": {"country": "US", "age": {"$gte": 18}, "plan": {"$in": ["premium", "enterprise"]}}}"#;
        let experiment = compile(&format!("{{{HALVES}, {rules}}}")).expect("good");
        let is_for = |text: &str| experiment.is_for(&serde_json::from_str(text).expect("JSON"));
        assert!(is_for(r#"{"country": "US", "age": 25, "plan": "premium"}"#));
        assert!(is_for(r#"{"country": "US", "age": "25", "plan": "premium"}"#));
        assert!(!is_for(r#"{"country": "UK", "age": 25, "plan": "premium"}"#));
        assert!(!is_for(r#"{"country": "US", "plan": "premium"}"#));
        assert!(!is_for(r#"{"country": "US", "age": [25], "plan": "premium"}"#));
    }

    #[test]
    fn a_change_of_shares_says_how_many_would_move() {
        let of = |a: u8, b: u8| {
            compile(&format!(r#"{{"arms": [{{"name": "a", "share": {a}}}, {{"name": "b", "share": {b}}}]}}"#))
                .expect("good")
        };
        assert!((of(90, 10).moved_by(&of(50, 50)) - 40.0).abs() < 1e-9);
        assert!(of(50, 50).moved_by(&of(50, 50)).abs() < 1e-9);
    }

    #[test]
    fn dates_are_read_and_written() {
        let time = moment("start", "2026-01-31T12:00:00Z").expect("a date");
        assert_eq!(written(time), "2026-01-31T12:00:00.000Z");
    }
}
