//! `serin status`: what the releases are doing, once or live.

use super::act::checked;
use super::client::{Client, Server};
use super::{Failure, Output, print_json, table};
use clap::Args;
use hyper::Method;
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// How often a live table is drawn.
const LIVE: Duration = Duration::from_secs(1);
/// How wide a table is where there is no terminal.
const WIDTH: usize = 160;
/// Home, and clear to the end: the old table goes when the new one is there.
const CLEAR: &str = "\x1b[H\x1b[J";
/// Clears the whole screen, once.
const BEGIN: &str = "\x1b[2J";

#[derive(Args)]
pub(super) struct Status {
    #[command(flatten)]
    server: Server,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Draw the table again every second until Ctrl-C; where standard output is no terminal, once
    #[arg(long, conflicts_with = "output")]
    watch: bool,
    /// One canary, as NAMESPACE/NAME; all without it
    canary: Option<String>,
}

impl Status {
    pub(super) fn run(self) -> Result<(), Failure> {
        let path = match &self.canary {
            Some(canary) => format!("/v1/canaries/{}", checked(canary)?),
            None => "/v1/canaries".to_owned(),
        };
        let client = self.server.connect()?;
        if self.watch && std::io::stdout().is_terminal() {
            return live(&client, &path);
        }
        let answer = client.call(Method::GET, &path, None)?;
        match self.output {
            Output::Json => print_json(&answer),
            Output::Text => print(&text(&answer)),
        }
    }
}

/// Until Ctrl-C. An analyzer that has answered once is waited for later: it may be restarting.
fn live(client: &Client, path: &str) -> Result<(), Failure> {
    let mut shown = text(&client.call(Method::GET, path, None)?);
    print(BEGIN)?;
    loop {
        print(&format!("{CLEAR}{shown}"))?;
        client.wait(LIVE);
        shown = match client.call(Method::GET, path, None) {
            Ok(answer) => text(&answer),
            Err(Failure::Failed(problem)) => format!("{problem}\ntrying again\n"),
            Err(wrong @ Failure::Wrong(_)) => return Err(wrong),
        };
    }
}

/// One canary or several as a table.
pub(super) fn text(answer: &Value) -> String {
    let canaries = answer.as_array().map_or(std::slice::from_ref(answer), Vec::as_slice);
    if canaries.is_empty() {
        return "no canaries are configured\n".to_owned();
    }
    let width = terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0));
    table::lines(canaries, width).iter().map(|line| format!("{line}\n")).collect()
}

/// A reader who has gone, as in `serin status | head -1`, is no failure worth a word.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(error.to_string()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
