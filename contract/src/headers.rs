//! The names of the headers that travel between client, filter, services and analyzer.

/// `true` or `false`: the version that a request goes to. Routes match it; a client may send it by hand.
pub const CANARY: &str = "x-canary";
/// `<namespace>/<name>` of the canary whose filter decided; shows the next filter that a hop is decided.
pub const CANARY_BY: &str = "x-canary-by";
/// The key that lets a client choose where a canary asks for one. Never sent on.
pub const CANARY_KEY: &str = "x-canary-key";
/// Everything else that Serin sets begins with this.
pub const SERIN_PREFIX: &str = "x-serin-";

/// Which arms a request's user is in: `id=arm;id=arm`.
pub const EXPERIMENTS: &str = "x-serin-experiments";
/// What the arms switch: `flag=value;flag=value`.
pub const FLAGS: &str = "x-serin-flags";
/// On a response: the service says that a goal was reached, `purchase` or `purchase=12.50`; several
/// between commas. Never sent to clients.
pub const GOAL: &str = "x-serin-goal";

/// The two values of [`CANARY`].
pub const TRUE: &str = "true";
/// See [`TRUE`].
pub const FALSE: &str = "false";

/// Where filters post their reports.
pub const REPORT_PATH: &str = "/v1/report";
