//! A wire between Envoys and the analyzer that can be slow, cut and silent: a TCP proxy of the tests' own.

use crate::ports::loopback;
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How long a slow wire keeps each piece: longer than a filter waits for an answer.
const SLOW: Duration = Duration::from_secs(3);

/// What the wire does to connections, old and new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Trouble {
    /// Nothing.
    None,
    /// Every piece arrives three seconds late.
    Slow,
    /// Connections are closed as soon as anything comes.
    Cut,
    /// Answers are lost: reports arrive, and nobody hears of it.
    Mute,
}

impl Trouble {
    const ALL: [Self; 4] = [Self::None, Self::Slow, Self::Cut, Self::Mute];
}

/// A running wire. Dropping it cuts it.
#[derive(Debug)]
pub struct Wire {
    trouble: Arc<AtomicU8>,
    server: JoinHandle<()>,
}

impl Wire {
    /// Listens on one port of this machine and passes on to another.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(from: u16, to: u16) -> Result<Self> {
        let listener = TcpListener::bind(loopback(from)).await?;
        let trouble = Arc::new(AtomicU8::new(Trouble::None as u8));
        let shared = Arc::clone(&trouble);
        let server = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connect(near, to, Arc::clone(&shared)));
            }
        });
        Ok(Self { trouble, server })
    }

    /// From now on it does this.
    pub fn set(&self, trouble: Trouble) {
        self.trouble.store(trouble as u8, Ordering::Relaxed);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn connect(near: TcpStream, to: u16, trouble: Arc<AtomicU8>) {
    // An analyzer that is down is a connection that closes.
    let Ok(far) = TcpStream::connect(loopback(to)).await else { return };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = pump(near_in, far_out, &trouble, false) => {}
        () = pump(far_in, near_out, &trouble, true) => {}
    }
}

/// Passes bytes on until either side closes or the wire is cut.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, trouble: &AtomicU8, answers: bool) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let now = trouble.load(Ordering::Relaxed);
        match Trouble::ALL.into_iter().find(|known| *known as u8 == now).unwrap_or(Trouble::None) {
            Trouble::None => {}
            Trouble::Slow => tokio::time::sleep(SLOW).await,
            Trouble::Cut => return,
            Trouble::Mute if answers => continue,
            Trouble::Mute => {}
        }
        let Some(piece) = piece.get(..length) else { return };
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports;

    #[tokio::test]
    async fn a_wire_passes_on_until_it_is_cut() {
        let (from, to) = (ports::free().unwrap(), ports::free().unwrap());
        let echo = TcpListener::bind(loopback(to)).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = echo.accept().await {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.ok();
            }
        });
        let wire = Wire::start(from, to).await.unwrap();
        let mut stream = TcpStream::connect(loopback(from)).await.unwrap();
        let mut heard = [0; 4];
        stream.write_all(b"ping").await.unwrap();
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ping");
        wire.set(Trouble::Cut);
        stream.write_all(b"ping").await.unwrap();
        assert!(stream.read_exact(&mut heard).await.is_err());
    }
}
