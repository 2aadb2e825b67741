//! Segments: the reference's operators, three values, and the words that refuse a wrong rule.

use proptest::prelude::*;
use serde_json::json;
use serin_contract::segment::{Rules, Value};

fn attributes(name: &str) -> Option<Value> {
    match name {
        "country" => Some(Value::Text("US".into())),
        "age" => Some(Value::Text(" 25 ".into())),
        "plan" => Some(Value::Text("premium".into())),
        "beta" => Some(Value::Text("true".into())),
        "score" => Some(Value::Number(2.5)),
        "staff" => Some(Value::Bool(false)),
        _ => None,
    }
}

fn matches(rules: &serde_json::Value) -> bool {
    Rules::compile(rules).expect("compiles").matches(&attributes)
}

#[test]
fn the_references_example_matches_and_another_country_does_not() {
    let rules = |country| json!({"country": country, "age": {"$gte": 18}, "plan": {"$in": ["premium", "enterprise"]}});
    assert!(matches(&rules("US")));
    assert!(!matches(&rules("UK")));
}

#[test]
fn every_operator_asks_what_it_says() {
    for (rule, expected) in [
        (json!({}), true),
        (json!({"age": 25}), true),
        (json!({"age": "25"}), false),
        (json!({"age": {"$gt": 24, "$lt": 26}}), true),
        (json!({"age": {"$gt": 24, "$lt": 25}}), false),
        (json!({"age": {"$lte": 25, "$gte": 25}}), true),
        (json!({"country": {"$gt": "UK"}}), true),
        (json!({"country": {"$nin": ["UK", "DE"]}}), true),
        (json!({"country": {"$nin": ["US"]}}), false),
        (json!({"country": {"$in": []}}), false),
        (json!({"country": {"$ne": "UK"}}), true),
        (json!({"beta": true}), true),
        (json!({"staff": {"$ne": true}}), true),
        (json!({"score": {"$gte": 2.5}}), true),
        (json!({"$or": [{"country": "UK"}, {"plan": "premium"}]}), true),
        (json!({"$and": [{"country": "UK"}, {"plan": "premium"}]}), false),
        (json!({"$not": {"country": "UK"}}), true),
        (json!({"$not": {"country": "US"}}), false),
    ] {
        assert_eq!(matches(&rule), expected, "{rule}");
    }
}

#[test]
fn what_is_missing_or_unreadable_is_no_match_whatever_is_asked() {
    for rule in [
        json!({"missing": 1}),
        json!({"missing": {"$ne": 1}}),
        json!({"missing": {"$nin": [1]}}),
        json!({"$not": {"missing": 1}}),
        json!({"$not": {"$or": [{"missing": 1}, {"country": "UK"}]}}),
        json!({"missing": {"$exists": true}}),
        json!({"country": {"$ne": 5}}),
        json!({"country": {"$gt": 5}}),
        json!({"country": {"$nin": [5, true]}}),
        json!({"staff": 1}),
    ] {
        assert!(!matches(&rule), "{rule}");
    }
    assert!(matches(&json!({"missing": {"$exists": false}})));
    assert!(matches(&json!({"$or": [{"missing": 1}, {"country": "US"}]})), "one yes is enough");
}

#[test]
fn wrong_rules_are_refused_with_their_path() {
    let deep = (0..9).fold(json!({"a": 1}), |rule, _| json!({"$not": rule}));
    let many: serde_json::Map<_, _> = (0..201).map(|i| (format!("a{i}"), json!(1))).collect();
    for (rule, expected) in [
        (json!([]), ".: must be an object of rules"),
        (json!({"age": {"$bigger": 1}}), "age.$bigger: `$bigger` is no operator: allowed are $gt"),
        (json!({"age": {}}), "age: asks nothing"),
        (json!({"age": null}), "age: must be text, a number, true or false"),
        (json!({"age": {"$gt": true}}), "age.$gt: must be text or a number"),
        (json!({"age": {"$in": 5}}), "age.$in: must be a list of at most 1000 values"),
        (json!({"age": {"$in": [1, []]}}), "age.$in[1]: must be text"),
        (json!({"age": {"$exists": 1}}), "age.$exists: must be true or false"),
        (json!({"$or": []}), "$or: must be a list of rules with at least one"),
        (json!({"$or": [{"a": 1}, {"$xor": []}]}), "$or[1].$xor: `$xor` is not known here"),
        (deep, "$not.$not.$not.$not.$not.$not.$not.$not: rules nest deeper than 8"),
        (many.into(), "a99: there are more than 200 rules"),
    ] {
        let error = Rules::compile(&rule).expect_err("refused").to_string();
        assert!(error.starts_with(expected), "{error}\nshould begin with\n{expected}");
    }
}

/// Any JSON, often with operators for keys.
fn anything() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-zA-Z0-9]{0,6}".prop_map(Into::into),
    ];
    let key = "country|age|missing|\\$(and|or|not|in|nin|gt|gte|lt|lte|ne|exists|x)";
    leaf.prop_recursive(10, 200, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(key, inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_compiles_can_be_asked(rule in anything()) {
        if let Ok(rules) = Rules::compile(&rule) {
            let told = rules.matches(&attributes);
            let denied = Rules::compile(&json!({"$not": rule}));
            prop_assert!(!(told && denied.is_ok_and(|denied| denied.matches(&attributes))), "both it and its opposite");
        }
    }
}
