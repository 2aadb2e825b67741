//! The order of decisions: which header wins, and what a request counts as.

mod support;

use serin_contract::{CanaryReport, Report};
use support::{CANARY_USER, Proxy, Request, STABLE_USER, configuration, plan, sidecar};

/// Runs one request through an agent; answers the request as the router sees it, and its report.
fn decided(configuration: &str, request: Request) -> (Request, Report) {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(configuration);
    request.run(&proxy, &agent);
    let report = proxy.report(&mut agent);
    (request, report)
}

fn only(report: Report) -> CanaryReport {
    let [canary] = <[CanaryReport; 1]>::try_from(report.canaries).expect("one entry");
    canary
}

fn headers(request: &Request) -> (Option<String>, Option<String>) {
    (request.header("x-canary"), request.header("x-canary-by"))
}

fn set(version: &str) -> (Option<String>, Option<String>) {
    (Some(version.to_owned()), Some("default/shop".to_owned()))
}

#[test]
fn without_a_plan_nothing_is_done() {
    let request = Request::new(&[("x-canary", "true"), ("x-user-id", CANARY_USER)]);
    let (request, report) = decided(r#"{"analyzer": {"cluster": "serin"}}"#, request);
    assert_eq!(headers(&request), (Some("true".to_owned()), None));
    assert_eq!((report.canaries.len(), report.plan_revision.0, report.interval_ms), (0, 0, 500));
}

#[test]
fn a_request_of_no_canary_is_left_alone() {
    let request = Request::new(&[(":authority", "other.example"), ("x-canary", "true"), ("x-user-id", "u")]);
    let (request, report) = decided(&configuration(&plan(1, 1, "")), request);
    assert_eq!(headers(&request), (Some("true".to_owned()), None));
    assert!(report.canaries.is_empty());
}

#[test]
fn a_user_gets_the_version_of_its_bucket() {
    for (user, version) in [(STABLE_USER, "false"), (CANARY_USER, "true")] {
        let (request, _) = decided(&configuration(&plan(1, 1, "")), Request::of(user));
        assert_eq!(headers(&request), set(version));
    }
}

#[test]
fn a_request_that_was_decided_on_its_way_is_kept_and_not_recorded_again() {
    let sent = [
        ("x-canary", "false"),
        ("x-canary-by", "default/shop"),
        ("x-serin-flags", "a=b"),
        ("x-user-id", "user2"),
    ];
    let (request, report) = decided(&sidecar(&plan(1, 1, "")), Request::new(&sent));
    assert_eq!(headers(&request), set("false"));
    assert_eq!(request.header("x-serin-flags").as_deref(), Some("a=b"));
    assert!(report.canaries.is_empty());
}

#[test]
fn at_the_edge_a_client_cannot_pass_for_another_filter() {
    let sent = [
        ("x-canary", "false"),
        ("x-canary-by", "default/shop"),
        ("x-serin-flags", "a=b"),
        ("x-serin-experiments", "a=b"),
        ("x-user-id", CANARY_USER),
    ];
    let never = plan(1, 1, r#", "manual": "Never""#);
    let (request, report) = decided(&configuration(&never), Request::new(&sent));
    assert_eq!(headers(&request), set("true"));
    assert_eq!(request.header("x-serin-flags"), None);
    assert_eq!(request.header("x-serin-experiments"), None);
    assert_eq!(only(report).misrouted, 1);
    let (request, _) = decided(r#"{"analyzer": {"cluster": "serin"}}"#, Request::new(&sent));
    assert_eq!(headers(&request), (Some("false".to_owned()), None));
}

#[test]
fn the_version_that_another_canary_chose_is_no_wish_of_the_client() {
    let sent = [("x-canary", "false"), ("x-canary-by", "default/cart"), ("x-user-id", CANARY_USER)];
    let (request, report) = decided(&sidecar(&plan(1, 1, "")), Request::new(&sent));
    assert_eq!(headers(&request), set("true"));
    assert_eq!(only(report).forced.stable.requests, 0);
}

#[test]
fn a_client_may_choose_by_hand_and_counts_as_forced() {
    for (value, forced) in [("true", (0, 1)), ("false", (1, 0))] {
        let request = Request::new(&[("x-canary", value), ("x-user-id", STABLE_USER)]).status(500);
        let (request, report) = decided(&configuration(&plan(1, 1, "")), request);
        assert_eq!(headers(&request), set(value));
        let entry = only(report);
        assert_eq!((entry.forced.stable.requests, entry.forced.canary.requests), forced);
        assert_eq!(entry.forced.stable.errors + entry.forced.canary.errors, 1);
        assert_eq!(entry.arms, CanaryReport::default().arms);
    }
}

#[test]
fn where_no_client_may_choose_its_wish_is_removed() {
    let never = plan(1, 1, r#", "manual": "Never""#);
    let (request, _) =
        decided(&configuration(&never), Request::new(&[("x-canary", "false"), ("x-user-id", CANARY_USER)]));
    assert_eq!(headers(&request), set("true"));
    let (request, report) = decided(&configuration(&never), Request::new(&[("x-canary", "true")]));
    assert_eq!(headers(&request), (None, None));
    assert_eq!(only(report).unassigned.stable.requests, 1);
}

#[test]
fn probes_and_bots_stay_on_stable() {
    let exclude = plan(1, 1, r#", "exclude": {"path_prefixes": ["/health"], "user_agents": ["Kube-Probe"]}"#);
    for header in [(":path", "/healthz?x"), ("user-agent", "Go kube-probe/1.30")] {
        let (request, report) =
            decided(&configuration(&exclude), Request::new(&[header, ("x-user-id", CANARY_USER)]));
        assert_eq!(headers(&request), set("false"));
        let entry = only(report);
        assert_eq!((entry.excluded, entry.arms.stable.requests + entry.arms.canary.requests), (1, 0));
    }
    let (request, _) = decided(&configuration(&exclude), Request::new(&[("x-user-id", CANARY_USER)]));
    assert_eq!(headers(&request), set("true"));
}

#[test]
fn a_request_without_a_unit_counts_under_the_version_that_served_it() {
    let served_by = |sent: &[(&str, &str)], cluster| {
        let (request, report) = decided(&configuration(&plan(1, 1, "")), Request::new(sent).by(cluster));
        assert_eq!(headers(&request), (None, None));
        only(report)
    };
    let served = served_by(&[], Some("shop-canary"));
    let elsewhere = served_by(&[("x-user-id", "")], Some("other"));
    let unserved = served_by(&[("x-canary", "maybe")], None);
    assert_eq!((served.unassigned.canary.requests, served.unassigned.stable.requests), (1, 0));
    assert_eq!((elsewhere.elsewhere, elsewhere.unassigned.canary.requests), (1, 0));
    assert_eq!((unserved.unserved, unserved.unassigned.canary.requests), (1, 0));
}

#[test]
fn the_traces_of_another_canary_are_removed_where_the_route_decides() {
    let sent = [("x-canary", "true"), ("x-canary-by", "default/cart")];
    let (request, _) = decided(&sidecar(&plan(1, 1, "")), Request::new(&sent));
    assert_eq!(headers(&request), (None, None));
}

#[test]
fn the_first_unit_source_that_yields_a_value_counts() {
    let two = plan(1, 1, "").replace(r#"{"header": "x-user-id"}"#, r#"{"header": "x-a"}, {"header": "X-B"}"#);
    let version = |sent: &[(&str, &str)]| {
        decided(&configuration(&two), Request::new(sent)).0.header("x-canary").expect("assigned")
    };
    assert_eq!(version(&[("x-a", STABLE_USER), ("x-b", CANARY_USER)]), "false");
    assert_eq!(version(&[("x-a", ""), ("x-b", CANARY_USER)]), "true");
}

#[test]
fn values_that_are_not_utf8_are_values() {
    let request = Request::of("x");
    // python3 -c "import hashlib; print(int(hashlib.md5(b'\xff\xfe\x80abc').hexdigest(), 16) % 10000)": 5835
    request.headers.borrow_mut().retain(|(name, _)| name != "x-user-id");
    for name in ["x-user-id", "x-canary", "user-agent"] {
        request.headers.borrow_mut().push((name.to_owned(), b"\xff\xfe\x80abc".to_vec()));
    }
    let exclude = plan(1, 1, r#", "exclude": {"user_agents": ["bot"]}"#).replace("3000", "4166");
    let (request, report) = decided(&configuration(&exclude), request);
    assert_eq!(headers(&request), set("true"));
    assert_eq!(only(report).arms.canary.seen.len(), 1);
}

#[test]
fn a_sidecar_asks_the_proxy_for_few_headers() {
    let (request, _) = decided(&sidecar(&plan(1, 1, "")), Request::of(CANARY_USER));
    let asked = request.asked.borrow();
    assert_eq!(*asked, [":authority", ":path", "x-canary-by", "x-canary", "x-user-id", ":method"]);
}

/// A plan with units from a header, a cookie and a token, in this order.
const UNITS: &str = r#""units": [{"header": "x-user-id"}, {"cookie": "uid"}, {"jwt": {"header": "authorization", "claim": "sub"}}]"#;

/// The usual plan with other units, or with one more field.
fn plan_with(field: &str) -> String {
    if field.starts_with("\"units\"") {
        return plan(1, 1, "").replace(r#""units": [{"header": "x-user-id"}]"#, field);
    }
    plan(1, 1, &format!(", {field}"))
}

/// An unsigned token whose subject is [`CANARY_USER`] or [`STABLE_USER`].
fn token(user: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let payload = format!("{{\"sub\":\"{user}\"}}");
    let mut text = String::from("Bearer e30.");
    for chunk in payload.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text + ".c2ln"
}

#[test]
fn a_header_a_cookie_and_a_token_are_asked_in_the_order_given() {
    let configuration = configuration(&plan_with(UNITS));
    let (canary, stable) = (format!("a=1; uid={CANARY_USER}"), format!("uid={STABLE_USER}"));
    let (canary_token, stable_token) = (token(CANARY_USER), token(STABLE_USER));
    for (sent, version) in [
        (vec![("cookie", canary.as_str())], "true"),
        (vec![("cookie", stable.as_str())], "false"),
        (vec![("authorization", canary_token.as_str())], "true"),
        (vec![("cookie", canary.as_str()), ("authorization", &stable_token)], "true"),
        (vec![("x-user-id", STABLE_USER), ("cookie", &canary)], "false"),
        (vec![("x-user-id", ""), ("cookie", "uid="), ("authorization", &canary_token)], "true"),
    ] {
        let (request, report) = decided(&configuration, Request::new(&sent));
        assert_eq!(headers(&request), set(version), "{sent:?}");
        assert_eq!(only(report).unassigned.stable.requests, 0);
    }
    let (request, _) =
        decided(&configuration, Request::new(&[("cookie", "uid"), ("authorization", "Bearer x")]));
    assert_eq!(headers(&request), (None, None));
}

/// A plan whose last unit is a cookie of the filter's own.
const ISSUED: &str =
    r#""units": [{"header": "x-user-id"}, {"issued_cookie": {"name": "serin-id", "max_age_s": 3600}}]"#;

/// The id and the rest of the cookie that a request's response sets.
fn issued(request: &Request) -> Option<(String, String)> {
    let added = request.added.borrow();
    assert!(added.len() <= 1, "{added:?}");
    let (name, cookie) = added.first()?;
    assert_eq!(name, "set-cookie");
    let (id, rest) =
        cookie.strip_prefix("serin-id=").and_then(|text| text.split_once("; ")).expect("a cookie");
    Some((id.to_owned(), rest.to_owned()))
}

#[test]
fn who_has_no_unit_is_given_one_and_keeps_its_version() {
    let configuration = configuration(&plan_with(ISSUED).replace("3000", "5000"));
    let proxy = Proxy::default();
    let agent = proxy.agent(&configuration);
    let mut versions = std::collections::BTreeMap::new();
    for _ in 0..60 {
        let first = Request::new(&[("cookie", "theme=dark")]);
        first.run(&proxy, &agent);
        let (id, rest) = issued(&first).expect("an id");
        assert_eq!((id.len(), rest.as_str()), (32, "Max-Age=3600; Path=/; HttpOnly; SameSite=Lax"));
        assert_eq!(first.header("cookie"), Some(format!("theme=dark; serin-id={id}")), "services see it too");
        let next = Request::new(&[("cookie", &format!("serin-id={id}"))]);
        next.run(&proxy, &agent);
        assert_eq!(issued(&next), None, "it is set once");
        assert_eq!(headers(&next), headers(&first));
        *versions.entry(headers(&first)).or_insert(0) += 1;
    }
    assert_eq!(versions.keys().cloned().collect::<Vec<_>>(), [set("false"), set("true")]);
    let known = Request::of(CANARY_USER);
    known.run(&proxy, &agent);
    assert_eq!(issued(&known), None, "who has a unit needs no cookie");
}

#[test]
fn an_issued_id_is_evidence_from_the_first_request_on() {
    let (_, report) = decided(&configuration(&plan_with(ISSUED)), Request::new(&[]));
    let entry = only(report);
    assert_eq!(entry.arms.stable.seen.len() + entry.arms.canary.seen.len(), 1);
    assert_eq!(entry.unassigned, CanaryReport::default().unassigned);
}

#[test]
fn an_issued_cookie_is_secure_where_the_request_came_over_tls() {
    for (header, secure) in [
        (("x-forwarded-proto", "https"), true),
        ((":scheme", "https"), true),
        (("x-forwarded-proto", "http"), false),
    ] {
        let (request, _) = decided(&configuration(&plan_with(ISSUED)), Request::new(&[header]));
        assert_eq!(issued(&request).expect("an id").1.ends_with("; Secure"), secure, "{header:?}");
    }
}

#[test]
fn a_response_never_gets_two_cookies_of_one_name() {
    let mut request = Request::new(&[]);
    request.response.push(("set-cookie", "a=b, serin-id=; Max-Age=0".to_owned()));
    let (request, _) = decided(&configuration(&plan_with(ISSUED)), request);
    assert_eq!(issued(&request), None);
}

#[test]
fn two_filters_in_a_row_agree_on_one_issued_id() {
    let gateway = configuration(&plan_with(ISSUED));
    let (request, _) = decided(&gateway, Request::new(&[]));
    let sidecar = sidecar(&plan_with(ISSUED).replace("default/shop", "default/cart"));
    let behind = Request { headers: request.headers.clone(), ..Request::new(&[]) };
    let (behind, report) = decided(&sidecar, behind);
    assert_eq!((issued(&request).is_some(), issued(&behind)), (true, None));
    assert_eq!(behind.header("x-canary-by").as_deref(), Some("default/cart"));
    assert_eq!(only(report).unassigned, CanaryReport::default().unassigned);
}

#[test]
fn who_is_outside_of_the_segment_gets_stable_and_is_no_evidence() {
    let segment = r#""segment": {"attributes": {"country": {"header": "X-Country"}, "beta": {"query": "beta"}},
        "rules": {"country": {"$in": ["US", "DE"]}, "beta": {"$ne": false}}}"#;
    let configuration = configuration(&plan_with(segment));
    let sent =
        |country, path| Request::new(&[("x-user-id", CANARY_USER), ("x-country", country), (":path", path)]);
    let (request, report) = decided(&configuration, sent("US", "/?beta=true"));
    assert_eq!((headers(&request), only(report).ineligible), (set("true"), 0));
    for (country, path) in [("UK", "/?beta=true"), ("US", "/?beta=false"), ("US", "/"), ("", "/?beta=true")] {
        let (request, report) = decided(&configuration, sent(country, path));
        let canary = only(report);
        assert_eq!((headers(&request), canary.ineligible), (set("false"), 1), "{country} {path}");
        assert_eq!(canary.arms.stable.requests + canary.arms.canary.requests, 0);
    }
}

#[test]
fn with_a_key_a_client_may_choose_and_no_service_sees_the_key() {
    // printf 'open sesame' | sha256sum
    let manual = r#""manual": {"WithKey": {"sha256": ["41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb"]}}"#;
    let configuration = configuration(&plan_with(manual));
    for (key, version, forced) in [("open sesame", "true", 1), ("sesame", "false", 0), ("", "false", 0)] {
        let sent = [("x-user-id", STABLE_USER), ("x-canary", "true"), ("x-canary-key", key)];
        let (request, report) = decided(&configuration, Request::new(&sent));
        assert_eq!(headers(&request), set(version), "{key}");
        assert_eq!(request.header("x-canary-key"), None);
        assert_eq!(only(report).forced.canary.requests, forced);
    }
}

#[test]
fn a_plan_with_a_wrong_unit_segment_or_key_is_refused() {
    for (fields, expected) in [
        (r#""units": [{"cookie": "a b"}]"#, "canaries[0].units[0]: `a b` is no cookie name"),
        (
            r#""units": [{"issued_cookie": {"name": "id"}}, {"cookie": "uid"}]"#,
            "canaries[0].units[0].issued_cookie: must be the last",
        ),
        (r#""units": [{"issued_cookie": {"name": "id", "max_age_s": 1}}]"#, "units[0]: a cookie of 1 s"),
        (r#""units": [{"jwt": {"header": "authorization", "claim": ""}}]"#, "units[0]: a claim has 1 to 256"),
        (
            r#""segment": {"attributes": {}, "rules": {"country": "US"}}"#,
            "segment.rules.country: `country` is not declared",
        ),
        (r#""manual": {"WithKey": {"sha256": []}}"#, "manual.WithKey.sha256: is empty"),
        (r#""manual": {"WithKey": {"sha256": ["open sesame"]}}"#, "manual.WithKey.sha256[0]: must be 64"),
    ] {
        let error =
            serin_contract::Plan::from_json(plan_with(fields).as_bytes()).expect_err(fields).to_string();
        assert!(error.contains(expected), "{error}\nshould contain\n{expected}");
    }
}
