//! A replica that does not lead: it serves the page itself, and passes calls and the live view on to the one that
//! leads, with the page's origin held against the host that the browser knows.

mod common;

use common::folder;
use common::web::{Watcher, send};
use serin::api::{Shared, Tokens};
use serin::config::Configuration;
use serin::engine::Engine;
use serin::kubernetes::Denials;
use serin::metrics::Metrics;
use serin::module::Module;
use serin::replicas::{Front, Term, front};
use serin::store::Redb;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Serves on a free port until the sender says so.
async fn serve(app: axum::Router) -> (SocketAddr, watch::Sender<bool>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, mut stopped) = watch::channel(false);
    let serving = tokio::spawn(serin::api::serve(listener, None, app, async move {
        drop(stopped.wait_for(|stopped| *stopped).await);
    }));
    (address, stop, serving)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_serves_the_page_and_passes_the_live_view_on_to_the_leader() {
    let (folder, _) = folder("");
    let configuration = Configuration::load(&folder.path().join("serin.yaml")).expect("good");
    let server = configuration.server.clone();
    let store = Arc::new(Redb::open(&folder.path().join("serin.redb")).expect("opens"));
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let engine = Engine::start(configuration, store, Arc::clone(&metrics), None).expect("starts");
    let module = Arc::new(Module::load(None).expect("loads"));
    let tokens = Arc::new(RwLock::new(Tokens::of(&server)));
    let shared = Shared::new(engine.clone(), Arc::clone(&metrics), Arc::clone(&module), tokens, false);
    let (leader, stop_leader, leading) = serve(serin::api::router(shared)).await;

    let (term_is, term) = watch::channel(Term::Nobody);
    let own = serin::api::follower(Arc::new(Metrics::new().expect("metrics")), module, None);
    let face = Front::new(own, false, term, Denials::default()).expect("a client");
    let (follower, stop_follower, following) = serve(front(face)).await;

    let at = move |path: &'static str, headers: Vec<(&'static str, String)>| {
        tokio::task::spawn_blocking(move || {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            send(follower, "GET", path, &headers, "")
        })
    };
    let page = at("/", Vec::new()).await.expect("called");
    assert_eq!((page.code, page.header("x-frame-options")), (200, Some("DENY")));
    assert_eq!(at("/v1/live", Vec::new()).await.expect("called").code, 503, "nobody leads");
    term_is.send_replace(Term::Other(format!("http://{leader}")));
    assert_eq!(at("/v1/canaries", Vec::new()).await.expect("called").code, 200);
    let own = format!("http://{follower}");
    let foreign = [("origin", "http://127.0.0.1:1")];
    assert_eq!(Watcher::join(follower, &foreign).await.err(), Some(403));
    let mut watcher = Watcher::join(follower, &[("origin", &own)]).await.expect("joins");
    assert_eq!(watcher.next().await.expect("a frame")["canaries"][0]["name"], "shop");
    watcher.until("a frame after the snapshot", |frame| frame["type"] == "delta").await;
    assert_eq!(metrics.live_clients.get(), 1);
    // Another leads: whoever watched this one has to look for it anew.
    term_is.send_replace(Term::Nobody);
    assert!(watcher.ended().await, "the way to the former leader is closed");

    term_is.send_replace(Term::Other(format!("http://{leader}")));
    let mut watcher = Watcher::join(follower, &[("origin", &own)]).await.expect("joins");
    assert_eq!(watcher.next().await.expect("a frame")["type"], "snapshot");
    stop_follower.send_replace(true);
    assert!(watcher.ended().await, "a follower that stops lets go of its clients");
    following.await.expect("ends");
    stop_leader.send_replace(true);
    leading.await.expect("ends");
    engine.stop().await;
}
