//! `serin report`: the report on a rollout, to read or to keep.

use super::Failure;
use super::act::checked;
use super::client::Server;
use crate::report::Format;
use clap::{Args, ValueEnum};

#[derive(Args)]
pub(super) struct Report {
    #[command(flatten)]
    server: Server,
    /// How it is written: markdown to read here, html with plots, json for programs
    #[arg(long, value_enum, default_value = "markdown")]
    output: Output,
    /// The canary, as NAMESPACE/NAME
    canary: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// For programs
    Json,
    /// To read here, or to paste
    Markdown,
    /// One page with plots
    Html,
}

impl Report {
    pub(super) fn run(self) -> Result<(), Failure> {
        let format = match self.output {
            Output::Json => Format::Json,
            Output::Markdown => Format::Markdown,
            Output::Html => Format::Html,
        };
        let path = format!("/v1/canaries/{}/report?format={}", checked(&self.canary)?, format.name());
        let text = self.server.connect()?.text(&path)?;
        super::status::print(&text)?;
        if text.ends_with('\n') { Ok(()) } else { super::status::print("\n") }
    }
}
