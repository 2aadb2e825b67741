//! Talking to a cluster's API server with a kubeconfig, as kubectl does.

use super::Failure;
use clap::Args;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Api, Client, Config};
use serde_json::Value;

/// Which cluster.
#[derive(Args)]
pub(super) struct Cluster {
    /// The context of the kubeconfig; the current one without it
    #[arg(long)]
    context: Option<String>,
}

impl Cluster {
    /// The argument says nothing without that flag.
    pub(super) fn refuse(&self, flag: &str) -> Result<(), Failure> {
        match self.context {
            Some(_) => Err(Failure::Wrong(format!("--context is for {flag}"))),
            None => Ok(()),
        }
    }

    /// A client, and the namespace of the context. Connects to nothing yet.
    pub(super) async fn connect(&self) -> Result<(Client, String), Failure> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        // Without a file and without a context in its name: a pod's own ServiceAccount.
        let inside = self.context.is_none() && Kubeconfig::read().is_err();
        let config = if inside {
            Config::infer().await.map_err(|error| error.to_string())
        } else {
            Config::from_kubeconfig(&options).await.map_err(|error| error.to_string())
        };
        let config =
            config.map_err(|error| Failure::Wrong(format!("the kubeconfig: {error}; see KUBECONFIG")))?;
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| Failure::Failed(error.to_string()))?;
        Ok((client, namespace))
    }
}

/// The kinds that are read and written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Canary,
    VirtualService,
    DestinationRule,
    Deployment,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Canary => "Canary",
            Self::VirtualService => "VirtualService",
            Self::DestinationRule => "DestinationRule",
            Self::Deployment => "Deployment",
        }
    }

    pub(super) fn resource(self) -> ApiResource {
        let (group, version, plural) = match self {
            Self::Canary => (crate::kinds::GROUP, "v1alpha1", "canaries"),
            Self::VirtualService => ("networking.istio.io", "v1", "virtualservices"),
            Self::DestinationRule => ("networking.istio.io", "v1", "destinationrules"),
            Self::Deployment => ("apps", "v1", "deployments"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, self.name()), plural)
    }

    /// The objects of a namespace.
    pub(super) fn of(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), namespace, &self.resource())
    }
}

/// An object as JSON.
pub(super) fn json(object: &DynamicObject) -> Result<Value, Failure> {
    serde_json::to_value(object).map_err(|error| Failure::Failed(error.to_string()))
}

/// A refusal or a silence of the API server, with what it was about.
pub(super) fn failed(what: &str, error: &kube::Error) -> Failure {
    Failure::Failed(match refusal(error) {
        Some(status) => format!("{what}: the API server refused: {}", status.message),
        None => format!("{what}: the API server does not answer: {error}"),
    })
}

/// Whether the API server said that it is not there.
pub(super) fn is_missing(error: &kube::Error) -> bool {
    refusal(error).is_some_and(|status| status.code == 404)
}

/// What the API server said, if it said no.
pub(super) fn refusal(error: &kube::Error) -> Option<&Status> {
    if let kube::Error::Api(status) = error { Some(status) } else { None }
}
