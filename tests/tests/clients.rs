//! Every client on a real Envoy: users in cookies and tokens, segments, keys, hostile bytes.

use serin_contract::allocation::canary_arm;
use serin_contract::{Arm, AssignedUnit, Share};
use serin_tests::analyzer::CanaryConfig;
use serin_tests::http::Client;
use serin_tests::world::{World, WorldOptions};

const HALF: f64 = 50.0;

/// Half of the users on the canary, for as long as the test takes.
async fn half(units: &str, more: &[&str]) -> World {
    let canary = CanaryConfig {
        steps: vec![HALF, 100.0],
        promotion_interval: "5m".to_owned(),
        salt: Some(String::new()),
        units: units.to_owned(),
        more: more.iter().map(|line| (*line).to_owned()).collect(),
        ..CanaryConfig::default()
    };
    let world = World::start(WorldOptions { canary, ..WorldOptions::default() }).await.unwrap();
    world.until("50 %", 30, |status| status.weight == HALF).await.unwrap();
    world.until_plan_is_followed().await.unwrap();
    world
}

/// The version that answers, and whether the request was answered at all.
async fn version(world: &World, path: &str, headers: &[(&str, &str)]) -> String {
    let answer = Client::default().get(world.targets()[0], path, headers).await.unwrap();
    assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
    answer.headers["x-shop-version"].to_str().unwrap().to_owned()
}

/// Where Python's md5 puts a user.
fn expected(user: &str) -> &'static str {
    let unit = AssignedUnit::of("", user.as_bytes()).unwrap();
    match canary_arm(unit.bucket, Share::from_percent(HALF).unwrap()) {
        Arm::Canary => "v2",
        Arm::Stable => "v1",
    }
}

/// base64url without padding.
fn encoded(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).for_each(|i| out.push(char::from(ALPHABET[(bits >> (18 - 6 * i)) as usize & 63])));
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_in_cookies_and_tokens_go_where_pythons_md5_says() {
    let world = half("{ cookie: uid }, { jwt: { header: authorization, claim: user.id } }", &[]).await;
    for number in 0..40 {
        let user = format!("client-{number}");
        let cookie = format!("theme=dark; uid={user}; x=1");
        assert_eq!(version(&world, "/", &[("cookie", &cookie)]).await, expected(&user), "{cookie}");
        let payload = encoded(&format!("{{\"user\": {{\"id\": \"{user}\"}}}}"));
        let token = format!("Bearer e30.{payload}.c2ln");
        assert_eq!(version(&world, "/", &[("authorization", &token)]).await, expected(&user), "{token}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_outside_of_the_segment_stays_on_stable() {
    let segment = "segment: {attributes: {country: {header: x-country}, tier: {query: tier}}, \
                   rules: {country: {$in: [US, DE]}, tier: {$gte: 2}}}";
    let world = half("{ header: x-user-id }", &[segment]).await;
    let user = (0..).map(|i| format!("client-{i}")).find(|user| expected(user) == "v2").unwrap();
    for (country, path, expected) in
        [("US", "/?tier=3", "v2"), ("UK", "/?tier=3", "v1"), ("US", "/?tier=1", "v1"), ("DE", "/", "v1")]
    {
        let headers = [("x-user-id", user.as_str()), ("x-country", country)];
        assert_eq!(version(&world, path, &headers).await, expected, "{country} {path}");
    }
    world.until("the outsiders are counted", 20, |status| status.totals.ineligible == 3).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_asks_for_a_key_is_chosen_with_it_alone() {
    // printf 'open sesame' | sha256sum
    let manual =
        "manual: {WithKey: {sha256: [41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb]}}";
    let world = half("{ header: x-user-id }", &[manual]).await;
    let user = (0..).map(|i| format!("client-{i}")).find(|user| expected(user) == "v1").unwrap();
    let base = [("x-user-id", user.as_str()), ("x-canary", "true")];
    assert_eq!(version(&world, "/", &base).await, "v1");
    for (key, expected) in [("open sesame", "v2"), ("close sesame", "v1")] {
        let headers = [base[0], base[1], ("x-canary-key", key)];
        assert_eq!(version(&world, "/", &headers).await, expected, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_and_huge_headers_do_no_harm_and_the_filter_stays_in_the_path() {
    let units = "{ cookie: uid }, { jwt: { header: authorization, claim: sub } }, { header: x-user-id }";
    let world = half(units, &[]).await;
    let deep = encoded(&"{\"a\":[".repeat(4000));
    let (huge_cookie, huge_token) = ("a=b; ".repeat(8_000), format!("Bearer e30.{deep}.x"));
    for headers in [
        [("cookie", huge_cookie.as_str()), ("x-user-id", "ann")],
        [("authorization", huge_token.as_str()), ("x-user-id", "ann")],
        [("cookie", "uid=; =; ;uid"), ("x-user-id", "ann")],
        [("authorization", "Bearer ....,,Bearer %%%"), ("x-user-id", "ann")],
        [("x-canary", "maybe"), ("x-user-id", "ann")],
    ] {
        assert_eq!(version(&world, "/", &headers).await, expected("ann"), "{:.40}", headers[0].1);
    }
    let stats = world.envoys[0].stats().await.unwrap();
    assert_eq!(stats["http.shop.downstream_rq_5xx"], 0);
}
