//! `serin store export|import`: state from one kind of store to another, as lines of JSON.

use super::Failure;
use crate::config::Configuration;
use crate::config::StoreAt;
use crate::metrics::Metrics;
use crate::store::exchange::{export, import};
use crate::store::{Redb, Redis, Store};
use clap::{Args, Subcommand};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(super) struct Move {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Write everything that a store has, one record a line
    Export(From),
    /// Fill a store with what another has written
    Import(Into),
}

#[derive(Args)]
struct At {
    /// The configuration whose spec.store is meant
    #[arg(long, env = "SERIN_CONFIG", required_unless_present = "store")]
    config: Option<PathBuf>,
    /// The store: a file, or redis://host:port or rediss://...; in place of what spec.store says
    #[arg(long, env = "SERIN_STORE", value_name = "FILE|URL")]
    store: Option<String>,
}

#[derive(Args)]
struct From {
    #[command(flatten)]
    at: At,
    /// Where to write it; - for standard output
    file: PathBuf,
}

#[derive(Args)]
struct Into {
    #[command(flatten)]
    at: At,
    /// Write over what the store has, where both have the same
    #[arg(long)]
    merge: bool,
    /// Where to read it; - for standard input
    file: PathBuf,
}

fn failed(what: &dyn std::fmt::Display, error: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(format!("{what}: {error}"))
}

impl At {
    fn open(&self) -> Result<(String, Box<dyn Store>), Failure> {
        let base = match &self.config {
            Some(path) => {
                let configuration = Configuration::load(path);
                configuration.map_err(|error| Failure::Wrong(error.to_string()))?.server.store
            }
            None => StoreAt::Redb(PathBuf::new()),
        };
        let at = match &self.store {
            Some(place) => base
                .moved_to(place)
                .map_err(|error| Failure::Wrong(format!("--store {place}: {}", error.message)))?,
            None => base,
        };
        let name = at.to_string();
        let store: Box<dyn Store> = match at {
            StoreAt::Redb(path) => {
                Box::new(Redb::open(&path).map_err(|error| failed(&path.display(), &error))?)
            }
            StoreAt::Redis(settings) => {
                let metrics = Metrics::new().map_err(|error| Failure::Failed(error.to_string()))?;
                Box::new(Redis::open(*settings, metrics.store).map_err(|error| failed(&name, &error))?)
            }
        };
        Ok((name, store))
    }
}

fn is_stream(file: &Path) -> bool {
    file == Path::new("-")
}

impl Move {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Export(From { at, file }) => {
                let (name, store) = at.open()?;
                let told = |error: &dyn std::fmt::Display| failed(&file.display(), error);
                let out: Box<dyn Write> = if is_stream(&file) {
                    Box::new(std::io::stdout().lock())
                } else {
                    Box::new(std::fs::File::create(&file).map_err(|error| told(&error))?)
                };
                let count =
                    export(&*store, &mut BufWriter::new(out)).map_err(|error| failed(&name, &error))?;
                eprintln!("serin: {count} records of {name} written to {}", file.display());
            }
            What::Import(Into { at, merge, file }) => {
                let told = |error: &dyn std::fmt::Display| failed(&file.display(), error);
                let from: Box<dyn Read> = if is_stream(&file) {
                    Box::new(std::io::stdin().lock())
                } else {
                    Box::new(std::fs::File::open(&file).map_err(|error| told(&error))?)
                };
                let (name, store) = at.open()?;
                let count = import(&*store, &mut BufReader::new(from), merge)
                    .map_err(|error| failed(&name, &error))?;
                eprintln!("serin: {count} records of {} are in {name}", file.display());
            }
        }
        Ok(())
    }
}
