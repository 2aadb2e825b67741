//! Which core does what: the analyzer has the first one for itself, the load and Redis share the others.

use anyhow::{Context, Result, ensure};
use std::process::Command;

/// The machine's cores, as `taskset` names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cores {
    analyzers: usize,
    /// For the load and Redis.
    pub(crate) others: String,
}

impl Cores {
    /// So many analyzers have a core each; where that leaves none, the load and Redis run on all of them.
    pub(crate) fn of_this_machine(analyzers: usize) -> Result<Self> {
        // Not what this process may use: that was narrowed by an earlier part.
        let online = std::fs::read_to_string("/sys/devices/system/cpu/online").context("this needs Linux")?;
        let last = online.trim().rsplit(['-', ',']).next().and_then(|last| last.parse().ok());
        Ok(Self::of(last.context("which cores are online?")?, analyzers))
    }

    fn of(last: usize, analyzers: usize) -> Self {
        let from = if last >= analyzers { analyzers } else { 0 };
        Self { analyzers, others: format!("{from}-{last}") }
    }

    /// The core of one analyzer.
    pub(crate) fn of_analyzer(&self, number: usize) -> String {
        (number % self.analyzers.max(1)).to_string()
    }

    /// In words.
    pub(crate) fn told(&self) -> String {
        let analyzers = match self.analyzers {
            1 => "the analyzer on core 0".to_owned(),
            many => format!("an analyzer on each of cores 0 to {}", many - 1),
        };
        format!("{analyzers}, the load and Redis on cores {}", self.others)
    }
}

/// All threads of a process onto these cores.
pub(crate) fn pin(process: u32, cores: &str) -> Result<()> {
    let id = process.to_string();
    let done = Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", cores, &id]).output();
    let done = done.context("taskset (of util-linux) does not run")?;
    ensure!(done.status.success(), "taskset: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_over_is_for_the_load_and_everything_where_nothing_is() {
        assert_eq!(Cores::of(1, 1).others, "1-1");
        assert_eq!(Cores::of(7, 2).others, "2-7");
        assert_eq!(Cores::of(1, 2).others, "0-1");
        assert_eq!(Cores::of(0, 1).others, "0-0");
    }
}
