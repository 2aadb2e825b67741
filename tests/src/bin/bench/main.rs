//! Measures Serin; scripts/bench builds what it needs and calls it. Every part prints its tables and, where it is
//! asked to, writes them as JSON too.

mod figures;
mod filter;
mod ingest;
mod processor;
mod rollback;
mod tables;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Measures Serin")]
struct Arguments {
    #[command(subcommand)]
    part: Part,
    /// Writes every figure into this file as JSON; for rollback one run a line, and those that are there are not
    /// run again
    #[arg(long, global = true)]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Part {
    /// What the filter costs in a real Envoy
    Filter(filter::Options),
    /// What each kind of call between Envoy and a filter costs
    Calls(filter::calls::Options),
    /// How many reports the analyzer holds
    Ingest(ingest::Options),
    /// How fast a bad canary is rolled back, and how often a good one
    Rollback(rollback::Options),
    /// Reads the tables that a part printed, and prints them as JSON
    Tables,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let figures = match arguments.part {
        Part::Filter(options) => filter::measure(&options).await?,
        Part::Calls(options) => filter::calls::measure(&options).await?,
        Part::Ingest(options) => ingest::measure(&options).await?,
        // Its file is its memory: it takes half an hour, and goes on where it was stopped.
        Part::Rollback(options) => return rollback::measure(&options, arguments.json.as_deref()).await,
        Part::Tables => {
            let tables = tables::read(&std::io::read_to_string(std::io::stdin())?);
            println!("{}", serde_json::to_string_pretty(&tables)?);
            return Ok(());
        }
    };
    if let Some(file) = arguments.json {
        figures.write(&file)?;
    }
    Ok(())
}
