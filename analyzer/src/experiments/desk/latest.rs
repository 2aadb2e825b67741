//! The experiments that people watch: what has ended is kept for ever, and grows with every release.

use super::Draft;
use crate::experiments::book::{Book, Status};
use std::cmp::Reverse;

impl Draft<'_> {
    /// All that have not ended, and of the others as many as this, those that ended last.
    pub fn latest(&self, ended: usize) -> Vec<&Book> {
        let over = |book: &&Book| book.status(self.now) == Status::Ended;
        let (mut over, mut open): (Vec<&Book>, Vec<&Book>) = self.all().into_iter().partition(over);
        over.sort_by_key(|book| Reverse(book.record.ended.or(book.experiment.end)));
        over.truncate(ended);
        open.extend(over);
        open
    }
}

#[cfg(test)]
mod tests {
    use crate::experiments::{Book, Desk, Experiment, Source};
    use crate::store::Redb;
    use serin_judge::time::Time;
    use std::collections::BTreeMap;

    /// Begun at the first moment; `end` is the date that it was given, in the second after it.
    fn book(id: &str, ended: Option<u64>, end: Option<&str>) -> (String, Book) {
        let mut spec = serde_json::json!({
            "arms": [{"name": "a", "share": 50}, {"name": "b", "share": 50}],
        });
        if let Some(end) = end {
            spec["end"] = end.into();
        }
        let spec = serin_contract::parse::from_json(spec.to_string().as_bytes()).expect("a spec");
        let mut book = Book::open(Experiment::compile(id, spec).expect("good"), Source::Api, Time(0));
        book.record.ended = ended.map(Time);
        (id.to_owned(), book)
    }

    #[test]
    fn who_watches_is_shown_what_runs_and_what_ended_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Redb::open(&folder.path().join("redb")).expect("opens");
        let mut desk = Desk::default();
        let all = BTreeMap::from([
            book("first", Some(1_000), None),
            book("last", Some(9_000), None),
            book("middle", Some(5_000), None),
            book("by-its-date", None, Some("1970-01-01T00:00:07Z")),
            book("runs", None, Some("1970-01-01T00:00:20Z")),
        ]);
        desk.adopt(all, Time(10_000));
        let shown = |ended| {
            let draft = desk.draft(&store, Time(10_000));
            let mut ids: Vec<String> =
                draft.latest(ended).iter().map(|book| book.record.id.clone()).collect();
            ids.sort();
            ids
        };
        assert_eq!(shown(0), ["runs"]);
        assert_eq!(shown(2), ["by-its-date", "last", "runs"]);
        assert_eq!(shown(100).len(), 5);
    }
}
