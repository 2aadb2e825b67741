//! Which gates have agreed to what. A yes counts for one question only: this step, this weight.

use super::{Gate, OnFailure, When};
use serin_contract::{Share, Step};
use std::collections::HashMap;

/// What gates are asked to agree to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    /// A higher weight out of this step; the first one of the rollout, or another.
    Weight {
        /// The step that would end.
        step: Step,
        /// The weight that would come.
        share: Share,
        /// Whether the rollout would begin with it.
        first: bool,
    },
    /// The release's success, at the end of this step.
    Promotion(Step),
    /// That the analysis of this step goes well.
    Analysis(Step),
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// All have agreed, or nobody is to be asked.
    Agreed,
    /// These gates, by their place, are to be asked now; the others' answers are there or under way.
    Open(Vec<usize>),
}

/// A canary's gates and their answers.
#[derive(Debug, Default)]
pub struct Book {
    answers: HashMap<(usize, Question), Answer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// Under way; whether the answer before was a yes, which holds until the new one comes.
    Asked {
        was_yes: bool,
    },
    Yes,
    No(String),
}

impl Question {
    fn concerns(self, when: When) -> bool {
        match (self, when) {
            (Self::Weight { first, .. }, When::BeforeRollout) => first,
            (Self::Weight { .. }, When::BeforeWeight)
            | (Self::Promotion(_), When::BeforePromotion)
            | (Self::Analysis(_), When::DuringAnalysis) => true,
            (Self::Weight { .. } | Self::Promotion(_) | Self::Analysis(_), _) => false,
        }
    }
}

impl Book {
    /// Where a question stands. Whoever said no is asked again; the caller must ask those that are open.
    pub fn put(&mut self, gates: &[Gate], question: Question) -> Standing {
        let mut agreed = true;
        let mut open = Vec::new();
        for (place, _) in gates.iter().enumerate().filter(|(_, gate)| question.concerns(gate.when)) {
            let answer = self.answers.entry((place, question)).or_insert(Answer::No(String::new()));
            match answer {
                Answer::Yes | Answer::Asked { was_yes: true } => {}
                Answer::Asked { was_yes: false } => agreed = false,
                Answer::No(_) => {
                    agreed = false;
                    *answer = Answer::Asked { was_yes: false };
                    open.push(place);
                }
            }
        }
        if agreed { Standing::Agreed } else { Standing::Open(open) }
    }

    /// Puts a question anew to those who said yes: the analysis is asked about at each tick. The caller
    /// must ask these gates.
    pub fn ask_again(&mut self, question: Question) -> Vec<usize> {
        let mut open = Vec::new();
        for ((place, asked), answer) in &mut self.answers {
            if *asked == question && *answer == Answer::Yes {
                *answer = Answer::Asked { was_yes: true };
                open.push(*place);
            }
        }
        open
    }

    /// An answer came. The reason when it is a no that fails the release.
    pub fn answered(
        &mut self,
        gates: &[Gate],
        place: usize,
        question: Question,
        result: Result<(), String>,
    ) -> Option<String> {
        let answer = self.answers.get_mut(&(place, question))?;
        match result {
            Ok(()) => {
                *answer = Answer::Yes;
                None
            }
            Err(reason) => {
                *answer = Answer::No(reason.clone());
                let fails = gates.get(place).is_some_and(|gate| gate.on_failure == OnFailure::Fail);
                fails.then_some(reason)
            }
        }
    }

    /// Why the weight stays: what gates said no to, or have not answered yet.
    pub fn hold(&self, gates: &[Gate]) -> Option<String> {
        let mut waiting = None;
        for ((place, _), answer) in &self.answers {
            match answer {
                Answer::Yes | Answer::Asked { was_yes: true } => {}
                Answer::No(reason) if !reason.is_empty() => return Some(reason.clone()),
                Answer::No(_) | Answer::Asked { was_yes: false } => {
                    waiting =
                        gates.get(*place).map(|gate| format!("gate {} has not answered yet", gate.name));
                }
            }
        }
        waiting
    }

    /// A new step, or the end: earlier answers say nothing about it.
    pub fn clear(&mut self) {
        self.answers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    const WEIGHT: Question = Question::Weight { step: Step(1), share: Share::ALL, first: false };

    fn gate(name: &str, when: When, on_failure: OnFailure) -> Gate {
        let url = hyper::Uri::from_static("http://127.0.0.1:1/");
        let (timeout, retries, metadata) = (Duration::from_secs(1), 0, BTreeMap::new());
        Gate { name: name.into(), when, url, timeout, retries, on_failure, metadata }
    }

    #[test]
    fn a_weight_waits_until_all_its_gates_have_agreed() {
        let gates = [
            gate("first", When::BeforeRollout, OnFailure::Hold),
            gate("load", When::BeforeWeight, OnFailure::Hold),
            gate("people", When::BeforeWeight, OnFailure::Hold),
        ];
        let mut book = Book::default();
        assert_eq!(book.put(&gates, WEIGHT), Standing::Open(vec![1, 2]));
        assert_eq!(book.put(&gates, WEIGHT), Standing::Open(vec![]), "nobody is asked twice at once");
        book.answered(&gates, 1, WEIGHT, Ok(()));
        assert_eq!(book.hold(&gates).as_deref(), Some("gate people has not answered yet"));
        book.answered(&gates, 2, WEIGHT, Err("gate people answered 403".into()));
        assert_eq!(book.hold(&gates).as_deref(), Some("gate people answered 403"));
        assert_eq!(book.put(&gates, WEIGHT), Standing::Open(vec![2]), "who said no is asked again");
        book.answered(&gates, 2, WEIGHT, Ok(()));
        assert_eq!((book.put(&gates, WEIGHT), book.hold(&gates)), (Standing::Agreed, None));
    }

    #[test]
    fn the_first_weight_asks_the_rollouts_gates_too() {
        let gates = [gate("first", When::BeforeRollout, OnFailure::Hold)];
        let first = Question::Weight { step: Step(0), share: Share::ALL, first: true };
        assert_eq!(Book::default().put(&gates, first), Standing::Open(vec![0]));
        assert_eq!(Book::default().put(&gates, WEIGHT), Standing::Agreed);
    }

    #[test]
    fn a_no_fails_only_where_the_gate_says_so() {
        let gates = [
            gate("soft", When::DuringAnalysis, OnFailure::Hold),
            gate("hard", When::DuringAnalysis, OnFailure::Fail),
        ];
        let (mut book, question) = (Book::default(), Question::Analysis(Step(1)));
        book.put(&gates, question);
        assert_eq!(book.answered(&gates, 0, question, Err("no".into())), None);
        assert_eq!(book.answered(&gates, 1, question, Err("no".into())).as_deref(), Some("no"));
    }

    #[test]
    fn a_yes_about_the_analysis_holds_until_the_next_answer() {
        let gates = [gate("load", When::DuringAnalysis, OnFailure::Hold)];
        let (mut book, question) = (Book::default(), Question::Analysis(Step(1)));
        book.put(&gates, question);
        book.answered(&gates, 0, question, Ok(()));
        assert_eq!(book.ask_again(question), [0]);
        assert_eq!((book.put(&gates, question), book.hold(&gates)), (Standing::Agreed, None));
        book.answered(&gates, 0, question, Err("no".into()));
        assert_eq!(book.hold(&gates).as_deref(), Some("no"));
        book.clear();
        assert_eq!(book.answered(&gates, 0, question, Ok(())), None, "a late answer is nobody's");
        assert_eq!(book.put(&gates, question), Standing::Open(vec![0]));
    }
}
