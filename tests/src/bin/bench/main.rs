//! Measures Serin; scripts/bench builds what it needs and calls it. Every part prints its tables and, where it is
//! asked to, writes them as JSON too.

mod figures;
mod filter;
mod ingest;
mod processor;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Measures Serin")]
struct Arguments {
    #[command(subcommand)]
    part: Part,
    /// Writes every figure into this file as JSON
    #[arg(long, global = true)]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Part {
    /// What the filter costs in a real Envoy
    Filter(filter::Options),
    /// How many reports the analyzer holds
    Ingest(ingest::Options),
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let figures = match arguments.part {
        Part::Filter(options) => filter::measure(&options).await?,
        Part::Ingest(options) => ingest::measure(&options).await?,
    };
    if let Some(file) = arguments.json {
        figures.write(&file)?;
    }
    Ok(())
}
