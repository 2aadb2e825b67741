//! The CustomResourceDefinitions, as `serin crd` prints them.

use super::{Canary, Experiment};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

/// All kinds' definitions.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let mut definitions = vec![Canary::crd(), Experiment::crd()];
    let versions = definitions.iter_mut().flat_map(|definition| &mut definition.spec.versions);
    for schema in versions.filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut()) {
        tidy(schema);
    }
    definitions
}

/// All definitions as YAML documents, as `serin crd` prints them.
///
/// # Errors
/// When one cannot be written as YAML, which would be a fault of this program.
pub fn yaml() -> Result<String, String> {
    let documents: Result<Vec<String>, _> = definitions().iter().map(serde_saphyr::to_string).collect();
    let documents = documents.map_err(|error| error.to_string())?;
    Ok(documents.iter().map(|document| format!("---\n{document}")).collect())
}

/// Rust's own formats are warned about by the API server, and what is optional is left out, not null.
fn tidy(schema: &mut JSONSchemaProps) {
    if schema.format.as_ref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = Some("int64".to_owned());
    }
    schema.nullable = None;
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(tidy);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => tidy(items),
        Some(JSONSchemaPropsOrArray::Schemas(list)) => list.iter_mut().for_each(tidy),
        None => {}
    }
    match &mut schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(values)) => tidy(values),
        Some(JSONSchemaPropsOrBool::Bool(_)) | None => {}
    }
}
