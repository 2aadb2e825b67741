//! Envoy with the filter and no analyzer at all: the filter has no plan, does nothing, and harms nothing.

use serin_tests::envoy::{Envoy, EnvoyOptions, copy_routes};
use serin_tests::load::{Exchange, Load, LoadOptions};
use serin_tests::shop::Shop;
use serin_tests::{ports, wait};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_plan_the_routes_weights_decide_and_a_renamed_route_file_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let routes = folder.path().join("routes.yaml");
    copy_routes(&routes, &[]).unwrap();
    let stable = Shop::start(ports::free().unwrap(), "v1").await.unwrap();
    let canary = Shop::start(ports::free().unwrap(), "v2").await.unwrap();
    let envoy = Envoy::start(&EnvoyOptions {
        node: "gateway-0".to_owned(),
        workers: 1,
        folder: folder.path().to_path_buf(),
        routes: routes.clone(),
        stable_port: stable.address().port(),
        canary_port: canary.address().port(),
        analyzer_port: ports::free().unwrap(),
        token: None,
        edge: true,
        edits: vec![],
    })
    .await
    .unwrap();

    let load = Load::start(LoadOptions::on(vec![envoy.address()])).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(canary.served("v2").requests, 0);

    // As the analyzer writes it: beside the file, then renamed over it.
    let text = std::fs::read_to_string(&routes).unwrap();
    let half = text.replace("weight: 100", "weight: 50").replace("weight: 0", "weight: 50");
    assert_ne!(text, half);
    let beside = folder.path().join("routes.yaml.new");
    std::fs::write(&beside, half).unwrap();
    let renamed = Instant::now();
    std::fs::rename(&beside, &routes).unwrap();
    let both = wait::until("the canary to get requests", Duration::from_secs(10), || async {
        anyhow::ensure!(canary.served("v2").requests > 0, "none so far");
        Ok(renamed.elapsed())
    });
    let took = both.await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let record = load.stop().await.unwrap();
    assert_eq!(record.count(Exchange::failed), 0, "{record}: {:?}", record.broken());
    let versions = record.versions(renamed + took, Instant::now());
    let (v1, v2) = (versions["v1"] as f64, versions["v2"] as f64);
    assert!((v1 - v2).abs() < 5.0 * (v1 + v2).sqrt(), "{versions:?} at half and half");
    let stats = envoy.stats().await.unwrap();
    assert_eq!(stats["http.shop.downstream_rq_5xx"], 0);
}
