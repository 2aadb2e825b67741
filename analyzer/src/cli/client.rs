//! Talking to a running analyzer over HTTP or HTTPS: which one, with which token, trusting whom.

use super::Failure;
use crate::tls::Trust;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// How long an answer may take, and how large it may be.
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: usize = 64 * 1024 * 1024;

/// Which analyzer to talk to.
#[derive(Args)]
pub(super) struct Server {
    /// The analyzer's address
    #[arg(long, env = "SERIN_SERVER", default_value = "http://127.0.0.1:9090")]
    server: Uri,
    /// A file whose first line is a viewer's or operator's token; without it SERIN_TOKEN is taken
    #[arg(long, env = "SERIN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// For https: the authority that the server's certificate is of, as PEM; else the system's are trusted
    #[arg(long, env = "SERIN_CA_FILE")]
    ca_file: Option<PathBuf>,
}

/// A way to an analyzer: everything that can be wrong with the arguments is behind it.
pub(super) struct Client {
    base: String,
    host: String,
    port: u16,
    trust: Option<Trust>,
    token: Option<String>,
    runtime: Runtime,
}

impl Server {
    /// Checks the arguments. Connects to nothing yet.
    pub(super) fn connect(&self) -> Result<Client, Failure> {
        let wrong = |problem: &str| Failure::Wrong(format!("--server {}: {problem}", self.server));
        let host = self.server.host().unwrap_or_default().to_owned();
        let secure = match self.server.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(wrong("write it as http://HOST:PORT or https://HOST:PORT")),
        };
        if self.ca_file.is_some() && !secure {
            return Err(wrong("--ca-file is for https"));
        }
        let trust = secure.then(|| Trust::load(self.ca_file.as_deref())).transpose();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Client {
            base: self.server.to_string().trim_end_matches('/').to_owned(),
            host,
            port: self.server.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            trust: trust.map_err(|error| Failure::Wrong(format!("--ca-file {error}")))?,
            token: self.token()?,
            runtime: runtime.map_err(|error| Failure::Failed(error.to_string()))?,
        })
    }

    fn token(&self) -> Result<Option<String>, Failure> {
        let Some(file) = &self.token_file else {
            return Ok(std::env::var("SERIN_TOKEN").ok().filter(|token| !token.is_empty()));
        };
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::Wrong(format!("--token-file {}: {error}", file.display())))?;
        Ok(text.lines().next().map(|line| line.trim().to_owned()))
    }
}

impl Client {
    /// Calls the API and waits for its answer.
    pub(super) fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let body = self.ask(method, path, body)?;
        serde_json::from_slice(&body).map_err(|error| {
            Failure::Failed(format!("{}{path}: an answer that is not JSON: {error}", self.base))
        })
    }

    /// Reads a page that is text.
    pub(super) fn text(&self, path: &str) -> Result<String, Failure> {
        let body = self.ask(Method::GET, path, None)?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Bytes, Failure> {
        let address = format!("{}{path}", self.base);
        let request = self.request(method, &address, body)?;
        let exchange = async { tokio::time::timeout(PATIENCE, self.exchange(request)).await };
        match self.runtime.block_on(exchange) {
            Ok(answer) => answer.map_err(|problem| Failure::Failed(format!("{address}: {problem}"))),
            Err(_) => Err(Failure::Failed(format!("{address}: no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    /// Lets time go by; ends with Ctrl-C as any program does.
    pub(super) fn wait(&self, time: Duration) {
        self.runtime.block_on(tokio::time::sleep(time));
    }

    fn request(
        &self,
        method: Method,
        address: &str,
        body: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let wrong = |error: &dyn std::error::Error| Failure::Wrong(format!("{address}: {error}"));
        let uri: Uri = address.parse().map_err(|error| wrong(&error))?;
        let authority = uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, authority)
            .header(header::CONNECTION, "close")
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        request.body(Full::new(bytes)).map_err(|error| wrong(&error))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Bytes, String> {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, self.port)).await.map_err(|error| {
            format!("cannot connect: {error}; is the analyzer running there? (--server, SERIN_SERVER)")
        })?;
        let Some(trust) = &self.trust else { return send(stream, request).await };
        let stream = trust.connect(&self.host, stream).await.map_err(|error| {
            format!("the connection is not safe: {error}; is its authority in --ca-file (SERIN_CA_FILE)?")
        })?;
        send(stream, request).await
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Bytes, String> {
    let told = |error: hyper::Error| {
        format!("{error}; is it an analyzer, and does it speak http or https there? (--server)")
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
    // What goes wrong with the connection shows in the answer.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(told)?;
    let (status, body) = received(answer).await?;
    if status.is_success() {
        return Ok(body);
    }
    let value: Value = serde_json::from_slice(&body)
        .map_err(|error| format!("{status}, and an answer that is not JSON: {error}"))?;
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let field = text("field").map(|field| format!("{field}: ")).unwrap_or_default();
    Err(format!("{status}: {field}{}", text("detail").unwrap_or("no detail")))
}

async fn received(answer: Response<hyper::body::Incoming>) -> Result<(StatusCode, Bytes), String> {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LARGEST).collect().await;
    Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
}
