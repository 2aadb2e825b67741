//! What happened to an experiment, by whom and why. It stands in the experiment's own record.

use super::book::Book;
use serde::{Deserialize, Serialize};
use serin_judge::time::Time;

/// Lines of one experiment at most; of more, those after the first go.
pub const MAX_LINES: usize = 100;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    /// It was made.
    Created,
    /// Its shares, or something else that may change, are others now.
    Changed,
    /// It is over.
    Ended,
}

impl Deed {
    /// As it stands in the history and in the audit.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Ended => "ended",
        }
    }
}

/// Who does something, and why, as far as they say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// A person's name; `configuration`, `cluster`, `release` or `date` where nobody asked.
    pub by: String,
    /// In words.
    pub reason: Option<String>,
}

impl Intent {
    /// Of something that is no person.
    pub fn of(by: &str) -> Self {
        Self { by: by.to_owned(), reason: None }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When.
    pub time: Time,
    /// What.
    pub deed: Deed,
    /// The step from then on.
    pub step: u32,
    /// Who.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Book {
    /// Adds a line to the history.
    pub fn note(&mut self, deed: Deed, intent: &Intent, now: Time) {
        let step = self.step().0;
        let history = &mut self.record.history;
        if history.len() >= MAX_LINES {
            history.remove(1);
        }
        let Intent { by, reason } = intent.clone();
        history.push(Line { time: now, deed, step, by, reason });
    }
}
