//! How busy the machine is, whoever keeps it so.

use anyhow::{Context, Result};

/// The mean number of tasks that wanted to run in the last minute.
pub(crate) fn load_average() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().context("an empty loadavg")?.parse()?)
}

/// The processors' time since the start of the machine, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticks {
    all: u64,
    idle: u64,
}

impl Ticks {
    pub(crate) fn now() -> Result<Self> {
        let text = std::fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().context("an empty stat")?;
        let fields: Vec<u64> = line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
        // user nice system idle iowait irq softirq steal; what guests have is in user already.
        let idle = fields.iter().skip(3).take(2).sum();
        Ok(Self { all: fields.iter().take(8).sum(), idle })
    }

    /// The part of all processors' time that was used since an earlier moment, 0 to 1.
    pub(crate) fn busy_since(self, earlier: Self) -> f64 {
        let (all, idle) = (self.all - earlier.all, self.idle - earlier.idle);
        1.0 - idle as f64 / (all as f64).max(1.0)
    }
}
