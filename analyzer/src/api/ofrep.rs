//! OFREP, the OpenFeature remote evaluation protocol: existing OpenFeature SDKs read the flags of
//! experiments' arms. Evaluating a flag assigns the user and counts an exposure, as `assign` does.

use super::Shared;
use super::schema::ofrep as of;
use crate::experiments::desk::Evaluated;
use crate::experiments::events::check_user;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
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
    request_body = of::Request,
    responses((status = 200, description = "The flags of the user's arms", body = of::Flags), of::Faults),
    security(("report" = []), ("operator" = [])))]
pub(super) async fn all(State(shared): State<Shared>, body: Bytes) -> Response {
    match evaluated(&shared, None, &body).await {
        Ok(flags) => Json(json!({"flags": flags.iter().map(value).collect::<Vec<_>>()})).into_response(),
        Err(fault) => fault.into_response(),
    }
}
