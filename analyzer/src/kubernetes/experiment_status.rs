//! An Experiment's status from its numbers, and the Events that a change of it is worth.

use super::events;
use super::status::{Said, condition_of, time};
use crate::engine::ExperimentView;
use crate::experiments::Status;
use crate::experiments::spec::moment;
use crate::kinds::{ArmStatus, ExperimentCondition, ExperimentPhase, ExperimentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time as KubeTime};
use kube::runtime::events::{Event, EventType};
use serin_judge::experiment::{Comparison, Results};
use serin_judge::time::Time;

/// What the controller knows beside the experiment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// The generation of the spec that is followed.
    pub(super) generation: Option<i64>,
    /// This replica.
    pub(super) holder: &'a str,
    /// Why the spec as it stands is not followed: a word and a sentence.
    pub(super) refused: Option<&'a (&'static str, String)>,
}

/// The status of an experiment.
pub(super) fn of(
    view: &ExperimentView,
    results: &Results,
    known: Known<'_>,
    before: &[Condition],
    now: Time,
) -> ExperimentStatus {
    let arms: Vec<ArmStatus> =
        view.spec.arms.iter().map(|arm| arm_status(&arm.name, view, results)).collect();
    let winner = winner(view, results);
    ExperimentStatus {
        phase: Some(phase(view.status)),
        step: Some(view.step.into()),
        exposures: Some(arms.iter().map(|arm| arm.exposures).sum()),
        recommendation: Some(recommendation(winner.as_deref(), results)),
        winner,
        arms,
        conditions: conditions(view, results, known, before, now),
        created: at(&view.created),
        ended: view.ended.as_deref().and_then(at),
        holder: Some(known.holder.to_owned()),
        observed_generation: known.generation,
    }
}

/// The status of an Experiment that was never understood.
pub(super) fn of_none(known: Known<'_>, before: &ExperimentStatus, now: Time) -> ExperimentStatus {
    let conditions =
        vec![condition(ExperimentCondition::Ready, ready(known), known, &before.conditions, now)];
    ExperimentStatus { conditions, ..before.clone() }
}

/// What a change of status is worth telling.
pub(super) fn news(old: &ExperimentStatus, new: &ExperimentStatus) -> Vec<Event> {
    let mut events = Vec::new();
    let mut tell =
        |type_, reason: &str, note: &str| events.push(events::about_experiment(type_, reason, note));
    let shares: Vec<String> = new.arms.iter().map(|arm| format!("{} {} %", arm.name, arm.share)).collect();
    let shares = shares.join(", ");
    match (old.phase == new.phase, new.phase) {
        (false, Some(ExperimentPhase::Scheduled)) => {
            tell(EventType::Normal, "Scheduled", "its start is yet to come");
        }
        (false, Some(ExperimentPhase::Running)) => tell(EventType::Normal, "Running", &shares),
        (false, Some(ExperimentPhase::Ended)) => {
            tell(EventType::Normal, "Ended", new.recommendation.as_deref().unwrap_or_default());
        }
        (true, _) | (false, None) => {}
    }
    if let (Some(before), Some(step)) = (old.step, new.step)
        && before != step
    {
        tell(EventType::Normal, "StepBegun", &format!("step {step}: {shares}"));
    }
    for one in new.conditions.iter().filter(|one| one.status == "False") {
        let held = old.conditions.iter().find(|old| old.type_ == one.type_);
        let is_new = held.is_none_or(|old| {
            (&old.status, &old.reason, &old.message) != (&one.status, &one.reason, &one.message)
        });
        // That it does not run is told above; the sentence of another condition is news when it is another.
        if is_new && one.type_ != ExperimentCondition::Running.name() {
            tell(EventType::Warning, &one.reason, &one.message);
        }
    }
    events
}

fn phase(status: Status) -> ExperimentPhase {
    match status {
        Status::Scheduled => ExperimentPhase::Scheduled,
        Status::Running => ExperimentPhase::Running,
        Status::Ended => ExperimentPhase::Ended,
    }
}

fn arm_status(name: &str, view: &ExperimentView, results: &Results) -> ArmStatus {
    let variant = results.variants.get(name);
    let compared = first_goal(results).find(|comparison| comparison.arm == name);
    ArmStatus {
        name: name.to_owned(),
        share: view.shares.get(name).copied().unwrap_or(0.0),
        exposures: variant.map_or(0, |variant| variant.exposures),
        conversions: variant.map_or(0, |variant| variant.conversions),
        lift_percent: compared.and_then(|comparison| comparison.lift),
        always_valid_p_value: compared.map(|comparison| comparison.always_valid_p_value_holm),
    }
}

/// The goal that the experiment is about.
fn first_goal(results: &Results) -> impl Iterator<Item = &Comparison> {
    let goal = results.comparisons.first().map(|comparison| comparison.goal.clone());
    results.comparisons.iter().filter(move |comparison| Some(&comparison.goal) == goal.as_ref())
}

/// The arm that is better, certainly: the likeliest to convert of those that beat control; control where it beats
/// all others. None with a mismatch of sizes: then no number means anything.
fn winner(view: &ExperimentView, results: &Results) -> Option<String> {
    if results.sample_ratio.mismatch {
        return None;
    }
    let lift = |comparison: &Comparison| comparison.lift.filter(|_| comparison.significant_at_any_time);
    let better = first_goal(results).filter_map(|comparison| Some((lift(comparison)?, &comparison.arm)));
    let best = better.filter(|(lift, _)| *lift > 0.0).max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((_, arm)) = best {
        return Some(arm.clone());
    }
    let beaten = first_goal(results).all(|comparison| lift(comparison).is_some_and(|lift| lift < 0.0));
    let control = view.spec.arms.first().filter(|_| beaten && !results.comparisons.is_empty())?;
    Some(control.name.clone())
}

fn recommendation(winner: Option<&str>, results: &Results) -> String {
    if results.sample_ratio.mismatch {
        return "the arms do not have the sizes of their shares: trust no number, find what loses or moves users"
            .to_owned();
    }
    if let Some(guard) = results.guardrails.iter().find(|guard| guard.harmed) {
        return format!("{} harms {}: end it, or take the arm's share away", guard.arm, guard.goal);
    }
    match winner {
        Some(winner) => {
            let compared = first_goal(results).find(|comparison| comparison.arm == winner);
            let lift = compared.and_then(|comparison| comparison.lift);
            let lift =
                lift.map_or_else(|| "better than all others".to_owned(), |lift| format!("{lift:+.1} %"));
            let goal = results.comparisons.first().map_or("", |comparison| comparison.goal.as_str());
            format!("{winner} wins in {goal}: {lift}")
        }
        None => {
            let missing = first_goal(results).filter_map(|one| Some(one.sample_size?.missing)).max();
            let wait = missing
                .filter(|missing| *missing > 0)
                .map(|missing| format!("; a test of fixed size would need {missing} more users in each arm"));
            format!("no difference can be told yet{}", wait.unwrap_or_default())
        }
    }
}

fn conditions(
    view: &ExperimentView,
    results: &Results,
    known: Known<'_>,
    before: &[Condition],
    now: Time,
) -> Vec<Condition> {
    let running = match view.status {
        Status::Scheduled => (false, "Scheduled", "its start is yet to come".to_owned()),
        Status::Running => (true, "Running", format!("users are assigned under step {}", view.step)),
        Status::Ended => (false, "Ended", "it is over; what it counted stays".to_owned()),
    };
    let fits = match results.sample_ratio.mismatch {
        false => (true, "Fits", "the arms have the sizes of their shares".to_owned()),
        true => (
            false,
            "SampleRatioMismatch",
            "the arms do not have the sizes of their shares: something loses or moves users of one"
                .to_owned(),
        ),
    };
    let harmed = results.guardrails.iter().find(|guard| guard.harmed);
    let kept = match harmed {
        None => (true, "Kept", "no guardrail is harmed".to_owned()),
        Some(guard) => (
            false,
            "GuardrailHarmed",
            format!("{} harms {}: E is {:.0}, 20 is enough", guard.arm, guard.goal, guard.e_value),
        ),
    };
    let all = [
        (ExperimentCondition::Ready, ready(known)),
        (ExperimentCondition::Running, running),
        (ExperimentCondition::SampleRatioFits, fits),
        (ExperimentCondition::GuardrailsKept, kept),
    ];
    all.into_iter().map(|(kind, said)| condition(kind, said, known, before, now)).collect()
}

fn ready(known: Known<'_>) -> Said {
    match known.refused {
        Some((word, sentence)) => (false, *word, sentence.clone()),
        None => (true, "Understood", "the spec is followed".to_owned()),
    }
}

fn condition(
    kind: ExperimentCondition,
    said: Said,
    known: Known<'_>,
    before: &[Condition],
    now: Time,
) -> Condition {
    condition_of(kind.name(), said, known.generation, before, now)
}

/// A moment of the view's.
fn at(text: &str) -> Option<KubeTime> {
    moment("time", text).ok().and_then(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::{Book, Experiment, Source};
    use serin_contract::Step;

    const NOW: Time = Time(1_700_000_000_000);

    /// Halves with these exposures, and these conversions of the exposed.
    fn book(exposures: [u64; 2], conversions: [u64; 2]) -> Book {
        let spec = r#"{"arms": [{"name": "a", "share": 50}, {"name": "b", "share": 50}],
            "goals": [{"name": "buy"}, {"name": "refund", "guardrail": "more"}]}"#;
        let spec = serin_contract::parse::from_json(spec.as_bytes()).expect("a spec");
        let experiment = Experiment::compile("button", spec).expect("good");
        let mut book = Book::open(experiment, Source::Cluster, NOW);
        for (arm, counts) in book.record.steps[0].arms.iter_mut().enumerate() {
            counts.exposures = exposures[arm];
            counts.goals[0].converted = conversions[arm];
        }
        book.look();
        book
    }

    fn status(book: &Book, before: &ExperimentStatus) -> ExperimentStatus {
        let known = Known { generation: Some(1), holder: "serin-0", refused: None };
        let view = ExperimentView::of(book, NOW);
        of(&view, &book.results(), known, &before.conditions, NOW)
    }

    fn told(old: &ExperimentStatus, new: &ExperimentStatus) -> Vec<String> {
        news(old, new).into_iter().map(|event| event.reason).collect()
    }

    #[test]
    fn an_arm_wins_once_its_difference_is_certain() {
        let none = status(&book([1000, 1000], [50, 55]), &ExperimentStatus::default());
        assert_eq!((none.winner.as_deref(), none.exposures), (None, Some(2000)));
        assert!(none.recommendation.expect("a sentence").contains("more users in each arm"));
        let better = status(&book([1000, 1000], [50, 150]), &ExperimentStatus::default());
        assert_eq!(better.winner.as_deref(), Some("b"));
        assert!(better.recommendation.expect("a sentence").starts_with("b wins in buy: +"));
        let worse = status(&book([1000, 1000], [150, 50]), &ExperimentStatus::default());
        assert_eq!(worse.winner.as_deref(), Some("a"));
    }

    #[test]
    fn nobody_wins_where_users_of_an_arm_are_lost() {
        let first = status(&book([1000, 1000], [50, 55]), &ExperimentStatus::default());
        let lost = status(&book([3000, 1000], [50, 150]), &first);
        assert_eq!(lost.winner, None);
        assert!(lost.recommendation.as_deref().expect("a sentence").contains("trust no number"));
        assert_eq!(told(&first, &lost), ["SampleRatioMismatch"]);
        assert_eq!(told(&lost, &lost), Vec::<String>::new());
    }

    #[test]
    fn beginning_step_and_end_are_told_once() {
        let mut book = book([0, 0], [0, 0]);
        let first = status(&book, &ExperimentStatus::default());
        assert_eq!(told(&ExperimentStatus::default(), &first), ["Running"]);
        book.go_on_after(Step(1));
        let second = status(&book, &first);
        assert_eq!(told(&first, &second), ["StepBegun"]);
        book.record.ended = Some(NOW);
        let third = status(&book, &second);
        assert_eq!(
            (told(&second, &third), third.phase),
            (vec!["Ended".to_owned()], Some(ExperimentPhase::Ended))
        );
        assert_eq!(third.conditions[1].status, "False");
    }
}
