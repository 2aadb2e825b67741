//! The API's document against the API: every route is in it, nothing else is, and real answers are as it
//! says.

mod common;

use common::web::{Watcher, send};
use common::{Running, folder};
use serde_json::{Map, Value};
use serin::api::{Shared, Tokens};
use serin::config::Configuration;
use serin::engine::Engine;
use serin::metrics::Metrics;
use serin::module::Module;
use serin::store::Redb;
use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn document(running: &Running) -> Value {
    let (code, body) = running.call("GET", "/v1/openapi.json", "", "").expect("an answer");
    assert_eq!(code, 200);
    serde_json::from_str(&body).expect("JSON")
}

fn paths(document: &Value) -> &Map<String, Value> {
    document["paths"].as_object().expect("paths")
}

/// The paths that a router knows. It has no other way to say them than its debug text.
async fn routed() -> BTreeSet<String> {
    let (folder, _) = folder("");
    let configuration = Configuration::load(&folder.path().join("serin.yaml")).expect("good");
    let server = configuration.server.clone();
    let store = Redb::open(&folder.path().join("serin.redb")).expect("opens");
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let engine = Engine::start(configuration, Arc::new(store), Arc::clone(&metrics), None).expect("starts");
    let module = Arc::new(Module::load(None).expect("loads"));
    let tokens = Arc::new(RwLock::new(Tokens::of(&server)));
    let router = serin::api::router(Shared::new(engine.clone(), metrics, module, tokens, false));
    let text = format!("{router:?}");
    engine.stop().await;
    // The fallback stands there too, as `/` and under a name of axum's own.
    let ours = |part: &&str| part.starts_with('/') && *part != "/" && !part.contains("__private");
    text.split('"').filter(ours).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_in_the_document_and_nothing_else_is() {
    let (folder, address) = folder("");
    let running = Running::start(folder.path(), address);
    let document = document(&running);
    let mut described: BTreeSet<String> = paths(&document).keys().cloned().collect();
    assert!(described.remove("/"), "the page");
    assert_eq!(described, routed().await);
    assert!(described.contains("/v1/report") && described.contains("/v1/openapi.json"), "{described:?}");
}

#[test]
fn each_path_takes_the_methods_that_the_document_says_and_no_others() {
    let (folder, address) = folder("");
    let running = Running::start(folder.path(), address);
    let document = document(&running);
    for (path, item) in paths(&document) {
        let real = path.replace("{namespace}", "default").replace("{name}", "shop");
        let real =
            real.replace("{deed}", "resume").replace("{file}", "filter.wasm").replace("{id}", "button");
        for method in METHODS {
            // Two described paths may be one for a request: `/{file}` and `/metrics` differ, `.../{deed}`
            // and `.../report` do not for a method that only the other has.
            let code = running.code(&method.to_uppercase(), &real, "", "");
            assert_eq!(code != 405, item.get(method).is_some(), "{method} {path}: {code}");
        }
    }
}

#[test]
fn every_call_says_how_it_fails_and_which_token_it_wants() {
    let (folder, address) = folder("");
    let running = Running::start(folder.path(), address);
    let document = document(&running);
    assert_eq!(document["openapi"].as_str().map(|version| &version[..4]), Some("3.1."));
    for (path, item) in paths(&document) {
        for (method, call) in
            item.as_object().expect("calls").iter().filter(|(key, _)| METHODS.contains(&key.as_str()))
        {
            let at = format!("{method} {path}");
            assert!(call["summary"].as_str().is_some_and(|text| !text.is_empty()), "{at} has no summary");
            let responses = call["responses"].as_object().expect("responses");
            let answer = if path == "/v1/live" { "101" } else { "200" };
            assert!(responses[answer]["content"].is_object(), "{at} has no answer");
            // OpenFeature's protocol has errors of its own.
            let own =
                |code: &str| path.starts_with("/ofrep/") && ["304", "400", "404", "503"].contains(&code);
            for (code, response) in responses.iter().filter(|(code, _)| *code != answer && !own(code)) {
                let schema = response.pointer("/content/application~1problem+json/schema/$ref");
                assert_eq!(
                    schema.and_then(Value::as_str),
                    Some("#/components/schemas/Problem"),
                    "{at} {code}"
                );
            }
            let open = ["/v1/openapi.json", "/v1/session"].contains(&path.as_str());
            let guarded = (path.starts_with("/v1/") || path.starts_with("/ofrep/")) && !open;
            assert_eq!(call["security"].is_array(), guarded, "{at}");
            let can_be_wrong = guarded || (path == "/v1/session" && method == "post");
            assert_eq!(responses.contains_key("401"), can_be_wrong, "{at}");
            assert_eq!(call["requestBody"].is_object(), method == "post" || method == "patch", "{at}");
        }
    }
    for role in ["report", "viewer", "operator"] {
        assert_eq!(document["components"]["securitySchemes"][role]["scheme"], "bearer");
    }
    resolve_all(&document, &document);
}

#[test]
fn a_wrong_or_missing_token_is_refused_on_every_call_that_wants_one() {
    let (folder, address) =
        folder(", reportTokenFile: token, viewerTokenFile: token, operatorTokenFile: token");
    std::fs::write(folder.path().join("token"), "a-token-of-all-roles-0123\n").expect("written");
    let running = Running::start(folder.path(), address);
    let document = document(&running);
    let mut asked = 0;
    for (path, item) in paths(&document) {
        let real =
            path.replace("{namespace}", "default").replace("{name}", "shop").replace("{deed}", "pause");
        let real = real.replace("{id}", "button");
        for method in METHODS.iter().filter(|method| item[**method]["security"].is_array()) {
            for token in ["", "a-token-of-all-roles-0124", "a-token-of-all-roles-01234"] {
                let (code, body) =
                    running.call(&method.to_uppercase(), &real, token, "{}").expect("an answer");
                assert_eq!(code, 401, "{method} {real} with `{token}`: {body}");
                asked += 1;
            }
        }
    }
    assert!(asked >= 3 * 7, "{asked} calls");
}

/// Every `$ref` leads somewhere.
fn resolve_all(document: &Value, part: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get("$ref") {
                assert!(document.pointer(&target[1..]).is_some(), "{target} leads nowhere");
            }
            fields.values().for_each(|field| resolve_all(document, field));
        }
        Value::Array(items) => items.iter().for_each(|item| resolve_all(document, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Holds a value against a schema, as far as these documents go. What is there and not described fails.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(target) = schema["$ref"].as_str() {
        return check(document, document.pointer(&target[1..]).expect("resolved"), value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let found = choices.iter().find(|choice| (choice["type"] == "null") == value.is_null());
        return check(document, found.unwrap_or_else(|| panic!("{at}: {value}")), value, at);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        Value::String(kind) => vec![kind],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return,
    };
    let fits = kinds.contains(&kind) || (kind == "integer" && kinds.contains(&"number"));
    assert!(fits, "{at}: {value} is not {kinds:?}");
    if let (Some(allowed), false) = (schema["enum"].as_array(), value.is_null()) {
        assert!(allowed.contains(value), "{at}: {value} is not among {allowed:?}");
    }
    match value {
        Value::Object(fields) => {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                assert!(fields.contains_key(name), "{at}.{name} is not there");
            }
            for (name, field) in fields {
                let named = schema["properties"].get(name);
                let described = named.or_else(|| schema.get("additionalProperties"));
                let described = described.unwrap_or_else(|| panic!("{at}.{name} is not described"));
                check(document, described, field, &format!("{at}.{name}"));
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                let tuple = schema["prefixItems"].get(place);
                check(document, tuple.unwrap_or(&schema["items"]), item, &format!("{at}[{place}]"));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn past_rollouts_are_there_with_their_samples(running: &Running, rollout: &Value) {
    let got = |rest: &str| {
        let (code, text) =
            running.call("GET", &format!("/v1/canaries/default/shop/{rest}"), "", "").expect("an answer");
        (code, serde_json::from_str::<Value>(&text).expect("JSON"))
    };
    let (started, ended) = (&rollout["started"], &rollout["ended"]);
    let (code, report) = got(&format!("report?rollout={started}"));
    assert_eq!((code, &report["started"], &report["kind"]), (200, started, &"rollback".into()));
    assert_eq!(got("report?rollout=1").0, 404);
    let (code, samples) = got(&format!("samples?from={started}&to={ended}&latency=false"));
    let samples = samples.as_array().expect("samples");
    assert!(code == 200 && !samples.is_empty(), "{samples:?}");
    assert!(samples[0].pointer("/versions/stable/latency").is_none() && samples[0]["timestamp"].is_u64());
    let (_, all) = got("samples?most=2000");
    assert!(all[0].pointer("/versions/stable/latency").is_some_and(Value::is_array), "{all}");
    let thin = got("samples?most=1").1.as_array().map_or(0, Vec::len);
    assert!((1..=2).contains(&thin), "{thin}");
    assert_eq!(got("samples?to=1").1, serde_json::json!([]));
    assert_eq!(got("samples?most=0").1["field"], "most");
    assert_eq!((got("samples?from=x").0, got("report?rollout=x").0), (400, 400));
}

type Answered<'a> = &'a dyn Fn(&str, &str, &str) -> (u16, Value);

fn experiments_are_as_the_document_says(answered: Answered<'_>) {
    let one = "/v1/experiments/{id}";
    let spec = r#"{"id": "button", "hosts": ["shop.example"], "units": [{"header": "x-user-id"}],
        "arms": [{"name": "control", "share": 50}, {"name": "treatment", "share": 50, "flags": {"button": "green"}}],
        "goals": [{"name": "purchase"}, {"name": "refund", "guardrail": "more"}]}"#;
    assert_eq!(answered("POST", "/v1/experiments", spec).0, 200);
    assert_eq!(answered("POST", "/v1/experiments", spec).0, 409);
    assert_eq!(answered("POST", "/v1/experiments", "{}").0, 422);
    for user in 0..20 {
        let who = format!(r#"{{"user": "u{user}", "attributes": {{}}}}"#);
        assert_eq!(answered("POST", "/v1/experiments/{id}/assign", &who).0, 200);
    }
    let events = r#"{"events": [{"experiment": "button", "user": "u1", "type": "conversion", "value": 12.5},
        {"experiment": "button", "user": "u1", "type": "custom", "name": "cart"}]}"#;
    assert_eq!(answered("POST", "/v1/events", events).0, 200);
    assert_eq!(answered("POST", "/v1/events", r#"{"events": []}"#).0, 422);
    assert_eq!(answered("GET", "/v1/experiments", "").0, 200);
    assert_eq!(answered("GET", one, "").0, 200);
    assert_eq!(answered("GET", "/v1/experiments/{id}/results", "").0, 200);
    assert_eq!(answered("GET", "/v1/experiments/{id}/report", "").0, 200);
    assert_eq!(answered("GET", "/v1/experiments/{id}/funnel", "").0, 422);
    assert_eq!(answered("GET", "/v1/experiments/{id}/series", "").0, 200);
    let change = r#"{"shares": {"control": 10, "treatment": 90}}"#;
    assert_eq!(answered("PATCH", one, change).0, 409);
    assert_eq!(answered("PATCH", one, &change.replace("}}", "}, \"acceptMoves\": true}")).0, 200);
    assert_eq!(answered("POST", "/v1/experiments/{id}/end", "{}").0, 200);
    assert_eq!(answered("POST", "/v1/experiments/{id}/end", "{}").0, 409);
    let (code, audit) = answered("GET", "/v1/audit", "");
    assert!(code == 200 && audit.as_array().is_some_and(|lines| lines.len() >= 6), "{audit}");
}

#[test]
fn real_answers_are_as_the_document_says() {
    let (folder, address) = folder("");
    let running = Running::start(folder.path(), address);
    let document = document(&running);
    let report = |sequence: u64, arms: &str| {
        format!(
            r#"{{"instance":"00000000000000ab","sequence":{sequence},"plan_revision":0,"node":"gw","interval_ms":500,
            "canaries":[{{"name":"default/shop","step":1,"stratum":1{arms}}}]}}"#
        )
    };
    let arms = r#","arms":{"stable":{"requests":2,"errors":1,"responses":[["GET",200,1],["GET",503,1]],
        "latency":[[214,2]],"overdue":0,"seen":["00000000000000aa"],"erred":[],"slow":[]},
        "canary":{"requests":1,"errors":0,"responses":[["GET",200,1]],"latency":[[215,1]]}}"#;
    let (canary, canaries) = ("/v1/canaries/{namespace}/{name}", "/v1/canaries");
    let samples = format!("{canary}/samples");
    let rollout_report = format!("{canary}/report");
    let rollouts = format!("{canary}/rollouts");
    let act = format!("{canary}/{{deed}}");
    let answered = |method: &str, path: &str, body: &str| {
        let real = path.replace("{namespace}", "default").replace("{name}", "shop");
        let real = real.replace("{deed}", "rollback").replace("{id}", "button");
        let (code, text) = running.call(method, &real, "", body).expect("an answer");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let content = if code < 300 { "application~1json" } else { "application~1problem+json" };
        let place = format!("/{}/responses/{code}/content/{content}/schema", method.to_lowercase());
        let schema = document["paths"][path].pointer(&place);
        let schema = schema.unwrap_or_else(|| panic!("{method} {path} {code} is not described: {text}"));
        check(&document, schema, &value, &format!("{method} {path} {code}"));
        (code, value)
    };
    assert_eq!(answered("GET", &rollout_report, "").0, 404);
    assert_eq!(answered("POST", "/v1/report", &report(1, "")).0, 200);
    running.until("the rollout has begun", || answered("GET", canary, "").1["phase"] == "Progressing");
    assert_eq!(answered("POST", "/v1/report", &report(2, arms)).0, 200);
    assert_eq!(answered("POST", "/v1/report", "{}").0, 422);
    assert_eq!(answered("GET", canaries, "").0, 200);
    assert_eq!(answered("GET", "/v1/filters", "").0, 200);
    running.until("there is a sample", || {
        answered("GET", &samples, "").1.as_array().is_some_and(|samples| !samples.is_empty())
    });
    assert_eq!(answered("GET", &rollout_report, "").1["kind"], "running");
    assert_eq!(answered("POST", &act, "{}").0, 422);
    assert_eq!(answered("POST", &act, r#"{"reason":"a test","by":"kim"}"#).0, 200);
    assert_eq!(answered("GET", &rollout_report, "").1["kind"], "rollback");
    let listed = answered("GET", &rollouts, "").1;
    assert_eq!(
        (&listed[0]["kind"], &listed[0]["canaryVersion"]),
        (&"rollback".into(), &"v2".into()),
        "{listed}"
    );
    past_rollouts_are_there_with_their_samples(&running, &listed[0]);
    experiments_are_as_the_document_says(&answered);
    let request =
        &document["paths"]["/v1/report"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    check(&document, request, &serde_json::from_str(&report(1, arms)).expect("JSON"), "report");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_views_frames_and_the_page_are_as_the_document_says() {
    let (folder, address) = folder("");
    let running = Running::start(folder.path(), address);
    let document = document(&running);
    let frame_schema = &document["components"]["schemas"]["LiveFrame"];
    running.report(1, "", 0, 0, "");
    let mut watcher = Watcher::join(address, &[]).await.expect("joins");
    let mut sampled = false;
    while !sampled {
        let frame = watcher.next().await.expect("a frame");
        check(&document, frame_schema, &frame, "frame");
        sampled = frame["samples"]["default/shop"].as_array().is_some_and(|samples| !samples.is_empty());
    }
    let page = send(address, "GET", "/", &[], "");
    assert_eq!((page.code, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(
        page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'"))
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(send(address, "GET", "/assets/none.js", &[], "").code, 404);
    let report = || send(address, "GET", "/v1/canaries/default/shop/report?format=html", &[], "");
    running.until("the rollout has begun", || report().code == 200);
    let report = report();
    let policy = report.header("content-security-policy").expect("a policy");
    assert!(!policy.contains("script"), "{policy}");
}
