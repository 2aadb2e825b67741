//! `serin status`: one line for each release.

use super::client::checked;
use super::{Failure, Output, Server, print_json};
use clap::Args;
use hyper::Method;
use serde_json::Value;

#[derive(Args)]
pub(super) struct Status {
    #[command(flatten)]
    server: Server,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// One canary, as NAMESPACE/NAME; all without it
    canary: Option<String>,
}

impl Status {
    pub(super) fn run(self) -> Result<(), Failure> {
        let path = match &self.canary {
            Some(canary) => format!("/v1/canaries/{}", checked(canary)?),
            None => "/v1/canaries".to_owned(),
        };
        let answer = self.server.call(Method::GET, &path, None)?;
        if self.output == Output::Json {
            return print_json(&answer);
        }
        match answer.as_array() {
            Some(canaries) if canaries.is_empty() => println!("no canaries are configured"),
            Some(canaries) => canaries.iter().for_each(|canary| println!("{}", line(canary))),
            None => println!("{}", line(&answer)),
        }
        Ok(())
    }
}

/// `default/shop  v1 -> v2  Progressing   25 %  step 2  continue: All metrics ...`
pub(super) fn line(canary: &Value) -> String {
    let text = |path: &str| canary.pointer(path).and_then(Value::as_str).unwrap_or("?");
    let number = |path: &str| canary.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
    format!(
        "{}/{}  {} -> {}  {:<11} {:>5} %  step {}  {}: {}",
        text("/namespace"),
        text("/name"),
        text("/stableVersion"),
        text("/canaryVersion"),
        text("/phase"),
        number("/weight"),
        number("/step"),
        text("/verdict/outcome"),
        text("/verdict/reason"),
    )
}
