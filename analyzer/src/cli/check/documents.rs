//! What stands in files: YAML documents of many kinds, of which those that concern a release are taken.

use super::{Objects, error};
use crate::config::{self, Canary, Router};
use crate::router::virtual_service::Finding;
use serde_json::Value;
use serin_contract::FieldError;
use std::io::Read;
use std::path::Path;

/// Everything in these files that concerns a release.
pub(super) fn objects(files: &[String]) -> Objects {
    let mut objects = Objects::default();
    let mut taken = 0;
    for file in files {
        match read(file) {
            Ok(documents) => taken += File::new(file).take(documents, &mut objects),
            Err(problem) => objects.findings.push(error(file, "", problem)),
        }
    }
    if taken == 0 && objects.findings.is_empty() {
        let message = "no Serin, Canary, VirtualService or DestinationRule is there";
        objects.findings.push(error(files.join(", "), "", message));
    }
    objects
}

fn read(file: &str) -> Result<Vec<Value>, String> {
    let text = if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.map_err(|problem| format!("cannot be read: {problem}"))?;
    serde_saphyr::from_multiple(&text)
        .map_err(|problem| format!("is not YAML: {}", problem.without_snippet()))
}

/// One file, while it is read.
struct File<'a> {
    name: &'a str,
    base: &'a Path,
    /// How many documents of `kind: Serin` it has: with one it is a stand-alone configuration.
    servers: usize,
    taken: usize,
}

impl<'a> File<'a> {
    fn new(name: &'a str) -> Self {
        let base = Path::new(name).parent().unwrap_or(Path::new("."));
        Self { name, base, servers: 0, taken: 0 }
    }

    /// How many documents concern a release.
    fn take(mut self, documents: Vec<Value>, objects: &mut Objects) -> usize {
        self.servers = documents.iter().filter(|document| kind(document) == "Serin").count();
        for (index, document) in documents.into_iter().enumerate() {
            self.document(index + 1, document, objects);
        }
        if self.servers > 1 {
            objects.findings.push(error(self.name, "kind", "`Serin` is there twice: allowed is one"));
        }
        self.taken
    }

    fn document(&mut self, number: usize, document: Value, objects: &mut Objects) {
        let version = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        let kind = kind(&document).to_owned();
        match (version.split('/').next().unwrap_or_default(), kind.as_str()) {
            ("networking.istio.io", "VirtualService") => objects.virtual_services.push(document),
            ("networking.istio.io", "DestinationRule") => {
                objects.destination_rules.get_or_insert_default().push(document);
            }
            ("apps", "Deployment") => {
                objects.deployments.get_or_insert_default().push(document);
                return;
            }
            // `kubectl get -o yaml` of several objects.
            ("v1", "List") => {
                let items = document.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
                return items.into_iter().for_each(|item| self.document(number, item, objects));
            }
            // Another project has a kind Canary too.
            (_, "Serin") | ("", "Canary") | (crate::kinds::GROUP, _) => {
                if let Err(finding) = self.ours(number, &kind, &document, objects) {
                    objects.findings.push(finding);
                }
            }
            (_, _) => return,
        }
        self.taken += 1;
    }

    fn ours(
        &self,
        number: usize,
        kind: &str,
        document: &Value,
        objects: &mut Objects,
    ) -> Result<(), Finding> {
        let place = format!("{}: document {number}", self.name);
        let at = |problem: FieldError| error(&place, problem.path, problem.message);
        match kind {
            "Serin" => config::read_server(document, self.base).map(drop).map_err(at),
            "Canary" => {
                let canary = config::read_canary(document, self.base).map_err(at)?;
                objects.canaries.push(self.fits(canary).map_err(at)?);
                Ok(())
            }
            "Experiment" => config::read_experiment(document).map(drop).map_err(at),
            other => {
                let message = format!("`{other}` is not known: allowed are Serin, Canary and Experiment");
                Err(error(place, "kind", message))
            }
        }
    }

    /// Whether the analyzer that would read this file could write the canary's weights.
    fn fits(&self, canary: Canary) -> Result<Canary, FieldError> {
        if self.servers > 0 {
            return config::stand_alone(canary);
        }
        match canary.router {
            Router::VirtualService(_) => Ok(canary),
            Router::EnvoyRoutes(_) => Err(FieldError::new(
                "spec.router.envoyRoutes",
                "is for the stand-alone analyzer, whose file has no document of `kind: Serin`: add it, it says \
                 where to listen; in Kubernetes name a virtualService",
            )),
        }
    }
}

fn kind(document: &Value) -> &str {
    document.get("kind").and_then(Value::as_str).unwrap_or_default()
}
