//! Writing and reading weights.

use super::*;

#[test]
fn every_weighted_route_gets_the_share_and_nothing_else_changes() {
    let before = shop();
    let after = with_share(&before, 25.0);
    assert_eq!(weights(&after, 3), [Some(75), Some(25)]);
    assert_eq!(weights(&after, 5), [Some(60), Some(20), Some(20)]);
    assert_eq!(weights(&after, 7), [Some(25), Some(75)]);
    let mut expected = before;
    for (pointer, weight) in [("3/route/0", 75), ("3/route/1", 25), ("7/route/0", 25), ("7/route/1", 75)] {
        expected.pointer_mut(&format!("/spec/http/{pointer}")).expect("there")["weight"] = json!(weight);
    }
    assert_eq!(after, expected);
}

#[test]
fn the_patch_tests_the_version_and_each_destination_before_it_writes() {
    let object = service(json!([{ "route": [
        { "destination": { "host": "shop", "subset": "stable" }, "weight": 100 },
        { "destination": { "host": "shop", "subset": "canary" } },
    ]}]));
    let patch = set_share(&object, &subsets(), percent(5.0)).expect("weighted").expect("a change");
    let at = "/spec/http/0/route";
    let expected = json!([
        { "op": "test", "path": "/metadata/resourceVersion", "value": "1" },
        { "op": "test", "path": format!("{at}/0/destination/host"), "value": "shop" },
        { "op": "test", "path": format!("{at}/0/destination/subset"), "value": "stable" },
        { "op": "replace", "path": format!("{at}/0/weight"), "value": 95 },
        { "op": "test", "path": format!("{at}/1/destination/host"), "value": "shop" },
        { "op": "test", "path": format!("{at}/1/destination/subset"), "value": "canary" },
        { "op": "add", "path": format!("{at}/1/weight"), "value": 5 },
    ]);
    assert_eq!(serde_json::to_value(&patch).expect("JSON"), expected);
}

#[test]
fn a_patch_made_for_another_object_is_refused_as_a_whole() {
    let object = service(json!([weighted_route(100, 0)]));
    let patch = set_share(&object, &subsets(), percent(5.0)).expect("weighted").expect("a change");
    let patch: json_patch::Patch =
        serde_json::from_value(serde_json::to_value(&patch).expect("JSON")).expect("RFC 6902");
    for (pointer, foreign) in
        [("/metadata/resourceVersion", "2"), ("/spec/http/0/route/1/destination/subset", "other")]
    {
        let mut changed = object.clone();
        *changed.pointer_mut(pointer).expect("there") = json!(foreign);
        let before = changed.clone();
        assert!(json_patch::patch(&mut changed, &patch).is_err(), "{pointer}");
        assert_eq!(changed, before);
    }
}

#[test]
fn a_share_finer_than_a_percent_is_written_out_of_ten_thousand() {
    let object = service(json!([weighted_route(100, 0)]));
    for (share, expected) in
        [(12.5, [8750, 1250]), (0.01, [9999, 1]), (33.33, [6667, 3333]), (7.0, [93, 7]), (100.0, [0, 100])]
    {
        assert_eq!(weights(&with_share(&object, share), 0), expected.map(Some), "{share}");
    }
}

#[test]
fn a_third_destination_keeps_its_part_and_the_two_share_what_is_left() {
    let third = |stable: u64, third: u64, canary: u64| {
        service(json!([{ "route": [
            to("stable", json!(stable)), to("third", json!(third)), to("canary", json!(canary)),
        ]}]))
    };
    for (object, share, expected) in [
        (third(80, 20, 0), 25.0, [60, 20, 20]),
        (third(80, 20, 0), 12.5, [70, 20, 10]),
        // 12.55 % of 80 is no whole number: all three in twenty-fifths.
        (third(80, 20, 0), 12.55, [1749, 500, 251]),
        (third(1, 1, 0), 50.0, [1, 2, 1]),
        (third(50, 0, 50), 5.0, [95, 0, 5]),
    ] {
        let after = with_share(&object, share);
        assert_eq!(weights(&after, 0), expected.map(Some), "{share}");
    }
}

/// Found by scripts/fuzz: rounded to what fits, the weights would never be the share, and look like a brake.
#[test]
fn a_share_that_istio_could_not_hold_is_refused_and_weight_0_is_not() {
    let object = service(json!([{ "route": [
        to("stable", json!(2_000_000_001)), to("third", json!(100_000_000)), to("canary", json!(0)),
    ]}]));
    let refused = set_share(&object, &subsets(), percent(0.01)).expect_err("too large");
    let expected = "VirtualService market/shop: 0.01 % beside the other destinations needs weights that sum up to \
                    more than 2147483647 in spec.http[0]: write smaller weights there, as 80, 20 and 0";
    assert_eq!(refused.to_string(), expected);
    assert_eq!(set_share(&object, &subsets(), Share::NONE), Ok(None));
}

#[test]
fn what_stands_there_already_is_not_written_again() {
    for route in [weighted_route(95, 5), weighted_route(9500, 500), weighted_route(19, 1)] {
        assert_eq!(set_share(&service(json!([route])), &subsets(), percent(5.0)), Ok(None));
    }
    let absent = json!({ "route": [to("stable", json!(100)), to("canary", Value::Null)] });
    assert_eq!(set_share(&service(json!([absent])), &subsets(), Share::NONE), Ok(None));
}

#[test]
fn weights_that_istio_would_refuse_are_mended() {
    for route in [
        json!({ "route": [{ "destination": { "host": "shop", "subset": "stable" } },
                          { "destination": { "host": "shop", "subset": "canary" } }] }),
        weighted_route(0, 0),
        weighted_route(-5, 10),
    ] {
        assert_eq!(weights(&with_share(&service(json!([route])), 10.0), 0), [Some(90), Some(10)]);
    }
}

#[test]
fn hosts_are_the_same_in_short_and_in_full() {
    let mut route = weighted_route(100, 0);
    route["route"][1]["destination"]["host"] = json!("shop.market.svc.cluster.local");
    assert_eq!(weights(&with_share(&service(json!([route])), 5.0), 0), [Some(95), Some(5)]);
    route["route"][1]["destination"]["host"] = json!("shop.other.svc.cluster.local");
    assert!(set_share(&service(json!([route])), &subsets(), percent(5.0)).is_err());
}

#[test]
fn without_a_weighted_route_one_is_told_what_to_create() {
    let twice = json!({ "route": [
        to("stable", json!(50)), to("canary", json!(25)), to("canary", json!(25)),
    ]});
    for routes in [
        json!([]),
        json!([{ "route": [to("stable", json!(100))] }]),
        json!([{ "redirect": { "uri": "/" } }, { "delegate": { "name": "other" } }]),
        json!([twice]),
    ] {
        let told = set_share(&service(routes), &subsets(), percent(5.0)).expect_err("nothing").to_string();
        assert!(told.starts_with("VirtualService market/shop: no http route"), "{told}");
        assert!(told.ends_with("create a route with both, weights 100 and 0"), "{told}");
    }
    let tcp_only = json!({ "metadata": {}, "spec": { "tcp": [weighted_route(100, 0)] } });
    assert!(matches!(set_share(&tcp_only, &subsets(), percent(5.0)), Err(Problem::NoWeightedRoute { .. })));
}

#[test]
fn where_others_have_all_the_weight_a_share_is_refused_and_a_rollback_is_not() {
    let object = service(json!([{ "route": [
        to("stable", json!(0)), to("canary", json!(0)), to("third", json!(100)),
    ]}]));
    assert!(matches!(set_share(&object, &subsets(), percent(5.0)), Err(Problem::NothingLeft { .. })));
    assert_eq!(set_share(&object, &subsets(), Share::NONE), Ok(None));
}

#[test]
fn an_object_that_did_not_come_from_the_api_server_is_not_patched() {
    let mut object = service(json!([weighted_route(100, 0)]));
    object["metadata"] = json!({ "name": "shop" });
    let told = set_share(&object, &subsets(), percent(5.0)).expect_err("blind").to_string();
    assert!(told.contains("default/shop: there is no metadata.resourceVersion"), "{told}");
}

#[test]
fn what_routes_ask_for_is_seen_one_by_one() {
    let seen = observe(&with_share(&managed(&shop()), 25.0), &subsets()).expect("weighted");
    assert_eq!(seen.agreed(), Some(percent(25.0)));
    let places: Vec<(&str, &str)> =
        seen.routes.iter().map(|route| (route.name.as_str(), route.path.as_str())).collect();
    assert_eq!(places, [("checkout", "spec.http[8]"), ("search", "spec.http[10]"), ("", "spec.http[13]")]);
    let seen = observe(&shop(), &subsets()).expect("weighted");
    assert_eq!((seen.agreed(), seen.highest()), (None, Some(percent(25.0))));
    assert!(observe(&service(json!([])), &subsets()).is_err());
}

#[test]
fn a_lowered_weight_is_a_brake_and_a_raised_one_is_drift() {
    let drift = |routes: Value| observe(&service(routes), &subsets()).expect("weighted").drift(percent(20.0));
    let empty = json!({ "route": [to("stable", json!(0)), to("canary", json!(0)), to("third", json!(1))] });
    for (routes, expected) in [
        (json!([weighted_route(80, 20), weighted_route(8, 2), empty]), Drift::None),
        (json!([weighted_route(80, 20), weighted_route(50, 50)]), Drift::Raised(percent(50.0))),
        (json!([weighted_route(95, 5), weighted_route(50, 50)]), Drift::Lowered(percent(5.0))),
        // A third is more than 20 %, however little it is rounded.
        (json!([weighted_route(2, 1)]), Drift::Raised(percent(33.34))),
        (json!([empty]), Drift::None),
    ] {
        assert_eq!(drift(routes.clone()), expected, "{routes}");
    }
}
