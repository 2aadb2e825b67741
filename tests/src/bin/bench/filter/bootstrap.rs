//! The bootstrap of an Envoy of one kind, as JSON.

use super::kinds::{Backend, Filter, Kind};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serin_tests::artifacts;
use serin_tests::envoy::EnvoyPorts;
use std::path::{Path, PathBuf};

/// What somebody would write who wants a sticky split and no more: a hash of the user's id, and a header.
const LUA: &str = r#"
function envoy_on_request(handle)
  local user = handle:headers():get("x-user-id")
  if user == nil then return end
  local hash = 5381
  for place = 1, #user do
    hash = (hash * 33 + string.byte(user, place)) % 4294967296
  end
  handle:headers():replace("x-canary", hash % 10000 >= 9000 and "true" or "false")
end
"#;

/// The bootstrap.
pub(crate) fn of(kind: &Kind, ports: EnvoyPorts, upstream: u16, sink: u16) -> Result<String> {
    let mut filters = http_filters(&kind.filter)?;
    filters.push(json!({ "name": "envoy.filters.http.router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }));
    let routes = match (kind.backend, &kind.filter) {
        (Backend::Direct, _) => json!([{
            "match": { "prefix": "/" },
            "direct_response": { "status": 200, "body": { "inline_string": "a page of the shop\n" } },
        }]),
        (Backend::Upstream, Filter::Weighted) => json!([weighted()]),
        (Backend::Upstream, _) => json!([
            versioned("true", "shop-canary"),
            versioned("false", "shop-stable"),
            { "match": { "prefix": "/" }, "route": { "cluster": "shop-stable" } },
        ]),
    };
    let clusters: Vec<Value> = [("shop-stable", upstream), ("shop-canary", upstream), ("serin", sink)]
        .into_iter()
        .map(|(name, port)| cluster(name, port))
        .collect();
    let bootstrap = json!({
        "node": { "id": format!("envoy-{}", ports.requests), "cluster": "bench" },
        "admin": { "address": socket(ports.admin) },
        "static_resources": {
            "listeners": [{
                "name": "shop", "address": socket(ports.requests),
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                        "stat_prefix": "shop",
                        "route_config": { "name": "shop", "virtual_hosts": [
                            { "name": "shop", "domains": ["*"], "routes": routes } ] },
                        "http_filters": filters,
                    },
                }] }],
            }],
            "clusters": clusters,
        },
    });
    Ok(serde_json::to_string_pretty(&bootstrap)?)
}

fn socket(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

fn cluster(name: &str, port: u16) -> Value {
    json!({ "name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": {
        "cluster_name": name,
        "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": socket(port.max(1)) } }] }],
    } })
}

fn versioned(value: &str, cluster: &str) -> Value {
    json!({
        "match": { "prefix": "/", "headers": [{ "name": "x-canary", "string_match": { "exact": value } }] },
        "route": { "cluster": cluster },
    })
}

fn weighted() -> Value {
    json!({ "match": { "prefix": "/" }, "route": {
        "hash_policy": [{ "header": { "header_name": "x-user-id" } }],
        "weighted_clusters": { "use_hash_policy": true, "clusters": [
            { "name": "shop-stable", "weight": 90 }, { "name": "shop-canary", "weight": 10 } ] },
    } })
}

fn http_filters(filter: &Filter) -> Result<Vec<Value>> {
    Ok(match filter {
        Filter::None | Filter::Weighted => vec![],
        Filter::Empty => vec![wasm(&beside_serin("serin-empty-filter")?, "{}")],
        Filter::Calls { order, filters } => vec![wasm(&beside_serin("serin-calls-filter")?, order); *filters],
        Filter::Serin { plan, edge, module } => {
            let module = module.clone().map_or_else(artifacts::filter, Ok)?;
            let configuration =
                json!({ "analyzer": { "cluster": "serin" }, "edge": edge, "plan": plan }).to_string();
            vec![wasm(&module, &configuration)]
        }
        Filter::Lua => vec![json!({ "name": "lua", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": { "inline_string": LUA } } })],
    })
}

fn wasm(module: &Path, configuration: &str) -> Value {
    json!({ "name": "wasm", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": "wasm", "failure_policy": "FAIL_RELOAD",
            "vm_config": { "vm_id": "bench", "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module } } },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration },
        },
    } })
}

/// A module built by the same command and profile as Serin's own.
fn beside_serin(package: &str) -> Result<PathBuf> {
    let module = artifacts::filter()?.with_file_name(package.replace('-', "_") + ".wasm");
    ensure!(module.is_file(), "{} is missing: scripts/build-filter {package}", module.display());
    module.canonicalize().context("the module's path")
}
