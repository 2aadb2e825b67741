//! Who may do what: filters report, viewers read, operators read and act. They show a token, or the cookie of a
//! session that a token has opened. A role without tokens is open; the configuration allows that on loopback only.

use super::listener::Peer;
use super::origin::{self, Origin};
use super::problem::Problem;
use super::session::{Session, cookie};
use super::{Shared, audit};
use crate::config::{Server, Token};
use crate::engine::now;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serin_judge::time::Time;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use subtle::{Choice, ConstantTimeEq};

/// The accepted tokens of each role, the pages that may call for people, and how long these stay signed in.
#[derive(Debug, Clone)]
pub struct Tokens {
    report: Vec<Token>,
    viewer: Vec<Token>,
    operator: Vec<Token>,
    origins: Vec<Origin>,
    session_length: Duration,
}

/// What people may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    None,
    Viewer,
    Operator,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// How a request was admitted.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// Nothing was asked for.
    Open,
    /// By a token in the request.
    Token(Token),
    /// By a session.
    Session(Session),
}

impl Caller {
    /// As whom somebody signed in who said so.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Open | Self::Token(_) => None,
            Self::Session(session) => session.name.as_deref(),
        }
    }

    /// When they are no longer who they are by themselves; never, where no session says who they are.
    pub(super) fn expires(&self) -> Option<Time> {
        match self {
            Self::Open | Self::Token(_) => None,
            Self::Session(session) => Some(session.expires),
        }
    }
}

/// For whom a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Filters,
    Viewers,
    Services,
    Operators,
}

impl Tokens {
    /// Those of a configuration.
    pub fn of(server: &Server) -> Self {
        Self {
            report: server.report_tokens.clone(),
            viewer: server.viewer_tokens.clone(),
            operator: server.operator_tokens.clone(),
            origins: server.origins.clone(),
            session_length: server.session_length,
        }
    }

    /// How long a session lasts that begins now.
    pub(super) fn session_length(&self) -> Duration {
        self.session_length
    }

    /// Those that open a call; none: it is open.
    fn accepted(&self, whom: For) -> Vec<&Token> {
        let (own, others): (&[Token], &[Token]) = match whom {
            For::Filters => (&self.report, &[]),
            For::Viewers => (&self.viewer, &self.operator),
            For::Services => (&self.report, &self.operator),
            For::Operators => (&self.operator, &[]),
        };
        if own.is_empty() { Vec::new() } else { own.iter().chain(others).collect() }
    }

    /// What whoever has this token may do; in constant time.
    pub(super) fn role(&self, shown: &[u8]) -> Role {
        let one_of = |tokens: &[Token]| is_one_of(shown, tokens.iter());
        match (one_of(&self.operator), one_of(&self.viewer)) {
            (true, _) => Role::Operator,
            (false, true) => Role::Viewer,
            (false, false) => Role::None,
        }
    }

    /// What everybody may do.
    pub(super) fn open_role(&self) -> Role {
        match (self.operator.is_empty(), self.viewer.is_empty()) {
            (true, _) => Role::Operator,
            (false, true) => Role::Viewer,
            (false, false) => Role::None,
        }
    }

    /// Whether there is anything to sign in with.
    pub(super) fn can_sign_in(&self) -> bool {
        !self.viewer.is_empty() || !self.operator.is_empty()
    }

    /// Whether a page from there may call for its user.
    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        // Where nobody signs in, a foreign name that leads here must not do.
        origin::check(headers, &self.origins, self.operator.is_empty())
    }
}

pub(super) async fn report(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    admit(&shared, For::Filters, request, next).await
}

pub(super) async fn viewer(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    admit(&shared, For::Viewers, request, next).await
}

/// Services that assign users and send events: with the filters' token, or an operator's.
pub(super) async fn service(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    admit(&shared, For::Services, request, next).await
}

pub(super) async fn operator(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let peer = request.extensions().get::<Peer>().copied();
    let response = admit(&shared, For::Operators, request, next).await;
    let refused = match response.status() {
        StatusCode::UNAUTHORIZED => Some("no valid token"),
        StatusCode::FORBIDDEN => Some("a viewer's session, or a foreign page"),
        _ => None,
    };
    if let Some(detail) = refused {
        audit::refused(&path, peer, detail);
    }
    response
}

/// Operators who read what others did: no action, and so not in the audit itself.
pub(super) async fn auditor(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    admit(&shared, For::Operators, request, next).await
}

/// Filters that report to an analyzer that does not lead.
pub(super) async fn taking(tokens: State<Arc<RwLock<Tokens>>>, request: Request, next: Next) -> Response {
    admit_here(&tokens, For::Filters, request, next).await
}

/// Services that send events to an analyzer that does not lead. It knows no sessions: whoever has one is passed on.
pub(super) async fn telling(tokens: State<Arc<RwLock<Tokens>>>, request: Request, next: Next) -> Response {
    admit_here(&tokens, For::Services, request, next).await
}

async fn admit_here(tokens: &RwLock<Tokens>, whom: For, request: Request, next: Next) -> Response {
    let admitted = {
        let tokens = tokens.read().unwrap_or_else(PoisonError::into_inner);
        let accepted = tokens.accepted(whom);
        match bearer(request.headers()) {
            Some(shown) if is_one_of(shown, accepted.iter().copied()) => Ok(()),
            _ if accepted.is_empty() => check_page(&tokens, &Caller::Open, &request),
            Some(_) | None => {
                let detail = "a valid token is required: send `Authorization: Bearer <token>`";
                Err(Problem::new(StatusCode::UNAUTHORIZED, detail))
            }
        }
    };
    match admitted {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn admit(shared: &Shared, whom: For, mut request: Request, next: Next) -> Response {
    let caller = {
        let tokens = shared.tokens();
        match caller(shared, &tokens, whom, request.headers()) {
            Ok(caller) => match check_page(&tokens, &caller, &request) {
                Ok(()) => Ok(caller),
                Err(problem) => Err(problem),
            },
            Err(problem) => Err(problem),
        }
    };
    match caller {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Who calls, if they may.
fn caller(shared: &Shared, tokens: &Tokens, whom: For, headers: &HeaderMap) -> Result<Caller, Problem> {
    let accepted = tokens.accepted(whom);
    let shown = bearer(headers);
    if let Some(shown) = shown.filter(|shown| is_one_of(shown, accepted.iter().copied())) {
        return Ok(Caller::Token(Token::of_bytes(shown)));
    }
    let session = cookie(headers).and_then(|id| shared.sessions.find(id, now()));
    let session = session.filter(|session| tokens.role(session.token.as_bytes()) > Role::None);
    match session {
        Some(session)
            if accepted.is_empty() || is_one_of(session.token.as_bytes(), accepted.iter().copied()) =>
        {
            Ok(Caller::Session(session))
        }
        _ if accepted.is_empty() => Ok(Caller::Open),
        Some(_) if shown.is_none() => {
            let detail = "this session may look at releases only: sign in with an operator's token to act";
            Err(Problem::new(StatusCode::FORBIDDEN, detail))
        }
        Some(_) | None => {
            let detail = "a valid token is required: send `Authorization: Bearer <token>`, or sign in";
            Err(Problem::new(StatusCode::UNAUTHORIZED, detail))
        }
    }
}

/// A browser sends its cookie, or what reaches an open port, for any page that asks it to. So where something
/// changes, or where a socket tells all, the page must be ours. Who shows a token has it.
fn check_page(tokens: &Tokens, caller: &Caller, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let harmless = matches!(*request.method(), Method::GET | Method::HEAD);
    if harmless && !headers.contains_key(header::UPGRADE) {
        return Ok(());
    }
    match caller {
        Caller::Token(_) => Ok(()),
        Caller::Open if !headers.contains_key(header::ORIGIN) => Ok(()),
        Caller::Open | Caller::Session(_) => tokens.check_origin(headers),
    }
}

/// Whether somebody who was admitted to read would be now.
pub(super) fn still_admits(shared: &Shared, caller: &Caller) -> bool {
    let tokens = shared.tokens();
    let accepted = tokens.accepted(For::Viewers);
    let holds = |token: &Token| is_one_of(token.as_bytes(), accepted.iter().copied());
    match caller {
        Caller::Open => accepted.is_empty(),
        Caller::Token(token) => accepted.is_empty() || holds(token),
        Caller::Session(session) => {
            let stands = shared.sessions.holds(session, now());
            stands && (accepted.is_empty() || holds(&session.token))
        }
    }
}

/// What whoever calls may do, and their session.
pub(super) fn standing(shared: &Shared, tokens: &Tokens, headers: &HeaderMap) -> (Role, Option<Session>) {
    let session = cookie(headers).and_then(|id| shared.sessions.find(id, now()));
    let session = session.filter(|session| tokens.role(session.token.as_bytes()) > Role::None);
    let by_session = session.as_ref().map_or(Role::None, |session| tokens.role(session.token.as_bytes()));
    let by_token = bearer(headers).map_or(Role::None, |shown| tokens.role(shown));
    (tokens.open_role().max(by_session).max(by_token), session)
}

/// The token in a request's header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, shown) = headers.get(header::AUTHORIZATION)?.as_bytes().split_first_chunk::<7>()?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(shown)
}

/// Compares with every token in constant time, so that the time tells nothing about any of them.
fn is_one_of<'a>(shown: &[u8], accepted: impl Iterator<Item = &'a Token>) -> bool {
    accepted.fold(Choice::from(0), |equal, token| equal | shown.ct_eq(token.as_bytes())).into()
}
