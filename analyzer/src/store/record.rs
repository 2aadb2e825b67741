//! The store's records. All are JSON inside, so that a person can read a store in trouble.

use crate::experiments::{Record, Unit, UnitEvent};
use crate::report::Affected;
use crate::store::AuditLine;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serin_contract::report::Instance;
use serin_contract::{CanaryReport, PerArm, Report, Revision, UnitHash};
use serin_judge::observations::Observations;
use serin_judge::ramp::{State, Transition};
use serin_judge::time::Time;
use std::sync::Arc;

/// How far the reports of one filter are in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// The highest sequence number that is committed.
    pub sequence: u64,
    /// When that was.
    pub time: Time,
    /// The proxy's node id, for people.
    pub node: String,
}

/// One report's part for one canary, as it was counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// When it was counted.
    pub time: Time,
    /// Who sent it.
    pub instance: Instance,
    /// How often the sender reports.
    pub interval_ms: u64,
    /// What it said.
    pub entries: Arc<[CanaryReport]>,
}

/// A canary at a moment; the journal after `offset` says what happened since.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// Phase, weight, step, verdict.
    pub state: State,
    /// Everything counted so far, but for the sets of units.
    pub observations: Observations,
    /// The last journal entry that is in.
    pub offset: u64,
    /// The place in the inbox of the last report that is in.
    #[serde(default)]
    pub cursor: u64,
}

/// What the store knows of a canary.
#[derive(Debug)]
pub struct StoredCanary {
    /// The last snapshot.
    pub snapshot: Snapshot,
    /// The stratum's sets of units at that moment, packed.
    pub units: Vec<u8>,
    /// What was counted since, in order.
    pub journal: Vec<(u64, JournalEntry)>,
    /// The whole history, oldest first.
    pub history: Vec<Transition>,
}

/// What is written when a rollout ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RolloutReport {
    /// `rollback` or `success`.
    pub kind: String,
    /// When it ended.
    pub time: Time,
    /// When it began; the samples between are its own.
    #[serde(default)]
    pub started: Time,
    /// Who was in it.
    #[serde(default)]
    pub affected: PerArm<Affected>,
    /// What was decided and why, with all numbers, as the API shows a canary.
    pub canary: serde_json::Value,
}

/// One thing that a user of an experiment did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// `exposure`, a goal, or the name of a custom event.
    pub name: String,
    /// Whatever came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What one unit did, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Walk {
    /// The arm's place; none when nothing exposed the unit.
    pub arm: Option<usize>,
    /// When it did what.
    pub actions: Vec<(Time, String)>,
}

/// What was answered to a call with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// When.
    pub time: Time,
    /// Events taken.
    pub accepted: u64,
    /// Among them conversions of nobody's.
    pub unexposed: u64,
}

/// What waits in the inbox to be counted.
#[derive(Debug, Clone, PartialEq)]
pub enum Post {
    /// A filter's report.
    Report(Box<Report>),
    /// The events of one call.
    Events(Vec<UnitEvent>),
}

/// One record of a commit.
#[derive(Debug, Clone)]
pub enum Write {
    /// A sender's high-water mark.
    Mark(Instance, Mark),
    /// A report's part for a canary.
    Journal {
        /// `<namespace>/<name>`.
        canary: String,
        /// Its place in the canary's journal.
        offset: u64,
        /// What it said.
        entry: JournalEntry,
    },
    /// A canary's new snapshot; ends the journal up to its offset.
    Snapshot {
        /// `<namespace>/<name>`.
        canary: String,
        /// Without the units.
        snapshot: Box<Snapshot>,
        /// The units, packed.
        units: Vec<u8>,
    },
    /// One more line of a canary's history.
    Transition(String, Transition),
    /// One sample of a canary.
    Sample(String, Time, serde_json::Value),
    /// A report about a rollout's end.
    Report(String, RolloutReport),
    /// An experiment with its sums.
    Experiment(Box<Record>),
    /// A unit of an experiment.
    Unit {
        /// The experiment's id.
        experiment: String,
        /// The unit.
        unit: UnitHash,
        /// What is known of it.
        record: Unit,
    },
    /// One more action of a unit.
    Action {
        /// The experiment's id.
        experiment: String,
        /// The unit.
        unit: UnitHash,
        /// When it happened.
        time: Time,
        /// Its number in the experiment, so that two at one moment stay two.
        number: u64,
        /// What it was.
        action: Action,
    },
    /// A line of the audit.
    Audit(Box<AuditLine>),
    /// What was answered to an idempotency key.
    Key(String, KeptAnswer),
    /// The place in the inbox of the last report that experiments have counted.
    Cursor(u64),
    /// The inbox is over up to this place.
    Trim(u64),
    /// What waits to be counted, at its place in the inbox; only where a store is filled from another.
    Inbox(u64, Post),
    /// The current plan, for analyzers that do not lead.
    Plan(Revision, Arc<RawValue>),
}
