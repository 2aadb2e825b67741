//! Several canaries and several proxies: each request is decided where it should be, and counted once.

use anyhow::Result;
use serin_contract::allocation::canary_arm;
use serin_contract::{Arm, AssignedUnit, Share};
use serin_tests::analyzer::Status;
use serin_tests::half::{Half, user_of, version_of};
use serin_tests::wait;
use serin_tests::world::WorldOptions;
use std::time::Duration;

const USERS: usize = 12;

/// A second release: everything under /cart, of the shop's host and of every host under cart.example.
const CART: &str = "apiVersion: serin.dev/v1alpha1
kind: Canary
metadata: { name: cart, namespace: default }
spec:
  stableVersion: c1
  canaryVersion: c2
  hosts: [shop.example, '*.cart.example']
  pathPrefix: /cart
  router: { envoyRoutes: { path: ROUTES, stableCluster: cart-stable, canaryCluster: cart-canary } }
  units: [{ header: x-user-id }]
  salt: 'cart:'
  ramp: { steps: [50, 100], promotionInterval: 30m, analysisInterval: 2s }
  limits: { maxErrorRate: 100, minErrorIncrease: 100 }
";

/// Its routes, and one that lets the shop ask the cart: /via comes in at the shop and goes out as /cart.
const ROUTES: &str = r#"          - match: { prefix: /via, headers: [{ name: x-canary, string_match: { exact: "true" } }] }
            route: { cluster: shop-canary, prefix_rewrite: /cart }
          - match: { prefix: /via, headers: [{ name: x-canary, string_match: { exact: "false" } }] }
            route: { cluster: shop-stable, prefix_rewrite: /cart }
          - match: { prefix: /cart, headers: [{ name: x-canary, string_match: { exact: "true" } }] }
            route: { cluster: cart-canary }
          - match: { prefix: /cart, headers: [{ name: x-canary, string_match: { exact: "false" } }] }
            route: { cluster: cart-stable }
          - match: { prefix: /cart }
            route:
              weighted_clusters:
                clusters:
                  - name: cart-stable
                    weight: 100
                  - name: cart-canary
                    weight: 0
"#;

/// The cart's clusters. Behind them stand the two shops, which tell what they were asked for.
fn cart_clusters() -> String {
    let cluster = |arm: &str, port: &str| {
        let address = format!("{{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}");
        let endpoints = format!("[{{ lb_endpoints: [{{ endpoint: {{ address: {address} }} }}] }}]");
        format!(
            "    - name: cart-{arm}\n      type: STATIC\n      connect_timeout: 1s\n      load_assignment: \
             {{ cluster_name: cart-{arm}, endpoints: {endpoints} }}\n"
        )
    };
    cluster("stable", "STABLE_PORT") + &cluster("canary", "CANARY_PORT")
}

/// Shop and cart at 50 % each.
async fn shop_and_cart(change: impl FnOnce(&mut WorldOptions)) -> Result<Half> {
    let (clusters, routes) = ("  clusters:\n", "        routes:\n");
    let mut options = WorldOptions {
        canary: Half::canary(),
        documents: vec![CART.to_owned()],
        routes: vec![(routes.to_owned(), format!("{routes}{ROUTES}"))],
        bootstrap: vec![(clusters.to_owned(), clusters.to_owned() + &cart_clusters())],
        ..WorldOptions::default()
    };
    change(&mut options);
    let half = Half::start(options).await?;
    until_cart(&half, "50 %", |cart| cart.weight == 50.0).await?;
    half.follow().await?;
    Ok(half)
}

async fn until_cart(half: &Half, what: &str, so: impl Fn(&Status) -> bool) -> Result<Status> {
    let so = &so;
    wait::until(&format!("the cart: {what}"), Duration::from_secs(30), || async move {
        let answer = half.world.analyzer.api().get("/v1/canaries/default/cart").await?;
        let status: Status = serde_json::from_slice(&answer.body)?;
        anyhow::ensure!(so(&status), "{:?} at {} %: {:?}", status.phase, status.weight, status.totals);
        Ok(status)
    })
    .await
}

/// What the filter in front of the shop that answers said: `true`, `false`, or nothing.
async fn told(half: &Half, path: &str, headers: &[(&str, &str)]) -> Option<String> {
    let answer = half.get(path, headers).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    body["x-canary"].as_str().map(str::to_owned)
}

fn in_shop(user: &str) -> Option<String> {
    Some((version_of(user) == "v2").to_string())
}

fn in_cart(user: &str) -> Option<String> {
    let unit = AssignedUnit::of("cart:", user.as_bytes()).unwrap();
    Some((canary_arm(unit.bucket, Share::from_percent(50.0).unwrap()) == Arm::Canary).to_string())
}

/// Users of both versions of the shop.
fn users() -> impl Iterator<Item = String> {
    ["v1", "v2"].into_iter().flat_map(|version| (0..USERS / 2).map(move |n| user_of(version, n)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_canaries_are_told_apart_by_host_and_path() {
    let half = shop_and_cart(|_| {}).await.unwrap();
    for user in users() {
        for (host, path, expected) in [
            ("shop.example", "/", in_shop(&user)),
            ("Shop.Example:8080", "/about?cart", in_shop(&user)),
            ("shop.example", "/cart/7", in_cart(&user)),
            ("eu.cart.example:443", "/cart", in_cart(&user)),
            ("a.b.cart.example", "/cart", in_cart(&user)),
            // No canary's: the filter says nothing.
            ("cart.example", "/cart", None),
            ("eu.cart.example", "/", None),
        ] {
            let headers = [("host", host), ("x-user-id", user.as_str())];
            assert_eq!(told(&half, path, &headers).await, expected, "{host}{path} of {user}");
        }
    }
    assert!(users().any(|user| in_shop(&user) != in_cart(&user)), "the two would agree by chance");
    half.counted(2 * USERS as u64).await.unwrap();
    until_cart(&half, "its requests", |cart| cart.totals.all() == 3 * USERS as u64).await.unwrap();
}

/// Puts a gateway in front of the one Envoy that runs, which becomes a sidecar without an edge.
async fn behind_a_gateway(half: &mut Half) {
    half.world.envoys.clear();
    half.world
        .add_envoy_as(|options| {
            options.node = "sidecar".to_owned();
            options.edge = false;
        })
        .await
        .unwrap();
    let sidecar = half.world.envoys[0].address().port();
    half.world
        .add_envoy_as(|options| {
            options.node = "front".to_owned();
            options.stable_port = sidecar;
            options.canary_port = sidecar;
        })
        .await
        .unwrap();
    half.follow().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_proxies_in_a_row_the_first_decides_and_counts() {
    let mut half = shop_and_cart(|_| {}).await.unwrap();
    behind_a_gateway(&mut half).await;
    for user in users() {
        assert_eq!(told(&half, "/", &[("x-user-id", &user)]).await, in_shop(&user));
        // A choice by hand is the gateway's to allow; behind it nobody takes it for another one.
        assert_eq!(
            told(&half, "/", &[("x-user-id", &user), ("x-canary", "true")]).await,
            Some("true".into())
        );
    }
    let totals = half.counted(2 * USERS as u64).await.unwrap();
    assert_eq!(totals.forced.canary.requests, USERS as u64);
    assert_eq!((totals.stable.requests, totals.canary.requests), (USERS as u64 / 2, USERS as u64 / 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_another_canary_a_request_is_decided_anew_and_nobody_forced_it() {
    let mut half = shop_and_cart(|_| {}).await.unwrap();
    behind_a_gateway(&mut half).await;
    for user in users() {
        let headers = [("host", "shop.example"), ("x-user-id", &user)];
        assert_eq!(told(&half, "/via", &headers).await, in_cart(&user), "{user}");
    }
    let shop = half.counted(USERS as u64).await.unwrap();
    let cart = until_cart(&half, "its requests", |cart| cart.totals.all() == USERS as u64).await.unwrap();
    for totals in [shop, cart.totals] {
        assert_eq!(totals.stable.requests + totals.canary.requests, USERS as u64, "{totals:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_cannot_pass_for_a_filter_nor_reach_a_canary_that_does_not_allow_it() {
    let half = shop_and_cart(|options| options.canary.manual = Some("Never".to_owned())).await.unwrap();
    let mut sent = 0;
    for user in users() {
        for by in ["default/shop", "default/cart", "", "nonsense"] {
            for wish in ["true", "false"] {
                let headers = [("x-user-id", user.as_str()), ("x-canary", wish), ("x-canary-by", by)];
                assert_eq!(told(&half, "/", &headers).await, in_shop(&user), "{headers:?}");
                sent += 1;
            }
        }
    }
    let totals = half.counted(sent).await.unwrap();
    assert_eq!(totals.stable.requests + totals.canary.requests, sent, "{totals:?}");
}
