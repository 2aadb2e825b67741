//! Calls with headers, and the live socket.

use super::Running;
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderName;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Longer than anything here takes on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An answer with its headers.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A call with these headers; `host` among them if they want another than the address.
pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(address).expect("connects");
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str(&format!("host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a code");
    Answer { code, head, body: answer[end + 4..].to_vec() }
}

/// A client of the live view.
pub(crate) struct Watcher {
    pub(crate) socket: WebSocketStream<tokio::net::TcpStream>,
}

impl Watcher {
    /// With these headers; the code of the refusal otherwise.
    pub(crate) async fn join(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{address}/v1/live").into_client_request().expect("a request");
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        // A small window, so that who does not read holds little in the kernel.
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(16 * 1024).expect("set");
        let stream = socket.connect(address).await.expect("connects");
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// The next frame, or the code of the goodbye.
    pub(crate) async fn next(&mut self) -> Result<Value, u16> {
        loop {
            let message =
                tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("something in time");
            match message.expect("an open socket").expect("a message") {
                Message::Text(text) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Message::Close(frame) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Frames up to one that is so.
    pub(crate) async fn until(&mut self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let begin = std::time::Instant::now();
        loop {
            let frame = self.next().await.unwrap_or_else(|code| panic!("closed with {code} until {what}"));
            if so(&frame) {
                return frame;
            }
            assert!(begin.elapsed() < PATIENCE, "waited too long until {what}");
        }
    }

    /// Whether the connection ends, with or without a goodbye.
    pub(crate) async fn ended(&mut self) -> bool {
        let end = async {
            while let Some(Ok(message)) = self.socket.next().await {
                if matches!(message, Message::Close(_)) {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, end).await.is_ok()
    }

    pub(crate) async fn leave(mut self) {
        drop(self.socket.send(Message::Close(None)).await);
    }
}

impl Running {
    /// A report of the one filter, with these arms of the shop.
    pub(crate) fn report(&self, sequence: u64, token: &str, step: u64, stratum: u64, arms: &str) {
        let canaries = match arms {
            "" => String::new(),
            arms => format!(r#"{{"name":"default/shop","step":{step},"stratum":{stratum},"arms":{arms}}}"#),
        };
        let body = format!(
            r#"{{"instance":"00000000000000ab","sequence":{sequence},"plan_revision":0,"node":"gw","interval_ms":500,
            "canaries":[{canaries}]}}"#
        );
        let (code, answer) = self.call("POST", "/v1/report", token, &body).expect("an answer");
        assert_eq!(code, 200, "{answer}");
    }
}
