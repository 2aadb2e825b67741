//! Properties over generated route lists: what comes back when Serin goes, and who serves a request.

use super::*;
use proptest::prelude::*;
use serin_contract::headers::CANARY;

const PATHS: [&str; 4] = ["/", "/a", "/a/b", "/c"];
const VALUES: [Option<&str>; 4] = [None, Some("true"), Some("false"), Some("maybe")];

fn path() -> impl Strategy<Value = Value> {
    (any::<bool>(), prop::sample::select(PATHS.to_vec()))
        .prop_map(|(exact, path)| if exact { json!({ "exact": path }) } else { json!({ "prefix": path }) })
}

/// What an alternative may ask of `x-canary`.
fn condition() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({ "exact": "true" }),
        json!({ "exact": "false" }),
        json!({ "prefix": "t" }),
        json!({}),
    ])
}

fn alternative() -> impl Strategy<Value = Value> {
    let maybe = |strategy| prop::option::weighted(0.25, strategy);
    (prop::option::weighted(0.7, path()), maybe(condition()), maybe(condition())).prop_map(
        |(uri, with, without)| {
            let mut alternative = json!({});
            if let Some(uri) = uri {
                alternative["uri"] = uri;
            }
            if let Some(condition) = with {
                alternative["headers"] = json!({ CANARY: condition });
            }
            if let Some(condition) = without {
                alternative["withoutHeaders"] = json!({ CANARY: condition });
            }
            alternative
        },
    )
}

fn destination(host: &'static str, subset: &'static str) -> impl Strategy<Value = Value> {
    (0..120_u32, prop::bool::weighted(0.8)).prop_map(move |(weight, given)| {
        let mut entry = json!({ "destination": { "host": host, "subset": subset } });
        if given {
            entry["weight"] = json!(weight);
        }
        entry
    })
}

/// Destinations in both of our subsets, now and then with a third beside them.
fn both() -> impl Strategy<Value = Value> {
    let pair = (destination("shop", "stable"), destination("shop", "canary")).prop_map(|(s, c)| vec![s, c]);
    let three = (destination("shop", "canary"), destination("else", "v1"), destination("shop", "stable"))
        .prop_map(|(c, e, s)| vec![c, e, s]);
    prop_oneof![3 => pair, 1 => three].prop_map(Value::Array)
}

fn targets() -> impl Strategy<Value = Value> {
    let one =
        prop_oneof![destination("shop", "stable"), destination("shop", "canary"), destination("blog", "v1")];
    prop_oneof![both(), one.prop_map(|entry| json!([entry]))]
}

fn route(targets: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let matches = prop::collection::vec(alternative(), 0..3);
    let name = prop::option::of(prop::sample::select(vec!["api", "web"]));
    (matches, targets, 0..1000_u32, name).prop_map(|(matches, route, seconds, name)| {
        let mut rule = json!({ "route": route, "timeout": format!("{seconds}s") });
        if !matches.is_empty() {
            rule["match"] = json!(matches);
        }
        if let Some(name) = name {
            rule["name"] = json!(name);
        }
        rule
    })
}

/// VirtualServices with at least one weighted route.
fn objects() -> impl Strategy<Value = Value> {
    let some = || prop::collection::vec(route(targets()), 0..4);
    (some(), route(both()), some()).prop_map(|(above, weighted, below)| {
        service(above.into_iter().chain([weighted]).chain(below).collect())
    })
}

fn shares() -> impl Strategy<Value = Share> {
    prop_oneof![0..=10_000_u16, (0..=100_u16).prop_map(|percent| percent * 100)]
        .prop_map(|points| Share::from_basis_points(points).expect("a share"))
}

/// Istio's StringMatch, written down again and not taken from the code under test.
fn holds(condition: &Value, value: Option<&str>) -> bool {
    let Some(value) = value else { return false };
    match (condition.get("exact"), condition.get("prefix")) {
        (Some(exact), _) => exact == value,
        (None, Some(prefix)) => value.starts_with(prefix.as_str().expect("a prefix")),
        (None, None) => true,
    }
}

/// The route that Envoy would choose: the first of which an alternative holds.
fn chosen<'a>(object: &'a Value, path: &str, value: Option<&str>) -> Option<&'a Value> {
    let takes = |alternative: &Value| {
        let uri = alternative.get("uri").is_none_or(|uri| holds(uri, Some(path)));
        let of = |kind: &str| alternative.get(kind).and_then(|headers| headers.get(CANARY)).cloned();
        uri && of("headers").is_none_or(|condition| holds(&condition, value))
            && !of("withoutHeaders").is_some_and(|condition| holds(&condition, value))
    };
    http(object).iter().find(|route| match route.get("match") {
        Some(alternatives) => alternatives.as_array().expect("a list").iter().any(takes),
        None => true,
    })
}

fn without_weights(object: &Value) -> Value {
    let mut object = object.clone();
    for route in object["spec"]["http"].as_array_mut().expect("routes") {
        for entry in route["route"].as_array_mut().expect("destinations") {
            entry.as_object_mut().expect("an entry").remove("weight");
        }
    }
    object
}

fn is_weighted(route: &Value) -> bool {
    matches!(routes::split(0, route, &subsets(), "market"), routes::Split::Weighted(_))
}

proptest! {
    #[test]
    fn shares_and_restoring_change_nothing_but_weights(
        object in objects(),
        ramp in prop::collection::vec(shares(), 1..4),
    ) {
        let mut now = managed(&object);
        for share in ramp {
            match set_share(&now, &subsets(), share) {
                Ok(patch) => now = applied(&now, patch),
                Err(Problem::NothingLeft { .. }) => {}
                Err(other) => prop_assert!(false, "{other}"),
            }
            prop_assert_eq!(manage(&now, &subsets()), Ok(None));
        }
        let after = restored(&now);
        prop_assert_eq!(without_weights(&after), without_weights(&object));
        prop_assert_eq!(restore(&after, &subsets()), Ok(None));
        let seen = observe(&after, &subsets()).expect("weighted");
        prop_assert!(seen.highest().is_none_or(|share| share == Share::NONE));
    }

    #[test]
    fn a_share_is_exact_and_others_keep_their_part(object in objects(), share in shares()) {
        let Ok(patch) = set_share(&object, &subsets(), share) else { return Ok(()) };
        let after = applied(&object, patch);
        prop_assert_eq!(set_share(&after, &subsets(), share), Ok(None));
        let part = |object: &Value, index: usize, host: &str| {
            let all = weights(object, index).into_iter().map(Option::unwrap_or_default);
            let ours: i64 = routes::list(object, &format!("/spec/http/{index}/route"))
                .iter()
                .zip(all.clone())
                .filter(|(entry, _)| text(entry, "/destination/host") == host)
                .map(|(_, weight)| weight)
                .sum();
            (ours, all.sum::<i64>())
        };
        for observed in observe(&after, &subsets()).expect("weighted").routes {
            prop_assert!(observed.share().is_none_or(|seen| seen == share), "{observed:?}");
        }
        for index in 0..http(&object).len() {
            let (before, after) = (part(&object, index, "else"), part(&after, index, "else"));
            prop_assert_eq!(before.0 * after.1, after.0 * before.1);
        }
    }

    #[test]
    fn managed_routes_pin_whom_they_should_and_nobody_else(object in objects()) {
        let after = managed(&object);
        for (path, value) in PATHS.into_iter().flat_map(|path| VALUES.map(|value| (path, value))) {
            let (was, is) = (chosen(&object, path, value), chosen(&after, path, value));
            let arm = match value {
                Some("true") => &subsets().canary,
                Some("false") => &subsets().stable,
                Some(_) | None => {
                    prop_assert_eq!(was, is, "{} {:?}", path, value);
                    continue;
                }
            };
            let (Some(was), Some(is)) = (was, is) else {
                prop_assert_eq!(was, is);
                continue;
            };
            if is_weighted(was) {
                // The same route, pinned.
                let entries = is["route"].as_array().expect("a list");
                prop_assert_eq!(entries.len(), 1, "{} {:?} {}", path, value, is);
                prop_assert_eq!(&text(&entries[0], "/destination/subset"), arm);
                prop_assert_eq!(&is["timeout"], &was["timeout"], "{} {:?}", path, value);
            } else if was != is {
                // Only the user's own routes for the header give way, and only to ours.
                prop_assert!(was.to_string().contains(CANARY) && text(was, "/route/0/destination/host") == "shop");
                prop_assert!(text(is, "/name").starts_with("serin-"));
            }
        }
    }
}
