//! Events that services and jobs send: exposures, conversions, and whatever else users do.

use super::spec::moment;
use serde::{Deserialize, Serialize};
use serin_contract::report::MAX_VALUE;
use serin_contract::{AssignedUnit, Bucket, FieldError, UnitHash};
use serin_judge::time::Time;
use std::time::Duration;

/// How many events one call may bring.
pub const MAX_EVENTS: usize = 1_000;
/// How long after it happened, and after the experiment's end, an event is still taken.
pub const LATEST: Duration = Duration::from_secs(48 * 3600);
/// How far ahead of this clock another's may be.
const AHEAD: Duration = Duration::from_secs(300);
/// The longest properties of an event, in bytes of JSON.
const MAX_PROPERTIES: usize = 2_048;

/// An event as it comes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EventDocument {
    /// Which experiment.
    pub experiment: String,
    /// Whose: the same id that the filters find, or that was assigned.
    pub user: String,
    /// What kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Of a conversion: which goal; the first without it.
    pub goal: Option<String>,
    /// Of a custom event: what happened.
    pub name: Option<String>,
    /// Of a conversion: what it is worth.
    pub value: Option<f64>,
    /// When it happened; now without it.
    pub time: Option<String>,
    /// Whatever else is to be kept.
    pub properties: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The user saw the arm.
    Exposure,
    /// The user reached a goal.
    Conversion,
    /// Something for funnels.
    Custom,
}

/// A checked event; the goal's place is for the experiment to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Which experiment.
    pub experiment: String,
    /// Whose.
    pub user: String,
    /// What.
    pub deed: Deed,
    /// When.
    pub time: Time,
    /// Whatever else is to be kept.
    pub properties: Option<serde_json::Map<String, serde_json::Value>>,
}

/// An event that was checked against its experiment. Of its user the unit is left, so that no id of a user is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitEvent {
    /// Which experiment.
    pub experiment: String,
    /// Whose.
    pub unit: UnitHash,
    /// The unit's slot, which says the arm, `0..=9999`.
    pub bucket: u16,
    /// What.
    pub deed: Deed,
    /// When.
    pub time: Time,
    /// Whatever else is to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<serde_json::Map<String, serde_json::Value>>,
}

impl UnitEvent {
    /// The event of a user whose unit this is.
    pub fn of(event: Event, unit: AssignedUnit) -> Self {
        let Event { experiment, user: _, deed, time, properties } = event;
        Self { experiment, unit: unit.hash, bucket: unit.bucket.get(), deed, time, properties }
    }

    /// The unit with its bucket.
    pub fn assigned(&self) -> AssignedUnit {
        AssignedUnit { bucket: Bucket::of(u128::from(self.bucket)), hash: self.unit }
    }
}

/// What the user did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    /// Saw the arm.
    Exposure,
    /// Reached a goal, the first without a name.
    Conversion {
        /// Which.
        goal: Option<String>,
        /// What it is worth.
        value: f64,
    },
    /// Something else.
    Custom(String),
}

impl EventDocument {
    /// Checks what can be checked without the experiment.
    ///
    /// # Errors
    /// With the path of the first field that is wrong.
    pub fn check(self, now: Time) -> Result<Event, FieldError> {
        let time = self.time.as_deref().map_or(Ok(now), |text| moment("time", text))?;
        if time > now.plus(AHEAD) {
            return Err(FieldError::new("time", "lies in the future: set the clock, or leave it out"));
        }
        if now.since(time) > LATEST {
            return Err(FieldError::new("time", "is too long ago: events are taken for 48 hours"));
        }
        check_user(&self.user)?;
        let deed = match self.kind {
            Kind::Exposure => Deed::Exposure,
            Kind::Conversion => {
                Deed::Conversion { goal: self.goal.clone(), value: self.value.unwrap_or(0.0) }
            }
            Kind::Custom => {
                let name = self.name.clone().filter(|name| !name.is_empty() && name.len() <= 128);
                Deed::Custom(name.ok_or_else(|| {
                    FieldError::new("name", "a custom event has a name of 1 to 128 characters")
                })?)
            }
        };
        for (field, given, kind) in [
            ("goal", self.goal.is_some(), Kind::Conversion),
            ("value", self.value.is_some(), Kind::Conversion),
            ("name", self.name.is_some(), Kind::Custom),
        ] {
            if given && self.kind != kind {
                let kind = if kind == Kind::Custom { "custom events" } else { "conversions" };
                return Err(FieldError::new(field, format!("is for {kind} alone")));
            }
        }
        if self.value.is_some_and(|value| !(-MAX_VALUE..=MAX_VALUE).contains(&value)) {
            return Err(FieldError::new("value", "is not allowed: -1e12 to 1e12"));
        }
        let size = self
            .properties
            .as_ref()
            .and_then(|map| serde_json::to_vec(map).ok())
            .map_or(0, |text| text.len());
        if size > MAX_PROPERTIES {
            return Err(FieldError::new("properties", format!("are longer than {MAX_PROPERTIES} bytes")));
        }
        Ok(Event { experiment: self.experiment, user: self.user, deed, time, properties: self.properties })
    }
}

/// A user is who the filters would find in a header.
///
/// # Errors
/// When it is empty or absurdly long.
pub fn check_user(user: &str) -> Result<(), FieldError> {
    if user.is_empty() || user.len() > 1_024 {
        return Err(FieldError::new("user", "must have 1 to 1024 bytes"));
    }
    Ok(())
}
