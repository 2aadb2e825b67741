//! `serin simulate`: whole releases on synthetic traffic, and what each method makes of them.

mod options;
mod table;
mod workers;

use super::status::print;
use super::{Failure, Output, print_json};
use clap::{Args, ValueEnum};
use options::{SettingsOptions, WorldOptions};
use serde::Serialize;
use serin_judge::simulate::scenarios::{self, Scenario};
use serin_judge::simulate::{Method, Tally};
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

#[derive(Args)]
pub(super) struct Simulate {
    /// Worlds of docs/statistics.md, or `all` of them; without it the world is what the options say
    #[arg(long, value_delimiter = ',')]
    scenario: Vec<String>,
    #[command(flatten)]
    world: WorldOptions,
    #[command(flatten)]
    settings: SettingsOptions,
    /// Who decides
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = MethodName::ALL)]
    method: Vec<MethodName>,
    /// Releases for each world and method
    #[arg(long, default_value = "100")]
    runs: NonZeroU64,
    /// Where the random numbers begin: the same seed gives the same answer
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Releases end after so long
    #[arg(long, default_value = "30m", value_parser = humantime::parse_duration)]
    length: Duration,
    /// Threads; one for each core without it
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MethodName {
    /// Serin's rules with evidence
    Evidence,
    /// The reference's thresholds
    Point,
    /// A fixed success rate once a minute and a limit of failed checks, Flagger's way
    Gate,
    /// One Mann-Whitney test after ten minutes, Kayenta's way
    OneShot,
}

impl MethodName {
    const ALL: [Self; 4] = [Self::Evidence, Self::Point, Self::Gate, Self::OneShot];

    fn method(self) -> Method {
        match self {
            Self::Evidence => Method::Evidence,
            Self::Point => Method::Point,
            Self::Gate => Method::Gate,
            Self::OneShot => Method::OneShot,
        }
    }
}

/// One line of the answer.
#[derive(Serialize)]
struct Row {
    scenario: String,
    about: String,
    method: &'static str,
    #[serde(flatten)]
    tally: Tally,
}

impl Simulate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let settings = self.settings.compile().map_err(Failure::Wrong)?;
        let scenarios = self.scenarios().map_err(Failure::Wrong)?;
        let threads = self.threads.or_else(|| std::thread::available_parallelism().ok());
        let seeds = |scenario: &Scenario| {
            let runs = (self.runs.get() / scenario.thinned).max(1);
            self.seed.wrapping_mul(1_000_000)..self.seed.wrapping_mul(1_000_000).wrapping_add(runs)
        };
        let all: u64 = scenarios.iter().map(|scenario| seeds(scenario).count() as u64).sum();
        let progress = workers::Progress::new(all * self.method.len() as u64);
        let mut rows = Vec::new();
        for scenario in &scenarios {
            for method in self.method.iter().map(|method| method.method()) {
                let job =
                    workers::Job { world: &scenario.world, settings: &settings, method, length: self.length };
                let outcomes = job.run(seeds(scenario), threads.map_or(1, NonZeroUsize::get), &progress);
                rows.push(Row {
                    scenario: scenario.name.to_owned(),
                    about: scenario.about.to_owned(),
                    method: method.name(),
                    tally: Tally::of(&scenario.world, &outcomes),
                });
            }
        }
        progress.end();
        match self.output {
            Output::Json => print_json(&rows),
            Output::Text => print(&table::text(&rows)),
        }
    }

    fn scenarios(&self) -> Result<Vec<Scenario>, String> {
        let known = scenarios::all();
        if self.scenario.is_empty() {
            let world = self.world.compile()?;
            return Ok(vec![Scenario { name: "yours", about: "as the options say", world, thinned: 1 }]);
        }
        self.world.refuse_beside_scenarios()?;
        if self.scenario.iter().any(|name| name == "all") {
            return Ok(known);
        }
        let find = |name: &String| {
            known.iter().find(|scenario| scenario.name == name).cloned().ok_or_else(|| {
                let names: Vec<&str> = known.iter().map(|scenario| scenario.name).collect();
                format!("--scenario: `{name}` is not known: allowed are all, {}", names.join(", "))
            })
        };
        self.scenario.iter().map(find).collect()
    }
}

#[cfg(test)]
mod tests;
