//! What the analyzer makes of reports that no filter would send: the right answer or a clear refusal, and
//! nothing that was counted is harmed.

use serde_json::{Value, json};
use serin_tests::analyzer::{CANARY, CanaryConfig, Totals};
use serin_tests::http::Answer;
use serin_tests::load::Load;
use serin_tests::world::{World, WorldOptions};
use std::time::Duration;

const TOKEN: &str = "a-report-token-for-tests";
const INSTANCE: &str = "00000000000000ff";

/// A world whose filter has to show a token, and whose canary stays where it is.
async fn world() -> World {
    let canary = CanaryConfig { promotion_interval: "5m".to_owned(), ..CanaryConfig::default() };
    World::start(WorldOptions { canary, token: Some(TOKEN.to_owned()), ..WorldOptions::default() })
        .await
        .unwrap()
}

/// A report of ten stable requests, one of which failed.
fn report(sequence: u64) -> Value {
    json!({
        "instance": INSTANCE, "sequence": sequence, "plan_revision": 1, "node": "by-hand", "interval_ms": 500,
        "canaries": [{
            "name": CANARY, "step": 1, "stratum": 1,
            "arms": {
                "stable": {
                    "requests": 10, "errors": 1, "responses": [["GET", 200, 9], ["GET", 500, 1]],
                    "latency": [[200, 10]], "overdue": 0,
                    "seen": ["00000000000000aa"], "erred": ["00000000000000aa"], "slow": []
                },
                "canary": {}
            }
        }]
    })
}

async fn send(world: &World, report: &Value) -> Answer {
    world.analyzer.api().report(report.to_string(), Some(TOKEN)).await.unwrap()
}

async fn totals(world: &World) -> Totals {
    world.status().await.unwrap().totals
}

fn acknowledged(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let reply: Value = serde_json::from_slice(&answer.body).unwrap();
    reply["acknowledged"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_and_reordered_reports_count_once() {
    let world = world().await;
    assert_eq!(acknowledged(&send(&world, &report(1)).await), 1);
    assert_eq!(totals(&world).await.stable.requests, 10);
    for _ in 0..3 {
        assert_eq!(acknowledged(&send(&world, &report(1)).await), 1);
    }
    assert_eq!(acknowledged(&send(&world, &report(2)).await), 2);
    // An older one that was on its way for long: it has been counted, and the answer says up to where.
    assert_eq!(acknowledged(&send(&world, &report(1)).await), 2);
    assert_eq!(totals(&world).await.stable.requests, 20);
    assert_eq!(totals(&world).await.stable.errors, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_report_many_times_at_once_counts_once() {
    let world = world().await;
    let api = world.analyzer.api().clone();
    let senders: Vec<_> = (0..20)
        .map(|_| {
            let (api, body) = (api.clone(), report(1).to_string());
            tokio::spawn(async move { api.report(body, Some(TOKEN)).await.unwrap() })
        })
        .collect();
    for sender in senders {
        assert_eq!(acknowledged(&sender.await.unwrap()), 1);
    }
    assert_eq!(totals(&world).await.stable.requests, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_between_does_not_make_a_replay_count() {
    let mut world = world().await;
    send(&world, &report(1)).await;
    send(&world, &report(2)).await;
    world.analyzer.kill9().unwrap();
    world.analyzer.restart().await.unwrap();
    assert_eq!(totals(&world).await.stable.requests, 20);
    assert_eq!(acknowledged(&send(&world, &report(2)).await), 2);
    assert_eq!(totals(&world).await.stable.requests, 20);
}

/// A report with something changed, and the path that the refusal must name.
fn spoiled(change: impl FnOnce(&mut Value)) -> String {
    let mut report = report(1);
    change(&mut report);
    report.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_reports_are_refused_with_the_field_and_change_nothing() {
    let world = world().await;
    let api = world.analyzer.api();
    let before = totals(&world).await;
    let whole = report(1).to_string();
    let cases: Vec<(String, &str)> = vec![
        (String::new(), ""),
        (whole[..whole.len() / 2].to_owned(), ""),
        (format!("{whole}{whole}"), ""),
        ("[]".to_owned(), ""),
        ("\u{0}\u{1}\u{2}".to_owned(), ""),
        ("[".repeat(100_000), ""),
        (spoiled(|report| report["instance"] = json!("XYZ")), "instance"),
        (spoiled(|report| report["sequence"] = json!(0)), "sequence"),
        (spoiled(|report| report["sequence"] = json!(-1)), "sequence"),
        (spoiled(|report| report["interval_ms"] = json!(0)), "interval_ms"),
        (spoiled(|report| report["surprise"] = json!(1)), "surprise"),
        (spoiled(|report| report["canaries"][0]["name"] = json!("../x")), "canaries[0].name"),
        (
            spoiled(|report| report["canaries"][0]["arms"]["stable"]["errors"] = json!(11)),
            "canaries[0].arms.stable",
        ),
        (
            spoiled(|report| report["canaries"][0]["arms"]["stable"]["requests"] = json!(1_u64 << 63)),
            "canaries[0].arms.stable",
        ),
        (
            spoiled(|report| report["canaries"][0]["arms"]["stable"]["latency"] = json!([[65000, 1]])),
            "canaries[0].arms.stable.latency[0]",
        ),
        (
            spoiled(|report| report["canaries"][0]["arms"]["stable"]["seen"] = json!(["ann@example.org"])),
            "canaries[0].arms.stable.seen[0]",
        ),
    ];
    for (body, field) in cases {
        let shown: String = body.chars().take(200).collect();
        let answer = api.report(body, Some(TOKEN)).await.unwrap();
        assert!(answer.status.is_client_error(), "{} for {shown}", answer.status);
        let kind = answer.header("content-type").unwrap_or("");
        assert!(kind.starts_with("application/problem+json"), "{kind} for {shown}");
        assert!(answer.text().contains(field), "{} does not name {field}", answer.text());
    }
    assert_eq!(totals(&world).await, before);
    // The instance's sequence is where it was: the right report still counts.
    assert_eq!(acknowledged(&send(&world, &report(1)).await), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversized_report_is_refused_without_harm() {
    let world = world().await;
    let mut large = report(1);
    large["node"] = json!("x".repeat(serin_contract::report::MAX_BYTES));
    let answer = send(&world, &large).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    // A far larger one may find the connection closed before it has been sent.
    large["node"] = json!("x".repeat(16 << 20));
    if let Ok(answer) = world.analyzer.api().report(large.to_string(), Some(TOKEN)).await {
        assert_eq!(answer.status, 413, "{}", answer.text());
    }
    assert_eq!(totals(&world).await.stable.requests, 0);
    assert_eq!(acknowledged(&send(&world, &report(1)).await), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_without_the_token_is_refused_and_the_filters_token_is_taken() {
    let world = world().await;
    let api = world.analyzer.api();
    for token in [None, Some(""), Some("another-token-altogether"), Some(&TOKEN[..TOKEN.len() - 1])] {
        let answer = api.report(report(1).to_string(), token).await.unwrap();
        assert_eq!(answer.status, 401, "{token:?}: {}", answer.text());
        assert!(!answer.text().contains(TOKEN));
    }
    assert_eq!(totals(&world).await.stable.requests, 0);
    // The real filter shows it.
    let mut options = world.load();
    options.time = Duration::from_secs(3);
    let record = Load::start(options).unwrap().finish().await.unwrap();
    world.until("the load to be counted", 20, |status| status.totals.all() == record.sent()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_of_an_unknown_canary_or_a_later_step_is_taken_without_harm() {
    let world = world().await;
    let mut unknown = report(1);
    unknown["canaries"][0]["name"] = json!("default/nobody-knows");
    assert_eq!(acknowledged(&send(&world, &unknown).await), 1);
    let mut later = report(2);
    later["canaries"][0]["step"] = json!(4_000_000_000_u32);
    later["canaries"][0]["stratum"] = json!(4_000_000_000_u32);
    assert_eq!(acknowledged(&send(&world, &later).await), 2);
    let status = world.status().await.unwrap();
    assert_eq!(status.totals.stable.requests, 10);
    assert!(status.step < 10, "a filter cannot move the step: {}", status.step);
}
