//! Gates at work: which calls a rollout has to make, and what their answers change.

use super::rollout::Rollout;
use crate::gates::book::{Question, Standing};
use crate::gates::webhook::Call;
use crate::gates::{Gate, When};
use crate::store::Write;
use serin_contract::Share;
use serin_judge::ramp::{self, Phase};
use serin_judge::time::Time;

/// A call to make, and to whom its answer matters.
pub(super) struct Outgoing {
    pub(super) gate: Gate,
    pub(super) call: Call,
    /// The gate's place and the question; none where it is only told.
    pub(super) question: Option<(usize, Question)>,
}

impl Rollout {
    /// Raises the weight once everybody who has to agree has; until then it asks.
    pub(super) fn raise(&mut self, share: Share, now: Time) {
        let step = self.state.step;
        let first = self.state.phase == Phase::Pending;
        let analysed = first || self.agreed(Question::Analysis(step), Some(share));
        let agreed = self.agreed(Question::Weight { step, share, first }, Some(share));
        if analysed && agreed {
            self.move_to(share, now);
            self.asked = Some(share);
            if self.route.wanted() != share || self.route.confirmed == Some(share) {
                self.route.write(share, now);
            }
        }
    }

    /// Whether everybody has agreed to the promotion; asks them if not.
    pub(super) fn may_succeed(&mut self) -> bool {
        let step = self.state.step;
        let analysed = self.agreed(Question::Analysis(step), None);
        self.agreed(Question::Promotion(step), None) && analysed
    }

    fn agreed(&mut self, question: Question, next: Option<Share>) -> bool {
        match self.book.put(&self.spec.gates, question) {
            Standing::Agreed => true,
            Standing::Open(places) => {
                self.send(places, question, next);
                false
            }
        }
    }

    /// At each tick of a release that grows.
    pub(super) fn ask_about_analysis(&mut self) {
        if self.state.phase == Phase::Progressing {
            let question = Question::Analysis(self.state.step);
            let again = self.book.ask_again(question);
            self.send(again, question, None);
            self.agreed(question, None);
        }
    }

    fn send(&mut self, places: Vec<usize>, question: Question, next: Option<Share>) {
        for place in places {
            if let Some(gate) = self.spec.gates.get(place).cloned() {
                let call = self.call(&gate, next);
                self.outgoing.push(Outgoing { gate, call, question: Some((place, question)) });
            }
        }
    }

    /// Tells those who want to know.
    pub(super) fn tell(&mut self, when: When) {
        for gate in self.spec.gates.clone().into_iter().filter(|gate| gate.when == when) {
            let call = self.call(&gate, None);
            self.outgoing.push(Outgoing { gate, call, question: None });
        }
    }

    fn call(&self, gate: &Gate, next: Option<Share>) -> Call {
        let state = &self.state;
        Call {
            name: self.spec.id.name.clone(),
            namespace: self.spec.id.namespace.clone(),
            when: gate.when,
            phase: state.phase.name(),
            weight: state.weight.percent(),
            next_weight: next.map(Share::percent),
            stable_version: state.stable_version.clone(),
            canary_version: state.canary_version.clone(),
            reason: state.verdict.reason.clone(),
            metadata: gate.metadata.clone(),
        }
    }

    /// A gate answered. A yes takes effect at the next tick, when all rules are judged again.
    pub(super) fn gated(
        &mut self,
        (place, question): (usize, Question),
        result: Result<(), String>,
        now: Time,
        writes: &mut Vec<Write>,
    ) {
        if let Err(reason) = &result {
            tracing::warn!(canary = %self.spec.id, ?question, %reason, "a gate said no");
        }
        if let Some(reason) = self.book.answered(&self.spec.gates, place, question, result) {
            let decided = ramp::gate_failed(&self.state, &reason, now);
            self.follow(decided, now, writes);
        }
    }
}
