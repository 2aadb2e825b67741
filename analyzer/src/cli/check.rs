//! `serin check FILE...`: says what is wrong or will not work, before anything is touched.

use super::{Failure, Output, print_json};
use crate::config::Configuration;
use crate::router;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Check {
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Configuration files, as for `serin serve --config`
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut problems = Vec::new();
        for file in &self.files {
            match Configuration::load(file) {
                Ok(configuration) => {
                    problems.extend(
                        configuration.canaries.iter().flat_map(|canary| router::problems(&canary.router)),
                    );
                }
                Err(error) => problems.push(error.to_string()),
            }
        }
        match self.output {
            Output::Json => print_json(&problems)?,
            Output::Text => problems.iter().for_each(|problem| println!("{problem}")),
        }
        match problems.len() {
            0 => {
                if self.output == Output::Text {
                    println!("nothing found");
                }
                Ok(())
            }
            1 => Err(Failure::Wrong("1 problem found".into())),
            count => Err(Failure::Wrong(format!("{count} problems found"))),
        }
    }
}
