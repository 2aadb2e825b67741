//! Several canaries side by side, each with its own host and its own two shops, behind one Envoy and one
//! analyzer.

use super::cells::{GOOD, Ramp, Routing};
use super::istiod::Istiod;
use super::plain::Plain;
use super::run::Site;
use anyhow::Result;
use serin_tests::analyzer::Api;
use serin_tests::envoy::Envoy;
use serin_tests::ports;
use serin_tests::shop::Shop;

/// The running parts, and what starts the releases. Dropping it ends them all.
pub(crate) enum World {
    Plain(Box<Plain>),
    Istiod(Box<Istiod>),
}

/// Starts everything but the releases: all users are on stable, and nobody looks at them.
pub(crate) async fn start(routing: Routing, salts: &[String], ramp: &Ramp) -> Result<(World, Vec<Site>)> {
    let mut shops = Vec::new();
    for (place, salt) in salts.iter().enumerate() {
        // The harness calls its one canary so.
        let name = if place == 0 { "shop".to_owned() } else { format!("shop-{place}") };
        let stable = Shop::start(ports::free()?, "v1").await?;
        let canary = Shop::start(ports::free()?, "v2").await?;
        stable.set_faults(GOOD);
        canary.set_faults(GOOD);
        shops.push(Shops { name, salt: salt.clone(), stable, canary });
    }
    match routing {
        Routing::Plain => {
            let (world, sites) = Plain::start(shops, ramp).await?;
            Ok((World::Plain(Box::new(world)), sites))
        }
        Routing::Istiod => {
            let (world, sites) = Istiod::start(shops, ramp).await?;
            Ok((World::Istiod(Box::new(world)), sites))
        }
    }
}

impl World {
    /// Begins the releases, and waits until every filter follows the plan.
    pub(crate) async fn release(&mut self) -> Result<()> {
        match self {
            Self::Plain(world) => world.release().await,
            Self::Istiod(world) => world.release().await,
        }
    }
}

/// The two versions of a service.
pub(super) struct Shops {
    pub(super) name: String,
    /// Goes before the users into the hash: other users for each run.
    pub(super) salt: String,
    stable: Shop,
    canary: Shop,
}

impl Shops {
    pub(super) fn ports(&self) -> (u16, u16) {
        (self.stable.address().port(), self.canary.address().port())
    }

    /// Behind this Envoy, released by the analyzer at this port.
    pub(super) fn at(self, envoy: &Envoy, analyzer: u16, token: Option<&str>) -> Site {
        let api = Api::of(ports::loopback(analyzer), &format!("default/{}", self.name), token);
        let host = format!("{}.example", self.name);
        Site { api, target: envoy.address(), host: host.into(), _stable: self.stable, canary: self.canary }
    }
}
