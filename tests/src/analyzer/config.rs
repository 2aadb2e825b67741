//! The analyzer's configuration, written as a person would write it.

use std::fmt::Write;
use std::path::PathBuf;

/// What `serin serve --config` reads: the program and one canary named `shop`.
#[derive(Debug, Clone)]
pub struct AnalyzerConfig {
    /// Where it listens, on loopback.
    pub port: u16,
    /// The store's file.
    pub store: PathBuf,
    /// The report token's file.
    pub report_token_file: Option<PathBuf>,
    /// The route file that it writes.
    pub routes: PathBuf,
    /// The release.
    pub canary: CanaryConfig,
    /// Further lines of the program's own spec, as `prometheus: {...}`; `store: {...}` in place of the file.
    pub server: Vec<String>,
    /// Further documents. `ROUTES` stands for the route file's path.
    pub documents: Vec<String>,
}

/// The canary's own settings. What is none here is the program's default.
#[derive(Debug, Clone)]
pub struct CanaryConfig {
    /// The version that serves.
    pub stable_version: String,
    /// The version under test; the same one for nothing to release.
    pub canary_version: String,
    /// Goes before the user into the hash.
    pub salt: Option<String>,
    /// `Always` or `Never`.
    pub manual: Option<String>,
    /// Path prefixes that are not part of the release.
    pub exclude_paths: Vec<String>,
    /// The weights, in percent.
    pub steps: Vec<f64>,
    /// How long a weight stays, as `6s`.
    pub promotion_interval: String,
    /// How often the judge is asked whether to go on, as `2s`.
    pub analysis_interval: String,
    /// How long a step is new, as `2s`.
    pub warmup: String,
    /// How often a good canary may be rolled back by chance.
    pub false_rollback_rate: Option<f64>,
    /// Lines of the spec's `limits`, as `maxErrorRate: 100.0`.
    pub limits: Vec<String>,
    /// Where users come from, as `{ cookie: uid }`.
    pub units: String,
    /// Further lines of the spec, as `segment: {...}`.
    pub more: Vec<String>,
}

impl Default for CanaryConfig {
    /// v2 against v1 by a quick ramp with the default limits.
    fn default() -> Self {
        Self {
            stable_version: "v1".to_owned(),
            canary_version: "v2".to_owned(),
            salt: None,
            manual: None,
            exclude_paths: Vec::new(),
            steps: vec![5.0, 25.0, 50.0, 75.0, 100.0],
            promotion_interval: "6s".to_owned(),
            analysis_interval: "2s".to_owned(),
            warmup: "2s".to_owned(),
            false_rollback_rate: None,
            limits: Vec::new(),
            units: "{ header: x-user-id }".to_owned(),
            more: Vec::new(),
        }
    }
}

impl CanaryConfig {
    /// What goes before a user into the hash: as given, or the program's default.
    pub fn effective_salt(&self) -> String {
        self.salt.clone().unwrap_or_else(|| format!("default/shop/{}:", self.canary_version))
    }
}

impl AnalyzerConfig {
    /// As YAML of two documents.
    pub fn to_yaml(&self) -> String {
        let mut text = format!(
            "apiVersion: serin.dev/v1alpha1\nkind: Serin\nspec:\n  listen: 127.0.0.1:{}\n",
            self.port
        );
        if !self.server.iter().any(|line| line.starts_with("store:")) {
            writeln!(text, "  store: {{ redb: {} }}", self.store.display()).ok();
        }
        let mut line = |line: String| {
            // Writing to a string cannot fail.
            writeln!(text, "{line}").ok();
        };
        if let Some(file) = &self.report_token_file {
            line(format!("  reportTokenFile: {}", file.display()));
        }
        for more in &self.server {
            line(format!("  {more}"));
        }
        let canary = &self.canary;
        line("---\napiVersion: serin.dev/v1alpha1\nkind: Canary".to_owned());
        line("metadata: { name: shop, namespace: default }\nspec:".to_owned());
        line(format!("  stableVersion: {}", canary.stable_version));
        line(format!("  canaryVersion: {}", canary.canary_version));
        line("  hosts: [shop.example, 127.0.0.1]".to_owned());
        line("  router:".to_owned());
        line(format!(
            "    envoyRoutes: {{ path: {}, stableCluster: shop-stable, canaryCluster: shop-canary }}",
            self.routes.display()
        ));
        line(format!("  units: [{}]", canary.units));
        for more in &canary.more {
            line(format!("  {more}"));
        }
        if let Some(salt) = &canary.salt {
            line(format!("  salt: {salt:?}"));
        }
        if let Some(manual) = &canary.manual {
            line(format!("  manual: {manual}"));
        }
        if !canary.exclude_paths.is_empty() {
            line(format!("  exclude: {{ pathPrefixes: {:?} }}", canary.exclude_paths));
        }
        line("  ramp:".to_owned());
        line(format!("    steps: {:?}", canary.steps));
        line(format!("    promotionInterval: {}", canary.promotion_interval));
        line(format!("    analysisInterval: {}", canary.analysis_interval));
        line(format!("    warmup: {}", canary.warmup));
        if let Some(rate) = canary.false_rollback_rate {
            line(format!("  falseRollbackRate: {rate}"));
        }
        if !canary.limits.is_empty() {
            line(format!("  limits: {{ {} }}", canary.limits.join(", ")));
        }
        for document in &self.documents {
            line(format!("---\n{}", document.replace("ROUTES", &self.routes.display().to_string())));
        }
        text
    }
}
