//! What goes wrong.

use crate::{Soak, garbage};
use anyhow::{Context, Result, ensure};
use serin_tests::load::{Load, LoadOptions};
use serin_tests::wire::Trouble;
use serin_tests::{random, wait};
use std::process::Command;
use std::time::Duration;

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL, and a new one up to five seconds later.
    AnalyzerKilled,
    /// SIGSTOP for up to twenty seconds.
    AnalyzerFrozen,
    /// A proxy that serves dies.
    EnvoyKilled,
    /// The store's file may not be written.
    StoreFails,
    /// Reports and answers are three seconds late.
    WireSlow,
    /// Connections break as soon as they are used.
    WireCut,
    /// Reports arrive, their answers do not.
    WireMute,
    /// Bytes without a meaning, and such as look as if they had one.
    Garbage,
}

/// The proxies that were killed, and what they could have reported.
#[derive(Debug, Default)]
pub(crate) struct Victims {
    started: u32,
    sent: u64,
    acknowledged: u64,
}

impl Victims {
    /// Another rollout begins, with other numbers.
    pub(crate) fn forget(&mut self) {
        (self.sent, self.acknowledged) = (0, 0);
    }

    /// How many of their requests must, and how many can be counted.
    pub(crate) fn bounds(&self) -> (u64, u64) {
        (self.acknowledged, self.sent)
    }
}

/// All faults in an order that the seed gives.
pub(crate) fn shuffled(seed: u64) -> Vec<Fault> {
    use Fault::{
        AnalyzerFrozen, AnalyzerKilled, EnvoyKilled, Garbage, StoreFails, WireCut, WireMute, WireSlow,
    };
    let mut left =
        vec![AnalyzerKilled, AnalyzerFrozen, EnvoyKilled, StoreFails, WireSlow, WireCut, WireMute, Garbage];
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let place = random::number(seed, left.len() as u64) % left.len() as u64;
        order.push(left.swap_remove(place as usize));
    }
    order
}

impl Fault {
    /// Causes it, and ends it.
    pub(crate) async fn cause(self, soak: &mut Soak, seed: u64) -> Result<()> {
        let up_to = |seconds: f64| Duration::from_secs_f64(seconds * random::fraction(seed, 1));
        match self {
            Self::AnalyzerKilled => {
                soak.world.analyzer.kill9()?;
                tokio::time::sleep(up_to(5.0)).await;
                soak.world.analyzer.restart().await
            }
            Self::AnalyzerFrozen => {
                soak.world.analyzer.process()?.stop()?;
                tokio::time::sleep(up_to(20.0)).await;
                soak.world.analyzer.process()?.cont()
            }
            Self::EnvoyKilled => envoy_killed(soak, seed).await,
            Self::StoreFails => {
                limit_files(soak, "4096")?;
                tokio::time::sleep(Duration::from_secs(2) + up_to(6.0)).await;
                soak.world.analyzer.process()?.check_running().context("a store that fails ended it")?;
                limit_files(soak, "unlimited")
            }
            Self::WireSlow => wire(soak, Trouble::Slow, up_to(12.0)).await,
            Self::WireCut => wire(soak, Trouble::Cut, up_to(12.0)).await,
            Self::WireMute => wire(soak, Trouble::Mute, up_to(12.0)).await,
            Self::Garbage => {
                let mut ports = vec![soak.world.analyzer.api().address().port(), soak.wire_port];
                for envoy in &soak.world.envoys {
                    ports.extend([envoy.address().port(), envoy.admin().port()]);
                }
                garbage::send_to(&ports, seed).await
            }
        }
    }
}

async fn wire(soak: &Soak, trouble: Trouble, time: Duration) -> Result<()> {
    soak.wire.set(trouble);
    tokio::time::sleep(Duration::from_secs(3) + time).await;
    soak.wire.set(Trouble::None);
    Ok(())
}

/// A proxy of its own, for requests by hand, so that what it takes with it can be told from everything else.
async fn envoy_killed(soak: &mut Soak, seed: u64) -> Result<()> {
    soak.victims.started += 1;
    let node = format!("victim-{}", soak.victims.started);
    soak.world
        .add_envoy_as(|options| {
            options.node.clone_from(&node);
            options.workers = 1;
        })
        .await?;
    wait::until("the victim to follow the plan", Duration::from_secs(60), || async {
        let filters = soak.world.analyzer.api().filters().await?;
        let mut mine = filters.iter().filter(|filter| filter.node == node).peekable();
        ensure!(mine.peek().is_some() && mine.all(|filter| !filter.pending), "it has not yet");
        Ok(())
    })
    .await?;
    let mut victim = soak.world.envoys.pop().context("it has just been started")?;
    let before = forced(soak).await?;
    let options = LoadOptions {
        targets: vec![victim.address()],
        manual: 1.0,
        anonymous: 0.0,
        rate: 50.0,
        time: Duration::from_secs(60),
        seed,
        ..soak.world.load()
    };
    let load = Load::start(options)?;
    tokio::time::sleep(Duration::from_secs_f64(2.0 + 4.0 * random::fraction(seed, 1))).await;
    let counted = forced(soak).await? - before;
    victim.process.kill9()?;
    let record = load.stop().await?;
    soak.victims.acknowledged += counted;
    soak.victims.sent += record.sent();
    Ok(())
}

async fn forced(soak: &Soak) -> Result<u64> {
    let forced = soak.world.status().await?.totals.forced;
    Ok(forced.stable.requests + forced.canary.requests)
}

/// The analyzer's limit on the size of its files: beyond it every write fails, as on a disk that is full.
fn limit_files(soak: &mut Soak, limit: &str) -> Result<()> {
    let id = soak.world.analyzer.process()?.id().to_string();
    let done = Command::new("prlimit").args(["--pid", &id, &format!("--fsize={limit}:")]).output();
    let done = done.context("prlimit (of util-linux) does not run")?;
    ensure!(done.status.success(), "prlimit: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
