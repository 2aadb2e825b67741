//! The command line. Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration.

mod act;
mod assign;
mod audit;
mod check;
mod client;
mod cluster;
mod crd;
mod experiment;
mod filter;
mod judge;
mod life;
mod pages;
mod report;
mod rollback;
mod serve;
mod serve_kubernetes;
mod serve_shared;
mod simulate;
mod status;
mod store;
mod table;

use clap::{Parser, Subcommand, ValueEnum};
use std::process::ExitCode;

/// A sticky canary for Envoy and Istio.
#[derive(Parser)]
#[command(name = "serin", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the analyzer
    Serve(serve::Serve),
    /// Check configurations and what they name, in files or in a cluster, before anything is touched
    Check(check::Check),
    /// Say which arm users fall into
    Assign(assign::Assign),
    /// Judge a recorded history: verdict, SLO scores, anomalies
    Judge(judge::Judge),
    /// Run whole releases on synthetic traffic through the judge, and through other methods
    Simulate(simulate::Simulate),
    /// Show what releases are doing
    Status(status::Status),
    /// Write the report on a rollout: the one that runs, or the last that ended
    Report(report::Report),
    /// Keep a release at its weight until it is resumed
    Pause(act::Act),
    /// Let a paused release go on
    Resume(act::Act),
    /// Give the canary everything now
    Promote(act::Act),
    /// Give stable everything now
    Rollback(rollback::Rollback),
    /// Show who did what, when and why
    Audit(audit::Audit),
    /// List, make, change, read and end experiments
    Experiment(experiment::Experiment),
    /// Move state between stores: a file, or Redis
    Store(store::Move),
    /// Write the filter's wasm module to standard output
    Filter,
    /// Write the Kubernetes kinds' definitions to standard output, as YAML
    Crd,
    /// Write a shell's completions to standard output
    Completions(pages::Completions),
    /// Write the manual page to standard output, or one for each command to a folder
    Man(pages::Man),
}

/// How answers are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For scripts
    Json,
}

/// Why a command did not do what it was asked.
enum Failure {
    /// Wrong arguments or configuration: exit code 2.
    Wrong(String),
    /// Everything else: exit code 1.
    Failed(String),
}

impl Arguments {
    /// Does what the arguments say.
    pub fn run(self) -> ExitCode {
        let done = match self.command {
            Command::Serve(serve) => serve.run(),
            Command::Check(check) => check.run(),
            Command::Assign(assign) => assign.run(),
            Command::Judge(judge) => judge.run(),
            Command::Simulate(simulate) => simulate.run(),
            Command::Status(status) => status.run(),
            Command::Report(report) => report.run(),
            Command::Pause(act) => act.run(crate::engine::Deed::Pause),
            Command::Resume(act) => act.run(crate::engine::Deed::Resume),
            Command::Promote(act) => act.run(crate::engine::Deed::Promote),
            Command::Rollback(rollback) => rollback.run(),
            Command::Audit(audit) => audit.run(),
            Command::Experiment(experiment) => experiment.run(),
            Command::Store(store) => store.run(),
            Command::Filter => filter::run(),
            Command::Crd => crd::run(),
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure::Wrong(message)) => {
                eprintln!("serin: {message}");
                ExitCode::from(2)
            }
            Err(Failure::Failed(message)) => {
                eprintln!("serin: {message}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Prints a value as JSON on one line.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::Failed(error.to_string()))?;
    println!("{text}");
    Ok(())
}
