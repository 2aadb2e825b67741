//! One record. docs/experiments.md has the shapes; a test holds them against real ones.

use crate::experiments::spec::written;
use serde::{Serialize, Serializer};
use serin_contract::UnitHash;
use serin_judge::time::Time;

/// Something that a user of an experiment did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// What it was.
    #[serde(flatten)]
    pub what: What,
    /// When it happened; for what filters report, when it was counted.
    #[serde(serialize_with = "moment")]
    pub time: Time,
    /// Which experiment.
    pub experiment: String,
    /// Whose, as filters and store name a unit: the first 64 bits of md5(salt + user).
    pub unit: UnitHash,
    /// The arm that it counts for; null where nothing had exposed the user.
    pub arm: Option<String>,
    /// The step that gave it.
    pub step: Option<u32>,
    /// Who told of it.
    pub from: Via,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum What {
    /// The user saw the arm.
    Exposure {
        /// Whether it is the one that counts.
        first: bool,
    },
    /// The user reached a goal.
    Conversion {
        /// Which.
        goal: String,
        /// How often, since the filter's last report; 1 by the API.
        events: u64,
        /// The sum of its values.
        value: f64,
        /// What came with it.
        #[serde(skip_serializing_if = "Option::is_none")]
        properties: Option<serde_json::Map<String, serde_json::Value>>,
    },
    /// Something else.
    Custom {
        /// Its name.
        name: String,
        /// What came with it.
        #[serde(skip_serializing_if = "Option::is_none")]
        properties: Option<serde_json::Map<String, serde_json::Value>>,
    },
}

/// Who told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// A filter, in a report.
    Filter,
    /// A service, by the API.
    Api,
}

fn moment<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&written(*time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_documented_shapes() {
        let exposure = Record {
            what: What::Exposure { first: true },
            time: Time(1_769_860_800_000),
            experiment: "button".to_owned(),
            unit: UnitHash(0xab),
            arm: Some("treatment".to_owned()),
            step: Some(1),
            from: Via::Filter,
        };
        let purchase =
            What::Conversion { goal: "purchase".to_owned(), events: 2, value: 12.5, properties: None };
        let conversion = Record { what: purchase, from: Via::Api, ..exposure.clone() };
        let custom = Record {
            what: What::Custom { name: "cart".to_owned(), properties: Some(serde_json::Map::new()) },
            arm: None,
            step: None,
            from: Via::Api,
            ..exposure.clone()
        };
        let text = String::from_utf8(super::super::lines(&[exposure, conversion, custom])).expect("UTF-8");
        let document = include_str!("../../../docs/experiments.md");
        for line in text.lines() {
            assert!(document.contains(line), "docs/experiments.md should show {line}");
        }
        assert_eq!(text.lines().count(), 3);
    }
}
