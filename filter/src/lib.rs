//! Serin's filter: a proxy-wasm module that gives every user one version and keeps it, and reports what
//! each version did to its users. The decisions and the recording are pure; `proxy.rs` alone knows Envoy.
//!
//! A request's way: [`stream`] asks [`decide`] for its version, keeps what was decided until the request
//! has ended, lets [`outcome`] judge the answer and writes it into the [`period`] that it was assigned
//! under. An agent's way ([`agent`], one per VM): at every tick it looks for overdue requests
//! ([`in_flight`]), flushes Envoy's statistics ([`counters`]) and sends what the [`recorder`] holds
//! through the [`outbox`]; the reply brings acknowledgement and plan.
//!
//! # What is bounded, and what happens at the bound
//! | what | bound | at the bound |
//! |---|---|---|
//! | units known as seen, per stratum | [`units::MAX_SEEN`] | further units are not listed as seen; their requests count |
//! | units known as erred or slow, per stratum | [`units::MAX_EVENTS`] | further ones are not listed; their requests and errors count |
//! | rows of method and status, per arm and stratum | [`serin_contract::report::MAX_RESPONSES`] | further kinds count in `requests` and `errors` alone |
//! | past strata that wait for the analyzer | [`recorder::MAX_PAST`] | the oldest is merged into the next of its canary: counts are added, its unsent units dropped |
//! | requests watched for being overdue | [`in_flight::MAX_WATCHED`] | further ones are not watched; they count when they end |
//! | units and goals of an experiment's step that wait for a report | [`experiments::MAX_PENDING`] | further ones are dropped |
//! | one report | [`serin_contract::report::MAX_BYTES`] | what does not fit waits for the next |
//! | canaries with statistics in Envoy | [`counters::MAX_CANARIES`] | further ones have none; their reports are whole |
//! | a reply | [`agent::MAX_REPLY`] | it is not read; the report counts as not acknowledged |
//!
//! A past stratum of which nothing is left to send lives only as long as requests that began in it, and
//! holds no units; Envoy's own limits bound those.
//!
//! # Statistics in Envoy
//! `serin.<namespace>_<name>.<arm>.requests` and `.errors` count assigned requests by the assigned arm;
//! a character of the name other than a letter, a digit or `-` becomes `_`. On the admin's `/stats` they
//! stand under `wasmcustom.`; `/stats/prometheus` shows them without it, as
//! `serin_default_shop_canary_requests`. With these `stats_tags` in the bootstrap it shows
//! `serin_requests{serin_canary="default_shop",serin_arm="canary"}`:
//! ```yaml
//! stats_config:
//!   stats_tags:
//!     - {tag_name: serin_canary, regex: '^wasmcustom\.serin\.(([^.]+)\.)(?:stable|canary)\.'}
//!     - {tag_name: serin_arm, regex: '^wasmcustom\.serin\.(?:[^.]+\.)?((stable|canary)\.)'}
//! ```
//! `serin.reports.acknowledged`, `serin.reports.failed` and `serin.plans.refused` show how the filters
//! and the analyzer get on.

#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

pub mod agent;
pub mod clock;
pub mod config;
pub mod counters;
pub mod decide;
pub mod experiments;
pub mod host;
pub mod in_flight;
pub mod issue;
pub mod outbox;
pub mod outcome;
pub mod period;
pub mod recorder;
pub mod stream;
pub mod tally;
pub mod units;

mod proxy;
