//! Segments: who a release or an experiment is for, by rules over attributes.
//!
//! `{"country": "US", "age": {"$gte": 18, "$lt": 65}, "$or": [{"plan": {"$in": ["pro", "team"]}}, ...]}`:
//! everything in one object must hold. A missing attribute is no match, whatever is asked of it but
//! `{"$exists": false}`, and so is one that cannot be read as what the rule compares it with; `$not` does
//! not turn either into a match.

mod compile;
mod test;

pub use test::{Literal, Value};

use crate::attributes::{RequestHeaders, Source};
use crate::parse::FieldError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use test::Test;

/// A segment as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentDocument {
    /// Where each attribute stands.
    pub attributes: BTreeMap<String, Source>,
    /// Who belongs to it.
    pub rules: serde_json::Value,
}

/// A checked segment over attributes of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    attributes: BTreeMap<String, Source>,
    rules: Rules,
}

/// Checked rules over attributes from anywhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules(Rule);

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    All(Vec<Rule>),
    Any(Vec<Rule>),
    Not(Box<Rule>),
    Attribute { name: String, tests: Vec<Test> },
}

impl Segment {
    /// Checks a document.
    ///
    /// # Errors
    /// With the path of what is unknown, of the wrong type, or names an attribute that is not declared.
    pub fn compile(document: SegmentDocument) -> Result<Self, FieldError> {
        let mut attributes = BTreeMap::new();
        for (name, source) in document.attributes {
            let path = format!("attributes.{name}");
            let source = source.checked().map_err(|message| FieldError::new(path, message))?;
            attributes.insert(name, source);
        }
        let rules = Rules::compile(&document.rules).map_err(|error| error.under("rules"))?;
        if let Some(name) = rules.attributes().into_iter().find(|name| !attributes.contains_key(*name)) {
            let message = format!("`{name}` is not declared: say under `attributes` where it stands");
            return Err(FieldError::new(format!("rules.{name}"), message));
        }
        Ok(Self { attributes, rules })
    }

    /// Whether a request belongs to it.
    pub fn matches(&self, request: &impl RequestHeaders) -> bool {
        self.rules.matches(&|name| {
            let value = self.attributes.get(name)?.read(request)?;
            Some(Value::Text(String::from_utf8(value.into_owned()).ok()?))
        })
    }
}

impl Rules {
    /// Checks rules.
    ///
    /// # Errors
    /// With the path of what is unknown or of the wrong type.
    pub fn compile(raw: &serde_json::Value) -> Result<Self, FieldError> {
        compile::rules(raw).map(Self)
    }

    /// The attributes that they name.
    pub fn attributes(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.0.collect(&mut names);
        names
    }

    /// Whether these attributes belong to it.
    pub fn matches(&self, attribute: &dyn Fn(&str) -> Option<Value>) -> bool {
        self.0.holds(attribute) == Some(true)
    }
}

impl Rule {
    fn collect<'r>(&'r self, names: &mut Vec<&'r str>) {
        match self {
            Self::All(rules) | Self::Any(rules) => rules.iter().for_each(|rule| rule.collect(names)),
            Self::Not(rule) => rule.collect(names),
            Self::Attribute { name, .. } => names.push(name),
        }
    }

    /// In three values (Kleene's): none is "cannot be told", for what is missing or unreadable.
    fn holds(&self, attribute: &dyn Fn(&str) -> Option<Value>) -> Option<bool> {
        match self {
            Self::All(rules) => all(rules.iter().map(|rule| rule.holds(attribute))),
            Self::Any(rules) => {
                all(rules.iter().map(|rule| rule.holds(attribute).map(|holds| !holds))).map(|none| !none)
            }
            Self::Not(rule) => rule.holds(attribute).map(|holds| !holds),
            Self::Attribute { name, tests } => {
                let value = attribute(name);
                all(tests.iter().map(|test| test.holds(value.as_ref())))
            }
        }
    }
}

/// And: a single no is a no, whatever cannot be told.
fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut result = Some(true);
    for part in parts {
        match part {
            Some(false) => return Some(false),
            None => result = None,
            Some(true) => {}
        }
    }
    result
}
