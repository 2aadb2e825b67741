//! What survives a restart. One commit is one transaction: reports with the high-water marks of their
//! senders, so that nothing counts twice, or a canary's snapshot with the end of the journal before it.

mod experiments;
mod record;
mod redb;

pub use experiments::{Units, Walk};
pub use record::{Action, JournalEntry, KeptAnswer, Mark, RolloutReport, Snapshot, StoredCanary, Write};
pub use redb::Redb;

/// Why the store did not answer. Nothing of the commit that failed is in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("the store failed: {0}")]
    Database(#[from] Box<::redb::Error>),
    /// A record is not what this version writes.
    #[error("the store has a record of {table} that cannot be read or written: {error}")]
    Record {
        /// Which table.
        table: &'static str,
        /// Why not.
        error: String,
    },
    /// The file was written by another version.
    #[error(
        "the store has format {found}, this program reads {expected}: use the version that wrote it, or another file"
    )]
    Format {
        /// What the file says.
        found: u64,
        /// What this program writes.
        expected: u64,
    },
}
