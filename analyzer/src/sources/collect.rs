//! One round of asking: all sources of a canary at once, each within its timeout. Runs beside the engine's
//! task, which gets the result as a message.

use super::limit::{Given, given};
use super::prometheus::{self, Range, Reading, Server, Standard, Trouble};
use super::template::Values;
use super::{Sources, application};
use futures::stream::{self, StreamExt};
use serin_contract::{Arm, PerArm};
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Queries under way at once.
const AT_ONCE: usize = 8;

/// What is asked, and about whom.
#[derive(Debug, Clone)]
pub struct Round {
    /// The canary's sources.
    pub sources: Sources,
    /// The Prometheus to ask: the canary's own, or the program's.
    pub prometheus: Option<Server>,
    /// What comes into the queries' places, by version.
    pub values: PerArm<Values>,
    /// When it began.
    pub time: Time,
}

/// What came of a round.
#[derive(Debug, Clone)]
pub struct Collected {
    /// When the round began.
    pub time: Time,
    pub(super) application: Option<Asked<PerArm<Result<application::Reading, String>>>>,
    pub(super) prometheus: Option<Asked<Result<Answers, String>>>,
}

/// Something with the time that it took.
#[derive(Debug, Clone)]
pub(super) struct Asked<T> {
    pub(super) answer: T,
    pub(super) took: Duration,
}

/// What Prometheus said.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    pub(super) standard: PerArm<BTreeMap<Standard, f64>>,
    /// By the limits' order.
    pub(super) limits: Vec<PerArm<Given>>,
    /// Queries that are wrong; not those without a value.
    pub(super) notes: Vec<String>,
    /// Usual queries without a value.
    pub(super) empty: Vec<String>,
}

impl Round {
    /// Asks everybody.
    pub async fn run(self) -> Collected {
        let (application, prometheus) = tokio::join!(self.ask_application(), self.ask_prometheus());
        Collected { time: self.time, application, prometheus }
    }

    async fn ask_application(&self) -> Option<Asked<PerArm<Result<application::Reading, String>>>> {
        let application = self.sources.application.as_ref()?;
        let begin = Instant::now();
        let (urls, timeout) = (&application.urls, application.timeout);
        let (stable, canary) =
            tokio::join!(application::read(&urls.stable, timeout), application::read(&urls.canary, timeout));
        Some(Asked { answer: PerArm { stable, canary }, took: begin.elapsed() })
    }

    async fn ask_prometheus(&self) -> Option<Asked<Result<Answers, String>>> {
        let begin = Instant::now();
        let answer = match &self.prometheus {
            Some(server) => self.ask_server(server).await,
            None if self.sources.limits.is_empty() => return None,
            None => {
                Err("no Prometheus is configured: set spec.sources.prometheus.url, or spec.prometheus.url \
                         of the Serin document"
                    .to_owned())
            }
        };
        Some(Asked { answer, took: begin.elapsed() })
    }

    async fn ask_server(&self, server: &Server) -> Result<Answers, String> {
        let questions = self.questions();
        let asked: Vec<_> = questions
            .iter()
            .map(|question| prometheus::ask(server, &question.query, question.range, self.time))
            .collect();
        let answers = stream::iter(asked).buffered(AT_ONCE).collect::<Vec<_>>();
        let answers = tokio::time::timeout(server.timeout, answers).await.map_err(|_| {
            format!("{} did not answer all queries within {} ms", server.url, server.timeout.as_millis())
        })?;
        self.sort_out(&questions, answers)
    }

    fn questions(&self) -> Vec<Question> {
        let mut questions = Vec::new();
        for (arm, values) in self.values.iter() {
            for (standard, template) in &self.sources.prometheus.queries {
                let query = template.fill(values);
                questions.push(Question { about: About::Standard(*standard), arm, query, range: None });
            }
            for (place, limit) in self.sources.limits.iter().enumerate() {
                // A query that names no version has one value, which is the canary's.
                if arm == Arm::Canary || limit.query.is_by_version() {
                    let query = limit.query.fill(values);
                    questions.push(Question { about: About::Limit(place), arm, query, range: limit.range });
                }
            }
        }
        questions
    }

    /// One query that Prometheus could not take in is a note; a Prometheus that fails is the whole
    /// source's failure, for what of it came is not what was asked for.
    fn sort_out(
        &self,
        questions: &[Question],
        answers: Vec<Result<Reading, Trouble>>,
    ) -> Result<Answers, String> {
        let not_asked = || PerArm { stable: Err("is not by version".to_owned()), canary: Err(String::new()) };
        let mut sorted = Answers {
            limits: self.sources.limits.iter().map(|_| not_asked()).collect(),
            ..Answers::default()
        };
        for (question, answer) in questions.iter().zip(answers) {
            let arm = question.arm;
            let answer = match answer {
                Ok(reading) => given(reading),
                Err(Trouble::Source(problem)) => return Err(problem),
                Err(Trouble::Query(problem)) => {
                    let what = question.about.name(&self.sources);
                    sorted.notes.push(format!("query {what} of {arm}: {problem}"));
                    Err(problem)
                }
            };
            match (question.about, answer) {
                (About::Standard(standard), Ok(value)) => {
                    sorted.standard.get_mut(arm).insert(standard, value);
                }
                (About::Standard(standard), Err(_)) => {
                    sorted.empty.push(format!("{} of {arm}", standard.name()));
                }
                (About::Limit(place), answer) => {
                    if let Some(limit) = sorted.limits.get_mut(place) {
                        *limit.get_mut(arm) = answer;
                    }
                }
            }
        }
        Ok(sorted)
    }
}

struct Question {
    about: About,
    arm: Arm,
    query: String,
    range: Option<Range>,
}

#[derive(Clone, Copy)]
enum About {
    Standard(Standard),
    Limit(usize),
}

impl About {
    fn name(self, sources: &Sources) -> &str {
        match self {
            Self::Standard(standard) => standard.name(),
            Self::Limit(place) => sources.limits.get(place).map_or("", |limit| &limit.name),
        }
    }
}
