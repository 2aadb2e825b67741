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
    assert_eq!(configuration.server.session_length.as_secs(), 12 * 3600);
    assert_eq!(configuration.server.store, super::StoreAt::Redb("/etc/serin/serin.redb".into()));
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
fn goals_go_into_the_plan_and_guardrails_to_the_judge_and_wrong_ones_are_refused_by_their_path() {
    let with = |goals: &str| load(&GOOD.replace("  limits:", &format!("  goals: {goals}\n  limits:")));
    let goals = r#"[{name: purchase, response: {methods: [POST], pathPrefix: /buy}, guardrail: less}, {name: signup}]"#;
    let canary = &with(goals).expect("good").canaries[0];
    let plan = canary.idle_plan();
    let response = plan.goals[0].response.as_ref().expect("an answer");
    assert_eq!((response.path_prefix.as_str(), response.status), ("/buy", [200, 299]));
    assert_eq!((plan.goals[1].name.as_str(), &plan.goals[1].response), ("signup", &None));
    let guardrails: Vec<_> = canary.settings.goals.iter().map(|goal| goal.guardrail).collect();
    assert_eq!(guardrails, [Some(serin_judge::evidence::Harm::Less), None]);
    let cases = [
        ("[{name: a b}]", "document 2: spec.goals[0].name: `a b` is not allowed: 1 to 64 letters"),
        ("[{name: a}, {name: a}]", "document 2: spec.goals[1].name: `a` is there twice"),
        (
            "[{name: a, response: {pathPrefix: buy}}]",
            "spec.goals[0].response.pathPrefix: `buy` must begin with `/`",
        ),
        ("[{name: a, response: {status: [200, 99]}}]", "spec.goals[0].response.status: must be a lowest"),
        ("[{name: a, response: {methods: [post]}}]", "spec.goals[0].response.methods[0]: must be 1 to 16"),
        ("[{name: a, guardrail: worse}]", "spec.goals[0].guardrail: unknown variant `worse`"),
        ("[{name: a, limit: 1}]", "spec.goals[0].limit: unknown field `limit`"),
    ];
    for (goals, expected) in cases {
        let refused = with(goals).expect_err(goals);
        assert!(refused.contains(expected), "{refused}\nshould say\n{expected}");
    }
    let nobody = GOOD.replace("  units: [{header: X-User-Id}]\n", "  goals: [{name: a}]\n");
    let refused = load(&nobody).expect_err("nobody");
    assert!(refused.starts_with("document 2: spec.goals: are counted by users"), "{refused}");
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
        (
            "store: {redb",
            "sessionLength: 8d, store: {redb",
            "document 1: spec.sessionLength: 691200s is not allowed: 1s to 7d",
        ),
        (
            "store: {redb",
            "sessionLength: 0s, store: {redb",
            "spec.sessionLength: 0s is not allowed: 1s to 7d",
        ),
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

/// The good configuration with further lines in the program's spec and in the canary's.
fn with(server: &str, canary: &str) -> Result<Configuration, String> {
    let text = GOOD.replace("store: {redb: serin.redb}}", &format!("store: {{redb: serin.redb}}{server}}}"));
    load(&format!("{text}{canary}\n"))
}

#[test]
fn sources_limits_slos_and_receivers_have_their_defaults() {
    let configuration = with(
        ", prometheus: {url: 'http://prometheus:9090'}, alerts: [{name: a, webhook: 'http://hook/x'}]",
        "  metrics: [{name: carts, query: 'max(carts{v=\"{{version}}\"})', maxIncrease: 50, range: {length: 5m}}]",
    )
    .expect("good");
    let canary = &configuration.canaries[0];
    let limit = &canary.sources.limits[0];
    assert_eq!(limit.on_breach, serin_judge::rules::OnBreach::Hold);
    assert_eq!(limit.range.map(|range| range.step.as_secs()), Some(15));
    assert_eq!(canary.sources.prometheus.queries.len(), 6);
    assert_eq!(canary.sources.prometheus.interval.as_secs(), 60);
    assert_eq!(canary.slos, serin_judge::slo::Slo::defaults());
    let server = &configuration.server;
    assert_eq!(server.prometheus.as_ref().map(|prometheus| prometheus.timeout.as_secs()), Some(5));
    assert_eq!(server.alerts[0].kind, crate::alerts::ReceiverKind::Webhook);
}

#[test]
fn wrong_sources_limits_slos_and_receivers_are_refused_with_their_path() {
    let prometheus = ", prometheus: {url: 'http://prometheus:9090'}";
    let cases = [
        ("", "metrics: [{name: a, query: up, max: 1}]", "has metrics and no Prometheus to ask"),
        (prometheus, "metrics: [{name: a, query: up}]", "spec.metrics[0].max: is not there, nor min"),
        (prometheus, "metrics: [{name: 'a b', query: up, max: 1}]", "spec.metrics[0].name: `a b`"),
        (
            prometheus,
            "metrics: [{name: a, query: 'up{{pod}}', max: 1}]",
            "spec.metrics[0].query: `{{pod}}` is not known",
        ),
        (
            prometheus,
            "metrics: [{name: a, query: up, maxIncrease: 1}]",
            "spec.metrics[0].maxIncrease: needs a query by version",
        ),
        (prometheus, "metrics: [{name: a, query: up, max: 1, onBreach: Panic}]", "spec.metrics[0].onBreach"),
        (
            "",
            "sources: {application: {stable: 'shop:80', canary: 'http://b'}}",
            "spec.sources.application.stable: `shop:80`",
        ),
        ("", "sources: {prometheus: {timeout: 1s}}", "spec.sources.prometheus.url: is missing"),
        (
            "",
            "sources: {prometheus: {queries: {cpuPercent: up}}}",
            "queries.cpuPercent: is the same for both",
        ),
        ("", "slos: [{name: a}]", "spec.slos[0].availability: or latency or errorRate"),
        (
            "",
            "slos: [{name: a, availability: {target: 100}}]",
            "spec.slos[0].availability.target: 100 is not allowed",
        ),
        (", alerts: [{name: a}]", "", "spec.alerts[0].alertmanager: or webhook"),
        (", prometheus: {url: 'ftp://x'}", "", "spec.prometheus.url: `ftp://x` is not allowed"),
    ];
    for (server, canary, told) in cases {
        let error = with(server, &format!("  {canary}")).expect_err(canary);
        assert!(error.contains(told), "{canary}: {error}");
    }
}
