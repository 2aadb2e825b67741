//! Experiments that are objects in the cluster: the object is followed as far as it can be, and its going
//! is the experiment's end.

use super::{Draft, Moves, Refused};
use crate::experiments::book::{Book, Origin, Source, Status};
use crate::experiments::history::{Deed, Intent};
use crate::experiments::spec::{Experiment, written};
use serin_contract::Step;

/// An Experiment object as it stands.
#[derive(Debug, Clone)]
pub struct Object {
    /// What its spec asks for.
    pub experiment: Experiment,
    /// Which object it is.
    pub origin: Origin,
    /// Whether users of the filters may change their arm.
    pub accept_moves: bool,
    /// The step that its status tells of, maybe another replica's.
    pub step: Option<Step>,
}

impl Draft<'_> {
    /// Follows an object: makes its experiment, or takes over what has changed.
    ///
    /// # Errors
    /// When another experiment has its id, the experiment has ended, a field may not change, or users of the
    /// filters would change their arm and that was not accepted. Then everything stays as it was.
    pub fn follow(&mut self, object: Object) -> Result<&Book, Refused> {
        let id = object.experiment.id.clone();
        match self.book(&id) {
            Err(_) => {
                self.check_room(&object.experiment)?;
                let mut book = Book::open(object.experiment, Source::Cluster, self.now);
                book.record.origin = Some(object.origin);
                if let Some(step) = object.step {
                    book.go_on_after(step);
                }
                book.note(Deed::Created, &Intent::of("cluster"), self.now);
                self.books.insert(id.clone(), book);
            }
            Ok(book) => {
                self.check_owner(book, &object.origin)?;
                let behind = object.step.is_some_and(|step| step > book.step());
                if book.experiment.spec != object.experiment.spec {
                    self.take_over(&id, object.experiment, object.accept_moves)?;
                }
                if let Some(step) = object.step.filter(|_| behind) {
                    self.book_mut(&id)?.go_on_after(step);
                }
            }
        }
        self.book(&id)
    }

    fn check_owner(&self, book: &Book, origin: &Origin) -> Result<(), Refused> {
        let id = &book.record.id;
        if book.record.origin.as_ref() == Some(origin) {
            return Ok(());
        }
        let before =
            book.record.ended.map_or_else(String::new, |ended| format!(" that ended at {}", written(ended)));
        let message = format!(
            "there is an experiment {id}{before} already, {}: an id is one for the whole cluster and never used \
             again; give this one another name",
            book.owner()
        );
        Err(Refused::Conflict(message))
    }

    fn take_over(&mut self, id: &str, to: Experiment, accept_moves: bool) -> Result<(), Refused> {
        let book = self.book(id)?;
        if book.status(self.now) == Status::Ended {
            return Err(Refused::Conflict(format!(
                "experiment {id} has ended: nothing of it can change any more"
            )));
        }
        let moves = Moves::of(&book.experiment, &to);
        if moves.in_filters && !accept_moves {
            return Err(Refused::Conflict(format!(
                "{} Annotate the Experiment with {}: \"true\" to do it nevertheless.",
                moves.text,
                crate::kinds::ACCEPT_MOVES
            )));
        }
        // On a copy: a change that is refused half-way must leave nothing behind.
        let mut changed = book.clone();
        changed.change(to).map_err(|error| error.under("spec"))?;
        changed.note(Deed::Changed, &Intent::of("cluster"), self.now);
        self.books.insert(id.to_owned(), changed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::Desk;
    use crate::store::Redb;
    use serin_judge::time::Time;

    const NOW: Time = Time(1_700_000_000_000);

    fn object(uid: &str, spec: &str) -> Object {
        let spec = serin_contract::parse::from_json(spec.as_bytes()).expect("a spec");
        Object {
            experiment: Experiment::compile("button", spec).expect("good"),
            origin: Origin { namespace: "default".to_owned(), uid: uid.to_owned() },
            accept_moves: false,
            step: None,
        }
    }

    fn spec(a: u8, b: u8) -> String {
        format!(
            r#"{{"hosts": ["shop"], "units": [{{"header": "x-user"}}],
                "arms": [{{"name": "a", "share": {a}}}, {{"name": "b", "share": {b}}}]}}"#
        )
    }

    struct World {
        desk: Desk,
        store: Redb,
        _folder: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let store = Redb::open(&folder.path().join("redb")).expect("opens");
            Self { desk: Desk::default(), store, _folder: folder }
        }

        /// The step afterwards, or why it is refused.
        fn follow(&mut self, object: Object) -> Result<u32, String> {
            let mut draft = self.desk.draft(&self.store, NOW);
            let result =
                draft.follow(object).map(|book| book.step().0).map_err(|refused| refused.to_string());
            let (books, _) = draft.finish();
            self.desk.adopt(books, NOW);
            result
        }

        fn end(&mut self) {
            let mut draft = self.desk.draft(&self.store, NOW);
            draft.end("button").expect("runs");
            let (books, _) = draft.finish();
            self.desk.adopt(books, NOW);
        }
    }

    #[test]
    fn an_objects_shares_change_with_consent_alone_and_a_refused_change_leaves_nothing_behind() {
        let mut world = World::new();
        assert_eq!(world.follow(object("1", &spec(50, 50))), Ok(1));
        assert_eq!(world.follow(object("1", &spec(50, 50))), Ok(1), "the same again is no step");
        let refused = world.follow(object("1", &spec(10, 90))).expect_err("moves users");
        assert!(refused.contains("40 % of units") && refused.contains("serin.dev/accept-moves"), "{refused}");
        let agreed = Object { accept_moves: true, ..object("1", &spec(10, 90)) };
        assert_eq!(world.follow(agreed), Ok(2));
        let other = spec(10, 90).replace("\"b\"", "\"c\"");
        let refused = world.follow(object("1", &other)).expect_err("another arm");
        assert!(refused.starts_with("spec.arms: cannot change in a running experiment"), "{refused}");
        assert_eq!(world.follow(object("1", &spec(10, 90))), Ok(2));
    }

    #[test]
    fn another_object_of_the_same_name_is_told_whose_the_id_is() {
        let mut world = World::new();
        assert_eq!(world.follow(object("1", &spec(50, 50))), Ok(1));
        let refused = world.follow(object("2", &spec(50, 50))).expect_err("another object");
        assert!(refused.contains("already, the Experiment default/button in the cluster"), "{refused}");
        world.end();
        let refused = world.follow(object("2", &spec(50, 50))).expect_err("ids are never used again");
        assert!(refused.contains("that ended at 2023-11-14"), "{refused}");
        let refused = world.follow(object("1", &spec(40, 60))).expect_err("it is over");
        assert!(refused.contains("has ended"), "{refused}");
    }

    #[test]
    fn who_takes_over_without_the_numbers_begins_the_step_after_the_last() {
        let mut world = World::new();
        let known = Object { step: Some(Step(3)), ..object("1", &spec(50, 50)) };
        assert_eq!(world.follow(known), Ok(4));
        // Its own status, and then a later one of a replica that led in between.
        let own = Object { step: Some(Step(4)), ..object("1", &spec(50, 50)) };
        assert_eq!(world.follow(own), Ok(4));
        let later = Object { step: Some(Step(6)), ..object("1", &spec(50, 50)) };
        assert_eq!(world.follow(later), Ok(7));
    }
}
