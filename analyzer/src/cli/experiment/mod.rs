//! `serin experiment ...`: experiments of a running analyzer, listed, made, changed, read and ended.

mod file;
mod text;

use super::client::Server;
use super::{Failure, Output, print_json};
use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;
use serde_json::{Map, Value, json};
use serin_contract::plan::experiment::check_word;

#[derive(Args)]
pub(super) struct Experiment {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List all experiments
    List(List),
    /// Show one: where it stands, its arms, its history
    Show(One),
    /// Make one from a file: YAML of kind Experiment, or the API's JSON with an id
    Create(Create),
    /// Change the shares of all arms; a new step begins
    Shares(Shares),
    /// End one; what it counted stays
    End(End),
    /// Show the results as they are now
    Results(One),
    /// Write the report
    Report(Report),
    /// Show how far users got, action by action
    Funnel(Funnel),
}

#[derive(Args)]
struct Ask {
    #[command(flatten)]
    server: Server,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Args)]
struct Why {
    /// Why; stands in the history
    #[arg(long)]
    reason: Option<String>,
    /// Who; stands in the history
    #[arg(long, env = "USER")]
    by: Option<String>,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    ask: Ask,
}

#[derive(Args)]
struct One {
    #[command(flatten)]
    ask: Ask,
    /// The experiment
    id: String,
}

#[derive(Args)]
struct Create {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    why: Why,
    /// The file; `-` for standard input
    file: String,
}

#[derive(Args)]
struct Shares {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    why: Why,
    /// Do it although users of the filters change their arm
    #[arg(long)]
    accept_moves: bool,
    /// The experiment
    id: String,
    /// Every arm with its share in percent, as control=10 treatment=90
    #[arg(required = true, value_name = "ARM=PERCENT", value_parser = share)]
    shares: Vec<(String, f64)>,
}

#[derive(Args)]
struct End {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    why: Why,
    /// The experiment
    id: String,
}

#[derive(Args)]
struct Report {
    #[command(flatten)]
    server: Server,
    /// How it is written: markdown to read here, html with plots, json for programs
    #[arg(long, value_enum, default_value = "markdown")]
    output: Form,
    /// The experiment
    id: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// For programs
    Json,
    /// To read here, or to paste
    Markdown,
    /// One page with plots
    Html,
}

#[derive(Args)]
struct Funnel {
    #[command(flatten)]
    ask: Ask,
    /// 2 to 10 names of actions in their order, as exposure,cart,purchase
    #[arg(long, value_name = "A,B,C", required = true)]
    steps: String,
    /// The experiment
    id: String,
}

impl Experiment {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.verb {
            Verb::List(List { ask }) => ask.get("/v1/experiments", text::list),
            Verb::Show(One { ask, id }) => ask.get(&path(&id, "")?, text::one),
            Verb::Create(create) => create.run(),
            Verb::Shares(shares) => shares.run(),
            Verb::End(End { ask, why, id }) => {
                let body = Value::Object(why.fields());
                ask.send(Method::POST, &path(&id, "/end")?, &body, text::one)
            }
            Verb::Results(One { ask, id }) => ask.get(&path(&id, "/results")?, text::results),
            Verb::Report(report) => report.run(),
            Verb::Funnel(Funnel { ask, steps, id }) => {
                let query =
                    form_urlencoded::Serializer::new(String::new()).append_pair("steps", &steps).finish();
                ask.get(&format!("{}?{query}", path(&id, "/funnel")?), text::funnel)
            }
        }
    }
}

impl Ask {
    fn get(&self, path: &str, text: fn(&Value) -> String) -> Result<(), Failure> {
        let answer = self.server.connect()?.call(Method::GET, path, None)?;
        self.print(&answer, text)
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        text: fn(&Value) -> String,
    ) -> Result<(), Failure> {
        let answer = self.server.connect()?.call(method, path, Some(body))?;
        self.print(&answer, text)
    }

    fn print(&self, answer: &Value, text: fn(&Value) -> String) -> Result<(), Failure> {
        match self.output {
            Output::Json => print_json(answer),
            Output::Text => super::status::print(&text(answer)),
        }
    }
}

impl Why {
    /// What of it was said.
    fn fields(self) -> Map<String, Value> {
        let said = [("by", self.by), ("reason", self.reason)].into_iter();
        said.filter_map(|(field, text)| {
            Some((field.to_owned(), Value::from(text.filter(|text| !text.is_empty())?)))
        })
        .collect()
    }
}

impl Create {
    fn run(self) -> Result<(), Failure> {
        let mut body = file::read(&self.file).map_err(Failure::Wrong)?;
        body.extend(self.why.fields());
        self.ask.send(Method::POST, "/v1/experiments", &Value::Object(body), text::one)
    }
}

impl Shares {
    fn run(self) -> Result<(), Failure> {
        let mut shares = Map::new();
        for (arm, percent) in self.shares {
            if shares.insert(arm.clone(), percent.into()).is_some() {
                return Err(Failure::Wrong(format!("the arm {arm} is there twice")));
            }
        }
        let mut body = self.why.fields();
        body.extend([
            ("shares".to_owned(), Value::Object(shares)),
            ("acceptMoves".to_owned(), json!(self.accept_moves)),
        ]);
        self.ask.send(Method::PATCH, &path(&self.id, "")?, &Value::Object(body), text::changed)
    }
}

impl Report {
    fn run(self) -> Result<(), Failure> {
        let format = match self.output {
            Form::Json => "json",
            Form::Markdown => "md",
            Form::Html => "html",
        };
        let path = format!("{}?format={format}", path(&self.id, "/report")?);
        let text = self.server.connect()?.text(&path)?;
        super::status::print(&text)?;
        if text.ends_with('\n') { Ok(()) } else { super::status::print("\n") }
    }
}

/// The path of an experiment's call, for an id that can stand in one.
fn path(id: &str, call: &str) -> Result<String, Failure> {
    check_word("ID", id).map_err(|error| Failure::Wrong(error.to_string()))?;
    Ok(format!("/v1/experiments/{id}{call}"))
}

/// `treatment=12.5`.
fn share(text: &str) -> Result<(String, f64), String> {
    let parts = text.split_once('=').and_then(|(arm, percent)| {
        let percent: f64 = percent.parse().ok()?;
        (!arm.is_empty() && percent.is_finite()).then(|| (arm.to_owned(), percent))
    });
    parts.ok_or_else(|| "write an arm and its share in percent, as treatment=12.5".to_owned())
}
