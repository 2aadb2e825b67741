//! The data path in a mesh, without an analyzer: what istio/ holds is accepted by a real API server, and the
//! filter of the WasmPlugin sends each user where md5 says.

use serde_json::{Value, json};
use serin_contract::allocation::canary_arm;
use serin_contract::{Arm, AssignedUnit, Share};
use serin_tests::http::Client;
use serin_tests::mesh::{HOST, Mesh, MeshOptions};
use serin_tests::wait;
use std::time::Duration;

const SHARE: f64 = 30.0;

/// A plan at 30 % with an empty salt, as a plugin's configuration may carry it.
fn plan() -> Value {
    let cluster = |subset: &str| format!("outbound|8000|{subset}|canary-demo.default.svc.cluster.local");
    json!({ "revision": 1, "report_interval_ms": 500, "canaries": [{
        "name": "default/canary-demo", "step": 1, "stratum": 1, "hosts": [HOST], "salt": "",
        "units": [{ "header": "x-user-id" }], "canary_share": 3000, "slow_edge_us": 15_000_000,
        "served_by": { "stable": [cluster("stable")], "canary": [cluster("canary")] },
    }] })
}

fn version_of(user: &str) -> &'static str {
    let share = Share::from_percent(SHARE).unwrap();
    let unit = AssignedUnit::of("", user.as_bytes()).unwrap();
    match canary_arm(unit.bucket, share) {
        Arm::Canary => "v2",
        Arm::Stable => "v1",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_routed_by_md5_through_the_example_and_the_wasm_plugin() {
    // No analyzer writes here, so that stable users need the whole weight on stable.
    let subset = |subset: &str, weight: u8| json!({ "destination": { "host": "canary-demo", "subset": subset }, "weight": weight });
    let by_hand = json!({
        "match": [{ "headers": { "x-canary": { "exact": "true" } } }], "route": [subset("canary", 100)],
    });
    let weighted = json!({ "route": [subset("stable", 100), subset("canary", 0)] });
    let virtual_service = json!({ "spec": { "http": [by_hand, weighted] } });
    let options = MeshOptions { plan: Some(plan()), virtual_service, ..MeshOptions::default() };
    let mesh = Mesh::start(options).await.unwrap();

    let client = Client::default();
    let address = mesh.gateway.envoy.address();
    let version = async |user: &str| {
        let answer = client.get(address, "/", &[("host", HOST), ("x-user-id", user)]).await?;
        anyhow::ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        anyhow::Ok(answer.header("x-shop-version").unwrap_or("none").to_owned())
    };
    // The routes may come after the listener, and the module after the routes.
    let canary_user = (0..).map(|n| format!("user-{n}")).find(|user| version_of(user) == "v2").unwrap();
    wait::until("the filter to be there", Duration::from_secs(60), || async {
        let version = version(&canary_user).await?;
        anyhow::ensure!(version == "v2", "{canary_user} gets {version}");
        Ok(())
    })
    .await
    .unwrap();

    for n in 0..300 {
        let user = format!("client-{n}");
        assert_eq!(version(&user).await.unwrap(), version_of(&user), "{user}");
    }
    let routing = mesh.gateway.routing().await.unwrap();
    assert_eq!(routing.canary_weight(), Some(0), "{routing:?}");
    assert_eq!(routing.for_header("true").unwrap().weights["canary"], 100, "{routing:?}");
}
