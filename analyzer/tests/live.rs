//! The live view: a snapshot, then what changes; who may watch, and what becomes of those who do not keep up.

mod common;

use common::web::{PATIENCE, Watcher, send};
use common::{Running, edit, folder};
use serde_json::Value;
use std::time::{Duration, Instant};

fn begun(running: &Running) {
    running.report(1, "", 0, 0, "");
    running.until("the rollout has begun", || {
        let (_, body) = running.call("GET", "/v1/canaries/default/shop", "", "").expect("an answer");
        serde_json::from_str::<Value>(&body).expect("JSON")["phase"] == "Progressing"
    });
}

fn metric(running: &Running, name: &str) -> String {
    let (_, text) = running.call("GET", "/metrics", "", "").expect("an answer");
    let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
    line.and_then(|line| line.rsplit(' ').next()).expect(name).to_owned()
}

fn has_experiment(frame: &Value, id: &str) -> bool {
    let all = frame["experiments"].as_array();
    all.is_some_and(|all| all.iter().any(|experiment| experiment["id"] == id))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_everything_then_what_changes_and_a_decision_at_once() {
    let (folder, address) = folder("");
    let running = Running::start(folder.path(), address);
    begun(&running);
    let mut watcher = Watcher::join(address, &[]).await.expect("joins");
    let snapshot = watcher.next().await.expect("a frame");
    assert_eq!((&snapshot["type"], &snapshot["canaries"][0]["name"]), (&"snapshot".into(), &"shop".into()));
    let latency = snapshot.pointer("/samples/default~1shop/0/versions/stable/latency");
    assert!(latency.is_none(), "a snapshot leaves out what is large");
    assert_eq!(snapshot["filters"][0]["instance"], "00000000000000ab");
    assert!(snapshot["experiments"].is_array(), "{snapshot}");
    assert_eq!(metric(&running, "serin_live_clients"), "1");
    let begun = snapshot["sequence"].as_u64().expect("a number");
    let mut last = begun;
    let mut follows = |frame: &Value| {
        assert_eq!((&frame["type"], frame["sequence"].as_u64()), (&"delta".into(), Some(last + 1)));
        last += 1;
    };
    // Samples come each second by this configuration, and with them the releases they are of.
    loop {
        let frame = watcher.next().await.expect("a frame");
        follows(&frame);
        if frame["samples"]["default/shop"].as_array().is_some_and(|samples| !samples.is_empty()) {
            break;
        }
    }
    let step = snapshot["canaries"][0]["step"].as_u64().expect("a step");
    let stratum = snapshot["canaries"][0]["stratum"].as_u64().expect("a stratum");
    running.report(
        2,
        "",
        step,
        stratum,
        r#"{"stable":{"requests":7,"errors":1},"canary":{"requests":2,"errors":0}}"#,
    );
    loop {
        let frame = watcher.next().await.expect("a frame");
        follows(&frame);
        if frame["canaries"][0]["totals"]["stable"]["requests"] == 7 {
            break;
        }
    }
    let (code, _) = running
        .call("POST", "/v1/canaries/default/shop/rollback", "", r#"{"reason":"it is a test"}"#)
        .expect("an answer");
    assert_eq!(code, 200);
    loop {
        let frame = watcher.next().await.expect("a frame");
        follows(&frame);
        if frame["canaries"][0]["phase"] == "Failed" {
            assert_eq!(frame["canaries"][0]["weight"], 0.0);
            break;
        }
    }
    // An experiment comes, and a canary that is not configured any more goes.
    let spec = r#"{"id": "button", "hosts": ["shop.example"], "units": [{"header": "x-user-id"}],
        "arms": [{"name": "control", "share": 50}, {"name": "treatment", "share": 50}], "goals": [{"name": "purchase"}]}"#;
    assert_eq!(running.code("POST", "/v1/experiments", "", spec), 200);
    watcher.until("the experiment is there", |frame| has_experiment(frame, "button")).await;
    edit(folder.path(), "metadata: {name: shop}", "metadata: {name: shop-2}");
    running.signal("-HUP");
    let frame =
        watcher.until("the canary is gone", |frame| frame["removedCanaries"][0] == "default/shop").await;
    assert_eq!(frame["canaries"][0]["name"], "shop-2");
    watcher.leave().await;
    running.until("the client has gone", || metric(&running, "serin_live_clients") == "0");
}

/// Pauses and resumes the release: two decisions, each with a long line of history.
fn decide_twice(running: &Running) {
    for deed in ["pause", "resume"] {
        let body = format!(r#"{{"reason":"{}"}}"#, "long ".repeat(190));
        let path = format!("/v1/canaries/default/shop/{deed}");
        let (code, text) = running.call("POST", &path, "", &body).expect("an answer");
        assert_eq!(code, 200, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_falls_behind_gets_everything_again() {
    let (folder, address) = folder("");
    let running = Running::start(folder.path(), address);
    begun(&running);
    // Who reads nothing for ten seconds is given up, which a slow machine may need: then once more.
    let begin = Instant::now();
    'again: loop {
        assert!(begin.elapsed() < 2 * PATIENCE, "no client fell behind without being given up");
        let mut watcher = Watcher::join(address, &[]).await.expect("joins");
        assert_eq!(watcher.next().await.expect("a frame")["type"], "snapshot");
        let silent = Instant::now();
        for _ in 0..60 {
            decide_twice(&running);
            if silent.elapsed() > Duration::from_secs(7) {
                break;
            }
        }
        let mut sequence = 0;
        for _ in 0..60 {
            let Ok(frame) = watcher.next().await else { continue 'again };
            if frame["type"] == "snapshot" {
                assert!(
                    frame["sequence"].as_u64() > Some(sequence + 1),
                    "{} after {sequence}",
                    frame["sequence"]
                );
                assert_eq!(frame["canaries"][0]["history"].as_array().map(Vec::len), Some(100));
                let next = watcher.next().await.expect("a frame");
                assert_eq!(next["sequence"].as_u64(), frame["sequence"].as_u64().map(|number| number + 1));
                return;
            }
            sequence = frame["sequence"].as_u64().expect("a number");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_given_up_and_holds_up_nobody() {
    let (folder, address) = folder("");
    let running = Running::start(folder.path(), address);
    begun(&running);
    let dead = Watcher::join(address, &[]).await.expect("joins");
    let mut quick = Watcher::join(address, &[]).await.expect("joins");
    assert_eq!(quick.next().await.expect("a frame")["type"], "snapshot");
    let begin = Instant::now();
    while metric(&running, "serin_live_clients") == "2" {
        assert!(begin.elapsed() < 2 * PATIENCE, "a client that takes nothing is never given up");
        decide_twice(&running);
        quick.until("the release goes on", |frame| frame["canaries"][0]["phase"] == "Progressing").await;
    }
    drop(dead);
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_pages_and_too_many_clients_are_refused_and_all_are_told_of_the_end() {
    let (folder, address) = folder("");
    edit(folder.path(), "analysisInterval: 1s", "analysisInterval: 10m");
    let running = Running::start(folder.path(), address);
    let own = format!("http://{address}");
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        assert_eq!(Watcher::join(address, &[("origin", origin)]).await.err(), Some(403), "{origin}");
    }
    // A name that somebody made lead here is as foreign.
    let rebound = [("origin", "http://evil.example:80"), ("host", "evil.example:80")];
    assert_eq!(Watcher::join(address, &rebound).await.err(), Some(403));
    let mut watchers = Vec::new();
    for _ in 0..64 {
        let mut watcher = Watcher::join(address, &[("origin", &own)]).await.expect("joins");
        assert_eq!(watcher.next().await.expect("a frame")["type"], "snapshot");
        watchers.push(watcher);
    }
    assert_eq!(Watcher::join(address, &[("origin", &own)]).await.err(), Some(503));
    // Nothing happens; a frame comes nevertheless.
    let frame = watchers[0].until("a frame after the snapshot", |frame| frame["type"] == "delta").await;
    assert!(frame.get("canaries").is_none() && frame.get("filters").is_none(), "{frame}");
    let told = send(address, "GET", "/v1/live", &[], "");
    assert_eq!(told.code, 426, "{}", String::from_utf8_lossy(&told.body));
    running.signal("-TERM");
    for mut watcher in watchers {
        let code = loop {
            if let Err(code) = watcher.next().await {
                break code;
            }
        };
        assert_eq!(code, 1001);
    }
}
