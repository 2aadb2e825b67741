//! What a configuration may say, and the words that refuse one.

use super::*;
use serin_contract::Share;

const GOOD: &str = r#"
apiVersion: serin.dev/v1alpha1
kind: Serin
spec: {listen: "127.0.0.1:9090", store: {redb: serin.redb}}
---
apiVersion: serin.dev/v1alpha1
kind: Canary
metadata: {name: shop, namespace: web}
spec:
  stableVersion: v1
  canaryVersion: v2
  hosts: [shop, shop.example]
  router: {envoyRoutes: {path: routes.yaml, stableCluster: shop-stable, canaryCluster: shop-canary}}
  units: [{header: X-User-Id}]
  ramp: {initialWeight: 5, increment: 20, promotionInterval: 6s}
  limits: {maxErrorRate: 2.5}
"#;

fn load(text: &str) -> Result<Configuration, String> {
    compile(text, Path::new("/etc/serin")).map_err(|error| error.to_string())
}

#[test]
fn a_good_configuration_has_the_designs_defaults_and_paths_beside_the_file() {
    let configuration = load(GOOD).expect("good");
    let canary = &configuration.canaries[0];
    assert_eq!(configuration.server.redb, Path::new("/etc/serin/serin.redb"));
    let Router::EnvoyRoutes(routes) = &canary.router else { panic!("{:?}", canary.router) };
    assert_eq!(routes.path, Path::new("/etc/serin/routes.yaml"));
    assert_eq!(canary.settings.promotion_interval.as_secs(), 6);
    assert_eq!(canary.settings.analysis_interval.as_secs(), 10);
    assert!((canary.settings.limits.max_error_rate - 2.5).abs() < 1e-12);
    assert_eq!(canary.settings.ramp.max(), Share::ALL);
    let plan = canary.idle_plan();
    assert_eq!(plan.salt, "web/shop/v2:");
    let expanded = ["shop", "shop.web", "shop.web.svc", "shop.web.svc.cluster.local", "shop.example"];
    assert_eq!(plan.hosts, expanded);
}

#[test]
fn a_wrong_configuration_is_refused_with_the_fields_path_and_what_is_allowed() {
    let cases = [
        (
            "maxErrorRate: 2.5",
            "maxErrorRate: 250",
            "document 2: spec.limits.maxErrorRate: 250 is not allowed: 0 to 100",
        ),
        (
            "maxErrorRate: 2.5",
            "maxErorRate: 2",
            "document 2: spec.limits.maxErorRate: unknown field `maxErorRate`",
        ),
        ("promotionInterval: 6s", "promotionInterval: 6", "document 2: spec.ramp.promotionInterval"),
        ("promotionInterval: 6s", "promotionInterval: soon", "`soon` is no length of time such as 500ms"),
        ("initialWeight: 5", "initialWeight: 500", "document 2: spec.ramp.initialWeight: 500 is not a share"),
        ("initialWeight: 5", "steps: [1, 5]", "document 2: spec.ramp.steps: cannot stand beside"),
        ("namespace: web", "namespace: We b", "document 2: metadata: `We b/shop` is not allowed"),
        ("shop.example]", "\"shop.example:80\"]", "document 2: spec.hosts[4]: `shop.example:80` is no host"),
        (
            "canaryCluster: shop-canary",
            "canaryCluster: shop-stable",
            "spec.router.envoyRoutes.canaryCluster: is the stable",
        ),
        (
            "kind: Canary",
            "kind: Canaries",
            "document 2: kind: `Canaries` is not known: allowed are Serin, Canary and Experiment",
        ),
        (
            "127.0.0.1:9090",
            "0.0.0.0:9090",
            "document 1: spec.reportTokenFile: is not set, and 0.0.0.0:9090 is no loopback",
        ),
        ("kind: Serin", "kind: Canary", "document 1: spec.listen: unknown field `listen`"),
        ("X-User-Id", "X User", "document 2: spec.units[0]: `X User` is no header name"),
        (
            "units: [{header: X-User-Id}]",
            "units: [{header: X-User-Id}]\n  segment: {attributes: {}, rules: {country: US}}",
            "document 2: spec.segment.rules.country: `country` is not declared",
        ),
        (
            "units: [{header: X-User-Id}]",
            "units: [{cookie: uid}]\n  manual: WithKey\n  manualKeys: {sha256: [sesame]}",
            "document 2: spec.manualKeys.sha256[0]: must be 64 lower-case hexadecimal digits",
        ),
        (
            "units: [{header: X-User-Id}]",
            "units: [{header: X-User-Id}]\n  manual: WithKey",
            "document 2: spec.manualKeys: and `manual: WithKey` go together",
        ),
        (
            "envoyRoutes: {path: routes.yaml, stableCluster: shop-stable, canaryCluster: shop-canary}",
            "virtualService: {name: shop}",
            "document 2: spec.router.virtualService: needs `serin serve --kubernetes`",
        ),
        (
            "{path: routes.yaml, stableCluster",
            "{path: routes.yaml, stableCluster: x}, virtualService: {name: shop, stableSubset",
            "document 2: spec.router.envoyRoutes: missing field `canaryCluster`",
        ),
        (
            "router: {",
            "router: {virtualService: {name: shop}, ",
            "document 2: spec.router: give exactly one of envoyRoutes and virtualService",
        ),
        (
            "units: [{header: X-User-Id}]",
            "deployments: {stable: shop, canary: shop}",
            "document 2: spec.deployments.canary: is the stable Deployment too: name two",
        ),
        (
            "units: [{header: X-User-Id}]",
            "units: [{issuedCookie: {name: id}}, {cookie: uid}]",
            "document 2: spec.units[0].issuedCookie: must be the last",
        ),
        (
            "units: [{header: X-User-Id}]",
            "units: [{issuedCookie: {name: id, maxAge: 10s}}]",
            "document 2: spec.units[0]: a cookie of 10 s is not allowed: 60 s to 400 days",
        ),
        (
            "units: [{header: X-User-Id}]",
            "gates: [{name: load, when: BeforeWeight, url: \"ftp://x\"}]",
            "document 2: spec.gates[0].url: `ftp://x` is not allowed: write http://HOST:PORT/PATH or https",
        ),
        ("v1alpha1\nkind: Serin", "v1\nkind: Serin", "document 1: apiVersion"),
    ];
    for (from, to, expected) in cases {
        let error = load(&GOOD.replace(from, to)).expect_err(to);
        assert!(error.contains(expected), "{error}\nshould contain\n{expected}");
    }
}

#[test]
fn two_canaries_may_not_claim_one_host_or_one_pair_of_clusters() {
    let canary = GOOD.split("---").nth(1).expect("two documents");
    let twin = canary.replace("name: shop,", "name: twin,");
    assert!(load(&format!("{GOOD}\n---{canary}")).expect_err("twice").contains("web/shop is there twice"));
    let hosts = load(&format!("{GOOD}\n---{twin}")).expect_err("same hosts");
    assert!(hosts.contains("belongs to web/shop already"), "{hosts}");
    let routes = twin.replace("hosts: [shop, shop.example]", "hosts: [twin]");
    let routes = load(&format!("{GOOD}\n---{routes}")).expect_err("same clusters");
    assert!(routes.contains("web/shop and web/twin write the same weights"), "{routes}");
}
