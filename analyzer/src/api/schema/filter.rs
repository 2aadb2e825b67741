//! Filters as readers see them, and what somebody who acts says.

use utoipa::ToSchema;

/// A filter that has reported within the last half minute.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Filter {
    /// The VM: 16 hexadecimal digits.
    #[schema(example = "00000000000000ab")]
    pub instance: String,
    /// The proxy's node id.
    pub node: String,
    /// The plan that it follows; 0 for none.
    pub plan_revision: u64,
    /// Whether it has yet to fetch the current plan.
    pub pending: bool,
    /// When it last reported, in milliseconds since 1970.
    pub last_seen: u64,
    /// How often it reports, in milliseconds.
    pub interval_ms: u64,
    /// Its last report's number.
    pub sequence: u64,
}

/// Why somebody acts, and who.
#[derive(ToSchema)]
pub struct Intent {
    /// Stands in the history and in the audit.
    #[schema(example = "the shop's checkout is slow", min_length = 1, max_length = 1000)]
    pub reason: String,
    /// As they call themselves; `operator` without it.
    #[schema(example = "kim", min_length = 1, max_length = 1000)]
    pub by: Option<String>,
}

/// What people can do.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Deed {
    /// Keep the weight until it is resumed.
    Pause,
    /// Let a paused release go on.
    Resume,
    /// All to the canary now.
    Promote,
    /// All to stable now.
    Rollback,
}
