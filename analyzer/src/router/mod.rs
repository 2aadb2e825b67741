//! Writing a weight where the proxies read it.

mod envoy_routes;
pub mod virtual_service;

use crate::config::Router;
pub use envoy_routes::RouteFiles;
use serin_contract::Share;
use serin_judge::time::Time;
use std::sync::{Mutex, PoisonError};
use virtual_service::Drift;

/// Why a weight could not be written or read; the text says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RouterError(String);

impl RouterError {
    /// A write that ended without an answer.
    pub fn failed(problem: &str) -> Self {
        Self(problem.to_owned())
    }
}

/// What stands in a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The least and the most that a route asks for; none when no route asks for anything.
    pub shares: Option<(Share, Share)>,
    /// Whether the managed routes for `x-canary` stand there too, where Serin keeps them.
    pub complete: bool,
}

/// How a write went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The weight stands in this version of the object; 0 for a file.
    Stands(u64),
    /// Somebody had lowered the weight meanwhile: nothing was written, and this is what stands there.
    Braked(Share),
}

impl Standing {
    /// One weight, and nothing else to keep.
    pub fn only(share: Share) -> Self {
        Self { shares: Some((share, share)), complete: true }
    }

    /// How this differs from what should stand there. A brake on one route counts as a brake, even when
    /// another asks for more.
    pub fn drift(self, wanted: Share) -> Drift {
        match self.shares {
            Some((lowest, _)) if lowest < wanted => Drift::Lowered(lowest),
            Some((_, highest)) if highest > wanted => Drift::Raised(highest),
            Some(_) | None => Drift::None,
        }
    }

    /// Whether there is nothing to write.
    pub fn is(self, wanted: Share) -> bool {
        self.complete && self.shares == Some((wanted, wanted))
    }
}

impl From<virtual_service::Problem> for RouterError {
    fn from(problem: virtual_service::Problem) -> Self {
        Self(problem.to_string())
    }
}

fn not_a_file(name: &str) -> RouterError {
    RouterError(format!("VirtualService {name} is no file: `serin serve --kubernetes` writes it"))
}

impl RouteFiles {
    /// The canary's share that the route file asks for now; the file is read once for each `now`.
    ///
    /// # Errors
    /// When the file cannot be read or does not route both clusters by weight.
    pub fn read(&mut self, router: &Router, now: Time) -> Result<Share, RouterError> {
        match router {
            Router::EnvoyRoutes(routes) => self.share(routes, now),
            Router::VirtualService(service) => Err(not_a_file(&service.name)),
        }
    }
}

/// Writes the canary's share; nothing but weights changes. Does nothing when it stands there already.
///
/// `may` is asked at the last moment whether the weight may be written at all.
///
/// # Errors
/// As [`RouteFiles::read`]; the file is then as it was.
pub fn write(router: &Router, share: Share, may: &dyn Fn() -> bool) -> Result<(), RouterError> {
    let routes = match router {
        Router::EnvoyRoutes(routes) => routes,
        Router::VirtualService(service) => return Err(not_a_file(&service.name)),
    };
    // Two canaries may share a file; reading, changing and renaming it must not interleave.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    envoy_routes::write(routes, share, may)
}

/// Everything about a route file that will not work as it should, as sentences.
pub fn problems(router: &Router) -> Vec<String> {
    match router {
        Router::EnvoyRoutes(routes) => envoy_routes::problems(routes),
        Router::VirtualService(_) => Vec::new(),
    }
}
