//! Runs on all cores, in the order of their seeds whoever makes them, and a bar that tells how far they are.

use serin_judge::settings::Settings;
use serin_judge::simulate::{Method, Outcome, World, run};
use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The bar's width, and how often it is drawn.
const WIDTH: u64 = 40;
const DRAW: Duration = Duration::from_millis(100);

/// Many runs of one world under one method.
pub(super) struct Job<'a> {
    pub(super) world: &'a World,
    pub(super) settings: &'a Settings,
    pub(super) method: Method,
    pub(super) length: Duration,
}

impl Job<'_> {
    /// One outcome for each seed, in their order.
    pub(super) fn run(&self, seeds: Range<u64>, threads: usize, progress: &Progress) -> Vec<Outcome> {
        let next = AtomicU64::new(seeds.start);
        let work = || {
            let mut done = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return done;
                }
                done.push((seed, run(self.world, self.settings, self.method, self.length, seed)));
                progress.step();
            }
        };
        let mut outcomes = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let finished =
                |worker: std::thread::ScopedJoinHandle<'_, Vec<(u64, Outcome)>>| match worker.join() {
                    Ok(outcomes) => outcomes,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
            workers.into_iter().flat_map(finished).collect::<Vec<_>>()
        });
        outcomes.sort_by_key(|(seed, _)| *seed);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

/// How many runs are done. Drawn on standard error if that is a terminal.
pub(super) struct Progress {
    all: u64,
    done: AtomicU64,
    drawn: Option<Mutex<Instant>>,
}

impl Progress {
    pub(super) fn new(all: u64) -> Self {
        let drawn = std::io::stderr().is_terminal().then(|| Mutex::new(Instant::now()));
        Self { all, done: AtomicU64::new(0), drawn }
    }

    fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(mut drawn) = self.drawn.as_ref().and_then(|drawn| drawn.try_lock().ok()) else { return };
        if drawn.elapsed() >= DRAW {
            *drawn = Instant::now();
            let full = (WIDTH * done / self.all.max(1)) as usize;
            let bar =
                format!("{}{}", "#".repeat(full), ".".repeat(WIDTH as usize - full.min(WIDTH as usize)));
            // A bar that cannot be drawn is no reason to stop.
            _ = write!(std::io::stderr(), "\r[{bar}] {done} of {} releases ", self.all);
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if self.drawn.is_some() {
            _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
