//! The `serin` program.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    serin::cli::Arguments::parse().run()
}
