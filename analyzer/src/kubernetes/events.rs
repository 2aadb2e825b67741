//! Kubernetes Events: one for each line of a release's history.

use super::{CallError, NAME, in_time};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use serin_judge::ramp::{Phase, Transition};

/// An Event's note may not be longer, in bytes.
const LONGEST: usize = 1024;

/// The Event for a line of history.
pub(super) fn of(transition: &Transition) -> Event {
    let by_router = transition.by.as_deref() == Some("router");
    let (type_, reason) = match transition.phase {
        Phase::Pending => (EventType::Normal, "RolloutBegun"),
        Phase::Progressing => (EventType::Normal, "Progressing"),
        Phase::Paused => (EventType::Warning, "Paused"),
        Phase::Promoting => (EventType::Normal, "Promoting"),
        Phase::Succeeded => (EventType::Normal, "Succeeded"),
        Phase::Failed => (EventType::Warning, "RolledBack"),
    };
    let (type_, reason) = if by_router { (EventType::Warning, "RouteChanged") } else { (type_, reason) };
    let by =
        transition.by.as_deref().filter(|_| !by_router).map(|by| format!(" (by {by})")).unwrap_or_default();
    let note =
        format!("{} % at step {}{by}: {}", transition.weight.percent(), transition.step, transition.reason);
    event(type_, reason, &note)
}

/// An Event about an experiment.
pub(super) fn about_experiment(type_: EventType, reason: &str, note: &str) -> Event {
    Event { action: "Experiment".to_owned(), ..event(type_, reason, note) }
}

/// An Event about something that cannot be done.
pub(super) fn warning(reason: &str, note: &str) -> Event {
    event(EventType::Warning, reason, note)
}

fn event(type_: EventType, reason: &str, note: &str) -> Event {
    let end = (0..=LONGEST.min(note.len())).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0);
    Event {
        type_,
        reason: reason.to_owned(),
        note: note.get(..end).map(str::to_owned),
        action: "Release".to_owned(),
        secondary: None,
    }
}

/// Sends an Event. Each gets a recorder of its own, because one recorder merges Events of the same reason
/// and keeps only the first one's note, and here the notes say what happened.
pub(super) async fn send(
    client: &Client,
    replica: &str,
    event: &Event,
    about: &ObjectReference,
) -> Result<(), CallError> {
    let reporter = Reporter { controller: NAME.to_owned(), instance: Some(replica.to_owned()) };
    in_time(Recorder::new(client.clone(), reporter).publish(event, about)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_contract::{Share, Step};
    use serin_judge::time::Time;

    #[test]
    fn a_rollback_is_a_warning_and_a_long_reason_is_cut_at_a_character() {
        let transition = Transition {
            time: Time(0),
            phase: Phase::Failed,
            weight: Share::NONE,
            step: Step(4),
            reason: "ä".repeat(2000),
            by: None,
        };
        let event = of(&transition);
        assert_eq!((event.reason.as_str(), event.type_), ("RolledBack", EventType::Warning));
        let note = event.note.expect("a note");
        assert!(note.starts_with("0 % at step 4: ä") && note.len() <= LONGEST && note.ends_with('ä'));
        let braked = Transition { phase: Phase::Paused, by: Some("router".to_owned()), ..transition };
        assert_eq!(of(&braked).reason, "RouteChanged");
    }
}
