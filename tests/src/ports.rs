//! Free loopback ports. They come from below the range that the system takes client ports from, or the
//! load's own connections would sit on a port before its server starts.

use anyhow::{Result, bail};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

/// A port that nobody listens on. Every call gives another, and runs side by side begin elsewhere.
///
/// # Errors
/// When a thousand in a row are taken.
pub fn free() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(97);
    for _ in 0..1000 {
        let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = (FIRST + offset) as u16;
        if TcpListener::bind(loopback(port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port among a thousand from {FIRST} on")
}

/// A port on this machine's loopback address.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
