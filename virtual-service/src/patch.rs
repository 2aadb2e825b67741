//! A JSON patch (RFC 6902), as kube-apiserver takes it under `application/json-patch+json`.

use serde::Serialize;
use serde_json::Value;

/// One operation. Paths are JSON pointers; what we point at is only ever indices and plain names, so
/// nothing in them needs an escape.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// The whole patch is refused unless this value stands there.
    Test {
        /// Where.
        path: String,
        /// What must stand there.
        value: Value,
    },
    /// A new member, or an element before the one at this index.
    Add {
        /// Where.
        path: String,
        /// What will stand there.
        value: Value,
    },
    /// Another value for what is there.
    Replace {
        /// Where.
        path: String,
        /// What will stand there.
        value: Value,
    },
    /// Nothing any more.
    Remove {
        /// Where.
        path: String,
    },
}

/// Operations that are applied in their order, all or none.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Patch(Vec<Operation>);

impl Patch {
    /// The operations, in their order.
    pub fn operations(&self) -> &[Operation] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn test(&mut self, path: String, value: impl Into<Value>) {
        self.0.push(Operation::Test { path, value: value.into() });
    }

    pub(super) fn add(&mut self, path: String, value: impl Into<Value>) {
        self.0.push(Operation::Add { path, value: value.into() });
    }

    pub(super) fn replace(&mut self, path: String, value: impl Into<Value>) {
        self.0.push(Operation::Replace { path, value: value.into() });
    }

    pub(super) fn remove(&mut self, path: String) {
        self.0.push(Operation::Remove { path });
    }

    /// This patch, then another.
    pub(super) fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}
