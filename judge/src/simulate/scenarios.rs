//! The worlds that docs/statistics.md shows.

use super::world::{Activity, Fault, Outage, World};
use std::time::Duration;

/// A world with a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// One word.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// The world.
    pub world: World,
    /// Only one of so many runs is made: much traffic takes long.
    pub thinned: u64,
}

/// When faults begin.
const FAULT: Duration = Duration::from_secs(30);

/// All of them: first those in which nothing is wrong with the canary.
pub fn all() -> Vec<Scenario> {
    let mut all = healthy();
    all.extend(faulty());
    all
}

fn healthy() -> Vec<Scenario> {
    let usual = World::default;
    let outage = Outage { at: Duration::from_secs(90), until: Duration::from_secs(150), errors: 0.3 };
    let scenario = |name, about, world| Scenario { name, about, world, thinned: 1 };
    vec![
        scenario("even", "users of even activity", World { activity: Activity::Even, ..usual() }),
        scenario("uneven", "users of uneven activity", usual()),
        scenario(
            "heavy-tailed",
            "some users make thousands of times as many requests",
            World { activity: Activity::HeavyTailed, ..usual() },
        ),
        scenario(
            "chronic",
            "half of the requests of 1 % of the users fail",
            World { chronic: 0.01, ..usual() },
        ),
        scenario("swing", "traffic and errors swing by 80 %", World { swing: 0.8, ..usual() }),
        scenario("slow-traffic", "1 request a second", World { rate: 1.0, ..usual() }),
        Scenario {
            thinned: 10,
            ..scenario("fast-traffic", "10,000 requests a second", World { rate: 10_000.0, ..usual() })
        },
        scenario("outage", "both versions fail 30 % for a minute", World { outage: Some(outage), ..usual() }),
    ]
}

fn faulty() -> Vec<Scenario> {
    let usual = World::default;
    let errors = |errors| Some(Fault::errors(FAULT, errors));
    let scenario = |name, about, world| Scenario { name, about, world, thinned: 1 };
    let slower = Fault { slower: 3.0, ..Fault::errors(FAULT, 0.01) };
    let hangs = Fault { hangs: true, ..Fault::errors(FAULT, 0.01) };
    let creeping = Fault { over: Duration::from_secs(120), ..Fault::errors(FAULT, 0.1) };
    vec![
        scenario("errors-20", "errors 1 -> 20 %", World { fault: errors(0.2), ..usual() }),
        scenario("errors-5", "errors 1 -> 5 %", World { fault: errors(0.05), ..usual() }),
        scenario("errors-2", "errors 1 -> 2 %", World { fault: errors(0.02), ..usual() }),
        scenario("creeping", "errors 1 -> 10 % over two minutes", World { fault: Some(creeping), ..usual() }),
        scenario("slower", "three times as slow", World { fault: Some(slower), ..usual() }),
        scenario("hangs", "answers nothing any more", World { fault: Some(hangs), ..usual() }),
        scenario(
            "errors-20-at-1",
            "errors 1 -> 20 %, 1 request a second",
            World { rate: 1.0, fault: errors(0.2), ..usual() },
        ),
    ]
}
