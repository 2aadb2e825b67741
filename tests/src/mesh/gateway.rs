//! An Envoy as Istio's ingress gateway: a plain one, which gets listeners, routes and clusters from istiod
//! by ADS, and the filter by the WasmPlugin.

use super::routing::Routing;
use crate::artifacts;
use crate::envoy::{Envoy, EnvoyPorts};
use crate::http::Client;
use crate::{ports, wait};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// The Envoy.
    pub envoy: Envoy,
    client: Client,
}

impl Gateway {
    /// Starts it in `namespace`, labelled `istio: ingressgateway`, with its bootstrap and log in `folder`, and
    /// waits until it listens on `port`, which must be a Gateway object's.
    ///
    /// # Errors
    /// When Envoy is missing, or istiod does not make it listen.
    pub async fn start(
        name: &str,
        namespace: &str,
        folder: &Path,
        xds: SocketAddr,
        port: u16,
    ) -> Result<Self> {
        let ports = EnvoyPorts { requests: port, admin: ports::free()? };
        let bootstrap = bootstrap(name, namespace, xds, ports.admin);
        let bootstrap = serde_json::to_string_pretty(&bootstrap)?;
        let envoy = Envoy::with_bootstrap(name, 2, folder, &bootstrap, ports).await?;
        let gateway = Self { envoy, client: Client::default() };
        let listening = wait::until("the gateway's listener", PATIENCE, || async {
            let answer = gateway.client.get(gateway.envoy.address(), "/", &[]).await?;
            anyhow::Ok(answer.status)
        });
        listening.await.with_context(|| gateway.envoy.process.log_tail())?;
        Ok(gateway)
    }

    /// What it really routes by, from its own configuration dump.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn routing(&self) -> Result<Routing> {
        let path = "/config_dump?resource=dynamic_route_configs";
        let answer = self.client.get(self.envoy.admin(), path, &[]).await?;
        ensure!(answer.status.is_success(), "{path}: {}", answer.status);
        let dump: Value = serde_json::from_slice(&answer.body).context("the configuration dump")?;
        Ok(Routing::of(&dump))
    }

    /// Waits until it routes as `so` wants it.
    ///
    /// # Errors
    /// After `patience`; with the routing as it is.
    pub async fn until_routing(
        &self,
        what: &str,
        patience: Duration,
        so: impl Fn(&Routing) -> bool,
    ) -> Result<Routing> {
        let so = &so;
        wait::until(what, patience, || async move {
            let routing = self.routing().await?;
            ensure!(so(&routing), "it is {routing:?}");
            Ok(routing)
        })
        .await
    }
}

/// What Istio's agent would write, as far as a plain Envoy needs it.
fn bootstrap(name: &str, namespace: &str, xds: SocketAddr, admin: u16) -> Value {
    let address = |ip: &str, port: u16| json!({ "socket_address": { "address": ip, "port_value": port } });
    let by_ads = json!({ "ads": {}, "resource_api_version": "V3" });
    json!({
        "node": {
            // An address that no endpoint has: istiod takes a node with an endpoint's address for that
            // endpoint, and sends it no listener.
            "id": format!("router~127.0.0.100~{name}.{namespace}~{namespace}.svc.cluster.local"),
            "cluster": format!("{name}.{namespace}"),
            "metadata": {
                "NAMESPACE": namespace,
                "CLUSTER_ID": "Kubernetes",
                "ISTIO_VERSION": "1.31.0",
                "LABELS": { "istio": "ingressgateway" },
            },
        },
        "admin": { "address": address("127.0.0.1", admin) },
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{ "envoy_grpc": { "cluster_name": "xds" } }],
            },
            "cds_config": by_ads,
            "lds_config": by_ads,
        },
        "static_resources": { "clusters": [{
            "name": "xds",
            "type": "STATIC",
            "connect_timeout": "5s",
            "load_assignment": {
                "cluster_name": "xds",
                "endpoints": [{ "lb_endpoints": [
                    { "endpoint": { "address": address(&xds.ip().to_string(), xds.port()) } },
                ] }],
            },
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    // istiod being away is noticed, and it being back too.
                    "explicit_http_config": { "http2_protocol_options": {
                        "connection_keepalive": { "interval": "5s", "timeout": "5s" },
                    } },
                },
            },
        }] },
    })
}

/// The url of the filter as scripts/build-filter left it, for a WasmPlugin.
///
/// # Errors
/// When it is not built.
pub fn filter_url() -> Result<String> {
    Ok(format!("file://{}", artifacts::filter()?.display()))
}
