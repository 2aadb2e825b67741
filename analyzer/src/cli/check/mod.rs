//! `serin check`: says what is wrong or will not work, in files or in a cluster, before anything is touched.

mod documents;
mod examine;
mod live;

use super::{Failure, Output, print_json};
use crate::router::virtual_service::{Finding, Severity};
use clap::Args;

#[derive(Args)]
pub(super) struct Check {
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Let warnings pass: only errors end with code 2
    #[arg(long)]
    allow_warnings: bool,
    /// Check what is in the cluster of the kubeconfig
    #[arg(long)]
    kubernetes: bool,
    #[command(flatten)]
    cluster: super::cluster::Cluster,
    /// With --kubernetes: the namespace; the context's without it
    #[arg(long, short, requires = "kubernetes")]
    namespace: Option<String>,
    /// YAML files with documents of kind Serin, Canary, VirtualService and DestinationRule, in any order; `-`
    /// is standard input. With --kubernetes the names of Canaries; all without any
    #[arg(required_unless_present = "kubernetes", value_name = "FILE|NAME")]
    what: Vec<String>,
}

/// What there is to check.
#[derive(Default)]
struct Objects {
    /// Canaries that are good in themselves.
    canaries: Vec<crate::config::Canary>,
    virtual_services: Vec<serde_json::Value>,
    /// None when there is no word of any.
    destination_rules: Option<Vec<serde_json::Value>>,
    /// None when there is no word of any.
    deployments: Option<Vec<serde_json::Value>>,
    /// What was wrong already when these were read.
    findings: Vec<Finding>,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let objects = if self.kubernetes {
            live::objects(&self.cluster, self.namespace, &self.what)?
        } else {
            self.cluster.refuse("--kubernetes")?;
            documents::objects(&self.what)
        };
        let findings = examine::all(objects);
        match self.output {
            Output::Json => print_json(&findings)?,
            Output::Text if findings.is_empty() => println!("nothing found"),
            Output::Text => findings.iter().for_each(|finding| println!("{finding}")),
        }
        let counted = findings.iter().filter(|f| !self.allow_warnings || f.severity == Severity::Error);
        match counted.count() {
            0 => Ok(()),
            1 => Err(Failure::Wrong("1 problem found".into())),
            count => Err(Failure::Wrong(format!("{count} problems found"))),
        }
    }
}

/// A finding about something that is read as a whole.
fn error(object: impl Into<String>, field: impl Into<String>, message: impl Into<String>) -> Finding {
    Finding { severity: Severity::Error, object: object.into(), field: field.into(), message: message.into() }
}
