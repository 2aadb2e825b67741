//! The end-to-end harness: starts real Envoys, the real analyzer and a small real shop on free loopback
//! ports, sends traffic, and keeps exact records of both ends to compare Serin's numbers with.

pub mod analyzer;
pub mod artifacts;
pub mod browser;
pub mod envoy;
pub mod half;
pub mod http;
pub mod load;
pub mod mesh;
pub mod monitoring;
pub mod ports;
pub mod process;
pub mod random;
pub mod redis;
pub mod shop;
pub mod wait;
pub mod wire;
pub mod world;
