//! A script in a headless Chromium beside a test. The script (analyzer/dashboard/browser/*.mjs) checks the page;
//! what it wants to know or have done of the world it asks for with a line `@ask NAME ARGUMENT`, and reads the
//! answer as one line of JSON. Its other lines are for people.

use crate::artifacts;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A script that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running script. Dropping it ends it, and its browser with it.
#[derive(Debug)]
pub struct Script {
    name: String,
    child: Child,
    answers: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
    end: tokio::time::Instant,
}

/// What a script asks for.
#[derive(Debug, Clone)]
pub struct Question {
    /// What.
    pub what: String,
    /// With which argument; null where there is none.
    pub argument: Value,
}

impl Script {
    /// Starts `analyzer/dashboard/browser/NAME` with these variables.
    ///
    /// # Errors
    /// When Node, the script's packages or Chromium are missing; the text says how to get them.
    pub fn start(name: &str, variables: &[(&str, &str)]) -> Result<Self> {
        let dashboard = artifacts::repository().join("analyzer/dashboard");
        ensure!(
            dashboard.join("node_modules/playwright-core").is_dir(),
            "the dashboard's packages are missing: run scripts/build-dashboard, which needs Node"
        );
        let mut command = Command::new("node");
        command
            .arg(dashboard.join("browser").join(name))
            .env("SERIN_CHROMIUM", artifacts::chromium()?)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().context("node does not start: install Node 20.19 or newer")?;
        let answers = child.stdin.take().context("the script's input")?;
        let lines = BufReader::new(child.stdout.take().context("the script's output")?).lines();
        let end = tokio::time::Instant::now() + PATIENCE;
        Ok(Self { name: name.to_owned(), child, answers, lines, said: Vec::new(), end })
    }

    /// The next question; none when the script has ended well.
    ///
    /// # Errors
    /// When it ended otherwise or hangs, with all that it said.
    pub async fn question(&mut self) -> Result<Option<Question>> {
        loop {
            let line = tokio::time::timeout_at(self.end, self.lines.next_line()).await;
            let line = line.with_context(|| format!("{} hangs after:\n{}", self.name, self.said()))?;
            let Some(line) = line.context("the script's output")? else { break };
            let Some(question) = line.strip_prefix("@ask ") else {
                println!("{}: {line}", self.name);
                self.said.push(line);
                continue;
            };
            let (what, argument) = question.split_once(' ').context("a question without an argument")?;
            let argument = serde_json::from_str(argument).with_context(|| line.clone())?;
            return Ok(Some(Question { what: what.to_owned(), argument }));
        }
        let status = tokio::time::timeout_at(self.end, self.child.wait()).await??;
        if !status.success() {
            bail!("{} ended with {status}:\n{}", self.name, self.said());
        }
        Ok(None)
    }

    /// Answers the last question.
    ///
    /// # Errors
    /// When the script is gone.
    pub async fn answer(&mut self, answer: &Value) -> Result<()> {
        let line = format!("{answer}\n");
        self.answers.write_all(line.as_bytes()).await.with_context(|| format!("{} is gone", self.name))
    }

    /// Waits for the end of a script that asks nothing.
    ///
    /// # Errors
    /// As [`Self::question`], and when it asks all the same.
    pub async fn end(mut self) -> Result<()> {
        match self.question().await? {
            None => Ok(()),
            Some(question) => bail!("{} asks `{}`, which nobody answers", self.name, question.what),
        }
    }

    fn said(&self) -> String {
        self.said.join("\n")
    }
}
