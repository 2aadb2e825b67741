//! Two Envoys and an analyzer with its own store, and a wire between them that one can cut.

use super::{counted, release, seen, up_to};
use crate::garbage;
use crate::scene::{STEPS, Scene};
use crate::watch::WeightWatch;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serin_tests::analyzer::{Filter, Status};
use serin_tests::load::{Load, LoadOptions, Record};
use serin_tests::shop::Shop;
use serin_tests::wire::{Trouble, Wire};
use serin_tests::world::{World, WorldOptions};
use serin_tests::{ports, wait};
use std::process::Command;
use std::time::Duration;

/// The running parts.
pub(crate) struct Plain {
    world: World,
    wire: Wire,
    wire_port: u16,
    victims: Victims,
}

/// The proxies that were killed, and what they could have reported.
#[derive(Debug, Default)]
struct Victims {
    started: u32,
    sent: u64,
    acknowledged: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
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

impl Scene for Plain {
    const NAME: &'static str = "plain";
    type Fault = Fault;

    async fn start() -> Result<Self> {
        let (port, wire_port) = (ports::free()?, ports::free()?);
        let wire = Wire::start(wire_port, port).await?;
        let options = WorldOptions {
            envoys: vec![1, 1],
            canary: release(),
            analyzer_ports: Some((port, wire_port)),
            ..WorldOptions::default()
        };
        let world = World::start(options).await?;
        Ok(Self { world, wire, wire_port, victims: Victims::default() })
    }

    async fn cause(&mut self, fault: Fault, seed: u64) -> Result<()> {
        match fault {
            Fault::AnalyzerKilled => {
                self.world.analyzer.kill9()?;
                tokio::time::sleep(up_to(5.0, seed)).await;
                self.world.analyzer.restart().await
            }
            Fault::AnalyzerFrozen => {
                self.world.analyzer.process()?.stop()?;
                tokio::time::sleep(up_to(20.0, seed)).await;
                self.world.analyzer.process()?.cont()
            }
            Fault::EnvoyKilled => self.kill_an_envoy(seed).await,
            Fault::StoreFails => {
                self.limit_files("4096")?;
                tokio::time::sleep(Duration::from_secs(2) + up_to(6.0, seed)).await;
                self.world.analyzer.process()?.check_running().context("a store that fails ended it")?;
                self.limit_files("unlimited")
            }
            Fault::WireSlow => self.trouble_the_wire(Trouble::Slow, up_to(12.0, seed)).await,
            Fault::WireCut => self.trouble_the_wire(Trouble::Cut, up_to(12.0, seed)).await,
            Fault::WireMute => self.trouble_the_wire(Trouble::Mute, up_to(12.0, seed)).await,
            Fault::Garbage => {
                let mut ports = vec![self.world.analyzer.api().address().port(), self.wire_port];
                for envoy in &self.world.envoys {
                    ports.extend([envoy.address().port(), envoy.admin().port()]);
                }
                garbage::send_to(&ports, seed).await
            }
        }
    }

    /// Nothing here ends by itself, and nothing may.
    async fn supervise(&mut self) -> Result<()> {
        for envoy in &mut self.world.envoys {
            envoy.process.check_running()?;
        }
        self.world.analyzer.process()?.check_running()
    }

    async fn status(&self) -> Result<Status> {
        self.world.status().await
    }

    async fn filters(&self) -> Result<Vec<Filter>> {
        self.world.analyzer.api().filters().await
    }

    fn load(&self) -> LoadOptions {
        self.world.load()
    }

    fn canary(&self) -> &Shop {
        &self.world.canary
    }

    fn watch(&self) -> WeightWatch {
        WeightWatch::of_file(self.world.routes(), &STEPS)
    }

    /// Killed proxies served requests by hand alone, which stand apart.
    fn check_totals(&self, status: &Status, record: &Record) -> Result<()> {
        let (counted, wanted) = (counted(status), seen(record));
        ensure!(counted == wanted, "{counted:?} counted, {wanted:?} answered");
        let forced = status.totals.forced.stable.requests + status.totals.forced.canary.requests;
        let Victims { sent, acknowledged, .. } = self.victims;
        ensure!(
            (acknowledged..=sent).contains(&forced),
            "of killed proxies {forced} requests are counted, {acknowledged} to {sent} are possible"
        );
        Ok(())
    }

    async fn next_release(&mut self, version: &str) -> Result<()> {
        (self.victims.sent, self.victims.acknowledged) = (0, 0);
        self.world.analyzer.reload(|canary| version.clone_into(&mut canary.canary_version))
    }

    fn processes(&self) -> Vec<u32> {
        let envoys = self.world.envoys.iter().map(|envoy| envoy.process.id());
        envoys.chain(self.world.analyzer.id()).collect()
    }

    fn logs(&mut self) -> String {
        self.world.logs()
    }
}

impl Plain {
    async fn trouble_the_wire(&self, trouble: Trouble, time: Duration) -> Result<()> {
        self.wire.set(trouble);
        tokio::time::sleep(Duration::from_secs(3) + time).await;
        self.wire.set(Trouble::None);
        Ok(())
    }

    /// A proxy of its own, for requests by hand, so that what it takes with it can be told from everything else.
    async fn kill_an_envoy(&mut self, seed: u64) -> Result<()> {
        self.victims.started += 1;
        let node = format!("victim-{}", self.victims.started);
        self.world
            .add_envoy_as(|options| {
                options.node.clone_from(&node);
                options.workers = 1;
            })
            .await?;
        wait::until("the victim to follow the plan", Duration::from_secs(60), || async {
            let mut mine = self.filters().await?;
            mine.retain(|filter| filter.node == node);
            ensure!(!mine.is_empty() && mine.iter().all(|filter| !filter.pending), "it has not yet");
            Ok(())
        })
        .await?;
        let mut victim = self.world.envoys.pop().context("it has just been started")?;
        let before = self.forced().await?;
        let options = LoadOptions {
            targets: vec![victim.address()],
            manual: 1.0,
            anonymous: 0.0,
            rate: 50.0,
            time: Duration::from_secs(60),
            seed,
            ..self.load()
        };
        let load = Load::start(options)?;
        tokio::time::sleep(Duration::from_secs(2) + up_to(4.0, seed)).await;
        let counted = self.forced().await? - before;
        victim.process.kill9()?;
        let record = load.stop().await?;
        self.victims.acknowledged += counted;
        self.victims.sent += record.sent();
        Ok(())
    }

    async fn forced(&self) -> Result<u64> {
        let forced = self.status().await?.totals.forced;
        Ok(forced.stable.requests + forced.canary.requests)
    }

    /// The analyzer's limit on the size of its files: beyond it every write fails, as on a disk that is full.
    fn limit_files(&mut self, limit: &str) -> Result<()> {
        let id = self.world.analyzer.process()?.id().to_string();
        let done = Command::new("prlimit").args(["--pid", &id, &format!("--fsize={limit}:")]).output();
        let done = done.context("prlimit (of util-linux) does not run")?;
        ensure!(done.status.success(), "prlimit: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }
}
