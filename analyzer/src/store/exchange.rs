//! A store as lines of JSON, to move from one kind to another: the format first, then one record a line.

use super::{
    Action, AuditLine, JournalEntry, KeptAnswer, Mark, Post, RolloutReport, Snapshot, Store, StoreError,
    Write,
};
use crate::experiments::{Record, Unit, UnitEvent};
use serde::{Deserialize, Serialize};
use serin_contract::report::Instance;
use serin_contract::{Report, UnitHash};
use serin_judge::ramp::Transition;
use serin_judge::time::Time;
use std::io::{BufRead, Write as Output};

/// The format of the records; both stores have the same.
const FORMAT: u64 = 3;
/// Records of one commit.
const CHUNK: usize = 500;

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    serin_store: u64,
}

/// One record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "table", rename_all = "snake_case", deny_unknown_fields)]
pub enum Row {
    /// A sender's high-water mark.
    Mark {
        /// Whose.
        instance: Instance,
        /// How far.
        mark: Mark,
    },
    /// A report's part for a canary that is in no snapshot.
    Journal {
        /// `<namespace>/<name>`.
        canary: String,
        /// Its place.
        offset: u64,
        /// What it said.
        entry: JournalEntry,
    },
    /// A canary.
    Snapshot {
        /// `<namespace>/<name>`.
        canary: String,
        /// Without the units.
        snapshot: Box<Snapshot>,
        /// The units, packed, in hexadecimal digits.
        units: String,
    },
    /// A line of history.
    Transition {
        /// `<namespace>/<name>`.
        canary: String,
        /// The line.
        transition: Transition,
    },
    /// A sample.
    Sample {
        /// `<namespace>/<name>`.
        canary: String,
        /// When.
        time: Time,
        /// The sample.
        sample: serde_json::Value,
    },
    /// A report about a rollout's end.
    Report {
        /// `<namespace>/<name>`.
        canary: String,
        /// The report.
        report: Box<RolloutReport>,
    },
    /// An experiment with its sums.
    Experiment {
        /// The experiment.
        record: Box<Record>,
    },
    /// A unit of an experiment.
    Unit {
        /// The experiment's id.
        experiment: String,
        /// The unit.
        unit: UnitHash,
        /// What is known of it.
        record: Unit,
    },
    /// What a unit did.
    Action {
        /// The experiment's id.
        experiment: String,
        /// The unit.
        unit: UnitHash,
        /// When.
        time: Time,
        /// Its number in the experiment.
        number: u64,
        /// What.
        action: Action,
    },
    /// The answer to an idempotency key.
    Key {
        /// The key.
        key: String,
        /// The answer.
        answer: KeptAnswer,
    },
    /// A line of the audit.
    Audit {
        /// The line.
        line: Box<AuditLine>,
    },
    /// The last entry of the inbox that experiments have counted.
    Cursor {
        /// Its place.
        place: u64,
    },
    /// A report that waits to be counted.
    Inbox {
        /// Its place.
        place: u64,
        /// The report.
        report: Box<Report>,
    },
    /// Events that wait to be counted.
    Events {
        /// Their place.
        place: u64,
        /// The events of one call.
        events: Vec<UnitEvent>,
    },
}

impl Row {
    pub(super) fn of_post(place: u64, post: Post) -> Self {
        match post {
            Post::Report(report) => Self::Inbox { place, report },
            Post::Events(events) => Self::Events { place, events },
        }
    }

    fn into_write(self) -> Result<Write, String> {
        Ok(match self {
            Self::Mark { instance, mark } => Write::Mark(instance, mark),
            Self::Journal { canary, offset, entry } => Write::Journal { canary, offset, entry },
            Self::Snapshot { canary, snapshot, units } => {
                let units = from_hex(&units).ok_or("units: are not pairs of hexadecimal digits")?;
                Write::Snapshot { canary, snapshot, units }
            }
            Self::Transition { canary, transition } => Write::Transition(canary, transition),
            Self::Sample { canary, time, sample } => Write::Sample(canary, time, sample),
            Self::Report { canary, report } => Write::Report(canary, *report),
            Self::Experiment { record } => Write::Experiment(record),
            Self::Unit { experiment, unit, record } => Write::Unit { experiment, unit, record },
            Self::Action { experiment, unit, time, number, action } => {
                Write::Action { experiment, unit, time, number, action }
            }
            Self::Key { key, answer } => Write::Key(key, answer),
            Self::Audit { line } => Write::Audit(line),
            Self::Cursor { place } => Write::Cursor(place),
            Self::Inbox { place, report } => Write::Inbox(place, Post::Report(report)),
            Self::Events { place, events } => Write::Inbox(place, Post::Events(events)),
        })
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok()
        })
        .collect()
}

/// Why a store was not moved.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The file.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// A line of it.
    #[error("line {line}: {problem}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// There is something in the store already.
    #[error("the store is not empty: give --merge to write over what is there, or take an empty one")]
    Occupied,
}

/// Writes a whole store; how many records that were.
///
/// # Errors
/// When the store or the file fails.
pub fn export(store: &dyn Store, out: &mut dyn Output) -> Result<usize, ExchangeError> {
    let line = |out: &mut dyn Output, json: Result<String, serde_json::Error>| {
        writeln!(out, "{}", json.map_err(std::io::Error::other)?)
    };
    line(out, serde_json::to_string(&Header { serin_store: FORMAT }))?;
    let mut count = 0;
    let mut failed = None;
    store.dump(&mut |row| {
        count += 1;
        if failed.is_none() {
            failed = line(out, serde_json::to_string(&row)).err();
        }
    })?;
    out.flush()?;
    failed.map_or(Ok(count), |error| Err(error.into()))
}

/// Fills a store; how many records that were. A store that has something in it is only filled if it may be.
///
/// # Errors
/// When a line is none of ours, or the store fails; what was written until then stays.
pub fn import(store: &dyn Store, from: &mut dyn BufRead, may_merge: bool) -> Result<usize, ExchangeError> {
    let mut lines = from.lines().enumerate();
    let told = |line: usize, problem: String| ExchangeError::Line { line: line + 1, problem };
    let Some((_, first)) = lines.next() else {
        return Err(told(0, format!("is missing: {{\"serin_store\": {FORMAT}}}")));
    };
    let header: Header = serde_json::from_str(&first?)
        .map_err(|error| told(0, format!("must be {{\"serin_store\": {FORMAT}}}: {error}")))?;
    if header.serin_store == 0 || header.serin_store > FORMAT {
        return Err(StoreError::Format { found: header.serin_store, expected: FORMAT }.into());
    }
    if !may_merge {
        let mut some = false;
        store.dump(&mut |_| some = true)?;
        if some {
            return Err(ExchangeError::Occupied);
        }
    }
    let (mut count, mut writes) = (0, Vec::with_capacity(CHUNK));
    for (number, line) in lines {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let row: Row = serde_json::from_str(&line).map_err(|error| told(number, error.to_string()))?;
        writes.push(row.into_write().map_err(|problem| told(number, problem))?);
        count += 1;
        if writes.len() == CHUNK {
            store.commit(&writes)?;
            writes.clear();
        }
    }
    if !writes.is_empty() {
        store.commit(&writes)?;
    }
    Ok(count)
}
