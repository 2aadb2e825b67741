//! What a request counts as, by how it ends on a real Envoy: to the request.

use bytes::Bytes;
use hyper::Method;
use serin_tests::half::{Half, user_of};
use serin_tests::http::Client;
use serin_tests::world::WorldOptions;
use std::time::Duration;

fn replace(what: &str, by: &str) -> (String, String) {
    (what.to_owned(), by.to_owned())
}

/// Both shops are spoken to by HTTP/2, as gRPC needs.
fn http2() -> Vec<(String, String)> {
    let options = "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: \
        {\"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, \
        explicit_http_config: {http2_protocol_options: {}}}}";
    ["stable", "canary"]
        .map(|arm| {
            let name = format!("- name: shop-{arm}\n");
            replace(&name, &format!("{name}      {options}\n"))
        })
        .into()
}

/// Further routes above the usual ones.
fn routes_above(routes: &str) -> Vec<(String, String)> {
    let routes_of_host = "        routes:\n";
    vec![replace(routes_of_host, &format!("{routes_of_host}{routes}"))]
}

/// One user of each version.
fn users() -> [String; 2] {
    ["v1", "v2"].map(|version| user_of(version, 0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_fails_by_its_status_in_the_trailer_or_in_the_header() {
    let options = WorldOptions { canary: Half::canary(), bootstrap: http2(), ..WorldOptions::default() };
    let half = Half::start(options).await.unwrap();
    for user in users() {
        for code in 0..=16 {
            for place in ["trailer", "header"] {
                let path = format!("/grpc/{place}/{code}");
                let answer = half.get(&path, &[("x-user-id", &user)]).await.unwrap();
                assert_eq!(answer.status, 200);
            }
        }
    }
    let totals = half.counted(2 * 2 * 17).await.unwrap();
    // 2, 4, 8, 13, 14 and 15 are the server's faults.
    assert_eq!((totals.stable.errors, totals.canary.errors), (12, 12), "{totals:?}");
    let latency = half.world.status().await.unwrap().summary["window"]["stable"]["latency_p50"].clone();
    assert!(latency.as_f64().is_some_and(|seconds| seconds < 0.2), "{latency}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_have_no_latency() {
    let options = WorldOptions { canary: Half::canary(), bootstrap: http2(), ..WorldOptions::default() };
    let half = Half::start(options).await.unwrap();
    for user in users() {
        for path in ["/events", "/grpc/stream/0"] {
            half.get(path, &[("x-user-id", &user)]).await.unwrap();
        }
    }
    let totals = half.counted(4).await.unwrap();
    assert_eq!((totals.stable.requests, totals.canary.requests, totals.errors()), (2, 2, 0));
    let summary = half.world.status().await.unwrap().summary;
    for arm in ["stable", "canary"] {
        assert_eq!(summary["window"][arm]["requests"], 2);
        assert!(summary["window"][arm]["latency_p50"].is_null(), "{summary}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_that_served_decides_what_is_evidence() {
    let routes = routes_above(
        "          - { name: wrong, match: { prefix: /wrong }, route: { cluster: shop-stable } }
          - { name: other, match: { prefix: /healthz }, route: { cluster: serin } }
          - { name: teapot, match: { prefix: /teapot }, direct_response: { status: 418 } }
          - { name: broken, match: { prefix: /broken }, direct_response: { status: 500 } }
",
    );
    let half = Half::start(WorldOptions { canary: Half::canary(), routes, ..WorldOptions::default() }).await;
    let half = half.unwrap();
    for user in users() {
        for (path, status) in [("/wrong", 200), ("/healthz", 200), ("/teapot", 418), ("/broken", 500)] {
            let answer = half.get(path, &[("x-user-id", &user)]).await.unwrap();
            assert_eq!(answer.status, status, "{path}");
        }
    }
    let totals = half.counted(8).await.unwrap();
    assert_eq!((totals.misrouted, totals.elsewhere, totals.unserved), (1, 2, 4), "{totals:?}");
    // Of the eight only the two on /wrong reached a shop; each counts for the version it was assigned to.
    assert_eq!((totals.stable.requests, totals.canary.requests, totals.errors()), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_envoy_answers_for_a_version_is_that_versions_fault() {
    // The canary's port is closed, and the stable shop does not answer in time on one path.
    let routes = routes_above(
        "          - name: hurried
            match: { prefix: /slow, headers: [{ name: x-canary, string_match: { exact: \"false\" } }] }
            route: { cluster: shop-stable, timeout: 0.1s }
",
    );
    let options = WorldOptions { canary: Half::canary(), routes, ..WorldOptions::default() };
    let mut half = Half::start(options).await.unwrap();
    let [stable, canary] = users();
    let closed = serin_tests::ports::free().unwrap();
    half.world.envoys.clear();
    half.world
        .add_envoy_as(|options| {
            options.node = "gateway-closed".to_owned();
            options.canary_port = closed;
        })
        .await
        .unwrap();
    half.follow().await.unwrap();
    assert_eq!(half.get("/", &[("x-user-id", &canary)]).await.unwrap().status, 503);
    assert_eq!(half.get("/slow", &[("x-user-id", &stable)]).await.unwrap().status, 504);
    assert_eq!(half.get("/", &[("x-user-id", &stable)]).await.unwrap().status, 200);
    let totals = half.counted(3).await.unwrap();
    let tallies = [totals.stable, totals.canary].map(|tally| (tally.requests, tally.errors));
    assert_eq!((tallies, totals.unserved), ([(2, 1), (1, 1)], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_envoy_tries_again_counts_once() {
    let routes = vec![
        replace(
            "        domains: [\"*\"]\n",
            "        domains: [\"*\"]\n        include_request_attempt_count: true\n",
        ),
        routes_above(
            "          - name: again
            match: { prefix: /flaky, headers: [{ name: x-canary, string_match: { exact: \"true\" } }] }
            route: { cluster: shop-canary, retry_policy: { retry_on: 5xx, num_retries: 3 } }
",
        )
        .remove(0),
    ];
    let options = WorldOptions { canary: Half::canary(), routes, ..WorldOptions::default() };
    let half = Half::start(options).await.unwrap();
    let user = user_of("v2", 0);
    for _ in 0..5 {
        assert_eq!(half.version("/flaky", &[("x-user-id", &user)]).await.unwrap(), "v2");
    }
    let totals = half.counted(5).await.unwrap();
    assert_eq!((totals.canary.requests, totals.canary.errors), (5, 0));
    assert_eq!(half.world.canary.served("v2").requests, 10, "the shop saw each try");
}

/// Clients of both versions go away from `/slow` after 100 ms; answers each version's slow units.
async fn leave_early(slow_request: &str) -> [u64; 2] {
    let mut canary = Half::canary();
    canary.limits.push(format!("slowRequest: {slow_request}"));
    let half = Half::start(WorldOptions { canary, ..WorldOptions::default() }).await.unwrap();
    let target = half.world.targets()[0];
    for version in ["v1", "v2"] {
        for n in 0..4 {
            let user = user_of(version, n);
            let headers = [("x-user-id", user.as_str())];
            // A client of its own: going away closes its connection.
            let client = Client::default();
            let answer = client.send(target, Method::GET, "/slow", &headers, Bytes::new());
            tokio::time::timeout(Duration::from_millis(100), answer).await.unwrap_err();
        }
    }
    let totals = half.counted(8).await.unwrap();
    let tallies = [totals.stable, totals.canary].map(|tally| (tally.requests, tally.errors));
    assert_eq!(tallies, [(4, 0), (4, 0)], "leaving is no error");
    let summary = half.world.status().await.unwrap().summary;
    ["stable", "canary"].map(|arm| summary["window"][arm]["slow_units"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_before_the_slow_edge_says_nothing() {
    assert_eq!(leave_early("15s").await, [0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_after_the_slow_edge_was_kept_waiting() {
    assert_eq!(leave_early("50ms").await, [4, 4]);
}
