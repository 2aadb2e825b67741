//! The four commands that make a running analyzer act.

use super::client::Server;
use super::{Failure, Output, print_json};
use crate::engine::Deed;
use clap::Args;
use hyper::Method;
use serde_json::json;

#[derive(Args)]
pub(super) struct Act {
    #[command(flatten)]
    server: Server,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Why; stands in the history
    #[arg(long)]
    reason: String,
    /// Who; stands in the history
    #[arg(long, env = "USER")]
    by: Option<String>,
    /// The canary, as NAMESPACE/NAME
    canary: String,
}

impl Act {
    /// The canary and the reason, for who does it without an analyzer.
    pub(super) fn what(&self) -> Result<(&str, &str), Failure> {
        Ok((checked(&self.canary)?, &self.reason))
    }

    pub(super) fn output(&self) -> Output {
        self.output
    }

    pub(super) fn run(self, deed: Deed) -> Result<(), Failure> {
        let canary = checked(&self.canary)?;
        let by = self.by.filter(|by| !by.is_empty());
        let body = json!({ "reason": self.reason, "by": by });
        let path = format!("/v1/canaries/{}/{}", canary, deed.name());
        let canary = self.server.connect()?.call(Method::POST, &path, Some(&body))?;
        match self.output {
            Output::Json => print_json(&canary),
            Output::Text => super::status::print(&super::status::text(&canary)),
        }
    }
}

/// A canary's name that can stand in a path.
pub(super) fn checked(canary: &str) -> Result<&str, Failure> {
    serin_contract::plan::check_name(canary).map_err(Failure::Wrong)?;
    Ok(canary)
}
