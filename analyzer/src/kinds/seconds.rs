//! A length of time as people write it: `500ms`, `10s`, `1m 30s`, `1h`, `2d`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

/// What the API server lets through; the same units as here.
const PATTERN: &str = "^[0-9]+(ms|s|m|h|d)( ?[0-9]+(ms|s|m|h|d))*$";
/// The units, for who parses.
const UNITS: [&str; 5] = ["ms", "s", "m", "h", "d"];

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seconds(pub Duration);

impl TryFrom<String> for Seconds {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = text
            .split(|c: char| c.is_ascii_digit() || c == ' ')
            .filter(|unit| !unit.is_empty())
            .all(|unit| UNITS.contains(&unit));
        let length = humantime::parse_duration(&text).ok().filter(|_| known);
        length
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no length of time such as 500ms, 10s, 1m 30s, 1h or 2d"))
    }
}

impl From<Seconds> for String {
    fn from(Seconds(length): Seconds) -> Self {
        let (seconds, millis) = (length.as_secs(), length.subsec_millis());
        match (seconds, millis) {
            (0, 0) => "0s".to_owned(),
            (_, 0) => format!("{seconds}s"),
            (0, _) => format!("{millis}ms"),
            (_, _) => format!("{seconds}s {millis}ms"),
        }
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "x-kubernetes-validations": [{
                "rule": format!("self.matches('{PATTERN}')"),
                "message": "is no length of time such as 500ms, 10s, 1m 30s, 1h or 2d",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["0s", "500ms", "10s", "61s", "1s 500ms"] {
            let length = Seconds::try_from(text.to_owned()).expect(text);
            assert_eq!(String::from(length), text);
        }
        let length = Seconds::try_from("1m 30s".to_owned()).expect("good");
        assert_eq!(String::from(length), "90s");
    }

    #[test]
    fn other_units_are_refused_with_those_that_are_allowed() {
        for text in ["soon", "6", "1week", "1min", "-1s", "", "s"] {
            let told = Seconds::try_from(text.to_owned()).expect_err(text);
            assert!(told.contains("500ms, 10s, 1m 30s, 1h or 2d"), "{told}");
        }
    }
}
