//! Every client on a real Envoy: users in cookies and tokens, segments, keys, hostile bytes.

use serin_tests::half::{Half, user_of, version_of};

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
    let world =
        Half::with("{ cookie: uid }, { jwt: { header: authorization, claim: user.id } }", &[]).await.unwrap();
    for number in 0..40 {
        let user = format!("client-{number}");
        let cookie = format!("theme=dark; uid={user}; x=1");
        assert_eq!(world.version("/", &[("cookie", &cookie)]).await.unwrap(), version_of(&user), "{cookie}");
        let payload = encoded(&format!("{{\"user\": {{\"id\": \"{user}\"}}}}"));
        let token = format!("Bearer e30.{payload}.c2ln");
        assert_eq!(
            world.version("/", &[("authorization", &token)]).await.unwrap(),
            version_of(&user),
            "{token}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_outside_of_the_segment_stays_on_stable() {
    let segment = "segment: {attributes: {country: {header: x-country}, tier: {query: tier}}, \
                   rules: {country: {$in: [US, DE]}, tier: {$gte: 2}}}";
    let world = Half::with("{ header: x-user-id }", &[segment]).await.unwrap();
    let user = user_of("v2", 0);
    for (country, path, expected) in
        [("US", "/?tier=3", "v2"), ("UK", "/?tier=3", "v1"), ("US", "/?tier=1", "v1"), ("DE", "/", "v1")]
    {
        let headers = [("x-user-id", user.as_str()), ("x-country", country)];
        assert_eq!(world.version(path, &headers).await.unwrap(), expected, "{country} {path}");
    }
    world.world.until("the outsiders are counted", 20, |status| status.totals.ineligible == 3).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_asks_for_a_key_is_chosen_with_it_alone() {
    // printf 'open sesame' | sha256sum
    let keys = "manualKeys: {sha256: [41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb]}";
    let world = Half::with("{ header: x-user-id }", &["manual: WithKey", keys]).await.unwrap();
    let user = user_of("v1", 0);
    let base = [("x-user-id", user.as_str()), ("x-canary", "true")];
    assert_eq!(world.version("/", &base).await.unwrap(), "v1");
    for (key, expected) in [("open sesame", "v2"), ("close sesame", "v1")] {
        let headers = [base[0], base[1], ("x-canary-key", key)];
        assert_eq!(world.version("/", &headers).await.unwrap(), expected, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_brings_no_id_is_given_a_cookie_once_and_keeps_its_version() {
    let units = "{ header: x-user-id }, { issuedCookie: { name: serin-id, maxAge: 30d } }";
    let world = Half::with(units, &[]).await.unwrap();
    let mut versions = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let first =
            world.get("/", &[("cookie", "theme=dark"), ("x-forwarded-proto", "https")]).await.unwrap();
        let cookies: Vec<_> = first.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies.len(), 1, "{cookies:?}");
        let cookie = cookies[0].to_str().unwrap();
        let (pair, rest) = cookie.split_once("; ").unwrap();
        assert_eq!(rest, "Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax; Secure");
        let id = pair.strip_prefix("serin-id=").unwrap();
        let version = first.header("x-shop-version").unwrap();
        assert_eq!(version, version_of(id), "{cookie}");
        assert!(first.text().contains(&format!("theme=dark; {pair}")), "the shop sees it: {}", first.text());
        let again = world.get("/", &[("cookie", pair)]).await.unwrap();
        assert_eq!(again.header("set-cookie"), None);
        assert_eq!(again.header("x-shop-version"), Some(version));
        versions.insert(version.to_owned());
    }
    assert_eq!(versions.len(), 2, "{versions:?}");
    let known = world.get("/", &[("x-user-id", "ann")]).await.unwrap();
    assert_eq!(known.header("set-cookie"), None);
    let totals = world.counted(61).await.unwrap();
    assert_eq!(totals.stable.requests + totals.canary.requests, 61, "{totals:?}");
}
