//! Writing a VirtualService: read it, make the patch, send it with its tests; after a conflict read again.

use super::{CallError, Denials, JSON_PATCH, get, patch};
use crate::config::VirtualService;
use crate::replicas::Hold;
use crate::router::virtual_service::{self, Patch, Problem};
use crate::router::{RouterError, Written};
use kube::Client;
use serde_json::Value;
use serin_contract::Share;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// A write meets others' so often before it is left for later.
const TRIES: u32 = 8;
/// After the first conflict; twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(10);

/// The way to the cluster's VirtualServices.
#[derive(Clone)]
pub struct Routes {
    client: Client,
    hold: Hold,
    denials: Denials,
    /// Rings when a status should follow at once.
    pub(super) bell: Arc<Notify>,
    /// One writer at a time for each VirtualService; `true` once it is given back and no late write may
    /// touch it.
    places: Arc<std::sync::Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<bool>>>>>,
}

/// How a change went.
enum Changed {
    /// What stands there now.
    Stands(Value),
    Braked(Share),
    Missing,
}

/// What to do with the object as it was read.
enum Next {
    Send(Option<Patch>),
    Braked(Share),
}

impl Routes {
    /// Through this client; `hold` says what may be written.
    pub fn new(client: Client, hold: Hold, denials: Denials) -> Self {
        Self { client, hold, denials, bell: Arc::default(), places: Arc::default() }
    }

    /// The engine has decided something: the status is written at once.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Writes a share and the managed routes. `stood` is what is thought to stand there: less is somebody's
    /// brake, and is not overwritten.
    ///
    /// # Errors
    /// When the API server does not take it, with a sentence that says what to do.
    pub async fn write(
        &self,
        namespace: &str,
        service: &VirtualService,
        share: Share,
        stood: Option<Share>,
    ) -> Result<Written, RouterError> {
        let raises = share > stood.unwrap_or(share);
        let next = |object: &Value| {
            let lowest = virtual_service::standing(object, service)?.shares.map(|(lowest, _)| lowest);
            if let (Some(lowest), Some(stood)) = (lowest, stood)
                && lowest < stood.min(share)
            {
                return Ok(Next::Braked(lowest));
            }
            let change = virtual_service::change(service, share);
            virtual_service::patch(object, &service.subsets, change).map(Next::Send)
        };
        let place = self.place(namespace, &service.name);
        let given_back = place.lock().await;
        if *given_back {
            return Err(RouterError::failed("the VirtualService was given back: its Canary is deleted"));
        }
        match self.change(namespace, &service.name, raises, next).await? {
            Changed::Stands(object) => Ok(Written::Stands(version(&object))),
            Changed::Braked(found) => Ok(Written::Braked(found)),
            Changed::Missing => Err(missing(namespace, service)),
        }
    }

    /// Gives a VirtualService back: everything on stable, no managed route. One that is gone is given back.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn restore(&self, namespace: &str, service: &VirtualService) -> Result<(), RouterError> {
        let next = |object: &Value| virtual_service::restore(object, &service.subsets).map(Next::Send);
        let place = self.place(namespace, &service.name);
        let mut given_back = place.lock().await;
        *given_back = true;
        self.change(namespace, &service.name, false, next).await.map(drop)
    }

    /// A Canary is there for it, again.
    pub(super) fn keep(&self, namespace: &str, name: &str) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.insert(format!("{namespace}/{name}"), Arc::default());
    }

    fn place(&self, namespace: &str, name: &str) -> Arc<tokio::sync::Mutex<bool>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(format!("{namespace}/{name}")).or_default())
    }

    async fn change(
        &self,
        namespace: &str,
        name: &str,
        raises: bool,
        next: impl Fn(&Value) -> Result<Next, Problem>,
    ) -> Result<Changed, RouterError> {
        let path = format!("/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices/{name}");
        let mut pause = PAUSE;
        let mut last = None;
        for _ in 0..TRIES {
            let object = match get(&self.client, &path).await {
                Ok(object) => object,
                Err(error) if error.code() == 404 => return Ok(Changed::Missing),
                Err(error) => return Err(self.told(&error)),
            };
            let patched = match next(&object)? {
                Next::Braked(found) => return Ok(Changed::Braked(found)),
                Next::Send(None) => return Ok(Changed::Stands(object)),
                Next::Send(Some(operations)) => {
                    // Asked as late as can be: this program may have been frozen since it decided.
                    self.may(raises)?;
                    patch(&self.client, &path, JSON_PATCH, &operations).await
                }
            };
            match patched {
                Ok(object) => return Ok(Changed::Stands(object)),
                // 422 is a failed test of the patch: somebody else was faster. Or a refusal for good.
                Err(error) if matches!(error.code(), 409 | 422) => last = Some(error),
                Err(error) => return Err(self.told(&error)),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let last = last.map(|error| error.to_string()).unwrap_or_default();
        Err(RouterError::failed(&format!(
            "VirtualService {namespace}/{name}: {TRIES} writes in a row failed: {last}"
        )))
    }

    /// Whether this replica still has a say in the cluster: not when it was frozen for longer than its Lease.
    pub(super) fn may_write(&self) -> bool {
        self.hold.allows(false)
    }

    fn may(&self, raises: bool) -> Result<(), RouterError> {
        if self.hold.allows(raises) {
            return Ok(());
        }
        Err(RouterError::failed(
            "this replica could not renew its Lease: until it can, it raises no weight, and lowers one only while \
             the API server does not say whose the Lease is",
        ))
    }

    fn told(&self, error: &CallError) -> RouterError {
        if let CallError::Kube(error) = error {
            self.denials.note(error);
        }
        RouterError::failed(&error.to_string())
    }
}

/// What to create.
pub(super) fn missing(namespace: &str, service: &VirtualService) -> RouterError {
    let VirtualService { name, subsets, .. } = service;
    RouterError::failed(&format!(
        "VirtualService {namespace}/{name} is not there: create it with a route of weight 100 to subset {} and 0 \
         to subset {}",
        subsets.stable, subsets.canary
    ))
}

fn version(object: &Value) -> u64 {
    let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}
