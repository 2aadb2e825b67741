//! The two acts: what is done, when, and what was seen of it.

use crate::live::Live;
use anyhow::{Result, bail};
use serin_tests::analyzer::{CanaryConfig, Phase, Status};
use serin_tests::load::{Load, Record};
use serin_tests::shop::{Faults, Served};
use serin_tests::world::{World, WorldOptions};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The part of its requests that v3 fails.
pub(crate) const FAULT: f64 = 0.15;
/// How often the analyzer is asked.
const GLANCE: Duration = Duration::from_millis(100);
/// How long one act may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A new plan reaches a filter with its next report, 500 ms at most; a period is looked at from then on.
const SETTLING: Duration = Duration::from_millis(1000);

/// A time of constant weight, without its edges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Period {
    pub(crate) weight: f64,
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}

/// What the first act left behind.
#[derive(Debug)]
pub(crate) struct Promotion {
    pub(crate) salt: String,
    pub(crate) steps: Vec<f64>,
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    pub(crate) periods: Vec<Period>,
}

/// What the second act left behind.
#[derive(Debug)]
pub(crate) struct Rollback {
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    /// The weight when v3 began to fail.
    pub(crate) weight: f64,
    pub(crate) verdict: String,
    pub(crate) weight_after: f64,
    pub(crate) served: Served,
}

/// The world, the load on it, and the live line.
pub(crate) struct Stage {
    world: World,
    load: Load,
    live: Live,
}

impl Stage {
    /// Starts everything, and the load on it.
    pub(crate) async fn open(users: u32, rate: f64) -> Result<Self> {
        let canary = CanaryConfig { canary_version: "v2".to_owned(), ..CanaryConfig::default() };
        let world = World::start(WorldOptions { canary, ..WorldOptions::default() }).await?;
        println!("The dashboard: http://{}/", world.analyzer.api().address());
        println!(
            "The load: {users} users with an id and every tenth request without one, {rate:.0} requests a second."
        );
        let mut options = world.load();
        options.users = users;
        options.rate = rate;
        let load = Load::start(options)?;
        Ok(Self { world, load, live: Live::new() })
    }

    /// v2 is healthy: it ramps to all users.
    pub(crate) async fn first_act(&mut self) -> Result<Promotion> {
        println!("\nAct one: v2 is healthy. Its share of the users grows to all of them.");
        let begin = Instant::now();
        let mut periods = Periods::default();
        let canary = &self.world.analyzer.config().canary;
        let (salt, steps) = (canary.effective_salt(), canary.steps.clone());
        loop {
            let status = self.glance().await?;
            periods.saw(status.weight);
            match status.phase {
                Phase::Succeeded => break,
                Phase::Failed => bail!("v2 was rolled back: {}", reason(&status)),
                Phase::Pending | Phase::Progressing | Phase::Paused | Phase::Promoting => check_time(begin)?,
            }
        }
        Ok(Promotion { salt, steps, begin, end: Instant::now(), periods: periods.finished() })
    }

    /// v2 becomes the stable version; v3 comes, and begins to fail.
    pub(crate) async fn second_act(&mut self) -> Result<Rollback> {
        println!("\nBetween the acts: the stable deployment becomes v2, and all users go there.");
        self.world.stable.become_version("v2");
        self.world.analyzer.reload(|canary| canary.stable_version = "v2".to_owned())?;
        self.watch(|status| status.weight == 0.0).await?;
        // As a person would: v3 replaces v2 behind the canary's cluster only when nobody is sent there.
        while self.world.analyzer.api().filters().await?.iter().any(|filter| filter.pending) {
            self.glance().await?;
        }
        let drained = Instant::now() + SETTLING;
        self.watch(|_| Instant::now() >= drained).await?;

        println!(
            "\nAct two: v3 comes. Some seconds into its second step it fails {:.0} % of its requests.",
            { FAULT * 100.0 }
        );
        self.world.canary.become_version("v3");
        self.world.analyzer.reload(|canary| canary.canary_version = "v3".to_owned())?;
        let begin = Instant::now();
        let status = self.watch(|status| status.canary_version == "v3" && status.weight >= 25.0).await?;
        let weight = status.weight;
        let faulty_from = Instant::now() + Duration::from_secs(3);
        self.watch(|_| Instant::now() >= faulty_from).await?;

        println!("       now v3 begins to fail");
        self.world.canary.set_faults(Faults::errors(FAULT));
        let failed = self.watch(|status| status.phase == Phase::Failed).await?;
        println!("       rolled back: {}", reason(&failed));
        let quiet_until = Instant::now() + Duration::from_secs(5);
        self.watch(|_| Instant::now() >= quiet_until).await?;
        Ok(Rollback {
            begin,
            end: Instant::now(),
            weight,
            verdict: reason(&failed),
            weight_after: failed.weight,
            served: self.world.canary.served("v3"),
        })
    }

    /// Ends the load; the world stays.
    pub(crate) async fn close(self) -> Result<(World, Arc<Record>)> {
        let record = self.load.stop().await?;
        Ok((self.world, record))
    }

    /// Shows the live line until the status is `so`.
    async fn watch(&mut self, so: impl Fn(&Status) -> bool) -> Result<Status> {
        let begin = Instant::now();
        loop {
            let status = self.glance().await?;
            if so(&status) {
                return Ok(status);
            }
            check_time(begin)?;
        }
    }

    async fn glance(&mut self) -> Result<Status> {
        tokio::time::sleep(GLANCE).await;
        let status = self.world.status().await?;
        self.live.show(&status, self.load.record());
        Ok(status)
    }
}

fn reason(status: &Status) -> String {
    status.verdict.as_ref().map_or_else(|| "without a word".to_owned(), |verdict| verdict.reason.clone())
}

fn check_time(begin: Instant) -> Result<()> {
    if begin.elapsed() > PATIENCE {
        bail!("this act takes longer than {} s", PATIENCE.as_secs());
    }
    Ok(())
}

/// Collects the times of constant weight.
#[derive(Default)]
struct Periods {
    done: Vec<Period>,
    current: Option<Period>,
}

impl Periods {
    fn saw(&mut self, weight: f64) {
        let now = Instant::now();
        match &mut self.current {
            Some(period) if period.weight == weight => period.to = now,
            Some(_) | None => {
                self.done.extend(self.current.take());
                self.current = Some(Period { weight, from: now, to: now });
            }
        }
    }

    /// Those with a canary, each from when the plan has surely arrived until before the next change.
    fn finished(mut self) -> Vec<Period> {
        self.done.extend(self.current.take());
        let inner = self.done.into_iter().filter(|period| period.weight > 0.0).map(|period| Period {
            from: period.from + SETTLING,
            to: period.to.checked_sub(GLANCE).unwrap_or(period.to),
            ..period
        });
        inner.filter(|period| period.from < period.to).collect()
    }
}
