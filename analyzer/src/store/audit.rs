//! The audit: who did what to which release or experiment, when, why, and what came of it. It stands in the store
//! together with what it tells of.

use super::redb::{decode, encode, fail};
use super::{Redb, StoreError};
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use serin_judge::time::Time;

/// Lines that are kept; of more the oldest go.
pub const AUDIT_LINES: usize = 10_000;

pub(super) const AUDIT: TableDefinition<u64, &[u8]> = TableDefinition::new("audit");

/// What somebody did, or tried to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// When.
    pub time: Time,
    /// What: `pause`, `resume`, `promote`, `rollback`; `create`, `shares`, `end` of an experiment; `sign in`.
    pub deed: String,
    /// The canary that it was about, `<namespace>/<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// The experiment that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
    /// Who, as far as they said.
    pub by: String,
    /// What they may do.
    pub role: String,
    /// Why, as far as they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// From where.
    pub peer: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The same in words.
    pub detail: String,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not done, and nothing has changed.
    Refused,
    /// The store or the program went away meanwhile.
    Unknown,
}

impl Outcome {
    /// As in the log and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// A line that is written twice stays one; two of one millisecond are two, and the later has the next free number.
pub(super) fn apply(transaction: &WriteTransaction, line: &AuditLine) -> Result<(), StoreError> {
    let mut table = transaction.open_table(AUDIT).map_err(fail)?;
    let bytes = encode("audit", line)?;
    let mut number = line.time.0;
    for row in table.range(line.time.0..).map_err(fail)? {
        let (last, known) = row.map_err(fail)?;
        if known.value() == bytes.as_slice() {
            return Ok(());
        }
        number = last.value().saturating_add(1);
    }
    table.insert(number, bytes.as_slice()).map_err(fail)?;
    while table.len().map_err(fail)? > AUDIT_LINES as u64 {
        table.pop_first().map_err(fail)?;
    }
    Ok(())
}

impl Redb {
    pub(super) fn read_audit(&self, before: u64, most: usize) -> Result<Vec<(u64, AuditLine)>, StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        let table = reading.open_table(AUDIT).map_err(fail)?;
        let rows = table.range(..before).map_err(fail)?.rev().take(most);
        let line = |row| {
            let (number, bytes): (redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &[u8]>) = row;
            Ok((number.value(), decode("audit", bytes.value())?))
        };
        rows.map(|row| row.map_err(fail).and_then(line)).collect()
    }
}
