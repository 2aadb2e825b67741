//! How far users get: of those who did the first step, how many did the second after it, and so on, and
//! how long that took. Exposures and goals of filters are no actions: funnels are made of what comes by
//! the API.

use crate::store::Walk;
use serde::Serialize;
use serin_contract::FieldError;
use serin_judge::time::Time;
use std::collections::BTreeMap;

/// How many steps a funnel may have.
pub const MAX_STEPS: usize = 10;

/// A funnel, for each arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Funnel {
    /// The experiment.
    pub experiment: String,
    /// By the arm's name.
    pub arms: BTreeMap<String, Vec<FunnelStep>>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunnelStep {
    /// The action's name.
    pub step: String,
    /// Users who got so far.
    pub users: u64,
    /// Of those of the step before, the part that did not, in percent; none for the first step, or where
    /// nobody was left.
    pub drop_off: Option<f64>,
    /// Of those of the first step, the part that got so far, in percent; none where there was nobody.
    pub from_first: Option<f64>,
    /// Seconds from the step before, the median; none for the first step, or where nobody got here.
    pub median_seconds: Option<f64>,
}

/// Gathers a funnel from users' walks.
pub struct Gatherer {
    steps: Vec<String>,
    /// For each arm and step: the milliseconds since the step before, one for each user.
    arms: Vec<Vec<Vec<u64>>>,
}

impl Gatherer {
    /// For the steps of a query, as `view,cart,purchase`.
    ///
    /// # Errors
    /// When there are none or too many.
    pub fn new(steps: &str, arms: usize) -> Result<Self, FieldError> {
        let steps: Vec<String> = steps.split(',').map(|step| step.trim().to_owned()).collect();
        let wrong = |step: &String| step.is_empty() || step.len() > 128;
        if !(2..=MAX_STEPS).contains(&steps.len()) || steps.iter().any(wrong) {
            let message =
                format!("must be 2 to {MAX_STEPS} names of actions between commas, as view,cart,purchase");
            return Err(FieldError::new("steps", message));
        }
        let arms = vec![vec![Vec::new(); steps.len()]; arms];
        Ok(Self { steps, arms })
    }

    /// One user: each step is the first action of its name that is not before the step before it.
    pub fn add(&mut self, walk: &Walk) {
        let Some(reached) = walk.arm.and_then(|arm| self.arms.get_mut(arm)) else { return };
        let mut actions = walk.actions.iter();
        let mut before: Option<Time> = None;
        for (step, times) in self.steps.iter().zip(reached) {
            let Some((time, _)) = actions.find(|(_, name)| name == step) else { return };
            times.push(before.map_or(0, |before| time.0.saturating_sub(before.0)));
            before = Some(*time);
        }
    }

    /// The funnel.
    pub fn finish(self, experiment: &str, arms: &[String]) -> Funnel {
        let steps = self.steps;
        let of = |times: Vec<Vec<u64>>| {
            let users: Vec<u64> = times.iter().map(|times| times.len() as u64).collect();
            let part = |of: u64, all: u64| (all > 0).then(|| of as f64 / all as f64 * 100.0);
            let row = |(place, mut times): (usize, Vec<u64>)| FunnelStep {
                step: steps[place].clone(),
                users: users[place],
                drop_off: place.checked_sub(1).and_then(|p| part(users[p] - users[place], users[p])),
                from_first: part(users[place], users[0]),
                median_seconds: if place == 0 { None } else { median(&mut times) },
            };
            times.into_iter().enumerate().map(row).collect()
        };
        let arms = arms.iter().cloned().zip(self.arms.into_iter().map(of)).collect();
        Funnel { experiment: experiment.to_owned(), arms }
    }
}

/// In seconds.
fn median(millis: &mut [u64]) -> Option<f64> {
    millis.sort_unstable();
    let high = *millis.get(millis.len() / 2)?;
    let low = if millis.len().is_multiple_of(2) { millis[millis.len() / 2 - 1] } else { high };
    Some(f64::midpoint(low as f64, high as f64) / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(arm: usize, actions: &[(u64, &str)]) -> Walk {
        let actions = actions.iter().map(|(time, name)| (Time(*time), (*name).to_owned())).collect();
        Walk { arm: Some(arm), actions }
    }

    #[test]
    fn steps_count_in_order_with_drop_off_and_median_time() {
        let mut funnel = Gatherer::new("view, cart,buy", 2).expect("steps");
        funnel.add(&walk(0, &[(0, "view"), (1_000, "cart"), (5_000, "buy")]));
        funnel.add(&walk(0, &[(0, "view"), (500, "other"), (3_000, "cart")]));
        // Bought before it was in the cart: only the later purchase counts, and there is none.
        funnel.add(&walk(0, &[(0, "buy"), (1, "view"), (2_001, "cart")]));
        funnel.add(&walk(0, &[(0, "cart")]));
        funnel.add(&Walk { arm: None, actions: vec![(Time(0), "view".to_owned())] });
        let funnel = funnel.finish("x", &["a".to_owned(), "b".to_owned()]);
        let steps = &funnel.arms["a"];
        assert_eq!(steps.iter().map(|step| step.users).collect::<Vec<_>>(), [3, 3, 1]);
        assert_eq!(steps[1].median_seconds, Some(2.0));
        assert!((steps[2].drop_off.expect("a part") - 200.0 / 3.0).abs() < 1e-9);
        assert_eq!((steps[0].drop_off, steps[0].median_seconds), (None, None));
        assert_eq!((funnel.arms["b"][1].users, funnel.arms["b"][1].drop_off), (0, None));
    }

    #[test]
    fn a_funnel_has_two_to_ten_steps() {
        for wrong in ["", "a", "a,,b", "a,b,c,d,e,f,g,h,i,j,k"] {
            assert!(Gatherer::new(wrong, 2).is_err(), "{wrong}");
        }
    }
}
