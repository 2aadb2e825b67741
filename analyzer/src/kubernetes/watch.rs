//! Copies of the cluster's objects that keep themselves up to date, and a bell that rings when one changes.

use super::{Denials, Replica, Routes};
use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::reflector::{self, ObjectRef, Store, store::Writer};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The copies. Objects stay as they are written: one that this program does not understand must not hide
/// the others.
pub struct Stores {
    pub(super) canaries: Kind,
    pub(super) experiments: Kind,
    pub(super) services: Kind,
    pub(super) rules: Kind,
    pub(super) deployments: Kind,
    /// Rings after each change.
    pub(super) bell: Arc<Notify>,
}

/// The objects of a kind, from one watch for each namespace or from one for all.
pub(super) struct Kind {
    resource: ApiResource,
    watches: Vec<(Store<DynamicObject>, Arc<State>)>,
}

#[derive(Default)]
struct State {
    listed: AtomicBool,
    changes: AtomicU64,
    problem: Mutex<Option<String>>,
}

impl Stores {
    /// Starts to watch; `routes` rings the same bell.
    pub fn start(client: &Client, replica: &Replica, routes: &Routes, denials: &Denials) -> Self {
        let bell = Arc::clone(&routes.bell);
        let kind = |group: &str, version: &str, kind: &str, plural: &str| {
            let kind = GroupVersionKind::gvk(group, version, kind);
            Kind::start(client, replica, denials, &bell, ApiResource::from_gvk_with_plural(&kind, plural))
        };
        let istio = "networking.istio.io";
        Self {
            canaries: kind("serin.dev", "v1alpha1", "Canary", "canaries"),
            experiments: kind("serin.dev", "v1alpha1", "Experiment", "experiments"),
            services: kind(istio, "v1", "VirtualService", "virtualservices"),
            rules: kind(istio, "v1", "DestinationRule", "destinationrules"),
            deployments: kind("apps", "v1", "Deployment", "deployments"),
            bell,
        }
    }

    /// Whether a first look shows what there is to see.
    pub(super) fn are_settled(&self) -> bool {
        self.canaries.missing().is_none()
            && [&self.experiments, &self.services, &self.rules, &self.deployments]
                .into_iter()
                .all(Kind::is_settled)
    }
}

impl Kind {
    fn start(
        client: &Client,
        replica: &Replica,
        denials: &Denials,
        bell: &Arc<Notify>,
        resource: ApiResource,
    ) -> Self {
        let apis = match replica.watched.as_slice() {
            [] => vec![Api::all_with(client.clone(), &resource)],
            names => names.iter().map(|name| Api::namespaced_with(client.clone(), name, &resource)).collect(),
        };
        let watch = |api| {
            let writer = Writer::new(resource.clone());
            let (reader, state) = (writer.as_reader(), Arc::<State>::default());
            tokio::spawn(keep(api, writer, Arc::clone(&state), denials.clone(), Arc::clone(bell)));
            (reader, state)
        };
        Self { watches: apis.into_iter().map(watch).collect(), resource }
    }

    /// Why not everything is known yet; none once everything was listed.
    pub(super) fn missing(&self) -> Option<String> {
        let (_, state) = self.watches.iter().find(|(_, state)| !state.listed.load(Ordering::Acquire))?;
        let problem = state.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let plural = &self.resource.plural;
        Some(problem.unwrap_or_else(|| format!("the {plural} have not been listed yet")))
    }

    /// Whether there is nothing to wait for: everything is listed, or the first try has failed.
    fn is_settled(&self) -> bool {
        let settled = |state: &State| {
            let failed = || state.problem.lock().unwrap_or_else(PoisonError::into_inner).is_some();
            state.listed.load(Ordering::Acquire) || failed()
        };
        self.watches.iter().all(|(_, state)| settled(state))
    }

    /// Grows with each change.
    pub(super) fn changes(&self) -> u64 {
        self.watches.iter().map(|(_, state)| state.changes.load(Ordering::Acquire)).sum()
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        let key = ObjectRef::new_with(name, self.resource.clone()).within(namespace);
        self.watches.iter().find_map(|(store, _)| store.get(&key))
    }

    pub(super) fn all(&self) -> Vec<Arc<DynamicObject>> {
        self.watches.iter().flat_map(|(store, _)| store.state()).collect()
    }
}

/// Keeps one copy, for as long as the program lives.
async fn keep(
    api: Api<DynamicObject>,
    writer: Writer<DynamicObject>,
    state: Arc<State>,
    denials: Denials,
    bell: Arc<Notify>,
) {
    let slim = |object: &mut DynamicObject| object.managed_fields_mut().clear();
    let stream = watcher(api, watcher::Config::default()).modify(slim).default_backoff();
    let mut stream = std::pin::pin!(reflector::reflector(writer, stream));
    while let Some(event) = stream.next().await {
        let mut problem = state.problem.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(event) => {
                *problem = None;
                if matches!(event, watcher::Event::InitDone) {
                    state.listed.store(true, Ordering::Release);
                }
                state.changes.fetch_add(1, Ordering::Release);
            }
            Err(error) => {
                let told = told(&error, &denials);
                if problem.as_ref() != Some(&told) {
                    tracing::warn!(problem = %told, "a watch failed; it is tried again");
                    *problem = Some(told);
                }
            }
        }
        bell.notify_one();
    }
}

fn told(error: &watcher::Error, denials: &Denials) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => {
            denials.note(error);
            super::denied::told(error)
        }
        watcher::Error::WatchError(status) => format!("the API server ended a watch: {}", status.message),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}
