//! TLS, by rustls with ring: the listener's certificate, which may be replaced while the program runs,
//! and the roots that the command line trusts.

mod client;
mod pair;
mod watch;

pub use client::{Trust, TrustError};
pub use pair::{Pair, PairError, PairFiles};
pub use watch::Certificate;
