//! Canaries before a plain Envoy: the files of envoy/, in which what there is for one shop is there for each.

use super::cells::{ANALYSIS_INTERVAL, FALSE_ROLLBACK_RATE, Ramp, WARMUP};
use super::run::Site;
use super::world::Shops;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use serin_tests::analyzer::{Analyzer, AnalyzerConfig, CanaryConfig};
use serin_tests::envoy::{Envoy, EnvoyOptions, copy_routes};
use serin_tests::{ports, wait};
use std::fmt::Write;
use std::time::Duration;
use tempfile::TempDir;

/// Worker threads of the Envoy, as the mesh's gateway has them.
const WORKERS: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(60);

/// The running parts.
pub(crate) struct Plain {
    envoy: Envoy,
    config: AnalyzerConfig,
    analyzer: Option<Analyzer>,
    folder: TempDir,
}

impl Plain {
    /// Starts the Envoy. There is no analyzer yet.
    pub(super) async fn start(shops: Vec<Shops>, ramp: &Ramp) -> Result<(Self, Vec<Site>)> {
        let folder = tempfile::Builder::new().prefix("serin-").tempdir().context("a temporary folder")?;
        let at = folder.path();
        let routes = at.join("routes/routes.yaml");
        std::fs::create_dir(at.join("routes"))?;
        copy_routes(&routes, &[])?;
        let text = std::fs::read_to_string(&routes)?;
        std::fs::write(&routes, for_each_shop(&text, "      - name: shop\n", &shops)?)?;

        let first = shops.first().context("no canary")?;
        let (stable_port, canary_port) = first.ports();
        let canary = CanaryConfig {
            salt: Some(first.salt.clone()),
            steps: ramp.steps.clone(),
            promotion_interval: ramp.promotion_interval.to_owned(),
            analysis_interval: ANALYSIS_INTERVAL.to_owned(),
            warmup: WARMUP.to_owned(),
            false_rollback_rate: Some(FALSE_ROLLBACK_RATE),
            ..CanaryConfig::default()
        };
        let mut config = AnalyzerConfig {
            port: ports::free()?,
            store: at.join("serin.redb"),
            report_token_file: None,
            routes: routes.clone(),
            canary,
            server: vec![],
            documents: vec![],
        };
        config.documents = further_canaries(&config, &shops)?;
        let analyzer_port = config.port;
        let clusters = clusters(&shops)?;
        let envoy = Envoy::start(&EnvoyOptions {
            node: "gateway-0".to_owned(),
            workers: WORKERS,
            folder: at.to_path_buf(),
            routes,
            stable_port,
            canary_port,
            analyzer_port,
            token: None,
            edge: true,
            edits: vec![("\n  clusters:\n".to_owned(), format!("\n  clusters:\n{clusters}"))],
        })
        .await?;
        let sites = shops.into_iter().map(|shops| shops.at(&envoy, analyzer_port, None)).collect();
        Ok((Self { envoy, config, analyzer: None, folder }, sites))
    }

    /// Starts the analyzer, which begins the releases.
    pub(super) async fn release(&mut self) -> Result<()> {
        let started = Analyzer::start(self.config.clone(), self.folder.path()).await?;
        let analyzer = self.analyzer.insert(started);
        wait::until("all filters to follow the plan", PATIENCE, || async {
            let filters = analyzer.api().filters().await?;
            let vms = filters.len();
            ensure!(vms > self.envoy.workers() as usize, "only {vms} VMs report");
            ensure!(filters.iter().all(|filter| !filter.pending), "some have not got it");
            Ok(())
        })
        .await
    }
}

/// The part of a text from `begin` on, once for each shop, under its name and for its host.
fn for_each_shop(text: &str, begin: &str, shops: &[Shops]) -> Result<String> {
    let place = text.find(begin).with_context(|| format!("there is no `{}`", begin.trim()))?;
    let (head, block) = text.split_at(place);
    let blocks = shops.iter().map(|shops| {
        let host = format!("[\"{}.example\"]", shops.name);
        block.replace("shop", &shops.name).replace("[\"*\"]", &host)
    });
    Ok(head.to_owned() + &blocks.collect::<String>())
}

/// The harness's canary again, for all shops but the first.
fn further_canaries(config: &AnalyzerConfig, shops: &[Shops]) -> Result<Vec<String>> {
    let text = config.to_yaml();
    let (_, canary) = text.split_once("---\n").context("a canary")?;
    let salt = config.canary.effective_salt();
    let own = |shops: &Shops| {
        canary.replace(", 127.0.0.1]", "]").replace(&salt, &shops.salt).replace("shop", &shops.name)
    };
    Ok(shops.iter().skip(1).map(own).collect())
}

/// The clusters of all shops but the first, whose are in the bootstrap already.
fn clusters(shops: &[Shops]) -> Result<String> {
    let mut text = String::new();
    for shops in shops.iter().skip(1) {
        let (stable, canary) = shops.ports();
        for (version, port) in [("stable", stable), ("canary", canary)] {
            let cluster = json!({
                "name": format!("{}-{version}", shops.name), "type": "STATIC", "connect_timeout": "1s",
                "load_assignment": { "cluster_name": format!("{}-{version}", shops.name), "endpoints": [{
                    "lb_endpoints": [{ "endpoint": { "address": { "socket_address": {
                        "address": "127.0.0.1", "port_value": port } } } }],
                }] },
            });
            writeln!(text, "    - {cluster}")?;
        }
    }
    Ok(text)
}
