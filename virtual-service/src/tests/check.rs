//! What `serin check` says of an Istio configuration.

use super::*;

/// Everything is in order here; the tests break one thing each.
fn rule() -> Value {
    json!({
        "metadata": { "name": "shop", "namespace": "market" },
        "spec": {
            "host": "shop",
            "trafficPolicy": { "connectionPool": { "tcp": { "maxConnections": 100 } } },
            "subsets": [
                { "name": "stable", "labels": { "version": "v1" } },
                { "name": "canary", "labels": { "version": "v2" } },
            ],
        },
    })
}

fn by_hand(value: &str, subset: &str) -> Value {
    json!({
        "match": [{ "headers": { "x-canary": { "exact": value } } }],
        "route": [{ "destination": { "host": "shop", "subset": subset } }],
        "timeout": "15s",
        "retries": { "attempts": 2 },
    })
}

fn by_weight() -> Value {
    let mut route = weighted_route(100, 0);
    route["timeout"] = json!("15s");
    route["retries"] = json!({ "attempts": 2 });
    route
}

fn findings(object: &Value, rules: Option<&[Value]>, managed: bool) -> Vec<Finding> {
    super::check(&Examined {
        virtual_service: object,
        destination_rules: rules,
        subsets: &subsets(),
        hosts: &["shop".to_owned()],
        managed,
        last: Share::ALL,
    })
}

/// The one finding about routes that nobody manages.
fn only(routes: Value, managed: bool) -> Finding {
    let object = service(routes);
    let found = findings(&object, Some(&[rule()]), managed);
    assert_eq!(found.len(), 1, "{object}: {found:?}");
    found[0].clone()
}

/// The findings about a DestinationRule that was changed at one place.
fn with_rule(pointer: &str, value: Value) -> Vec<String> {
    let mut rule = rule();
    *rule.pointer_mut(pointer).expect("there") = value;
    let found = findings(&service(json!([by_weight()])), Some(&[rule]), true);
    found.iter().map(ToString::to_string).collect()
}

fn assert_says(finding: &Finding, severity: Severity, field: &str, says: &str) {
    assert_eq!(finding.severity, severity, "{finding}");
    assert_eq!((finding.object.as_str(), finding.field.as_str()), ("VirtualService market/shop", field));
    assert!(finding.message.contains(says), "{finding}\nshould contain\n{says}");
}

#[test]
fn nothing_is_found_where_all_is_well() {
    let own = json!([by_hand("true", "canary"), by_hand("false", "stable"), by_weight()]);
    for (object, managed_routes) in [
        (service(json!([by_weight()])), true),
        (managed(&service(json!([by_weight()]))), true),
        (service(own.clone()), false),
        (managed(&service(own)), true),
    ] {
        assert_eq!(findings(&object, Some(&[rule()]), managed_routes), []);
        assert_eq!(findings(&object, None, managed_routes), []);
    }
}

#[test]
fn a_missing_weighted_route_is_an_error() {
    let found = only(json!([{ "route": [to("stable", json!(100))] }]), true);
    assert_says(&found, Severity::Error, "spec.http", "create a route with both, weights 100 and 0");
}

#[test]
fn weights_that_istio_refuses_are_errors() {
    for (route, field, says) in [
        (weighted_route(-1, 101), "spec.http[0].route[0].weight", "-1 is no weight"),
        (weighted_route(0, 0), "spec.http[0].route", "Istio refuses: give the stable subset 100"),
        (weighted_route(2_147_483_647, 1), "spec.http[0].route", "more than Istio can hold"),
    ] {
        assert_says(&only(json!([route]), true), Severity::Error, field, says);
    }
    let fraction = json!({ "route": [to("stable", json!(99.5)), to("canary", json!(1))] });
    assert_says(
        &only(json!([fraction]), true),
        Severity::Error,
        "spec.http[0].route[0].weight",
        "99.5 is no",
    );
}

#[test]
fn destinations_beside_the_two_are_pointed_out() {
    let route = |stable: u64| {
        json!([{ "route": [
            to("stable", json!(stable)), to("canary", json!(0)), to("third", json!(20)),
        ]}])
    };
    let found = only(route(80), true);
    assert_says(&found, Severity::Warning, "spec.http[0].route", "assigned users never reach them");
    let found = only(route(0), true);
    assert_says(&found, Severity::Error, "spec.http[0].route", "nothing to share");
    let twice = json!({ "route": [to("stable", json!(1)), to("canary", json!(1)), to("canary", json!(1))] });
    let found = only(json!([twice, by_weight()]), true);
    assert_says(&found, Severity::Error, "spec.http[0].route", "keep one of each");
}

#[test]
fn one_release_of_two_services_is_pointed_out() {
    let text = by_weight().to_string().replace("\"shop\"", "\"blog\"");
    let mut blog: Value = serde_json::from_str(&text).expect("JSON");
    blog["match"] = json!([{ "uri": { "prefix": "/blog" } }]);
    let found = findings(&service(json!([blog, by_weight()])), None, true);
    assert_says(&found[0], Severity::Warning, "spec.http", "blog.market.svc.cluster.local, shop.market");
}

#[test]
fn routes_by_header_are_missed_only_where_nobody_manages_them() {
    assert_eq!(findings(&service(json!([by_weight()])), Some(&[rule()]), true), []);
    let found = findings(&service(json!([by_weight()])), Some(&[rule()]), false);
    assert_eq!(found.len(), 2);
    assert_says(
        &found[0],
        Severity::Error,
        "spec.http[0]",
        "sends `x-canary: \"true\"` (exact) to subset canary",
    );
    assert_says(
        &found[1],
        Severity::Error,
        "spec.http[0]",
        "sends `x-canary: \"false\"` (exact) to subset stable",
    );
    let found = only(json!([by_hand("true", "canary"), by_weight()]), false);
    assert_says(&found, Severity::Error, "spec.http[1]", "\"false\"");
}

#[test]
fn a_route_by_header_must_be_reached_and_lead_to_its_version() {
    let found = only(json!([by_hand("false", "stable"), by_weight(), by_hand("true", "canary")]), false);
    assert_says(&found, Severity::Error, "spec.http[2]", "stands below spec.http[1]");
    let routes = json!([by_hand("false", "stable"), by_hand("true", "stable"), by_weight()]);
    let found = only(routes.clone(), false);
    assert_says(&found, Severity::Error, "spec.http[1]", "does not lead to subset canary of shop alone");
    assert_eq!(only(routes, true).severity, Severity::Warning);
}

#[test]
fn a_route_by_header_must_cover_every_alternative() {
    let mut weighted = by_weight();
    weighted["match"] = json!([{ "uri": { "prefix": "/a" } }, { "uri": { "prefix": "/b" } }]);
    let mut part = by_hand("true", "canary");
    part["match"][0]["uri"] = json!({ "prefix": "/b" });
    let found = only(json!([part, by_hand("false", "stable"), weighted]), false);
    assert_says(&found, Severity::Error, "spec.http[2]", "(exact) for match[0] to subset canary");
}

#[test]
fn a_route_by_header_that_serves_otherwise_is_a_warning() {
    let mut by_true = by_hand("true", "canary");
    by_true.as_object_mut().expect("a route").remove("retries");
    by_true["timeout"] = json!("1s");
    by_true["fault"] = json!({ "abort": {} });
    let routes = json!([by_true, by_hand("false", "stable"), by_weight()]);
    let found = only(routes.clone(), false);
    assert_says(
        &found,
        Severity::Warning,
        "spec.http[0]",
        "is not served like spec.http[2]: it lacks retries, adds fault, differs in timeout;",
    );
    let found = only(routes.clone(), true);
    assert!(
        found.message.ends_with("(Serin's own route stands above it while the Canary exists)"),
        "{found}"
    );
    // The places are those of the object that people see, with Serin's routes in it.
    let found = findings(&managed(&service(routes)), Some(&[rule()]), true);
    assert_says(&found[0], Severity::Warning, "spec.http[2]", "not served like spec.http[4]");
}

#[test]
fn headers_of_a_destination_count_too() {
    let mut weighted = by_weight();
    weighted["route"][1]["headers"] = json!({ "response": { "set": { "x-version": "2" } } });
    let routes = json!([by_hand("true", "canary"), by_hand("false", "stable"), weighted]);
    assert_says(&only(routes, false), Severity::Warning, "spec.http[0]", "it lacks route[0].headers;");
}

#[test]
fn hosts_that_the_canary_does_not_name_are_pointed_out() {
    let mut object = service(json!([by_weight()]));
    for (hosts, canary, expected) in [
        (json!(["shop", "shop.example"]), "shop", Some((Severity::Warning, "spec.hosts[1]"))),
        (json!(["shop.example"]), "shop", Some((Severity::Error, "spec.hosts[0]"))),
        (json!(["shop.market.svc.cluster.local"]), "shop", None),
        (json!(["shop"]), "shop.market.svc.cluster.local", None),
        (json!(["shop.example"]), "*.example", None),
        (json!(["*.example"]), "shop.example", None),
        (json!(["*.eu.example"]), "*.example", None),
        (json!(["*"]), "shop", None),
        (json!(["shop.exampl"]), "*.example", Some((Severity::Error, "spec.hosts[0]"))),
        (Value::Null, "shop", None),
    ] {
        object["spec"]["hosts"] = hosts.clone();
        let found = super::super::check(&Examined {
            virtual_service: &object,
            destination_rules: None,
            subsets: &subsets(),
            hosts: &[canary.to_owned()],
            managed: true,
            last: Share::ALL,
        });
        let found: Vec<(Severity, &str)> =
            found.iter().map(|finding| (finding.severity, finding.field.as_str())).collect();
        assert_eq!(found, Vec::from_iter(expected), "{hosts} {canary}");
    }
}

#[test]
fn subsets_must_exist_and_tell_pods_apart() {
    let object = service(json!([by_weight()]));
    let mut foreign = rule();
    foreign["metadata"]["namespace"] = json!("other");
    for rules in [vec![], vec![foreign]] {
        let found = findings(&object, Some(&rules), true);
        assert_says(&found[0], Severity::Error, "spec.http", "no DestinationRule defines the subsets");
    }
    let path = "error: DestinationRule market/shop: spec.subsets";
    for (pointer, value, expected) in [
        ("/spec/subsets/1/name", json!("v2"), format!("{path}: there is no subset canary")),
        ("/spec/subsets/0/name", json!("v1"), format!("{path}: there is no subset stable")),
        ("/spec/subsets/1/labels", json!({}), format!("{path}[1].labels: subset canary has no labels")),
        (
            "/spec/subsets/1/labels/version",
            json!("v1"),
            format!("{path}[1].labels: the subsets stable and canary"),
        ),
    ] {
        let found = with_rule(pointer, value);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&expected), "{}\nshould begin with\n{expected}", found[0]);
    }
    // Istio merges the rules of one host, and takes wildcards.
    let (mut one, mut other) = (rule(), rule());
    one["spec"]["subsets"].as_array_mut().expect("a list").remove(1);
    other["spec"]["subsets"].as_array_mut().expect("a list").remove(0);
    other["spec"]["host"] = json!("*.market.svc.cluster.local");
    assert_eq!(findings(&object, Some(&[one, other]), true), []);
}

#[test]
fn a_cap_that_the_last_share_overflows_is_a_warning() {
    let object = service(json!([by_weight()]));
    let capped = |connections: u64, last: Share| {
        let mut rule = rule();
        rule["spec"]["subsets"][1]["trafficPolicy"] =
            json!({ "connectionPool": { "tcp": { "maxConnections": connections } } });
        let found = super::super::check(&Examined {
            virtual_service: &object,
            destination_rules: Some(&[rule]),
            subsets: &subsets(),
            hosts: &["shop".to_owned()],
            managed: true,
            last,
        });
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let field = "connectionPool.tcp.maxConnections";
    let found = capped(50, Share::ALL);
    assert_eq!(
        found,
        [format!(
            "warning: DestinationRule market/shop: spec.subsets[1].trafficPolicy.{field}: is 50 for subset \
             canary, and is 100 for stable: the ramp's last share of 100 % would overflow it, and its requests \
             would wait or fail: raise it to at least 100"
        )]
    );
    assert_eq!(capped(50, percent(50.0)), [""; 0]);
    assert_eq!(capped(100, Share::ALL), [""; 0]);
    assert_eq!(capped(0, Share::ALL), [""; 0], "0 is no limit to Istio");
    // The rule's cap holds for both; a pool of stable's own replaces it as a whole.
    let unlimited = json!({ "name": "stable", "labels": { "version": "v1" },
        "trafficPolicy": { "connectionPool": { "http": { "http2MaxRequests": 1 } } } });
    let found = with_rule("/spec/subsets/0", unlimited);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains(&format!("spec.trafficPolicy.{field}: is 100 for subset canary")),
        "{}",
        found[0]
    );
    assert!(found[0].contains("has no limit for stable"), "{}", found[0]);
}

#[test]
fn a_cap_of_one_port_counts_and_inherits_nothing() {
    let object = service(json!([by_weight()]));
    let port =
        |pool: Value| json!({ "portLevelSettings": [{ "port": { "number": 80 }, "connectionPool": pool }] });
    let found = |stable: Value, canary: Value| {
        let mut rule = rule();
        rule["spec"]["subsets"][0]["trafficPolicy"] = stable;
        rule["spec"]["subsets"][1]["trafficPolicy"] = canary;
        let found = findings(&object, Some(&[rule]), true);
        found.into_iter().map(|finding| finding.field).collect::<Vec<_>>()
    };
    let (hundred, fifty) =
        (json!({ "tcp": { "maxConnections": 100 } }), json!({ "tcp": { "maxConnections": 50 } }));
    let field = "spec.subsets[1].trafficPolicy.portLevelSettings[0].connectionPool.tcp.maxConnections";
    assert_eq!(found(port(hundred.clone()), port(fifty.clone())), [field]);
    // Stable's cap is then the rule's.
    assert_eq!(found(Value::Null, port(fifty)), [field]);
    assert_eq!(found(port(hundred.clone()), port(hundred.clone())), [""; 0]);
    // A port's settings without a pool have no limit; the canary keeps the rule's.
    let bare = json!({ "portLevelSettings": [{ "port": { "number": 80 } }] });
    assert_eq!(found(bare, Value::Null), ["spec.trafficPolicy.connectionPool.tcp.maxConnections"]);
}

#[test]
fn the_fixtures_findings_are_these() {
    let found = findings(&shop(), Some(&[rule()]), true);
    let [third, checkout, search, rest, host] = &found[..] else { panic!("{found:?}") };
    assert_says(third, Severity::Warning, "spec.http[5].route", "has further destinations");
    assert_says(
        checkout,
        Severity::Warning,
        "spec.http[1]",
        "served like spec.http[3]: it lacks corsPolicy and ",
    );
    assert_says(
        search,
        Severity::Warning,
        "spec.http[1]",
        "served like spec.http[5]: it lacks mirror and mirror",
    );
    assert_says(rest, Severity::Warning, "spec.http[1]", "served like spec.http[7]: it differs in timeout;");
    assert_says(host, Severity::Warning, "spec.hosts[1]", "no host of the Canary matches shop.example");
}
