//! `/v1/session`: a token is exchanged for a cookie that scripts cannot read, so that no page keeps a token.

mod attempts;
mod book;

pub(super) use attempts::Attempts;
pub(super) use book::{Session, Sessions};

use super::access::{Role, standing};
use super::listener::Peer;
use super::problem::Problem;
use super::schema::{self, SignInErrors};
use super::{Shared, audit};
use crate::engine::now;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serin_contract::FieldError;
use serin_contract::parse::from_json;
use serin_judge::time::Time;
use std::net::{IpAddr, Ipv4Addr};

/// The cookie's name.
const COOKIE: &str = "serin-session";
/// The longest name of a person, in characters.
const LONGEST: usize = 100;

/// What whoever asks may do.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    role: &'static str,
    name: Option<String>,
    expires: Option<Time>,
    sign_in_needed: bool,
    can_sign_in: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    token: String,
    #[serde(default)]
    name: Option<String>,
}

/// The session's id in a request's cookies.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// What whoever asks may do
#[utoipa::path(get, path = "/v1/session", tag = "sessions",
    responses((status = 200, description = "The role, and the session if there is one", body = schema::Session)))]
pub(super) async fn show(State(shared): State<Shared>, headers: HeaderMap) -> Json<View> {
    Json(view(&shared, &headers))
}

fn view(shared: &Shared, headers: &HeaderMap) -> View {
    let tokens = shared.tokens();
    let (role, session) = standing(shared, &tokens, headers);
    let can_sign_in = tokens.can_sign_in();
    View {
        role: role.name(),
        expires: session.as_ref().map(|session| session.expires),
        name: session.and_then(|session| session.name),
        sign_in_needed: role == Role::None,
        can_sign_in,
    }
}

/// Sign in: a token for a cookie
#[utoipa::path(post, path = "/v1/session", tag = "sessions",
    request_body = schema::SignIn,
    responses((status = 200, description = "Signed in; the cookie comes with it", body = schema::Session),
        SignInErrors))]
pub(super) async fn open(
    State(shared): State<Shared>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let peer = peer.map(|Extension(peer)| peer);
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(address)| address.ip());
    own_page(&shared, &headers)?;
    let SignIn { token, name } = from_json(&body).map_err(Problem::field)?;
    let name = name.map(|name| checked(&name)).transpose().map_err(Problem::field)?;
    let now = now();
    shared.attempts.allow(address, now).map_err(|wait| {
        audit::refused("/v1/session", peer, "too many failed sign-ins");
        Problem::too_many(wait)
    })?;
    let (role, length) = {
        let tokens = shared.tokens();
        (tokens.role(token.as_bytes()), tokens.session_length())
    };
    if role == Role::None {
        shared.attempts.failed(address, now);
        audit::refused("/v1/session", peer, "no valid token");
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "this token is not known"));
    }
    let (id, session) = shared.sessions.open(token.as_bytes(), name, length, now).map_err(|error| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("the system gives no random numbers: {error}"))
    })?;
    audit::signed_in(&shared, session.name.as_deref(), role.name(), peer).await;
    let view = View {
        role: role.max(shared.tokens().open_role()).name(),
        expires: Some(session.expires),
        name: session.name,
        sign_in_needed: false,
        can_sign_in: true,
    };
    let mut response = Json(view).into_response();
    set_cookie(is_secure(&shared, &headers), &mut response, &id, length.as_secs());
    Ok(response)
}

/// Sign out
#[utoipa::path(delete, path = "/v1/session", tag = "sessions",
    responses((status = 200, description = "Signed out", body = schema::Session),
        (status = 403, description = "For a foreign page", body = schema::Problem,
            content_type = "application/problem+json")))]
pub(super) async fn close(State(shared): State<Shared>, headers: HeaderMap) -> Result<Response, Problem> {
    own_page(&shared, &headers)?;
    if let Some(id) = cookie(&headers) {
        shared.sessions.end(id);
    }
    let mut response = Json(view(&shared, &headers)).into_response();
    set_cookie(is_secure(&shared, &headers), &mut response, "", 0);
    Ok(response)
}

/// A foreign page may neither sign a user in as somebody else nor out.
fn own_page(shared: &Shared, headers: &HeaderMap) -> Result<(), Problem> {
    match headers.contains_key(header::ORIGIN) {
        true => shared.tokens().check_origin(headers),
        false => Ok(()),
    }
}

fn checked(name: &str) -> Result<String, FieldError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > LONGEST || name.chars().any(char::is_control) {
        let message = format!("must have 1 to {LONGEST} characters, none of them a control character");
        return Err(FieldError::new("name", message));
    }
    Ok(name.to_owned())
}

/// Whether the browser came over TLS, here or in front of us: the page's origin says so, and it is one of ours.
fn is_secure(shared: &Shared, headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    shared.secure || origin.is_some_and(|origin| origin.starts_with(b"https://"))
}

fn set_cookie(secure: bool, response: &mut Response, id: &str, seconds: u64) {
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    // Ids are hexadecimal digits.
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
