//! What the copies of the cluster's objects show of one Canary.

use super::deployments;
use super::routes::missing;
use super::watch::{Kind, Stores};
use crate::config::{Canary, Router, VirtualService};
use crate::engine::Seen;
use crate::router::RouterError;
use crate::router::virtual_service::{Examined, Severity, check};
use kube::api::DynamicObject;
use serde_json::Value;
use serin_contract::PerArm;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is seen of a Canary, and what of it is written back.
pub(super) struct Look {
    /// For the engine.
    pub(super) seen: Seen,
    /// The Deployments as they are.
    pub(super) deployments: PerArm<Option<Value>>,
    /// The labels that tell the versions' pods apart.
    pub(super) kept: BTreeSet<String>,
}

/// Looks; nothing while the copies are not complete, with the reason.
pub(super) fn look(stores: &Stores, canary: &Canary) -> Result<Look, String> {
    let Router::VirtualService(service) = &canary.router else {
        return Err("spec.router names no VirtualService".to_owned());
    };
    let needed = [&stores.services, &stores.rules];
    let needs = needed.into_iter().chain(canary.deployments.is_some().then_some(&stores.deployments));
    if let Some(missing) = needs.into_iter().find_map(Kind::missing) {
        return Err(missing);
    }
    let namespace = canary.id.namespace.as_str();
    let rules: Vec<Value> = stores.rules.all().iter().map(|rule| value(rule)).collect();
    let virtual_service = match stores.services.get(namespace, &service.name) {
        Some(object) => Ok(Arc::new(value(&object))),
        None => Err(missing(namespace, service)),
    };
    let kept = deployments::subset_labels(&rules, &service.subsets);
    let objects = match &canary.deployments {
        Some(names) => names.map(|name| stores.deployments.get(namespace, name).map(|object| value(&object))),
        None => PerArm::default(),
    };
    let seen = Seen {
        problem: problem(&virtual_service, &rules, canary, service),
        deployments: canary
            .deployments
            .as_ref()
            .map(|names| deployments::seen(namespace, names, &objects, &kept)),
        virtual_service,
    };
    Ok(Look { seen, deployments: objects, kept })
}

/// What keeps requests from being served as they should: the first finding of `serin check` that is an error.
fn problem(
    virtual_service: &Result<Arc<Value>, RouterError>,
    rules: &[Value],
    canary: &Canary,
    service: &VirtualService,
) -> Option<String> {
    let object = match virtual_service {
        Ok(object) => object,
        Err(error) => return Some(error.to_string()),
    };
    let findings = check(&Examined {
        virtual_service: object,
        destination_rules: Some(rules),
        subsets: &service.subsets,
        hosts: canary.hosts(),
        managed: service.managed,
        last: canary.settings.ramp.max(),
    });
    let error = findings.into_iter().find(|finding| finding.severity == Severity::Error)?;
    Some(error.sentence())
}

/// The object as the API server writes it. The kind is not in lists; nobody here asks for it.
fn value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}
