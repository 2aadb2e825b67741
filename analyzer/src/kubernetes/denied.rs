//! What the API server does not let us do, as sentences that name the rule to add.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whatever was denied is tried again sooner; what was not for so long is allowed by now.
const LIFE: Duration = Duration::from_secs(90);

/// What was denied lately.
#[derive(Debug, Clone, Default)]
pub struct Denials(Arc<Mutex<BTreeMap<String, Instant>>>);

impl Denials {
    /// Remembers a refusal for lack of a permission, and logs it once.
    pub fn note(&self, error: &kube::Error) {
        let kube::Error::Api(status) = error else { return };
        if status.code != 403 {
            return;
        }
        let sentence = sentence(&status.message);
        let mut denied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if denied.insert(sentence.clone(), Instant::now()).is_none() {
            tracing::error!(problem = %sentence, "a permission is missing");
        }
    }

    /// The sentences.
    pub fn list(&self) -> Vec<String> {
        let mut denied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        denied.retain(|_, since| since.elapsed() < LIFE);
        denied.keys().cloned().collect()
    }
}

/// An error of the API server for a person.
pub(super) fn told(error: &kube::Error) -> String {
    let kube::Error::Api(status) = error else {
        return format!("the API server does not answer: {error}");
    };
    match status.code {
        403 => sentence(&status.message),
        _ => format!("the API server refused: {}", status.message),
    }
}

/// From `... cannot patch resource "virtualservices" in API group "networking.istio.io" in the namespace
/// "default"`, as Kubernetes' RBAC says it; another authorizer's text stays as it is.
fn sentence(message: &str) -> String {
    let quoted = |text: &str| text.split('"').nth(1).unwrap_or_default().to_owned();
    let parsed = message.split_once(" cannot ").and_then(|(_, rest)| {
        let (verb, rest) = rest.split_once(" resource ")?;
        let (resource, rest) = (quoted(rest), rest.split_once("in API group ")?.1);
        let place = match rest.split_once("in the namespace ") {
            Some((_, namespace)) => format!("in {}", quoted(namespace)),
            None => "in the whole cluster".to_owned(),
        };
        let group = quoted(rest);
        let resource = if group.is_empty() { resource } else { format!("{resource}.{group}") };
        let role = match (verb, resource.as_str()) {
            (_, "leases.coordination.k8s.io") => "Role serin-leader (istio/rbac.yaml)",
            // Only `promotion: Copy` asks for it.
            ("patch", "deployments.apps") => "ClusterRole serin-promotion-copy (istio/promotion-copy)",
            _ => "ClusterRole serin (istio/rbac.yaml)",
        };
        Some(format!("may not {verb} {resource} {place}: add it to the {role}"))
    });
    parsed.unwrap_or_else(|| format!("the API server denied it: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_verb_resource_and_namespace() {
        let message = "virtualservices.networking.istio.io \"shop\" is forbidden: User \
                       \"system:serviceaccount:serin-system:serin\" cannot patch resource \"virtualservices\" in API \
                       group \"networking.istio.io\" in the namespace \"default\"";
        assert_eq!(
            sentence(message),
            "may not patch virtualservices.networking.istio.io in default: add it to the ClusterRole serin \
             (istio/rbac.yaml)"
        );
        let message = "deployments.apps is forbidden: User \"x\" cannot list resource \"deployments\" in API group \
                       \"apps\" at the cluster scope";
        assert!(sentence(message).starts_with("may not list deployments.apps in the whole cluster"));
        let message = "leases.coordination.k8s.io \"serin\" is forbidden: User \"x\" cannot get resource \"leases\" in \
                       API group \"coordination.k8s.io\" in the namespace \"serin-system\"";
        assert!(sentence(message).contains("serin-system: add it to the Role serin-leader"));
        let message = "deployments.apps \"shop\" is forbidden: User \"x\" cannot patch resource \"deployments\" in API \
                       group \"apps\" in the namespace \"default\"";
        assert!(
            sentence(message)
                .ends_with("add it to the ClusterRole serin-promotion-copy (istio/promotion-copy)")
        );
        assert!(sentence("no").contains("denied it: no"));
    }
}
