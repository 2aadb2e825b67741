//! Experiments in the engine: what is asked is worked out together, stored in one commit, and only then
//! taken over and answered.

use super::audit::{Attempt, came_of_change};
use super::core::Core;
use super::{Engine, Message};
use crate::analytics;
use crate::experiments::book::{Book, Loose, Source, Status};
use crate::experiments::desk::{Assigned, Converted, Counted, Draft, Evaluated, Moves, Object, Refused};
use crate::experiments::funnel::{Funnel, Gatherer};
use crate::experiments::history::{Deed, Intent, Line};
use crate::experiments::spec::written;
use crate::experiments::{Event, Experiment, ExperimentSpec};
use crate::store::{StoreError, Write};
use serde::Serialize;
use serin_contract::{CanaryReport, ExperimentReport};
use serin_judge::experiment::Results;
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// An experiment as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentView {
    /// Its id.
    pub id: String,
    /// For people.
    pub name: String,
    /// Where it stands.
    pub status: Status,
    /// Who may change it.
    pub source: Source,
    /// The namespace of its object, where it comes from the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// That object's uid.
    #[serde(skip)]
    pub uid: Option<String>,
    /// The canary whose release it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// When it was created.
    pub created: String,
    /// When it ended.
    pub ended: Option<String>,
    /// The present step.
    pub step: u32,
    /// The present shares in percent.
    pub shares: BTreeMap<String, f64>,
    /// What was asked for.
    pub spec: ExperimentSpec,
    /// What could not be counted.
    pub loose: Loose,
    /// Who did what to it, oldest first.
    pub history: Vec<HistoryView>,
}

/// One line of an experiment's history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryView {
    /// When.
    pub time: String,
    /// `created`, `changed` or `ended`.
    pub deed: Deed,
    /// The step from then on.
    pub step: u32,
    /// Who; `configuration`, `cluster`, `release` or `date` where nobody asked.
    pub by: String,
    /// Why, where they said so.
    pub reason: Option<String>,
}

impl HistoryView {
    fn of(line: &Line) -> Self {
        let Line { time, deed, step, by, reason } = line.clone();
        Self { time: written(time), deed, step, by, reason }
    }
}

impl ExperimentView {
    /// What the audit says of it.
    pub fn in_short(&self) -> String {
        format!("step {}", self.step)
    }

    pub(crate) fn of(book: &Book, now: Time) -> Self {
        let experiment = &book.experiment;
        let shares = experiment.arms.iter().zip(book.shares());
        Self {
            id: experiment.id.clone(),
            name: experiment.name().to_owned(),
            status: book.status(now),
            source: book.record.source,
            namespace: book.record.origin.as_ref().map(|origin| origin.namespace.clone()),
            uid: book.record.origin.as_ref().map(|origin| origin.uid.clone()),
            canary: book.canary().map(str::to_owned),
            created: written(book.record.created),
            ended: book.record.ended.map(written),
            step: book.step().0,
            shares: shares.map(|(arm, share)| (arm.clone(), share.percent())).collect(),
            spec: experiment.spec.clone(),
            loose: book.record.loose,
            history: book.record.history.iter().map(HistoryView::of).collect(),
        }
    }
}

/// An answer that is worked out and waits for the commit.
type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Works an answer out.
type Work = Box<dyn FnOnce(&mut Draft<'_>, Time) -> Reply + Send>;
/// One question.
pub(super) struct Ask(Work);

/// What reports came to; it counts, and is told, once it is stored.
pub(super) struct Worked {
    pub(super) books: BTreeMap<String, Book>,
    pub(super) records: Vec<analytics::Record>,
}

impl Core {
    /// Answers everything that waits, with one commit.
    pub(super) fn experiment(&mut self, asked: Vec<Ask>, now: Time) {
        if asked.is_empty() {
            return;
        }
        // Where that fails the answers fail by themselves: they need the store too.
        drop(self.settle_doubt(now));
        self.read_inbox(now);
        let mut draft = self.experiments.draft(&*self.store, now);
        let answers: Vec<Reply> = asked.into_iter().map(|Ask(ask)| ask(&mut draft, now)).collect();
        let converted = draft.take_converted();
        let records = draft.take_records();
        let (books, writes) = draft.finish();
        let committed = if writes.is_empty() { Ok(()) } else { self.commit(&writes) };
        match committed {
            Ok(()) => {
                self.experiments.adopt(books, now);
                for Converted { canary, goal, unit, arm, step } in converted {
                    if let Some(rollout) = self.rollouts.get_mut(&canary) {
                        rollout.converted(&goal, unit, arm, step);
                    }
                }
                self.analytics.send(records);
                self.publish();
                answers.into_iter().for_each(|answer| answer(Ok(())));
            }
            Err(error) => {
                tracing::error!(%error, calls = answers.len(), "experiments not stored; nothing was counted");
                let told = |answer: Reply| {
                    let error = error.to_string();
                    answer(Err(StoreError::Record { table: "experiments", error }));
                };
                answers.into_iter().for_each(told);
            }
        }
    }

    /// Works out what reports say of experiments; what it changes counts once `writes` are stored.
    pub(super) fn count_experiments<'a>(
        &self,
        reports: &[ExperimentReport],
        canaries: impl Iterator<Item = &'a CanaryReport>,
        writes: &mut Vec<Write>,
        now: Time,
    ) -> Result<Worked, StoreError> {
        let mut draft = self.experiments.draft(&*self.store, now);
        for report in reports {
            draft.report(report)?;
        }
        for entry in canaries {
            self.count_release(&mut draft, entry)?;
        }
        let records = draft.take_records();
        let (books, more) = draft.finish();
        writes.extend(more);
        Ok(Worked { books, records })
    }
}

impl Engine {
    async fn draft<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Draft<'_>, Time) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask(Box::new(move |draft, now| {
            let worked = work(draft, now);
            Box::new(move |stored| {
                // Nobody waits any more if the caller has hung up.
                drop(answer.send(stored.map_err(Refused::from).and(worked)));
            })
        }));
        let stopping = || Refused::Unavailable("the analyzer is stopping: try again".to_owned());
        self.queue.send(Message::Experiments(ask)).await.map_err(|_| stopping())?;
        answered.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// The same, with a line in the audit where somebody asks for it.
    async fn audited<T: Send + 'static>(
        &self,
        attempt: Option<Attempt>,
        told: fn(&T) -> String,
        work: impl FnOnce(&mut Draft<'_>, Time) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        self.draft(move |draft, now| {
            let done = work(draft, now);
            if let Some(attempt) = attempt {
                draft.audit(attempt.line(came_of_change(done.as_ref().map(told)), now));
            }
            done
        })
        .await
    }

    /// Makes an experiment.
    ///
    /// # Errors
    /// When there is one of that id already, or the store fails.
    pub async fn create_experiment(
        &self,
        experiment: Experiment,
        intent: Intent,
        attempt: Option<Attempt>,
    ) -> Result<ExperimentView, Refused> {
        self.audited(attempt, ExperimentView::in_short, move |draft, now| {
            let id = draft.create(experiment)?.record.id.clone();
            draft.note(&id, Deed::Created, &intent).map(|book| ExperimentView::of(book, now))
        })
        .await
    }

    /// Follows an Experiment object; see [`Draft::follow`].
    ///
    /// # Errors
    /// As there.
    pub async fn follow_experiment(&self, object: Object) -> Result<ExperimentView, Refused> {
        self.draft(|draft, now| draft.follow(object).map(|book| ExperimentView::of(book, now))).await
    }

    /// All experiments.
    ///
    /// # Errors
    /// When the program is stopping.
    pub async fn experiments(&self) -> Result<Vec<ExperimentView>, Refused> {
        self.draft(|draft, now| {
            Ok(draft.all().into_iter().map(|book| ExperimentView::of(book, now)).collect())
        })
        .await
    }

    /// The experiments that come from the cluster.
    ///
    /// # Errors
    /// When the program is stopping.
    pub async fn followed_experiments(&self) -> Result<Vec<ExperimentView>, Refused> {
        self.draft(|draft, now| {
            let all = draft.all().into_iter();
            let followed = all.filter(|book| book.record.source == Source::Cluster);
            Ok(followed.map(|book| ExperimentView::of(book, now)).collect())
        })
        .await
    }

    /// One experiment.
    ///
    /// # Errors
    /// When there is none.
    pub async fn experiment(&self, id: String) -> Result<ExperimentView, Refused> {
        self.draft(move |draft, now| draft.book(&id).map(|book| ExperimentView::of(book, now))).await
    }

    /// One experiment with its results as they are now.
    ///
    /// # Errors
    /// When there is none.
    pub async fn experiment_results(&self, id: String) -> Result<(ExperimentView, Results), Refused> {
        self.draft(move |draft, now| {
            draft.book(&id).map(|book| (ExperimentView::of(book, now), book.results()))
        })
        .await
    }

    /// Changes shares; see [`Draft::change_shares`].
    ///
    /// # Errors
    /// As there.
    pub async fn change_shares(
        &self,
        id: String,
        shares: BTreeMap<String, f64>,
        accept_moves: bool,
        intent: Intent,
        attempt: Option<Attempt>,
    ) -> Result<(ExperimentView, Moves), Refused> {
        self.audited(
            attempt,
            |(view, _): &(ExperimentView, Moves)| view.in_short(),
            move |draft, now| {
                let (_, moves) = draft.change_shares(&id, &shares, accept_moves)?;
                let book = draft.note(&id, Deed::Changed, &intent)?;
                Ok((ExperimentView::of(book, now), moves))
            },
        )
        .await
    }

    /// Ends an experiment.
    ///
    /// # Errors
    /// When there is none, or it has ended.
    pub async fn end_experiment(
        &self,
        id: String,
        intent: Intent,
        attempt: Option<Attempt>,
    ) -> Result<ExperimentView, Refused> {
        self.audited(attempt, ExperimentView::in_short, move |draft, now| {
            draft.end(&id)?;
            draft.note(&id, Deed::Ended, &intent).map(|book| ExperimentView::of(book, now))
        })
        .await
    }

    /// The arm of a user; see [`Draft::assign`].
    ///
    /// # Errors
    /// As there.
    pub async fn assign(
        &self,
        id: String,
        user: String,
        attributes: BTreeMap<String, serde_json::Value>,
    ) -> Result<Assigned, Refused> {
        self.draft(move |draft, now| draft.assign(&id, &user, Some(&attributes), now)).await
    }

    /// The flags of a user's arms: one of them, or all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn evaluate(
        &self,
        key: Option<String>,
        user: String,
        attributes: BTreeMap<String, serde_json::Value>,
    ) -> Result<Vec<Evaluated>, Refused> {
        self.draft(move |draft, now| draft.evaluate(key.as_deref(), &user, &attributes, now)).await
    }

    /// Takes events, all or none.
    ///
    /// # Errors
    /// With the path of the first event that is wrong.
    pub async fn events(&self, events: Vec<Event>, key: Option<String>) -> Result<Counted, Refused> {
        if let Some(intake) = &self.intake {
            return intake.events(events, key).await;
        }
        self.draft(move |draft, _| draft.events(events, key.as_deref())).await
    }

    /// How far users got, from what the store has of them; beside the engine's task, for it reads all.
    ///
    /// # Errors
    /// When there is no such experiment, or the store fails.
    pub async fn funnel(&self, id: String, steps: &str) -> Result<Funnel, Refused> {
        let arms = {
            let id = id.clone();
            self.draft(move |draft, _| draft.book(&id).map(|book| book.experiment.arms.clone())).await?
        };
        let mut gatherer = Gatherer::new(steps, arms.len())?;
        let store = Arc::clone(&self.store);
        let gathered = tokio::task::spawn_blocking(move || {
            store.walk(&id, &mut |walk| gatherer.add(&walk))?;
            Ok(gatherer.finish(&id, &arms))
        });
        gathered.await.unwrap_or_else(|error| Err(Refused::Unavailable(error.to_string())))
    }
}
