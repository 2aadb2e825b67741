//! All experiments. What is asked or reported is worked out in a [`Draft`] beside them; once its writes are
//! in the store the draft is taken over, and if they cannot be stored nothing has happened.

mod assign;
mod change;
mod count;
mod latest;
mod object;
mod release;
mod series;

pub use assign::{Assigned, Evaluated};
pub use change::Moves;
pub use count::Counted;
pub use object::Object;
pub use release::{Changes, Converted, Counting};

use super::book::{Book, Record, Source, Status};
use super::history::{Deed, Intent};
use super::spec::Experiment;
use super::unit::Unit;
use crate::analytics;
use crate::store::{AuditLine, KeptAnswer, Store, StoreError, Write};
use serin_contract::plan::ExperimentDocument;
use serin_contract::plan::experiment::MAX_EXPERIMENTS;
use serin_contract::{FieldError, Step, UnitHash};
use serin_judge::time::Time;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How long the answer to an idempotency key is remembered.
pub const KEY_LIFE: Duration = Duration::from_secs(48 * 3600);

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such experiment.
    #[error("there is no experiment {0}: GET /v1/experiments lists them")]
    Unknown(String),
    /// A field is wrong.
    #[error("{0}")]
    Field(#[from] FieldError),
    /// It does not go with what is there.
    #[error("{0}")]
    Conflict(String),
    /// The store does not answer, or the program is stopping.
    #[error("{0}")]
    Unavailable(String),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The experiments.
#[derive(Debug, Default)]
pub struct Desk {
    books: BTreeMap<String, Book>,
    plan: Vec<ExperimentDocument>,
    /// Whether anybody wants records of what users do.
    recording: bool,
}

impl Desk {
    /// Those of the store, with those that the configuration declares taken over.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn load(
        records: Vec<Record>,
        declared: &[Experiment],
        now: Time,
    ) -> Result<(Self, Vec<Write>), String> {
        let mut desk = Self::of(records)?;
        let changes = desk.declare(declared, now)?;
        desk.refresh(now);
        Ok((desk, changes))
    }

    /// Experiments as the store has them, to check events against.
    ///
    /// # Errors
    /// A sentence that says what this program would refuse.
    pub fn of(records: Vec<Record>) -> Result<Self, String> {
        let mut desk = Self::default();
        for record in records {
            let id = record.id.clone();
            let book =
                Book::restore(record).map_err(|error| format!("experiment {id} in the store: {error}"))?;
            desk.books.insert(id, book);
        }
        Ok(desk)
    }

    /// Takes over what the configuration declares, all of it or nothing; what it no longer declares ends.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn declare(&mut self, declared: &[Experiment], now: Time) -> Result<Vec<Write>, String> {
        let changed = self.declaration(declared, now)?;
        let writes = changed.iter().map(|book| Write::Experiment(Box::new(book.record.clone()))).collect();
        self.books.extend(changed.into_iter().map(|book| (book.record.id.clone(), book)));
        self.refresh(now);
        Ok(writes)
    }

    /// What a declaration would change.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn declaration(&self, declared: &[Experiment], now: Time) -> Result<Vec<Book>, String> {
        let mut changed = Vec::new();
        let file = Intent::of("configuration");
        for experiment in declared {
            match self.books.get(&experiment.id) {
                None => {
                    let mut book = Book::open(experiment.clone(), Source::File, now);
                    book.note(Deed::Created, &file, now);
                    changed.push(book);
                }
                Some(book) if book.record.source != Source::File => {
                    let id = &experiment.id;
                    let owner = book.owner();
                    return Err(format!(
                        "experiment {id}: there is one already, {owner}; give it another name"
                    ));
                }
                Some(book) if book.record.spec != experiment.spec => {
                    let mut book = book.clone();
                    let changing = book.change(experiment.clone());
                    changing.map_err(|error| format!("experiment {}: {error}", experiment.id))?;
                    book.note(Deed::Changed, &file, now);
                    changed.push(book);
                }
                Some(_) => {}
            }
        }
        for book in self.books.values().filter(|book| book.record.source == Source::File) {
            let stays = declared.iter().any(|experiment| experiment.id == book.record.id);
            if !stays && book.record.ended.is_none() {
                let mut book = book.clone();
                book.record.ended = Some(now);
                book.note(Deed::Ended, &file, now);
                changed.push(book);
            }
        }
        self.check_room(&changed, now)?;
        Ok(changed)
    }

    fn check_room(&self, changed: &[Book], now: Time) -> Result<(), String> {
        let stays = |book: &&Book| changed.iter().all(|new| new.record.id != book.record.id);
        let all = self.books.values().filter(stays).chain(changed);
        let open = all.filter(|book| book.status(now) != Status::Ended && book.experiment.is_in_path());
        match open.count() {
            0..=MAX_EXPERIMENTS => Ok(()),
            many => {
                Err(format!("{many} experiments would run in the filters: allowed are {MAX_EXPERIMENTS}"))
            }
        }
    }

    /// Whether anybody wants records of what users do.
    pub fn record(&mut self, recording: bool) {
        self.recording = recording;
    }

    /// The filters' part, of those that run.
    pub fn plan(&self) -> &[ExperimentDocument] {
        &self.plan
    }

    /// Looks at the clock: what has begun or ended by its date enters or leaves the plan.
    pub fn pass_time(&mut self, now: Time) -> Vec<Write> {
        let mut writes = Vec::new();
        for book in self.books.values_mut().filter(|book| book.record.ended.is_none()) {
            if let Some(end) = book.experiment.end.filter(|end| *end <= now) {
                tracing::info!(experiment = %book.record.id, "experiment ended by its date");
                book.record.ended = Some(end);
                book.note(Deed::Ended, &Intent::of("date"), now);
                writes.push(Write::Experiment(Box::new(book.record.clone())));
            }
        }
        self.refresh(now);
        writes
    }

    fn refresh(&mut self, now: Time) {
        let running = self.books.values().filter(|book| book.status(now) == Status::Running);
        let in_path = running.filter(|book| book.experiment.is_in_path());
        self.plan = in_path.map(|book| book.experiment.document(book.step())).collect();
    }

    /// A place to work something out.
    pub fn draft<'a>(&'a self, store: &'a dyn Store, now: Time) -> Draft<'a> {
        Draft {
            desk: self,
            store,
            now,
            books: BTreeMap::new(),
            units: HashMap::new(),
            keys: HashMap::new(),
            writes: Vec::new(),
            converted: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Takes over what is in the store now.
    pub fn adopt(&mut self, books: BTreeMap<String, Book>, now: Time) {
        if !books.is_empty() {
            self.books.extend(books);
            self.refresh(now);
        }
    }
}

/// What is told of a user.
struct Told {
    what: analytics::What,
    time: Time,
    from: analytics::Via,
}

/// Work in progress.
pub struct Draft<'a> {
    desk: &'a Desk,
    store: &'a dyn Store,
    now: Time,
    books: BTreeMap<String, Book>,
    /// Units that were looked up, by their experiment, and whether they have changed.
    units: HashMap<String, HashMap<UnitHash, (Unit, bool)>>,
    keys: HashMap<String, KeptAnswer>,
    writes: Vec<Write>,
    /// Conversions of users of releases, for their judges.
    converted: Vec<Converted>,
    /// What users did, to be told once it is stored.
    records: Vec<analytics::Record>,
}

impl Draft<'_> {
    /// What has changed, and what has to be written before it counts.
    pub fn finish(mut self) -> (BTreeMap<String, Book>, Vec<Write>) {
        for book in self.books.values_mut() {
            book.look();
            self.writes.push(Write::Experiment(Box::new(book.record.clone())));
        }
        for (experiment, units) in self.units {
            // In the store's order: what stands together is written together.
            let mut units: Vec<_> = units.into_iter().filter(|(_, (_, changed))| *changed).collect();
            units.sort_unstable_by_key(|(unit, _)| *unit);
            self.writes.extend(units.into_iter().map(|(unit, (record, _))| Write::Unit {
                experiment: experiment.clone(),
                unit,
                record,
            }));
        }
        (self.books, self.writes)
    }

    /// Keeps a line of the audit together with whatever else is stored.
    pub fn audit(&mut self, line: AuditLine) {
        self.writes.push(Write::Audit(Box::new(line)));
    }

    /// What is to be told once everything is stored.
    pub fn take_records(&mut self) -> Vec<analytics::Record> {
        std::mem::take(&mut self.records)
    }

    /// Notes what a user did; `given` is the arm's place and the step that gave it.
    fn tell(&mut self, id: &str, unit: UnitHash, given: Option<(usize, Step)>, told: Told) {
        if !self.desk.recording {
            return;
        }
        let Ok(book) = self.book(id) else { return };
        let arm = given.and_then(|(arm, _)| book.experiment.arms.get(arm).cloned());
        let Told { what, time, from } = told;
        let (experiment, step) = (id.to_owned(), given.map(|(_, step)| step.0));
        self.records.push(analytics::Record { what, time, experiment, unit, arm, step, from });
    }

    /// All experiments, by id.
    pub fn all(&self) -> Vec<&Book> {
        let books = self.desk.books.iter().map(|(id, book)| self.books.get(id).unwrap_or(book));
        let new = self.books.iter().filter(|(id, _)| !self.desk.books.contains_key(*id));
        books.chain(new.map(|(_, book)| book)).collect()
    }

    /// One experiment.
    ///
    /// # Errors
    /// When there is none.
    pub fn book(&self, id: &str) -> Result<&Book, Refused> {
        let found = self.books.get(id).or_else(|| self.desk.books.get(id));
        found.ok_or_else(|| Refused::Unknown(id.to_owned()))
    }

    fn book_mut(&mut self, id: &str) -> Result<&mut Book, Refused> {
        if !self.books.contains_key(id) {
            let book = self.book(id)?.clone();
            self.books.insert(id.to_owned(), book);
        }
        self.books.get_mut(id).ok_or_else(|| Refused::Unknown(id.to_owned()))
    }

    /// What is known of a unit that was looked up.
    fn looked_up(&self, experiment: &str, unit: UnitHash) -> Option<&Unit> {
        self.units.get(experiment)?.get(&unit).map(|(known, _)| known)
    }

    fn unit(&mut self, experiment: &str, unit: UnitHash) -> Result<Unit, StoreError> {
        self.look_up(experiment, &[unit])?;
        Ok(self.looked_up(experiment, unit).cloned().unwrap_or_default())
    }

    /// Asks the store for all of these units at once, but for those that are known already.
    fn look_up(&mut self, experiment: &str, units: &[UnitHash]) -> Result<(), StoreError> {
        let known = |unit: &UnitHash| self.looked_up(experiment, *unit).is_some();
        let mut unknown: Vec<UnitHash> = units.iter().copied().filter(|unit| !known(unit)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        unknown.sort_unstable();
        unknown.dedup();
        let found = self.store.units(experiment, &unknown)?;
        let found = unknown.into_iter().zip(found).map(|(unit, record)| (unit, (record, false)));
        self.units_of(experiment).extend(found);
        Ok(())
    }

    fn put(&mut self, experiment: &str, unit: UnitHash, record: Unit) {
        self.units_of(experiment).insert(unit, (record, true));
    }

    fn units_of(&mut self, experiment: &str) -> &mut HashMap<UnitHash, (Unit, bool)> {
        self.units.entry(experiment.to_owned()).or_default()
    }
}
