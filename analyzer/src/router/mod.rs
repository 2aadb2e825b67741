//! Writing a weight where the proxies read it.

mod envoy_routes;
pub mod virtual_service;

use crate::config::EnvoyRoutes;
use serin_contract::Share;
use std::sync::{Mutex, PoisonError};

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

impl From<virtual_service::Problem> for RouterError {
    fn from(problem: virtual_service::Problem) -> Self {
        Self(problem.to_string())
    }
}

/// The canary's share that the route file asks for now.
///
/// # Errors
/// When the file cannot be read or does not route both clusters by weight.
pub fn read(routes: &EnvoyRoutes) -> Result<Share, RouterError> {
    envoy_routes::read(routes)
}

/// Writes the canary's share; nothing but weights changes. Does nothing when it stands there already.
///
/// # Errors
/// As [`read`]; the file is then as it was.
pub fn write(routes: &EnvoyRoutes, share: Share) -> Result<(), RouterError> {
    // Two canaries may share a file; reading, changing and renaming it must not interleave.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    envoy_routes::write(routes, share)
}

/// Everything about a route file that will not work as it should, as sentences.
pub fn problems(routes: &EnvoyRoutes) -> Vec<String> {
    envoy_routes::problems(routes)
}
