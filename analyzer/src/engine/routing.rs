//! A rollout's weight on its way to the router, and what is found there.

use super::rollout::Rollout;
use super::route::{Due, Found};
use crate::config::Router;
use crate::metrics::Metrics;
use crate::router::{RouteFiles, RouterError, Standing, Written, virtual_service};
use crate::store::Write;
use serin_contract::Share;
use serin_judge::ramp::{self, Phase};
use serin_judge::time::Time;

/// A weight that was decided and is not in effect everywhere yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moving {
    pub(super) share: Share,
    since: Time,
    up: bool,
}

impl Rollout {
    /// Looks whether somebody else changed the weight: a higher one is written back, a lower one obeyed.
    pub(super) fn look_at_router(&mut self, files: &mut RouteFiles, now: Time, writes: &mut Vec<Write>) {
        match self.look(files, now) {
            Found::AsWritten => {}
            Found::Ahead(share) => self.find_ahead(share, now, writes),
            Found::Changed => {
                let reason = "somebody changed the managed routes for x-canary; they are written again";
                let note = self.state.note(now, reason, "router");
                self.follow((self.state.clone(), vec![note]), now, writes);
            }
            Found::Raised(share) => {
                let reason =
                    format!("somebody raised the weight to {share} in the router; it is written back");
                let note = self.state.note(now, &reason, "router");
                self.follow((self.state.clone(), vec![note]), now, writes);
            }
            Found::Lowered(share) => {
                let decided = ramp::lowered(&self.state, share, now);
                self.follow(decided, now, writes);
            }
        }
    }

    /// The release goes on from a Canary's status, which tells that the router was about to get this weight.
    pub(super) fn was_raising_to(&mut self, next: Option<Share>) {
        (self.asked, self.told) = (next, next);
    }

    /// The weight to write now. In a cluster a higher one waits until the Canary's status tells of it: users follow
    /// as soon as the router has it, and whoever goes on must know that it was ours.
    pub(super) fn weight_due(&mut self, in_cluster: bool, now: Time) -> Option<Due> {
        let waits = in_cluster && self.asked.is_some() && self.asked != self.told;
        if waits { None } else { self.route.due(now) }
    }

    /// The first look shows more than the state. In an object two such weights stay: what somebody wrote
    /// before a release that has not begun, as long as the ramp begins no lower; and the one that a leader who was
    /// killed was raising to, for users may have moved to it. Anything else is written back.
    fn find_ahead(&mut self, share: Share, now: Time, writes: &mut Vec<Write>) {
        if matches!(self.spec.router, Router::EnvoyRoutes(_)) {
            return;
        }
        match self.state.phase {
            Phase::Pending | Phase::Progressing if self.asked == Some(share) => {
                self.asked = None;
                self.route.adopt(share);
                let decided = ramp::weight_raised(&self.spec.settings, &self.state, share, now);
                self.follow(decided, now, writes);
            }
            Phase::Pending if share <= self.spec.settings.ramp.first() => self.route.adopt(share),
            Phase::Pending
            | Phase::Progressing
            | Phase::Paused
            | Phase::Promoting
            | Phase::Succeeded
            | Phase::Failed => {}
        }
    }

    /// A file is read, an object was sent to us when it changed.
    fn look(&mut self, files: &mut RouteFiles, now: Time) -> Found {
        match (&self.spec.router, &self.seen) {
            (Router::EnvoyRoutes(_), _) if !self.route.look_is_due(now) => Found::AsWritten,
            (Router::EnvoyRoutes(_), _) => {
                self.route.saw(files.read(&self.spec.router, now).map(Standing::only))
            }
            (Router::VirtualService(_), None) => Found::AsWritten,
            (Router::VirtualService(_), Some(seen)) if !self.route.is_news(seen.version()) => {
                Found::AsWritten
            }
            (Router::VirtualService(service), Some(seen)) => {
                let object = seen.virtual_service.as_ref().map_err(Clone::clone);
                self.route.saw(object.and_then(|object| Ok(virtual_service::standing(object, service)?)))
            }
        }
    }

    /// A weight arrived at the router, or did not.
    pub(super) fn routed(
        &mut self,
        share: Share,
        result: Result<Written, RouterError>,
        now: Time,
        writes: &mut Vec<Write>,
    ) {
        let told = self.route.written(share, &result, now);
        match result {
            Ok(Written::Braked(found)) => {
                let decided = ramp::lowered(&self.state, found, now);
                self.follow(decided, now, writes);
            }
            Ok(Written::Stands(_)) => {
                tracing::info!(canary = %self.spec.id, weight = %share, "weight written");
                if self.asked == Some(share) && share == self.route.wanted() && share > self.state.weight {
                    self.asked = None;
                    let decided = ramp::weight_raised(&self.spec.settings, &self.state, share, now);
                    self.follow(decided, now, writes);
                }
            }
            Err(_) if told => {}
            Err(error) => {
                tracing::error!(canary = %self.spec.id, weight = %share, %error, "weight not written; it is tried again");
            }
        }
    }

    /// No weight grows while the store cannot be relied on: what was on its way up is off, and asked for again.
    pub(super) fn stay(&mut self, now: Time) {
        if self.asked.take().is_some_and(|asked| asked > self.state.weight) {
            self.route.want(self.state.weight, now);
        }
    }

    /// Another weight was decided; it is timed until the proxies follow.
    pub(super) fn move_to(&mut self, share: Share, now: Time) {
        if self.moving.is_none_or(|moving| moving.share != share) && share != self.state.weight {
            self.moving = Some(Moving { share, since: now, up: share > self.state.weight });
        }
    }

    /// All filters follow the plan: a weight that stands in router and plan is in effect.
    pub(super) fn arrived(&mut self, metrics: &Metrics, now: Time) {
        let Some(moving) = self.moving else { return };
        if moving.share == self.state.weight && self.route.confirmed == Some(moving.share) {
            let canary = self.spec.id.to_string();
            let labels = [canary.as_str(), if moving.up { "up" } else { "down" }];
            let took = now.since(moving.since).as_secs_f64();
            metrics.promotion_seconds.with_label_values(&labels).observe(took);
            self.moving = None;
        }
    }
}
