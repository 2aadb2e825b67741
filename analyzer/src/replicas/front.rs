//! What a replica answers: the leader everything itself; a follower its own probes, metrics and the wasm
//! module, with a shared store reports and events, and it passes the rest on to the leader.

use super::Term;
use crate::api::{Connection, EVENTS_PATH, Problem};
use crate::kubernetes::Denials;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::Uri;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::service::Service;
use hyper::upgrade::{self, OnUpgrade};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

/// A request that a replica passed on: the next one answers it, or says that it cannot.
const PASSED_ON: HeaderName = HeaderName::from_static("x-serin-passed-on");
/// The leader's own limit, and a little more.
const TIMEOUT: Duration = Duration::from_secs(22);

/// A replica's face.
#[derive(Clone)]
pub struct Front {
    /// The API, once this replica leads.
    leader: Arc<OnceLock<Router>>,
    /// What every replica answers by itself: metrics, the wasm module, and with a shared store reports and events.
    own: Router,
    /// Whether it takes reports and events itself.
    takes: bool,
    term: watch::Receiver<Term>,
    denials: Denials,
    client: Client<HttpsConnector<HttpConnector>, Body>,
}

impl Front {
    /// As a follower; `own` answers whatever needs no engine, reports and events among it if it `takes` them.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn new(
        own: Router,
        takes: bool,
        term: watch::Receiver<Term>,
        denials: Denials,
    ) -> std::io::Result<Self> {
        let connector =
            HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { leader: Arc::default(), own, takes, term, denials, client })
    }

    /// From now on this replica answers itself.
    pub fn lead(&self, app: Router) {
        // It begins to lead once in its life.
        let _ = self.leader.set(app);
    }

    async fn answer(self, request: Request) -> Response {
        let path = request.uri().path();
        let (is_ready, is_health) = (path == "/readyz", path == "/healthz");
        let is_report = path == serin_contract::headers::REPORT_PATH && self.takes;
        // Whoever has signed in is known to the leader alone.
        let is_event = path == EVENTS_PATH && self.takes && !request.headers().contains_key(header::COOKIE);
        let is_own = ["/", "/metrics"].contains(&path)
            || path.starts_with("/filter")
            || path.starts_with("/assets/")
            || is_report
            || is_event;
        match self.leader.get() {
            Some(app) if is_ready => self.ready(call(app.clone(), request).await, "leader").await,
            Some(app) => call(app.clone(), request).await,
            None if is_ready || is_health => self.ready("ok\n".into_response(), "follower").await,
            None if is_own => call(self.own.clone(), request).await,
            None => self.pass_on(request).await,
        }
    }

    /// A replica that lacks a permission still takes reports: it is ready, and says what it lacks.
    async fn ready(&self, response: Response, role: &str) -> Response {
        if response.status() != StatusCode::OK {
            return response;
        }
        let mut text = format!("ok\n{role}\n");
        for denied in self.denials.list() {
            text.push_str(&denied);
            text.push('\n');
        }
        text.into_response()
    }

    async fn pass_on(self, mut request: Request) -> Response {
        let nobody = |detail: &str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
        if request.headers().contains_key(&PASSED_ON) {
            return nobody(
                "this replica does not lead, and the one that passed the request on thought it did",
            );
        }
        let address = match &*self.term.borrow() {
            Term::Other(address) => address.clone(),
            Term::Nobody | Term::Mine | Term::Lost(_) => {
                return nobody("no replica leads at the moment: try again");
            }
        };
        let tunnel = Tunnel::of(&mut request, self.term.clone(), address.clone());
        let request = match directed(request, &address) {
            Ok(request) => request,
            Err(problem) => return nobody(&problem),
        };
        // A leader that froze keeps its connections; nobody waits for it once another leads.
        let mut term = self.term.clone();
        let asked = Term::Other(address.clone());
        let answered = tokio::select! {
            answered = tokio::time::timeout(TIMEOUT, self.client.request(request)) => answered,
            _ = term.wait_for(|term| *term != asked) => {
                return nobody("another leads since the request was passed on: try again");
            }
        };
        match answered {
            Ok(Ok(mut response)) => {
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    tunnel.open(upgrade::on(&mut response));
                }
                response.map(Body::new)
            }
            Ok(Err(error)) => nobody(&format!("the leader at {address} is not reached: {error}")),
            Err(_) => nobody(&format!("the leader at {address} did not answer in time")),
        }
    }
}

/// A WebSocket on its way through: whatever one side says goes to the other.
struct Tunnel {
    client: OnUpgrade,
    connection: Option<Connection>,
    term: watch::Receiver<Term>,
    leader: String,
}

impl Tunnel {
    fn of(request: &mut Request, term: watch::Receiver<Term>, leader: String) -> Self {
        let connection = request.extensions().get::<Connection>().cloned();
        Self { client: upgrade::on(request), connection, term, leader }
    }

    /// Until one of them ends it, this replica stops, or another leads.
    fn open(mut self, leader: OnUpgrade) {
        tokio::spawn(async move {
            let (client, leader) = match tokio::try_join!(self.client, leader) {
                Ok(both) => both,
                Err(error) => {
                    tracing::debug!(%error, "a WebSocket was not passed on");
                    return;
                }
            };
            let (mut client, mut leader) = (TokioIo::new(client), TokioIo::new(leader));
            let stopped = async {
                match &self.connection {
                    Some(connection) => connection.ended().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // However it ends, the other side's end goes with it.
                _ = tokio::io::copy_bidirectional(&mut client, &mut leader) => {}
                () = stopped => {}
                _ = self.term.wait_for(|term| *term != Term::Other(self.leader.clone())) => {}
            }
        });
    }
}

/// The same request to another host, its body untouched.
fn directed(mut request: Request, address: &str) -> Result<Request, String> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let uri: Uri = format!("{}{path}", address.trim_end_matches('/'))
        .parse()
        .map_err(|error| format!("the leader's address {address} is none: {error}"))?;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(PASSED_ON, HeaderValue::from_static("1"));
    // This is about the connection that the request came on, but for a WebSocket. The host stays: the leader holds
    // a page's origin against it.
    if headers.remove(header::CONNECTION).is_some() && headers.contains_key(header::UPGRADE) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    Ok(request)
}

async fn call(app: Router, request: Request) -> Response {
    match TowerToHyperService::new(app).call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

async fn serve(State(front): State<Front>, request: Request) -> Response {
    front.answer(request).await
}

/// The whole of what a replica answers.
pub fn front(front: Front) -> Router {
    Router::new().fallback(serve).with_state(front)
}
