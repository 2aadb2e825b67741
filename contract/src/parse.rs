//! Reading JSON so that an error names the field.

use serde::de::DeserializeOwned;

/// A value that is not allowed: where it stands, and what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct FieldError {
    /// As in `canaries[0].canary_share`; `.` is the whole document.
    pub path: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl FieldError {
    /// An error at a path.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// The same error, seen from a document that holds this one at `parent`.
    #[must_use]
    pub fn under(self, parent: &str) -> Self {
        let dot = if self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{parent}{dot}{}", self.path), message: self.message }
    }
}

/// Parses JSON text.
///
/// # Errors
/// With the path of the first field that does not fit.
pub fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, FieldError> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut parser)
        .map_err(|error| FieldError::new(error.path().to_string(), error.inner().to_string()))?;
    parser.end().map_err(|error| FieldError::new(".", error.to_string()))?;
    Ok(value)
}
