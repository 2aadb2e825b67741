//! A release that stays at 50 %, for tests of single requests: whose each is follows from md5 alone.

use crate::analyzer::{CanaryConfig, Status, Totals};
use crate::http::{Answer, Client};
use crate::world::{World, WorldOptions};
use anyhow::Result;
use serin_contract::allocation::canary_arm;
use serin_contract::{Arm, AssignedUnit, Share};

/// The weight in percent.
const HALF: f64 = 50.0;

/// The world of such a release.
#[derive(Debug)]
pub struct Half {
    /// Everything that runs.
    pub world: World,
    client: Client,
}

impl Half {
    /// Its release: the salt is empty, and nothing short of a person moves the weight.
    pub fn canary() -> CanaryConfig {
        CanaryConfig {
            steps: vec![HALF, 100.0],
            promotion_interval: "30m".to_owned(),
            salt: Some(String::new()),
            limits: vec!["maxErrorRate: 100".to_owned(), "minErrorIncrease: 100".to_owned()],
            ..CanaryConfig::default()
        }
    }

    /// Starts it with users from these `units`, and further lines of the spec.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn with(units: &str, more: &[&str]) -> Result<Self> {
        let more = more.iter().map(|line| (*line).to_owned()).collect();
        let canary = CanaryConfig { units: units.to_owned(), more, ..Self::canary() };
        Self::start(WorldOptions { canary, ..WorldOptions::default() }).await
    }

    /// Starts it as `options` say, whose release should be [`Self::canary`] or like it.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start(options: WorldOptions) -> Result<Self> {
        let half = Self { world: World::start(options).await?, client: Client::default() };
        half.follow().await?;
        Ok(half)
    }

    /// Waits until every filter follows the plan at 50 %.
    ///
    /// # Errors
    /// When that does not come about.
    pub async fn follow(&self) -> Result<()> {
        self.world.until("50 %", 30, |status| status.weight == HALF).await?;
        self.world.until_plan_is_followed().await
    }

    /// A GET through the last Envoy.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let target = self.world.envoys.last().map(crate::envoy::Envoy::address);
        let target = target.ok_or_else(|| anyhow::anyhow!("there is no Envoy"))?;
        self.client.get(target, path, headers).await
    }

    /// The version that answers.
    ///
    /// # Errors
    /// When no answer comes, or none with 200.
    pub async fn version(&self, path: &str, headers: &[(&str, &str)]) -> Result<String> {
        let answer = self.get(path, headers).await?;
        anyhow::ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
        Ok(answer.header("x-shop-version").unwrap_or("none").to_owned())
    }

    /// Waits until this many requests are counted, and answers what they were counted as.
    ///
    /// # Errors
    /// When there are more or fewer after twenty seconds.
    pub async fn counted(&self, requests: u64) -> Result<Totals> {
        let what = format!("{requests} requests to be counted");
        let counted = self.world.until(&what, 20, |status: &Status| status.totals.all() == requests);
        Ok(counted.await?.totals)
    }
}

/// The version of a user at 50 % and with an empty salt.
pub fn version_of(user: &str) -> &'static str {
    let share = Share::from_percent(HALF).unwrap_or(Share::NONE);
    match AssignedUnit::of("", user.as_bytes()).map(|unit| canary_arm(unit.bucket, share)) {
        Some(Arm::Canary) => "v2",
        Some(Arm::Stable) | None => "v1",
    }
}

/// A user of a version, the `n`th.
pub fn user_of(version: &str, n: usize) -> String {
    let users = (0..).map(|i| format!("client-{i}"));
    users.filter(|user| version_of(user) == version).nth(n).unwrap_or_default()
}
