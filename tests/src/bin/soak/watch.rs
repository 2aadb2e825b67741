//! What is looked at all the time: the canary's weight, and how large the programs are.

use anyhow::{Context, Result, ensure};
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often the weight is read.
const BEAT: Duration = Duration::from_millis(50);

/// Reads the canary's weight all the time. Dropping it ends it.
pub(crate) struct WeightWatch {
    trouble: Arc<Mutex<Option<String>>>,
    may_fall: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl WeightWatch {
    /// From now on the weight must be one of these, goes up by single steps, and falls to 0 only where it may. What
    /// does not answer now is asked again.
    pub(crate) fn start<F>(steps: &[f64], read: impl Fn() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Option<f64>>> + Send,
    {
        let trouble = Arc::new(Mutex::new(None));
        let may_fall = Arc::new(AtomicBool::new(false));
        let (shared, falls, steps) = (Arc::clone(&trouble), Arc::clone(&may_fall), steps.to_vec());
        let task = tokio::spawn(async move {
            let mut last = 0.0;
            loop {
                match read().await {
                    Ok(Some(now)) if allowed(&steps, falls.load(Ordering::Relaxed), last, now) => last = now,
                    Ok(Some(now)) => say(&shared, format!("the weight went from {last} to {now} %")),
                    Ok(None) => {}
                    Err(error) => say(&shared, format!("{error:#}")),
                }
                tokio::time::sleep(BEAT).await;
            }
        });
        Self { trouble, may_fall, task }
    }

    /// Whether a rollback is right from now on.
    pub(crate) fn let_fall(&self, may_fall: bool) {
        self.may_fall.store(may_fall, Ordering::Relaxed);
    }

    /// The weight in a route file.
    pub(crate) fn of_file(routes: &Path, steps: &[f64]) -> Self {
        let routes = routes.to_path_buf();
        Self::start(steps, move || {
            let weight = weight(&routes).context("the route file").map(Some);
            async { weight }
        })
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

/// The same, one step up, or back to nothing where that may be.
fn allowed(steps: &[f64], may_fall: bool, last: f64, now: f64) -> bool {
    let next = steps.iter().copied().find(|step| *step > last);
    now == last || next == Some(now) || (may_fall && now == 0.0)
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

/// The sizes after a round.
#[derive(Debug)]
pub(crate) struct Sizes(Vec<Size>);

impl Sizes {
    /// Measures, and compares with those after the first round.
    pub(crate) fn check(first: Option<Self>, processes: Vec<u32>) -> Result<Self> {
        let now = Self(processes.into_iter().map(size).collect::<Result<_>>()?);
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
        let may_go = |last, now| allowed(&steps, false, last, now);
        assert!(may_go(0.0, 5.0) && may_go(5.0, 5.0) && allowed(&steps, true, 10.0, 0.0));
        assert!(!may_go(0.0, 10.0) && !may_go(10.0, 5.0) && !may_go(5.0, 7.0) && !may_go(10.0, 0.0));
    }
}
