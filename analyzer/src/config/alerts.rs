//! Receivers of alerts as they are written, and checked.

use super::sources::{timeout, url};
use super::token::one_token;
use crate::alerts::{Receiver, ReceiverKind};
use crate::kinds::Seconds;
use serde::Deserialize;
use serin_contract::FieldError;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ReceiverSpec {
    name: String,
    alertmanager: Option<String>,
    webhook: Option<String>,
    timeout: Option<Seconds>,
    token_file: Option<PathBuf>,
}

/// Checks all receivers.
pub(super) fn compile(raw: Vec<ReceiverSpec>, base: &Path) -> Result<Vec<Receiver>, FieldError> {
    let mut receivers: Vec<Receiver> = Vec::with_capacity(raw.len());
    for (index, receiver) in raw.into_iter().enumerate() {
        let known = receivers.iter().any(|known| known.name == receiver.name);
        let receiver = compile_one(receiver, known, base);
        receivers.push(receiver.map_err(|error| error.under(&format!("alerts[{index}]")))?);
    }
    Ok(receivers)
}

fn compile_one(raw: ReceiverSpec, known: bool, base: &Path) -> Result<Receiver, FieldError> {
    if known || raw.name.is_empty() || raw.name.len() > 63 {
        let message = format!("`{}` is there twice, or not of 1 to 63 characters", raw.name);
        return Err(FieldError::new("name", message));
    }
    let (kind, field, address) = match (&raw.alertmanager, &raw.webhook) {
        (Some(address), None) => (ReceiverKind::Alertmanager, "alertmanager", address),
        (None, Some(address)) => (ReceiverKind::Webhook, "webhook", address),
        (Some(_), Some(_)) | (None, None) => {
            return Err(FieldError::new("alertmanager", "or webhook: give the address of exactly one"));
        }
    };
    Ok(Receiver {
        name: raw.name,
        kind,
        url: url(field, address)?,
        timeout: timeout(raw.timeout)?,
        token: raw.token_file.map(|file| one_token("tokenFile", &base.join(file))).transpose()?,
    })
}
