//! A route's match list: alternatives, of which one must hold. What they ask of `x-canary`, and the same
//! list with `x-canary` asked for.

use super::routes::{list, text};
use serde_json::{Map, Value, json};
use serin_contract::headers::CANARY;

/// Whether a value satisfies a condition. A regular expression can be beyond us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    Unknown,
}

/// The alternatives of a route; none at all when it takes every request.
pub(super) fn alternatives(route: &Value) -> &[Value] {
    list(route, "/match")
}

/// What an alternative asks of the request's `x-canary`, if anything.
pub(super) fn condition(alternative: &Value) -> Option<&Value> {
    member(alternative, "headers")
}

/// Whether any alternative of this route asks for `x-canary`.
pub(super) fn asks_for_canary(route: &Value) -> bool {
    alternatives(route).iter().any(|alternative| condition(alternative).is_some())
}

/// Whether a value of `x-canary` satisfies Istio's StringMatch; an empty one asks for presence only.
pub(super) fn answer(condition: &Value, value: &str) -> Answer {
    let holds = if let Some(exact) = condition.get("exact").and_then(Value::as_str) {
        exact == value
    } else if let Some(prefix) = condition.get("prefix").and_then(Value::as_str) {
        value.starts_with(prefix)
    } else if let Some(regex) = condition.get("regex").and_then(Value::as_str) {
        return matches_regex(regex, value);
    } else {
        true
    };
    if holds { Answer::Yes } else { Answer::No }
}

/// Only what people write here: `.*`, `.+` and words with bars between them. Istio matches the whole value.
fn matches_regex(regex: &str, value: &str) -> Answer {
    let regex = regex.strip_prefix('^').unwrap_or(regex);
    let regex = regex.strip_suffix('$').unwrap_or(regex);
    let regex = regex.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(regex);
    if regex == ".*" || regex == ".+" {
        return Answer::Yes;
    }
    if !regex.chars().all(|c| c.is_ascii_alphanumeric() || c == '|') {
        return Answer::Unknown;
    }
    if regex.split('|').any(|word| word == value) { Answer::Yes } else { Answer::No }
}

/// The match list of a copy for one value of `x-canary`: every alternative with the header added. `None`
/// when no request with that value can reach the route.
///
/// An alternative that asks for `x-canary` by itself keeps its meaning. The value satisfies it: it is
/// narrowed to exactly this value. The value does not, or `withoutHeaders` excludes it: the alternative
/// could never hold in the copy and is left out. A regular expression that we cannot judge: left out too,
/// so that its requests go on to the user's own route, as they did.
pub(super) fn with_header(route: &Value, value: &str) -> Option<Vec<Value>> {
    let alternatives = alternatives(route);
    if alternatives.is_empty() {
        return Some(vec![json!({ "headers": { CANARY: { "exact": value } } })]);
    }
    let narrowed: Vec<Value> = alternatives
        .iter()
        .filter(|alternative| admits(alternative, value))
        .map(|a| narrow(a, value))
        .collect();
    (!narrowed.is_empty()).then_some(narrowed)
}

/// Whether requests with this value certainly satisfy what an alternative asks of `x-canary`.
pub(super) fn admits(alternative: &Value, value: &str) -> bool {
    let asked = condition(alternative).is_none_or(|condition| answer(condition, value) == Answer::Yes);
    let excluded = member(alternative, "withoutHeaders")
        .is_some_and(|condition| answer(condition, value) == Answer::Yes);
    asked && !excluded
}

fn narrow(alternative: &Value, value: &str) -> Value {
    let mut headers = headers_but_ours(alternative);
    headers.insert(CANARY.to_owned(), json!({ "exact": value }));
    let mut narrowed = alternative.as_object().cloned().unwrap_or_default();
    narrowed.insert("headers".to_owned(), Value::Object(headers));
    Value::Object(narrowed)
}

/// What an alternative asks beside `x-canary`. Its name, `null` and empty parts ask for nothing.
pub(super) fn remainder(alternative: &Value) -> Map<String, Value> {
    let mut rest = alternative.as_object().cloned().unwrap_or_default();
    rest.remove("name");
    rest.insert("headers".to_owned(), Value::Object(headers_but_ours(alternative)));
    rest.retain(|_, part| !part.is_null() && part.as_object().is_none_or(|part| !part.is_empty()));
    rest
}

/// Whether a route takes every request that carries this value of `x-canary`.
pub(super) fn takes_all(route: &Value, value: &str) -> bool {
    alternatives(route).is_empty()
        || alternatives(route)
            .iter()
            .any(|alternative| admits(alternative, value) && remainder(alternative).is_empty())
}

/// Whether no request can match both routes, as far as their paths tell. In doubt they are not.
pub(super) fn are_disjoint(one: &Value, other: &Value) -> bool {
    let (one, other) = (alternatives(one), alternatives(other));
    let apart = one.iter().all(|one| other.iter().all(|other| paths_are_disjoint(one, other)));
    !one.is_empty() && !other.is_empty() && apart
}

fn paths_are_disjoint(one: &Value, other: &Value) -> bool {
    let ignores_case = |alternative: &Value| alternative.get("ignoreUriCase") == Some(&Value::Bool(true));
    if ignores_case(one) || ignores_case(other) {
        return false;
    }
    let exact = |alternative| Some(text(alternative, "/uri/exact")).filter(|path| !path.is_empty());
    let prefix = |alternative| Some(text(alternative, "/uri/prefix")).filter(|path| !path.is_empty());
    match ((exact(one), prefix(one)), (exact(other), prefix(other))) {
        ((Some(one), _), (Some(other), _)) => one != other,
        ((Some(exact), _), (None, Some(prefix))) | ((None, Some(prefix)), (Some(exact), _)) => {
            !exact.starts_with(prefix)
        }
        ((None, Some(one)), (None, Some(other))) => !one.starts_with(other) && !other.starts_with(one),
        ((None, None), _) | (_, (None, None)) => false,
    }
}

/// The member for `x-canary` of an alternative's `headers` or `withoutHeaders`.
fn member<'a>(alternative: &'a Value, kind: &str) -> Option<&'a Value> {
    let headers = alternative.get(kind)?.as_object()?;
    headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(CANARY)).map(|(_, condition)| condition)
}

fn headers_but_ours(alternative: &Value) -> Map<String, Value> {
    let mut headers = alternative.get("headers").and_then(Value::as_object).cloned().unwrap_or_default();
    headers.retain(|name, _| !name.eq_ignore_ascii_case(CANARY));
    headers
}
