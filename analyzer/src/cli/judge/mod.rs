//! `serin judge FILE`: what the judge says about a recorded history.

mod document;

use super::{Failure, Output, print_json};
use clap::Args;
use document::{Document, History};
use serde::Serialize;
use serin_contract::{FieldError, PerArm};
use serin_judge::anomaly::{self, Anomaly};
use serin_judge::history;
use serin_judge::sample::{Sample, Samples};
use serin_judge::slo::{Slo, Standing};
use serin_judge::statistics::{Alternative, ChiSquare, MannWhitney, chi_square, mann_whitney, wilson};
use serin_judge::summary::Summary;
use serin_judge::verdict::{Outcome, Verdict};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Judge {
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// The history, as JSON; - for standard input
    file: PathBuf,
}

/// The answer.
#[derive(Serialize)]
struct Answer {
    /// False when the release should be rolled back.
    #[serde(rename = "continue")]
    go_on: bool,
    reason: String,
    verdict: Verdict,
    slo: PerArm<BTreeMap<String, f64>>,
    /// What is left of each error budget in percent, and how fast it burns.
    budgets: PerArm<BTreeMap<String, Standing>>,
    anomalies: Vec<Anomaly>,
    statistics: Statistics,
}

#[derive(Serialize)]
struct Statistics {
    /// What the rules looked at: the last minute, and the evidence of all samples.
    summary: Summary,
    /// Errors and successes of all samples, both versions; none where a row or column is empty.
    chi_square: Option<Test>,
    /// Error rates by sample, "the canary's are greater"; none without samples.
    mann_whitney: Option<Test>,
    /// Wilson's interval of each version's error rate over all samples, in percent.
    error_rate_interval: PerArm<(f64, f64)>,
}

#[derive(Serialize)]
struct Test {
    statistic: f64,
    p: f64,
}

impl Judge {
    pub(super) fn run(self) -> Result<(), Failure> {
        let name = self.file.display().to_string();
        let text =
            read(&self.file).map_err(|error| Failure::Failed(format!("{name}: cannot be read: {error}")))?;
        let history = parse(&text).map_err(|error| Failure::Wrong(format!("{name}: {error}")))?;
        let answer = answer(&history);
        match self.output {
            Output::Json => print_json(&answer),
            Output::Text => {
                answer.print();
                Ok(())
            }
        }
    }
}

fn read(file: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

fn parse(text: &str) -> Result<History, FieldError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let document: Document = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| FieldError::new(error.path().to_string(), error.inner().to_string()))?;
    reader.end().map_err(|error| FieldError::new("the end", error.to_string()))?;
    document.compile()
}

fn answer(History { settings, slos, samples }: &History) -> Answer {
    let now = history::end(samples);
    let (verdict, summary) = history::verdict(settings, slos, samples);
    let standings = |samples: &Vec<Sample>| {
        let standing = |slo: &Slo| Some((slo.name.clone(), slo.standing(samples, now)?));
        slos.iter().filter_map(standing).collect::<BTreeMap<_, _>>()
    };
    let budgets = samples.map(standings);
    let scores = |standings: &BTreeMap<String, Standing>| {
        standings.iter().map(|(name, standing)| (name.clone(), standing.score)).collect()
    };
    Answer {
        go_on: verdict.outcome != Outcome::Fail,
        reason: verdict.reason.clone(),
        verdict,
        slo: budgets.map(scores),
        budgets,
        anomalies: anomaly::detect(samples),
        statistics: statistics(samples, summary),
    }
}

fn statistics(samples: &Samples, summary: Summary) -> Statistics {
    let sums = samples.map(|samples| {
        let sum = |count: fn(&Sample) -> u64| samples.iter().map(count).sum::<u64>();
        (sum(|sample| sample.errors), sum(|sample| sample.requests))
    });
    let row = |(errors, requests): (u64, u64)| [errors, requests - errors];
    let rates = samples.map(|samples| samples.iter().filter_map(Sample::error_rate).collect::<Vec<_>>());
    Statistics {
        summary,
        chi_square: chi_square([row(sums.stable), row(sums.canary)])
            .ok()
            .map(|ChiSquare { statistic, p }| Test { statistic, p }),
        mann_whitney: mann_whitney(&rates.canary, &rates.stable, Alternative::Greater)
            .ok()
            .map(|MannWhitney { u, p }| Test { statistic: u, p }),
        error_rate_interval: sums.map(|(errors, requests)| {
            let (low, high) = wilson(*errors, *requests, 0.95);
            (100.0 * low, 100.0 * high)
        }),
    }
}

impl Answer {
    fn print(&self) {
        println!("{}: {}", if self.go_on { "continue" } else { "roll back" }, self.reason);
        for (arm, standings) in self.budgets.iter() {
            for (name, standing) in standings {
                println!(
                    "SLO {name}, {}: score {:.2}, {:.1} % of the error budget left, burning {:.2} times as fast \
                     as allowed",
                    arm.name(),
                    standing.score,
                    standing.budget_left,
                    standing.burn.long
                );
            }
        }
        for anomaly in &self.anomalies {
            println!("anomaly: {}", anomaly.message);
        }
    }
}

#[cfg(test)]
mod tests;
