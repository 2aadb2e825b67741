//! What is measured: Envoys that differ in one filter alone.

use serde_json::{Value, json};
use std::path::PathBuf;

/// Who answers the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The route itself.
    Direct,
    /// A cluster.
    Upstream,
}

/// What stands before the router.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    /// Nothing.
    None,
    /// A wasm filter that does nothing.
    Empty,
    /// Serin with this plan.
    Serin {
        /// The plan.
        plan: Value,
        /// Whether clients talk to the proxy directly.
        edge: bool,
        /// Another build of the filter.
        module: Option<PathBuf>,
    },
    /// As many filters in a row that make calls, each as it is ordered to.
    Calls {
        /// The kind of call and how often in each request.
        order: String,
        /// How many filters.
        filters: usize,
    },
    /// Envoy's Lua filter with a hash and a header.
    Lua,
    /// No filter: the route's weights, by a hash of the user.
    Weighted,
}

/// One kind of Envoy.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) filter: Filter,
    pub(crate) backend: Backend,
    /// Whether it is there whatever kinds are asked for.
    pub(crate) is_reference: bool,
    pub(crate) in_latency: bool,
    pub(crate) in_memory: bool,
}

impl Kind {
    pub(crate) fn new(name: &'static str, backend: Backend, filter: Filter) -> Self {
        Self { name, filter, backend, is_reference: false, in_latency: false, in_memory: false }
    }

    /// The same with another build of Serin's filter; none where there is none of it.
    pub(crate) fn with_module(&self, name: &'static str, file: PathBuf) -> Option<Self> {
        let Filter::Serin { plan, edge, .. } = &self.filter else { return None };
        let filter = Filter::Serin { plan: plan.clone(), edge: *edge, module: Some(file) };
        Some(Self::new(name, self.backend, filter))
    }

    /// What answers behind the Envoys that are measured.
    pub(crate) fn upstream() -> Self {
        Self::new("upstream", Backend::Direct, Filter::None)
    }

    pub(crate) fn is_serin(&self) -> bool {
        matches!(self.filter, Filter::Serin { .. })
    }

    pub(crate) fn is_empty_filter(&self, backend: Backend) -> bool {
        self.backend == backend && matches!(self.filter, Filter::Empty)
    }
}

/// All kinds, in the order of the tables.
pub(crate) fn all() -> Vec<Kind> {
    let serin = |plan| Filter::Serin { plan, edge: true, module: None };
    let header = || json!([{ "header": "x-user-id" }]);
    let one = || plan(1, 0, false, &header());
    let by = |unit: Value| serin(plan(1, 0, false, &json!([unit])));
    let direct = |name, filter| Kind::new(name, Backend::Direct, filter);
    let upstream = |name, filter| Kind::new(name, Backend::Upstream, filter);
    vec![
        Kind { is_reference: true, in_latency: true, in_memory: true, ..direct("none", Filter::None) },
        Kind {
            is_reference: true,
            in_latency: true,
            in_memory: true,
            ..direct("empty filter", Filter::Empty)
        },
        Kind { in_latency: true, in_memory: true, ..direct("Serin, 1 canary, header", serin(one())) },
        direct("Serin, 1 canary, header, sidecar", Filter::Serin { plan: one(), edge: false, module: None }),
        Kind {
            in_latency: true,
            in_memory: true,
            ..direct("Serin, 100 canaries and 20 experiments", serin(plan(100, 20, false, &header())))
        },
        direct("Serin, 100 and 20, the user in one experiment", serin(plan(100, 20, true, &header()))),
        direct("Serin, 1 canary, cookie", by(json!({ "cookie": "uid" }))),
        direct("Serin, 1 canary, JWT", by(json!({ "jwt": { "header": "authorization", "claim": "sub" } }))),
        direct("Serin, 1 canary, issued cookie", by(json!({ "issued_cookie": { "name": "serin-id" } }))),
        direct("Lua: a hash and a header", Filter::Lua),
        upstream("none, before a cluster", Filter::None),
        Kind { is_reference: true, ..upstream("empty filter, before a cluster", Filter::Empty) },
        upstream("Serin, 1 canary, before a cluster", serin(one())),
        upstream("weighted clusters by a hash policy", Filter::Weighted),
    ]
}

/// A plan of so many canaries and experiments, each on hosts of its own. The requests are for the canary in the
/// middle; for one of the experiments too if they are to be `covered`.
fn plan(canaries: usize, experiments: usize, covered: bool, units: &Value) -> Value {
    let hosts = |name: &str| {
        let ends = ["", ".default", ".default.svc", ".default.svc.cluster.local", ".example"];
        ends.map(|end| format!("{name}{end}"))
    };
    let canary = |place: usize| {
        let name = if place == canaries / 2 { "shop".to_owned() } else { format!("shop-{place}") };
        json!({
            "name": format!("default/{name}"), "step": 3, "stratum": 5, "hosts": hosts(&name),
            "salt": format!("default/{name}/v2:"), "units": units, "canary_share": 1000,
            "slow_edge_us": 1_000_000,
            "served_by": { "stable": ["shop-stable"], "canary": ["shop-canary"] },
        })
    };
    let experiment = |place: usize| {
        let name =
            if covered && place == experiments / 2 { "shop".to_owned() } else { format!("lab-{place}") };
        json!({
            "id": format!("experiment-{place}"), "step": 1, "hosts": hosts(&name),
            "salt": format!("experiment-{place}:"), "units": [{ "header": "x-user-id" }],
            "arms": [
                { "name": "control", "share": 5000 },
                { "name": "treatment", "share": 5000, "flags": { "button": "green" } },
            ],
            "goals": [{ "name": "purchase", "response": { "methods": ["POST"], "path_prefix": "/checkout" } }],
        })
    };
    json!({
        "revision": 1, "report_interval_ms": 500,
        "canaries": (0..canaries).map(canary).collect::<Vec<_>>(),
        "experiments": (0..experiments).map(experiment).collect::<Vec<_>>(),
    })
}
