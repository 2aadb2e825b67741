//! A Canary's status: a release as people, other programs and the replica that goes on read it.

use crate::engine::Release;
use crate::kinds::{
    CanaryStatus, ConditionKind, EvidenceStatus, GoalStatus, HistoryEntry, MixtureStatus, PhaseStatus,
    VerdictStatus,
};
use crate::sources::ledger::Source;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time as KubeTime};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serin_contract::Share;
use serin_judge::goals::CarriedGoal;
use serin_judge::ramp::{Phase, Transition};
use serin_judge::time::Time;
use std::time::Duration;

/// Lines of history in a status.
const HISTORY: usize = 20;
/// Reports may be this late before they no longer flow.
const SILENT: Duration = Duration::from_secs(30);

/// What the controller knows beside the release.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// The generation of the spec that the release follows.
    pub(super) generation: Option<i64>,
    /// This replica.
    pub(super) holder: &'a str,
    /// Why the spec as it stands is not followed: a word and a sentence.
    pub(super) refused: Option<&'a (&'static str, String)>,
    /// What is missing or wrong in the cluster.
    pub(super) missing: Option<&'a str>,
    /// Whether the Canary names Deployments.
    pub(super) has_deployments: bool,
}

/// The status of a release. Conditions that stay as they were keep their time.
pub(super) fn of(release: &Release, known: Known<'_>, before: &[Condition], now: Time) -> CanaryStatus {
    let state = &release.state;
    CanaryStatus {
        phase: Some(PhaseStatus::from(state.phase)),
        weight: Some(state.weight.percent()),
        next_weight: release.next.map(Share::percent),
        step: Some(state.step.0.into()),
        stratum: Some(state.stratum.0.into()),
        stable_version: Some(state.stable_version.clone()),
        canary_version: Some(state.canary_version.clone()),
        verdict: Some(VerdictStatus {
            outcome: word(&state.verdict.outcome),
            rule: Some(word(&state.verdict.rule)),
            reason: state.verdict.reason.clone(),
        }),
        conditions: conditions(release, known, before, now),
        evidence: Some(evidence(release)),
        rollout_started: time(state.rollout_started),
        step_started: time(state.step_started),
        promoted_by: state.promoted_by.clone(),
        promoted_from: state.promoted_from.clone(),
        holder: Some(known.holder.to_owned()),
        history: history(&release.view.history),
        observed_generation: known.generation,
    }
}

/// The status of a Canary that was never understood.
pub(super) fn of_none(known: Known<'_>, before: &CanaryStatus, now: Time) -> CanaryStatus {
    let conditions = vec![ready(known, &before.conditions, now)];
    CanaryStatus { conditions, ..before.clone() }
}

/// Whether the change between two statuses is worth a write at once.
pub(super) fn is_transition(old: &CanaryStatus, new: &CanaryStatus) -> bool {
    let point = |status: &CanaryStatus| {
        let rule = status.verdict.as_ref().map(|verdict| (verdict.outcome.clone(), verdict.rule.clone()));
        let conditions: Vec<_> = status
            .conditions
            .iter()
            .map(|condition| (condition.type_.clone(), condition.status.clone()))
            .collect();
        let weights = (status.weight.map(f64::to_bits), status.next_weight.map(f64::to_bits));
        (status.phase, weights, status.step, status.stratum, rule, conditions)
    };
    point(old) != point(new)
        || (&old.stable_version, &old.canary_version) != (&new.stable_version, &new.canary_version)
        || (&old.holder, old.observed_generation) != (&new.holder, new.observed_generation)
        || old.history.last() != new.history.last()
}

fn evidence(release: &Release) -> EvidenceStatus {
    let (carried, summary) = (&release.carried, &release.view.summary);
    let mixture = |value, starts, log_sum| MixtureStatus { value, starts, log_sum };
    let goal = |(name, goal): (&String, &CarriedGoal)| {
        let value = summary.goals.iter().find(|known| known.name == *name).and_then(|known| known.evidence);
        GoalStatus {
            name: name.clone(),
            harm: goal.harm.into(),
            evidence: mixture(value.unwrap_or(1.0), goal.stopped.starts, goal.stopped.log_sum),
        }
    };
    EvidenceStatus {
        errors: mixture(summary.evidence.errors, carried.errors.starts, carried.errors.log_sum),
        slow: mixture(summary.evidence.slow, carried.slow.starts, carried.slow.log_sum),
        goals: carried.goals.iter().map(goal).collect(),
        sample_ratio: mixture(
            summary.sample_ratio,
            carried.sample_ratio.strata,
            carried.sample_ratio.log_sum,
        ),
        slow_edge_us: carried.slow_edge_us,
        stable_p95_us: carried.stable_p95_us,
    }
}

fn history(lines: &[Transition]) -> Vec<HistoryEntry> {
    let entry = |line: &Transition| {
        Some(HistoryEntry {
            time: time(line.time)?,
            phase: line.phase.into(),
            weight: line.weight.percent(),
            step: line.step.0.into(),
            reason: line.reason.clone(),
            by: line.by.clone(),
        })
    };
    lines.iter().skip(lines.len().saturating_sub(HISTORY)).filter_map(entry).collect()
}

fn conditions(release: &Release, known: Known<'_>, before: &[Condition], now: Time) -> Vec<Condition> {
    let at = |kind, state| condition(kind, state, known.generation, before, now);
    let mut all = vec![
        ready(known, before, now),
        at(ConditionKind::Progressing, progressing(release)),
        at(ConditionKind::RoutesReady, routes_ready(release, known)),
        at(ConditionKind::ReportsFlowing, reports_flowing(release, now)),
    ];
    if known.has_deployments {
        all.push(at(ConditionKind::DeploymentsReady, deployments_ready(release)));
    }
    all.extend(sources_up(release).map(|said| at(ConditionKind::SourcesUp, said)));
    all
}

/// A condition's status, its word and its sentence.
pub(super) type Said = (bool, &'static str, String);

fn ready(known: Known<'_>, before: &[Condition], now: Time) -> Condition {
    let said = match (known.refused, known.missing) {
        (Some((word, sentence)), _) => (false, *word, sentence.clone()),
        (None, Some(missing)) => (false, "Missing", missing.to_owned()),
        (None, None) => (true, "Understood", "the spec is followed".to_owned()),
    };
    condition(ConditionKind::Ready, said, known.generation, before, now)
}

fn progressing(release: &Release) -> Said {
    let runs = match release.state.phase {
        Phase::Pending | Phase::Progressing | Phase::Promoting => true,
        Phase::Paused | Phase::Succeeded | Phase::Failed => false,
    };
    let last = release.view.history.last().map_or("nothing has happened yet", |line| line.reason.as_str());
    (runs, release.state.phase.name(), last.to_owned())
}

fn routes_ready(release: &Release, known: Known<'_>) -> Said {
    let router = &release.view.router;
    match (&router.error, known.missing, router.weight) {
        (Some(error), _, _) => (false, "RouterError", error.clone()),
        (None, Some(missing), _) => (false, "Missing", missing.to_owned()),
        // Before a release begins, the weight that somebody wrote stays.
        (None, None, Some(weight))
            if weight.to_bits() == release.view.weight.to_bits() || release.state.phase == Phase::Pending =>
        {
            (true, "Written", "the VirtualService has the weight and the managed routes".to_owned())
        }
        (None, None, Some(_) | None) => (false, "Writing", "the weight is on its way".to_owned()),
    }
}

fn reports_flowing(release: &Release, now: Time) -> Said {
    match release.view.summary.last_report {
        None => (
            false,
            "NoReports",
            "no filter has reported since this replica leads; is the WasmPlugin applied, and can the filter reach \
             the analyzer?"
                .to_owned(),
        ),
        Some(last) if now.since(last) > SILENT => {
            (false, "Silent", "filters have reported, but no longer do".to_owned())
        }
        Some(_) => (true, "Reporting", "filters report".to_owned()),
    }
}

/// None where the filters are the only source.
fn sources_up(release: &Release) -> Option<Said> {
    let asked = || release.view.sources.iter().filter(|health| health.source != Source::Filters);
    asked().next()?;
    let down = asked().filter_map(|health| {
        let problem = health.problem.as_deref()?;
        Some(format!("{}: {problem}", health.source.name()))
    });
    let down: Vec<String> = down.collect();
    if !down.is_empty() {
        return Some((false, "Down", down.join("; ")));
    }
    let notes: Vec<&str> = asked().flat_map(|health| &health.notes).map(String::as_str).collect();
    if notes.is_empty() {
        return Some((true, "Answering", "every source answers".to_owned()));
    }
    Some((true, "Noted", notes.join("; ")))
}

fn deployments_ready(release: &Release) -> Said {
    match release.deployments.as_ref().map(serin_judge::deployments::Deployments::unready) {
        None => (false, "Unknown", "the Deployments have not been seen yet".to_owned()),
        Some(Some(why)) => (false, "Unready", why),
        Some(None) => (true, "Ready", "both Deployments have their replicas".to_owned()),
    }
}

fn condition(
    kind: ConditionKind,
    said: Said,
    generation: Option<i64>,
    before: &[Condition],
    now: Time,
) -> Condition {
    condition_of(kind.name(), said, generation, before, now)
}

/// A condition of any kind's; it keeps its time while it stays as it was.
pub(super) fn condition_of(
    kind: &str,
    (holds, word, sentence): Said,
    generation: Option<i64>,
    before: &[Condition],
    now: Time,
) -> Condition {
    let status = if holds { "True" } else { "False" };
    let same = before.iter().find(|old| old.type_ == kind && old.status == status);
    let since = same.map(|old| old.last_transition_time.clone());
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: word.to_owned(),
        message: sentence,
        observed_generation: generation,
        last_transition_time: since.or_else(|| time(now)).unwrap_or(KubeTime(Timestamp::UNIX_EPOCH)),
    }
}

pub(super) fn time(time: Time) -> Option<KubeTime> {
    Timestamp::from_millisecond(i64::try_from(time.0).ok()?).ok().map(KubeTime)
}

/// How a word of the judge is written.
fn word(value: &impl Serialize) -> String {
    let written = serde_json::to_value(value).ok();
    written.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::takeover;
    use super::*;
    use crate::engine::{CanaryView, RouterView, Shown};
    use crate::sources::ledger::Health;
    use serin_contract::{Step, Stratum};
    use serin_judge::deployments::{Deployment, Deployments};
    use serin_judge::observations::Observations;
    use serin_judge::ramp::State;
    use serin_judge::settings::Settings;

    const NOW: Time = Time(1_700_000_000_000);

    fn release() -> Release {
        let mut observations = Observations::new(NOW);
        let state = State {
            phase: Phase::Progressing,
            weight: Share::from_percent(25.0).expect("a share"),
            step: Step(4),
            stratum: Stratum(7),
            ..State::new("v1", "v2", NOW)
        };
        observations.begin_stratum(state.step, state.stratum, state.weight, NOW);
        let line = Transition {
            time: NOW,
            phase: Phase::Progressing,
            weight: state.weight,
            step: state.step,
            reason: "weight 5 % -> 25 %".to_owned(),
            by: None,
        };
        let view = CanaryView {
            namespace: "n".to_owned(),
            name: "shop".to_owned(),
            phase: state.phase,
            weight: 25.0,
            next_weight: None,
            step: state.step,
            stratum: state.stratum,
            stable_version: "v1".to_owned(),
            canary_version: "v2".to_owned(),
            experiment: None,
            verdict: state.verdict.clone(),
            router: RouterView { weight: Some(25.0), error: None },
            summary: observations.summary(&Settings::default(), NOW),
            sources: Vec::new(),
            metrics: Vec::new(),
            totals: observations.totals().clone(),
            history: vec![line; 30],
            shown: Shown::default(),
            time: NOW,
        };
        Release {
            view,
            carried: observations.carried(),
            state,
            next: Share::from_percent(50.0).ok(),
            deployments: None,
            analysis_interval: Duration::from_secs(10),
        }
    }

    fn known() -> Known<'static> {
        Known { generation: Some(3), holder: "serin-0", refused: None, missing: None, has_deployments: true }
    }

    fn told(status: &CanaryStatus, kind: ConditionKind) -> &Condition {
        status.conditions.iter().find(|condition| condition.type_ == kind.name()).expect("the condition")
    }

    #[test]
    fn who_takes_over_from_a_status_has_the_same_release() {
        let release = release();
        let status = of(&release, known(), &[], NOW);
        assert_eq!(status.history.len(), 20);
        let written = serde_json::to_value(&status).expect("a status");
        let read: CanaryStatus = serde_json::from_value(written).expect("a status");
        let takeover = takeover::of(&read, "serin-0", NOW).expect("a takeover");
        assert_eq!(
            (&takeover.state.phase, takeover.state.weight),
            (&Phase::Progressing, release.state.weight)
        );
        assert_eq!(takeover.next, release.next);
        assert_eq!((takeover.state.step, takeover.state.stratum), (Step(4), Stratum(7)));
        assert_eq!(takeover.state.verdict, release.state.verdict);
        assert_eq!(takeover.carried, release.carried);
        assert_eq!(takeover.history.len(), 20);
        assert!(takeover.ours && !takeover::of(&read, "serin-1", NOW).expect("a takeover").ours);
        assert_eq!(takeover::of(&CanaryStatus::default(), "serin-0", NOW), None);
    }

    #[test]
    fn conditions_say_what_holds_and_keep_their_time_while_they_do() {
        let mut release = release();
        let first = of(&release, known(), &[], NOW);
        assert_eq!(told(&first, ConditionKind::Ready).status, "True");
        assert_eq!(told(&first, ConditionKind::RoutesReady).status, "True");
        assert_eq!(told(&first, ConditionKind::ReportsFlowing).reason, "NoReports");
        assert_eq!(told(&first, ConditionKind::DeploymentsReady).reason, "Unknown");
        let deployment =
            |ready| Deployment { name: "n/d".into(), found: true, wanted: 2, ready, up_to_date: true };
        let arms = serin_contract::PerArm { stable: deployment(2), canary: deployment(1) };
        release.deployments = Some(Deployments { arms, copied: false });
        release.view.router.error = Some("may not patch".to_owned());
        let refused = ("InvalidSpec", "spec.hosts: there is none".to_owned());
        let known = Known { refused: Some(&refused), ..known() };
        let later = Time(NOW.0 + 5000);
        let second = of(&release, known, &first.conditions, later);
        assert_eq!(told(&second, ConditionKind::Ready).message, "spec.hosts: there is none");
        assert_eq!(told(&second, ConditionKind::RoutesReady).message, "may not patch");
        assert!(told(&second, ConditionKind::DeploymentsReady).message.contains("1 of 2"));
        let since = |status: &CanaryStatus, kind| told(status, kind).last_transition_time.clone();
        let (kept, moved) = (ConditionKind::Progressing, ConditionKind::RoutesReady);
        assert_eq!(since(&first, kept), since(&second, kept));
        assert_ne!(since(&first, moved), since(&second, moved));
        assert!(is_transition(&first, &second));
    }

    #[test]
    fn a_source_that_is_down_is_a_condition_and_what_it_lacks_a_word_about_it() {
        let mut release = release();
        let none = of(&release, known(), &[], NOW);
        assert!(none.conditions.iter().all(|condition| condition.type_ != "SourcesUp"), "nobody is asked");
        let health = |source, problem: Option<&str>, notes: &[&str]| Health {
            source,
            up: problem.is_none(),
            since: NOW,
            problem: problem.map(str::to_owned),
            notes: notes.iter().map(|note| (*note).to_owned()).collect(),
            seconds: 0.1,
        };
        let filters = health(Source::Filters, Some("no report"), &[]);
        let said = |release: &Release| {
            let condition = told(&of(release, known(), &[], NOW), ConditionKind::SourcesUp).clone();
            (condition.status, condition.reason, condition.message)
        };
        let owned = |status: &str, word: &str, text: &str| (status.into(), word.into(), text.into());
        release.view.sources = vec![filters.clone(), health(Source::Prometheus, None, &[])];
        assert_eq!(said(&release), owned("True", "Answering", "every source answers"));
        release.view.sources =
            vec![filters.clone(), health(Source::Prometheus, None, &["cpu: has no value"])];
        assert_eq!(said(&release), owned("True", "Noted", "cpu: has no value"));
        release.view.sources = vec![filters, health(Source::Prometheus, Some("refused"), &[])];
        assert_eq!(said(&release), owned("False", "Down", "prometheus: refused"));
    }

    #[test]
    fn numbers_that_move_are_no_transition() {
        let mut release = release();
        let first = of(&release, known(), &[], NOW);
        release.view.summary.evidence.errors = 7.0;
        let second = of(&release, known(), &first.conditions, NOW);
        assert!(first != second && !is_transition(&first, &second));
    }

    #[test]
    fn a_weight_that_the_router_gets_next_is_told_at_once() {
        let mut release = release();
        let first = of(&release, known(), &[], NOW);
        release.next = None;
        assert!(is_transition(&first, &of(&release, known(), &first.conditions, NOW)));
    }
}
