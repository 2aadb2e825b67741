//! The embedded store: what was committed comes back, what was not does not. What it has in common with the
//! other store stands in common/suite.rs.

mod common;
#[path = "common/suite.rs"]
mod suite;

use redb::{Database, ReadableDatabase, TableDefinition};
use serin::store::{Redb, Store, StoreError, Write};
use serin_contract::report::Instance;
use serin_judge::time::Time;
use std::sync::Arc;

#[test]
fn the_embedded_store_keeps_every_promise_of_a_store() {
    for (what, case) in suite::CASES {
        println!("{what}");
        let folder = tempfile::tempdir().expect("a folder");
        let store: Arc<dyn Store> = Arc::new(Redb::open(&folder.path().join("serin.redb")).expect("opens"));
        case(&store);
    }
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("serin.redb");
    let store = Redb::open(&path).expect("opens");
    store.commit(&[suite::snapshot("default/shop", 2), Write::Cursor(7)]).expect("commits");
    drop(store);
    let store = Redb::open(&path).expect("opens");
    let stored = store.canary("default/shop").expect("reads").expect("is there");
    assert_eq!((stored.snapshot.offset, store.cursor().expect("reads")), (2, 7));
}

#[test]
fn a_store_is_held_by_one_program_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("serin.redb");
    let _held = Redb::open(&path).expect("opens");
    assert!(matches!(Redb::open(&path), Err(StoreError::Database(_))));
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("serin.redb");
    std::fs::write(&path, "not a store").expect("written");
    assert!(Redb::open(&path).is_err());
    assert_eq!(std::fs::read(&path).expect("read"), b"not a store", "and stays as it was");
}

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

fn format_of(path: &std::path::Path) -> u64 {
    let database = Database::open(path).expect("opens");
    let reading = database.begin_read().expect("reads");
    let table = reading.open_table(META).expect("is there");
    table.get("format").expect("reads").expect("is there").value()
}

/// A file as a version before wrote it: no inbox, and marks as they are now.
fn of_format(path: &std::path::Path, format: u64) {
    let marks: TableDefinition<u64, &[u8]> = TableDefinition::new("marks");
    let snapshots: TableDefinition<&str, &[u8]> = TableDefinition::new("snapshots");
    let database = Database::create(path).expect("made");
    let writing = database.begin_write().expect("begins");
    writing.open_table(META).expect("a table").insert("format", format).expect("written");
    let mark = br#"{"sequence":5,"time":1000,"node":"gw"}"#.as_slice();
    writing.open_table(marks).expect("a table").insert(1, mark).expect("written");
    let Write::Snapshot { snapshot, .. } = suite::snapshot("default/shop", 3) else { unreachable!() };
    let mut snapshot = serde_json::to_value(snapshot).expect("JSON");
    // Format 1 had no cursor.
    snapshot.as_object_mut().expect("an object").remove("cursor");
    let text = snapshot.to_string();
    writing.open_table(snapshots).expect("a table").insert("default/shop", text.as_bytes()).expect("written");
    writing.commit().expect("commits");
}

#[test]
fn a_store_of_a_version_before_is_brought_up_to_date() {
    for format in [1, 2] {
        is_brought_up_to_date(format);
    }
}

fn is_brought_up_to_date(format: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("serin.redb");
    of_format(&path, format);
    let store = Redb::open(&path).expect("opens");
    assert_eq!(store.marks(Time(1000)).expect("reads")[&Instance(1)].sequence, 5);
    let stored = store.canary("default/shop").expect("reads").expect("is there");
    assert_eq!((stored.snapshot.offset, stored.snapshot.cursor, store.cursor().expect("reads")), (3, 0, 0));
    drop(store);
    assert_eq!(format_of(&path), 3);
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_stays_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("serin.redb");
    of_format(&path, 99);
    let error = Redb::open(&path).err().expect("is refused").to_string();
    assert!(error.contains("format 99") && error.contains("use the version that wrote it"), "{error}");
    assert_eq!(format_of(&path), 99);
}
