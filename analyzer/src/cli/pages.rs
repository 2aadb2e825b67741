//! `serin completions SHELL` and `serin man`: made from the command line's own definition.

use super::{Arguments, Failure};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::io::Write;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Completions {
    /// For which shell
    shell: Shell,
}

#[derive(Args)]
pub(super) struct Man {
    /// An existing folder that gets serin.1, serin-serve.1 and so on
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::Failed(error.to_string())
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Failure> {
        // Into memory first: the generator panics where standard output is closed.
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "serin", &mut text);
        std::io::stdout().lock().write_all(&text).map_err(|error| failed(&error))
    }
}

impl Man {
    pub(super) fn run(self) -> Result<(), Failure> {
        let command = Arguments::command();
        match self.folder {
            Some(folder) => clap_mangen::generate_to(command, &folder)
                .map_err(|error| Failure::Failed(format!("{}: {error}", folder.display()))),
            None => {
                let mut text = Vec::new();
                clap_mangen::Man::new(command).render(&mut text).map_err(|error| failed(&error))?;
                std::io::stdout().lock().write_all(&text).map_err(|error| failed(&error))
            }
        }
    }
}
