//! Two analyzers that share a Redis, and an Envoy for each.

use super::{counted, release, seen, up_to};
use crate::garbage;
use crate::scene::{STEPS, Scene};
use crate::watch::WeightWatch;
use anyhow::{Result, ensure};
use clap::ValueEnum;
use serin_tests::analyzer::{Analyzer, Filter, Status};
use serin_tests::load::{LoadOptions, Record};
use serin_tests::random;
use serin_tests::redis::Redis;
use serin_tests::shop::Shop;
use serin_tests::world::{World, WorldOptions};
use std::time::Duration;
use tempfile::TempDir;

/// The running parts.
pub(crate) struct Shared {
    world: World,
    redis: Redis,
    _folder: TempDir,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Fault {
    /// SIGKILL to one of them, and a new one up to five seconds later.
    AnalyzerKilled,
    /// SIGSTOP for up to twenty seconds: longer than its lock, mostly.
    AnalyzerFrozen,
    /// Both at once.
    BothKilled,
    /// SIGKILL, and a new one on the same file up to five seconds later.
    RedisKilled,
    /// SIGSTOP for up to twenty seconds.
    RedisFrozen,
    /// Redis has no memory left, and refuses every write.
    RedisFull,
    /// Bytes without a meaning, and such as look as if they had one.
    Garbage,
}

impl Scene for Shared {
    const NAME: &'static str = "redis";
    type Fault = Fault;

    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let redis = Redis::start(folder.path(), "redis", &["--maxmemory-policy", "noeviction"]).await?;
        let url = format!("redis://127.0.0.1:{}", redis.port());
        let server = vec![format!("store: {{ redis: {{ url: \"{url}\", lease: 3s, timeout: 2s }} }}")];
        let mut world =
            World::start(WorldOptions { canary: release(), server, ..WorldOptions::default() }).await?;
        world.add_analyzer().await?;
        let port = world.others[0].api().address().port();
        world
            .add_envoy_as(|options| {
                options.node = "gateway-1".to_owned();
                options.analyzer_port = port;
            })
            .await?;
        world.until_plan_is_followed().await?;
        Ok(Self { world, redis, _folder: folder })
    }

    async fn cause(&mut self, fault: Fault, seed: u64) -> Result<()> {
        self.supervise().await?;
        match fault {
            Fault::AnalyzerKilled => {
                let analyzer = self.one(seed);
                kill(analyzer)?;
                tokio::time::sleep(up_to(5.0, seed)).await;
                analyzer.restart().await
            }
            Fault::AnalyzerFrozen => {
                let analyzer = self.one(seed);
                analyzer.process()?.stop()?;
                tokio::time::sleep(up_to(20.0, seed)).await;
                analyzer.process()?.cont()
            }
            Fault::BothKilled => {
                kill(&mut self.world.analyzer)?;
                kill(&mut self.world.others[0])?;
                tokio::time::sleep(up_to(5.0, seed)).await;
                self.world.others[0].restart().await?;
                self.world.analyzer.restart().await
            }
            Fault::RedisKilled => {
                self.redis.kill9()?;
                tokio::time::sleep(up_to(5.0, seed)).await;
                self.redis.restart().await
            }
            Fault::RedisFrozen => {
                self.redis.process()?.stop()?;
                tokio::time::sleep(up_to(20.0, seed)).await;
                self.redis.process()?.cont()
            }
            Fault::RedisFull => {
                self.redis.ask(&["CONFIG", "SET", "maxmemory", "1"])?;
                tokio::time::sleep(Duration::from_secs(2) + up_to(6.0, seed)).await;
                self.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).map(drop)
            }
            Fault::Garbage => {
                let analyzers = [&self.world.analyzer, &self.world.others[0]];
                let mut ports: Vec<u16> = analyzers.iter().map(|one| one.api().address().port()).collect();
                ports.push(self.redis.port());
                garbage::send_to(&ports, seed).await
            }
        }
    }

    /// A leader that was frozen ends when it sees that another leads.
    async fn supervise(&mut self) -> Result<()> {
        for analyzer in [&mut self.world.analyzer, &mut self.world.others[0]] {
            if analyzer.has_ended() {
                analyzer.restart().await?;
            }
        }
        Ok(())
    }

    async fn status(&self) -> Result<Status> {
        self.world.status().await
    }

    async fn filters(&self) -> Result<Vec<Filter>> {
        self.world.analyzer.api().filters().await
    }

    /// While an analyzer is away its Envoy cannot hear of the next step: users who changed Envoys would see both
    /// versions.
    fn load(&self) -> LoadOptions {
        LoadOptions { affine: true, ..self.world.load() }
    }

    fn canary(&self) -> &Shop {
        &self.world.canary
    }

    fn watch(&self) -> WeightWatch {
        WeightWatch::of_file(self.world.routes(), &STEPS)
    }

    fn check_totals(&self, status: &Status, record: &Record) -> Result<()> {
        let (counted, wanted) = (counted(status), seen(record));
        ensure!(counted == wanted, "{counted:?} counted, {wanted:?} answered");
        Ok(())
    }

    async fn next_release(&mut self, version: &str) -> Result<()> {
        for analyzer in [&mut self.world.analyzer, &mut self.world.others[0]] {
            analyzer.reload(|canary| version.clone_into(&mut canary.canary_version))?;
        }
        Ok(())
    }

    fn processes(&self) -> Vec<u32> {
        let envoys = self.world.envoys.iter().map(|envoy| envoy.process.id());
        let analyzers = [&self.world.analyzer, &self.world.others[0]];
        envoys.chain(analyzers.into_iter().filter_map(Analyzer::id)).collect()
    }

    fn logs(&mut self) -> String {
        self.world.logs()
    }
}

/// A leader that has lost its lock may be ending by itself at this very moment.
fn kill(analyzer: &mut Analyzer) -> Result<()> {
    if analyzer.has_ended() { Ok(()) } else { analyzer.kill9() }
}

impl Shared {
    /// Either may lead: the seed says which one it is this time.
    fn one(&mut self, seed: u64) -> &mut Analyzer {
        if random::number(seed, 2).is_multiple_of(2) {
            &mut self.world.analyzer
        } else {
            &mut self.world.others[0]
        }
    }
}
