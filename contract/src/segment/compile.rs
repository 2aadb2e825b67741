//! From JSON to rules that cannot be wrong.

use super::Rule;
use super::test::{Literal, Test};
use crate::parse::FieldError;
use serde_json::{Map, Value};

/// How deep rules may nest, how many there may be, and how long a list may be.
const DEPTH: usize = 8;
const RULES: usize = 200;
const LIST: usize = 1000;

pub(super) fn rules(raw: &Value) -> Result<Rule, FieldError> {
    Compiler { left: RULES }.object(raw, "", DEPTH)
}

struct Compiler {
    left: usize,
}

impl Compiler {
    /// An object of rules, all of which must hold.
    fn object(&mut self, raw: &Value, path: &str, depth: usize) -> Result<Rule, FieldError> {
        let rules = self.map(raw, path, depth)?;
        let mut all = Vec::with_capacity(rules.len());
        for (key, value) in rules {
            let path = join(path, key);
            self.left = self
                .left
                .checked_sub(1)
                .ok_or_else(|| FieldError::new(&path, format!("there are more than {RULES} rules")))?;
            all.push(match key.as_str() {
                "$and" => Rule::All(self.list(value, &path, depth)?),
                "$or" => Rule::Any(self.list(value, &path, depth)?),
                "$not" => Rule::Not(Box::new(self.object(value, &path, depth - 1)?)),
                unknown if unknown.starts_with('$') => {
                    let message =
                        format!("`{unknown}` is not known here: allowed are $and, $or, $not and attributes");
                    return Err(FieldError::new(path, message));
                }
                name => Rule::Attribute { name: name.to_owned(), tests: tests(value, &path)? },
            });
        }
        Ok(Rule::All(all))
    }

    fn list(&mut self, raw: &Value, path: &str, depth: usize) -> Result<Vec<Rule>, FieldError> {
        let Some(list) = raw.as_array().filter(|list| !list.is_empty()) else {
            return Err(FieldError::new(path, "must be a list of rules with at least one"));
        };
        let rule = |(index, rule): (usize, &Value)| self.object(rule, &format!("{path}[{index}]"), depth - 1);
        list.iter().enumerate().map(rule).collect()
    }

    fn map<'v>(
        &self,
        raw: &'v Value,
        path: &str,
        depth: usize,
    ) -> Result<&'v Map<String, Value>, FieldError> {
        let at = if path.is_empty() { "." } else { path };
        if depth == 0 {
            return Err(FieldError::new(at, format!("rules nest deeper than {DEPTH}")));
        }
        raw.as_object().ok_or_else(|| FieldError::new(at, "must be an object of rules"))
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A value alone is equality; an object holds operators, all of which count.
fn tests(raw: &Value, path: &str) -> Result<Vec<Test>, FieldError> {
    let Some(operators) = raw.as_object() else {
        return Ok(vec![Test::Equal(literal(raw, path)?)]);
    };
    if operators.is_empty() {
        return Err(FieldError::new(path, "asks nothing: give a value or operators such as $in"));
    }
    operators.iter().map(|(operator, operand)| test(operator, operand, &join(path, operator))).collect()
}

fn test(operator: &str, operand: &Value, path: &str) -> Result<Test, FieldError> {
    Ok(match operator {
        "$ne" => Test::NotEqual(literal(operand, path)?),
        "$gt" => Test::Greater(ordered(operand, path)?),
        "$gte" => Test::GreaterOrEqual(ordered(operand, path)?),
        "$lt" => Test::Less(ordered(operand, path)?),
        "$lte" => Test::LessOrEqual(ordered(operand, path)?),
        "$in" => Test::In(literals(operand, path)?),
        "$nin" => Test::NotIn(literals(operand, path)?),
        "$exists" => match operand {
            Value::Bool(wanted) => Test::Exists(*wanted),
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                return Err(FieldError::new(path, "must be true or false"));
            }
        },
        unknown => {
            let known = "$gt, $gte, $lt, $lte, $in, $nin, $ne and $exists";
            return Err(FieldError::new(path, format!("`{unknown}` is no operator: allowed are {known}")));
        }
    })
}

fn literal(raw: &Value, path: &str) -> Result<Literal, FieldError> {
    match raw {
        Value::String(text) => Ok(Literal::Text(text.clone())),
        Value::Bool(truth) => Ok(Literal::Bool(*truth)),
        Value::Number(number) => match number.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Literal::Number(number)),
            None => Err(FieldError::new(path, format!("{number} is too large"))),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(FieldError::new(path, "must be text, a number, true or false"))
        }
    }
}

fn ordered(raw: &Value, path: &str) -> Result<Literal, FieldError> {
    match literal(raw, path)? {
        Literal::Bool(_) => Err(FieldError::new(path, "must be text or a number")),
        ordered @ (Literal::Text(_) | Literal::Number(_)) => Ok(ordered),
    }
}

fn literals(raw: &Value, path: &str) -> Result<Vec<Literal>, FieldError> {
    let Some(list) = raw.as_array().filter(|list| list.len() <= LIST) else {
        return Err(FieldError::new(path, format!("must be a list of at most {LIST} values")));
    };
    list.iter().enumerate().map(|(index, value)| literal(value, &format!("{path}[{index}]"))).collect()
}
