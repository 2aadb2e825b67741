//! From objects, wherever they come from, to findings.

use super::{Objects, error};
use crate::config::{Canary, Deployments, Router, VirtualService, check_together};
use crate::router::virtual_service::{Examined, Finding, Severity};
use crate::router::{self, virtual_service};
use serde_json::Value;

/// Everything that is wrong, errors first.
pub(super) fn all(mut objects: Objects) -> Vec<Finding> {
    let mut findings = std::mem::take(&mut objects.findings);
    if let Err(problem) = check_together(&objects.canaries) {
        findings.push(error("Canaries", "", problem));
    }
    for canary in &objects.canaries {
        match &canary.router {
            Router::EnvoyRoutes(_) => {
                let name = named("Canary", &canary.id.namespace, &canary.id.name);
                let problems = router::problems(&canary.router).into_iter();
                findings
                    .extend(problems.map(|problem| error(&name, "spec.router.envoyRoutes.path", problem)));
            }
            Router::VirtualService(service) => findings.extend(in_mesh(canary, service, &objects)),
        }
        if let (Some(named), Some(known)) = (&canary.deployments, &objects.deployments) {
            findings.extend(deployments(canary, named, known));
        }
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

fn named(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind} {namespace}/{name}")
}

fn in_mesh(canary: &Canary, service: &VirtualService, objects: &Objects) -> Vec<Finding> {
    let namespace = &canary.id.namespace;
    let name = named("Canary", namespace, &canary.id.name);
    let is_named = |object: &&Value| is(object, namespace, &service.name);
    let Some(object) = objects.virtual_services.iter().find(is_named) else {
        let message = format!(
            "there is no VirtualService {namespace}/{}: create it with a route that has subset {} at weight 100 \
             and subset {} at weight 0",
            service.name, service.subsets.stable, service.subsets.canary
        );
        return vec![error(name, "spec.router.virtualService.name", message)];
    };
    let mut findings = virtual_service::check(&Examined {
        virtual_service: object,
        destination_rules: objects.destination_rules.as_deref(),
        subsets: &service.subsets,
        hosts: canary.hosts(),
        managed: service.managed,
        last: canary.settings.ramp.max(),
    });
    if objects.destination_rules.is_none() {
        findings.push(Finding {
            severity: Severity::Warning,
            object: name,
            field: "spec.router.virtualService".to_owned(),
            message: format!(
                "whether the subsets {} and {} exist was not checked: no DestinationRule was given",
                service.subsets.stable, service.subsets.canary
            ),
        });
    }
    findings
}

fn deployments(canary: &Canary, wanted: &Deployments, known: &[Value]) -> Vec<Finding> {
    let namespace = &canary.id.namespace;
    let missing =
        wanted.iter().filter(|(_, name)| !known.iter().any(|object| is(object, namespace, name.as_str())));
    missing
        .map(|(arm, name)| {
            let message =
                format!("there is no Deployment {namespace}/{name}: create it, or correct the name");
            let field = format!("spec.deployments.{}", arm.name());
            error(named("Canary", namespace, &canary.id.name), field, message)
        })
        .collect()
}

/// Whether an object is the one of this name.
fn is(object: &Value, namespace: &str, name: &str) -> bool {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    text("/metadata/name") == Some(name) && text("/metadata/namespace").unwrap_or("default") == namespace
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;

    fn objects() -> Objects {
        let canary = json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "Canary", "metadata": {"name": "shop", "namespace": "web"},
            "spec": {
                "stableVersion": "v1", "canaryVersion": "v2", "hosts": ["shop"],
                "router": {"virtualService": {"name": "shop"}},
                "deployments": {"stable": "shop-stable", "canary": "shop-canary"},
            },
        });
        let destination = |subset: &str, weight: u64| json!({"destination": {"host": "shop", "subset": subset}, "weight": weight});
        let service = json!({
            "metadata": {"name": "shop", "namespace": "web"},
            "spec": {"hosts": ["shop"], "http": [{"route": [destination("stable", 100), destination("canary", 0)]}]},
        });
        let rule = json!({
            "metadata": {"name": "shop", "namespace": "web"},
            "spec": {"host": "shop", "subsets": [
                {"name": "stable", "labels": {"version": "v1"}}, {"name": "canary", "labels": {"version": "v2"}},
            ]},
        });
        let canary = crate::config::read_canary(&canary, Path::new(".")).expect("good");
        Objects {
            canaries: vec![canary],
            virtual_services: vec![service],
            destination_rules: Some(vec![rule]),
            ..Objects::default()
        }
    }

    #[test]
    fn nothing_is_found_where_all_is_there() {
        assert_eq!(all(objects()), []);
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_create() {
        let mut missing = objects();
        missing.virtual_services[0]["metadata"]["namespace"] = json!("other");
        let told = all(missing)[0].to_string();
        let expected =
            "error: Canary web/shop: spec.router.virtualService.name: there is no VirtualService web/shop";
        assert!(told.starts_with(expected), "{told}");

        let unknown = Objects { destination_rules: None, ..objects() };
        let told = all(unknown)[0].to_string();
        assert!(told.starts_with("warning: Canary web/shop: ") && told.contains("was not checked"), "{told}");

        let deployment = json!({"metadata": {"name": "shop-stable", "namespace": "web"}});
        let half = Objects { deployments: Some(vec![deployment]), ..objects() };
        let told: Vec<String> = all(half).iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1);
        assert!(
            told[0].contains("spec.deployments.canary: there is no Deployment web/shop-canary"),
            "{}",
            told[0]
        );
    }

    #[test]
    fn two_canaries_of_one_pair_of_subsets_are_an_error() {
        let mut twice = objects();
        let mut twin = json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "Canary", "metadata": {"name": "twin", "namespace": "web"},
            "spec": {"stableVersion": "v1", "canaryVersion": "v2", "hosts": ["twin"],
                     "router": {"virtualService": {"name": "shop"}}},
        });
        twice.canaries.push(crate::config::read_canary(&twin, Path::new(".")).expect("good"));
        let told = all(twice)[0].to_string();
        assert!(told.contains("web/shop and web/twin write the same weights"), "{told}");
        twin["metadata"]["namespace"] = json!("other");
        let mut apart = objects();
        apart.canaries.push(crate::config::read_canary(&twin, Path::new(".")).expect("good"));
        assert!(!all(apart).iter().any(|finding| finding.message.contains("same weights")));
    }
}
