//! OFREP, the OpenFeature remote evaluation protocol: existing OpenFeature SDKs read the flags of
//! experiments' arms. Evaluating a flag assigns the user and counts an exposure, as `assign` does.

use super::Shared;
use super::schema::ofrep as of;
use crate::experiments::desk::Evaluated;
use crate::experiments::events::check_user;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    context: Map<String, Value>,
}

/// Why a flag has no value, with the protocol's codes.
struct Fault {
    key: Option<String>,
    status: StatusCode,
    code: &'static str,
    details: String,
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut body = json!({"errorCode": self.code, "errorDetails": self.details});
        if let Some(key) = self.key {
            body["key"] = key.into();
        }
        (self.status, Json(body)).into_response()
    }
}

/// The user and its attributes.
fn context(key: Option<&str>, body: &[u8]) -> Result<(String, BTreeMap<String, Value>), Fault> {
    let fault = |code, details: String| {
        let key = key.map(str::to_owned);
        Fault { key, status: StatusCode::BAD_REQUEST, code, details }
    };
    let Request { mut context } =
        serin_contract::parse::from_json(body).map_err(|error| fault("PARSE_ERROR", error.to_string()))?;
    let user = match context.remove("targetingKey") {
        Some(Value::String(user)) => user,
        None | Some(Value::Null) => {
            return Err(fault(
                "TARGETING_KEY_MISSING",
                "context.targetingKey: give the user's id".to_owned(),
            ));
        }
        Some(_) => return Err(fault("INVALID_CONTEXT", "context.targetingKey: must be text".to_owned())),
    };
    check_user(&user)
        .map_err(|error| fault("INVALID_CONTEXT", format!("context.targetingKey: {}", error.message)))?;
    Ok((user, context.into_iter().collect()))
}

fn value(flag: &Evaluated) -> Value {
    json!({"key": flag.key, "reason": "SPLIT", "variant": flag.arm, "value": flag.value,
        "metadata": {"experiment": flag.experiment}})
}

async fn evaluated(shared: &Shared, key: Option<String>, body: &[u8]) -> Result<Vec<Evaluated>, Fault> {
    let (user, attributes) = context(key.as_deref(), body)?;
    shared.engine.evaluate(key.clone(), user, attributes).await.map_err(|refused| Fault {
        key,
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "GENERAL",
        details: refused.to_string(),
    })
}

/// One flag of a user
#[utoipa::path(post, path = "/ofrep/v1/evaluate/flags/{key}", tag = "experiments",
    params(("key" = String, Path, description = "The flag")),
    request_body = of::Request,
    responses((status = 200, description = "The flag's value in the user's arm", body = of::Flag), of::Faults),
    security(("report" = []), ("operator" = [])))]
pub(super) async fn one(State(shared): State<Shared>, Path(key): Path<String>, body: Bytes) -> Response {
    let flags = match evaluated(&shared, Some(key.clone()), &body).await {
        Ok(flags) => flags,
        Err(fault) => return fault.into_response(),
    };
    match flags.first() {
        Some(flag) => Json(value(flag)).into_response(),
        None => {
            let details = format!("no running experiment gives this user the flag `{key}`");
            Fault { key: Some(key), status: StatusCode::NOT_FOUND, code: "FLAG_NOT_FOUND", details }
                .into_response()
        }
    }
}

/// All flags of a user
#[utoipa::path(post, path = "/ofrep/v1/evaluate/flags", tag = "experiments",
    params(("if-none-match" = Option<String>, Header,
        description = "The ETag of an answer that the caller has; 304 says that it still holds")),
    request_body = of::Request,
    responses((status = 200, description = "The flags of the user's arms", body = of::Flags,
            headers(("etag" = String, description = "Of these flags with these values"))),
        (status = 304, description = "The flags are those of the given ETag"), of::Faults),
    security(("report" = []), ("operator" = [])))]
pub(super) async fn all(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    // The user is assigned and counted either way: a 304 only saves the answer's bytes.
    let flags = match evaluated(&shared, None, &body).await {
        Ok(flags) => flags,
        Err(fault) => return fault.into_response(),
    };
    let text = json!({"flags": flags.iter().map(value).collect::<Vec<_>>()}).to_string();
    let tag = tag(&text);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| names(value, &tag));
    let tagged = [(header::ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, tagged).into_response();
    }
    (tagged, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// Half of the answer's sha256, quoted (RFC 9110, 8.8.3).
fn tag(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// Whether an `If-None-Match` names the tag; tags are compared weakly there (RFC 9110, 13.1.2).
fn names(value: &HeaderValue, tag: &str) -> bool {
    let tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
    tags.map(|known| known.strip_prefix("W/").unwrap_or(known)).any(|known| known == "*" || known == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_among_others_weak_or_strong() {
        let tag = tag("{}");
        assert_eq!(tag.len(), 34);
        for value in [tag.clone(), format!("W/{tag}"), format!("\"a\", {tag}"), "*".to_owned()] {
            assert!(names(&HeaderValue::try_from(value.as_str()).expect("a value"), &tag), "{value}");
        }
        for value in ["", "\"a\"", "W/\"a\", \"b\""] {
            assert!(!names(&HeaderValue::from_static(value), &tag), "{value}");
        }
    }
}
