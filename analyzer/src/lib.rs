//! The analyzer: takes the filters' reports, judges them, moves the weights, and shows what it thinks.
//! `contract` and `judge` hold what it knows; here is what touches files, sockets, clocks and people.

pub mod alerts;
pub mod analytics;
pub mod api;
pub mod cli;
pub mod config;
pub mod engine;
pub mod experiments;
pub mod gates;
pub mod kinds;
pub mod kubernetes;
pub mod metrics;
pub mod module;
pub mod outgoing;
pub mod replicas;
pub mod report;
pub mod router;
pub mod sources;
pub mod store;
pub mod tls;
