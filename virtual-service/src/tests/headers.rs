//! Managed routes for `x-canary`.

use super::*;

fn user_route(value: &str, subset: &str) -> Value {
    json!({
        "name": format!("by-hand-{value}"),
        "match": [{ "headers": { "x-canary": { "exact": value } } }],
        "route": [{ "destination": { "host": "shop", "subset": subset } }],
    })
}

fn other(name: &str, path: &str) -> Value {
    json!({
        "name": name,
        "match": [{ "uri": { "prefix": path } }],
        "route": [{ "destination": { "host": name } }],
    })
}

fn named(mut route: Value, name: &str, path: &str) -> Value {
    route["name"] = json!(name);
    route["match"] = json!([{ "uri": { "prefix": path } }]);
    route
}

fn find<'a>(object: &'a Value, name: &str) -> &'a Value {
    http(object).iter().find(|route| text(route, "/name") == name).expect(name)
}

#[test]
fn each_weighted_route_gets_a_copy_for_true_and_one_for_false() {
    let after = managed(&shop());
    // The last copy for "false" stands below /blog, which would lose requests to it; those with "true" the
    // user's own route takes from /blog anyway.
    let expected = [
        "legal",
        "serin-canary-checkout",
        "serin-stable-checkout",
        "serin-canary-search",
        "serin-stable-search",
        "serin-canary-3",
        "beta",
        "",
        "checkout",
        "admin",
        "search",
        "v1",
        "serin-stable-3",
        "canary",
    ];
    assert_eq!(names(&after), expected);
}

#[test]
fn a_copy_keeps_everything_but_name_matches_and_destinations() {
    let (before, after) = (shop(), managed(&shop()));
    for (name, subset, value) in
        [("serin-canary-checkout", "canary", "true"), ("serin-stable-checkout", "stable", "false")]
    {
        let mut expected = before["spec"]["http"][3].clone();
        expected["name"] = json!(name);
        expected["match"][0]["headers"] = json!({ "x-canary": { "exact": value } });
        expected["match"][1]["headers"]["x-canary"] = json!({ "exact": value });
        expected["route"] = json!([{
            "destination": { "host": "shop", "subset": subset, "port": { "number": 8080 } },
            "headers": { "response": { "set": { "x-version": subset } } },
        }]);
        assert_eq!(find(&after, name), &expected);
    }
}

#[test]
fn a_route_without_matches_gets_one_alternative_with_only_the_header() {
    for matches in [Value::Null, json!([])] {
        let mut route = weighted_route(100, 0);
        route["match"] = matches;
        let after = managed(&service(json!([route])));
        assert_eq!(names(&after), ["serin-canary-1", "serin-stable-1", "stable"]);
        assert_eq!(
            after["spec"]["http"][0],
            json!({
                "name": "serin-canary-1",
                "match": [{ "headers": { "x-canary": { "exact": "true" } } }],
                "route": [{ "destination": { "host": "shop", "subset": "canary" } }],
            })
        );
    }
}

#[test]
fn managed_routes_stand_above_the_users_own() {
    let object =
        service(json!([user_route("false", "stable"), user_route("true", "canary"), weighted_route(100, 0)]));
    let expected = ["serin-canary-1", "serin-stable-1", "by-hand-false", "by-hand-true", "stable"];
    assert_eq!(names(&managed(&object)), expected);
}

#[test]
fn managed_routes_take_no_request_from_a_route_to_something_else() {
    // `static` would lose its requests with x-canary, were the copies at the top.
    let object = service(json!([
        named(weighted_route(100, 0), "api", "/api"),
        other("static", "/static"),
        weighted_route(100, 0),
    ]));
    let expected = [
        "serin-canary-api",
        "serin-stable-api",
        "api",
        "static",
        "serin-canary-2",
        "serin-stable-2",
        "stable",
    ];
    assert_eq!(names(&managed(&object)), expected);
    // Paths that cannot meet are no hindrance, and neither is a route that gets no such request anyway:
    // here the user's own route takes every "true".
    let object =
        service(json!([user_route("true", "canary"), other("static", "/static"), weighted_route(1, 0)]));
    let expected = ["serin-canary-1", "by-hand-true", "static", "serin-stable-1", "stable"];
    assert_eq!(names(&managed(&object)), expected);
    let object = service(json!([
        user_route("true", "canary"),
        other("static", "/static"),
        named(weighted_route(1, 0), "api", "/api"),
    ]));
    let expected = ["serin-canary-api", "serin-stable-api", "by-hand-true", "static", "api"];
    assert_eq!(names(&managed(&object)), expected);
}

#[test]
fn a_route_by_header_to_another_service_keeps_its_requests() {
    let mut blog = user_route("true", "canary");
    blog["route"][0]["destination"]["host"] = json!("blog");
    let after = managed(&service(json!([blog, weighted_route(100, 0)])));
    assert_eq!(names(&after), ["by-hand-true", "serin-canary-1", "serin-stable-1", "stable"]);
}

#[test]
fn what_stands_there_is_not_written_again() {
    for object in [shop(), service(json!([weighted_route(100, 0)]))] {
        let after = managed(&object);
        assert_ne!(after, object);
        assert_eq!(manage(&after, &subsets()), Ok(None));
        // Nor does a share change the copies.
        assert_eq!(manage(&with_share(&after, 12.5), &subsets()), Ok(None));
    }
}

#[test]
fn a_change_of_the_weighted_route_reaches_its_copies_alone() {
    let mut object = managed(&shop());
    let place = http(&object).iter().position(|route| text(route, "/name") == "checkout").expect("there");
    object["spec"]["http"][place]["timeout"] = json!("3s");
    let patch = manage(&object, &subsets()).expect("weighted").expect("a change");
    let replaced: Vec<&str> = patch
        .operations()
        .iter()
        .filter_map(|operation| match operation {
            Operation::Replace { path, .. } => Some(path.as_str()),
            Operation::Test { .. } => None,
            Operation::Add { .. } | Operation::Remove { .. } => panic!("{operation:?}"),
        })
        .collect();
    assert_eq!(replaced, ["/spec/http/1", "/spec/http/2"]);
    let after = applied(&object, Some(patch));
    assert_eq!(find(&after, "serin-canary-checkout")["timeout"], "3s");
    assert_eq!(find(&after, "serin-stable-checkout")["timeout"], "3s");
}

#[test]
fn missing_moved_and_stale_copies_are_set_right() {
    let good = managed(&service(json!([
        named(weighted_route(1, 0), "api", "/api"),
        named(weighted_route(1, 0), "web", "/web"),
    ])));
    let list = http(&good).to_vec();
    assert_eq!(list.len(), 6);
    // Each one missing; two swapped; one at the end; a stale one of a route that is gone.
    let mut broken: Vec<Vec<Value>> = (0..4)
        .map(|gone| {
            list.iter().enumerate().filter(|(index, _)| *index != gone).map(|(_, r)| r.clone()).collect()
        })
        .collect();
    let mut swapped = list.clone();
    swapped.swap(0, 3);
    let mut last = list.clone();
    let first = last.remove(0);
    last.push(first);
    let mut stale = list.clone();
    stale.insert(2, {
        let mut route = list[0].clone();
        route["name"] = json!("serin-canary-gone");
        route
    });
    broken.extend([swapped, last, stale]);
    for routes in broken {
        let mut object = good.clone();
        object["spec"]["http"] = json!(routes);
        assert_eq!(managed(&object), good, "from {:?}", names(&object));
    }
    // A copy that is missing is added, and the others stay untouched.
    let mut object = good.clone();
    object["spec"]["http"] = json!(list[1..].to_vec());
    let patch = manage(&object, &subsets()).expect("weighted").expect("a change");
    let expected = json!([
        { "op": "test", "path": "/metadata/resourceVersion", "value": "1" },
        { "op": "add", "path": "/spec/http/0", "value": list[0] },
    ]);
    assert_eq!(serde_json::to_value(patch).expect("JSON"), expected);
}

#[test]
fn restoring_removes_exactly_our_routes_and_leaves_all_weight_on_stable() {
    let before = shop();
    let after = restored(&with_share(&managed(&before), 45.0));
    let mut expected = before.clone();
    for (pointer, weight) in [("3/route/1", 0), ("5/route/0", 80), ("5/route/2", 0)] {
        expected.pointer_mut(&format!("/spec/http/{pointer}")).expect("there")["weight"] = json!(weight);
    }
    assert_eq!(after, expected);
    assert_eq!(restore(&after, &subsets()), Ok(None));
}

#[test]
fn restoring_works_when_the_weighted_route_is_gone() {
    let mut object = managed(&service(json!([weighted_route(100, 0), other("blog", "/blog")])));
    object["spec"]["http"].as_array_mut().expect("a list").remove(2);
    assert_eq!(names(&restored(&object)), ["blog"]);
    assert!(manage(&object, &subsets()).is_err());
}

#[test]
fn the_direct_rollback_leads_the_true_routes_to_stable() {
    let object = with_share(&managed(&shop()), 25.0);
    let patch = roll_back_directly(&object, &subsets()).expect("weighted");
    let after = applied(&object, patch);
    assert_eq!(observe(&after, &subsets()).expect("weighted").agreed(), Some(Share::NONE));
    let copy = find(&after, "serin-canary-checkout");
    assert_eq!(copy["route"], find(&after, "serin-stable-checkout")["route"]);
    assert_eq!(copy["match"][0]["headers"]["x-canary"]["exact"], "true");
    assert_eq!(roll_back_directly(&after, &subsets()), Ok(None));
    assert_eq!(managed(&after), managed(&with_share(&object, 0.0)));
    // Who keeps his own routes gets none of ours.
    let plain = service(json!([weighted_route(75, 25)]));
    let after = applied(&plain, roll_back_directly(&plain, &subsets()).expect("weighted"));
    assert_eq!(after, service(json!([weighted_route(100, 0)])));
}

#[test]
fn weights_and_routes_can_change_in_one_write() {
    let object = shop();
    let change = Change { share: Some(percent(5.0)), header_routes: HeaderRoutes::Managed };
    let both = applied(&object, patch(&object, &subsets(), change).expect("weighted"));
    assert_eq!(both, managed(&with_share(&object, 5.0)));
}

#[test]
fn an_alternative_that_asks_for_x_canary_itself_keeps_its_meaning() {
    let mut route = weighted_route(100, 0);
    route["match"] = json!([
        { "name": "satisfied by true", "uri": { "prefix": "/a" }, "headers": { "X-Canary": { "prefix": "t" } } },
        { "name": "present", "headers": { "x-canary": {}, "x-tier": { "exact": "gold" } } },
        { "name": "absent", "uri": { "prefix": "/c" }, "withoutHeaders": { "x-canary": {} } },
        { "name": "not true", "uri": { "prefix": "/d" }, "withoutHeaders": { "x-canary": { "exact": "true" } } },
        { "name": "either", "uri": { "prefix": "/e" }, "headers": { "x-canary": { "regex": "^(true|false)$" } } },
        { "name": "who knows", "uri": { "prefix": "/f" }, "headers": { "x-canary": { "regex": "t.*e" } } },
    ]);
    let after = managed(&service(json!([route])));
    let kept = |name: &str| -> Vec<String> {
        let list = find(&after, name)["match"].as_array().expect("a list").clone();
        list.iter().map(|alternative| text(alternative, "/name").to_owned()).collect()
    };
    assert_eq!(kept("serin-canary-1"), ["satisfied by true", "present", "either"]);
    assert_eq!(kept("serin-stable-1"), ["present", "not true", "either"]);
    assert_eq!(
        find(&after, "serin-canary-1")["match"][0],
        json!({ "name": "satisfied by true", "uri": { "prefix": "/a" }, "headers": { "x-canary": { "exact": "true" } } })
    );
    // A weighted route for the canary's header alone needs no copy for stable.
    let mut route = weighted_route(100, 0);
    route["match"] = json!([{ "headers": { "x-canary": { "exact": "true" } } }]);
    assert_eq!(names(&managed(&service(json!([route])))), ["serin-canary-1", "stable"]);
}

#[test]
fn two_weighted_routes_of_one_name_get_copies_of_two_names() {
    let object = service(json!([
        named(weighted_route(1, 0), "api", "/v1"),
        named(weighted_route(1, 0), "api", "/v2"),
    ]));
    let expected =
        ["serin-canary-api", "serin-stable-api", "serin-canary-api-2", "serin-stable-api-2", "api", "api"];
    assert_eq!(names(&managed(&object)), expected);
}

#[test]
fn another_canarys_managed_routes_are_not_ours() {
    let blog = json!({ "name": "blog", "match": [{ "uri": { "prefix": "/blog" } }], "route": [
        { "destination": { "host": "blog", "subset": "v1" }, "weight": 100 },
        { "destination": { "host": "blog", "subset": "v2" }, "weight": 0 },
    ]});
    let theirs = PerArm { stable: "v1".to_owned(), canary: "v2".to_owned() };
    let plain = service(json!([blog, weighted_route(100, 0)]));
    let both = applied(&plain, manage(&plain, &theirs).expect("weighted"));
    let both = managed(&both);
    let expected =
        ["serin-canary-blog", "serin-stable-blog", "blog", "serin-canary-1", "serin-stable-1", "stable"];
    assert_eq!(names(&both), expected);
    assert_eq!(manage(&both, &theirs), Ok(None));
    assert_eq!(manage(&both, &subsets()), Ok(None));
    assert_eq!(names(&restored(&both)), ["serin-canary-blog", "serin-stable-blog", "blog", "stable"]);
}

#[test]
fn copies_follow_a_subset_that_was_renamed() {
    let mut object = managed(&service(json!([weighted_route(100, 0)])));
    let weighted = http(&object).len() - 1;
    object["spec"]["http"][weighted]["route"][1]["destination"]["subset"] = json!("v2");
    let renamed = PerArm { stable: "stable".to_owned(), canary: "v2".to_owned() };
    let after = applied(&object, manage(&object, &renamed).expect("weighted"));
    assert_eq!(names(&after), ["serin-canary-1", "serin-stable-1", "stable"]);
    assert_eq!(find(&after, "serin-canary-1")["route"][0]["destination"]["subset"], "v2");
}

#[test]
fn copies_stand_in_the_order_of_their_weighted_routes() {
    // The second could climb over /ab, the first could not; above it, its copies would take POST /a/x.
    let mut beta = user_route("true", "canary");
    beta["match"][0]["uri"] = json!({ "prefix": "/ab/beta" });
    let mut first = named(weighted_route(1, 0), "post", "/a");
    first["match"][0]["method"] = json!({ "exact": "POST" });
    let second = named(weighted_route(1, 0), "x", "/a/x");
    let after = managed(&service(json!([beta, other("ab", "/ab"), first, second])));
    let expected = [
        "by-hand-true",
        "ab",
        "serin-canary-post",
        "serin-stable-post",
        "serin-canary-x",
        "serin-stable-x",
        "post",
        "x",
    ];
    assert_eq!(names(&after), expected);
}
