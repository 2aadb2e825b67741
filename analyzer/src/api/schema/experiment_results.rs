//! An experiment's results as they travel.

use utoipa::ToSchema;

/// Results. `docs/experiments.md` says what each number is and when to trust it.
#[derive(ToSchema)]
#[schema(as = ExperimentResults)]
pub struct Results {
    /// The experiment's id.
    pub test_id: String,
    /// Its name.
    pub test_name: String,
    /// `scheduled`, `running` or `ended`.
    pub status: String,
    /// When it began.
    pub start_date: String,
    /// When it ended, or will.
    #[schema(required = true)]
    pub end_date: Option<String>,
    /// When this was worked out.
    pub looked_at: String,
    /// Which number to trust when.
    pub which_to_trust: String,
    /// Each arm's totals, by name.
    pub variants: serde_json::Value,
    /// The first goal's analysis, where there are two arms with exposures: for one look at the end.
    #[schema(required = true)]
    pub analysis: Option<Analysis>,
    /// Every arm against control in every goal: may be looked at daily.
    pub comparisons: Vec<Comparison>,
    /// Goals that must not be harmed.
    pub guardrails: Vec<GuardrailResult>,
    /// Whether the arms have the sizes that their shares promise.
    pub sample_ratio: SampleRatio,
    /// Each period of constant shares.
    pub steps: Vec<serde_json::Value>,
    /// Of a release's experiment: `canary` and `metrics`, which has errors, latency and conversions of both
    /// versions in each step, and over all steps standardised.
    #[schema(required = false, nullable = false)]
    pub release: Option<serde_json::Value>,
}

/// The classical analysis of two arms.
#[derive(ToSchema)]
pub struct Analysis {
    /// Chi-square with Yates' correction, or Mantel and Haenszel's over several steps.
    #[schema(required = true)]
    pub p_value: Option<f64>,
    /// Whether it is below 0.05.
    pub significant: bool,
    /// In percent of control's rate.
    pub lift: f64,
    /// 95.
    pub confidence_level: u64,
    /// Wald's interval of control's rate, in percent.
    pub control_ci: (f64, f64),
    /// Wald's interval of the treatment's rate, in percent.
    pub treatment_ci: (f64, f64),
    /// What to do.
    pub recommendation: String,
    /// `chi_square` or `mantel_haenszel`.
    pub test: String,
}

/// An arm against control in one goal.
#[derive(ToSchema)]
pub struct Comparison {
    /// The goal.
    pub goal: String,
    /// The arm.
    pub arm: String,
    /// For one look at the end.
    #[schema(required = true)]
    pub p_value: Option<f64>,
    /// The same after Holm's correction.
    #[schema(required = true)]
    pub p_value_holm: Option<f64>,
    /// Valid however often one looks.
    pub always_valid_p_value: f64,
    /// The same after Holm's correction.
    pub always_valid_p_value_holm: f64,
    /// Whether that is below 0.05.
    pub significant_at_any_time: bool,
    /// In percent of control's rate.
    #[schema(required = true)]
    pub lift: Option<f64>,
    /// Its confidence sequence at 95 %.
    pub lift_interval: (Option<f64>, Option<f64>),
    /// Mean values of exposed units, where the goal has values.
    #[schema(required = true)]
    pub value: Option<serde_json::Value>,
    /// Units that a fixed test would need.
    #[schema(required = true)]
    pub sample_size: Option<serde_json::Value>,
}

/// A goal that must not be harmed, in one arm.
#[derive(ToSchema)]
pub struct GuardrailResult {
    /// The goal.
    pub goal: String,
    /// The arm.
    pub arm: String,
    /// `guardrail_more` or `guardrail_less`.
    pub role: String,
    /// The evidence for harm.
    pub e_value: f64,
    /// From when on it is acted upon.
    pub threshold: f64,
    /// Whether it is there.
    pub harmed: bool,
}

/// Whether exposures split as the shares say.
#[derive(ToSchema)]
pub struct SampleRatio {
    /// The evidence that they do not; a mismatch from 1,000 on.
    pub e_value: f64,
    /// Whether it is there.
    pub mismatch: bool,
}
