//! Bytes that no port should mind.

use anyhow::Result;
use serin_tests::ports::loopback;
use serin_tests::random;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer is waited for: there need not be one.
const PATIENCE: Duration = Duration::from_millis(300);

/// Sends garbage of every kind to every port.
pub(crate) async fn send_to(ports: &[u16], seed: u64) -> Result<()> {
    for (place, port) in ports.iter().enumerate() {
        for kind in pieces(random::number(seed, place as u64)) {
            // Whether it is taken, refused or cut off: only what it leaves behind matters.
            let sent = tokio::time::timeout(PATIENCE, send(*port, &kind)).await;
            if let Ok(Err(error)) = sent {
                drop(error);
            }
        }
    }
    Ok(())
}

async fn send(port: u16, bytes: &[u8]) -> Result<()> {
    let mut stream = TcpStream::connect(loopback(port)).await?;
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(())
}

fn pieces(seed: u64) -> Vec<Vec<u8>> {
    let noise = |length: u64| -> Vec<u8> { (0..length).map(|n| random::number(seed, n) as u8).collect() };
    let report = |body: &[u8]| {
        let head = format!(
            "POST /v1/report HTTP/1.1\r\nhost: elsewhere\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let many = br#"{"instance":"00000000000000aa","sequence":1,"plan_revision":1,"node":"n","interval_ms":500,"canaries":[{"name":"default/shop","step":1,"stratum":1,"arms":{"stable":{"requests":99999999999999}}}]}"#;
    vec![
        noise(64),
        noise(20_000),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        [b"GET / HTTP/1.1\r\nhost: elsewhere\r\nx: ".to_vec(), vec![b'y'; 200_000]].concat(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0".to_vec(),
        b"POST /v1/report HTTP/1.1\r\nhost: elsewhere\r\ncontent-length: 99999\r\n\r\n{".to_vec(),
        report(&noise(500)),
        report(&[b'['; 100_000]),
        report(b"{\"instance\": 7}"),
        report(&many[..many.len() - 9]),
        report(many),
    ]
}
