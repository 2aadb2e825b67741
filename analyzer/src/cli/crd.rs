//! `serin crd | kubectl apply --server-side -f -`.

use super::Failure;
use crate::kinds;

/// Prints the definitions of all kinds, as YAML documents.
pub(super) fn run() -> Result<(), Failure> {
    super::status::print(&kinds::yaml().map_err(Failure::Failed)?)
}
