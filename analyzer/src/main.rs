//! The `serin` program.

use clap::Parser;
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// Reports are taken apart on one thread and freed on another: the system's allocator keeps for each thread what was
/// freed there, half as much again.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    serin::cli::Arguments::parse().run()
}
