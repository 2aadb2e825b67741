//! Experiments on a real Envoy: created by the API, assigned in the data path, counted over a restart of the
//! analyzer, ended.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use serin_tests::analyzer::{CanaryConfig, Filter};
use serin_tests::http::{Answer, Client};
use serin_tests::wait;
use serin_tests::world::{World, WorldOptions};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

const USERS: u32 = 2_000;
/// How many users are under way at one time.
const CLIENTS: u32 = 8;
const ONE: &str = "/v1/experiments/button";

async fn world() -> Result<World> {
    let canary = CanaryConfig { promotion_interval: "5m".to_owned(), ..CanaryConfig::default() };
    World::start(WorldOptions { canary, envoys: vec![2], ..WorldOptions::default() }).await
}

fn experiment(id: &str) -> Value {
    json!({"id": id, "hosts": ["shop.example"], "units": [{"header": "x-user-id"}], "keep": {"cookie": "arm"},
        "arms": [{"name": "control", "share": 50}, {"name": "treatment", "share": 50, "flags": {"button": "green"}}],
        "goals": [{"name": "purchase", "response": {"methods": ["POST"], "pathPrefix": "/checkout"}},
            {"name": "signup"}]})
}

fn number(filter: &Filter, field: &str) -> u64 {
    filter.more[field].as_u64().unwrap_or_else(|| panic!("{field} of {} is no number", filter.node))
}

/// How many reports each filter has sent, by its instance.
async fn reports(world: &World) -> Result<BTreeMap<String, u64>> {
    let filters = world.analyzer.api().filters().await?;
    Ok(filters.iter().map(|filter| (filter.instance.clone(), number(filter, "sequence"))).collect())
}

/// Waits until every filter has sent two more reports.
async fn two_reports_more(world: &World) -> Result<()> {
    let before = reports(world).await?;
    wait::until("two more reports of each filter", Duration::from_secs(30), || async {
        let now = reports(world).await?;
        let sent = before.iter().all(|(id, before)| now.get(id).is_some_and(|now| *now >= before + 2));
        ensure!(sent, "{before:?}, now {now:?}");
        Ok(())
    })
    .await
}

/// Waits until every filter follows the plan that is published now; each does by its second report from now.
async fn two_reports_later(world: &World) -> Result<()> {
    let api = world.analyzer.api();
    let metrics = api.metrics().await?;
    let revision = metrics.lines().find_map(|line| line.strip_prefix("serin_plan_revision "));
    // A gauge is written as a float is.
    let revision =
        revision.and_then(|text| text.parse::<f64>().ok()).context("no plan in the metrics")? as u64;
    let before = reports(world).await?;
    wait::until("all filters to follow the new plan", Duration::from_secs(30), || async {
        let filters = api.filters().await?;
        for filter in &filters {
            let reports =
                before.get(&filter.instance).map_or(0, |before| number(filter, "sequence") - before);
            let follows = number(filter, "planRevision") >= revision;
            assert!(reports < 2 || follows, "after {reports} reports {} has not got the plan", filter.node);
        }
        ensure!(filters.iter().all(|filter| number(filter, "planRevision") >= revision), "{filters:?}");
        Ok(())
    })
    .await
}

/// One request of a user; `more` are further headers.
async fn ask(at: &At, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let mut all = vec![("host", "shop.example")];
    all.extend(headers);
    at.client.send(at.target, method, path, &all, "".into()).await
}

/// Where users ask.
#[derive(Clone)]
struct At {
    client: Client,
    target: SocketAddr,
}

impl At {
    fn of(world: &World) -> Self {
        Self { client: Client::default(), target: world.targets()[0] }
    }
}

fn told(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

async fn results(world: &World) -> Result<Value> {
    world.analyzer.api().call(Method::GET, &format!("{ONE}/results"), &json!({})).await
}

/// One visit: a page, and by the user's number a purchase or a sign-up. Answers the user's arm.
async fn visit(at: &At, user: u32) -> Result<String> {
    let id = format!("user{user}");
    let who = [("x-user-id", id.as_str())];
    let answer = ask(at, Method::GET, "/", &who).await?;
    let told = told(&answer);
    let arm = told["experiments"].as_str().with_context(|| format!("{id} has no arm: {told}"))?.to_owned();
    let flags = told["flags"].as_str();
    assert_eq!(flags, (arm == "button=treatment").then_some("button=green"), "{arm}");
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.starts_with("arm=1.")));
    if user.is_multiple_of(4) {
        let answer = ask(at, Method::POST, "/checkout/7", &who).await?;
        assert_eq!(answer.status, 200);
    }
    if user.is_multiple_of(5) {
        let said = [("x-user-id", id.as_str()), ("x-test-goal", "signup=2.5, unknown")];
        let answer = ask(at, Method::GET, "/", &said).await?;
        assert_eq!(answer.header("x-serin-goal"), None, "a goal has reached the client");
    }
    Ok(arm)
}

/// Every user visits once; `begun` counts them. Answers each user's arm.
async fn round(at: &At, begun: &Arc<AtomicU32>) -> BTreeMap<u32, String> {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (at, begun) = (at.clone(), begun.clone());
        clients.spawn(async move {
            let mut arms = Vec::new();
            loop {
                let user = begun.fetch_add(1, Ordering::Relaxed);
                if user >= USERS {
                    return arms;
                }
                arms.push((user, visit(&at, user).await.unwrap()));
            }
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

/// What was counted: users exposed, users with each goal, events of each, the sum of values.
fn totals(results: &Value) -> [f64; 6] {
    let of = |goal, field| sum(results, goal, field);
    let (purchase, signup) = (Some("purchase"), Some("signup"));
    [
        of(None, "exposures"),
        of(purchase, "converted"),
        of(purchase, "events"),
        of(signup, "converted"),
        of(signup, "events"),
        of(signup, "sum"),
    ]
}

fn sum(results: &Value, goal: Option<&str>, field: &str) -> f64 {
    let variants = results["variants"].as_object().expect("arms");
    let of = |variant: &Value| match goal {
        Some(goal) => variant["goals"][goal][field].as_f64(),
        None => variant[field].as_f64(),
    };
    variants.values().map(|variant| of(variant).expect("a number")).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_experiment_lives_in_the_path_and_its_totals_are_exact_over_a_restart() {
    let mut world = world().await.unwrap();
    let (api, at) = (world.analyzer.api().clone(), At::of(&world));
    api.call(Method::POST, "/v1/experiments", &experiment("button")).await.unwrap();
    two_reports_later(&world).await.unwrap();

    // Every user comes twice; while the first half is there for the first time the analyzer dies.
    let begun = Arc::new(AtomicU32::new(0));
    let load = tokio::spawn({
        let (at, begun) = (at.clone(), begun.clone());
        async move { round(&at, &begun).await }
    });
    wait::until("half of the users to have come", Duration::from_secs(60), || async {
        let users = begun.load(Ordering::Relaxed);
        ensure!(users >= USERS / 2, "{users}");
        Ok(())
    })
    .await
    .unwrap();
    world.analyzer.kill9().unwrap();
    let arms = load.await.unwrap();
    world.analyzer.restart().await.unwrap();
    assert_eq!(round(&at, &Arc::default()).await, arms, "users have moved");

    let [users, buyers, signups] = [USERS, USERS / 4, USERS / 5].map(f64::from);
    let expected = [users, buyers, 2.0 * buyers, signups, 2.0 * signups, 2.0 * signups * 2.5];
    wait::until("everything to be counted", Duration::from_secs(60), || async {
        let found = totals(&results(&world).await?);
        ensure!(found == expected, "{found:?} of {expected:?}");
        Ok(())
    })
    .await
    .unwrap();
    // Nothing comes twice either.
    two_reports_more(&world).await.unwrap();
    let found = results(&world).await.unwrap();
    assert_eq!(totals(&found), expected);
    assert_eq!(found["sample_ratio"]["mismatch"], false);

    // The API gives each user the arm of the filter, and counts nobody a second time.
    for (user, arm) in arms.iter().take(50) {
        let who = json!({"user": format!("user{user}")});
        let assigned = api.call(Method::POST, &format!("{ONE}/assign"), &who).await.unwrap();
        assert_eq!(
            (format!("button={}", assigned["arm"].as_str().unwrap()), assigned["new"].clone()),
            (arm.clone(), json!(false))
        );
    }
    assert_eq!(totals(&results(&world).await.unwrap()), expected);

    // Ended, it leaves the path; what it counted stays.
    api.call(Method::POST, &format!("{ONE}/end"), &json!({})).await.unwrap();
    two_reports_later(&world).await.unwrap();
    let answer = ask(&at, Method::GET, "/", &[("x-user-id", "user1")]).await.unwrap();
    assert!(told(&answer)["experiments"].is_null() && answer.header("set-cookie").is_none());
    assert_eq!(totals(&results(&world).await.unwrap()), expected);
}

/// The US, 25, premium user gets an arm and the UK one none; so does nobody who misses a rule.
async fn the_references_segment_is_the_same_by_filter_and_api(world: &World, at: &At) {
    let api = world.analyzer.api();
    let mut spec = experiment("paying");
    spec["keep"] = json!({"cookie": "paying"});
    spec["segment"] = json!({
        "attributes": {"country": {"header": "x-country"}, "age": {"query": "age"}, "plan": {"cookie": "plan"}},
        "rules": {"country": "US", "age": {"$gte": 18}, "plan": {"$in": ["premium", "enterprise"]}},
    });
    api.call(Method::POST, "/v1/experiments", &spec).await.unwrap();
    two_reports_later(world).await.unwrap();
    let cases = [
        ("US", "25", "premium", true),
        ("UK", "25", "premium", false),
        ("US", "17", "premium", false),
        ("US", "25", "free", false),
    ];
    for (place, (country, age, plan, takes_part)) in cases.into_iter().enumerate() {
        let user = format!("payer{place}");
        let cookie = format!("plan={plan}");
        let headers = [("x-user-id", user.as_str()), ("x-country", country), ("cookie", cookie.as_str())];
        let answer = ask(at, Method::GET, &format!("/?age={age}"), &headers).await.unwrap();
        let told = told(&answer)["experiments"].as_str().unwrap_or_default().to_owned();
        let arm = told.split(';').find_map(|arm| arm.strip_prefix("paying="));
        let age: u32 = age.parse().unwrap();
        let who = json!({"user": user, "attributes": {"country": country, "age": age, "plan": plan}});
        let assigned = api.call(Method::POST, "/v1/experiments/paying/assign", &who).await.unwrap();
        assert_eq!(
            (arm.is_some(), assigned["arm"].as_str()),
            (takes_part, arm),
            "{country} {age} {plan}: {told}"
        );
    }
    api.call(Method::POST, "/v1/experiments/paying/end", &json!({})).await.unwrap();
    two_reports_later(world).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filter_and_api_agree_with_pythons_md5_and_a_kept_arm_outlives_a_change_of_shares() {
    let world = world().await.unwrap();
    let (api, at) = (world.analyzer.api().clone(), At::of(&world));
    let salts = [("button", ""), ("salted", "default/canary-demo/v2:")];
    for (id, salt) in salts {
        let mut spec = experiment(id);
        spec["salt"] = json!(salt);
        spec["keep"]["cookie"] = json!(id);
        api.call(Method::POST, "/v1/experiments", &spec).await.unwrap();
    }
    two_reports_later(&world).await.unwrap();
    let vectors: Value =
        serde_json::from_str(include_str!("../../contract/tests/vectors/assignment.json")).unwrap();
    let vectors = vectors["units"].as_array().unwrap();
    for vector in vectors {
        let unit = vector["unit"].as_str().unwrap();
        let (id, _) = salts.into_iter().find(|(_, salt)| vector["salt"] == *salt).expect("a known salt");
        // An empty value is no user.
        let expected = (!unit.is_empty())
            .then(|| if vector["bucket"].as_u64().unwrap() < 5_000 { "control" } else { "treatment" });
        let told = told(&ask(&at, Method::GET, "/", &[("x-user-id", unit)]).await.unwrap());
        let arms = told["experiments"].as_str().unwrap_or_default().split(';');
        let arm = arms.filter_map(|arm| arm.split_once('=')).find(|(name, _)| *name == id);
        assert_eq!(arm.map(|(_, arm)| arm), expected, "{id}, `{unit}`: {told}");
        let path = format!("/v1/experiments/{id}/assign");
        let assigned = api.call(Method::POST, &path, &json!({"user": unit})).await;
        match expected {
            Some(expected) => assert_eq!(assigned.unwrap()["arm"], expected, "{id}, `{unit}`"),
            None => assert!(assigned.unwrap_err().to_string().contains("\"field\":\"user\""), "{id}"),
        }
    }
    assert_eq!(vectors.len(), 106);
    api.call(Method::POST, "/v1/experiments/salted/end", &json!({})).await.unwrap();
    the_references_segment_is_the_same_by_filter_and_api(&world, &at).await;

    // user1's bucket is 3245: control at halves, treatment at 1 to 99.
    let answer = ask(&at, Method::GET, "/", &[("x-user-id", "user1")]).await.unwrap();
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let change = json!({"shares": {"control": 1, "treatment": 99}});
    let changed = api.call(Method::PATCH, ONE, &change).await.unwrap();
    assert_eq!(changed["persistence"]["inFilters"], false);
    two_reports_later(&world).await.unwrap();
    let kept = [("x-user-id", "user1"), ("cookie", cookie.as_str())];
    let answer = ask(&at, Method::GET, "/", &kept).await.unwrap();
    assert_eq!(told(&answer)["experiments"], "button=control");
    let answer = ask(&at, Method::GET, "/", &[("x-user-id", "user1")]).await.unwrap();
    assert_eq!(told(&answer)["experiments"], "button=treatment");
}
