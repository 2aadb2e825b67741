//! What came of each run: a line of JSON, written as soon as the run is over.

use super::cells::Cell;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ending {
    /// After it turned bad; or, where it stayed good, for no reason.
    RolledBack,
    /// Before it turned bad.
    TooEarly,
    /// Not within the time that was given.
    Never,
}

/// When things happened, in seconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Times {
    /// From the end of the first bad response to the end of the last one of the canary, as clients saw them.
    pub(crate) first_bad_to_last: f64,
    /// From the end of the first bad response to the verdict, as the release's history has it.
    pub(crate) first_bad_to_verdict: f64,
    /// From the end of the last bad response before the verdict to it.
    pub(crate) last_bad_to_verdict: f64,
    /// From the verdict to the end of the canary's last response.
    pub(crate) verdict_to_last: f64,
}

/// What stable's clients met.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Stable {
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) error_rate: f64,
}

impl Stable {
    /// Whether the machine kept up: stable's p95 is 46 ms and its error rate 1 % where nothing else is on it. A run
    /// in which it did not says nothing about Serin, however it ended.
    pub(crate) fn is_sound(&self) -> bool {
        self.p95_ms < 2.0 * 46.0 && self.error_rate < 0.02
    }
}

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) cell: String,
    pub(crate) number: u32,
    pub(crate) ending: Ending,
    /// The history's last words.
    pub(crate) reason: String,
    /// How many seconds after its step began it turned bad.
    pub(crate) fault_after: Option<f64>,
    /// Where it was rolled back after it turned bad.
    pub(crate) times: Option<Times>,
    /// Bad responses from the fault on.
    pub(crate) bad_requests: usize,
    /// Users who had at least one.
    pub(crate) bad_users: usize,
    /// Stable, in the canary's step before the fault.
    pub(crate) stable: Stable,
    /// At its end, over a minute.
    pub(crate) load_average: f64,
    /// The part of the machine's processors that was used meanwhile.
    pub(crate) busy: f64,
}

/// All runs, in memory and in a file.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: Option<PathBuf>,
    runs: Mutex<Vec<Run>>,
}

impl Ledger {
    /// With what is in the file, if there is one.
    pub(crate) fn open(file: Option<&Path>) -> Result<Self> {
        let mut runs = Vec::new();
        if let Some(file) = file.filter(|file| file.exists()) {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            for (place, line) in text.lines().enumerate() {
                let run = serde_json::from_str(line);
                let told = || format!("line {} of {} is no run of this program", place + 1, file.display());
                runs.push(run.with_context(told)?);
            }
        }
        Ok(Self { file: file.map(Path::to_path_buf), runs: Mutex::new(runs) })
    }

    /// Adds a run and writes it down.
    pub(crate) fn add(&self, run: Run) -> Result<()> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &self.file {
            let line = serde_json::to_string(&run)? + "\n";
            let open = OpenOptions::new().create(true).append(true).open(file);
            let written = open.and_then(|mut open| open.write_all(line.as_bytes()));
            written.with_context(|| file.display().to_string())?;
        }
        runs.push(run);
        Ok(())
    }

    /// The runs of a cell.
    pub(crate) fn of(&self, cell: Cell) -> Vec<Run> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.iter().filter(|run| run.cell == cell.name()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_there_when_the_file_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runs.jsonl");
        let run = Run {
            cell: Cell::Healthy.name(),
            number: 7,
            ending: Ending::Never,
            reason: String::new(),
            fault_after: None,
            times: None,
            bad_requests: 0,
            bad_users: 0,
            stable: Stable { p50_ms: 20.0, p95_ms: 46.0, p99_ms: 64.0, error_rate: 0.01 },
            load_average: 1.0,
            busy: 0.5,
        };
        Ledger::open(Some(&file)).unwrap().add(run).unwrap();
        let again = Ledger::open(Some(&file)).unwrap();
        assert_eq!(again.of(Cell::Healthy).iter().map(|run| run.number).collect::<Vec<_>>(), [7]);
        std::fs::write(&file, "{}\n").unwrap();
        let error = Ledger::open(Some(&file)).unwrap_err().to_string();
        assert!(error.starts_with("line 1 of") && error.ends_with("is no run of this program"), "{error}");
    }
}
