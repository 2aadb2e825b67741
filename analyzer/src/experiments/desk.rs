//! All experiments. What is asked or reported is worked out in a [`Draft`] beside them; once its writes are
//! in the store the draft is taken over, and if they cannot be stored nothing has happened.

use super::book::{ASSIGNMENT_LIFE, Book, Record, Source, Status};
use super::events::{Deed, Event, LATEST};
use super::spec::{Experiment, written};
use super::unit::Unit;
use crate::store::{Action, KeptAnswer, Redb, StoreError, Units, Write};
use serde::Serialize;
use serin_contract::plan::ExperimentDocument;
use serin_contract::plan::experiment::MAX_EXPERIMENTS;
use serin_contract::{ExperimentReport, FieldError, UnitHash};
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
}

/// What an assignment came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Assigned {
    /// The experiment.
    pub experiment: String,
    /// The arm; none when the user takes no part.
    pub arm: Option<String>,
    /// The step that assigned it.
    pub step: Option<u32>,
    /// The arm's flags.
    pub flags: BTreeMap<String, serde_json::Value>,
    /// Whether this call made the assignment, and counted the exposure.
    pub new: bool,
    /// Why there is no arm.
    pub reason: Option<String>,
}

/// A flag of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The flag.
    pub key: String,
    /// Its value.
    pub value: serde_json::Value,
    /// The user's arm.
    pub arm: String,
    /// Whose flag it is.
    pub experiment: String,
}

impl Assigned {
    fn none(id: &str, reason: &str) -> Self {
        Self {
            experiment: id.to_owned(),
            arm: None,
            step: None,
            flags: BTreeMap::new(),
            new: false,
            reason: Some(reason.to_owned()),
        }
    }
}

/// What a batch of events came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// Events taken.
    pub accepted: u64,
    /// Among them conversions of users whom nothing had exposed: they are in no arm.
    pub unexposed: u64,
    /// Whether the answer is that of an earlier call with the same key.
    pub repeated: bool,
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
        let mut desk = Self::default();
        for record in records {
            let id = record.id.clone();
            let book =
                Book::restore(record).map_err(|error| format!("experiment {id} in the store: {error}"))?;
            desk.books.insert(id, book);
        }
        let changes = desk.declare(declared, now)?;
        desk.refresh(now);
        Ok((desk, changes))
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
        for experiment in declared {
            match self.books.get(&experiment.id) {
                None => changed.push(Book::open(experiment.clone(), Source::File, now)),
                Some(book) if book.record.source != Source::File => {
                    return Err(format!(
                        "experiment {}: was created by the API; give it another name",
                        experiment.id
                    ));
                }
                Some(book) if book.record.spec != experiment.spec => {
                    let mut book = book.clone();
                    let changing = book.change(experiment.clone());
                    changing.map_err(|error| format!("experiment {}: {error}", experiment.id))?;
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
    pub fn draft<'a>(&'a self, store: &'a Redb, now: Time) -> Draft<'a> {
        Draft {
            desk: self,
            store,
            stored: None,
            now,
            books: BTreeMap::new(),
            units: HashMap::new(),
            keys: HashMap::new(),
            writes: Vec::new(),
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

/// Work in progress.
pub struct Draft<'a> {
    desk: &'a Desk,
    store: &'a Redb,
    /// The units as they were when the first was looked up.
    stored: Option<Units>,
    now: Time,
    books: BTreeMap<String, Book>,
    /// Units that were looked up, and whether they have changed.
    units: HashMap<(String, UnitHash), (Unit, bool)>,
    keys: HashMap<String, KeptAnswer>,
    writes: Vec<Write>,
}

impl Draft<'_> {
    /// What has changed, and what has to be written before it counts.
    pub fn finish(mut self) -> (BTreeMap<String, Book>, Vec<Write>) {
        for book in self.books.values_mut() {
            book.look();
            self.writes.push(Write::Experiment(Box::new(book.record.clone())));
        }
        for ((experiment, unit), (record, changed)) in self.units {
            if changed {
                self.writes.push(Write::Unit { experiment, unit, record });
            }
        }
        (self.books, self.writes)
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

    fn unit(&mut self, experiment: &str, unit: UnitHash) -> Result<Unit, StoreError> {
        let key = (experiment.to_owned(), unit);
        if let Some((known, _)) = self.units.get(&key) {
            return Ok(known.clone());
        }
        let stored = match &self.stored {
            Some(stored) => stored,
            None => self.stored.insert(self.store.units()?),
        };
        let found = stored.get(experiment, unit)?.unwrap_or_default();
        self.units.insert(key, (found.clone(), false));
        Ok(found)
    }

    fn put(&mut self, experiment: &str, unit: UnitHash, record: Unit) {
        self.units.insert((experiment.to_owned(), unit), (record, true));
    }

    /// Makes an experiment.
    ///
    /// # Errors
    /// When there is one of that id, or too many run.
    pub fn create(&mut self, experiment: Experiment) -> Result<&Book, Refused> {
        let id = experiment.id.clone();
        if self.book(&id).is_ok() {
            return Err(Refused::Conflict(format!(
                "there is an experiment {id} already: ids are never used again"
            )));
        }
        self.check_room(&experiment)?;
        self.books.insert(id.clone(), Book::open(experiment, Source::Api, self.now));
        self.book(&id)
    }

    fn check_room(&self, experiment: &Experiment) -> Result<(), Refused> {
        let open = self.all().into_iter().filter(|book| book.status(self.now) != Status::Ended);
        if experiment.is_in_path()
            && open.filter(|book| book.experiment.is_in_path()).count() >= MAX_EXPERIMENTS
        {
            return Err(Refused::Conflict(format!(
                "{MAX_EXPERIMENTS} experiments run in the filters: end one first"
            )));
        }
        Ok(())
    }

    /// Changes shares. Answers what that does to users who have an arm already.
    ///
    /// # Errors
    /// When the shares are none, when they belong to the configuration file, or when users of the filters
    /// would change their arm and that was not accepted.
    pub fn change_shares(
        &mut self,
        id: &str,
        shares: &BTreeMap<String, f64>,
        accept_moves: bool,
    ) -> Result<(&Book, Moves), Refused> {
        let now = self.now;
        let book = self.book(id)?;
        may_change(book, now)?;
        let mut spec = book.experiment.spec.clone();
        for name in shares.keys() {
            if !book.experiment.arms.contains(name) {
                let message = format!("is no arm: allowed are {}", book.experiment.arms.join(", "));
                return Err(FieldError::new(format!("shares.{name}"), message).into());
            }
        }
        for arm in &mut spec.arms {
            let missing =
                || FieldError::new(format!("shares.{}", arm.name), "is missing: give the share of every arm");
            arm.share = *shares.get(&arm.name).ok_or_else(missing)?;
        }
        let named =
            |error: FieldError| FieldError::new(error.path.replacen("arms", "shares", 1), error.message);
        let changed = Experiment::compile(id, spec).map_err(named)?;
        let moves = Moves::of(&book.experiment, &changed);
        if moves.in_filters && !accept_moves {
            return Err(Refused::Conflict(format!(
                "{} Send acceptMoves: true to do it nevertheless.",
                moves.text
            )));
        }
        self.book_mut(id)?.change(changed)?;
        Ok((self.book(id)?, moves))
    }

    /// Ends an experiment.
    ///
    /// # Errors
    /// When there is none, or it has ended.
    pub fn end(&mut self, id: &str) -> Result<&Book, Refused> {
        let now = self.now;
        let book = self.book(id)?;
        if book.status(now) == Status::Ended {
            return Err(Refused::Conflict(format!("experiment {id} has ended already")));
        }
        self.book_mut(id)?.record.ended = Some(now);
        self.book(id)
    }

    /// The arm of a user: the one that is stored, else by the unit's bucket; stored and counted then.
    ///
    /// # Errors
    /// When there is no such experiment, or the store fails.
    pub fn assign(
        &mut self,
        id: &str,
        user: &str,
        attributes: Option<&BTreeMap<String, serde_json::Value>>,
        time: Time,
    ) -> Result<Assigned, Refused> {
        let book = self.book(id)?;
        let none = |reason: &str| Ok(Assigned::none(id, reason));
        match book.status(self.now) {
            Status::Running => {}
            Status::Scheduled => return none("the experiment has not begun"),
            Status::Ended => return none("the experiment has ended"),
        }
        self.place(id, user, attributes, time)
    }

    /// The arm of a user, whether the experiment runs or not: exposures may come late.
    fn place(
        &mut self,
        id: &str,
        user: &str,
        attributes: Option<&BTreeMap<String, serde_json::Value>>,
        time: Time,
    ) -> Result<Assigned, Refused> {
        let book = self.book(id)?;
        let none = |reason: &str| Ok(Assigned::none(id, reason));
        let Some((arm, unit)) = book.experiment.assign(user) else { return none("an empty user is no user") };
        let step = book.step();
        let is_for = attributes.is_none_or(|attributes| book.experiment.is_for(attributes));
        let mut record = self.unit(id, unit)?;
        if let Some(entry) = record.last().filter(|entry| time.since(entry.time) < ASSIGNMENT_LIFE) {
            let (arm, step) = (entry.arm, entry.step.0);
            return self.told(id, arm, step, false);
        }
        if !is_for {
            return none("outside of the segment");
        }
        match record.of_mut(step) {
            // The same step would say the same again: the assignment is renewed, and counts no second time.
            Some(entry) => entry.time = time,
            None => {
                self.book_mut(id)?.expose(&mut record, step, arm, time);
            }
        }
        let arm = record.of(step).map_or(arm, |entry| entry.arm);
        self.put(id, unit, record);
        self.act(id, unit, time, "exposure", None)?;
        self.told(id, arm, step.0, true)
    }

    /// The flags that running experiments give a user, in the order of their ids; of two of one name the
    /// first. Only experiments that have the flag, where one is asked for, are asked and count the user as
    /// exposed.
    ///
    /// # Errors
    /// When the store fails.
    pub fn evaluate(
        &mut self,
        key: Option<&str>,
        user: &str,
        attributes: &BTreeMap<String, serde_json::Value>,
        time: Time,
    ) -> Result<Vec<Evaluated>, Refused> {
        let has = |book: &&Book| {
            let arms = book.experiment.spec.arms.iter();
            let mut flags = arms.flat_map(|arm| arm.flags.keys());
            flags.any(|flag| key.is_none_or(|key| key == flag))
        };
        let running = self.all().into_iter().filter(|book| book.status(self.now) == Status::Running);
        let ids: Vec<String> = running.filter(has).map(|book| book.record.id.clone()).collect();
        let mut found: Vec<Evaluated> = Vec::new();
        for id in ids {
            let assigned = self.assign(&id, user, Some(attributes), time)?;
            let Some(arm) = assigned.arm else { continue };
            for (flag, value) in assigned.flags {
                let wanted = key.is_none_or(|key| key == flag);
                if wanted && found.iter().all(|known| known.key != flag) {
                    found.push(Evaluated { key: flag, value, arm: arm.clone(), experiment: id.clone() });
                }
            }
        }
        Ok(found)
    }

    fn told(&self, id: &str, arm: usize, step: u32, new: bool) -> Result<Assigned, Refused> {
        let experiment = &self.book(id)?.experiment;
        Ok(Assigned {
            experiment: id.to_owned(),
            arm: experiment.arms.get(arm).cloned(),
            step: Some(step),
            flags: experiment.flags(arm),
            new,
            reason: None,
        })
    }

    /// Takes events, all or none. `key` makes a repeated call the same call.
    ///
    /// # Errors
    /// With the path of the first event that is wrong.
    pub fn events(&mut self, events: Vec<Event>, key: Option<&str>) -> Result<Counted, Refused> {
        if let Some(key) = key
            && let Some(answer) = self.known(key)?
        {
            return Ok(answer);
        }
        for (place, event) in events.iter().enumerate() {
            self.check(event).map_err(|error| match error {
                Refused::Field(error) => Refused::Field(error.under(&format!("events[{place}]"))),
                Refused::Unknown(id) => {
                    let message = format!("there is no experiment `{id}`");
                    Refused::Field(FieldError::new(format!("events[{place}].experiment"), message))
                }
                other @ (Refused::Conflict(_) | Refused::Unavailable(_)) => other,
            })?;
            // Whatever the store has to say of a unit is asked for before anything counts.
            if let Some((_, unit)) = self.book(&event.experiment)?.experiment.assign(&event.user) {
                self.unit(&event.experiment, unit)?;
            }
        }
        let mut counted = Counted { accepted: events.len() as u64, unexposed: 0, repeated: false };
        for event in events {
            counted.unexposed += u64::from(!self.count(event)?);
        }
        if let Some(key) = key {
            let answer =
                KeptAnswer { time: self.now, accepted: counted.accepted, unexposed: counted.unexposed };
            self.keys.insert(key.to_owned(), answer.clone());
            self.writes.push(Write::Key(key.to_owned(), answer));
        }
        Ok(counted)
    }

    fn known(&self, key: &str) -> Result<Option<Counted>, StoreError> {
        let known = match self.keys.get(key) {
            Some(answer) => Some(answer.clone()),
            None => self.store.key(key)?,
        };
        let fresh = known.filter(|answer| self.now.since(answer.time) < KEY_LIFE);
        Ok(fresh.map(|KeptAnswer { accepted, unexposed, .. }| Counted {
            accepted,
            unexposed,
            repeated: true,
        }))
    }

    fn check(&self, event: &Event) -> Result<(), Refused> {
        let book = self.book(&event.experiment)?;
        if book.status(self.now) == Status::Scheduled {
            return Err(FieldError::new("experiment", "has not begun yet").into());
        }
        let ended = book.record.ended.or(book.experiment.end);
        if let Some(ended) = ended.filter(|ended| *ended <= self.now) {
            let late = event.time > ended || self.now.since(ended) > LATEST;
            if late {
                return Err(FieldError::new(
                    "time",
                    format!("is after the experiment's end, {}", written(ended)),
                )
                .into());
            }
        }
        match &event.deed {
            Deed::Conversion { goal: Some(goal), .. } => match place_of(book, goal) {
                Some(_) => Ok(()),
                None => {
                    let goals: Vec<&str> =
                        book.experiment.goals.iter().map(|(name, _)| name.as_str()).collect();
                    let message = format!("`{goal}` is no goal: allowed are {}", goals.join(", "));
                    Err(FieldError::new("goal", message).into())
                }
            },
            Deed::Exposure | Deed::Conversion { goal: None, .. } | Deed::Custom(_) => Ok(()),
        }
    }

    /// Counts one checked event; false when it is a conversion of nobody's.
    fn count(&mut self, event: Event) -> Result<bool, Refused> {
        let Event { experiment: id, user, deed, time, properties } = event;
        let book = self.book(&id)?;
        let Some((_, unit)) = book.experiment.assign(&user) else { return Ok(false) };
        match deed {
            Deed::Exposure => {
                let assigned = self.place(&id, &user, None, time)?;
                if !assigned.new {
                    self.act(&id, unit, time, "exposure", properties)?;
                }
                Ok(true)
            }
            Deed::Custom(name) => {
                self.act(&id, unit, time, &name, properties)?;
                Ok(true)
            }
            Deed::Conversion { goal, value } => {
                let place = goal.as_deref().map_or(Some(0), |goal| place_of(book, goal)).unwrap_or(0);
                let name =
                    book.experiment.goals.get(place).map_or_else(String::new, |(name, _)| name.clone());
                let mut record = self.unit(&id, unit)?;
                let step = record.last().map(|entry| entry.step);
                let known = step.is_some();
                let step = step.unwrap_or(serin_contract::Step(0));
                self.book_mut(&id)?.reach(&mut record, step, place, 1, value);
                if known {
                    self.put(&id, unit, record);
                }
                self.act(&id, unit, time, &name, properties)?;
                Ok(known)
            }
        }
    }

    /// Keeps an action for funnels.
    fn act(
        &mut self,
        id: &str,
        unit: UnitHash,
        time: Time,
        name: &str,
        properties: Option<serde_json::Map<String, serde_json::Value>>,
    ) -> Result<(), Refused> {
        let book = self.book_mut(id)?;
        book.record.actions += 1;
        let number = book.record.actions;
        let action = Action { name: name.to_owned(), properties };
        self.writes.push(Write::Action { experiment: id.to_owned(), unit, time, number, action });
        Ok(())
    }

    /// Counts what a filter saw. What it says of experiments that are not there is passed over.
    ///
    /// # Errors
    /// When the store fails.
    pub fn report(&mut self, report: &ExperimentReport) -> Result<(), StoreError> {
        if self.book(&report.id).is_err() {
            return Ok(());
        }
        for (name, arm) in &report.arms {
            let book = self.book_mut(&report.id).map_err(|refused| internal(&refused))?;
            let Some(place) = book.experiment.arms.iter().position(|known| known == name) else {
                book.record.loose.unknown += 1;
                continue;
            };
            // Who reached a goal was exposed, also when the report that lists the unit is still to come.
            let reached = arm.goals.values().flatten().map(|(unit, ..)| unit);
            for unit in arm.seen.iter().chain(reached) {
                let mut record = self.unit(&report.id, *unit)?;
                if record.of(report.step).is_none_or(|entry| entry.arm != place) {
                    let now = self.now;
                    let book = self.book_mut(&report.id).map_err(|refused| internal(&refused))?;
                    if book.expose(&mut record, report.step, place, now) {
                        self.put(&report.id, *unit, record);
                    }
                }
            }
            for (goal, rows) in &arm.goals {
                self.reach(report, goal, rows)?;
            }
        }
        Ok(())
    }

    fn reach(
        &mut self,
        report: &ExperimentReport,
        goal: &str,
        rows: &[(UnitHash, u64, f64)],
    ) -> Result<(), StoreError> {
        let book = self.book_mut(&report.id).map_err(|refused| internal(&refused))?;
        let Some(place) = place_of(book, goal) else {
            book.record.loose.unknown += rows.len() as u64;
            return Ok(());
        };
        for (unit, events, sum) in rows {
            let mut record = self.unit(&report.id, *unit)?;
            let book = self.book_mut(&report.id).map_err(|refused| internal(&refused))?;
            book.reach(&mut record, report.step, place, *events, *sum);
            self.put(&report.id, *unit, record);
        }
        Ok(())
    }
}

/// A book that was there a moment ago is gone: cannot be, and is an error all the same.
fn internal(refused: &Refused) -> StoreError {
    StoreError::Record { table: "experiments", error: refused.to_string() }
}

fn place_of(book: &Book, goal: &str) -> Option<usize> {
    book.experiment.goals.iter().position(|(name, _)| name == goal)
}

fn may_change(book: &Book, now: Time) -> Result<(), Refused> {
    let id = &book.record.id;
    match (book.record.source, book.status(now)) {
        (Source::File, _) => Err(Refused::Conflict(format!(
            "experiment {id} belongs to the configuration file: change it there"
        ))),
        (Source::Api, Status::Ended) => Err(Refused::Conflict(format!("experiment {id} has ended"))),
        (Source::Api, Status::Scheduled | Status::Running) => Ok(()),
    }
}

/// What a change of shares does to users who have an arm already.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moves {
    /// The part of all units whose bucket falls to another arm, in percent.
    pub moved_percent: f64,
    /// Whether users of the filters change their arm.
    pub in_filters: bool,
    /// In words.
    pub text: String,
}

impl Moves {
    fn of(from: &Experiment, to: &Experiment) -> Self {
        let moved_percent = from.moved_by(to);
        let in_filters = moved_percent > 0.0 && from.is_in_path() && !from.keeps();
        let text = if moved_percent == 0.0 {
            "No unit's bucket falls to another arm.".to_owned()
        } else if in_filters {
            format!(
                "The buckets of {moved_percent} % of units fall to another arm, and without `keep` the filters \
                 move those users at once; users assigned by the API keep their arm for 30 days."
            )
        } else {
            format!(
                "The buckets of {moved_percent} % of units fall to another arm; only new users are affected: who \
                 has an arm keeps it for 30 days and counts in the step that gave it."
            )
        };
        Self { moved_percent, in_filters, text }
    }
}
