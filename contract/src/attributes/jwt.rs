//! One claim of a JWT. Only the payload is read: whether the token is genuine is for the gateway to say.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

/// Tokens are base64url without padding; padding is forgiven.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The largest payload that is decoded, in bytes of base64.
const LARGEST: usize = 64 * 1024;
/// How many tokens of one header are tried.
const TOKENS: usize = 8;

/// A claim as text, of the first token that has it: text, numbers and booleans as they are, of a list the
/// first element.
pub(super) fn claim(header: &[u8], path: &str) -> Option<String> {
    header.split(|byte| *byte == b',').take(TOKENS).find_map(|token| {
        let payload = payload(token.trim_ascii())?;
        text(find(&payload, path)?)
    })
}

fn payload(token: &[u8]) -> Option<Value> {
    let token = match token.split_first_chunk::<7>() {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"Bearer ") => rest.trim_ascii_start(),
        Some(_) | None => token,
    };
    let mut parts = token.split(|byte| *byte == b'.');
    let (_header, payload) = (parts.next()?, parts.next()?);
    if payload.len() > LARGEST {
        return None;
    }
    // serde_json refuses what nests deeper than 128.
    serde_json::from_slice(&ENGINE.decode(payload).ok()?).ok()
}

/// A claim by its whole name first (names may hold dots), else step by step.
fn find<'v>(payload: &'v Value, path: &str) -> Option<&'v Value> {
    if let Some(value) = payload.get(path) {
        return Some(value);
    }
    path.split('.').try_fold(payload, |value, step| match value {
        Value::Object(map) => map.get(step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Array(list) => list.first().filter(|first| !first.is_array()).and_then(text),
        Value::Null | Value::Object(_) => None,
    }
}
