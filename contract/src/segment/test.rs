//! One question about one attribute.

use std::cmp::Ordering;

/// An attribute's value. Text from headers, cookies and queries is read as a number or a truth value where
/// the rule's value is one.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// As in a header.
    Text(String),
    /// As in JSON.
    Number(f64),
    /// As in JSON.
    Bool(bool),
}

/// A rule's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Compared letter by letter.
    Text(String),
    /// Compared as a number.
    Number(f64),
    /// Compared as true or false.
    Bool(bool),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Equal(Literal),
    NotEqual(Literal),
    Greater(Literal),
    GreaterOrEqual(Literal),
    Less(Literal),
    LessOrEqual(Literal),
    In(Vec<Literal>),
    NotIn(Vec<Literal>),
    Exists(bool),
}

impl Test {
    /// None when it cannot be told: the value is missing, or is not what it is compared with.
    pub(super) fn holds(&self, value: Option<&Value>) -> Option<bool> {
        if let Self::Exists(wanted) = self {
            return Some(value.is_some() == *wanted);
        }
        let value = value?;
        let order = |literal: &Literal| literal.order(value);
        match self {
            Self::Equal(literal) => order(literal).map(Ordering::is_eq),
            Self::NotEqual(literal) => order(literal).map(Ordering::is_ne),
            Self::Greater(literal) => order(literal).map(Ordering::is_gt),
            Self::GreaterOrEqual(literal) => order(literal).map(Ordering::is_ge),
            Self::Less(literal) => order(literal).map(Ordering::is_lt),
            Self::LessOrEqual(literal) => order(literal).map(Ordering::is_le),
            Self::In(list) => among(list, value),
            Self::NotIn(list) => among(list, value).map(|among| !among),
            Self::Exists(_) => None,
        }
    }
}

/// Whether one of them is equal; cannot be told when none could even be compared.
fn among(list: &[Literal], value: &Value) -> Option<bool> {
    let mut compared = list.is_empty();
    for literal in list {
        match literal.order(value) {
            Some(Ordering::Equal) => return Some(true),
            Some(Ordering::Less | Ordering::Greater) => compared = true,
            None => {}
        }
    }
    compared.then_some(false)
}

impl Literal {
    /// How the value compares with this.
    fn order(&self, value: &Value) -> Option<Ordering> {
        match (self, value) {
            (Self::Text(ours), Value::Text(theirs)) => Some(theirs.as_str().cmp(ours)),
            (Self::Number(ours), Value::Number(theirs)) => theirs.partial_cmp(ours),
            (Self::Number(ours), Value::Text(theirs)) => theirs.trim().parse::<f64>().ok()?.partial_cmp(ours),
            (Self::Bool(ours), Value::Bool(theirs)) => Some(theirs.cmp(ours)),
            (Self::Bool(ours), Value::Text(theirs)) => match theirs.trim() {
                "true" => Some(true.cmp(ours)),
                "false" => Some(false.cmp(ours)),
                _ => None,
            },
            (Self::Text(_), Value::Number(_) | Value::Bool(_))
            | (Self::Number(_), Value::Bool(_))
            | (Self::Bool(_), Value::Number(_)) => None,
        }
    }
}
