//! A replica that does not lead: it serves the page itself, and passes calls and the live view on to the one that
//! leads, with the page's origin held against the host that the browser knows. With Redis it takes events itself.

mod common;
#[path = "common/redis.rs"]
mod redis_server;
#[path = "common/suite.rs"]
mod suite;

use common::folder;
use common::web::{Watcher, send};
use serde_json::{Value, json};
use serin::api::{Shared, Taking, Tokens};
use serin::config::Configuration;
use serin::engine::{Backing, Engine};
use serin::experiments::Event;
use serin::experiments::events::Deed;
use serin::kubernetes::Denials;
use serin::metrics::Metrics;
use serin::module::Module;
use serin::replicas::{Front, Intake, Term, front};
use serin::store::{Redb, Store, Write};
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

/// Exposures, users who converted, and conversions of nobody's.
async fn counted(engine: &Engine) -> [u64; 3] {
    let (view, results) = engine.experiment_results("button".to_owned()).await.expect("is there");
    let results = serde_json::to_value(results).expect("JSON");
    let sum = |field: &str| {
        let arms = ["control", "treatment"].map(|arm| results["variants"][arm][field].as_u64());
        arms.into_iter().map(|count| count.unwrap_or_else(|| panic!("no {field} in {results}"))).sum()
    };
    [sum("exposures"), sum("conversions"), view.loose.unexposed]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis_a_follower_takes_events_while_nobody_leads_and_whoever_leads_next_counts_each_once() {
    const TOKEN: &str = "a-report-token-0123456";
    let redis = redis_server::Server::start(&[]);
    let store = redis.store("serin");
    store.commit(&[Write::Experiment(Box::new(suite::record("button", None)))]).expect("commits");
    let (folder, _) = folder(", reportTokenFile: token");
    std::fs::write(folder.path().join("token"), TOKEN).expect("written");
    let configuration = Configuration::load(&folder.path().join("serin.yaml")).expect("good");
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let tokens = Arc::new(RwLock::new(Tokens::of(&configuration.server)));
    let intake = Intake::start(store.clone(), Arc::clone(&metrics));
    let taking = Taking { intake: intake.clone(), metrics: Arc::clone(&metrics), tokens };
    let module = Arc::new(Module::load(None).expect("loads"));
    let (_term_is, term) = watch::channel(Term::Nobody);
    let own = serin::api::follower(Arc::clone(&metrics), module, Some(taking));
    let face = Front::new(own, true, term, Denials::default()).expect("a client");
    let (address, stop, serving) = serve(front(face)).await;

    let tell = async |events: Value, more: &[(&'static str, &'static str)]| {
        let mut headers = vec![("authorization", "Bearer a-report-token-0123456")];
        headers.extend_from_slice(more);
        let body = json!({"events": events}).to_string();
        let told = move || send(address, "POST", "/v1/events", &headers, &body);
        let told = tokio::task::spawn_blocking(told).await.expect("called");
        (told.code, told.json())
    };
    let did = |user: &str, kind: &str| json!({"experiment": "button", "user": user, "type": kind});
    let both = || json!([did("kim", "exposure"), did("kim", "conversion")]);
    let told = |unexposed: u64, count: u64, repeated: bool| {
        (200, json!({"accepted": count, "unexposed": unexposed, "repeated": repeated}))
    };
    assert_eq!(tell(both(), &[("idempotency-key", "one")]).await, told(0, 2, false));
    assert_eq!(tell(both(), &[("idempotency-key", "one")]).await, told(0, 2, true));
    assert_eq!(tell(json!([did("kim", "conversion")]), &[]).await, told(0, 1, false));
    assert_eq!(tell(json!([did("lee", "conversion")]), &[]).await, told(1, 1, false));
    // What is wrong is said as the leader says it, and nothing of the call is taken.
    let mut other = did("kim", "conversion");
    other["experiment"] = json!("none");
    let (code, problem) = tell(json!([did("pat", "exposure"), other]), &[]).await;
    assert_eq!((code, &problem["field"]), (422, &json!("events[1].experiment")), "{problem}");
    let mut other = did("kim", "conversion");
    other["goal"] = json!("nothing");
    let (code, problem) = tell(json!([other]), &[]).await;
    assert_eq!((code, &problem["field"]), (422, &json!("events[0].goal")), "{problem}");
    let bare = move || send(address, "POST", "/v1/events", &[], "{}").code;
    assert_eq!(tokio::task::spawn_blocking(bare).await.expect("called"), 401);
    // Who has signed in is known to the leader alone, and nobody leads.
    assert_eq!(tell(both(), &[("cookie", "serin-session=x")]).await.0, 503);

    // Now this one leads.
    let backing = Backing { store: Arc::new(store), intake: Some(intake), hold: None };
    let engine = tokio::task::block_in_place(|| Engine::start(configuration, backing, metrics, None));
    let engine = engine.expect("starts");
    assert_eq!(counted(&engine).await, [1, 1, 1]);
    assert_eq!(tell(both(), &[("idempotency-key", "one")]).await, told(0, 2, true));
    let pat = |deed| Event {
        experiment: "button".to_owned(),
        user: "pat".to_owned(),
        deed,
        time: serin::engine::now(),
        properties: None,
    };
    let told = engine.events(vec![pat(Deed::Exposure)], None).await.expect("taken");
    assert_eq!((told.accepted, told.repeated), (1, false));
    assert_eq!(counted(&engine).await, [2, 1, 1], "whoever was told so finds it counted");
    let told =
        engine.events(vec![pat(Deed::Conversion { goal: None, value: 1.0 })], None).await.expect("taken");
    assert_eq!(told.unexposed, 0);
    assert_eq!(counted(&engine).await, [2, 2, 1]);
    engine.stop().await;
    stop.send_replace(true);
    serving.await.expect("ends");
}
