//! Free loopback ports. They come from below the range that the system takes client ports from, or the
//! load's own connections would sit on a port before its server starts.

use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::TcpSocket;

const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

/// A port that nobody listens on. Every call gives another, and runs side by side begin elsewhere.
///
/// # Errors
/// When a thousand in a row are taken.
pub fn free() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Spread widely: runs side by side have neighbouring numbers.
    let begin = std::process::id().wrapping_mul(2_654_435_761) >> 8;
    for _ in 0..1000 {
        let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = (FIRST + offset) as u16;
        if is_free(port)? {
            return Ok(port);
        }
    }
    bail!("no free port among a thousand from {FIRST} on")
}

/// Asks by binding, not by listening: another thread may start a process just now, whose copy of our
/// socket lives until it runs its own program. A listening copy would keep the port from the one we name
/// it to; one that is only bound, with the address marked as shared, does not.
fn is_free(port: u16) -> Result<bool> {
    let socket = TcpSocket::new_v4().context("a socket to look for a free port with")?;
    socket.set_reuseaddr(true).context("the socket's address cannot be shared")?;
    Ok(socket.bind(loopback(port)).is_ok())
}

/// A port on this machine's loopback address.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_port_that_somebody_listens_on_is_not_free() {
        let listener = TcpListener::bind(loopback(free().unwrap())).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()).unwrap());
    }

    #[test]
    fn a_port_can_be_had_while_other_threads_start_processes() {
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::process::Command::new("true").status().unwrap();
                }
            });
            for _ in 0..2000 {
                TcpListener::bind(loopback(free().unwrap())).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
