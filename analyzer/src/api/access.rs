//! Who may do what: filters report, viewers read, operators read and act. A role without tokens is open;
//! the configuration allows that on loopback only.

use super::listener::Peer;
use super::problem::Problem;
use super::{Shared, audit};
use crate::config::{Server, Token};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::{Choice, ConstantTimeEq};

/// The accepted tokens of each role.
#[derive(Debug, Clone)]
pub struct Tokens {
    report: Vec<Token>,
    viewer: Vec<Token>,
    operator: Vec<Token>,
}

impl Tokens {
    /// Those of a configuration.
    pub fn of(server: &Server) -> Self {
        Self {
            report: server.report_tokens.clone(),
            viewer: server.viewer_tokens.clone(),
            operator: server.operator_tokens.clone(),
        }
    }
}

pub(super) async fn report(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let lists = |tokens: &Tokens| vec![tokens.report.clone()];
    admit(&shared, lists, request, next).await
}

pub(super) async fn viewer(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let lists = |tokens: &Tokens| match tokens.viewer.is_empty() {
        true => Vec::new(),
        false => vec![tokens.viewer.clone(), tokens.operator.clone()],
    };
    admit(&shared, lists, request, next).await
}

/// Services that assign users and send events: with the filters' token, or an operator's.
pub(super) async fn service(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let lists = |tokens: &Tokens| match tokens.report.is_empty() {
        true => Vec::new(),
        false => vec![tokens.report.clone(), tokens.operator.clone()],
    };
    admit(&shared, lists, request, next).await
}

pub(super) async fn operator(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let lists = |tokens: &Tokens| vec![tokens.operator.clone()];
    let path = request.uri().path().to_owned();
    let peer = request.extensions().get::<Peer>().copied();
    let response = admit(&shared, lists, request, next).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        audit::refused(&path, peer, "no valid token");
    }
    response
}

async fn admit(
    shared: &Shared,
    lists: impl FnOnce(&Tokens) -> Vec<Vec<Token>>,
    request: Request,
    next: Next,
) -> Response {
    let accepted: Vec<Token> = match shared.tokens.read() {
        Ok(tokens) => lists(&tokens).concat(),
        Err(poisoned) => lists(&poisoned.into_inner()).concat(),
    };
    if accepted.is_empty() || holds_one_of(request.headers(), &accepted) {
        return next.run(request).await;
    }
    let detail = "a valid token is required: send `Authorization: Bearer <token>`";
    Problem::new(StatusCode::UNAUTHORIZED, detail).into_response()
}

/// Compares with every token in constant time, so that the time tells nothing about any of them.
fn holds_one_of(headers: &HeaderMap, accepted: &[Token]) -> bool {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return false };
    let Some((scheme, shown)) = value.as_bytes().split_first_chunk::<7>() else { return false };
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return false;
    }
    let equal = accepted.iter().fold(Choice::from(0), |equal, token| equal | shown.ct_eq(token.as_bytes()));
    equal.into()
}
