//! What is looked at all the time: the weights in the route file, and how large the programs are.

use anyhow::{Context, Result, ensure};
use serin_tests::world::World;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often the route file is read.
const BEAT: Duration = Duration::from_millis(50);

/// Reads the canary's weight all the time. Dropping it ends it.
pub(crate) struct WeightWatch {
    trouble: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

impl WeightWatch {
    /// From now on the weight must be 0 or one of these, and goes up by single steps.
    pub(crate) fn start(routes: &Path, steps: &[f64]) -> Self {
        let trouble = Arc::new(Mutex::new(None));
        let (shared, routes, steps) = (Arc::clone(&trouble), routes.to_path_buf(), steps.to_vec());
        let task = tokio::spawn(async move {
            let mut last = 0.0;
            loop {
                match weight(&routes) {
                    Ok(now) if allowed(&steps, last, now) => last = now,
                    Ok(now) => say(&shared, format!("the weight went from {last} to {now} %")),
                    Err(error) => say(&shared, format!("the route file: {error:#}")),
                }
                tokio::time::sleep(BEAT).await;
            }
        });
        Self { trouble, task }
    }

    /// Fails with the first thing that was not allowed.
    pub(crate) fn check(&self) -> Result<()> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(trouble.is_none(), "{}", trouble.as_deref().unwrap_or_default());
        Ok(())
    }
}

impl Drop for WeightWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn say(trouble: &Mutex<Option<String>>, text: String) {
    trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
}

/// The same, back to nothing, or one step up.
fn allowed(steps: &[f64], last: f64, now: f64) -> bool {
    let next = steps.iter().copied().find(|step| *step > last);
    now == last || now == 0.0 || next == Some(now)
}

/// The number after the canary's name in the only weighted route. Read as a whole or not at all: the file is
/// renamed into place.
fn weight(routes: &Path) -> Result<f64> {
    let text = std::fs::read_to_string(routes)?;
    let document: serde_json::Value = serde_saphyr::from_str(&text).context("no YAML")?;
    let routes = document.pointer("/resources/0/virtual_hosts/0/routes").and_then(|routes| routes.as_array());
    let weighted = routes.into_iter().flatten().find_map(|route| route.pointer("/route/weighted_clusters"));
    let weighted = weighted.context("no weighted route")?;
    let clusters = weighted["clusters"].as_array().context("no clusters")?;
    let of = |cluster: &serde_json::Value| cluster["weight"].as_f64().context("no weight");
    let total = clusters.iter().map(of).sum::<Result<f64>>()?;
    let canary = clusters.iter().find(|cluster| cluster["name"] == "shop-canary").context("no canary")?;
    Ok(100.0 * of(canary)? / total)
}

/// Memory and open files of a program.
#[derive(Debug, Clone, Copy)]
struct Size {
    megabytes: u64,
    files: usize,
}

/// The sizes after a round, Envoys first.
#[derive(Debug)]
pub(crate) struct Sizes(Vec<Size>);

impl Sizes {
    /// Measures, and compares with those after the first round.
    pub(crate) fn check(first: Option<Self>, world: &World) -> Result<Self> {
        let ids = world.envoys.iter().map(|envoy| envoy.process.id()).chain(world.analyzer.id());
        let now = Self(ids.map(size).collect::<Result<_>>()?);
        println!("soak:   sizes {:?}", now.0);
        let Some(first) = first else { return Ok(now) };
        for (before, after) in first.0.iter().zip(&now.0) {
            // Allocators keep what they once had: flat means that it does not grow by the round.
            ensure!(after.megabytes <= before.megabytes * 3 / 2 + 40, "memory grew: {before:?} to {after:?}");
            ensure!(after.files <= before.files + 40, "open files grew: {before:?} to {after:?}");
        }
        Ok(first)
    }
}

fn size(process: u32) -> Result<Size> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    let files = std::fs::read_dir(format!("/proc/{process}/fd"))?.count();
    Ok(Size { megabytes: kilobytes / 1024, files })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_go_up_by_one_step_and_down_to_nothing() {
        let steps = [5.0, 10.0, 20.0];
        assert!(allowed(&steps, 0.0, 5.0) && allowed(&steps, 5.0, 5.0) && allowed(&steps, 10.0, 0.0));
        assert!(!allowed(&steps, 0.0, 10.0) && !allowed(&steps, 10.0, 5.0) && !allowed(&steps, 5.0, 7.0));
    }
}
