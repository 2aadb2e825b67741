//! Connections to the analyzer that are kept open, as a proxy's are, written by hand so that the load itself costs
//! little: HTTP/1.1, one request at a time on each.

use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Connection {
    target: SocketAddr,
    stream: Option<TcpStream>,
    text: Vec<u8>,
}

impl Connection {
    pub(crate) fn to(target: SocketAddr) -> Self {
        Self { target, stream: None, text: Vec::new() }
    }

    /// The next report begins with a new connection.
    pub(crate) fn close(&mut self) {
        self.stream = None;
    }

    /// Posts a report; answers the reply's body. After an error the next one begins with a new connection.
    pub(crate) async fn post(&mut self, body: &[u8]) -> Result<Vec<u8>> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.target).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        self.text.clear();
        let head = format!(
            "POST /v1/report HTTP/1.1\r\nhost: serin\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.text.extend(head.as_bytes());
        self.text.extend(body);
        stream.write_all(&self.text).await?;
        self.text.clear();
        loop {
            if stream.read_buf(&mut self.text).await? == 0 {
                bail!("the analyzer closed the connection");
            }
            if let Some(body) = whole(&self.text)? {
                let body = body.to_vec();
                self.stream = Some(stream);
                return Ok(body);
            }
        }
    }
}

/// The body of an answer that is all there.
fn whole(text: &[u8]) -> Result<Option<&[u8]>> {
    let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&text[..end]).context("a head of other characters")?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("the analyzer says {}", head.lines().next().unwrap_or_default());
    }
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .context("an answer without a length")?;
    let length: usize = length.1.trim().parse()?;
    let body = &text[end + 4..];
    Ok((body.len() >= length).then(|| &body[..length]))
}
