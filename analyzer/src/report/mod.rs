//! The report on a rollout: what happened, what the numbers were, who was affected, what was decided and
//! why. As JSON, as Markdown, and as one HTML page that needs nothing else.

mod charts;
mod facts;
mod html;
mod markdown;
mod text;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serin_contract::PerArm;
use serin_judge::time::Time;

/// Samples in a report at most; of more, every second, third or nth is taken.
pub const MOST_SAMPLES: usize = 500;

/// A rollout, from its beginning to its end or to now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// `rollback`, `success`, or `running` where the end is still to come.
    pub kind: String,
    /// When it ended, or now.
    pub time: Time,
    /// When it began.
    pub started: Time,
    /// Who was in it.
    pub affected: PerArm<Affected>,
    /// The canary at that moment, as the API shows it.
    pub canary: Value,
    /// How many samples were taken.
    pub samples_taken: usize,
    /// Those that the report has, oldest first, without the latency buckets.
    pub samples: Vec<Value>,
}

/// Units of one arm: each counts once a stratum, so one that was there in two strata counts twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Affected {
    /// Those that were seen, scaled up where sampled.
    pub seen: f64,
    /// Those of them that got an error.
    pub erred: u64,
    /// Those of them that waited for too long.
    pub slow: u64,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For programs.
    #[default]
    Json,
    /// For issues and chats.
    Markdown,
    /// For people: with plots.
    Html,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Markdown, Self::Html];

    /// As on the command line and in `?format=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Html => "html",
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

impl Report {
    /// The report as text.
    ///
    /// # Errors
    /// When a plot cannot be drawn, or JSON cannot be written; neither depends on the report's numbers.
    pub fn write(&self, format: Format) -> Result<String, String> {
        match format {
            Format::Json => serde_json::to_string(self).map_err(|error| error.to_string()),
            Format::Markdown => Ok(markdown::page(self)),
            Format::Html => html::page(self),
        }
    }

    /// Takes the latency buckets out of a sample: they are most of it, and the quantiles are there.
    pub fn slim(mut sample: Value) -> Value {
        for arm in ["stable", "canary"] {
            if let Some(version) =
                sample.pointer_mut(&format!("/versions/{arm}")).and_then(Value::as_object_mut)
            {
                version.remove("latency");
            }
        }
        sample
    }
}

#[cfg(test)]
mod tests;
