//! Weights change, nothing else does; and what a wrong file is told.

use super::*;
use crate::config::Router;

const YAML: &str = r#"# Our routes. Ümläut first, so that bytes and characters differ.
resources:
  - "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
    name: shop
    virtual_hosts:
      - name: shop
        domains: ["*"]
        routes:
          - match: {prefix: /, headers: [{name: x-canary, string_match: {exact: "true"}}]}
            route: {cluster: shop-canary, timeout: 15s}
          - match: {prefix: /, headers: [{name: x-canary, string_match: {exact: "false"}}]}
            route: {cluster: shop-stable, timeout: 15s}
          - match: {prefix: /other}
            route: {weighted_clusters: {clusters: [{name: a, weight: 100}, {name: b, weight: 0}]}}
          - match: {prefix: /}
            route:
              timeout: 15s
              weighted_clusters:
                clusters:
                  - name: shop-stable
                    weight: 100   # Serin writes this
                  - {weight: 0, name: shop-canary}
"#;

fn file(text: &str) -> (tempfile::TempDir, EnvoyRoutes) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("routes.yaml");
    std::fs::write(&path, text).expect("written");
    let clusters = PerArm { stable: "shop-stable".to_owned(), canary: "shop-canary".to_owned() };
    (folder, EnvoyRoutes { path, clusters })
}

fn read(routes: &EnvoyRoutes) -> Result<Share, RouterError> {
    RouteFiles::default().share(routes, Time(0))
}

fn share(percent: f64) -> Share {
    Share::from_percent(percent).expect("a share")
}

#[test]
fn only_the_digits_of_our_weights_change() {
    let (_folder, routes) = file(YAML);
    for (percent, stable, canary) in
        [(5.0, "95", "5"), (100.0, "0", "100"), (12.5, "8750", "1250"), (0.0, "10000", "0")]
    {
        write(&routes, share(percent), &|| true).expect("written");
        assert_eq!(read(&routes), Ok(share(percent)));
        let expected = YAML
            .replace("weight: 100   #", &format!("weight: {stable}   #"))
            .replace("{weight: 0, name: shop", &format!("{{weight: {canary}, name: shop"));
        assert_eq!(std::fs::read_to_string(&routes.path).expect("read"), expected);
    }
}

#[test]
fn a_json_file_with_protos_spelling_works_too() {
    let json = r#"{"resources": [{"virtualHosts": [{"routes": [{"match": {"prefix": "/"}, "route":
        {"weightedClusters": {"clusters": [{"name":"shop-stable","weight":100},{"name":"shop-canary","weight":0}]}}}]}]}]}"#;
    let (_folder, routes) = file(json);
    write(&routes, share(25.0), &|| true).expect("written");
    let expected = json.replace("\"weight\":100", "\"weight\":75").replace("\"weight\":0", "\"weight\":25");
    assert_eq!(std::fs::read_to_string(&routes.path).expect("read"), expected);
}

#[test]
fn a_file_that_cannot_be_routed_is_told_what_to_do_and_stays() {
    for (text, expected) in [
        (YAML.replace("name: shop-stable\n", "name: shop\n"), "add one with weights 100 and 0"),
        (
            YAML.replace("                    weight: 100   #", "                    #"),
            "has no weight: write one",
        ),
        (YAML.replace("weight: 100   #", "weight: 0x64   #"), "plain digits"),
        ("resources: [".to_owned(), "is no route file of Envoy"),
    ] {
        let (_folder, routes) = file(&text);
        let told = write(&routes, share(5.0), &|| true).expect_err(expected).to_string();
        assert!(told.contains(expected), "{told}\nshould contain\n{expected}");
        assert_eq!(std::fs::read_to_string(&routes.path).expect("read"), text);
        assert!(problems(&routes)[0].contains(expected));
    }
}

#[test]
fn missing_and_unequal_header_routes_are_named() {
    let (_folder, routes) = file(YAML);
    assert_eq!(problems(&routes), Vec::<String>::new());
    let (_folder, routes) = file(&YAML.replace("exact: \"false\"", "exact: \"no\""));
    assert!(problems(&routes)[0].contains("no route sends `x-canary: \"false\"`"), "{:?}", problems(&routes));
    let (_folder, routes) = file(&YAML.replace("cluster: shop-canary, timeout: 15s", "cluster: shop-canary"));
    assert!(problems(&routes)[0].contains("differ in more than the cluster"), "{:?}", problems(&routes));
}

#[test]
fn two_canaries_in_one_file_do_not_undo_each_other() {
    let (_folder, routes) = file(YAML);
    let other = EnvoyRoutes {
        path: routes.path.clone(),
        clusters: PerArm { stable: "a".to_owned(), canary: "b".to_owned() },
    };
    for percent in (1..=50).map(f64::from) {
        std::thread::scope(|scope| {
            for routes in [&routes, &other] {
                let router = Router::EnvoyRoutes(routes.clone());
                scope
                    .spawn(move || crate::router::write(&router, share(percent), &|| true).expect("written"));
            }
        });
        assert_eq!((read(&routes), read(&other)), (Ok(share(percent)), Ok(share(percent))));
    }
}

#[test]
fn whoever_may_not_write_at_the_last_moment_leaves_the_file_as_it_was() {
    let (folder, routes) = file(YAML);
    let told = write(&routes, share(25.0), &|| false).expect_err("may not").to_string();
    assert!(told.contains("lock has run out"), "{told}");
    assert_eq!(std::fs::read_to_string(&routes.path).expect("read"), YAML);
    assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 1, "and nothing beside it");
}

#[test]
fn canaries_that_share_a_file_are_read_from_it_at_once_and_each_look_sees_what_changed() {
    let two = YAML.replace(
        "{name: a, weight: 100}, {name: b, weight: 0}",
        "{name: a, weight: 70}, {name: b, weight: 30}",
    );
    let (_folder, shop) = file(&two);
    let clusters = PerArm { stable: "a".to_owned(), canary: "b".to_owned() };
    let other = EnvoyRoutes { path: shop.path.clone(), clusters };
    let mut files = RouteFiles::default();
    let mut look = |at| (files.share(&shop, Time(at)), files.share(&other, Time(at)));
    assert_eq!(look(1), (Ok(Share::NONE), Ok(share(30.0))));
    // Of the same length, so that only its text tells.
    std::fs::write(
        &shop.path,
        two.replace("weight: 30}", "weight: 40}").replace("weight: 70}", "weight: 60}"),
    )
    .expect("written");
    assert_eq!(look(1), (Ok(Share::NONE), Ok(share(30.0))), "one moment, one reading");
    assert_eq!(look(2), (Ok(Share::NONE), Ok(share(40.0))));
    std::fs::write(&shop.path, "resources: 7").expect("written");
    let (broken, broken_too) = look(3);
    let problem = broken.expect_err("no route file").to_string();
    assert!(problem.contains("is no route file of Envoy"), "{problem}");
    assert_eq!(broken_too.map_err(|error| error.to_string()), Err(problem));
    std::fs::remove_file(&shop.path).expect("removed");
    assert!(look(4).0.expect_err("no file").to_string().contains("cannot be read"));
    std::fs::write(&shop.path, two).expect("written");
    assert_eq!(look(5), (Ok(Share::NONE), Ok(share(30.0))));
}
