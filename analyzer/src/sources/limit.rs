//! A user's own query with limits, and what its numbers say about them. Pure.

use super::prometheus::{Range, Reading};
use super::template::Template;
use serin_contract::PerArm;
use serin_judge::rules::OnBreach;

/// One of `spec.metrics`, checked: it has a limit, and a query by version where stable is compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// For people, labels and logs.
    pub name: String,
    /// What Prometheus is asked.
    pub query: Template,
    /// Over a stretch of time in a moment's place.
    pub range: Option<Range>,
    /// The canary's value may be so much at most.
    pub max: Option<f64>,
    /// The canary's value must be so much at least.
    pub min: Option<f64>,
    /// In percent: the canary's value may be above stable's by so much.
    pub max_increase: Option<f64>,
    /// What a breach means.
    pub on_breach: OnBreach,
}

/// What a query gave for one version: a number, or why there is none.
pub type Given = Result<f64, String>;

/// What the numbers say.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// Within all limits.
    Kept,
    /// Beyond one; says which.
    Broken(String),
    /// Cannot be known; says why.
    Unknown(String),
}

impl Limit {
    /// Holds the numbers against the limits. A canary's own limit that is broken is broken, whether or
    /// not stable's number is known.
    pub fn judge(&self, given: &PerArm<Given>) -> Finding {
        let name = &self.name;
        let canary = match &given.canary {
            Ok(value) => *value,
            Err(problem) => return Finding::Unknown(format!("metric {name} of the canary {problem}")),
        };
        let told = shown(canary);
        if let Some(max) = self.max.filter(|max| canary > *max) {
            return Finding::Broken(format!(
                "metric {name} is {told} in the canary, at most {max} is allowed"
            ));
        }
        if let Some(min) = self.min.filter(|min| canary < *min) {
            return Finding::Broken(format!(
                "metric {name} is {told} in the canary, at least {min} is asked for"
            ));
        }
        let Some(increase) = self.max_increase else { return Finding::Kept };
        match &given.stable {
            Err(problem) => Finding::Unknown(format!("metric {name} of stable {problem}")),
            Ok(stable) if canary > stable + stable.abs() * increase / 100.0 => Finding::Broken(format!(
                "metric {name} is {told} in the canary and {} in stable, at most {increase} % more is allowed",
                shown(*stable)
            )),
            Ok(_) => Finding::Kept,
        }
    }
}

/// To six decimals at most, and never a zero that is none.
fn shown(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    if rounded.is_finite() && rounded != 0.0 { rounded.to_string() } else { value.to_string() }
}

/// A query's answer as one number, or as the end of a sentence that says why there is none.
pub(super) fn given(reading: Reading) -> Given {
    match reading {
        Reading::Value(value) => Ok(value),
        Reading::Empty => Err("has no value: no such series was scraped within the query's time".into()),
        Reading::NotANumber => Err("is not a number, as ratios of no traffic are".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(max: Option<f64>, min: Option<f64>, max_increase: Option<f64>) -> Limit {
        Limit {
            name: "carts".into(),
            query: Template::parse("carts{v=\"{{version}}\"}").expect("known"),
            range: None,
            max,
            min,
            max_increase,
            on_breach: OnBreach::Hold,
        }
    }

    fn given(stable: f64, canary: f64) -> PerArm<Given> {
        PerArm { stable: Ok(stable), canary: Ok(canary) }
    }

    #[test]
    fn each_limit_is_broken_by_what_lies_beyond_it_and_says_so() {
        let broken = |limit: Limit, given| match limit.judge(&given) {
            Finding::Broken(told) => told,
            Finding::Kept | Finding::Unknown(_) => String::new(),
        };
        let told = broken(limit(Some(5.0), None, None), given(0.0, 9.0));
        assert_eq!(told, "metric carts is 9 in the canary, at most 5 is allowed");
        let told = broken(limit(Some(0.0), None, None), given(0.0, 0.1 + 0.2));
        assert!(told.contains("is 0.3 in the canary"), "{told}");
        assert!(broken(limit(Some(0.0), None, None), given(0.0, 1e-9)).contains("is 0.000000001 in"));
        assert!(broken(limit(None, Some(5.0), None), given(0.0, 4.9)).contains("at least 5 is asked for"));
        assert!(broken(limit(None, None, Some(50.0)), given(2.0, 3.1)).contains("at most 50 % more"));
        assert_eq!(limit(Some(5.0), Some(1.0), Some(50.0)).judge(&given(2.0, 3.0)), Finding::Kept);
        assert_eq!(limit(None, None, Some(50.0)).judge(&given(-2.0, -1.5)), Finding::Kept);
    }

    #[test]
    fn what_is_not_known_breaks_nothing() {
        let none = || Err("has no value".to_owned());
        let judged = limit(Some(5.0), None, None).judge(&PerArm { stable: Ok(1.0), canary: none() });
        assert_eq!(judged, Finding::Unknown("metric carts of the canary has no value".into()));
        let judged = limit(None, None, Some(5.0)).judge(&PerArm { stable: none(), canary: Ok(1.0) });
        assert_eq!(judged, Finding::Unknown("metric carts of stable has no value".into()));
        let judged = limit(Some(0.5), None, Some(5.0)).judge(&PerArm { stable: none(), canary: Ok(1.0) });
        assert!(matches!(judged, Finding::Broken(_)), "{judged:?}");
    }
}
