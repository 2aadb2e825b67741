//! The kind Experiment on a real control plane: what the API server refuses and with which words, and one
//! experiment from `kubectl apply` into the gateway's filter, through a change of shares, to its end.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use serin_contract::AssignedUnit;
use serin_tests::http::{Answer, Client};
use serin_tests::mesh::{HOST, Mesh, MeshOptions, Reference, conditions};
use serin_tests::wait;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const BUTTON: Reference<'static> =
    Reference { api_version: "serin.dev/v1alpha1", kind: "Experiment", namespace: "default", name: "button" };
const ONE: &str = "/v1/experiments/button";

fn arms(a: f64, b: f64) -> Value {
    json!([{"name": "control", "share": a},
        {"name": "treatment", "share": b, "flags": {"button": "green", "size": 2, "new": true}}])
}

/// An Experiment with these fields in others' place; null takes one away.
fn experiment(name: &str, namespace: &str, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "Experiment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "hypothesis": "A green button sells more", "hosts": [HOST], "units": [{"header": "x-user-id"}],
            "arms": arms(50.0, 50.0),
            "goals": [{"name": "purchase", "response": {"methods": ["POST"], "pathPrefix": "/checkout"}},
                {"name": "refund", "guardrail": "more"}],
        },
    });
    for (field, value) in spec.as_object().expect("fields") {
        if value.is_null() {
            object["spec"].as_object_mut().expect("a spec").remove(field);
        } else {
            object["spec"][field] = value.clone();
        }
    }
    object
}

/// What the API server refuses at once: what is wrong, and a part of its words.
fn refused() -> Vec<(Value, &'static str)> {
    let arm = |name: &str, share: f64| json!({"name": name, "share": share});
    let many: Vec<Value> = (0..21).map(|place| arm(&format!("arm{place}"), 100.0 / 25.0)).collect();
    let twice = json!([{"name": "a"}, {"name": "a"}]);
    vec![
        (json!({"arms": null}), "spec.arms: Required value"),
        (json!({"arms": [arm("a", 100.0)]}), "spec.arms in body should have at least 2 items"),
        (json!({"arms": many}), "must have at most 20 items"),
        (json!({"arms": arms(50.0, 49.98)}), "spec.arms: Invalid value: the shares must sum to 100 +- 0.01"),
        (json!({"arms": arms(50.0, 50.02)}), "the shares must sum to 100 +- 0.01"),
        (json!({"arms": arms(50.005, 49.995)}), "50.005: has more than two decimals"),
        (json!({"arms": arms(101.0, -1.0)}), "should be less than or equal to 100"),
        (
            json!({"arms": [arm("a", 50.0), arm("a", 50.0)]}),
            "spec.arms: Invalid value: two arms have one name",
        ),
        (json!({"arms": [arm("a", 50.0), arm("b;c", 50.0)]}), "spec.arms[1].name in body should match"),
        (json!({"colour": "green"}), "colour"),
        (json!({"units": null}), "with hosts, say in units where a user's id stands"),
        (json!({"units": [{"header": "a", "cookie": "b"}]}), "give exactly one of cookie, header"),
        (json!({"hosts": ["shop:80"]}), "a host has no port and no path"),
        (json!({"pathPrefix": "cart"}), "a path begins with /"),
        (json!({"methods": ["post"]}), "spec.methods[0] in body should match"),
        (json!({"goals": twice}), "spec.goals: Invalid value: two goals have one name"),
        (json!({"goals": [{"name": "a", "guardrail": "most"}]}), "supported values: \"more\", \"less\""),
        (
            json!({"goals": [{"name": "a", "response": {"status": [299, 200]}}]}),
            "must be a lowest and a highest status",
        ),
        (json!({"start": "tomorrow"}), "is no date such as 2026-01-31T12:00:00Z"),
        (
            json!({"start": "2030-02-01T00:00:00Z", "end": "2030-01-01T00:00:00Z"}),
            "end must be later than start",
        ),
        (json!({"keep": {"maxAge": "a month"}}), "is no length of time such as 500ms"),
        (
            json!({"hosts": null, "units": null, "within": {"canary": "default/shop", "arm": "canary"}}),
            "within needs hosts",
        ),
        (json!({"within": {"canary": "shop", "arm": "canary"}}), "spec.within.canary in body should match"),
        (
            json!({"within": {"canary": "default/shop", "arm": "new"}}),
            "supported values: \"stable\", \"canary\"",
        ),
        (json!({"segment": {"attributes": {}}}), "spec.segment.rules: Required value"),
        (json!({"minimumEffect": 0}), "allowed is 0.1 to 1000 percent"),
    ]
}

async fn wrong_ones_are_refused(mesh: &Mesh) {
    let cluster = mesh.plane.cluster();
    for (wrong, words) in refused() {
        let told = match cluster.dry_run(&experiment("button", "default", &wrong)).await {
            Ok(()) => panic!("{wrong} is accepted"),
            Err(error) => format!("{error:#}"),
        };
        assert!(told.contains(words), "{wrong}: {told}\nshould contain\n{words}");
    }
    let long = "a".repeat(65);
    let told = cluster.dry_run(&experiment(&long, "default", &json!({}))).await.expect_err("too long");
    assert!(format!("{told:#}").contains("an Experiment's name is its id: 1 to 64 characters"), "{told:#}");
    let thirds: Vec<Value> = ["a", "b", "c"].map(|name| json!({"name": name, "share": 33.33})).into();
    let all = json!({
        "name": "Button", "owner": "shop", "arms": thirds, "pathPrefix": "/cart", "methods": ["GET", "POST"],
        "salt": "", "units": [{"cookie": "uid"}, {"issuedCookie": {"name": "serin-id", "maxAge": "30d"}}],
        "segment": {"attributes": {"country": {"header": "x-country"}},
            "rules": {"country": "US", "$or": [{"country": {"$ne": "UK"}}]}},
        "start": "2030-01-01T00:00:00Z", "end": "2030-02-01T12:00:00.5Z",
        "keep": {"cookie": "arm", "maxAge": "10d"}, "within": {"canary": "default/shop", "arm": "canary"},
        "minimumEffect": 5.5,
    });
    cluster.dry_run(&experiment("button", "default", &all)).await.unwrap();
}

/// The arm of the filter and of this test's own arithmetic.
fn arm_of(user: &str, control: u16) -> &'static str {
    let bucket = AssignedUnit::of("button", user.as_bytes()).expect("a user").bucket;
    if bucket.get() < control * 100 { "control" } else { "treatment" }
}

async fn ask(mesh: &Mesh, method: Method, path: &str, user: &str) -> Result<Answer> {
    let headers = [("host", HOST), ("x-user-id", user)];
    Client::default().send(mesh.gateway.envoy.address(), method, path, &headers, "".into()).await
}

/// What the shop is told of a user's arms and flags.
async fn told(mesh: &Mesh, user: &str) -> Result<(Option<String>, Option<String>)> {
    let answer = ask(mesh, Method::GET, "/", user).await?;
    let told: Value = serde_json::from_slice(&answer.body).with_context(|| answer.text())?;
    let text = |field: &str| told[field].as_str().map(str::to_owned);
    Ok((text("experiments"), text("flags")))
}

async fn until(mesh: &Mesh, what: &str, so: impl Fn(&Value) -> bool) -> Value {
    let found = mesh.plane.cluster().until(what, PATIENCE, BUTTON, so).await;
    found.with_context(|| mesh.logs()).unwrap()
}

/// Waits until the filter gives this user this arm.
async fn until_told(mesh: &Mesh, user: &str, arm: Option<&str>) {
    let expected = arm.map(|arm| format!("button={arm}"));
    wait::until(&format!("{user} to get {arm:?}"), PATIENCE, || async {
        let (arms, _) = told(mesh, user).await?;
        ensure!(arms == expected, "it gets {arms:?}");
        Ok(())
    })
    .await
    .unwrap();
}

/// A condition's status, reason and message.
fn ready(object: &Value) -> (String, String) {
    conditions(object).remove("Ready").unwrap_or_default()
}

fn exposures(object: &Value) -> Option<u64> {
    object["status"]["exposures"].as_u64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_experiment_object_is_refused_or_followed_and_deleted_it_ends() {
    let mut mesh = Mesh::start(MeshOptions::default()).await.unwrap();
    wrong_ones_are_refused(&mesh).await;
    let cluster = mesh.plane.cluster().clone();
    cluster.apply_document(&experiment("button", "default", &json!({}))).await.unwrap();
    users_are_assigned_and_counted(&mesh).await;
    what_must_not_change_is_refused(&mesh).await;
    shares_change_with_consent(&mesh).await;
    a_restart_changes_nothing(&mut mesh).await;

    cluster.delete(BUTTON).await.unwrap();
    until_told(&mesh, "user-1", None).await;
    mesh.until_plan_is_followed().await.unwrap();
    let ended = mesh.api().unwrap().get(ONE).await.unwrap();
    let ended: Value = serde_json::from_slice(&ended.body).unwrap();
    assert_eq!((&ended["status"], &ended["source"]), (&json!("ended"), &json!("cluster")), "{ended}");
    cluster.apply_document(&experiment("button", "default", &json!({}))).await.unwrap();
    let again = until(&mesh, "the refusal of a used id", |object| ready(object).0 == "False").await;
    assert!(ready(&again).1.contains("an id is one for the whole cluster and never used again"), "{again}");
    assert_eq!(told(&mesh, "user-1").await.unwrap().0, None);
}

async fn users_are_assigned_and_counted(mesh: &Mesh) {
    until_told(mesh, "user-1", Some(arm_of("user-1", 50))).await;
    mesh.until_plan_is_followed().await.unwrap();
    let mut treated = 0;
    for user in 0..20 {
        let user = format!("user-{user}");
        let arm = arm_of(&user, 50);
        let (arms, flags) = told(mesh, &user).await.unwrap();
        assert_eq!(arms.as_deref(), Some(format!("button={arm}").as_str()), "{user}");
        assert_eq!(flags.as_deref(), (arm == "treatment").then_some("button=green;new=true;size=2"));
        treated += u64::from(arm == "treatment");
        let answer = ask(mesh, Method::POST, "/checkout", &user).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    let counted = until(mesh, "all users in the status", |object| exposures(object) == Some(20)).await;
    let counted = match counted["status"]["arms"][1]["conversions"] == treated {
        true => counted,
        false => {
            until(mesh, "all purchases", |object| object["status"]["arms"][1]["conversions"] == treated).await
        }
    };
    let status = &counted["status"];
    assert_eq!((&status["phase"], &status["step"]), (&json!("Running"), &json!(1)), "{status}");
    assert_eq!(status["arms"][1]["exposures"], treated, "{status}");
    assert_eq!(
        (&status["arms"][0]["name"], status["arms"][0]["share"].as_f64()),
        (&json!("control"), Some(50.0))
    );
    assert!(status["recommendation"].as_str().is_some_and(|text| !text.is_empty()), "{status}");
    for (kind, (holds, message)) in conditions(&counted) {
        assert_eq!(holds, "True", "{kind}: {message}");
    }
    let path = "/apis/serin.dev/v1alpha1/namespaces/default/experiments";
    let (columns, rows) = mesh.plane.cluster().table(path).await.unwrap();
    assert_eq!(columns, ["Name", "Phase", "Step", "Exposures", "Winner", "Age"]);
    assert_eq!(rows[0].as_array().unwrap()[..4], [json!("button"), json!("Running"), json!(1), json!(20)]);
}

/// By the API, by another object of the same name, and in the object itself.
async fn what_must_not_change_is_refused(mesh: &Mesh) {
    let (api, cluster) = (mesh.api().unwrap(), mesh.plane.cluster());
    let shares = json!({"shares": {"control": 10, "treatment": 90}, "acceptMoves": true});
    let words = format!("{:#}", api.call(Method::PATCH, ONE, &shares).await.expect_err("the cluster's"));
    assert!(words.contains("is the Experiment default/button in the cluster: change it there"), "{words}");
    let same = json!({"id": "button", "arms": arms(50.0, 50.0)});
    let words =
        format!("{:#}", api.call(Method::POST, "/v1/experiments", &same).await.expect_err("it is there"));
    assert!(words.contains("already, the Experiment default/button in the cluster"), "{words}");

    let other = Reference { namespace: "serin-system", ..BUTTON };
    cluster.apply_document(&experiment("button", other.namespace, &json!({}))).await.unwrap();
    let refused =
        cluster.until("a word on the other", PATIENCE, other, |object| ready(object).0 == "False").await;
    assert!(ready(&refused.unwrap()).1.contains("the Experiment default/button in the cluster"));
    cluster.delete(other).await.unwrap();

    let mut renamed = arms(50.0, 50.0);
    renamed[1]["name"] = json!("other");
    for (change, words) in [
        (json!({"arms": renamed}), "the arms cannot change in a running experiment but for shares"),
        (json!({"salt": "x"}), "the salt cannot change in a running experiment"),
        (json!({"units": [{"cookie": "uid"}]}), "the units cannot change in a running experiment"),
    ] {
        let told = cluster.merge(BUTTON, &json!({"spec": change})).await.expect_err("it is refused");
        assert!(format!("{told:#}").contains(words), "{told:#}");
    }
    // What only the analyzer can see: the last good spec stays in force.
    let wrong = json!({"spec": {"segment": {"attributes": {"age": {"header": "x-age"}}, "rules": {"age": {"$near": 1}}}}});
    cluster.merge(BUTTON, &wrong).await.unwrap();
    let object = until(mesh, "a word on the operator", |object| ready(object).0 == "False").await;
    assert!(ready(&object).1.contains("spec.segment.rules.age.$near"), "{object}");
    cluster.merge(BUTTON, &json!({"spec": {"segment": null}})).await.unwrap();
    until(mesh, "the good spec", |object| ready(object).0 == "True").await;
}

async fn shares_change_with_consent(mesh: &Mesh) {
    let cluster = mesh.plane.cluster();
    cluster.merge(BUTTON, &json!({"spec": {"arms": arms(10.0, 90.0)}})).await.unwrap();
    let refused = until(mesh, "a word on who would move", |object| ready(object).0 == "False").await;
    let (_, message) = ready(&refused);
    assert!(message.contains("40 % of units") && message.contains("serin.dev/accept-moves"), "{message}");
    assert_eq!(refused["status"]["step"], 1);
    let mover =
        (0..).map(|n| format!("mover-{n}")).find(|user| arm_of(user, 50) != arm_of(user, 10)).unwrap();
    assert_eq!(told(mesh, &mover).await.unwrap().0.as_deref(), Some("button=control"));

    let consent = json!({"metadata": {"annotations": {"serin.dev/accept-moves": "true"}}});
    cluster.merge(BUTTON, &consent).await.unwrap();
    let changed = until(mesh, "the new step", |object| object["status"]["step"] == 2).await;
    assert_eq!(
        (ready(&changed).0.as_str(), changed["status"]["arms"][1]["share"].as_f64()),
        ("True", Some(90.0))
    );
    until_told(mesh, &mover, Some("treatment")).await;
    mesh.until_plan_is_followed().await.unwrap();
    for reason in ["Running", "StepBegun", "Refused", "InvalidSpec"] {
        wait::until(&format!("an Event {reason}"), PATIENCE, || async {
            let events = cluster.list("events.k8s.io/v1", "Event", BUTTON.namespace).await?;
            let ours =
                |event: &Value| event["reason"] == reason && event["regarding"]["kind"] == "Experiment";
            ensure!(events.iter().any(ours), "there is none");
            Ok(())
        })
        .await
        .unwrap();
    }
}

/// The numbers are in the store, the object is what it was.
async fn a_restart_changes_nothing(mesh: &mut Mesh) {
    let counted = until(mesh, "the mover in the status", |object| exposures(object) > Some(20)).await;
    mesh.replicas[0].kill9().unwrap();
    mesh.replicas[0].start().await.unwrap();
    mesh.until_plan_is_followed().await.unwrap();
    assert_eq!(told(mesh, "user-1").await.unwrap().0, Some(format!("button={}", arm_of("user-1", 10))));
    let after = until(mesh, "the numbers after it", |object| exposures(object) >= exposures(&counted)).await;
    assert_eq!(after["status"]["step"], 2, "{after}");
}
