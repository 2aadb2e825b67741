//! The stand-alone configuration: a YAML file of several documents, one `kind: Serin` for the program,
//! one `kind: Canary` for each release and one `kind: Experiment` for each experiment. Parsed, then
//! compiled; nothing half-valid travels on.

mod alerts;
mod analytics;
mod canary;
mod document;
mod gates;
mod router;
mod server;
mod slos;
mod sources;
mod store;
mod token;

pub use canary::{Canary, CanaryId, Moment};
pub use router::{Deployments, EnvoyRoutes, Router, VirtualService};
pub use server::Server;
pub use store::StoreAt;
pub use token::Token;

use crate::experiments::Experiment;
use document::{ExperimentDocument, Header, ServerDocument};
use serin_contract::FieldError;
use serin_contract::plan::experiment::MAX_EXPERIMENTS;
use serin_contract::plan::{Plan, PlanDocument};
use std::path::Path;

/// Everything that a configuration says.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The program's own settings.
    pub server: Server,
    /// The releases, in the file's order.
    pub canaries: Vec<Canary>,
    /// The experiments, in the file's order.
    pub experiments: Vec<Experiment>,
}

/// What is wrong with a configuration, and where.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {error}")]
pub struct ConfigError {
    file: String,
    error: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    #[error("is not YAML: {0}")]
    Yaml(String),
    #[error("document {number}: {error}")]
    Field { number: usize, error: FieldError },
    #[error("{0}")]
    Whole(String),
}

impl Configuration {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// With the file, the document's number and the field's path.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let told = |error| ConfigError { file: path.display().to_string(), error };
        let text = std::fs::read_to_string(path).map_err(|error| told(error.into()))?;
        let base = path.parent().unwrap_or(Path::new("."));
        compile(&text, base).map_err(told)
    }
}

fn compile(text: &str, base: &Path) -> Result<Configuration, Problem> {
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(text)
        .map_err(|error| Problem::Yaml(error.without_snippet().to_string()))?;
    let mut server = None;
    let mut canaries: Vec<Canary> = Vec::new();
    let mut experiments: Vec<Experiment> = Vec::new();
    for (index, document) in documents.iter().enumerate().filter(|(_, document)| !document.is_null()) {
        let at = |error| Problem::Field { number: index + 1, error };
        let header: Header = read(document).map_err(at)?;
        match header.kind.as_str() {
            "Serin" if server.is_some() => {
                return Err(at(FieldError::new("kind", "`Serin` is there twice: allowed is one")));
            }
            "Serin" => {
                server = Some(read_server(document, base).map_err(at)?);
            }
            "Canary" => {
                let canary = read_canary(document, base).and_then(stand_alone).map_err(at)?;
                if canaries.iter().any(|known| known.id == canary.id) {
                    return Err(at(FieldError::new(
                        "metadata.name",
                        format!("{} is there twice", canary.id),
                    )));
                }
                canaries.push(canary);
            }
            "Experiment" => {
                let experiment = read_experiment(document).map_err(at)?;
                if experiments.iter().any(|known| known.id == experiment.id) {
                    let message = format!("{} is there twice", experiment.id);
                    return Err(at(FieldError::new("metadata.name", message)));
                }
                experiments.push(experiment);
            }
            other => {
                let message = format!("`{other}` is not known: allowed are Serin, Canary and Experiment");
                return Err(at(FieldError::new("kind", message)));
            }
        }
    }
    let server = server
        .ok_or_else(|| Problem::Whole("has no document of `kind: Serin`: it says where to listen".into()))?;
    check_together(&canaries).map_err(Problem::Whole)?;
    check_metrics(&server, &canaries)?;
    if experiments.len() > MAX_EXPERIMENTS {
        return Err(Problem::Whole(format!("has more than {MAX_EXPERIMENTS} experiments")));
    }
    Ok(Configuration { server, canaries, experiments })
}

/// A document of `kind: Serin`, checked.
///
/// # Errors
/// With the field's path and what is allowed.
pub fn read_server(document: &serde_json::Value, base: &Path) -> Result<Server, FieldError> {
    let raw: ServerDocument = read(document)?;
    Server::compile(raw.spec, base).map_err(|error| error.under("spec"))
}

/// A document of `kind: Experiment`, checked.
///
/// # Errors
/// With the field's path and what is allowed.
pub fn read_experiment(document: &serde_json::Value) -> Result<Experiment, FieldError> {
    let ExperimentDocument { metadata, spec, .. } = read(document)?;
    Experiment::compile(&metadata.name, spec).map_err(|error| match error.path.as_str() {
        "id" => FieldError::new("metadata.name", error.message),
        _ => error.under("spec"),
    })
}

/// A document of `kind: Canary`, from a file or from a cluster, checked.
///
/// # Errors
/// With the field's path and what is allowed.
pub fn read_canary(document: &serde_json::Value, base: &Path) -> Result<Canary, FieldError> {
    Canary::read(read(document)?, base)
}

/// What no canary can see alone: two that claim the same host and path, or write the same route.
///
/// # Errors
/// A sentence that names both.
pub fn check_together(canaries: &[Canary]) -> Result<(), String> {
    let plan = PlanDocument {
        revision: serin_contract::Revision(0),
        report_interval_ms: 500,
        canaries: canaries.iter().map(Canary::idle_plan).collect(),
        experiments: Vec::new(),
    };
    Plan::compile(plan).map_err(|error| format!("the canaries do not fit together: {error}"))?;
    for (index, canary) in canaries.iter().enumerate() {
        if let Some(other) = canaries[..index].iter().find(|other| same_weights(other, canary)) {
            return Err(format!(
                "{} and {} write the same weights: give each its own clusters or subsets",
                other.id, canary.id,
            ));
        }
    }
    Ok(())
}

/// Two that would overwrite each other.
fn same_weights(one: &Canary, other: &Canary) -> bool {
    let one_place = match one.router {
        Router::EnvoyRoutes(_) => true,
        Router::VirtualService(_) => one.id.namespace == other.id.namespace,
    };
    one_place && one.router == other.router
}

/// Metrics that nobody can be asked for would hold the release for ever.
fn check_metrics(server: &Server, canaries: &[Canary]) -> Result<(), Problem> {
    let lost = canaries.iter().find(|canary| {
        let sources = &canary.sources;
        !sources.limits.is_empty() && sources.prometheus.server.is_none() && server.prometheus.is_none()
    });
    match lost {
        None => Ok(()),
        Some(canary) => Err(Problem::Whole(format!(
            "{} has metrics and no Prometheus to ask: set spec.sources.prometheus.url there, or \
             spec.prometheus.url in the Serin document",
            canary.id
        ))),
    }
}

/// What a file can ask for and only the cluster can give.
///
/// # Errors
/// With the router's path.
pub fn stand_alone(canary: Canary) -> Result<Canary, FieldError> {
    match canary.router {
        Router::EnvoyRoutes(_) => Ok(canary),
        Router::VirtualService(_) => Err(FieldError::new(
            "spec.router.virtualService",
            "needs `serin serve --kubernetes`: with a configuration file only envoyRoutes is allowed",
        )),
    }
}

fn read<T: serde::de::DeserializeOwned>(document: &serde_json::Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(document)
        .map_err(|error| FieldError::new(error.path().to_string(), error.inner().to_string()))
}

#[cfg(test)]
mod tests;
