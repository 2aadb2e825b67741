//! The file of an experiment that is to be made. It is checked here, so that what is wrong is found before
//! anything is sent.

use crate::config;
use crate::experiments::{Experiment, ExperimentSpec};
use serde_json::{Map, Value};
use serin_contract::FieldError;
use std::io::Read;

/// What the API takes: the specification with its id.
pub(super) fn read(file: &str) -> Result<Map<String, Value>, String> {
    let text = if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.map_err(|problem| format!("{file}: cannot be read: {problem}"))?;
    parse(&text).map_err(|problem| format!("{file}: {problem}"))
}

fn parse(text: &str) -> Result<Map<String, Value>, String> {
    // Every JSON text is YAML too.
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)
        .map_err(|problem| format!("is not YAML: {}", problem.without_snippet()))?;
    let mut documents = documents.into_iter().filter(|document| !document.is_null());
    let (Some(document), None) = (documents.next(), documents.next()) else {
        return Err("must hold one document: an Experiment".to_owned());
    };
    body(document).map_err(|error| error.to_string())
}

fn body(document: Value) -> Result<Map<String, Value>, FieldError> {
    let kind = document.get("kind").map(|kind| kind.as_str().unwrap_or_default().to_owned());
    if let Some(kind) = kind {
        if kind != "Experiment" {
            return Err(FieldError::new(
                "kind",
                format!("`{kind}` cannot be created here: allowed is Experiment"),
            ));
        }
        let experiment = config::read_experiment(&document)?;
        return Ok(whole(document.get("spec"), &experiment.id));
    }
    let Value::Object(mut spec) = document else {
        return Err(FieldError::new(".", "must be an Experiment: fields with values"));
    };
    let Some(Value::String(id)) = spec.remove("id") else {
        return Err(FieldError::new("id", "is missing: 1 to 64 letters, digits, `.`, `_` and `-`"));
    };
    let spec = Value::Object(spec);
    let checked: ExperimentSpec = serde_path_to_error::deserialize(&spec)
        .map_err(|error| FieldError::new(error.path().to_string(), error.inner().to_string()))?;
    Experiment::compile(&id, checked)?;
    Ok(whole(Some(&spec), &id))
}

fn whole(spec: Option<&Value>, id: &str) -> Map<String, Value> {
    let mut body = spec.and_then(Value::as_object).cloned().unwrap_or_default();
    body.insert("id".to_owned(), id.into());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARMS: &str = "arms: [{name: a, share: 50}, {name: b, share: 50}]";

    #[test]
    fn a_kind_in_yaml_and_the_apis_json_are_one_body() {
        let kind = format!(
            "apiVersion: serin.dev/v1alpha1\nkind: Experiment\nmetadata: {{name: button}}\nspec:\n  {ARMS}\n"
        );
        let json = r#"{"id": "button", "arms": [{"name": "a", "share": 50}, {"name": "b", "share": 50}]}"#;
        let (one, other) = (parse(&kind).expect("good"), parse(json).expect("good"));
        assert_eq!(one, other);
        assert_eq!(one["id"], "button");
    }

    #[test]
    fn what_is_wrong_is_named_before_anything_is_sent() {
        let cases = [
            ("", "must hold one document"),
            ("a: 1\n---\nb: 1\n", "must hold one document"),
            ("kind: Canary\n", "kind: `Canary` cannot be created here"),
            ("arms: []\n", "id: is missing"),
            ("id: x\narms: [{name: a, share: 50}, {name: b, share: 40}]\n", "arms: the shares sum to 90 %"),
            ("id: x\ncolour: 1\n", "colour: unknown field"),
        ];
        for (text, told) in cases {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with(told), "{error}\nshould begin with\n{told}");
        }
    }
}
