//! What a process has used.

use anyhow::{Context, Result};
use std::time::Duration;

/// The processor time that all threads of a process have had. The scheduler counts it in nanoseconds; of threads
/// that have ended it forgets.
pub(crate) fn time(process: u32) -> Result<Duration> {
    let mut nanos = 0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let on_cpu: u64 = text.split_whitespace().next().context("an empty schedstat")?.parse()?;
        nanos += on_cpu;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Its resident memory in bytes.
pub(crate) fn memory(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// The processor time that a process has had, with its threads that have ended, to a hundredth of a second.
pub(crate) fn time_of_all(process: u32) -> Result<Duration> {
    /// Linux shows times in hundredths of a second, whatever its own clock does.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in parentheses, may hold anything; after it `utime` and `stime` are the 12th and the 13th.
    let (_, fields) = stat.rsplit_once(')').context("a stat without a name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    Ok(TICK * ticks.collect::<Result<Vec<_>, _>>()?.iter().sum())
}
