//! Gates, checked.

use crate::gates::Gate;
use crate::kinds::GateSpec;
use serin_contract::FieldError;
use std::time::Duration;

/// Checks all gates of a canary.
pub(super) fn compile(raw: Vec<GateSpec>) -> Result<Vec<Gate>, FieldError> {
    let mut gates: Vec<Gate> = Vec::with_capacity(raw.len());
    for (index, gate) in raw.into_iter().enumerate() {
        let at =
            |field: &str, message: String| Err(FieldError::new(format!("gates[{index}].{field}"), message));
        if gate.name.is_empty() || gates.iter().any(|known| known.name == gate.name) {
            return at("name", format!("`{}` is empty or there twice", gate.name));
        }
        let timeout = gate.timeout.map_or(Duration::from_secs(10), |seconds| seconds.0);
        if !(Duration::from_millis(100)..=Duration::from_secs(600)).contains(&timeout) {
            return at("timeout", "is out of range: 100ms to 10m".into());
        }
        if gate.retries > 10 {
            return at("retries", format!("{} is not allowed: 0 to 10", gate.retries));
        }
        let url = match gate.url.parse::<hyper::Uri>() {
            Ok(url) if matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some() => url,
            Ok(_) | Err(_) => {
                return at(
                    "url",
                    format!(
                        "`{}` is not allowed: write http://HOST:PORT/PATH or https://HOST:PORT/PATH",
                        gate.url
                    ),
                );
            }
        };
        let (when, on_failure) = (gate.when, gate.on_failure);
        gates.push(Gate {
            name: gate.name,
            when,
            url,
            timeout,
            retries: gate.retries,
            on_failure,
            metadata: gate.metadata,
        });
    }
    Ok(gates)
}
