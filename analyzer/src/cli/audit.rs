//! `serin audit`: who did what, when and why.

use super::client::Server;
use super::{Failure, Output, print_json};
use crate::experiments::spec::written;
use clap::Args;
use hyper::Method;
use serde_json::Value;
use serin_judge::time::Time;

#[derive(Args)]
pub(super) struct Audit {
    #[command(flatten)]
    server: Server,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// How many, the newest first: 1 to 1000
    #[arg(long, default_value = "50")]
    most: u64,
    /// Only what is older than this number of `--output json`
    #[arg(long)]
    before: Option<u64>,
}

impl Audit {
    pub(super) fn run(self) -> Result<(), Failure> {
        let before = self.before.map_or_else(String::new, |before| format!("&before={before}"));
        let path = format!("/v1/audit?most={}{before}", self.most);
        let lines = self.server.connect()?.call(Method::GET, &path, None)?;
        match self.output {
            Output::Json => print_json(&lines),
            Output::Text => {
                let lines = lines.as_array().into_iter().flatten();
                super::status::print(&lines.map(text).collect::<String>())
            }
        }
    }
}

fn text(line: &Value) -> String {
    // What others wrote must not steer the terminal.
    let word = |name: &str| -> String {
        let text = line.get(name).and_then(Value::as_str).unwrap_or_default();
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    };
    let time = written(Time(line.get("time").and_then(Value::as_u64).unwrap_or(0)));
    let on = match (word("canary"), word("experiment")) {
        (canary, experiment) if canary.is_empty() => experiment,
        (canary, _) => canary,
    };
    let reason = Some(word("reason")).filter(|reason| !reason.is_empty());
    let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    let mut told = format!("{time}  {} {on}", word("deed"));
    told.truncate(told.trim_end().len());
    let (by, role, peer) = (word("by"), word("role"), word("peer"));
    let by = if by.is_empty() { role } else { format!("{by} ({role})") };
    format!("{told}  {} ({})  by {by} from {peer}{why}\n", word("outcome"), word("detail"))
}
