//! `serin assign --salt S --share stable=95 --share canary=5 USER...`: the filter's own arithmetic.

use super::{Failure, Output, print_json};
use clap::Args;
use serde::Serialize;
use serin_contract::{Allocation, AssignedUnit};

#[derive(Args)]
pub(super) struct Assign {
    /// Goes before the unit into the hash; a canary's default is NAMESPACE/NAME/VERSION:
    #[arg(long, default_value = "")]
    salt: String,
    /// Arms and percentages in the order in which they own buckets, as in stable=95,canary=5
    #[arg(long, required = true, value_delimiter = ',', value_parser = arm)]
    share: Vec<(String, f64)>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// The users
    #[arg(required = true)]
    units: Vec<String>,
}

fn arm(text: &str) -> Result<(String, f64), String> {
    let (name, percent) = text.split_once('=').ok_or("an arm is written NAME=PERCENT")?;
    let percent = percent.parse().map_err(|_| format!("`{percent}` is no percentage"))?;
    if name.is_empty() {
        return Err("an arm needs a name".into());
    }
    Ok((name.to_owned(), percent))
}

#[derive(Serialize)]
struct Assigned<'a> {
    unit: &'a str,
    bucket: u16,
    arm: &'a str,
}

impl Assign {
    pub(super) fn run(self) -> Result<(), Failure> {
        let allocation = Allocation::from_percent(self.share)
            .map_err(|error| Failure::Wrong(format!("--share: {error}")))?;
        let mut assigned = Vec::with_capacity(self.units.len());
        for unit in &self.units {
            let Some(found) = AssignedUnit::of(&self.salt, unit.as_bytes()) else {
                return Err(Failure::Wrong("an empty unit is no unit: name a user".into()));
            };
            assigned.push(Assigned { unit, bucket: found.bucket.get(), arm: allocation.arm(found.bucket) });
        }
        match self.output {
            Output::Json => print_json(&assigned)?,
            Output::Text => {
                for Assigned { unit, bucket, arm } in assigned {
                    println!("{unit}\t{bucket}\t{arm}");
                }
            }
        }
        Ok(())
    }
}
