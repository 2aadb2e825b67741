//! Users who make requests, and a filter that reports on them.

use super::random::Random;
use super::world::World;
use serin_contract::allocation::canary_arm;
use serin_contract::latency::index;
use serin_contract::report::ArmReport;
use serin_contract::share::Bucket;
use serin_contract::{Arm, AssignedUnit, PerArm, Share, UnitHash};
use std::time::Duration;

/// What the filter has already said about a user in this stratum.
const SEEN: u8 = 1;
const ERRED: u8 = 2;
const SLOW: u8 = 4;
/// Latencies are drawn from so many equally likely ones.
const LATENCIES: usize = 256;

pub(super) struct Traffic<'a> {
    world: &'a World,
    pub(super) random: Random,
    users: Vec<User>,
    /// Sums of activity, to draw a user by.
    activity: Vec<f64>,
    /// In microseconds.
    latencies: Vec<u64>,
    /// Start and user of the requests that are never answered.
    hanging: Vec<(Duration, usize)>,
}

struct User {
    hash: UnitHash,
    bucket: Bucket,
    chronic: bool,
    said: u8,
}

/// How the canary treats its users at a moment.
#[derive(Clone, Copy)]
struct Moment {
    at: Duration,
    share: Share,
    edge: u64,
    errors: f64,
    canary_errors: f64,
    slower: f64,
    hangs: bool,
}

impl<'a> Traffic<'a> {
    pub(super) fn new(world: &'a World, seed: u64) -> Self {
        let mut random = Random(seed);
        let user = |number: usize| {
            let unit = AssignedUnit::of(&format!("{seed}:"), format!("user-{number}").as_bytes());
            let (hash, bucket) =
                unit.map_or((UnitHash(number as u64), Bucket::of(0)), |unit| (unit.hash, unit.bucket));
            User { hash, bucket, chronic: random.uniform() < world.chronic, said: 0 }
        };
        let users: Vec<User> = (0..world.users).map(user).collect();
        let mut sum = 0.0;
        let activity = users.iter().map(|_| {
            sum += world.activity.of(random.uniform());
            sum
        });
        let activity = activity.collect();
        // Exponential beyond 20 ms: mean 50 ms, p95 110 ms; in few buckets, which is quick to add up.
        let latency = |place: usize| {
            let below = (place as f64 + 0.5) / LATENCIES as f64;
            (25e3 * ((20.0 - 30.0 * (1.0 - below).ln()) / 25.0).round()) as u64
        };
        let latencies = (0..LATENCIES).map(latency).collect();
        Self { world, random, users, activity, latencies, hanging: Vec::new() }
    }

    /// The filter may name each user again.
    pub(super) fn begin_stratum(&mut self) {
        self.users.iter_mut().for_each(|user| user.said = 0);
    }

    /// The requests from a moment on for so long, as a filter reports them at the end.
    pub(super) fn report(
        &mut self,
        at: Duration,
        length: Duration,
        share: Share,
        edge: Duration,
    ) -> PerArm<ArmReport> {
        let world = self.world;
        let (faulty, errors) = (world.fault_at(at), world.errors_at(at));
        let grown = |from: f64, to: f64| from + faulty * (to - from);
        let moment = Moment {
            at,
            share,
            edge: edge.as_micros() as u64,
            errors,
            // A shared outage that is worse than the fault hides it.
            canary_errors: world.fault.map_or(errors, |fault| grown(errors, fault.errors.max(errors))),
            slower: world.fault.map_or(1.0, |fault| grown(1.0, fault.slower)),
            hangs: faulty > 0.0 && world.fault.is_some_and(|fault| fault.hangs),
        };
        let mut arms = PerArm::<ArmReport>::default();
        let requests = self.random.poisson(world.rate_at(at) * length.as_secs_f64());
        for _ in 0..requests {
            self.request(&mut arms, &moment);
        }
        self.look_at_hanging(&mut arms, at + length, edge);
        arms
    }

    fn request(&mut self, arms: &mut PerArm<ArmReport>, moment: &Moment) {
        let total = self.activity.last().copied().unwrap_or_default();
        let drawn = self.random.uniform() * total;
        let place = self.activity.partition_point(|sum| *sum <= drawn);
        let Some(user) = self.users.get_mut(place) else { return };
        let arm = canary_arm(user.bucket, moment.share);
        let report = arms.get_mut(arm);
        report.seen.extend(user.say(SEEN));
        let canary = arm == Arm::Canary;
        if canary && moment.hangs {
            self.hanging.push((moment.at, place));
            return;
        }
        let errors = match (user.chronic, canary) {
            (true, _) => 0.5,
            (false, true) => moment.canary_errors,
            (false, false) => moment.errors,
        };
        let drawn = (self.random.uniform() * LATENCIES as f64) as usize;
        let usual = self.latencies.get(drawn).copied().unwrap_or_default();
        let micros = if canary { (usual as f64 * moment.slower) as u64 } else { usual };
        report.requests += 1;
        let bucket = index(micros);
        match report.latency.iter_mut().find(|(known, _)| *known == bucket) {
            Some((_, count)) => *count += 1,
            None => report.latency.push((bucket, 1)),
        }
        if self.random.uniform() < errors {
            report.errors += 1;
            report.erred.extend(user.say(ERRED));
        }
        if micros > moment.edge {
            report.slow.extend(user.say(SLOW));
        }
    }

    fn look_at_hanging(&mut self, arms: &mut PerArm<ArmReport>, now: Duration, edge: Duration) {
        for (started, place) in &self.hanging {
            let Some(user) = self.users.get_mut(*place).filter(|_| now - *started > edge) else { continue };
            arms.canary.overdue += 1;
            arms.canary.slow.extend(user.say(SLOW));
        }
    }

    /// Requests that were never answered.
    pub(super) fn hanging(&self) -> u64 {
        self.hanging.len() as u64
    }
}

impl User {
    /// The user's name, the first time that this is said.
    fn say(&mut self, what: u8) -> Option<UnitHash> {
        let new = self.said & what == 0;
        self.said |= what;
        new.then_some(self.hash)
    }
}
