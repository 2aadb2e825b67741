//! The judge: what the filters' reports amount to, what that says about the canary, and what to do next.
//! Pure functions of state, summary and time: nothing here reads a clock, a file or a socket.

pub mod anomaly;
pub mod confidence;
pub mod deployments;
pub mod evidence;
pub mod experiment;
pub mod goals;
pub mod histogram;
pub mod history;
pub mod observations;
pub mod packed;
pub mod ramp;
pub mod rules;
pub mod sample;
pub mod sample_ratio;
pub mod settings;
pub mod simulate;
pub mod slo;
pub mod statistics;
pub mod summary;
pub mod time;
pub mod totals;
pub mod units;
pub mod verdict;
pub mod window;
